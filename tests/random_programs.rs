//! The sweep over random programs: each a tree of everything there is, stopped at a random place in a random way.
//!
//! After each, every value, capture and body has been dropped, threads have ended, who was begun has ended before those who
//! started it, and the error tells the truth.
#![feature(coroutines)]

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::time::Duration;

use common::{Alive, LONG, Token, ms};
use proptest::prelude::*;
use tinyield::{
    Coro, Deadlock, Error, Event, Grouping, Loop, LoopError, Semaphore, Shared, Step, StopHandle, catch, co, isolate,
    race, run_in_thread, shield, sleep, spawn, timeout,
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
    /// Whether the limit is one that fires.
    Timeout(Box<Node>, bool),
    Race(Vec<Node>),
    Shield(Box<Node>),
    /// Waits for one of the shared ones.
    Shared(u8),
    /// Cleans up behind a shield when it is cancelled.
    Polite(Box<Node>),
    /// Holds a permit.
    Permit(Box<Node>),
    /// Fails, inside of an `isolate`.
    FailsInside(Box<Node>),
    NestedLoop(Box<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        4 => (0u8..5).prop_map(Node::Turns),
        1 => Just(Node::Nap),
        1 => Just(Node::Thread),
        2 => Just(Node::Future),
        2 => (0u8..3).prop_map(Node::Shared),
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
            2 => many.prop_map(Node::Race),
            1 => one.clone().prop_map(Node::Shield),
            1 => one.clone().prop_map(Node::Polite),
            1 => one.clone().prop_map(Node::Permit),
            1 => one.clone().prop_map(Node::FailsInside),
            1 => one.prop_map(Node::NestedLoop),
        ]
    })
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Not,
    Raise,
    Panic,
    Stop,
    Drop,
    /// Raises, and panics at the next place: that is while it stops.
    RaiseThenPanicInDestructor,
}

fn way() -> impl Strategy<Value = Way> {
    use Way::*;
    prop_oneof![Just(Not), Just(Raise), Just(Panic), Just(Stop), Just(Drop), Just(RaiseThenPanicInDestructor)]
}

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
    /// That it raised, panicked, ..
    done: Rc<Cell<bool>>,
    /// What is raised here is given as a value to somebody, who may be cancelled before it sees it.
    contained: bool,
    done_contained: Rc<Cell<bool>>,
    /// Coroutines that have begun and not ended: numbers, in order.
    begun: Rc<RefCell<Vec<usize>>>,
    next: Rc<Cell<usize>>,
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
            done: Rc::default(),
            contained: false,
            done_contained: Rc::default(),
            begun: Rc::default(),
            next: Rc::default(),
        }
    }

    fn here(&self) -> Result<(), &'static str> {
        let at = self.at.get();
        self.at.set(at + 1);
        if at != self.chosen {
            return Ok(());
        }
        match self.way {
            Way::Raise | Way::RaiseThenPanicInDestructor => {
                self.done.set(true);
                self.done_contained.set(self.contained);
                Err(RAISED)
            }
            Way::Panic => {
                self.done.set(true);
                panic!("{PANICKED}")
            }
            Way::Stop => {
                self.done.set(true);
                self.stop.stop();
                Ok(())
            }
            Way::Not | Way::Drop => Ok(()),
        }
    }

    fn contained(&self) -> World {
        World { contained: true, ..self.clone() }
    }

    fn begins(&self) -> Begun {
        let number = self.next.get();
        self.next.set(number + 1);
        self.begun.borrow_mut().push(number);
        Begun(self.clone(), number, self.alive.token())
    }
}

