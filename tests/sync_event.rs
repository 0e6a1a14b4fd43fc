//! Events: waking is strict, waits with a limit leave nothing behind, and other threads may set them at any time.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Alive, Counter, LONG, Log, Wakes, ms, ran, to_end, to_idle};
use tinyield::{
    Coro, Deadlock, Event, Loop, LoopError, RemoteEvent, Step, catch, co, coro, isolate, run_in_thread, sleep, spawn,
    timeout,
};

#[coro]
fn logs_when_set(event: Event, log: Log, name: &'static str) -> Coro<()> {
    yield event.wait();
    log.push(name);
}

#[coro]
fn turns(count: usize) -> Coro<()> {
    for _ in 0..count {
        yield;
    }
}

fn is_deadlock(error: &LoopError) -> bool {
    error.error().downcast_ref::<Deadlock>().is_some()
}

#[test]
fn event() {
    let log = Log::new();
    let event = Event::new();
    let main = co! {
        yield spawn(logs_when_set(event.clone(), log.clone(), "woken"));
        yield turns(10);
        assert_eq!(log.len(), 0);
        assert!(!event.is_set());
        event.set();
        assert!(event.is_set());
        assert_eq!(log.len(), 0, "who is woken has its own turn");
        (event, log)
    };
    let (event, log) = Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["woken"]);
    assert!(event.is_set());
}

#[test]
fn a_set_event_is_one_turn() {
    let event = Event::new();
    event.set();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime({
        let event = event.clone();
        co! {
            yield event.wait();
            yield event.wait();
        }
    });
    assert_eq!(to_end(&mut runtime).0, 3);
}

#[test]
fn only_an_event_that_a_thread_sets() {
    for is_set in [false, true] {
        let event = Event::new();
        if is_set {
            event.set();
        } else {
            let remote = event.remote();
            thread::spawn(move || remote.set());
        }
        Loop::new().run(event.wait()).unwrap();
    }
}

#[test]
fn two_waits_for_one_event() {
    for is_set in [false, true] {
        let event = Event::new();
        if is_set {
            event.set();
        }
        let remote = event.remote();
        let main = co! {
            let waits = [event.wait(), event.wait()];
            if !is_set {
                thread::spawn(move || remote.set());
            }
            yield waits;
        };
        Loop::new().run(main).unwrap();
    }
}

#[test]
fn fault_of_the_reference_a_clear_right_after_set_loses_no_waiter() {
    let log = Log::new();
    let event = Event::new();
    event.set();
    event.clear();
    let main = co! {
        let both = (logs_when_set(event.clone(), log.clone(), "woken"), logs_when_set(event.clone(), log.clone(), "woken"));
        let sets = co! {
            yield;
            log.push("sets");
            event.set();
            event.clear();
            yield turns(5);
            log.push("done");
            log
        };
        let (_, _, log) = yield (both.0, both.1, sets);
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["sets", "woken", "woken", "done"]);
}

#[test]
fn who_comes_after_clear_waits_for_the_next_set() {
    let log = Log::new();
    let event = Event::new();
    let main = co! {
        yield spawn(logs_when_set(event.clone(), log.clone(), "early"));
        yield;
        event.set();
        event.clear();
        yield spawn(logs_when_set(event.clone(), log.clone(), "late"));
        yield turns(5);
        log.push("again");
        event.set();
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["early", "again", "late"]);
}

#[test]
fn each_part_of_a_gather_settles_by_itself() {
    let (one, other) = (Event::new(), Event::new());
    let main = co! {
        let waiter = yield spawn({
            let waits = (one.wait(), other.wait(), one.wait_timeout(LONG));
            co! { yield waits; "both" }
        });
        yield;
        one.set();
        one.clear();
        yield turns(3);
        assert!(!waiter.is_finished());
        other.set();
        other.clear();
        yield waiter
    };
    assert_eq!(Loop::new().run(main).unwrap(), "both");
}

#[test]
fn waiters_are_woken_first_in_first_out_with_a_limit_or_without() {
    let log = Log::new();
    let event = Event::new();
    let main = co! {
        for name in ["a", "b", "c", "d"] {
            let (event, log) = (event.clone(), log.clone());
            yield spawn(co! {
                if matches!(name, "a" | "c") {
                    assert!(yield event.wait_timeout(LONG));
                } else {
                    yield event.wait();
                }
                log.push(name);
            });
        }
        yield;
        event.set();
        yield turns(2);
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["a", "b", "c", "d"]);
}

