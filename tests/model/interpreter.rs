//! Runs programs on tinyield.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tinyield::sync::{Acquire, EventWait, EventWaitTimeout};
use tinyield::time::{Sleep, Timeout};
use tinyield::wait::{Catch, Isolate, Race, Shield};
use tinyield::{
    Coro, Deadlock, Error, Event, JoinHandle, Loop, LoopError, Permit, Reason, Semaphore, Shared, Step, StopHandle,
    TimedOut, catch, co, isolate, race, shield, sleep, sleep_until, spawn, timeout,
};

use super::Observed;
use super::program::{Body, Drive, EVENTS, Grouping, Leaf, Limit, PERMITS, Part, Program, Statement, Wait};

/// A coroutine's value is its number.
type Value = usize;

/// A run is not to take more steps than this.
const MOST_STEPS: usize = 100_000;

/// Ticks are so many units long; limits are so many units longer than their ticks as there were limits before, as no two are
/// to ring at the same time.
pub const TICK: u64 = 16;

pub fn run(program: &Program, unit: u64) -> Observed {
    let grouping = grouping(program.grouping);
    let mut event_loop = Loop::builder().grouping(grouping).build();
    let world = World::new(program, event_loop.stop_handle(), Duration::from_micros(unit));
    for body in &program.shared {
        let shared = start(body, &world).shared();
        world.shared.borrow_mut().push(shared);
    }
    let main = start(&program.main, &world);
    let result = match program.drive {
        Drive::Run => catch_unwind(AssertUnwindSafe(|| Some(event_loop.run(main)))),
        _ => catch_unwind(AssertUnwindSafe(|| by_hand(program.drive, &mut event_loop, main, &world))),
    };
    world.clock.stop();
    let result = match result {
        Err(payload) if payload.is::<First>() => "panic".to_string(),
        Err(_) => "a later panic".to_string(),
        Ok(None) => "dropped".to_string(),
        Ok(Some(Ok(value))) => format!("value c{value}"),
        Ok(Some(Err(error))) => loop_error(&error),
    };
    let is_late = world.clock.is_late.get();
    Observed { result: result + &world.left_behind(), log: world.log.take(), is_late, ..Observed::default() }
}

fn by_hand(drive: Drive, event_loop: &mut Loop, main: Coro<Value>, world: &World) -> Option<Result<Value, LoopError>> {
    let mut runtime = event_loop.runtime(main);
    let mut is_stopped = false;
    for _ in 0..MOST_STEPS {
        match drive {
            Drive::StopAt(line) if !is_stopped && world.log.borrow().len() >= line => {
                is_stopped = true;
                world.stop.stop();
            }
            Drive::DropAt(line) if world.log.borrow().len() >= line => break,
            _ => {}
        }
        match runtime.step() {
            Step::Ran => {}
            Step::Done(result) => return Some(result),
            Step::Idle(idle) => match idle.deadline() {
                Some(deadline) => {
                    world.clock.check();
                    world.clock.advance(deadline);
                }
                None if is_stopped => break,
                None => {
                    is_stopped = true;
                    world.stop.stop();
                }
            },
        }
    }
    world.clock.stop();
    drop(runtime);
    None
}

#[derive(Clone)]
struct World {
    log: Rc<RefCell<Vec<String>>>,
    events: Vec<Event>,
    semaphores: Vec<Semaphore>,
    shared: Rc<RefCell<Vec<Shared<Value>>>>,
    stop: StopHandle,
    has_panicked: Rc<Cell<bool>>,
    clock: Rc<Clock>,
}

/// What the first panic carries, which is to come out of the run.
struct First;

/// What those carry that come later. They are forgotten, so this has no memory.
struct Later;

struct Clock {
    unit: Duration,
    zero: Instant,
    /// When the loop was last idle: nothing happens later than that until it is so again.
    now: Cell<u64>,
    limits: Cell<u64>,
    deadlines: RefCell<Vec<u64>>,
    /// When the first limit since then was asked for.
    asked: Cell<Option<Instant>>,
    is_late: Cell<bool>,
    runs: Cell<bool>,
}

