//! Random programs of all operations, each stopped at a random place in a random way.
//!
//! After each run, every value, capture and body is dropped. Every coroutine that has begun has ended, and so has every
//! thread. The loop can run again, and the error is the right one.
#![feature(coroutines)]

mod common;
#[path = "common/random.rs"]
mod random;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::{Arc, Once};
use std::time::Duration;

use common::{Alive, LONG, Token, ms, run_steps, silence_panics, text_of, wakes_itself};
use proptest::prelude::*;
use random::with_fixed_seed;
use tinyield::{
    Coro, Deadlock, Error, Event, Grouping, Loop, LoopError, Panic, Semaphore, Shared, StopHandle, abortable,
    as_completed, bracket, catch, co, finally, isolate, race, run_in_thread, shield, sleep, spawn, stream, timeout,
};

/// A program.
#[derive(Clone, Debug)]
enum Node {
    Turns(u8),
    Nap,
    Thread,
    Future,
    Gather(Vec<Node>),
    Sequence(Vec<Node>),
    Spawn(Box<Node>),
    SpawnAndWait(Box<Node>),
    Isolate(Box<Node>),
    /// The flag says whether the timeout fires.
    Timeout(Box<Node>, bool),
    Race(Vec<Node>),
    Shield(Box<Node>),
    /// Waits for a shared coroutine.
    Shared(u8),
    /// Cleans up behind a shield when it is cancelled.
    Polite(Box<Node>),
    /// Holds a permit while the inner program runs.
    Permit(Box<Node>),
    /// Fails in a domain, which is caught.
    FailsInside(Box<Node>),
    NestedLoop(Box<Node>),
    /// A race of a permit against a sleep or an event that is never set.
    RaceLeaves(bool),
    /// Work that is aborted after this number of turns.
    Abortable(Box<Node>, u8),
    /// Counts the bodies that have begun, and the cleanups that have ended.
    Finally(Box<Node>),
    /// Counts the opened and the closed resources.
    Bracket(Box<Node>),
    /// A stream, with the number of values that are read before it is dropped.
    Stream(Box<Node>, u8),
    /// In a domain that contains panics, too.
    Contained(Box<Node>),
    /// Starts at most two of them at a time.
    Limited(Vec<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        4 => (0u8..5).prop_map(Node::Turns),
        1 => Just(Node::Nap),
        1 => Just(Node::Thread),
        2 => Just(Node::Future),
        2 => (0u8..3).prop_map(Node::Shared),
        1 => any::<bool>().prop_map(Node::RaceLeaves),
    ];
    leaf.prop_recursive(5, 30, 4, |inner| {
        let many = prop::collection::vec(inner.clone(), 1..4);
        let one = inner.prop_map(Box::new);
        prop_oneof![
            2 => many.clone().prop_map(Node::Gather),
            2 => many.clone().prop_map(Node::Sequence),
            1 => one.clone().prop_map(Node::Spawn),
            1 => one.clone().prop_map(Node::SpawnAndWait),
            1 => one.clone().prop_map(Node::Isolate),
            2 => (one.clone(), any::<bool>()).prop_map(|(node, fires)| Node::Timeout(node, fires)),
            2 => many.clone().prop_map(Node::Race),
            1 => many.prop_map(Node::Limited),
            1 => (one.clone(), 0u8..6).prop_map(|(node, turns)| Node::Abortable(node, turns)),
            2 => one.clone().prop_map(Node::Finally),
            1 => one.clone().prop_map(Node::Bracket),
            1 => (one.clone(), 0u8..5).prop_map(|(node, read)| Node::Stream(node, read)),
            1 => one.clone().prop_map(Node::Contained),
            1 => one.clone().prop_map(Node::Shield),
            1 => one.clone().prop_map(Node::Polite),
            1 => one.clone().prop_map(Node::Permit),
            1 => one.clone().prop_map(Node::FailsInside),
            1 => one.prop_map(Node::NestedLoop),
        ]
    })
}

/// How the program is stopped.
#[derive(Clone, Copy, Debug)]
enum Way {
    Not,
    Raise,
    Panic,
    Stop,
    Drop,
    /// Raises, and panics in a destructor while the loop stops.
    RaiseThenPanicInDestructor,
}

