//! The sweep: a program that uses everything there is, stopped at each of its steps in each way there is.
//!
//! After each: every value, capture and body is dropped, every thread has ended, nothing is held, and the error tells the truth.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};

use common::{Alive, Gate, LONG, Token, ms};
use tinyield::{
    Coro, Grouping, Loop, LoopError, Reason, Shared, Step, StopHandle, catch, co, coro, isolate, race, run_in_thread,
    shield, sleep, spawn, thread, timeout,
};

/// How the program is stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Not,
    Raise,
    Panic,
    Stop,
    Drop,
}

/// Counts the places at which the program passes, and does what is to be done at the chosen one.
#[derive(Clone)]
struct World {
    at: Rc<Cell<usize>>,
    chosen: usize,
    way: Way,
    stop: StopHandle,
    alive: Alive,
    threads: Arc<AtomicIsize>,
    cleaned: Rc<RefCell<Vec<Reason>>>,
}

impl World {
    fn token(&self) -> Token {
        self.alive.token()
    }

    /// A place at which the program can be stopped.
    fn here(&self) -> Result<Token, String> {
        let at = self.at.get();
        self.at.set(at + 1);
        if at == self.chosen {
            match self.way {
                Way::Raise => return Err(format!("raised at {at}")),
                Way::Panic => panic!("panicked at {at}"),
                Way::Stop => self.stop.stop(),
                Way::Not | Way::Drop => {}
            }
        }
        Ok(self.token())
    }
}

/// A leaf that works for some turns.
#[coro]
fn works(world: World, turns: u32) -> Coro<(u32, Token)> {
    let _held = world.here()?;
    for _ in 0..turns {
        yield;
        world.here()?;
    }
    (turns, world.token())
}

#[coro]
fn in_thread(world: World, _argument: Token) -> Coro<u32> {
    world.here()?;
    let threads = world.threads.clone();
    let value = yield run_in_thread(move || {
        threads.fetch_add(1, SeqCst);
        let ended = common::OnDrop(|| {
            threads.fetch_sub(1, SeqCst);
        });
        let told = thread::checkpoint();
        drop(ended);
        told.map(|()| 3)
    })
    .raise();
    world.here()?;
    value
}

/// Cleans up, behind a shield, when it is cancelled.
#[coro]
fn polite(world: World) -> Coro<()> {
    let _held = world.here()?;
    if let Err(error) = yield catch(co! { yield sleep(LONG); }) {
        let reason = error.as_cancelled().expect("it is cancelled").reason();
        let inner = world.clone();
        yield shield(co! {
            let _held = inner.token();
            yield sleep(ms(0));
            yield;
        });
        world.cleaned.borrow_mut().push(reason);
        Err(error)?;
    }
}

#[coro]
fn side(world: World, shared: Shared<(u32, Token)>) -> Coro<u32> {
    let _held = world.here()?;
    let (value, _token) = yield shared;
    world.here()?;
    value * 2
}

