//! Says what a program is to do, as plainly as can be: no counts, no wakers, no places in queues. Everything is in a list, and
//! lists are searched.
//!
//! A task has the place in the list of its number: tasks are numbered as they are started.

use std::collections::VecDeque;

use super::Observed;
use super::interpreter::TICK;
use super::program::{Body, Drive, EVENTS, Grouping, Leaf, Limit, PERMITS, Part, Program, SHARED, Statement, Wait};

type TaskId = usize;
type ScopeId = usize;

/// A part of what a task waits for.
type Waiter = (TaskId, usize);

#[derive(Clone, Debug)]
struct Failure {
    /// Clones are the same failure.
    id: usize,
    text: String,
    is_cancelled: bool,
}

struct Task<'a> {
    work: Work<'a>,
    at: usize,
    /// How often it has still to do the statement where it is.
    repeats: usize,
    scope: ScopeId,
    /// Its scope is there for it.
    is_root: bool,
    has_begun: bool,
    has_ended: bool,
    is_queued: bool,
    is_cancelled: bool,
    /// A cancellation was raised in it.
    has_seen_it: bool,
    /// How often in a row.
    swallowed: usize,
    error: Option<Failure>,
    output: String,
    wait: Option<Waiting<'a>>,
    waiters: Vec<Waiter>,
    /// It outlived its cancellation: these are not cancelled before it has ended.
    holds: Option<Vec<TaskId>>,
    is_deferred: bool,
    permits: VecDeque<usize>,
    handles: VecDeque<TaskId>,
    caught: Option<Failure>,
}

#[derive(Clone, Copy)]
enum Work<'a> {
    Body(&'a Body),
    /// It is there to wait for this, and has no name.
    Leaf(SomeLeaf),
}

/// When the time is up, if it ever is.
type Deadline = Option<u64>;

#[derive(Clone, Copy)]
enum SomeLeaf {
    Sleep(Deadline),
    Event(usize),
    EventTimeout(usize, Deadline),
}

struct Waiting<'a> {
    parts: Vec<Place<'a>>,
    is_shield: bool,
}

struct Place<'a> {
    what: What<'a>,
    catches: bool,
    is_there: bool,
}