fn way() -> impl Strategy<Value = Way> {
    use Way::*;
    prop_oneof![Just(Not), Just(Raise), Just(Panic), Just(Stop), Just(Drop), Just(RaiseThenPanicInDestructor)]
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
    shared: Rc<RefCell<Vec<Shared<Token>>>>,
    semaphore: Semaphore,
    /// The chosen place was passed.
    is_done: Rc<Cell<bool>>,
    /// This part of the program is in a domain, which gives an error as a value. A coroutine that is cancelled may
    /// never see it.
    is_contained: bool,
    /// The chosen place was in such a part.
    is_done_contained: Rc<Cell<bool>>,
    /// The numbers of the coroutines that have begun and not ended.
    begun: Rc<RefCell<Vec<usize>>>,
    /// The number of `finally` bodies that have begun and of resources that were opened, minus the number of cleanups that have ended.
    uncleaned: Rc<Cell<isize>>,
    /// A part of the program contains panics.
    contains_panics: Rc<Cell<bool>>,
    next_number: Rc<Cell<usize>>,
}

const RAISED: &str = "raised on purpose";
const PANICKED: &str = "panicked on purpose";

impl World {
    fn new(chosen: usize, way: Way, stop: StopHandle) -> World {
        World {
            at: Rc::default(),
            chosen,
            way,
            stop,
            alive: Alive::new(),
            threads: Arc::default(),
            shared: Rc::default(),
            semaphore: Semaphore::new(2),
            is_done: Rc::default(),
            is_contained: false,
            is_done_contained: Rc::default(),
            begun: Rc::default(),
            uncleaned: Rc::default(),
            contains_panics: Rc::default(),
            next_number: Rc::default(),
        }
    }

    /// A place at which the program can be stopped.
    fn here(&self) -> Result<(), &'static str> {
        let at = self.at.get();
        self.at.set(at + 1);
        if at != self.chosen {
            return Ok(());
        }
        match self.way {
            Way::Raise | Way::RaiseThenPanicInDestructor => {
                self.is_done.set(true);
                self.is_done_contained.set(self.is_contained);
                Err(RAISED)
            }
            Way::Panic => {
                self.is_done.set(true);
                panic!("{PANICKED}")
            }
            Way::Stop => {
                self.is_done.set(true);
                self.stop.stop();
                Ok(())
            }
            Way::Not | Way::Drop => Ok(()),
        }
    }

    fn contained(&self) -> World {
        World { is_contained: true, ..self.clone() }
    }

    fn begin(&self) -> Begun {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        self.begun.borrow_mut().push(number);
        Begun(self.clone(), number, self.alive.token())
    }
}