impl Clock {
    /// The loop is idle, or over: whether all that it did was done before the next deadline, and limits were counted from
    /// when they were asked for.
    fn check(&self) {
        let now = Instant::now();
        let is_past = |deadline: &u64| *deadline > self.now.get() && now >= self.at(*deadline);
        let is_late = self.asked.take().is_some_and(|asked| now - asked >= self.unit)
            || self.deadlines.borrow().iter().any(is_past);
        self.is_late.set(self.is_late.get() || is_late);
    }

    /// From here on, ticks are no time.
    fn stop(&self) {
        if self.runs.replace(false) {
            self.check();
        }
    }

    /// Waits until it is `deadline`.
    fn advance(&self, deadline: Instant) {
        while Instant::now() < deadline {
            std::hint::spin_loop();
        }
        let units = (deadline - self.zero).as_nanos() / self.unit.as_nanos();
        self.now.set(u64::try_from(units).expect("programs are short"));
    }

    fn at(&self, units: u64) -> Instant {
        self.zero + self.unit * u32::try_from(units).expect("programs are short")
    }

    /// So many ticks from now, and so many units more.
    fn later(&self, ticks: usize, units: u64) -> Instant {
        let deadline = (self.now.get() / TICK + ticks as u64) * TICK + units;
        self.deadlines.borrow_mut().push(deadline);
        self.at(deadline)
    }

    fn sleep(&self, limit: Limit) -> Sleep {
        match limit {
            Limit::Ticks(ticks) if self.runs.get() => sleep_until(self.later(ticks, 0)),
            Limit::Ticks(_) | Limit::Zero => sleep(Duration::ZERO),
            Limit::Never => unreachable!("nobody sleeps for ever"),
        }
    }

    fn limit(&self, limit: Limit) -> Duration {
        match limit {
            Limit::Never => Duration::MAX,
            Limit::Ticks(ticks) if self.runs.get() && self.limits.get() + 1 < TICK => {
                self.limits.set(self.limits.get() + 1);
                let now = Instant::now();
                self.asked.set(self.asked.get().or(Some(now)));
                self.later(ticks, self.limits.get()).saturating_duration_since(now)
            }
            Limit::Ticks(_) | Limit::Zero => Duration::ZERO,
        }
    }
}

impl World {
    fn new(program: &Program, stop: StopHandle, unit: Duration) -> World {
        let clock = Clock {
            unit,
            zero: Instant::now(),
            now: Cell::new(0),
            limits: Cell::new(0),
            deadlines: RefCell::default(),
            asked: Cell::new(None),
            is_late: Cell::new(false),
            runs: Cell::new(super::has_clock(program.drive)),
        };
        World {
            log: Rc::default(),
            events: (0..EVENTS).map(|_| Event::new()).collect(),
            semaphores: PERMITS.map(Semaphore::new).into(),
            shared: Rc::default(),
            stop,
            has_panicked: Rc::default(),
            clock: Rc::new(clock),
        }
    }

    fn log(&self, line: String) {
        self.log.borrow_mut().push(line);
    }

    /// What a run that is over should not leave behind.
    fn left_behind(&self) -> String {
        let shared = self.shared.take();
        drop(shared);
        let mut left = String::new();
        if Rc::strong_count(&self.log) > 1 {
            left += "; something still holds the world";
        }
        if self.events.iter().any(|event| event.statistics().waiting > 0) {
            left += "; somebody still waits for an event";
        }
        if self.semaphores.iter().zip(PERMITS).any(|(semaphore, permits)| semaphore.available() < permits) {
            left += "; somebody still has a permit";
        }
        if self.semaphores.iter().any(|semaphore| semaphore.statistics().waiting > 0) {
            left += "; somebody still waits for a permit";
        }
        left
    }
}

