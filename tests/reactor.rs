//! A loop that waits in async-io's reactor. It finds a deadlock there, and so does a loop inside a loop. Without a reactor, a loop parks
//! its thread.
#![feature(coroutines)]
#![cfg(feature = "smol")]

mod common;

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;

use common::{LONG, in_child, ms};
use smol::Timer;
use tinyield::{Coro, Deadlock, Event, Loop, LoopError, Shared, co, coro, from_future, sleep, to_smol};

fn is_deadlock(error: &LoopError) -> bool {
    error.error().downcast_ref::<Deadlock>().is_some()
}

/// Waits for an event that nothing can set.
#[coro]
fn stuck() -> Coro<()> {
    yield Event::new().wait();
}

/// Leaves a waker in the reactor. The reactor drops this waker when it checks its timers the next time.
#[coro]
fn leaves_waker_in_reactor() -> Coro<()> {
    smol::future::or(Timer::after(LONG), Timer::after(ms(5))).await;
}

#[test]
fn the_last_waker_dropped_inside_the_reactor_is_a_deadlock() {
    let main = co! {
        yield leaves_waker_in_reactor();
        yield stuck();
    };
    assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
}

#[test]
fn the_last_waker_of_a_loop_inside_a_loop_dropped_inside_the_reactor_is_a_deadlock() {
    let inner = co! {
        yield leaves_waker_in_reactor();
        yield stuck();
    };
    assert!(is_deadlock(&Loop::new().run(from_future(to_smol(inner))).unwrap_err()));
}

/// Two coroutines that wait for each other, after `before`.
#[coro]
fn cycle(before: Coro<()>) -> Coro<()> {
    let other = std::rc::Rc::new(RefCell::new(None::<Shared<()>>));
    let seen = other.clone();
    let one = co! {
        yield before;
        let other = seen.borrow().clone().unwrap();
        yield other;
    }
    .shared();
    let two = one.clone();
    *other.borrow_mut() = Some(co! { yield two; }.shared());
    yield one;
}

#[test]
fn the_last_waker_dropped_inside_the_reactor_lets_a_hosted_loop_find_its_cycle() {
    let error = smol::block_on(to_smol(cycle(leaves_waker_in_reactor()))).unwrap_err();
    assert!(is_deadlock(&error));
}

#[test]
fn a_stuck_loop_inside_a_loop_is_a_deadlock_of_the_outer_one() {
    let error = Loop::new().run(from_future(to_smol(stuck()))).unwrap_err();
    let deadlock = error.error().downcast_ref::<Deadlock>().unwrap();
    let stuck: Vec<_> = deadlock.stuck().iter().map(|stuck| (stuck.frame().name(), stuck.waits_on())).collect();
    assert_eq!(stuck, [("from_future", "a future")]);
}

#[test]
fn a_stuck_loop_three_loops_deep_is_a_deadlock_of_the_outermost() {
    let innermost = co! { yield from_future(to_smol(stuck())).raise(); };
    let inner = co! { yield from_future(to_smol(innermost)).raise(); };
    assert!(is_deadlock(&Loop::new().run(inner).unwrap_err()));
}

#[test]
fn a_loop_that_its_coroutine_polls_by_hand_and_that_is_stuck_is_a_deadlock() {
    let main = co! {
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(stuck());
        poll_fn(|context| runtime.poll(context)).await?;
    };
    assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
}

#[test]
fn a_loop_inside_a_loop_waits_for_a_coroutine_of_the_outer_one() {
    let event = Event::new();
    let set = event.clone();
    let inner = co! { yield event.wait(); 3 };
    let sets = co! { yield; yield; yield; yield sleep(ms(1)); set.set(); };
    let (inner, ()) = Loop::new().run((from_future(to_smol(inner)), sets)).unwrap();
    assert_eq!(inner.unwrap(), 3);
}

#[test]
fn a_loop_inside_a_loop_waits_for_its_own_timer() {
    let inner = co! { yield sleep(ms(5)); 3 };
    assert_eq!(Loop::new().run(from_future(to_smol(inner)).raise()).unwrap(), 3);
}

#[test]
fn a_loop_inside_a_loop_that_sleeps_for_ever_is_no_deadlock() {
    let mut event_loop = Loop::new();
    let stop = event_loop.stop_handle();
    let stops = thread::spawn(move || {
        for _ in 0..100 {
            thread::yield_now();
        }
        stop.stop();
    });
    let error = event_loop.run(from_future(to_smol(common::forever()))).unwrap_err();
    assert!(error.is_stopped());
    stops.join().unwrap();
}