/// A future that is woken once.
async fn future(world: World) -> Token {
    let held = world.token();
    let mut woken = false;
    std::future::poll_fn(|context| {
        if woken {
            return std::task::Poll::Ready(());
        }
        woken = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
    held
}

#[coro]
fn program(world: World) -> Coro<u32> {
    let w = &|| world.clone();
    let _held = world.here()?;
    // The background.
    let background = yield spawn([works(w(), 9), works(w(), 1)]);
    yield spawn(co_in_domain(w()));
    world.here()?;
    // A gather, nested; a diamond.
    let shared = works(w(), 2).shared();
    let (((a, _), bs), c) =
        yield ((works(w(), 1), vec![side(w(), shared.clone()), side(w(), shared.clone())]), &shared);
    world.here()?;
    // Threads.
    let threads = yield (in_thread(w(), w().token()), in_thread(w(), w().token()));
    world.here()?;
    // Sleeping.
    yield (sleep(ms(1)), sleep(ms(0)));
    world.here()?;
    // A domain that is well, and one that is not.
    let (well, _) = (yield isolate(works(w(), 1)))?;
    assert_eq!(well, 1);
    world.here()?;
    let bad = yield isolate(co_fails(w())).grouping(Grouping::Always);
    let bad = bad.expect_err("it always fails");
    assert!(bad.to_string() == "inside" || world.way == Way::Raise, "{bad:?}");
    if bad.to_string() != "inside" {
        Err(bad)?;
    }
    world.here()?;
    // A timeout that fires, and one that does not.
    assert!((yield timeout((polite(w()), works(w(), 3)), ms(1))).is_err());
    world.here()?;
    let (in_time, _) = (yield timeout(works(w(), 2), LONG)).expect("it is in time");
    world.here()?;
    // A race with a loser that cleans up, and a winner that leaves something in the background.
    let raced = yield race([co_loses(w()), co_wins(w())]);
    world.here()?;
    // A shield; foreign futures.
    let ((shielded, _), _) = yield (shield(works(w(), 2)), co_awaits(w()));
    world.here()?;
    future(w()).await;
    world.here()?;
    let [(first, _), _] = yield background;
    world.here()?;
    a + bs.iter().sum::<u32>() + c.0 + threads.0 + threads.1 + in_time + raced + shielded + first
}

#[coro]
fn co_in_domain(world: World) -> Coro<()> {
    let _held = world.here()?;
    let result = yield isolate(in_thread(world.clone(), world.token()));
    world.here()?;
    result?;
}

#[coro]
fn co_fails(world: World) -> Coro<()> {
    yield spawn(polite(world.clone()));
    yield (works(world.clone(), 5), in_thread(world.clone(), world.token()), co! { yield; Err("inside")?; });
}

#[coro]
fn co_loses(world: World) -> Coro<u32> {
    world.here()?;
    yield polite(world);
    0
}

#[coro]
fn co_wins(world: World) -> Coro<u32> {
    yield spawn(works(world.clone(), 3));
    (yield works(world, 1)).0
}

#[coro]
fn co_awaits(world: World) -> Coro<Token> {
    let held = world.here()?;
    let gate = Gate::new();
    let opener = gate.clone();
    std::thread::spawn(move || opener.open());
    gate.await;
    world.here()?;
    future(world).await;
    held
}

const VALUE: u32 = 1 + 2 * 4 + 2 + 3 + 3 + 2 + 1 + 2 + 9;

struct Outcome {
    places: usize,
    steps: usize,
    result: Option<std::thread::Result<Result<u32, LoopError>>>,
    cleaned: Vec<Reason>,
}

/// Runs the program, and stops it at the chosen place, or, to drop it, at the chosen step. Then nothing is left of it.
fn run(chosen: usize, way: Way) -> Outcome {
    let mut event_loop = Loop::new();
    let world = World {
        at: Rc::default(),
        chosen,
        way,
        stop: event_loop.stop_handle(),
        alive: Alive::new(),
        threads: Arc::default(),
        cleaned: Rc::default(),
    };
    let mut runtime = event_loop.runtime(program(world.clone()));
    let mut steps = 0;
    let result = loop {
        if way == Way::Drop && steps == chosen {
            break None;
        }
        match catch_unwind(AssertUnwindSafe(|| runtime.step())) {
            Err(payload) => break Some(Err(payload)),
            Ok(Step::Ran) => steps += 1,
            Ok(Step::Idle(idle)) => idle.wait(),
            Ok(Step::Done(result)) => break Some(Ok(result)),
        }
    };
    drop(runtime);
    assert_eq!(world.alive.get(), 0, "{way:?} at {chosen}: not everything was dropped");
    assert_eq!(world.threads.load(SeqCst), 0, "{way:?} at {chosen}: a thread is still at work");
    assert_eq!(Rc::strong_count(&world.at), 1, "{way:?} at {chosen}: something still holds the world");
    // The loop is as good as new.
    assert_eq!(event_loop.run(co! { yield; 1 }).unwrap(), 1);
    Outcome { places: world.at.get(), steps, result, cleaned: world.cleaned.take() }
}

fn runs_well() -> Outcome {
    let outcome = run(usize::MAX, Way::Not);
    assert_eq!(outcome.result.as_ref().expect("it ended").as_ref().unwrap().as_ref().unwrap(), &VALUE);
    // In the domain that fails, in the timeout that fires, in the race that is lost.
    let mut cleaned = outcome.cleaned.clone();
    assert!(matches!(cleaned.remove(0), Reason::Failed { .. }));
    assert_eq!(cleaned, [Reason::TimedOut, Reason::Raced]);
    outcome
}

/// Does it at each place that the program passes; how often it had an effect.
fn sweep(way: Way, mut check: impl FnMut(usize, Outcome)) -> usize {
    let places = runs_well().places;
    assert!(places > 50, "{places}");
    for chosen in 0..places {
        let outcome = run(chosen, way);
        // Threads and timers make for some more places, or some less.
        if outcome.places > chosen {
            check(chosen, outcome);
        }
    }
    println!("{way:?}: {places} places");
    places
}

#[test]
fn raising_at_every_place() {
    sweep(Way::Raise, |chosen, outcome| {
        let message = format!("raised at {chosen}");
        let error = match outcome.result.unwrap().unwrap() {
            Err(error) => error,
            // It was in a domain that failed first, or that was being cancelled.
            Ok(value) => panic!("at {chosen} it gave {value}"),
        };
        assert_eq!(error.to_string(), message, "{error:?}");
        assert!(error.others().is_empty(), "{error:?}");
        let trace = error.error().trace();
        assert!(!trace.is_empty(), "{error:?}");
        for reason in outcome.cleaned {
            assert!(!matches!(reason, Reason::Stopped | Reason::Dropped), "{reason:?}");
        }
    });
}

#[test]
fn panicking_at_every_place() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().downcast_ref::<String>().is_some_and(|text| text.starts_with("panicked at ")) {
            quiet(info);
        }
    }));
    sweep(Way::Panic, |chosen, outcome| {
        let payload = outcome.result.unwrap().expect_err("a panic");
        assert_eq!(common::text_of(payload), format!("panicked at {chosen}"));
        for reason in outcome.cleaned {
            assert!(!matches!(reason, Reason::Stopped | Reason::Dropped), "{reason:?}");
        }
    });
}

