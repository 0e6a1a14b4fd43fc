//! One program that uses every operation. The program is stopped at each of its places, in every possible way.
//!
//! After each run, every value, capture and body is dropped, every thread has ended, the loop can run again, and the
//! error is the right one.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};

use common::{Alive, Gate, LONG, OnDrop, Token, ms, run_steps, silence_panics, text_of, wakes_itself};
use tinyield::{
    Coro, Grouping, Loop, LoopError, Reason, Runtime, Shared, StopHandle, catch, co, coro, isolate, race,
    run_in_thread, shield, sleep, spawn, thread, timeout,
};

/// How the program is stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// The program is not stopped.
    Not,
    Raise,
    Panic,
    Stop,
    Drop,
}

/// Counts the places that the program passes, and stops it at the chosen one.
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
    fn new(chosen: usize, way: Way, stop: StopHandle) -> World {
        World {
            at: Rc::default(),
            chosen,
            way,
            stop,
            alive: Alive::new(),
            threads: Arc::default(),
            cleaned: Rc::default(),
        }
    }

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

/// Takes some turns.
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
        let ended = OnDrop(|| {
            threads.fetch_sub(1, SeqCst);
        });
        let checked = thread::checkpoint();
        drop(ended);
        checked.map(|()| 3)
    })
    .raise();
    world.here()?;
    value
}

