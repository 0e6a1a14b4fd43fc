//! Threads that work for a loop: pools, and loops on threads of their own.

use std::sync::Arc;

use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;
use tinyield::{Event, Loop, ThreadPool, catch, co, race, run_in_loop, spawn};

use crate::{Letter, check_bounded};

#[test]
fn a_thread_hands_back_its_result() {
    check_bounded(4, || {
        let letter = Letter::new();
        let theirs = letter.clone();
        let pool = ThreadPool::new(1);
        let main = co! {
            let value = yield pool.run_in_thread(move || {
                theirs.write();
                7
            });
            letter.assert_written();
            value
        };
        assert_eq!(Loop::new().run(main).unwrap(), 7);
    });
}

#[test]
fn no_job_is_lost_by_a_thread_that_leaves() {
    check_bounded(3, || {
        let pool = ThreadPool::new(1);
        assert_eq!(Loop::new().run(pool.map(|number| number, [1, 2])).unwrap(), [1, 2]);
    });
}

/// While the third job waits, the result of the first one is delivered in a batch. In loom, to park with a timeout never blocks. So this
/// finds a lost entry of the inbox, but not a batch that takes too long.
#[test]
fn no_result_of_a_busy_thread_is_lost() {
    check_bounded(2, || {
        let pool = ThreadPool::new(1);
        assert_eq!(Loop::new().run(pool.map(|number| number, [1, 2, 3])).unwrap(), [1, 2, 3]);
    });
}

#[test]
fn map_on_two_threads_keeps_the_order() {
    check_bounded(1, || {
        let pool = ThreadPool::new(2);
        assert_eq!(Loop::new().run(pool.map(|number| number, [1, 2])).unwrap(), [1, 2]);
    });
}

/// Runs pairs of jobs, one pair after the other. Each job waits for the other job of its pair.
fn meet(times: usize) {
    let (pool, came) = (ThreadPool::new(2), Arc::new(AtomicUsize::new(0)));
    for time in 1..=times {
        let came = came.clone();
        let job = move |()| {
            came.fetch_add(1, Relaxed);
            while came.load(Relaxed) < 2 * time {
                thread::yield_now();
            }
        };
        Loop::new().run(pool.map(job, [(), ()])).unwrap();
    }
}

#[test]
fn jobs_that_wait_for_each_other_have_a_thread_each() {
    check_bounded(1, || meet(1));
}

/// When the second pair of jobs arrives, one of the threads may be yielding, and the other one may be ending.
#[test]
fn jobs_that_wait_for_each_other_have_a_thread_each_after_earlier_ones() {
    check_bounded(1, || meet(2));
}

#[test]
fn a_cancelled_job_never_begins_or_is_joined() {
    check_bounded(4, || {
        // 0: has not begun; 1: has begun; 2: has ended.
        let stage = Arc::new(AtomicUsize::new(0));
        let theirs = stage.clone();
        let pool = ThreadPool::new(1);
        let main = co! {
            let job = pool.run_in_thread(move || {
                theirs.store(1, Relaxed);
                theirs.store(2, Relaxed);
            });
            yield race([job, co! { yield; yield; }]);
            let seen = stage.load(Relaxed);
            assert_ne!(seen, 1, "the race is over, but not the closure");
            seen
        };
        Loop::new().run(main).unwrap();
    });
}

#[test]
fn a_running_closure_sees_its_cancellation() {
    check_bounded(2, || {
        let begun = Event::new();
        let (remote, pool) = (begun.remote(), ThreadPool::new(1));
        let job = pool.run_in_thread(move || {
            remote.set();
            while !tinyield::thread::is_cancelled() {
                thread::yield_now();
            }
        });
        Loop::new().run(race([job, co! { yield begun.wait(); }])).unwrap();
        // The next job of that thread has not been cancelled.
        assert!(!Loop::new().run(pool.run_in_thread(tinyield::thread::is_cancelled)).unwrap());
    });
}

