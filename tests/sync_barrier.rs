//! Barriers: coroutines wait until all parties have arrived, round after round.
#![feature(coroutines)]

mod common;

use std::task::Poll;

use common::{Counter, Log, ms, panic_of, simulated, to_end};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Barrier, Coro, Deadlock, Loop, Wait, co, coro, sleep, spawn, timeout};

#[coro]
fn arrives(barrier: Barrier, count: Counter) -> Coro<usize> {
    count.up();
    let index = yield barrier.wait();
    assert_eq!(count.get(), 3);
    index
}

#[test]
fn a_barrier_opens_when_all_parties_have_arrived() {
    let barrier = Barrier::new(3);
    let count = Counter::new();
    let all = [(); 3].map(|()| arrives(barrier.clone(), count.clone()));
    assert_eq!(Loop::new().run(all).unwrap(), [0, 1, 2]);
}

#[test]
fn a_barrier_for_0_parties_panics() {
    assert_eq!(panic_of(|| Barrier::new(0)), "a barrier for 0 parties could never open; it takes at least 1");
}

#[test]
fn a_barrier_for_one_party_takes_one_turn() {
    let mut event_loop = Loop::new();
    let barrier = Barrier::new(1);
    let mut runtime = event_loop.runtime(barrier.wait());
    let (steps, index) = to_end(&mut runtime);
    assert_eq!((steps, index.unwrap()), (2, 0));
}

#[test]
fn a_barrier_opens_in_every_round() {
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
fn a_cancelled_wait_does_not_count_and_leaves_no_gap_in_the_indices() {
    let barrier = Barrier::new(3);
    let main = co! {
        assert!((yield timeout(barrier.wait(), ms(1))).is_err());
        assert_eq!(barrier.statistics().waiting, 0);
        let first = yield spawn({
            let wait = barrier.wait();
            co! { yield wait }
        });
        yield;
        let leaves = timeout(barrier.wait(), ms(1));
        let second = barrier.wait();
        let left = Counter::new();
        let leaving = left.clone();
        let second = yield spawn(co! {
            assert!((yield leaves).is_err());
            leaving.up();
            yield second
        });
        while left.get() == 0 || barrier.statistics().waiting != 2 {
            yield sleep(ms(1));
        }
        let last = yield barrier.wait();
        (yield first, yield second, last)
    };
    assert_eq!(simulated().run(main).unwrap(), (0, 1, 2));
}

#[test]
fn each_part_of_a_gather_is_one_party() {
    let barrier = Barrier::new(2);
    assert_eq!(Loop::new().run((barrier.wait(), barrier.wait())).unwrap(), (0, 1));
}

#[test]
fn a_barrier_without_enough_parties_is_a_deadlock_that_names_it() {
    let barrier = Barrier::new(2);
    let wait = barrier.wait();
    let error = Loop::new().run(co! { yield wait; }).unwrap_err();
    assert!(error.error().downcast_ref::<Deadlock>().unwrap().to_string().contains("a barrier"));
    assert_eq!(format!("{barrier:?}"), "Barrier { parties: 2, waiting: 0 }");
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
fn a_wait_that_is_polled_again_returns_the_same_index() {
    let barrier = Barrier::new(3);
    let all = [(); 3].map(|()| polled_twice(barrier.wait()));
    assert_eq!(Loop::new().run(all).unwrap(), [[0, 0], [1, 1], [2, 2]]);
}