/// Tells when a coroutine begins and how it ends.
struct Life {
    id: usize,
    at: Cell<usize>,
    end: Cell<&'static str>,
    world: World,
}

impl Life {
    fn begin(id: usize, world: &World) -> Life {
        world.log(format!("c{id} begins"));
        Life { id, at: Cell::new(0), end: Cell::new("stops"), world: world.clone() }
    }

    fn log(&self, what: &str) {
        self.world.log(format!("c{}.{} {what}", self.id, self.at.get()));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.log(self.end.get());
    }
}

fn start(body: &Body, world: &World) -> Coro<Value> {
    let (body, world) = (body.clone(), world.clone());
    let name = format!("c{}", body.id);
    let coro = co! {
        let life = Life::begin(body.id, &world);
        let mut permits = VecDeque::new();
        let mut handles = VecDeque::<JoinHandle<Value>>::new();
        let mut caught = None::<Error>;
        for (at, statement) in body.statements.iter().enumerate() {
            life.at.set(at);
            match statement {
                Statement::Wait { wait: Wait::One(one), catch: false } => {
                    let output = yield part(one, &world, &mut handles);
                    life.log(&describe(&output, &mut caught));
                }
                Statement::Wait { wait: Wait::One(one), catch: true } => {
                    let output = yield catch(part(one, &world, &mut handles));
                    life.log(&either(&output, &mut caught, describe));
                }
                Statement::Wait { wait: Wait::All(all), catch: false } => {
                    let output = yield parts(all, &world, &mut handles);
                    life.log(&describe_all(&output, &mut caught));
                }
                Statement::Wait { wait: Wait::All(all), catch: true } => {
                    let output = yield catch(parts(all, &world, &mut handles));
                    life.log(&either(&output, &mut caught, describe_all));
                }
                Statement::Wait { wait: Wait::Shield(inner), catch: false } => {
                    let value = yield shield(start(inner, &world));
                    life.log(&format!("gets c{value}"));
                }
                Statement::Wait { wait: Wait::Shield(inner), catch: true } => {
                    let output = yield catch(shield(start(inner, &world)));
                    life.log(&either(&output, &mut caught, |value, _| format!("gets c{value}")));
                }
                Statement::Wait { wait: Wait::ShieldLeaf(inner), catch: false } => {
                    let output = yield shield(leaf(*inner, &world));
                    life.log(&describe_leaf(&output));
                }
                Statement::Wait { wait: Wait::ShieldLeaf(inner), catch: true } => {
                    let output = yield catch(shield(leaf(*inner, &world)));
                    life.log(&either(&output, &mut caught, |output, _| describe_leaf(output)));
                }
                Statement::Hold(semaphore) => {
                    permits.push_back(yield world.semaphores[*semaphore].acquire());
                    life.log("gets a permit");
                }
                Statement::Release => drop(permits.pop_front()),
                Statement::Spawn(inner) => {
                    handles.push_back(yield spawn(start(inner, &world)));
                    life.log("gets a handle");
                }
                Statement::SpawnShared(shared) => {
                    let shared = world.shared.borrow()[*shared].clone();
                    yield spawn(shared);
                    life.log("gets a handle");
                }
                Statement::Set(event) => world.events[*event].set(),
                Statement::Clear(event) => world.events[*event].clear(),
                Statement::Raise => {
                    life.end.set("raises");
                    Err(format!("e{}.{at}", body.id))?;
                }
                Statement::RaiseCaught => {
                    if let Some(error) = caught.take() {
                        life.end.set("raises");
                        Err(error)?;
                    }
                }
                Statement::Panic => {
                    life.end.set("panics");
                    // As `panic!`, but nothing is printed.
                    resume_unwind(if world.has_panicked.replace(true) { Box::new(Later) } else { Box::new(First) });
                }
                Statement::Stop => world.stop.stop(),
                Statement::Return => break,
                Statement::Swallow(times) => {
                    for _ in 0..*times {
                        let turn = yield catch(());
                        drop(turn);
                    }
                    life.log("goes on");
                }
            }
        }
        life.end.set("ends");
        body.id
    };
    coro.named(name)
}