#[test]
fn a_limit_tells_whether_it_was_set() {
    let main = co! {
        let event = Event::new();
        let start = Instant::now();
        assert!(!(yield event.wait_timeout(ms(5))));
        assert!(start.elapsed() >= ms(5));
        assert!(!(yield event.wait_timeout(Duration::ZERO)));
        let setter = event.clone();
        yield spawn(co! { yield; setter.set(); });
        assert!(yield event.wait_timeout(LONG));
        assert!(yield event.wait_timeout(Duration::ZERO));
        assert_eq!(event.statistics().waiting, 0);
    };
    let start = Instant::now();
    Loop::new().run(main).unwrap();
    assert!(start.elapsed() < LONG);
}

#[test]
fn a_wait_that_was_set_in_time_does_not_keep_its_timer() {
    // Else the run would wait for it, or a deadlock would not be seen.
    let event = Event::new();
    let main = co! {
        let setter = event.clone();
        yield spawn(co! { yield; setter.set(); setter.clear(); });
        assert!(yield event.wait_timeout(LONG));
        yield event.wait();
    };
    assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
}

#[test]
fn a_limit_of_the_longest_duration_is_none() {
    let event = Event::new();
    assert!(is_deadlock(&Loop::new().run(event.wait_timeout(Duration::MAX)).unwrap_err()));
}

#[test]
fn timed_out_first_and_set_later() {
    let (one, other) = (Event::new(), Event::new());
    let main = co! {
        let waiter = yield spawn({
            let waits = (one.wait_timeout(Duration::ZERO), other.wait());
            co! { (yield waits).0 }
        });
        yield turns(20);
        one.set();
        yield turns(20);
        other.set();
        yield waiter
    };
    assert!(!Loop::new().run(main).unwrap(), "it had timed out before");
}

#[test]
fn set_first_and_timed_out_never() {
    for then in ["nothing", "clear", "clear and set"] {
        let (one, other) = (Event::new(), Event::new());
        let main = co! {
            let waiter = yield spawn({
                let waits = (one.wait_timeout(Duration::ZERO), other.wait());
                one.set();
                co! { (yield waits).0 }
            });
            yield turns(20);
            if then != "nothing" {
                one.clear();
            }
            other.set();
            if then == "clear and set" {
                one.set();
            }
            yield waiter
        };
        assert!(Loop::new().run(main).unwrap(), "{then}");
    }
}

#[test]
fn a_timed_out_part_and_a_thread_that_sets_the_other() {
    let (one, other) = (Event::new(), Event::new());
    let remote = other.remote();
    thread::spawn(move || remote.set());
    let waits = (one.wait_timeout(Duration::ZERO), other.wait());
    assert_eq!(Loop::new().run(waits).unwrap(), (false, ()));
}

#[test]
fn what_follows_one_event_does_not_keep_others_waiting() {
    let log = Log::new();
    let main = co! {
        let both = [log.clone(), log.clone()].map(|log| co! {
            assert!(!(yield Event::new().wait_timeout(Duration::ZERO)));
            log.push(1);
            yield turns(20);
            log.push(2);
        });
        yield both;
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["1", "1", "2", "2"]);
}

#[test]
fn a_due_limit_is_served_however_busy_the_loop_is() {
    let log = Log::new();
    let main = co! {
        let waiting = log.clone();
        yield spawn(co! {
            yield Event::new().wait_timeout(Duration::ZERO);
            waiting.push("timed out");
        });
        yield turns(20);
        log.push("20 turns");
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["timed out", "20 turns"]);
}

