//! Barriers: all or nobody, round after round.
#![feature(coroutines)]

mod common;

use common::{Counter, Log, ms, panic_of, to_end};
use tinyield::{Barrier, Coro, Deadlock, Loop, co, coro, spawn, timeout};

#[coro]
fn comes(barrier: Barrier, count: Counter) -> Coro<usize> {
    count.up();
    let index = yield barrier.wait();
    assert_eq!(count.get(), 3);
    index
}

#[test]
fn barrier() {
    let barrier = Barrier::new(3);
    let count = Counter::new();
    let all = [(); 3].map(|()| comes(barrier.clone(), count.clone()));
    assert_eq!(Loop::new().run(all).unwrap(), [0, 1, 2]);
}

#[test]
fn none_at_all_is_a_mistake() {
    assert_eq!(panic_of(|| Barrier::new(0)), "a barrier for 0 parties could never open; it takes at least 1");
}

#[test]
fn for_one_it_is_a_turn() {
    let mut event_loop = Loop::new();
    let barrier = Barrier::new(1);
    let mut runtime = event_loop.runtime(barrier.wait());
    let (steps, index) = to_end(&mut runtime);
    assert_eq!((steps, index.unwrap()), (2, 0));
}

#[test]
fn round_after_round() {
    let log = Log::new();
    let barrier = Barrier::new(2);
    let walker = |name: &'static str, turns: usize| {
        let (barrier, log) = (barrier.clone(), log.clone());
        co! {
            for round in 0..3 {
                for _ in 0..turns {
                    yield;
                }
                log.push(format!("{round}{name}"));
                let _ = yield barrier.wait();
            }
        }
    };
    Loop::new().run((walker("slow", 5), walker("fast", 0))).unwrap();
    assert_eq!(log.take(), ["0fast", "0slow", "1fast", "1slow", "2fast", "2slow"]);
}

#[test]
fn who_gives_up_has_not_come_and_the_indices_have_no_gap() {
    let barrier = Barrier::new(3);
    let main = co! {
        assert!((yield timeout(barrier.wait(), ms(1))).is_err());
        assert_eq!(barrier.statistics().waiting, 0);
        let first = yield spawn({
            let wait = barrier.wait();
            co! { yield wait }
        });
        yield;
        let quits = timeout(barrier.wait(), ms(1));
        let second = barrier.wait();
        let has_quit = Counter::new();
        let quitting = has_quit.clone();
        let second = yield spawn(co! {
            assert!((yield quits).is_err());
            quitting.up();
            yield second
        });
        while has_quit.get() == 0 || barrier.statistics().waiting != 2 {
            yield;
        }
        let last = yield barrier.wait();
        (yield first, yield second, last)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (0, 1, 2));
}

#[test]
fn parts_of_a_gather_come_one_by_one() {
    let barrier = Barrier::new(2);
    assert_eq!(Loop::new().run((barrier.wait(), barrier.wait())).unwrap(), (0, 1));
}

#[test]
fn too_few_is_a_deadlock_that_says_so() {
    let barrier = Barrier::new(2);
    let wait = barrier.wait();
    let error = Loop::new().run(co! { yield wait; }).unwrap_err();
    assert!(error.error().downcast_ref::<Deadlock>().unwrap().to_string().contains("a barrier"));
    assert_eq!(format!("{barrier:?}"), "Barrier { parties: 2, waiting: 0 }");
}
