//! Loops that others step or poll.

use std::future::poll_fn;
use std::task::{Context, Waker};

use loom::thread;
use tinyield::{Event, Idle, Loop, Runtime, Step};

use crate::{block_on, check, check_bounded};

#[test]
fn a_set_wakes_the_host_of_a_loop() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        block_on(poll_fn(|context| runtime.poll(context))).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_set_ends_an_idle_wait() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        loop {
            match runtime.step() {
                Step::Ran => {}
                Step::Idle(idle) => idle.wait(),
                Step::Done(result) => break result.unwrap(),
            }
        }
        thread.join().unwrap();
    });
}

#[test]
fn an_unfinished_loop_is_dropped_while_it_is_woken() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        let _ = runtime.poll(&mut Context::from_waker(Waker::noop()));
        drop(runtime);
        thread.join().unwrap();
    });
}

/// Steps `runtime` until it is idle.
fn to_idle<T: 'static>(runtime: &mut Runtime<'_, T>) -> Idle {
    loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => break idle,
            Step::Done(_) => panic!("it is done, not idle"),
        }
    }
}

#[test]
fn idle_waits_on_other_threads_return_when_the_run_is_dropped() {
    check_bounded(3, || {
        let event = Event::new();
        let _watched = event.remote();
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        // The later wait replaces the earlier one, in either order.
        let threads = [to_idle(&mut runtime), to_idle(&mut runtime)].map(|idle| thread::spawn(move || idle.wait()));
        drop(runtime);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn an_idle_wait_on_another_thread_returns_although_the_loop_is_polled() {
    check(|| {
        let event = Event::new();
        let remote = event.remote();
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        let idle = to_idle(&mut runtime);
        let thread = thread::spawn(move || idle.wait());
        // The set wakes only the later of the two. So the earlier one must have returned before.
        assert!(runtime.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        remote.set();
        thread.join().unwrap();
    });
}
