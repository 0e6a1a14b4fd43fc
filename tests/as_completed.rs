//! `as_completed`: values in the order in which their coroutines finish.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use common::{Alive, FOREVER, LONG, ms, simulated};
use tinyield::{
    AsCompleted, Coro, Deadlock, Event, Loop, Step, ThreadPool, as_completed, catch, co, coro, isolate, sleep, spawn,
    timeout,
};

/// Ends after a number of turns.
#[coro]
fn after(turns: usize) -> Coro<usize> {
    for _ in 0..turns {
        yield;
    }
    turns
}

#[test]
fn sleepers_come_in_the_order_in_which_they_complete() {
    #[coro]
    fn naps(ms: u64) -> Coro<u64> {
        yield sleep(Duration::from_millis(ms));
        ms
    }
    let main = co! {
        let mut order = Vec::new();
        for next in yield as_completed([naps(30), naps(1), naps(15)]) {
            order.push(yield next);
        }
        order
    };
    assert_eq!(Loop::builder().simulated(0).build().run(main).unwrap(), [1, 15, 30]);
}

#[test]
fn each_item_has_its_value_whatever_the_order_in_which_the_items_are_awaited() {
    let main = co! {
        let completed = yield as_completed(vec![after(3), after(1), after(2)]);
        let [first, second, third]: [_; 3] = completed.collect::<Vec<_>>().try_into().unwrap();
        let third = yield third;
        let second = yield second;
        [yield first, second, third]
    };
    assert_eq!(Loop::new().run(main).unwrap(), [1, 2, 3]);
}

#[test]
fn results_of_a_pool_come_as_soon_as_they_are_ready() {
    let main = co! {
        let pool = ThreadPool::new(16);
        let (go_on, is_loaded) = mpsc::channel();
        let mut is_loaded = Some(is_loaded);
        let transforms: Vec<_> = (0..100).map(|x| {
            let first_waits = is_loaded.take();
            pool.run_in_thread(move || {
                // The first one finishes after many of the others.
                first_waits.into_iter().for_each(|is_loaded| is_loaded.recv().unwrap());
                x * x
            })
        }).collect();
        let mut loaded = Vec::new();
        for next in yield as_completed(transforms) {
            loaded.push(yield next);
            if loaded.len() == 50 {
                go_on.send(()).unwrap();
            }
        }
        loaded
    };
    let squares: Vec<_> = (0..100).map(|x| x * x).collect();
    let mut loaded = Loop::new().run(main).unwrap();
    assert_ne!(loaded, squares, "in order of completion");
    loaded.sort_unstable();
    assert_eq!(loaded, squares);
}

#[test]
fn items_can_be_gathered() {
    let main = co! {
        let all: Vec<_> = (yield as_completed((0..10).rev().map(after))).collect();
        yield all
    };
    assert_eq!(Loop::new().run(main).unwrap(), (0..10).collect::<Vec<_>>());
}