#[test]
fn a_hundred_threads_set_one_event() {
    let event = Event::new();
    let main = co! {
        let remote = event.remote();
        let sets = co! {
            yield turns(20);
            let threads: Vec<_> = (0..100).map(|_| {
                let remote = remote.clone();
                run_in_thread(move || remote.set())
            }).collect();
            yield threads;
        };
        yield (event.wait(), sets);
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn a_coroutine_that_was_woken_is_freed_before_its_limit() {
    let alive = Alive::new();
    let (first, second) = (Event::new(), Event::new());
    let main = co! {
        let waits = |event: &Event, token| {
            let wait = event.wait_timeout(LONG);
            co! { yield wait; drop(token); }
        };
        yield spawn(waits(&second, alive.token()));
        let setter = first.clone();
        yield (waits(&first, alive.token()), co! { yield turns(20); setter.set(); });
        assert_eq!(alive.get(), 1);
        second.set();
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn a_waiter_that_gives_up_leaves_nothing() {
    let event = Event::new();
    let kept = event.clone();
    let main = co! {
        let _ = yield timeout(event.wait(), ms(1));
        let _ = yield timeout(event.wait_timeout(LONG), ms(1));
        let _ = yield timeout((event.wait(), event.wait_timeout(LONG), sleep(LONG)), ms(1));
        assert_eq!(event.statistics().waiting, 0);
        let failed = yield isolate({
            let waits = (event.wait(), event.wait_timeout(LONG));
            co! { yield (co! { yield waits; }, co! { yield; yield; Err("failed")?; }); }
        });
        assert_eq!(failed.unwrap_err().to_string(), "failed");
        assert_eq!(event.statistics().waiting, 0);
        // Nobody is woken, nobody waits for a timer.
        event.set();
        event.clear();
        yield event.wait();
    };
    assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
    assert_eq!(kept.statistics().waiting, 0);
}

#[test]
fn who_is_woken_and_cancelled_at_once_is_cancelled() {
    let event = Event::new();
    let main = co! {
        let waiter = event.clone();
        let result = yield isolate(co! {
            let wait = waiter.wait();
            yield spawn(co! {
                let cancelled = yield catch(wait);
                assert!(cancelled.is_err());
                cancelled?;
            });
            yield;
            waiter.set();
            Err("failed")?;
        });
        assert!(result.unwrap_err().others().is_empty());
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn code_outside_sets_it_between_steps_and_each_waiter_is_resumed_once() {
    let event = Event::new();
    let resumed = Counter::new();
    let main = {
        let (event, resumed) = (event.clone(), resumed.clone());
        co! {
            for _ in 0..2 {
                yield event.wait();
                resumed.up();
            }
        }
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    let (steps, _) = to_idle(&mut runtime);
    assert_eq!(steps, 1);
    assert_eq!(event.statistics().waiting, 1);
    event.set();
    event.clear();
    assert_eq!(event.statistics().waiting, 0);
    ran(&mut runtime);
    assert_eq!(resumed.get(), 1);
    assert!(matches!(runtime.step(), Step::Idle(_)));
    event.set();
    event.set();
    ran(&mut runtime);
    assert!(matches!(runtime.step(), Step::Done(Ok(()))));
    assert_eq!(resumed.get(), 2);
}

#[test]
fn a_host_that_sleeps_is_woken_by_code_outside_and_by_threads() {
    let event = Event::new();
    let remote = event.remote();
    let (wakes, waker) = Wakes::new();
    let mut context = std::task::Context::from_waker(&waker);
    let wait = event.wait();
    let again = event.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! { yield wait; again.clear(); yield again.wait(); });
    assert!(runtime.poll(&mut context).is_pending());
    assert_eq!(wakes.get(), 0);
    event.set();
    assert_eq!(wakes.get(), 1);
    assert!(runtime.poll(&mut context).is_pending());
    thread::spawn(move || remote.set()).join().unwrap();
    assert_eq!(wakes.get(), 2);
    assert!(runtime.poll(&mut context).is_ready());
}

#[test]
fn coroutines_of_two_loops_wait_for_one_event() {
    let event = Event::new();
    let (mut one, mut other) = (Loop::new(), Loop::new());
    let mut one = one.runtime(event.wait());
    let mut other = other.runtime(event.wait_timeout(LONG));
    let _ = to_idle(&mut one);
    let _ = to_idle(&mut other);
    event.set();
    assert!(to_end(&mut one).1.is_ok());
    assert!(to_end(&mut other).1.unwrap());
}

#[test]
fn a_thread_wakes_the_coroutines_of_every_loop() {
    let event = Event::new();
    let remote = event.remote();
    let (mut one, mut other) = (Loop::new(), Loop::new());
    let mut one = one.runtime(event.wait());
    let mut other = other.runtime(event.wait());
    let _ = to_idle(&mut one);
    let _ = to_idle(&mut other);
    thread::spawn(move || {
        remote.set();
        remote.clear();
    });
    // Each sleeps by itself.
    assert!(to_end(&mut other).1.is_ok());
    assert!(to_end(&mut one).1.is_ok());
}

#[test]
fn set_and_cleared_by_a_thread_at_once_wakes_exactly_those_who_waited() {
    let log = Log::new();
    let event = Event::new();
    let remote = event.remote();
    let main = co! {
        yield spawn(logs_when_set(event.clone(), log.clone(), "early"));
        yield spawn(logs_when_set(event.clone(), log.clone(), "early"));
        yield;
        // Joined, so the loop has not looked yet.
        thread::scope(|scope| {
            scope.spawn(|| {
                remote.set();
                remote.clear();
            });
        });
        yield spawn(logs_when_set(event.clone(), log.clone(), "late"));
        assert!(!event.is_set());
        yield turns(5);
        log.push("again");
        remote.set();
        yield turns(5);
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["early", "early", "again", "late"]);
}

#[test]
fn both_sides_see_one_flag() {
    let event = Event::new();
    event.set();
    let remote = event.remote();
    assert!(remote.is_set());
    event.clear();
    assert!(!remote.is_set());
    remote.set();
    assert!(event.is_set());
    let again = event.remote();
    remote.clear();
    assert!(!again.is_set() && !event.is_set());
    assert_eq!(event.statistics().remotes, 2);
    drop((remote, again));
    assert_eq!(event.statistics().remotes, 0);
    event.set();
    assert!(event.is_set());
}

#[test]
fn a_remote_handle_outlives_loop_and_event() {
    let event = Event::new();
    let remote = event.remote();
    let setter = remote.clone();
    let mut event_loop = Loop::new();
    event_loop.run((event.wait(), run_in_thread(move || setter.set()))).unwrap();
    drop(event_loop);
    drop(event);
    thread::spawn(move || {
        assert!(remote.is_set());
        remote.clear();
        assert!(!remote.is_set());
        remote.set();
        assert!(remote.clone().is_set());
    })
    .join()
    .unwrap();
}

#[test]
fn remote_handles_are_send_and_sync() {
    fn is<T: Send + Sync + Clone + 'static>() {}
    is::<RemoteEvent>();
}

#[test]
fn a_remote_handle_that_is_kept_is_no_deadlock_and_dropped_it_is_one_at_once() {
    static ABOUT_TO_DROP: AtomicBool = AtomicBool::new(false);
    let event = Event::new();
    let remote = event.remote();
    // It may be kept anywhere: in a queue, say.
    let (send, receive) = mpsc::channel::<RemoteEvent>();
    send.send(remote.clone()).unwrap();
    drop(remote);
    let thread = thread::spawn(move || {
        thread::yield_now();
        ABOUT_TO_DROP.store(true, SeqCst);
        drop(receive);
    });
    let start = Instant::now();
    let error = Loop::new().run(event.wait()).unwrap_err();
    assert!(is_deadlock(&error));
    assert!(ABOUT_TO_DROP.load(SeqCst));
    assert!(start.elapsed() < LONG);
    thread.join().unwrap();
}

#[test]
fn a_remote_handle_made_while_somebody_waits_counts() {
    let event = Event::new();
    let waits = event.wait();
    let remotes = co! {
        yield;
        assert_eq!(event.statistics().waiting, 1);
        let remote = event.remote();
        thread::spawn(move || remote.set());
    };
    Loop::new().run((waits, remotes)).unwrap();
}

#[test]
fn a_remote_handle_of_an_event_that_nobody_waits_for_does_not_hide_a_deadlock() {
    let (watched, stuck) = (Event::new(), Event::new());
    let _remote = watched.remote();
    let main = co! {
        assert!(!(yield watched.wait_timeout(ms(1))));
        let _ = yield timeout(watched.wait(), ms(1));
        yield stuck.wait();
    };
    assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
}

#[test]
fn a_remote_handle_of_an_event_whose_limit_is_over_does_not_hide_a_deadlock() {
    let (event, other) = (Event::new(), Event::new());
    let _before = event.remote();
    let waits = (event.wait_timeout(ms(1)), other.wait());
    let main = co! {
        yield spawn(co! { yield waits; });
        yield;
        let _after = event.remote();
        yield sleep(ms(1)); // which is over after the limit
        assert_eq!(event.statistics().waiting, 0);
        yield Event::new().wait();
    };
    assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
}

#[test]
fn setting_as_the_last_act_of_a_handle_is_never_taken_for_a_deadlock() {
    for _ in 0..500 {
        let event = Event::new();
        let wait = event.wait();
        let sets = co! {
            let remote = event.remote();
            thread::spawn(move || {
                remote.set();
                remote.clear();
            });
        };
        Loop::new().run((wait, sets)).unwrap();
    }
}

#[test]
fn a_destructor_may_set_and_wait_again() {
    struct Sets(Event, Rc<Cell<bool>>);
    impl Drop for Sets {
        fn drop(&mut self) {
            self.0.set();
            self.1.set(true);
        }
    }
    let event = Event::new();
    let dropped = Rc::new(Cell::new(false));
    let main = co! {
        let sets = Sets(event.clone(), dropped.clone());
        let never = Event::new();
        let held = co! { yield never.wait(); drop(sets); };
        let result = yield isolate(co! { yield (held, co! { yield; Err("failed")?; }); });
        assert!(result.is_err());
        yield event.wait();
        dropped.get()
    };
    assert!(Loop::new().run(main).unwrap());
}

#[test]
fn a_part_settled_in_its_own_turn_is_one_turn() {
    let mut event_loop = Loop::new();
    let (sender, receiver) = tinyield::channel::unbounded();
    let count = Counter::new();
    let counted = count.clone();
    let main = co! {
        let (received, sent) = yield (receiver.recv(), sender.send(7));
        assert_eq!(received, Ok(7));
        assert!(sent.is_ok());
        yield;
        yield;
        count.up();
    };
    let mut runtime = event_loop.runtime(main);
    assert_eq!(to_end(&mut runtime).0, 4);
    assert_eq!(counted.get(), 1);
}

#[test]
fn it_tells_who_waits() {
    let event = Event::new();
    assert_eq!(format!("{event:?}"), "Event { is_set: false, waiting: 0, remotes: 0 }");
    let stuck = event.clone();
    let error = Loop::new().run(co! { yield stuck.wait(); }.named("waiter")).unwrap_err();
    let deadlock = error.error().downcast_ref::<Deadlock>().unwrap();
    assert!(deadlock.to_string().contains("an event"), "{deadlock}");
    assert!(deadlock.to_string().contains("waiter"), "{deadlock}");
}

#[derive(Clone)]
struct SemaphoreOfEvents(Event, Rc<Cell<usize>>);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.1.set(self.0.1.get() + 1);
        self.0.0.set();
    }
}
struct Released(SemaphoreOfEvents);

#[test]
fn alternate_semaphore() {
    #[coro]
    fn count(semaphore: SemaphoreOfEvents, inside: Counter, i: usize) -> Coro<usize> {
        loop {
            yield semaphore.0.wait();
            if semaphore.0.is_set() {
                break;
            }
        }
        assert!(semaphore.1.get() > 0);
        semaphore.1.set(semaphore.1.get() - 1);
        if semaphore.1.get() == 0 {
            semaphore.0.clear();
        }
        let _released = Released(semaphore);
        inside.up();
        if inside.get() > 2 {
            Err("too many")?;
        }
        yield;
        inside.down();
        i
    }
    let run = |permits| {
        let semaphore = SemaphoreOfEvents(Event::new(), Rc::new(Cell::new(permits)));
        semaphore.0.set();
        let inside = Counter::new();
        let all: Vec<_> = (0..50).map(|i| count(semaphore.clone(), inside.clone(), i)).collect();
        Loop::new().run(all)
    };
    assert_eq!(run(2).unwrap(), (0..50).collect::<Vec<_>>());
    assert_eq!(run(3).unwrap_err().to_string(), "too many");
}

#[test]
fn a_remote_handle_that_is_made_later_reaches_those_who_wait_already() {
    let event = Event::new();
    let made = event.clone();
    let remote = co! {
        let remote = made.remote();
        run_in_thread(move || remote.set()).yield;
    };
    let (set, (), ()) = Loop::new().run((event.wait_timeout(LONG), event.wait(), remote)).unwrap();
    assert!(set);
}