/// A coroutine that has begun.
struct Begun(World, usize, #[allow(dead_code)] Token);

impl Drop for Begun {
    fn drop(&mut self) {
        let World { begun, way, done, at, chosen, .. } = &self.0;
        begun.borrow_mut().retain(|number| *number != self.1);
        if matches!(way, Way::RaiseThenPanicInDestructor)
            && done.get()
            && at.get() > *chosen
            && !std::thread::panicking()
        {
            at.set(0);
            panic!("{PANICKED}");
        }
    }
}

fn build(node: &Node, world: &World) -> Coro<Token> {
    let (node, w) = (node.clone(), world.clone());
    co! {
        let _begun = w.begins();
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
                let mut polls = 0;
                std::future::poll_fn(|context| {
                    polls += 1;
                    if polls == 3 {
                        return std::task::Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    std::task::Poll::Pending
                })
                .await;
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
                // It belongs to who began it: it may have ended with their timeout, their race or their domain, which is no
                // error of this one's.
                if let Some(shared) = shared
                    && let Err(error) = yield catch(shared)
                {
                    use tinyield::Reason::{Raced, TimedOut};
                    let theirs = error.to_string() == "inside"
                        || error.as_cancelled().is_some_and(|cancelled| matches!(cancelled.reason(), TimedOut | Raced));
                    if !theirs {
                        Err(error)?;
                    }
                }
            }
            Node::Polite(node) => {
                if let Err(error) = yield catch(build(&node, &w)) {
                    let held = w.begins();
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
                // What was raised behind a shield, while it stopped already, is an error of it too.
                if let Some(other) = error.others().iter().find(|other| origin(other) == RAISED) {
                    Err(other.clone())?;
                }
                if error.to_string() != "inside" {
                    Err(error)?;
                }
            }
            Node::NestedLoop(node) => {
                // Shared ones of this loop are no concern of the other.
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

fn origin(error: &Error) -> String {
    match error.downcast_ref::<LoopError>() {
        Some(inner) => origin(inner.error()),
        None => error.to_string(),
    }
}

/// Nothing came up but what stopped it: behind a shield, a domain may have been given that, and have raised it as its own.
fn only_again(error: &LoopError) -> bool {
    error
        .others()
        .iter()
        .all(|other| other.downcast_ref::<LoopError>().is_some() && origin(other) == origin(error.error()))
}

fn check(program: &[Node], shared: &[Node], chosen: usize, way: Way) -> Result<(), TestCaseError> {
    let mut event_loop = Loop::builder().grouping(Grouping::Auto).build();
    let world = World::new(chosen, way, event_loop.stop_handle());
    let shares = world.shared.clone();
    // Each shared one may wait for those before it only: no cycles.
    for node in shared {
        let before = Rc::new(RefCell::new(world.shared.borrow().clone()));
        // Whoever waits for it first begins it, and that may be in a domain.
        let world = World { shared: before, semaphore: Semaphore::new(2), ..world.contained() };
        let coro = build(node, &world).shared();
        drop(world);
        shares.borrow_mut().push(coro);
    }
    let nodes: Vec<_> = program.iter().map(|node| build(node, &world)).collect();
    let mut runtime = event_loop.runtime(nodes);
    let mut steps = 0;
    let result = loop {
        if matches!(way, Way::Drop) && steps == chosen {
            break None;
        }
        match catch_unwind(AssertUnwindSafe(|| runtime.step())) {
            Err(payload) => break Some(Err(common::text_of(payload))),
            Ok(Step::Ran) => steps += 1,
            Ok(Step::Idle(idle)) => idle.wait(),
            Ok(Step::Done(result)) => break Some(Ok(result.map(drop))),
        }
    };
    drop(runtime);
    let unstarted = shares.take();
    drop(unstarted);
    prop_assert_eq!(world.begun.borrow().len(), 0, "some that have begun have not ended");
    prop_assert_eq!(world.alive.get(), 0, "not everything was dropped");
    prop_assert_eq!(world.threads.load(SeqCst), 0, "a thread is at work");
    prop_assert_eq!(Rc::strong_count(&world.at), 1, "something still holds the world");
    prop_assert_eq!(world.semaphore.statistics().available, 2, "a permit is held");
    match (way, result) {
        (_, None) => {}
        (Way::RaiseThenPanicInDestructor, Some(result)) if world.done.get() => match result {
            Err(text) => prop_assert_eq!(text, PANICKED),
            Ok(Err(error)) => prop_assert_eq!(origin(error.error()), RAISED),
            Ok(Ok(())) => prop_assert!(world.done_contained.get(), "it raised and nothing came of it"),
        },
        (Way::Panic, Some(result)) if world.done.get() => prop_assert_eq!(result.unwrap_err(), PANICKED),
        (Way::Raise, Some(Ok(Ok(())))) if world.done_contained.get() => {}
        (Way::Raise, Some(result)) if world.done.get() => {
            let error = result.unwrap().expect_err("it raised and nothing came of it");
            prop_assert_eq!(origin(error.error()), RAISED, "{:?}", error);
            prop_assert!(only_again(&error), "{:?}", error);
            prop_assert!(!error.error().trace().is_empty());
            prop_assert!(error.error().trace().iter().all(|frame| !frame.name().is_empty()), "{:?}", error);
        }
        (Way::Stop, Some(result)) => match result.unwrap() {
            // It was told in its last turns.
            Ok(()) => {}
            Err(error) => {
                prop_assert!(error.is_stopped(), "{:?}", error);
                prop_assert!(only_again(&error), "{:?}", error);
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
    // The loop is as good as new.
    let event = Event::new();
    let again = event_loop.run(co! { yield (event.wait(), co! { yield; event.set(); }); });
    prop_assert!(again.is_ok());
    Ok(())
}

/// `PROPTEST_CASES` says how many, if it is set.
fn config() -> ProptestConfig {
    let config = ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases: 400, ..config } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_random_program_is_stopped_at_a_random_place(
        program in prop::collection::vec(node(), 1..6),
        shared in prop::collection::vec(node(), 3),
        chosen in prop_oneof![3 => 0usize..15, 1 => 0usize..80],
        way in way(),
    ) {
        quiet();
        check(&program, &shared, chosen, way)?;
    }
}

/// The panics on purpose are not printed.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().downcast_ref::<String>().is_some_and(|text| text == PANICKED) {
                before(info);
            }
        }));
    });
}
