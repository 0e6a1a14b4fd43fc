//! Hosts that own a run and start coroutines in it.
#![feature(coroutines)]

mod common;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use common::{Alive, Counter, forever};
use tinyield::{Event, JoinHandle, Loop, Runtime, Step, co, spawn};

struct Host {
    runtime: Runtime<'static, u32>,
    quit: Event,
}

impl Host {
    fn new() -> Host {
        let quit = Event::new();
        Host { runtime: Loop::new().into_runtime(quit.wait().map(|()| 7)), quit }
    }

    /// Steps until nothing is ready. Returns the result, if the run is over.
    fn run_ready(&mut self) -> Option<u32> {
        loop {
            match self.runtime.step() {
                Step::Ran => {}
                Step::Idle(_) => return None,
                Step::Done(result) => return Some(result.unwrap()),
            }
        }
    }
}

#[test]
fn struct_owns_a_run_and_starts_coroutines_in_it() {
    let mut host = Host::new();
    assert_eq!(host.run_ready(), None);
    let count = Counter::new();
    let handles: Vec<JoinHandle<u32>> = host.runtime.spawn(
        (0..3)
            .map(|n| {
                let count = count.clone();
                co! { yield; count.up(); n }
            })
            .collect::<Vec<_>>(),
    );
    assert_eq!(host.run_ready(), None);
    assert!(handles.iter().all(JoinHandle::is_finished));
    assert_eq!(count.get(), 3);
    let sum = host.runtime.spawn(co! { let values = yield handles; values.iter().sum::<u32>() });
    host.quit.set();
    assert_eq!(host.run_ready(), Some(7));
    assert_eq!(Loop::new().run(sum).unwrap(), 3);
}

#[test]
fn settings_and_the_stop_handle_of_the_loop_stay() {
    let mut event_loop = Loop::new();
    let stop = event_loop.stop_handle();
    let mut runtime = event_loop.into_runtime(forever());
    assert!(matches!(runtime.step(), Step::Ran));
    stop.stop();
    let error = loop {
        match runtime.step() {
            Step::Done(result) => break result.unwrap_err(),
            Step::Ran | Step::Idle(_) => {}
        }
    };
    assert!(error.is_stopped());
}

/// The last turn is over, but the host has not taken the result.
#[test]
fn run_goes_on_if_something_is_started_before_its_result_is_returned() {
    let mut runtime = Loop::new().into_runtime(co! { 1 });
    assert!(matches!(runtime.step(), Step::Ran));
    let count = Counter::new();
    let up = count.clone();
    runtime.spawn(co! { yield; yield; up.up(); });
    let result = loop {
        match runtime.step() {
            Step::Done(result) => break result,
            Step::Ran | Step::Idle(_) => {}
        }
    };
    assert_eq!((result.unwrap(), count.get()), (1, 1));
}

#[test]
fn nothing_starts_in_a_run_that_fails() {
    let alive = Alive::new();
    let mut runtime = Loop::new().into_runtime(co! { Err::<(), _>("broken")?; });
    assert!(matches!(runtime.step(), Step::Ran));
    let token = alive.token();
    let handle = runtime.spawn(co! { let _token = token; yield forever(); });
    let result = loop {
        match runtime.step() {
            Step::Done(result) => break result,
            Step::Ran | Step::Idle(_) => {}
        }
    };
    assert_eq!(result.unwrap_err().to_string(), "broken");
    assert!(handle.is_finished());
    assert_eq!(alive.get(), 0);
}

#[test]
#[should_panic(expected = "this run is over")]
fn spawn_after_the_end_panics() {
    let mut runtime = Loop::new().into_runtime(co! {});
    while !matches!(runtime.step(), Step::Done(_)) {}
    runtime.spawn(co! {});
}

/// The future that polls the run waits. It is woken when its host starts a coroutine.
#[test]
fn host_that_sleeps_is_woken_when_a_coroutine_is_started() {
    #[derive(Default)]
    struct Woken(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let quit = Event::new();
    let mut runtime = Loop::new().into_runtime(quit.wait());
    assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::SeqCst), 0);
    runtime.spawn(co! { quit.set(); });
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert!(matches!(runtime.poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(()))));
}

#[test]
fn shared_handle_goes_on_without_waiters_and_gives_clones() {
    let count = Counter::new();
    let main = {
        let count = count.clone();
        co! {
            let first = count.clone();
            let handle = yield spawn(co! { yield; yield; first.up(); "value".to_string() });
            let shared = handle.shared();
            drop(shared.clone());
            let both = yield (&shared, shared.clone());
            assert_eq!(both.0, both.1);
            drop(yield spawn(co! { yield; count.up(); }).map(|handle| handle.shared()));
            yield shared
        }
    };
    assert_eq!(Loop::new().run(main).unwrap(), "value");
    assert_eq!(count.get(), 2);
}
