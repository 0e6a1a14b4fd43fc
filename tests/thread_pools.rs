//! Pools of threads: work that waits for work of the same pool, work that is cancelled before it begins, loops inside of closures, and
//! a system that gives no more threads.
#![feature(coroutines)]

mod common;

#[path = "common/allocations.rs"]
mod allocations;

use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use common::{FOREVER, in_time, is_deadlock};
use tinyield::{Coro, Event, Loop, Reason, ThreadPool, TimedOut, co, coro, race, run_in_thread, sleep, spawn, timeout};

#[test]
fn a_closure_of_a_pool_of_one_that_runs_a_loop_may_use_the_pool() {
    let value = in_time(|| {
        let pool = ThreadPool::new(1);
        let inner = pool.clone();
        let outer = pool.run_in_thread(move || Loop::new().run(inner.run_in_thread(|| 7)).unwrap());
        Loop::new().run(outer).unwrap()
    });
    assert_eq!(value, 7);
}

#[test]
fn maps_nested_ten_deep_on_one_pool_of_two_end() {
    fn nested(pool: &ThreadPool, depth: u32) -> u32 {
        if depth == 0 {
            return 1;
        }
        let inner = pool.clone();
        let calls = pool.map(move |_| nested(&inner, depth - 1), 0..2);
        Loop::new().run(calls).unwrap().into_iter().sum()
    }
    assert_eq!(in_time(|| nested(&ThreadPool::new(2), 10)), 1 << 10);
}

#[test]
fn as_many_closures_as_the_shared_pool_has_threads_may_each_wait_for_one_more() {
    const THREADS: u32 = 500;
    let sum = in_time(|| {
        let all_run = Arc::new(Barrier::new(THREADS as usize));
        let waits = |n| {
            let all_run = all_run.clone();
            run_in_thread(move || {
                all_run.wait();
                Loop::new().run(run_in_thread(move || n)).unwrap()
            })
        };
        let all: Vec<_> = (0..THREADS).map(waits).collect();
        Loop::new().run(all).unwrap().into_iter().sum::<u32>()
    });
    assert_eq!(sum, (0..THREADS).sum());
}

/// While closures wait in the queue, results are delivered in batches. But a result must not wait until the next closure ends.
#[test]
fn the_result_of_a_closure_arrives_while_the_next_closure_of_its_thread_runs() {
    const CLOSURES: usize = 40;
    in_time(|| {
        let pool = ThreadPool::new(1);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..=CLOSURES).map(|_| mpsc::channel()).unzip();
        senders[0].send(()).unwrap();
        // The first closure may end at once. Each other one ends when the loop has the result of the one before it.
        let next_senders = senders.into_iter().skip(1);
        let all: Vec<_> = receivers
            .into_iter()
            .zip(next_senders)
            .map(|(receiver, next)| {
                let waits = pool.run_in_thread(move || receiver.recv().unwrap());
                co! {
                    yield waits;
                    // The receiver of the last message is gone.
                    let _ = next.send(());
                }
            })
            .collect();
        assert_eq!(Loop::new().run(all).unwrap().len(), CLOSURES);
    });
}

#[test]
fn a_closure_that_never_began_does_not_hide_a_deadlock() {
    in_time(|| {
        let pool = ThreadPool::new(1);
        let (release, released) = mpsc::channel::<()>();
        let main = co! {
            let occupies = yield spawn(pool.run_in_thread(move || released.recv().unwrap()));
            assert_eq!(yield timeout(pool.run_in_thread(|| ()), Duration::ZERO), Err(TimedOut));
            release.send(()).unwrap();
            yield occupies;
            yield Event::new().wait();
        };
        assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
    });
}

#[test]
fn a_deadlock_is_found_when_a_closure_that_was_cancelled_has_ended() {
    in_time(|| {
        let begun = Event::new();
        let remote = begun.remote();
        let main = co! {
            let closure = run_in_thread(move || {
                remote.set();
                while !tinyield::thread::is_cancelled() {
                    std::thread::yield_now();
                }
            });
            yield race((closure, begun.wait()));
            yield Event::new().wait();
        };
        assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
    });
}