// Waits are of many types. A tuple of options, of which one is there, is a wait for that one.

type PartWait = (
    Option<Coro<Value>>,
    Option<Shared<Value>>,
    Option<JoinHandle<Value>>,
    Option<Sleep>,
    Option<EventWait>,
    Option<EventWaitTimeout>,
    Option<Acquire>,
    Option<Timeout<Value>>,
    Option<Timeout<LeafOutput>>,
    Option<Race<Value>>,
    Option<Isolate<Value>>,
    Option<Shield<Value>>,
);

type PartOutput = (
    Option<Value>,
    Option<Value>,
    Option<Value>,
    Option<()>,
    Option<()>,
    Option<bool>,
    Option<Permit>,
    Option<Result<Value, TimedOut>>,
    Option<Result<LeafOutput, TimedOut>>,
    Option<Value>,
    Option<Result<Value, LoopError>>,
    Option<Value>,
);

type LeafWait = (Option<Sleep>, Option<EventWait>, Option<EventWaitTimeout>);
type LeafOutput = (Option<()>, Option<()>, Option<bool>);

type PartsOutput = Vec<(Option<PartOutput>, Option<Result<PartOutput, Error>>)>;

fn leaf(leaf: Leaf, world: &World) -> LeafWait {
    let mut wait = LeafWait::default();
    match leaf {
        Leaf::Sleep(limit) => wait.0 = Some(world.clock.sleep(limit)),
        Leaf::Event(event) => wait.1 = Some(world.events[event].wait()),
        Leaf::EventTimeout(event, limit) => wait.2 = Some(world.events[event].wait_timeout(world.clock.limit(limit))),
    }
    wait
}

fn part(part: &Part, world: &World, handles: &mut VecDeque<JoinHandle<Value>>) -> PartWait {
    let mut wait = PartWait::default();
    match part {
        Part::Turn => {}
        Part::Run(body) => wait.0 = Some(start(body, world)),
        Part::Shared(shared) => wait.1 = Some(world.shared.borrow()[*shared].clone()),
        Part::Join => wait.2 = handles.pop_front(),
        Part::Leaf(inner) => (wait.3, wait.4, wait.5) = leaf(*inner, world),
        Part::Acquire(semaphore) => wait.6 = Some(world.semaphores[*semaphore].acquire()),
        Part::Timeout(body, limit) => wait.7 = Some(timeout(start(body, world), world.clock.limit(*limit))),
        Part::TimeoutLeaf(inner, limit) => {
            let inner = leaf(*inner, world);
            wait.8 = Some(timeout(inner, world.clock.limit(*limit)));
        }
        Part::Race(bodies) => wait.9 = Some(race(bodies.iter().map(|body| start(body, world)).collect::<Vec<_>>())),
        Part::Isolate(body, inner) => wait.10 = Some(isolate(start(body, world)).grouping(grouping(*inner))),
        Part::Shield(body) => wait.11 = Some(shield(start(body, world))),
    }
    wait
}

fn parts(
    all: &[(Part, bool)],
    world: &World,
    handles: &mut VecDeque<JoinHandle<Value>>,
) -> Vec<(Option<PartWait>, Option<Catch<PartWait>>)> {
    let mut waits = Vec::new();
    for (one, catches) in all {
        let wait = part(one, world, handles);
        waits.push(if *catches { (None, Some(catch(wait))) } else { (Some(wait), None) });
    }
    waits
}