enum What<'a> {
    Turn,
    /// To be started.
    Start(&'a Body),
    Shared(usize),
    Task(TaskId),
    Spawn(&'a Body),
    SpawnShared(usize),
    /// The task, if there is a handle for it.
    Spawned(Option<TaskId>),
    Sleep(Deadline),
    Event(usize),
    /// Whether it was told.
    EventTimeout(usize, Deadline, bool),
    /// Whether it has the permit.
    Acquire(usize, bool),
    Timeout(Work<'a>, Deadline),
    Isolate(&'a Body, Grouping),
    Shield(Work<'a>),
    Race(&'a [Body]),
    /// A started timeout, isolate or shield: its scope and its first task.
    Scope(ScopeId, TaskId),
    Runners(Vec<(ScopeId, TaskId)>),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Domain(Grouping),
    Timeout,
    Runner,
    Shield,
    Shared,
    /// Of a task that gave up on a shared coroutine: it waits for its end.
    Placeholder,
}

struct Scope {
    kind: Kind,
    parent: Option<ScopeId>,
    owner: Option<Waiter>,
    cancelled: Option<String>,
    failure: Option<Failure>,
    others: Vec<Failure>,
    has_ended: bool,
    /// Which race it runs in, and whether it has won.
    race: Option<usize>,
    has_won: bool,
    /// Empty scopes below tasks that gave up on this one, which is that of a shared coroutine. They end when it ends.
    placeholders: Vec<ScopeId>,
}

#[derive(Clone, Copy)]
enum Alarm {
    Settle(Waiter),
    Expire(ScopeId),
}

struct Timer {
    deadline: u64,
    alarm: Alarm,
}

#[derive(Default)]
struct Simulator<'a> {
    program: Option<&'a Program>,
    tasks: Vec<Task<'a>>,
    scopes: Vec<Scope>,
    shared: Vec<Option<TaskId>>,
    /// Shared coroutines that were spawned, and so run on without waiters.
    spawned: Vec<TaskId>,
    round: VecDeque<TaskId>,
    next_round: VecDeque<TaskId>,
    cancelling: VecDeque<TaskId>,
    running: Option<TaskId>,
    now: u64,
    limits: u64,
    clock_runs: bool,
    /// In the order in which they were set.
    timers: Vec<Timer>,
    expired: Vec<(ScopeId, usize)>,
    is_set: [bool; EVENTS],
    event_waiters: Vec<Vec<Waiter>>,
    free: Vec<usize>,
    permit_waiters: Vec<Vec<Waiter>>,
    is_told_to_stop: bool,
    has_panicked: bool,
    failures: usize,
    races: usize,
    seen: Observed,
}

enum Progress {
    Ran,
    Idle,
    Done,
}

const ROOT: ScopeId = 0;
const MAIN: TaskId = 0;
const MOST_SWALLOWED: usize = 100;

pub fn run(program: &Program) -> Observed {
    let mut simulator = Simulator {
        program: Some(program),
        shared: vec![None; SHARED],
        clock_runs: super::has_clock(program.drive),
        event_waiters: vec![Vec::new(); EVENTS],
        free: PERMITS.into(),
        permit_waiters: vec![Vec::new(); PERMITS.len()],
        ..Simulator::default()
    };
    simulator.add_scope(Kind::Domain(program.grouping), None, None);
    simulator.start(Work::Body(&program.main), ROOT, true);
    let is_done = simulator.drive(program.drive);
    simulator.seen.result = match (simulator.has_panicked, is_done) {
        (true, _) => "panic".to_string(),
        (false, false) => "dropped".to_string(),
        (false, true) => match simulator.loop_error(ROOT) {
            Some(error) => error,
            None => format!("value {}", simulator.tasks[MAIN].output),
        },
    };
    simulator.seen
}

impl<'a> Simulator<'a> {
    // From outside.

    /// Whether it came to its end, and was not dropped.
    fn drive(&mut self, drive: Drive) -> bool {
        let mut is_stopped = false;
        loop {
            match drive {
                Drive::StopAt(line) if !is_stopped && self.seen.log.len() >= line => {
                    is_stopped = true;
                    self.is_told_to_stop = true;
                }
                Drive::DropAt(line) if self.seen.log.len() >= line => break,
                _ => {}
            }
            match self.step() {
                Progress::Ran => {}
                Progress::Done => return true,
                Progress::Idle if self.ring_next() => {}
                Progress::Idle if drive == Drive::Run => self.deadlock(),
                Progress::Idle if self.is_cyclic() => {
                    // A cycle behind a shield is dropped, but nothing says in which order, nor which of several is.
                    self.seen.is_undecided |= self.scopes[ROOT].failure.is_some();
                    self.deadlock();
                }
                Progress::Idle if is_stopped => break,
                Progress::Idle => {
                    is_stopped = true;
                    self.is_told_to_stop = true;
                }
            }
        }
        self.clock_runs = false;
        self.stop_for("dropped");
        loop {
            match self.step() {
                Progress::Ran => {}
                Progress::Done => return false,
                // Nobody watches the clock any longer.
                Progress::Idle if self.ring_next() => self.seen.is_undecided = true,
                Progress::Idle => self.deadlock(),
            }
        }
    }

    /// Nothing is ready: it is as late as the next timer; false if there is none.
    fn ring_next(&mut self) -> bool {
        let next = self.timers.iter().map(|timer| timer.deadline).min();
        self.now = next.unwrap_or(self.now);
        next.is_some()
    }

    fn step(&mut self) -> Progress {
        if let Some(task) = self.cancelling.pop_front() {
            self.cancelling_turn(task);
        } else if let Some(task) = self.round.pop_front() {
            self.ready_turn(task);
        } else {
            self.look_around();
            self.round = std::mem::take(&mut self.next_round);
            if self.round.is_empty() && self.cancelling.is_empty() {
                return if self.scopes[ROOT].has_ended { Progress::Done } else { Progress::Idle };
            }
        }
        Progress::Ran
    }

    /// What happens between two rounds.
    fn look_around(&mut self) {
        if std::mem::take(&mut self.is_told_to_stop) {
            self.stop_for("stopped");
        }
        while let Some(due) = self.next_due() {
            match self.timers.remove(due).alarm {
                Alarm::Settle(waiter) => self.settle(waiter),
                Alarm::Expire(scope) => self.expired.push((scope, 0)),
            }
        }
        // What is ready when the time is up has its turn, and if that made the work ready, the work has its own.
        for (scope, rounds) in std::mem::take(&mut self.expired) {
            let waits = match rounds {
                0 => !self.next_round.is_empty(),
                1 => self.tasks.iter().any(|task| task.scope == scope && task.is_root && task.is_queued),
                _ => false,
            };
            if self.scopes[scope].has_ended {
            } else if waits {
                self.expired.push((scope, rounds + 1));
            } else {
                self.cancel(scope, "timed out");
            }
        }
    }

    fn next_due(&self) -> Option<usize> {
        let due = (0..self.timers.len()).filter(|&index| self.timers[index].deadline <= self.now);
        due.min_by_key(|&index| self.timers[index].deadline)
    }

    fn stop_for(&mut self, why: &str) {
        let failure = self.cancellation(why);
        self.stop(failure, why);
    }

    fn stop(&mut self, failure: Failure, why: &str) {
        if !self.scopes[ROOT].has_ended && self.scopes[ROOT].failure.is_none() {
            self.scopes[ROOT].failure = Some(failure);
            self.cancel(ROOT, why);
        }
    }

    fn deadlock(&mut self) {
        let cycle = if self.is_cyclic() { "cycle " } else { "" };
        let stuck: Vec<TaskId> = (0..self.tasks.len()).filter(|&task| !self.tasks[task].has_ended).collect();
        let names: Vec<_> =
            stuck.iter().filter(|&&task| !self.is_nameless(task)).map(|&task| self.name(task)).collect();
        let failure = self.failure(format!("deadlock({cycle}{})", names.join(" ")));
        if self.scopes[ROOT].failure.is_none() {
            let blamed = stuck.iter().rfind(|&&task| !self.is_nameless(task));
            let blamed = blamed.map_or("run".into(), |&task| self.name(task));
            self.seen.is_blame_open = !cycle.is_empty();
            return self.stop(failure, &format!("failed {blamed}"));
        }
        // What is left waits behind shields, or for that, and is cancelled when that has ended.
        self.add_other(ROOT, failure);
        for task in stuck.into_iter().rev().filter(|&task| !self.tasks[task].is_deferred).collect::<Vec<_>>() {
            self.tasks[task].is_cancelled = true;
            self.drop_doomed(task, "waits in vain");
        }
    }

    /// Whether some tasks wait for each other, and none of them has another way on.
    fn is_cyclic(&self) -> bool {
        // Each task that waits for others is stuck at first. One with a way on is not, until nothing changes any more.
        let waits: Vec<Vec<(TaskId, Option<usize>)>> = (0..self.tasks.len()).map(|task| self.waits_for(task)).collect();
        let mut is_stuck: Vec<bool> = waits.iter().map(|waits| !waits.is_empty()).collect();
        loop {
            let stays_stuck = |task: &TaskId| {
                let alternatives = |race: usize| waits[*task].iter().filter(move |(_, other)| *other == Some(race));
                is_stuck[*task]
                    && waits[*task].iter().any(|(on, race)| match race {
                        None => is_stuck[*on],
                        Some(race) => alternatives(*race).all(|(on, _)| is_stuck[*on]),
                    })
            };
            let now: Vec<bool> = (0..self.tasks.len()).map(|task| stays_stuck(&task)).collect();
            if now == is_stuck {
                return is_stuck.contains(&true);
            }
            is_stuck = now;
        }
    }

    /// The tasks that `task` waits for, each with the race in which it is one of several.
    fn waits_for(&self, task: TaskId) -> Vec<(TaskId, Option<usize>)> {
        let mut waits = Vec::new();
        for (on, other) in self.tasks.iter().enumerate().filter(|(_, other)| !other.has_ended) {
            let Scope { owner, race, .. } = self.scopes[other.scope];
            let waits_for_scope = other.is_root || self.is_domain(other.scope);
            if other.waiters.iter().any(|waiter| waiter.0 == task) {
                waits.push((on, None));
            }
            if waits_for_scope && owner.is_some_and(|owner| owner.0 == task) {
                waits.push((on, race.filter(|_| other.is_root)));
            }
        }
        waits
    }

    // Tasks.

    fn name(&self, task: TaskId) -> String {
        match self.tasks[task].work {
            Work::Body(body) => format!("c{}", body.id),
            Work::Leaf(_) => String::new(),
        }
    }

    fn is_nameless(&self, task: TaskId) -> bool {
        matches!(self.tasks[task].work, Work::Leaf(_))
    }

    fn log(&mut self, task: TaskId, what: &str) {
        if !self.is_nameless(task) {
            let line = format!("{}.{} {what}", self.name(task), self.tasks[task].at);
            self.seen.log.push(line);
        }
    }

    fn failure(&mut self, text: String) -> Failure {
        self.failures += 1;
        Failure { id: self.failures, text, is_cancelled: false }
    }

    fn cancellation(&mut self, why: &str) -> Failure {
        Failure { is_cancelled: true, ..self.failure(format!("cancelled({why})")) }
    }

    fn start(&mut self, work: Work<'a>, scope: ScopeId, is_root: bool) -> TaskId {
        let task = self.tasks.len();
        self.tasks.push(Task {
            work,
            at: 0,
            repeats: 0,
            scope,
            is_root,
            has_begun: false,
            has_ended: false,
            is_queued: false,
            is_cancelled: false,
            has_seen_it: false,
            swallowed: 0,
            error: None,
            output: String::new(),
            wait: None,
            waiters: Vec::new(),
            holds: None,
            is_deferred: false,
            permits: VecDeque::new(),
            handles: VecDeque::new(),
            caught: None,
        });
        self.enqueue(task);
        task
    }

    fn enqueue(&mut self, task: TaskId) {
        let Task { is_queued, has_ended, .. } = self.tasks[task];
        // One that runs is looked at when it waits.
        if !is_queued && !has_ended && self.running != Some(task) {
            self.tasks[task].is_queued = true;
            self.next_round.push_back(task);
        }
    }

    fn ready_turn(&mut self, task: TaskId) {
        self.tasks[task].is_queued = false;
        if self.tasks[task].has_ended || self.tasks[task].is_deferred {
            return;
        }
        if self.is_over(task) {
            self.turn(task);
        }
    }

    /// Whether what it waits for is there, or raises.
    fn is_over(&self, task: TaskId) -> bool {
        self.failed(task).is_some() || self.is_all_there(task)
    }

    fn is_all_there(&self, task: TaskId) -> bool {
        self.tasks[task].wait.as_ref().is_none_or(|wait| wait.parts.iter().all(|part| part.is_there))
    }

    /// What it waits for in vain, if that is to be raised.
    fn failed(&self, task: TaskId) -> Option<Failure> {
        let parts = self.tasks[task].wait.iter().flat_map(|wait| &wait.parts);
        parts.filter(|part| !part.catches).find_map(|part| self.part_failed(part))
    }

    fn part_failed(&self, part: &Place<'a>) -> Option<Failure> {
        match part.what {
            What::Task(other) => self.tasks[other].error.clone(),
            What::Scope(scope, root) if self.scopes[scope].kind == Kind::Shield && part.is_there => {
                self.tasks[root].error.clone()
            }
            _ => None,
        }
    }

    /// Resumes it: something of what it waits for is there, or raises, or it is to see its cancellation.
    fn turn(&mut self, task: TaskId) {
        self.running = Some(task);
        if !self.tasks[task].has_begun {
            self.tasks[task].has_begun = true;
            if let Work::Body(body) = self.tasks[task].work {
                self.seen.log.push(format!("c{} begins", body.id));
            }
            return self.go_on(task);
        }
        let is_shield = self.tasks[task].wait.as_ref().is_some_and(|wait| wait.is_shield);
        let is_cancelled = self.tasks[task].is_cancelled;
        let mut failed = self.failed(task);
        if is_cancelled && is_shield {
            self.tasks[task].swallowed = 0;
        }
        if is_cancelled && (!is_shield || failed.is_some()) {
            match self.raise_cancelled(task) {
                Some(cancelled) => failed = Some(cancelled),
                None => return,
            }
        }
        match failed {
            Some(failure) => {
                self.give_up(task);
                self.raised(task, failure);
            }
            None => self.is_there(task),
        }
    }

    /// None if it has swallowed too many: then it was dropped.
    fn raise_cancelled(&mut self, task: TaskId) -> Option<Failure> {
        self.tasks[task].has_seen_it = true;
        self.tasks[task].swallowed += 1;
        if self.tasks[task].swallowed > MOST_SWALLOWED {
            self.running = None;
            self.drop_doomed(task, "swallows");
            return None;
        }
        let why = self.scopes[self.tasks[task].scope].cancelled.clone().expect("its scope was cancelled");
        Some(self.cancellation(&why))
    }

    fn drop_doomed(&mut self, task: TaskId, what: &str) {
        let failure = match self.is_nameless(task) {
            true => self.cancellation("dropped"),
            false => self.failure(format!("{} {what}", self.name(task))),
        };
        if self.tasks[task].has_begun {
            self.drop_body(task, "stops");
        }
        self.end(task, Some(failure));
    }

    /// What it waits for is there.
    fn is_there(&mut self, task: TaskId) {
        let parts = self.tasks[task].wait.take().expect("it waits").parts;
        let Work::Body(body) = self.tasks[task].work else {
            self.tasks[task].output = self.describe(task, &parts[0]);
            return self.end_well(task);
        };
        let texts: Vec<_> = parts.iter().map(|part| self.describe(task, part)).collect();
        let text = match &body.statements[self.tasks[task].at] {
            Statement::Wait { wait: Wait::All(_), .. } => format!("[{}]", texts.join(", ")),
            Statement::Swallow(_) => return self.swallowed(task),
            Statement::Hold(semaphore) => {
                self.tasks[task].permits.push_back(*semaphore);
                self.log(task, &texts[0]);
                return self.next(task);
            }
            _ => texts[0].clone(),
        };
        self.log(task, &text);
        for part in &parts {
            match part.what {
                What::Acquire(semaphore, true) => self.release(semaphore),
                What::Spawned(Some(other)) => self.tasks[task].handles.push_back(other),
                _ => {}
            }
        }
        self.next(task);
    }

    fn describe(&mut self, task: TaskId, part: &Place<'a>) -> String {
        match &part.what {
            What::Task(other) => match self.tasks[*other].error.clone() {
                Some(failure) => {
                    let text = format!("catches {}", failure.text);
                    self.tasks[task].caught = Some(failure);
                    text
                }
                None => format!("gets {}", self.tasks[*other].output),
            },
            What::Turn => "had a turn".to_string(),
            What::Spawned(_) => "gets a handle".to_string(),
            What::Sleep(_) => "slept".to_string(),
            What::Event(_) | What::EventTimeout(_, _, true) => "was told".to_string(),
            What::EventTimeout(_, _, false) => "was not told".to_string(),
            What::Acquire(..) => "gets a permit".to_string(),
            What::Scope(scope, root) => {
                let output = self.tasks[*root].output.clone();
                let output = if self.is_nameless(*root) { output } else { format!("gets {output}") };
                match self.scopes[*scope].kind {
                    Kind::Timeout if self.scopes[*scope].cancelled.is_some() => "timed out".to_string(),
                    Kind::Domain(_) => match self.loop_error(*scope) {
                        Some(error) => {
                            let failure = self.failure(format!("again({error})"));
                            self.tasks[task].caught = Some(failure);
                            format!("gets {error}")
                        }
                        None => output,
                    },
                    _ => match self.tasks[*root].error.clone() {
                        Some(failure) => {
                            let text = format!("catches {}", failure.text);
                            self.tasks[task].caught = Some(failure);
                            text
                        }
                        None => output,
                    },
                }
            }
            What::Runners(runners) => {
                let winner = runners.iter().find(|(scope, _)| self.scopes[*scope].has_won);
                format!("gets {}", self.tasks[winner.expect("a race has a winner").1].output)
            }
            _ => unreachable!("it has begun"),
        }
    }

    fn loop_error(&self, scope: ScopeId) -> Option<String> {
        let Scope { failure, others, .. } = &self.scopes[scope];
        let mut others: Vec<_> = others.iter().map(|other| other.text.clone()).collect();
        others.sort();
        failure.as_ref().map(|failure| format!("error {} with [{}]", failure.text, others.join(", ")))
    }

    /// `failure` is raised at where it waits.
    fn raised(&mut self, task: TaskId, failure: Failure) {
        let catches = match self.tasks[task].work {
            Work::Leaf(_) => false,
            Work::Body(body) => match &body.statements[self.tasks[task].at] {
                Statement::Wait { catch, .. } => *catch,
                Statement::Swallow(_) => return self.swallowed(task),
                _ => false,
            },
        };
        if catches {
            self.log(task, &format!("catches {}", failure.text));
            self.tasks[task].caught = Some(failure);
            self.next(task);
        } else {
            self.fails(task, "stops", failure);
        }
    }

    fn swallowed(&mut self, task: TaskId) {
        self.tasks[task].repeats -= 1;
        if self.tasks[task].repeats > 0 {
            return self.wait(task, vec![(What::Turn, true)], false);
        }
        self.log(task, "goes on");
        self.next(task);
    }

    fn next(&mut self, task: TaskId) {
        self.tasks[task].at += 1;
        self.go_on(task);
    }

    /// Goes on to its next wait.
    fn go_on(&mut self, task: TaskId) {
        let body = match self.tasks[task].work {
            Work::Leaf(leaf) => return self.wait(task, vec![(leaf.into(), false)], false),
            Work::Body(body) => body,
        };
        while let Some(statement) = body.statements.get(self.tasks[task].at) {
            match statement {
                Statement::Wait { wait, .. } => {
                    let (parts, is_shield) = match wait {
                        Wait::One(part) => (vec![(self.of_part(task, part), false)], false),
                        Wait::All(all) => {
                            (all.iter().map(|(part, catches)| (self.of_part(task, part), *catches)).collect(), false)
                        }
                        Wait::Shield(inner) => (vec![(What::Shield(Work::Body(inner)), false)], true),
                        Wait::ShieldLeaf(inner) => {
                            (vec![(What::Shield(Work::Leaf(self.of_leaf(*inner))), false)], true)
                        }
                    };
                    return self.wait(task, parts, is_shield);
                }
                Statement::Hold(semaphore) => {
                    return self.wait(task, vec![(What::Acquire(*semaphore, false), false)], false);
                }
                Statement::Spawn(inner) => return self.wait(task, vec![(What::Spawn(inner), false)], false),
                Statement::SpawnShared(shared) => {
                    return self.wait(task, vec![(What::SpawnShared(*shared), false)], false);
                }
                Statement::Swallow(times) => {
                    self.tasks[task].repeats = *times;
                    return self.wait(task, vec![(What::Turn, true)], false);
                }
                Statement::Release => {
                    if let Some(semaphore) = self.tasks[task].permits.pop_front() {
                        self.release(semaphore);
                    }
                }
                Statement::Set(event) => {
                    self.is_set[*event] = true;
                    for waiter in std::mem::take(&mut self.event_waiters[*event]) {
                        if let What::EventTimeout(_, _, was_told) = &mut self.part(waiter).what {
                            *was_told = true;
                        }
                        self.timers.retain(|timer| !matches!(timer.alarm, Alarm::Settle(other) if other == waiter));
                        self.settle(waiter);
                    }
                }
                Statement::Clear(event) => self.is_set[*event] = false,
                Statement::Raise => {
                    let failure = self.failure(format!("e{}.{}", body.id, self.tasks[task].at));
                    return self.fails(task, "raises", failure);
                }
                Statement::RaiseCaught => {
                    if let Some(failure) = self.tasks[task].caught.take() {
                        return self.fails(task, "raises", failure);
                    }
                }
                Statement::Panic => return self.panics(task),
                Statement::Stop => self.is_told_to_stop = true,
                Statement::Return => return self.end_well(task),
            }
            self.tasks[task].at += 1;
        }
        self.tasks[task].at = body.statements.len().saturating_sub(1);
        self.end_well(task);
    }

    /// What it will wait for. Its limits are made now, in this order.
    fn of_part(&mut self, task: TaskId, part: &'a Part) -> What<'a> {
        match part {
            Part::Turn => What::Turn,
            Part::Run(body) => What::Start(body),
            Part::Shared(shared) => What::Shared(*shared),
            Part::Join => self.tasks[task].handles.pop_front().map_or(What::Turn, What::Task),
            Part::Leaf(leaf) => self.of_leaf(*leaf).into(),
            Part::Acquire(semaphore) => What::Acquire(*semaphore, false),
            Part::Timeout(body, limit) => What::Timeout(Work::Body(body), self.limit(*limit)),
            Part::TimeoutLeaf(leaf, limit) => {
                let leaf = self.of_leaf(*leaf);
                What::Timeout(Work::Leaf(leaf), self.limit(*limit))
            }
            Part::Race(bodies) => What::Race(bodies),
            Part::Isolate(body, grouping) => What::Isolate(body, *grouping),
            Part::Shield(body) => What::Shield(Work::Body(body)),
        }
    }

    fn of_leaf(&mut self, leaf: Leaf) -> SomeLeaf {
        match leaf {
            Leaf::Event(event) => SomeLeaf::Event(event),
            Leaf::EventTimeout(event, limit) => SomeLeaf::EventTimeout(event, self.limit(limit)),
            Leaf::Sleep(Limit::Ticks(ticks)) if self.clock_runs => SomeLeaf::Sleep(Some(self.in_ticks(ticks))),
            Leaf::Sleep(_) => SomeLeaf::Sleep(Some(0)),
        }
    }

    fn in_ticks(&self, ticks: usize) -> u64 {
        (self.now / TICK + ticks as u64) * TICK
    }

    fn limit(&mut self, limit: Limit) -> Deadline {
        match limit {
            Limit::Never => None,
            Limit::Ticks(ticks) if self.clock_runs && self.limits + 1 < TICK => {
                self.limits += 1;
                Some(self.in_ticks(ticks) + self.limits)
            }
            Limit::Ticks(_) | Limit::Zero => Some(0),
        }
    }

    fn part(&mut self, (task, part): Waiter) -> &mut Place<'a> {
        &mut self.tasks[task].wait.as_mut().expect("it waits").parts[part]
    }

    // Waits.

    /// Has `task`, which runs, wait for all of `parts`.
    fn wait(&mut self, task: TaskId, parts: Vec<(What<'a>, bool)>, is_shield: bool) {
        if self.tasks[task].is_cancelled && !is_shield {
            if let Some(cancelled) = self.raise_cancelled(task) {
                self.raised(task, cancelled);
            }
            return;
        }
        let place = |(what, catches)| Place { what, catches, is_there: false };
        let parts: Vec<_> = parts.into_iter().map(place).collect();
        let count = parts.len();
        self.tasks[task].wait = Some(Waiting { parts, is_shield });
        for part in 0..count {
            self.begin((task, part));
        }
        self.running = None;
        let parts = &self.tasks[task].wait.as_ref().expect("it waits").parts;
        let has_failed = parts.iter().any(|part| self.part_failed(part).is_some());
        if has_failed || self.is_all_there(task) {
            self.enqueue(task);
        }
    }

    fn begin(&mut self, waiter: Waiter) {
        let (task, _) = waiter;
        let scope = self.tasks[task].scope;
        match std::mem::replace(&mut self.part(waiter).what, What::Turn) {
            What::Turn => self.part(waiter).is_there = true,
            What::Start(body) => {
                let other = self.start(Work::Body(body), scope, false);
                self.join(waiter, other);
            }
            What::Shared(shared) => {
                let other = self.start_shared(shared, scope);
                self.join(waiter, other);
            }
            What::Task(other) => self.join(waiter, other),
            What::Spawn(body) => {
                let other = self.start(Work::Body(body), scope, false);
                *self.part(waiter) = Place { what: What::Spawned(Some(other)), catches: false, is_there: true };
            }
            What::SpawnShared(shared) => {
                let other = self.start_shared(shared, scope);
                self.spawned.push(other);
                *self.part(waiter) = Place { what: What::Spawned(None), catches: false, is_there: true };
            }
            What::Sleep(deadline) => {
                self.part(waiter).what = What::Sleep(deadline);
                self.set_timer(deadline, Alarm::Settle(waiter));
            }
            What::Event(event) => {
                self.part(waiter).what = What::Event(event);
                self.wait_for_event(waiter, event, None);
            }
            What::EventTimeout(event, deadline, _) => {
                self.part(waiter).what = What::EventTimeout(event, deadline, self.is_set[event]);
                self.wait_for_event(waiter, event, deadline);
            }
            What::Acquire(semaphore, _) => {
                let is_free = self.free[semaphore] > 0;
                self.part(waiter).what = What::Acquire(semaphore, is_free);
                self.part(waiter).is_there = is_free;
                if is_free {
                    self.free[semaphore] -= 1;
                } else {
                    self.permit_waiters[semaphore].push(waiter);
                }
            }
            What::Timeout(work, deadline) => {
                let inner = self.add_scope(Kind::Timeout, Some(scope), Some(waiter));
                self.set_timer(deadline, Alarm::Expire(inner));
                self.start_scope(waiter, inner, work);
            }
            What::Isolate(body, grouping) => {
                let inner = self.add_scope(Kind::Domain(grouping), Some(scope), Some(waiter));
                self.start_scope(waiter, inner, Work::Body(body));
            }
            What::Shield(work) => {
                let inner = self.add_scope(Kind::Shield, Some(scope), Some(waiter));
                self.start_scope(waiter, inner, work);
            }
            What::Race(bodies) => {
                let mut runners = Vec::new();
                self.races += 1;
                for body in bodies {
                    let inner = self.add_scope(Kind::Runner, Some(scope), Some(waiter));
                    self.scopes[inner].race = Some(self.races);
                    runners.push((inner, self.start(Work::Body(body), inner, true)));
                }
                self.part(waiter).what = What::Runners(runners);
            }
            What::Spawned(_) | What::Scope(..) | What::Runners(_) => unreachable!("it has begun"),
        }
    }

    fn start_shared(&mut self, shared: usize, scope: ScopeId) -> TaskId {
        match self.shared[shared] {
            Some(task) => task,
            None => {
                let body = &self.program.expect("it is there from the beginning").shared[shared];
                let inner = self.add_scope(Kind::Shared, Some(self.home_of_shared(scope)), None);
                let task = self.start(Work::Body(body), inner, true);
                self.shared[shared] = Some(task);
                task
            }
        }
    }

    fn start_scope(&mut self, waiter: Waiter, scope: ScopeId, work: Work<'a>) {
        let root = self.start(work, scope, true);
        self.part(waiter).what = What::Scope(scope, root);
    }

    fn join(&mut self, waiter: Waiter, task: TaskId) {
        self.part(waiter).what = What::Task(task);
        if self.tasks[task].has_ended {
            self.part(waiter).is_there = true;
        } else {
            self.tasks[task].waiters.push(waiter);
        }
    }

    fn wait_for_event(&mut self, waiter: Waiter, event: usize, deadline: Deadline) {
        if self.is_set[event] {
            self.part(waiter).is_there = true;
        } else {
            self.event_waiters[event].push(waiter);
            self.set_timer(deadline, Alarm::Settle(waiter));
        }
    }

    fn set_timer(&mut self, deadline: Deadline, alarm: Alarm) {
        // One that was up long ago is up now.
        if let Some(deadline) = deadline {
            self.timers.push(Timer { deadline: deadline.max(self.now), alarm });
        }
    }

    /// A part of what a task waits for is there, or has failed.
    fn settle(&mut self, waiter: Waiter) {
        let (task, _) = waiter;
        for waiters in &mut self.event_waiters {
            waiters.retain(|other| *other != waiter);
        }
        self.part(waiter).is_there = true;
        if self.part_failed(&self.tasks[task].wait.as_ref().expect("it waits").parts[waiter.1]).is_some()
            || self.is_all_there(task)
        {
            self.enqueue(task);
        }
    }

    /// The permit goes to whoever has waited longest.
    fn release(&mut self, semaphore: usize) {
        if self.permit_waiters[semaphore].is_empty() {
            self.free[semaphore] += 1;
        } else {
            let waiter = self.permit_waiters[semaphore].remove(0);
            self.part(waiter).what = What::Acquire(semaphore, true);
            self.settle(waiter);
        }
    }

    /// `task` does not wait any longer.
    fn give_up(&mut self, task: TaskId) {
        let Some(Waiting { parts, .. }) = self.tasks[task].wait.take() else { return };
        let is_not_it = |waiter: &Waiter| waiter.0 != task;
        self.timers.retain(|timer| !matches!(timer.alarm, Alarm::Settle(waiter) if waiter.0 == task));
        self.event_waiters.iter_mut().for_each(|waiters| waiters.retain(is_not_it));
        self.permit_waiters.iter_mut().for_each(|waiters| waiters.retain(is_not_it));
        self.tasks.iter_mut().for_each(|other| other.waiters.retain(is_not_it));
        for part in &parts {
            match &part.what {
                What::Acquire(semaphore, true) => self.release(*semaphore),
                What::Task(other) => self.give_up_shared(task, *other),
                What::Scope(scope, _) => self.disown(*scope),
                What::Runners(runners) => runners.iter().for_each(|(scope, _)| self.disown(*scope)),
                _ => {}
            }
        }
    }

    /// `task` no longer waits for `other`. A shared coroutine is cancelled when its last waiter gives up, unless it was spawned. The
    /// scope of that waiter ends after it.
    fn give_up_shared(&mut self, task: TaskId, other: TaskId) {
        let Task { scope, has_ended, .. } = self.tasks[other];
        let is_left = self.shared.contains(&Some(other)) && self.tasks[other].waiters.is_empty();
        if !is_left || has_ended || self.spawned.contains(&other) || self.scopes[scope].cancelled.is_some() {
            return;
        }
        let own = self.tasks[task].scope;
        if !self.ends_after(scope, own) {
            let placeholder = self.add_scope(Kind::Placeholder, Some(own), None);
            self.scopes[scope].placeholders.push(placeholder);
        }
        let why = self.scopes[own].cancelled.clone().unwrap_or_else(|| "dropped".to_string());
        self.cancel(scope, &why);
    }

    /// Whether `scope` ends only after `other`: that is inside of it, or something in it waits for that.
    fn ends_after(&self, scope: ScopeId, other: ScopeId) -> bool {
        let mut seen = Vec::new();
        let mut next = vec![other];
        while let Some(inner) = next.pop().filter(|inner| *inner != scope) {
            if !seen.contains(&inner) {
                seen.push(inner);
                next.extend(self.scopes[inner].parent);
                next.extend(self.scopes[inner].placeholders.iter().filter_map(|&held| self.scopes[held].parent));
            }
            if next.is_empty() {
                return false;
            }
        }
        true
    }

    /// Nobody waits for it any longer.
    fn disown(&mut self, scope: ScopeId) {
        self.scopes[scope].owner = None;
        if !self.scopes[scope].has_ended {
            self.cancel(scope, "dropped");
        }
    }

    // Ends.

    fn end_well(&mut self, task: TaskId) {
        if !self.is_nameless(task) {
            self.tasks[task].output = self.name(task);
        }
        self.drop_body(task, "ends");
        self.end(task, None);
    }

    fn fails(&mut self, task: TaskId, how: &str, failure: Failure) {
        self.drop_body(task, how);
        self.end(task, Some(failure));
    }

    fn panics(&mut self, task: TaskId) {
        self.drop_body(task, "panics");
        self.has_panicked = true;
        let name = self.name(task);
        let why = format!("failed {name}");
        self.cancel_shields(self.tasks[task].scope, ROOT, &why);
        let failure = self.failure(format!("`{name}` panicked"));
        self.stop(failure, &why);
        self.tasks[task].is_cancelled = true;
        let cancelled = self.cancellation(&why);
        self.end(task, Some(cancelled));
    }

    fn drop_body(&mut self, task: TaskId, how: &str) {
        self.give_up(task);
        for semaphore in std::mem::take(&mut self.tasks[task].permits) {
            self.release(semaphore);
        }
        self.log(task, how);
    }

    fn end(&mut self, task: TaskId, raised: Option<Failure>) {
        self.running = None;
        let Task { scope, is_root, .. } = self.tasks[task];
        let is_well = raised.is_none();
        self.judge(task, raised);
        self.tasks[task].has_ended = true;
        for waiter in std::mem::take(&mut self.tasks[task].waiters) {
            self.settle(waiter);
        }
        if is_root && is_well {
            self.root_finished(scope);
        }
        for held in self.tasks[task].holds.take().unwrap_or_default() {
            if self.tasks[held].is_deferred && !self.tasks[held].has_ended && !self.is_held(held) {
                self.tasks[held].is_deferred = false;
                self.cancelling.push_back(held);
            }
        }
        self.end_if_empty(scope);
    }

    /// Who is told of how `task` ended.
    fn judge(&mut self, task: TaskId, raised: Option<Failure>) {
        let Task { scope, is_cancelled, has_seen_it, .. } = self.tasks[task];
        let why = self.scopes[scope].cancelled.clone().filter(|_| is_cancelled);
        let domain = self.responsible_domain(scope);
        let nameless = self.is_nameless(task);
        match (raised, why) {
            (None, Some(why)) if has_seen_it && why != "timed out" && why != "raced" && !nameless => {
                let answer = self.failure(format!("{} answers", self.name(task)));
                self.add_other(domain, answer);
            }
            (None, _) => {}
            (Some(cancelled), Some(_)) if cancelled.is_cancelled => {
                let failure = self.scopes[domain].failure.clone();
                let has_failed = failure.is_some();
                self.tasks[task].error = Some(failure.unwrap_or_else(|| cancelled.clone()));
                if self.scopes[domain].kind == Kind::Domain(Grouping::Always) && has_failed && !nameless {
                    self.add_other(domain, cancelled);
                }
            }
            (Some(failure), _) => {
                self.tasks[task].error = Some(failure.clone());
                let why = format!("failed {}", self.name(task));
                self.cancel_shields(scope, domain, &why);
                match &self.scopes[domain].failure {
                    None => {
                        self.scopes[domain].failure = Some(failure);
                        self.cancel(domain, &why);
                    }
                    // What is behind a shield may have waited for what stops it all, and raises it.
                    Some(told) if failure.is_cancelled || told.id == failure.id => {}
                    Some(_) => self.add_other(domain, failure),
                }
            }
        }
    }

    fn add_other(&mut self, domain: ScopeId, failure: Failure) {
        let Scope { kind, others, .. } = &mut self.scopes[domain];
        if *kind != Kind::Domain(Grouping::Never) && others.iter().all(|told| told.id != failure.id) {
            others.push(failure);
        }
    }

    // Scopes.

    fn add_scope(&mut self, kind: Kind, parent: Option<ScopeId>, owner: Option<Waiter>) -> ScopeId {
        self.scopes.push(Scope {
            kind,
            parent,
            owner,
            cancelled: None,
            failure: None,
            others: Vec::new(),
            has_ended: false,
            race: None,
            has_won: false,
            placeholders: Vec::new(),
        });
        self.scopes.len() - 1
    }

    fn is_domain(&self, scope: ScopeId) -> bool {
        matches!(self.scopes[scope].kind, Kind::Domain(_))
    }

    fn tasks_in(&self, scope: ScopeId) -> Vec<TaskId> {
        (0..self.tasks.len()).filter(|&task| self.tasks[task].scope == scope && !self.tasks[task].has_ended).collect()
    }

    fn scopes_in(&self, scope: ScopeId) -> Vec<ScopeId> {
        let is_in = |other: &ScopeId| self.scopes[*other].parent == Some(scope) && !self.scopes[*other].has_ended;
        (0..self.scopes.len()).filter(is_in).collect()
    }

    /// Where shared coroutines run that are started in `scope`: in the nearest domain, or in a shield that is nearer.
    fn home_of_shared(&self, scope: ScopeId) -> ScopeId {
        match self.scopes[scope].parent {
            Some(parent) if !self.is_domain(scope) && self.scopes[scope].kind != Kind::Shield => {
                self.home_of_shared(parent)
            }
            _ => scope,
        }
    }

    /// The scope in which an error raised in `scope` stops. A domain that is cancelled from outside has nobody to tell.
    fn responsible_domain(&self, scope: ScopeId) -> ScopeId {
        let Scope { parent, failure, cancelled, .. } = &self.scopes[scope];
        let is_it = self.is_domain(scope) && (failure.is_some() || cancelled.is_none());
        match parent {
            Some(parent) if !is_it => self.responsible_domain(*parent),
            _ => scope,
        }
    }

    /// The first task of `scope` has ended well: what it left in the background goes on above.
    fn root_finished(&mut self, scope: ScopeId) {
        if self.is_domain(scope) || self.scopes[scope].has_ended || self.scopes[scope].cancelled.is_some() {
            return;
        }
        let parent = self.scopes[scope].parent.expect("the root is a domain");
        let (tasks, scopes) = (self.tasks_in(scope), self.scopes_in(scope));
        for &task in &tasks {
            self.tasks[task].is_root = false;
            self.tasks[task].scope = parent;
        }
        for &below in &scopes {
            let is_shared = self.scopes[below].kind == Kind::Shared;
            self.scopes[below].parent = Some(if is_shared { self.home_of_shared(parent) } else { parent });
        }
        self.end_scope(scope, true);
        let is_left = !tasks.is_empty() || !scopes.is_empty();
        if let Some(why) = self.scopes[parent].cancelled.clone().filter(|_| is_left) {
            // A shared coroutine may have moved further up.
            let is_shared = |scope: &ScopeId| self.scopes[*scope].kind == Kind::Shared;
            let shared: Vec<_> = scopes.into_iter().filter(is_shared).collect();
            self.cancel_all(shared.into_iter().chain([parent]).collect(), &why);
        }
        self.end_if_empty(parent);
    }

    fn end_if_empty(&mut self, scope: ScopeId) {
        if self.scopes[scope].has_ended || !self.tasks_in(scope).is_empty() || !self.scopes_in(scope).is_empty() {
            return;
        }
        self.end_scope(scope, false);
        if let Some(parent) = self.scopes[scope].parent {
            self.end_if_empty(parent);
        }
    }

    fn end_scope(&mut self, scope: ScopeId, is_well: bool) {
        self.scopes[scope].has_ended = true;
        for placeholder in std::mem::take(&mut self.scopes[scope].placeholders) {
            self.end_if_empty(placeholder);
        }
        let owner = self.scopes[scope].owner;
        if self.scopes[scope].race.is_some() {
            let race: Vec<_> =
                (0..self.scopes.len()).filter(|&other| self.scopes[other].race == self.scopes[scope].race).collect();
            if is_well && race.iter().all(|&other| !self.scopes[other].has_won) {
                self.scopes[scope].has_won = true;
                for &loser in race.iter().rev() {
                    if !self.scopes[loser].has_ended {
                        self.cancel(loser, "raced");
                    }
                }
            }
            if race.iter().any(|&other| !self.scopes[other].has_ended) {
                return;
            }
        }
        if let Some(owner) = owner {
            self.settle(owner);
        }
    }

    // Cancelling.

    /// Cancels all that is in `scope` and below, but for what is behind shields: last started first.
    fn cancel(&mut self, scope: ScopeId, why: &str) {
        self.cancel_all(vec![scope], why);
    }

    fn cancel_all(&mut self, mut scopes: Vec<ScopeId>, why: &str) {
        let mut tasks = Vec::new();
        let mut shielded = Vec::new();
        while let Some(scope) = scopes.pop() {
            self.scopes[scope].cancelled.get_or_insert(why.to_string());
            tasks.extend(self.tasks_in(scope));
            for below in self.scopes_in(scope) {
                match self.scopes[below].kind {
                    Kind::Shield => shielded.extend(self.tasks_in(below)),
                    _ => scopes.push(below),
                }
            }
        }
        for task in shielded {
            self.hold_those_waiting_for(task);
        }
        tasks.retain(|&task| !self.tasks[task].is_cancelled);
        tasks.sort();
        for &task in tasks.iter().rev() {
            self.tasks[task].is_cancelled = true;
            self.cancelling.push_back(task);
        }
    }

    /// What failed in `scope` is inside of the shields between there and `domain`.
    fn cancel_shields(&mut self, scope: ScopeId, domain: ScopeId, why: &str) {
        if scope != domain {
            if self.scopes[scope].kind == Kind::Shield {
                self.cancel(scope, why);
            }
            self.cancel_shields(self.scopes[scope].parent.expect("the domain is above"), domain, why);
        }
    }

    fn cancelling_turn(&mut self, task: TaskId) {
        if self.tasks[task].has_ended {
            return;
        }
        if !self.tasks[task].has_begun {
            let why = self.scopes[self.tasks[task].scope].cancelled.clone().expect("its scope was cancelled");
            let cancelled = self.cancellation(&why);
            return self.end(task, Some(cancelled));
        }
        if self.tasks[task].wait.as_ref().is_some_and(|wait| wait.is_shield) {
            // It will see it at its next wait.
        } else if self.is_held(task) {
            self.tasks[task].is_deferred = true;
        } else {
            self.turn(task);
        }
        if !self.tasks[task].has_ended {
            self.hold_those_waiting_for(task);
        }
    }

    fn is_held(&self, task: TaskId) -> bool {
        self.tasks.iter().any(|other| other.holds.as_ref().is_some_and(|held| held.contains(&task)))
    }

    /// `task` has outlived its cancellation. Who waits for it, and whose scopes it is in, is cancelled when it has ended.
    fn hold_those_waiting_for(&mut self, task: TaskId) {
        if self.tasks[task].holds.is_some() {
            return;
        }
        let mut held = self.waiting(task);
        let mut scope = Some(self.tasks[task].scope);
        while let Some(inner) = scope {
            held.extend(self.scopes[inner].owner.map(|owner| owner.0));
            scope = self.scopes[inner].parent;
        }
        held.retain(|&other| other < task && !self.tasks[other].has_ended);
        if !held.is_empty() {
            self.tasks[task].holds = Some(held);
        }
    }

    fn waiting(&self, task: TaskId) -> Vec<TaskId> {
        self.tasks[task].waiters.iter().map(|waiter| waiter.0).collect()
    }
}

impl From<SomeLeaf> for What<'_> {
    fn from(leaf: SomeLeaf) -> Self {
        match leaf {
            SomeLeaf::Sleep(deadline) => What::Sleep(deadline),
            SomeLeaf::Event(event) => What::Event(event),
            SomeLeaf::EventTimeout(event, deadline) => What::EventTimeout(event, deadline, false),
        }
    }
}