#[test]
fn closures_that_wait_for_each_other_wake_all_idle_threads_of_their_pool() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 100;
    let leaders = in_time(|| {
        let pool = ThreadPool::new(THREADS);
        let meeting = Arc::new(Barrier::new(THREADS));
        // From the second round on, the threads of the round before are idle.
        let round = |_| {
            let meeting = meeting.clone();
            let closures = pool.map(move |_| meeting.wait().is_leader(), 0..THREADS);
            Loop::new().run(closures).unwrap().into_iter().filter(|is_leader| *is_leader).count()
        };
        (0..ROUNDS).map(round).sum::<usize>()
    });
    assert_eq!(leaders, ROUNDS);
}

/// Gives up on `count` closures that wait behind a busy thread. Returns the growth of the memory of this thread, in bytes.
#[coro]
fn give_up_behind_a_busy_thread(count: usize) -> Coro<isize> {
    let pool = ThreadPool::new(1);
    let (stop, stopped) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let busy = yield spawn(pool.run_in_thread(move || {
        begun.send(()).unwrap();
        stopped.recv().unwrap_err();
    }));
    yield;
    begins.recv().unwrap();
    let before = allocations::live();
    for _ in 0..count {
        let big = [1_u8; 1024];
        assert_eq!(yield timeout(pool.run_in_thread(move || big[7]), Duration::ZERO), Err(TimedOut));
    }
    let after = allocations::live();
    drop(stop);
    yield busy;
    after - before
}

#[test]
fn closures_that_are_cancelled_before_they_begin_leave_nothing_in_the_queue() {
    let [few, many] = [100, 1_000].map(|count| Loop::new().run(give_up_behind_a_busy_thread(count)).unwrap());
    assert!(many < few + 1024, "{few} bytes after 100, {many} after 1,000");
}

#[test]
fn a_loop_inside_of_a_closure_is_cancelled_with_the_closure() {
    let error = in_time(|| {
        let (begun, begins) = mpsc::channel();
        let (ended, ends) = mpsc::channel();
        let serves = run_in_thread(move || {
            let main = co! { begun.send(()).unwrap(); yield sleep(FOREVER); };
            let error = Loop::new().run(main).unwrap_err();
            ended.send(error.error().as_cancelled().unwrap().reason()).unwrap();
        });
        let fails = co! {
            yield;
            begins.recv().unwrap();
            Err("beside it")?;
        };
        let error = Loop::new().run((serves, fails)).unwrap_err();
        assert!(matches!(ends.recv().unwrap(), Reason::Failed { .. }));
        error.to_string()
    });
    assert_eq!(error, "beside it");
}

#[test]
fn a_loop_inside_of_a_loop_inside_of_a_closure_is_cancelled_with_the_closure() {
    in_time(|| {
        let serves = || {
            let innermost = run_in_thread(|| Loop::new().run(sleep(FOREVER)).is_err());
            Loop::new().run(co! { yield innermost; }).is_err()
        };
        assert_eq!(Loop::new().run(timeout(run_in_thread(serves), Duration::ZERO)).unwrap(), Err(TimedOut));
    });
}

#[test]
fn a_loop_that_a_cancelled_closure_begins_is_cancelled_at_once() {
    let is_err = in_time(|| {
        let (told, ends) = mpsc::channel();
        let (begun, begins) = mpsc::channel();
        let late = run_in_thread(move || {
            begun.send(()).unwrap();
            while !tinyield::thread::is_cancelled() {
                std::thread::yield_now();
            }
            told.send(Loop::new().run(sleep(FOREVER)).is_err()).unwrap();
        });
        let fails = co! { yield; begins.recv().unwrap(); Err("stop")?; };
        Loop::new().run((late, fails)).unwrap_err();
        ends.recv().unwrap()
    });
    assert!(is_err);
}

/// A limit on the address space, so that the stack of another thread does not fit.
#[cfg(target_os = "linux")]
mod refused {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    use tinyield::Event;

    use super::*;

