//! Events: a set wakes every coroutine that waits, and a wait that ends early leaves nothing behind.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{Alive, Counter, LONG, Log, ms, ran, simulated, to_end, to_idle};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Deadlock, Event, Loop, LoopError, Step, Wait, catch, co, coro, isolate, sleep, spawn, timeout};

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
fn a_set_wakes_the_waiting_coroutine_in_its_own_turn() {
    let log = Log::new();
    let event = Event::new();
    let main = co! {
        yield spawn(logs_when_set(event.clone(), log.clone(), "woken"));
        yield turns(10);
        assert_eq!(log.len(), 0);
        assert!(!event.is_set());
        event.set();
        assert!(event.is_set());
        assert_eq!(log.len(), 0, "the woken coroutine goes on in its own turn");
        (event, log)
    };
    let (event, log) = Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["woken"]);
    assert!(event.is_set());
}

#[test]
fn waiting_for_a_set_event_takes_one_turn() {
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
fn a_clear_right_after_a_set_loses_no_waiter() {
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
fn a_wait_that_begins_after_a_clear_needs_the_next_set() {
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
fn waits_with_and_without_a_limit_are_woken_in_order() {
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
fn wait_timeout_returns_whether_the_event_was_set() {
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
fn a_wait_that_ends_before_its_limit_removes_its_timer() {
    // If the timer were still there, the loop would wait for it instead of reporting a deadlock.
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
fn the_longest_duration_is_no_limit() {
    let event = Event::new();
    assert!(is_deadlock(&Loop::new().run(event.wait_timeout(Duration::MAX)).unwrap_err()));
}

#[test]
fn a_part_that_timed_out_stays_timed_out_when_the_event_is_set_later() {
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
    assert!(!Loop::new().run(main).unwrap(), "the limit came before the set");
}

#[test]
fn a_part_that_was_set_in_time_does_not_time_out_later() {
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
fn coroutines_that_wait_for_different_events_do_not_delay_each_other() {
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
fn a_busy_loop_serves_a_limit_in_time() {
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
fn a_cancelled_wait_leaves_nothing_behind() {
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
        // No wait and no timer is left: the next wait is a deadlock.
        event.set();
        event.clear();
        yield event.wait();
    };
    assert!(is_deadlock(&simulated().run(main).unwrap_err()));
    assert_eq!(kept.statistics().waiting, 0);
}

#[test]
fn a_coroutine_that_is_woken_and_cancelled_at_once_sees_the_cancellation() {
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
fn a_set_between_steps_resumes_each_waiter_once() {
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
fn a_set_wakes_the_coroutines_of_two_loops() {
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
fn a_destructor_may_set_an_event() {
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
fn a_gather_whose_parts_are_ready_at_once_takes_one_turn() {
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
fn a_deadlock_names_the_event_and_the_waiter() {
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
fn a_semaphore_can_be_built_from_an_event() {
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

/// Polls a wait until it is ready, and once more. Returns both outcomes.
fn polled_twice<W: Wait + 'static>(wait: W) -> Coro<[W::Output; 2]> {
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut wait = resume.begin(wait);
            loop {
                if let Poll::Ready(first) = wait.poll(&resume) {
                    let Poll::Ready(second) = wait.poll(&resume) else { panic!("a ready wait stays ready") };
                    break Outcome::value([first?, second?]);
                }
                resume = yield Suspend;
            }
        },
    )
}

#[test]
fn a_wait_that_is_polled_again_returns_the_same_outcome() {
    let event = Event::new();
    let main = co! {
        let too_early = yield polled_twice(event.wait_timeout(Duration::ZERO));
        let setter = event.clone();
        let in_time = polled_twice(event.wait_timeout(LONG));
        let (in_time, ()) = yield (in_time, co! { setter.set(); });
        (too_early, in_time, yield polled_twice(event.wait_timeout(LONG)))
    };
    assert_eq!(Loop::new().run(main).unwrap(), ([false; 2], [true; 2], [true; 2]));
}