/// Cleans up behind a shield when it is cancelled, and notes the reason.
#[coro]
fn polite(world: World) -> Coro<()> {
    let _held = world.here()?;
    if let Err(error) = yield catch(co! { yield sleep(LONG); }) {
        let reason = error.as_cancelled().expect("only a cancellation ends the sleep").reason();
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
    wakes_itself(1).await;
    held
}

#[coro]
fn program(world: World) -> Coro<u32> {
    let w = &|| world.clone();
    let _held = world.here()?;
    // Coroutines in the background.
    let background = yield spawn([works(w(), 9), works(w(), 1)]);
    yield spawn(thread_in_domain(w()));
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
    // A domain that succeeds, and one that fails.
    let (value, _) = (yield isolate(works(w(), 1)))?;
    assert_eq!(value, 1);
    world.here()?;
    let failed = yield isolate(domain_fails(w())).grouping(Grouping::Always);
    let error = failed.expect_err("the domain always fails");
    assert!(error.to_string() == "inside" || world.way == Way::Raise, "{error:?}");
    if error.to_string() != "inside" {
        Err(error)?;
    }
    world.here()?;
    // A timeout that fires, and one that does not.
    assert!((yield timeout((polite(w()), works(w(), 3)), ms(1))).is_err());
    world.here()?;
    let (in_time, _) = (yield timeout(works(w(), 2), LONG)).expect("it ends in time");
    world.here()?;
    // A race with a loser that cleans up, and a winner that leaves something in the background.
    let raced = yield race([loses(w()), wins(w())]);
    world.here()?;
    // A shield; foreign futures.
    let ((shielded, _), _) = yield (shield(works(w(), 2)), awaits_thread(w()));
    world.here()?;
    future(w()).await;
    world.here()?;
    let [(first, _), _] = yield background;
    world.here()?;
    a + bs.iter().sum::<u32>() + c.0 + threads.0 + threads.1 + in_time + raced + shielded + first
}

#[coro]
fn thread_in_domain(world: World) -> Coro<()> {
    let _held = world.here()?;
    let result = yield isolate(in_thread(world.clone(), world.token()));
    world.here()?;
    result?;
}

#[coro]
fn domain_fails(world: World) -> Coro<()> {
    yield spawn(polite(world.clone()));
    yield (works(world.clone(), 5), in_thread(world.clone(), world.token()), co! { yield; Err("inside")?; });
}

#[coro]
fn loses(world: World) -> Coro<u32> {
    world.here()?;
    yield polite(world);
    0
}

#[coro]
fn wins(world: World) -> Coro<u32> {
    yield spawn(works(world.clone(), 3));
    (yield works(world, 1)).0
}

#[coro]
fn awaits_thread(world: World) -> Coro<Token> {
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
    /// The number of places passed.
    places: usize,
    steps: usize,
    /// `None` if the runtime was dropped. The outer error is the payload of a panic.
    result: Option<std::thread::Result<Result<u32, LoopError>>>,
    /// The reasons for which coroutines cleaned up.
    cleaned: Vec<Reason>,
}

/// Runs the program, and stops it at the chosen place, or drops it at the chosen step. Asserts that nothing is left of
/// it.
fn run(chosen: usize, way: Way) -> Outcome {
    let mut event_loop = Loop::new();
    let world = World::new(chosen, way, event_loop.stop_handle());
    let mut runtime = event_loop.runtime(program(world.clone()));
    let (steps, result) = run_steps(&mut runtime, |steps| way != Way::Drop || steps != chosen);
    let places = drop_run(runtime, &world);
    assert_eq!(Rc::strong_count(&world.at), 1, "{way:?} at {chosen}: something still holds the world");
    assert_eq!(event_loop.run(co! { yield; 1 }).unwrap(), 1);
    Outcome { places, steps, result, cleaned: world.cleaned.take() }
}

/// Drops the runtime, and asserts that nothing is left. Returns the number of places passed.
fn drop_run(runtime: Runtime<'_, u32>, world: &World) -> usize {
    let (way, chosen) = (world.way, world.chosen);
    drop(runtime);
    assert_eq!(world.alive.get(), 0, "{way:?} at {chosen}: a token is alive");
    assert_eq!(world.threads.load(SeqCst), 0, "{way:?} at {chosen}: a thread still runs");
    world.at.get()
}

/// A run that is not stopped.
fn run_to_end() -> Outcome {
    let outcome = run(usize::MAX, Way::Not);
    assert_eq!(outcome.result.as_ref().expect("the run was not dropped").as_ref().unwrap().as_ref().unwrap(), &VALUE);
    // Coroutines clean up in the domain that fails, in the timeout that fires, and in the race.
    let mut cleaned = outcome.cleaned.clone();
    assert!(matches!(cleaned.remove(0), Reason::Failed { .. }));
    assert_eq!(cleaned, [Reason::TimedOut, Reason::Raced]);
    outcome
}

/// Runs the program once for each place, stops it there, and checks the outcome. Returns the number of places.
fn sweep(way: Way, mut check: impl FnMut(usize, Outcome)) -> usize {
    let places = run_to_end().places;
    assert!(places > 50, "{places}");
    for chosen in 0..places {
        let outcome = run(chosen, way);
        // Threads and timers may make the number of places a little smaller.
        if outcome.places > chosen {
            check(chosen, outcome);
        }
    }
    println!("{way:?}: {places} places");
    places
}

#[test]
fn program_that_raises_at_any_place_cleans_up_and_gives_that_error() {
    sweep(Way::Raise, |chosen, outcome| {
        let message = format!("raised at {chosen}");
        let error = match outcome.result.unwrap().unwrap() {
            Err(error) => error,
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
fn program_that_panics_at_any_place_cleans_up_and_gives_that_payload() {
    silence_panics("panicked at ");
    sweep(Way::Panic, |chosen, outcome| {
        let payload = outcome.result.unwrap().expect_err("a panic");
        assert_eq!(text_of(payload), format!("panicked at {chosen}"));
        for reason in outcome.cleaned {
            assert!(!matches!(reason, Reason::Stopped | Reason::Dropped), "{reason:?}");
        }
    });
}

#[test]
fn program_that_stops_the_loop_at_any_place_cleans_up() {
    let mut stopped = 0;
    let places = sweep(Way::Stop, |chosen, outcome| {
        match outcome.result.unwrap().unwrap() {
            Err(error) => {
                assert!(error.is_stopped(), "at {chosen}: {error:?}");
                assert!(error.others().is_empty(), "at {chosen}: {error:?}");
                stopped += 1;
            }
            // It was stopped in its last turns, when all had ended.
            Ok(value) => assert_eq!(value, VALUE),
        }
    });
    assert!(stopped + 2 >= places, "{stopped} of {places}");
}

#[test]
fn program_dropped_after_any_step_cleans_up() {
    let steps = run_to_end().steps;
    for chosen in 0..steps {
        let outcome = run(chosen, Way::Drop);
        assert!(outcome.result.is_none_or(|result| result.unwrap().unwrap() == VALUE));
    }
    println!("Drop: {steps} steps");
    assert!(steps > 80, "{steps}");
}

#[test]
fn program_stopped_from_outside_before_any_step_cleans_up() {
    let steps = run_to_end().steps;
    let mut stopped = 0;
    for chosen in 0..steps {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let world = World::new(usize::MAX, Way::Not, stop.clone());
        let mut runtime = event_loop.runtime(program(world.clone()));
        let before = |steps| {
            if steps == chosen {
                stop.stop();
            }
            true
        };
        let (_, result) = run_steps(&mut runtime, before);
        drop_run(runtime, &world);
        match result.expect("the run was not dropped").unwrap() {
            Ok(value) => assert_eq!(value, VALUE),
            Err(error) => {
                assert!(error.is_stopped() && error.others().is_empty(), "{error:?}");
                stopped += 1;
            }
        }
    }
    println!("stop from outside: {stopped} of {steps} steps stopped it");
    assert!(stopped + 5 >= steps, "{stopped} of {steps}");
}