#[test]
fn the_length_of_the_iterator_is_exact() {
    let main = co! {
        let mut completed: AsCompleted<usize> = yield as_completed([after(0), after(1)]);
        assert_eq!(completed.len(), 2);
        assert_eq!(completed.size_hint(), (2, Some(2)));
        let first = completed.next().unwrap();
        assert_eq!(completed.len(), 1);
        assert_eq!(yield first, 0);
        assert_eq!(yield completed.next().unwrap(), 1);
        assert_eq!(completed.len(), 0);
        assert!(completed.next().is_none() && completed.next().is_none());
        assert_eq!((yield as_completed(Vec::<Coro<()>>::new())).len(), 0);
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn coroutines_start_at_the_yield_and_run_to_the_end_without_waiters() {
    let ended = Rc::new(Cell::new(0));
    let ends = |turns| {
        let ended = ended.clone();
        co! { yield after(turns); ended.set(ended.get() + 1); }
    };
    drop(as_completed([ends(0), ends(1)]));
    let all = as_completed([ends(0), ends(5)]);
    Loop::new().run(co! { drop(yield all); }).unwrap();
    assert_eq!(ended.get(), 2);
}

#[test]
fn values_of_dropped_items_are_dropped_at_once() {
    let alive = Alive::new();
    let main = co! {
        let tokens: Vec<_> = (0..4).map(|turns| { let alive = alive.clone(); co! { yield after(turns); alive.token() } }).collect();
        let mut completed = yield as_completed(tokens);
        let (first, second) = (completed.next().unwrap(), completed.next().unwrap());
        drop(second);
        drop(yield completed.next().unwrap());
        drop(completed);
        yield after(10);
        assert_eq!(alive.get(), 1, "the value of the first item is kept");
        drop(yield first);
        assert_eq!(alive.get(), 0);
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn an_item_whose_wait_timed_out_takes_no_value_from_the_others() {
    let main = co! {
        let event = Event::new();
        let wait = event.wait();
        let mut completed = yield as_completed([co! { yield wait; 1 }, co! { yield sleep(LONG); 2 }]);
        let (first, second) = (completed.next().unwrap(), completed.next().unwrap());
        assert!((yield timeout(second, ms(1))).is_err());
        event.set();
        assert_eq!(yield first, 1);
        Err("enough")?;
    };
    assert_eq!(simulated().run(main).unwrap_err().to_string(), "enough");
}

#[test]
fn an_error_stops_everything() {
    let main = co! {
        for next in yield as_completed([after(1), co! { yield; yield; Err("failed")? }, co! { yield sleep(LONG); 0 }]) {
            yield next;
        }
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert!(error.others().is_empty());
}

#[test]
fn an_item_outside_of_the_failed_domain_raises_its_error() {
    let main = co! {
        let items = Rc::new(Cell::new(None));
        let handed_out = items.clone();
        let failing = yield spawn(isolate_and_hand_out(handed_out));
        let mut completed = loop {
            if let Some(completed) = items.take() {
                break completed;
            }
            yield;
        };
        let (first, second) = (completed.next().unwrap(), completed.next().unwrap());
        assert_eq!(yield first, 0);
        let waits = yield isolate(co! { yield second });
        assert_eq!(waits.unwrap_err().to_string(), "failed");
        let late = completed.next().unwrap();
        let late = yield isolate(co! { yield late });
        assert_eq!(late.unwrap_err().to_string(), "failed");
        yield failing;
    };
    Loop::new().run(main).unwrap();
}

#[coro]
fn isolate_and_hand_out(items: Rc<Cell<Option<AsCompleted<usize>>>>) -> Coro<()> {
    let failed = yield isolate(co! {
        let fails = co! { yield after(9); Err("failed")? };
        items.set(Some(yield as_completed([after(0), fails, co! { yield sleep(LONG); 0 }])));
    });
    assert_eq!(failed.unwrap_err().to_string(), "failed");
}

/// Items of an `as_completed` in another domain. The domain fails ten turns later.
fn items_of_a_failing_domain(coros: impl FnOnce() -> Vec<Coro<usize>> + 'static) -> Coro<AsCompleted<usize>> {
    co! {
        let items = Rc::new(Cell::new(None));
        let hands_out = items.clone();
        let fails = co! {
            let failed = yield isolate(co! {
                hands_out.set(Some(yield as_completed(coros())));
                yield after(10);
                Err("failed")?;
            });
            assert_eq!(failed.unwrap_err().to_string(), "failed");
        };
        yield spawn(fails);
        loop {
            if let Some(items) = items.take() {
                break items;
            }
            yield;
        }
    }
}

#[test]
fn an_item_outside_of_the_failed_domain_raises_at_once_in_a_gather() {
    let main = co! {
        let next = (yield items_of_a_failing_domain(|| vec![co! { yield sleep(LONG); 0 }])).next().unwrap();
        let error = (yield catch((next, sleep(FOREVER)))).unwrap_err();
        assert_eq!(error.to_string(), "failed");
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn items_outside_of_the_failed_domain_get_the_values_that_came_before_the_error() {
    let main = co! {
        let mut items = yield items_of_a_failing_domain(|| vec![co! { yield sleep(LONG); 0 }, after(1), after(2)]);
        yield after(20);
        let values = (yield items.next().unwrap(), yield items.next().unwrap());
        assert_eq!(values, (1, 2));
        let failed = (yield catch(items.next().unwrap())).unwrap_err();
        assert_eq!(failed.to_string(), "failed");
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn items_outside_get_the_error_of_coroutines_that_never_started() {
    let main = co! {
        let items = Rc::new(Cell::new(None));
        let hands_out = items.clone();
        let domain = isolate(co! {
            let all = (co! { hands_out.set(Some(yield as_completed([after(1), after(2)]))); }, co! { yield; Err("failed")?; });
            yield all;
        });
        assert_eq!((yield domain).unwrap_err().to_string(), "failed");
        let mut raised = 0;
        for next in items.take().unwrap() {
            assert_eq!((yield catch(next)).unwrap_err().to_string(), "failed");
            raised += 1;
        }
        assert_eq!(raised, 2);
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn values_of_items_that_are_kept_are_dropped_with_the_items() {
    let alive = Alive::new();
    let tokens = alive.clone();
    let main = co! {
        let coros: Vec<_> = (0..3).map(|_| { let token = tokens.token(); co! { token } }).collect();
        let mut items = yield as_completed(coros);
        yield after(5);
        (items.next(), items)
    };
    let kept = Loop::new().run(main).unwrap();
    assert_eq!(alive.get(), 3);
    drop(kept.0);
    assert_eq!(alive.get(), 2);
    drop(kept.1);
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_deadlock_report_names_as_completed() {
    let never = Event::new().wait();
    let main = co! {
        for next in yield as_completed([co! { yield never; }]) {
            yield next;
        }
    };
    let error = Loop::new().run(main.named("consumer")).unwrap_err();
    let deadlock = error.error().downcast_ref::<Deadlock>().unwrap();
    assert!(deadlock.to_string().contains("as_completed"), "{deadlock}");
}

#[test]
fn any_waits_can_be_taken_as_completed() {
    let event = Event::new();
    let main = co! {
        let first = event.clone();
        let mut items = yield as_completed([first.wait(), event.wait()]);
        event.set();
        let both = (yield items.next().unwrap(), yield items.next().unwrap());
        let (sender, receiver) = tinyield::channel::unbounded();
        sender.try_send(5)?;
        let mut received = yield as_completed(vec![receiver.recv()]);
        (both, (yield received.next().unwrap())?)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (((), ()), 5));
}

/// The largest number of coroutines that ran at the same time, and the number of all that ran.
#[derive(Clone, Default)]
struct Load {
    running: Rc<Cell<usize>>,
    most: Rc<Cell<usize>>,
    begun: Rc<Cell<usize>>,
}

#[coro]
fn loaded(load: Load, turns: usize) -> Coro<usize> {
    load.running.update(|running| running + 1);
    load.begun.update(|begun| begun + 1);
    load.most.set(load.most.get().max(load.running.get()));
    for _ in 0..turns {
        yield;
    }
    load.running.update(|running| running - 1);
    turns
}

#[test]
fn limit_starts_that_many_at_a_time_and_takes_from_the_iterator_lazily() {
    let load = Load::default();
    let made = Rc::new(Cell::new(0));
    let main = {
        let (load, made) = (load.clone(), made.clone());
        co! {
            let (each, count) = (load.clone(), made.clone());
            let coros = (0..100).map(move |n| { count.set(n + 1); loaded(each.clone(), n * 7 % 5 + 1) });
            let mut sum = 0;
            let mut items = yield as_completed(coros).limit(16);
            assert_eq!((items.len(), made.get()), (100, 16));
            for next in items.by_ref() {
                sum += yield next;
                assert!(made.get() <= load.begun.get() + 17);
            }
            assert!(items.next().is_none());
            sum
        }
    };
    assert_eq!(Loop::new().run(main).unwrap(), (0..100).map(|n| n * 7 % 5 + 1).sum());
    assert_eq!((load.most.get(), load.begun.get(), load.running.get()), (16, 100, 0));
}

#[test]
fn limit_of_one_runs_them_one_after_the_other_and_a_high_one_runs_all() {
    for (limit, most) in [(1, 1), (1_000, 10)] {
        let load = Load::default();
        let each = load.clone();
        let main = co! {
            let items: Vec<_> = (yield as_completed((0..10).map(move |n| loaded(each.clone(), n + 1))).limit(limit)).collect();
            yield items
        };
        assert_eq!(Loop::new().run(main).unwrap(), (1..=10).collect::<Vec<_>>());
        assert_eq!((load.most.get(), load.begun.get()), (most, 10));
    }
}

#[test]
fn an_endless_iterator_is_not_advanced_after_the_items_are_dropped() {
    let load = Load::default();
    let each = load.clone();
    let main = co! {
        let mut items = yield as_completed((0..).map(move |n| loaded(each.clone(), n % 3))).limit(2);
        for _ in 0..1_000 {
            yield items.next().unwrap();
        }
    };
    Loop::new().run(main).unwrap();
    assert!((1_000..=1_003).contains(&load.begun.get()), "{}", load.begun.get());
    assert_eq!(load.running.get(), 0);
}

/// Items that were requested and kept are started, even if the iterator over them is dropped.
#[test]
fn requested_items_are_started_although_the_iterator_is_dropped() {
    let main = co! {
        let mut items = yield as_completed((0..).map(|n| co! { yield; n })).limit(1);
        let kept: Vec<_> = items.by_ref().take(5).collect();
        drop(items);
        yield kept
    };
    assert_eq!(Loop::new().run(main).unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn error_with_a_limit_stops_all_and_starts_no_more() {
    let begun = Rc::new(Cell::new(0));
    let count = begun.clone();
    let main = co! {
        let coros = (0..100).map(move |n| {
            let count = count.clone();
            co! { count.set(count.get() + 1); yield; if n == 3 { Err("third")?; } n }
        });
        for next in yield as_completed(coros).limit(2) {
            yield next;
        }
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "third");
    assert!(begun.get() <= 5, "{}", begun.get());
}

#[test]
#[should_panic(expected = "a limit of 0 starts nothing; it has to be at least 1")]
fn limit_of_zero_panics() {
    let _ = as_completed([co! { 1 }]).limit(0);
}

/// The errors and values of items that are taken outside of a domain that fails. The first of four coroutines fails.
fn outside_of_a_failed_domain(limit: usize, asks_before: bool) -> Vec<Result<u32, String>> {
    let kept: Rc<Cell<Option<AsCompleted<u32>>>> = Rc::default();
    let keeps = kept.clone();
    let main = co! {
        let failing = co! {
            let coros = (0..4u32).map(|n| co! { for _ in 0..4 { yield; } if n == 0 { Err("inside")?; } n });
            keeps.set(Some(yield as_completed(coros).limit(limit)));
            yield Event::new().wait();
        };
        let failing = co! { (yield isolate(failing)).map_err(|error| error.to_string()) };
        let inside = yield spawn(failing);
        let waits = |items: AsCompleted<u32>, count| {
            let items = items.take(count);
            items.map(|next| co! { (yield catch(next)).map_err(|error| error.to_string()) }).collect::<Vec<_>>()
        };
        if asks_before {
            yield;
            yield;
            let got = yield waits(kept.take().unwrap(), 4);
            assert_eq!(yield inside, Err("inside".to_string()));
            got
        } else {
            assert_eq!(yield inside, Err("inside".to_string()));
            yield waits(kept.take().unwrap(), 4)
        }
    };
    Loop::new().run(main).unwrap()
}

#[test]
fn items_with_a_limit_that_are_never_started_raise_the_error_of_the_failed_domain() {
    for limit in [1, 3, 10] {
        let got = outside_of_a_failed_domain(limit, true);
        assert_eq!(got, vec![Err("inside".to_string()); 4], "limit {limit}");
    }
}

#[test]
fn iterator_with_a_limit_ends_after_its_started_items_when_the_domain_has_failed() {
    for limit in [1, 3, 10] {
        let got = outside_of_a_failed_domain(limit, false);
        assert_eq!(got, vec![Err("inside".to_string()); limit.min(4)], "limit {limit}");
    }
}

#[test]
fn the_rest_of_a_limited_iterator_is_dropped_when_a_coroutine_has_failed() {
    let alive = Alive::new();
    let kept: Rc<Cell<Option<AsCompleted<()>>>> = Rc::default();
    let (tokens, keeps, holds) = (alive.clone(), kept.clone(), alive.token());
    let main = co! {
        let failed = yield isolate(co! {
            let coros = (0..100).map(move |_| { let _ = &holds; let token = tokens.token(); co! { let _token = token; yield; Err("inside")?; } });
            let mut items = yield as_completed(coros).limit(2);
            let asked: Vec<_> = (0..10).map(|_| items.next()).collect();
            keeps.set(Some(items));
            yield Event::new().wait();
            drop(asked);
        });
        assert!(failed.is_err());
        alive.get()
    };
    assert_eq!(Loop::new().run(main).unwrap(), 0);
    drop(kept);
}

/// A coroutine waits for an item, and the coroutine of this item waits for the first coroutine.
#[test]
fn cycle_through_an_item_with_a_limit_is_found_in_a_hosted_loop() {
    for (limit, before) in [(1, 0), (2, 0), (5, 0), (1, 3), (2, 3)] {
        let own: Rc<Cell<Option<tinyield::JoinHandle<()>>>> = Rc::default();
        let kept = own.clone();
        let main = co! {
            let waits = co! {
                yield;
                let mut outer = own.take();
                // The last coroutine waits for this one. The coroutines before it end.
                let coros = (0..=before).map(move |n| {
                    let outer = if n == before { outer.take() } else { None };
                    co! { match outer { Some(outer) => yield outer, None => yield } }
                });
                for next in yield as_completed(coros).limit(limit) {
                    yield next;
                }
            };
            kept.set(Some(yield spawn(waits)));
        };
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(main);
        let result = loop {
            match runtime.step() {
                Step::Ran => {}
                Step::Idle(_) => panic!("idle with a limit of {limit}, after {before}"),
                Step::Done(result) => break result,
            }
        };
        assert!(!result.unwrap_err().downcast_ref::<Deadlock>().unwrap().cycle().is_empty());
    }
}

/// With a limit of 1, the second coroutine starts when the first one ends, and the second item waits for it. The first coroutine waits for
/// the host, so there is no cycle.
#[test]
fn items_with_a_limit_that_the_host_can_settle_are_no_cycle() {
    let event = Event::new();
    let (waits, sets) = (event.clone(), event);
    let main = co! {
        let mut items = yield as_completed([co! { yield waits.wait(); 1 }, co! { 2 }]).limit(1);
        let (first, second) = (items.next().unwrap(), items.next().unwrap());
        let second = yield spawn(co! { yield second });
        (yield first, yield second)
    };
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    let result = loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(_) => sets.set(),
            Step::Done(result) => break result,
        }
    };
    assert_eq!(result.unwrap(), (1, 2));
}