#[test]
fn stopping_at_every_place() {
    let mut stopped = 0;
    let places = sweep(Way::Stop, |chosen, outcome| {
        match outcome.result.unwrap().unwrap() {
            Err(error) => {
                assert!(error.is_stopped(), "at {chosen}: {error:?}");
                assert!(error.others().is_empty(), "at {chosen}: {error:?}");
                stopped += 1;
            }
            // Told to stop in its last turns: it had ended.
            Ok(value) => assert_eq!(value, VALUE),
        }
    });
    assert!(stopped + 2 >= places, "{stopped} of {places}");
}

#[test]
fn dropping_the_runtime_at_every_step() {
    let steps = runs_well().steps;
    for chosen in 0..steps {
        let outcome = run(chosen, Way::Drop);
        assert!(outcome.result.is_none_or(|result| result.unwrap().unwrap() == VALUE));
    }
    println!("Drop: {steps} steps");
    assert!(steps > 80, "{steps}");
}

#[test]
fn asking_to_stop_before_every_step() {
    // From outside, at every step and not only where the program looks.
    let steps = runs_well().steps;
    let mut stopped = 0;
    for chosen in 0..steps {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let world = World {
            at: Rc::default(),
            chosen: usize::MAX,
            way: Way::Not,
            stop: stop.clone(),
            alive: Alive::new(),
            threads: Arc::default(),
            cleaned: Rc::default(),
        };
        let mut runtime = event_loop.runtime(program(world.clone()));
        let mut steps = 0;
        let result = loop {
            if steps == chosen {
                stop.stop();
            }
            match runtime.step() {
                Step::Ran => steps += 1,
                Step::Idle(idle) => idle.wait(),
                Step::Done(result) => break result,
            }
        };
        drop(runtime);
        assert_eq!(world.alive.get(), 0);
        assert_eq!(world.threads.load(SeqCst), 0);
        match result {
            Ok(value) => assert_eq!(value, VALUE),
            Err(error) => {
                assert!(error.is_stopped() && error.others().is_empty(), "{error:?}");
                stopped += 1;
            }
        }
    }
    println!("Stop from outside: {steps} steps, of which {stopped} stopped it");
    assert!(stopped + 5 >= steps, "{stopped} of {steps}");
}