fn describe(output: &PartOutput, caught: &mut Option<Error>) -> String {
    match output {
        (Some(value), ..)
        | (_, Some(value), ..)
        | (_, _, Some(value), ..)
        | (.., Some(value), _, _)
        | (.., Some(value)) => format!("gets c{value}"),
        (_, _, _, Some(()), ..) => describe_leaf(&(Some(()), None, None)),
        (_, _, _, _, Some(()), ..) => describe_leaf(&(None, Some(()), None)),
        (_, _, _, _, _, Some(set), ..) => describe_leaf(&(None, None, Some(*set))),
        (_, _, _, _, _, _, Some(_), ..) => "gets a permit".to_string(),
        (_, _, _, _, _, _, _, Some(Ok(value)), ..) => format!("gets c{value}"),
        (_, _, _, _, _, _, _, _, Some(Ok(output)), ..) => describe_leaf(output),
        (_, _, _, _, _, _, _, Some(Err(TimedOut)), ..) | (_, _, _, _, _, _, _, _, Some(Err(TimedOut)), ..) => {
            "timed out".to_string()
        }
        (.., Some(Ok(value)), _) => format!("gets c{value}"),
        (.., Some(Err(failed)), _) => {
            *caught = Some(Error::from(failed.clone()));
            format!("gets {}", loop_error(failed))
        }
        _ => "had a turn".to_string(),
    }
}

fn describe_leaf(output: &LeafOutput) -> String {
    match output {
        (Some(()), ..) => "slept",
        (_, Some(()), _) | (.., Some(true)) => "was told",
        (.., Some(false)) => "was not told",
        _ => "had a turn",
    }
    .to_string()
}

fn either<T>(
    output: &Result<T, Error>,
    caught: &mut Option<Error>,
    describe: impl FnOnce(&T, &mut Option<Error>) -> String,
) -> String {
    match output {
        Ok(output) => describe(output, caught),
        Err(error) => {
            *caught = Some(error.clone());
            format!("catches {}", text(error))
        }
    }
}

fn describe_all(output: &PartsOutput, caught: &mut Option<Error>) -> String {
    let mut texts = Vec::new();
    for part in output {
        texts.push(match part {
            (Some(output), _) => describe(output, caught),
            (_, Some(output)) => either(output, caught, describe),
            _ => unreachable!("one of them is there"),
        });
    }
    format!("[{}]", texts.join(", "))
}

fn grouping(grouping: Grouping) -> tinyield::Grouping {
    match grouping {
        Grouping::Auto => tinyield::Grouping::Auto,
        Grouping::Never => tinyield::Grouping::Never,
        Grouping::Always => tinyield::Grouping::Always,
    }
}

fn loop_error(error: &LoopError) -> String {
    let mut others: Vec<_> = error.others().iter().map(text).collect();
    others.sort();
    format!("error {} with [{}]", text(error.error()), others.join(", "))
}

/// What the simulator calls it too.
fn text(error: &Error) -> String {
    if let Some(cancelled) = error.as_cancelled() {
        return match cancelled.reason() {
            Reason::Failed { name, .. } => format!("cancelled(failed {name})"),
            Reason::TimedOut => "cancelled(timed out)".to_string(),
            Reason::Raced => "cancelled(raced)".to_string(),
            Reason::Stopped => "cancelled(stopped)".to_string(),
            Reason::Dropped => "cancelled(dropped)".to_string(),
        };
    }
    if let Some(inner) = error.downcast_ref::<LoopError>() {
        return format!("again({})", loop_error(inner));
    }
    if let Some(deadlock) = error.downcast_ref::<Deadlock>() {
        let stuck: Vec<_> = deadlock.stuck().iter().map(|stuck| stuck.frame().name()).collect();
        let cycle = if deadlock.cycle().is_empty() { "" } else { "cycle " };
        return format!("deadlock({cycle}{})", stuck.join(" "));
    }
    let text = error.to_string();
    let name = text.split('`').nth(1).unwrap_or_default();
    for (words, short) in [
        ("answered its cancellation", "answers"),
        ("times in a row and went on", "swallows"),
        ("waited behind a shield for what can no longer come", "waits in vain"),
    ] {
        if text.contains(words) {
            return format!("{name} {short}");
        }
    }
    text
}