#[test]
fn a_loop_inside_two_loops_is_woken_from_another_thread() {
    for _ in 0..50 {
        let event = Event::new();
        let remote = event.remote();
        let innermost = co! { yield event.wait(); 3 };
        let inner = co! { yield from_future(to_smol(innermost)).raise() };
        let sets = thread::spawn(move || {
            thread::yield_now();
            remote.set();
        });
        assert_eq!(Loop::new().run(from_future(to_smol(inner)).raise()).unwrap(), 3);
        sets.join().unwrap();
    }
}

#[test]
fn the_last_handle_to_a_loop_inside_two_loops_dropped_on_another_thread_is_a_deadlock() {
    for _ in 0..50 {
        let event = Event::new();
        let remote = event.remote();
        let inner = co! { yield from_future(to_smol(event.wait())).raise(); };
        let drops = thread::spawn(move || {
            thread::yield_now();
            drop(remote);
        });
        assert!(is_deadlock(&Loop::new().run(from_future(to_smol(inner)).raise()).unwrap_err()));
        drops.join().unwrap();
    }
}

#[test]
fn a_loop_waits_if_one_of_many_loops_inside_it_can_be_woken() {
    let (last, remote) = {
        let event = Event::new();
        let remote = event.remote();
        (event, remote)
    };
    let all_set = Event::new();
    let stuck: Vec<_> = (0..100).map(|_| from_future(to_smol(all_set.wait()))).collect();
    let sets = all_set.clone();
    let wakes = co! { yield from_future(to_smol(last.wait())).raise(); sets.set(); };
    let thread = thread::spawn(move || {
        thread::yield_now();
        remote.set();
    });
    Loop::new().run((stuck, wakes)).unwrap();
    thread.join().unwrap();
}

/// Gives its waker to another thread, which wakes it.
async fn woken_by_thread() {
    let (sender, receiver) = mpsc::channel::<Waker>();
    let waker_thread = thread::spawn(move || receiver.recv().unwrap().wake());
    let mut is_polled = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_polled, true) {
            return Poll::Ready(());
        }
        sender.send(context.waker().clone()).unwrap();
        Poll::Pending
    })
    .await;
    waker_thread.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_pending_future_that_needs_no_file_descriptor_runs_when_none_is_left() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let test = "a_pending_future_that_needs_no_file_descriptor_runs_when_none_is_left";
    let printed = in_child(test, || {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
        assert!(std::fs::File::open("/dev/null").is_err());
        Loop::new().run(co! { woken_by_thread().await; yield sleep(ms(1)); woken_by_thread().await; }).unwrap();
        let error = Loop::new().run(co! { woken_by_thread().await; yield stuck(); }).unwrap_err();
        assert!(is_deadlock(&error));
        // Now file descriptors are free again, and the reactor is made.
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(1024), hard).unwrap();
        Loop::new().run(co! { woken_by_thread().await; Timer::after(ms(1)).await; }).unwrap();
    });
    assert!(!printed.contains("panicked"), "{printed}");
}

/// Runs a loop when it is dropped.
struct RunsLoop(mpsc::Sender<()>);

impl Drop for RunsLoop {
    fn drop(&mut self) {
        Loop::new().run(co! { woken_by_thread().await; }).unwrap();
        self.0.send(()).unwrap();
    }
}

thread_local! {
    static LATE: RefCell<Option<RunsLoop>> = const { RefCell::new(None) };
}

#[test]
fn a_pending_future_runs_in_a_destructor_of_a_thread_that_has_lost_its_thread_local_values() {
    let test = "a_pending_future_runs_in_a_destructor_of_a_thread_that_has_lost_its_thread_local_values";
    let printed = in_child(test, || {
        let (sender, receiver) = mpsc::channel();
        // Thread-local values are dropped in the reverse order of their first uses: `LATE` is dropped after those of async-io.
        let thread = thread::spawn(move || {
            LATE.set(Some(RunsLoop(sender)));
            Loop::new().run(co! { woken_by_thread().await; }).unwrap();
        });
        thread.join().unwrap();
        receiver.recv_timeout(LONG).unwrap();
    });
    assert!(!printed.contains("panicked"), "{printed}");
}