    fn refuse_threads(is_refused: bool) {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split_whitespace().next().unwrap().parse().unwrap();
        let limit = if is_refused { pages * 4096 + (1 << 20) } else { RLIM_INFINITY };
        setrlimit(Resource::RLIMIT_AS, limit, RLIM_INFINITY).unwrap();
    }

    /// Runs `test`, the body of the test with this name, in a process of its own, because the limit holds for a whole process.
    fn in_child(name: &str, test: impl FnOnce()) {
        common::in_child(&format!("refused::{name}"), test);
    }

    #[test]
    fn a_closure_for_which_there_is_no_thread_raises() {
        in_child("a_closure_for_which_there_is_no_thread_raises", || {
            refuse_threads(true);
            let error = Loop::new().run(run_in_thread(|| 1)).unwrap_err();
            refuse_threads(false);
            assert!(error.to_string().contains("no thread could be started"), "{error}");
            assert!(error.error().location().file().ends_with("thread_pools.rs"));
        });
    }

    /// Runs two closures on `pool`, which may have two threads. The system refuses the second thread.
    fn second_waits_for_the_first(pool: ThreadPool) {
        let (stop, stopped) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let queued = Event::new();
        let is_queued = queued.clone();
        let main = co! {
            let first = yield spawn(pool.run_in_thread(move || {
                begun.send(()).unwrap();
                stopped.recv().unwrap_err();
            }));
            yield;
            begins.recv().unwrap();
            refuse_threads(true);
            let second = pool.run_in_thread(|| 2);
            let frees = co! {
                yield is_queued.wait();
                refuse_threads(false);
                drop(stop);
            };
            (yield (second, frees, first, co! { yield; queued.set(); })).0
        };
        assert_eq!(Loop::new().run(main).unwrap(), 2);
    }

    #[test]
    fn a_closure_that_is_refused_a_second_thread_waits_for_the_first() {
        in_child("a_closure_that_is_refused_a_second_thread_waits_for_the_first", || {
            second_waits_for_the_first(ThreadPool::new(2));
        });
    }

    #[test]
    fn a_closure_that_is_refused_a_second_thread_waits_for_one_that_has_run_a_loop_before() {
        in_child("a_closure_that_is_refused_a_second_thread_waits_for_one_that_has_run_a_loop_before", || {
            let pool = ThreadPool::new(2);
            Loop::new().run(pool.run_in_thread(|| Loop::new().run(co! {}).unwrap())).unwrap();
            second_waits_for_the_first(pool);
        });
    }

    #[test]
    fn a_closure_raises_if_the_only_thread_of_its_pool_waits_for_it() {
        in_child("a_closure_raises_if_the_only_thread_of_its_pool_waits_for_it", || {
            let pool = ThreadPool::new(2);
            let inner = pool.clone();
            let nested = pool.run_in_thread(move || {
                refuse_threads(true);
                let result = Loop::new().run(inner.run_in_thread(|| 1));
                refuse_threads(false);
                result.unwrap_err().to_string()
            });
            assert!(Loop::new().run(nested).unwrap().contains("no thread could be started"));
        });
    }

    #[test]
    fn closures_of_two_loops_at_once_that_are_refused_a_thread_all_raise() {
        const ROUNDS: usize = 2_000;
        in_child("closures_of_two_loops_at_once_that_are_refused_a_thread_all_raise", || {
            let (begin, end) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
            let loops: Vec<_> = (0..2)
                .map(|_| {
                    let (begin, end) = (begin.clone(), end.clone());
                    std::thread::spawn(move || {
                        let mut event_loop = Loop::new();
                        // These threads have to be started before the limit is set.
                        begin.wait();
                        begin.wait();
                        let failed = (0..ROUNDS).filter(|_| event_loop.run(run_in_thread(|| ())).is_err()).count();
                        end.wait();
                        failed
                    })
                })
                .collect();
            begin.wait();
            refuse_threads(true);
            begin.wait();
            end.wait();
            refuse_threads(false);
            for failed in loops {
                assert_eq!(failed.join().unwrap(), ROUNDS);
            }
        });
    }
}