/// A local variable of a coroutine that has begun.
struct Begun(World, usize, #[allow(dead_code)] Token);

impl Drop for Begun {
    fn drop(&mut self) {
        let World { begun, way, is_done, at, chosen, .. } = &self.0;
        begun.borrow_mut().retain(|number| *number != self.1);
        if matches!(way, Way::RaiseThenPanicInDestructor)
            && is_done.get()
            && at.get() > *chosen
            && !std::thread::panicking()
        {
            at.set(0);
            panic!("{PANICKED}");
        }
    }
}

/// The coroutine that does what `node` says.
fn build(node: &Node, world: &World) -> Coro<Token> {
    let (node, w) = (node.clone(), world.clone());
    co! {
        let _begun = w.begin();
        w.here()?;
        match node {
            Node::Turns(turns) => {
                for _ in 0..turns {
                    yield;
                    w.here()?;
                }
            }
            Node::Nap => yield sleep(Duration::from_micros(50)),
            Node::Thread => {
                let threads = w.threads.clone();
                let work = run_in_thread(move || {
                    threads.fetch_add(1, SeqCst);
                    std::thread::yield_now();
                    threads.fetch_sub(1, SeqCst);
                });
                yield work;
            }
            Node::Future => {
                let held = w.alive.token();
                wakes_itself(2).await;
                drop(held);
            }
            Node::Gather(nodes) => {
                let all: Vec<_> = nodes.iter().map(|node| build(node, &w)).collect();
                drop(yield all);
            }
            Node::Sequence(nodes) => {
                for node in &nodes {
                    yield build(node, &w);
                    w.here()?;
                }
            }
            Node::Spawn(node) => drop(yield spawn(build(&node, &w))),
            Node::SpawnAndWait(node) => {
                let handle = yield spawn(build(&node, &w));
                w.here()?;
                yield handle;
            }
            Node::Isolate(node) => drop((yield isolate(build(&node, &w.contained())))?),
            Node::Timeout(node, fires) => drop(yield timeout(build(&node, &w), if fires { ms(0) } else { LONG })),
            Node::Race(nodes) => drop(yield race(nodes.iter().map(|node| build(node, &w)).collect::<Vec<_>>())),
            Node::Shield(node) => drop(yield shield(build(&node, &w))),
            Node::Shared(index) => {
                let shared = w.shared.borrow().get(usize::from(index)).cloned();
                // It may have ended with the timeout, the race or the domain of its first or last waiter. That is not an
                // error of this coroutine.
                if let Some(shared) = shared
                    && let Err(error) = yield catch(shared)
                {
                    use tinyield::Reason::{Aborted, Dropped, Failed, Raced, TimedOut};
                    let is_given_up = |cancelled: &tinyield::Cancelled| {
                        matches!(cancelled.reason(), TimedOut | Raced | Aborted)
                    };
                    let may_be_own = |cancelled: &tinyield::Cancelled| matches!(cancelled.reason(), Failed { .. } | Dropped);
                    let is_of_other = error.to_string() == "inside"
                        || error.downcast_ref::<Panic>().is_some()
                        || error.as_cancelled().is_some_and(is_given_up);
                    if error.as_cancelled().is_some_and(may_be_own) {
                        // Either the last waiter of the shared coroutine was in a domain that failed, or was dropped.
                        // Or this coroutine is cancelled, and then this `yield` raises the cancellation again.
                        yield;
                    } else if !is_of_other {
                        Err(error)?;
                    }
                }
            }
            Node::Polite(node) => {
                if let Err(error) = yield catch(build(&node, &w)) {
                    let held = w.begin();
                    yield shield(co! { let _held = held; yield; yield sleep(Duration::ZERO); });
                    Err(error)?;
                }
            }
            Node::Permit(node) => {
                let permit = yield w.semaphore.acquire();
                drop(yield timeout(build(&node, &World { semaphore: Semaphore::new(2), ..w.clone() }), LONG));
                drop(permit);
            }
            Node::FailsInside(node) => {
                let inside = build(&node, &w.contained());
                let result = yield isolate(co! { yield (inside, co! { yield; yield; Err("inside")?; }); });
                let error = result.unwrap_err();
                // Errors that were raised behind a shield while the domain stopped are among its other errors.
                if let Some(other) = error.others().iter().find(|other| origin(other) == RAISED) {
                    Err(other.clone())?;
                }
                if error.to_string() != "inside" {
                    Err(error)?;
                }
            }
            Node::RaceLeaves(wins) => {
                let never = Event::new();
                let permit = w.semaphore.acquire().map(Some);
                if wins {
                    drop(yield race((permit, never.wait().map(|()| None))));
                } else {
                    drop(yield race((sleep(Duration::ZERO).map(|()| None), permit)));
                }
            }
            Node::Abortable(node, turns) => {
                let (work, handle) = abortable(build(&node, &w));
                let aborting = co! { for _ in 0..turns { yield; } handle.abort(); };
                drop(yield (work, aborting));
            }
            Node::Finally(node) => {
                let (body, cleanup) = (w.clone(), w.clone());
                let work = co! { body.uncleaned.update(|count| count + 1); yield build(&node, &body) };
                drop(yield finally(work, move || co! {
                    yield;
                    yield sleep(Duration::ZERO);
                    cleanup.uncleaned.update(|count| count - 1);
                }));
            }
            Node::Bracket(node) => {
                let (opening, using, closing) = (w.clone(), w.clone(), w.clone());
                let open = co! { yield sleep(Duration::ZERO); opening.uncleaned.update(|count| count + 1); };
                let used = bracket(open, move |()| build(&node, &using), move |()| co! {
                    yield;
                    closing.uncleaned.update(|count| count - 1);
                });
                drop(yield used);
            }
            Node::Stream(node, read) => {
                let inside = w.clone();
                let values = stream(move |out| co! {
                    for _ in 0..3 {
                        yield out.emit(inside.alive.token());
                    }
                    yield out.emit(yield build(&node, &inside));
                });
                for _ in 0..read {
                    drop(yield values.next());
                }
            }
            Node::Contained(node) => {
                w.contains_panics.set(true);
                match yield isolate(build(&node, &w.contained())).catch_unwind() {
                    Ok(token) => drop(token),
                    Err(error) if error.downcast_ref::<Panic>().is_some() => {}
                    Err(error) => Err(error)?,
                }
            }
            Node::Limited(nodes) => {
                let inside = w.clone();
                for next in yield as_completed(nodes.into_iter().map(move |node| build(&node, &inside))).limit(2) {
                    drop(yield next);
                }
            }
            Node::NestedLoop(node) => {
                // Shared coroutines stay on their loop.
                let inner = World { shared: Rc::default(), semaphore: Semaphore::new(2), ..w.clone() };
                match Loop::new().run(build(&node, &inner)) {
                    Ok(token) => drop(token),
                    Err(error) => Err(error)?,
                }
            }
        }
        w.here()?;
        w.alive.token()
    }
}

/// The message of the error that was raised first.
fn origin(error: &Error) -> String {
    match error.downcast_ref::<LoopError>() {
        Some(inner) => origin(inner.error()),
        None => error.to_string(),
    }
}

/// Whether all other errors are the first error, raised again. Three things can raise it again: code behind a shield, a
/// domain, or, if the first error left a domain, a coroutine outside that waited for the same shared coroutine.
fn has_no_other_origin(error: &LoopError) -> bool {
    let left_domain = |error: &Error| error.downcast_ref::<LoopError>().is_some();
    let first = error.error();
    error.others().iter().all(|other| (left_domain(other) || left_domain(first)) && origin(other) == origin(first))
}

fn check(program: &[Node], shared: &[Node], chosen: usize, way: Way) -> Result<(), TestCaseError> {
    let mut event_loop = Loop::builder().grouping(Grouping::Auto).build();
    let world = World::new(chosen, way, event_loop.stop_handle());
    let shares = world.shared.clone();
    // Each shared coroutine may wait only for those before it, so that there are no cycles.
    for node in shared {
        let before = Rc::new(RefCell::new(world.shared.borrow().clone()));
        // The shared coroutine may be started in a domain.
        let world = World { shared: before, semaphore: Semaphore::new(2), ..world.contained() };
        let coro = build(node, &world).shared();
        drop(world);
        shares.borrow_mut().push(coro);
    }
    let nodes: Vec<_> = program.iter().map(|node| build(node, &world)).collect();
    let mut runtime = event_loop.runtime(nodes);
    let (_, result) = run_steps(&mut runtime, |steps| !matches!(way, Way::Drop) || steps != chosen);
    let result = result.map(|ended| ended.map(|result| result.map(drop)).map_err(text_of));
    drop(runtime);
    let unstarted = shares.take();
    drop(unstarted);
    prop_assert_eq!(world.begun.borrow().len(), 0, "a coroutine has begun and not ended");
    prop_assert_eq!(world.alive.get(), 0, "a token is alive");
    prop_assert_eq!(world.uncleaned.get(), 0, "a body has begun, and its cleanup did not end");
    prop_assert_eq!(world.threads.load(SeqCst), 0, "a thread still runs");
    prop_assert_eq!(Rc::strong_count(&world.at), 1, "something still holds the world");
    prop_assert_eq!(world.semaphore.statistics().available, 2, "a permit was not released");
    match (way, result) {
        (_, None) => {}
        (Way::RaiseThenPanicInDestructor, Some(result)) if world.is_done.get() => match result {
            Err(text) => prop_assert_eq!(text, PANICKED),
            Ok(Err(error)) => prop_assert_eq!(origin(error.error()), RAISED),
            Ok(Ok(())) => prop_assert!(world.is_done_contained.get(), "an error was lost"),
        },
        (Way::Panic, Some(Ok(_))) if world.is_done.get() => {
            prop_assert!(world.contains_panics.get(), "a panic was lost")
        }
        (Way::Panic, Some(result)) if world.is_done.get() => prop_assert_eq!(result.unwrap_err(), PANICKED),
        (Way::Raise, Some(Ok(Ok(())))) if world.is_done_contained.get() => {}
        (Way::Raise, Some(result)) if world.is_done.get() => {
            let error = result.unwrap().expect_err("an error was lost");
            prop_assert_eq!(origin(error.error()), RAISED, "{:?}", error);
            prop_assert!(has_no_other_origin(&error), "{:?}", error);
            prop_assert!(!error.error().trace().is_empty());
            prop_assert!(error.error().trace().iter().all(|frame| !frame.name().is_empty()), "{:?}", error);
        }
        (Way::Stop, Some(result)) => match result.unwrap() {
            // It was stopped in its last turns, when all had ended.
            Ok(()) => {}
            Err(error) => {
                prop_assert!(error.is_stopped(), "{:?}", error);
                prop_assert!(has_no_other_origin(&error), "{:?}", error);
            }
        },
        (_, Some(result)) => {
            let result = result.unwrap();
            if let Err(error) = &result {
                prop_assert!(error.error().downcast_ref::<Deadlock>().is_none(), "{:?}", error);
            }
            prop_assert!(result.is_ok(), "{:?}", result);
        }
    }
    // The loop can run again.
    let event = Event::new();
    let again = event_loop.run(co! { yield (event.wait(), co! { yield; event.set(); }); });
    prop_assert!(again.is_ok());
    Ok(())
}

/// `PROPTEST_CASES` sets the number of programs.
fn config() -> ProptestConfig {
    let config = ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    let config = with_fixed_seed(config);
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases: 400, ..config } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_program_stopped_at_a_random_place_cleans_up_and_gives_the_right_error(
        program in prop::collection::vec(node(), 1..6),
        shared in prop::collection::vec(node(), 3),
        chosen in prop_oneof![3 => 0usize..15, 1 => 0usize..80],
        way in way(),
    ) {
        silence_expected_panics();
        check(&program, &shared, chosen, way)?;
    }
}

fn silence_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| silence_panics(PANICKED));
}