#[test]
fn a_loop_on_a_thread_is_stopped_when_its_closure_is_cancelled() {
    check_bounded(2, || {
        // 0: nothing has begun; 1: the coroutine inside waits; 2: it has seen its cancellation.
        let stage = Arc::new(AtomicUsize::new(0));
        let theirs = stage.clone();
        let pool = ThreadPool::new(1);
        let job = pool.run_in_thread(move || {
            let event = Event::new();
            // With this handle, somebody could set the event, so the loop is not deadlocked.
            let _remote = event.remote();
            let inside = co! {
                theirs.store(1, Relaxed);
                let error = (yield catch(event.wait())).unwrap_err();
                theirs.store(2, Relaxed);
                Err(error)?;
            };
            assert!(Loop::new().run(inside).unwrap_err().error().is_cancelled());
        });
        Loop::new().run(race([job, co! { yield; yield; }])).unwrap();
        assert_ne!(stage.load(Relaxed), 1, "the race is over, but not the loop on the thread");
    });
}

/// The stop comes before the work has a thread, while the inner loop begins, while it waits, or when it has ended.
#[test]
fn run_in_loop_is_stopped_and_waited_for() {
    check_bounded(4, || {
        // 0: nothing has begun; 1: the coroutine inside waits; 2: it has seen its cancellation.
        let stage = Arc::new(AtomicUsize::new(0));
        let theirs = stage.clone();
        let inner = run_in_loop(move || {
            let event = Event::new();
            // With this handle, somebody could set the event, so the loop is not deadlocked.
            let remote = event.remote();
            co! {
                theirs.store(1, Relaxed);
                let error = (yield catch(event.wait())).unwrap_err();
                theirs.store(2, Relaxed);
                drop(remote);
                Err(error)?;
            }
        });
        Loop::new().run(race([inner, co! { yield; yield; }])).unwrap();
        assert_ne!(stage.load(Relaxed), 1, "the race is over, but not the loop on the thread");
    });
}

/// The loop ends by itself while it is stopped. The result is its value, its error or the reason of the stop, and nothing hangs.
#[test]
fn run_in_loop_ends_by_itself_while_it_is_stopped() {
    check_bounded(2, || {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let stopper = thread::spawn(move || stop.stop());
        let result = event_loop.run(run_in_loop(|| co! { yield; Err::<(), _>("inside")?; }));
        let error = result.unwrap_err();
        assert!(error.is_stopped() || error.to_string() == "inside");
        stopper.join().unwrap();
    });
}

/// A thread ends when it finds no work. Meanwhile the next loop is given to this thread or to a new one.
#[test]
fn two_loops_one_after_the_other_each_get_a_thread() {
    check_bounded(2, || {
        let main = co! {
            let first = yield run_in_loop(|| co! { yield; 1 });
            first + yield run_in_loop(|| co! { 2 })
        };
        assert_eq!(Loop::new().run(main).unwrap(), 3);
    });
}

#[test]
fn two_loops_at_once_give_their_values() {
    check_bounded(2, || {
        let loops = [1, 2].map(|n| run_in_loop(move || co! { yield; n }));
        assert_eq!(Loop::new().run(loops).unwrap(), [1, 2]);
    });
}

#[test]
fn a_panic_in_a_thread_is_resumed_on_the_thread_of_the_loop() {
    check_bounded(4, || {
        let pool = ThreadPool::new(1);
        // `resume_unwind` does not call the panic hook, which would print.
        let job = pool.run_in_thread(|| std::panic::resume_unwind(Box::new(7)));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Loop::new().run(job)));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&7));
    });
}

#[test]
fn a_stop_while_a_thread_works_joins_it() {
    check_bounded(2, || {
        let working = Arc::new(AtomicUsize::new(0));
        let theirs = working.clone();
        let pool = ThreadPool::new(1);
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let stopper = thread::spawn(move || stop.stop());
        let job = pool.run_in_thread(move || {
            theirs.store(1, Relaxed);
            theirs.store(0, Relaxed);
        });
        let main = co! { yield spawn(job); };
        if let Err(error) = event_loop.run(main) {
            assert!(error.is_stopped());
        }
        assert_eq!(working.load(Relaxed), 0, "the run is over, but not the closure");
        stopper.join().unwrap();
    });
}
