//! A gather resumes its coroutine once, however many parts it has.

use std::cell::Cell;
use std::rc::Rc;

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Event, Loop, co};

use crate::{FEW, MANY};

#[test]
fn a_gather_after_a_second_wait_that_was_refused_resumes_its_coroutine_once() {
    let resumptions = |count: usize| {
        let resumed = Rc::new(Cell::new(0));
        let counts = resumed.clone();
        let event = Event::new();
        let (first, sets) = (event.clone(), event.clone());
        let main: Coro<()> = Coro::from_coroutine(
            #[coroutine]
            static move |mut resume: Resume| {
                let mut one = resume.begin(first.wait());
                let mut refused = resume.begin(first.wait());
                assert!(refused.poll(&resume).is_ready());
                drop(refused);
                resume = yield Suspend;
                while one.poll(&resume).is_pending() {
                    resume = yield Suspend;
                }
                let parts: Vec<_> = (0..count)
                    .map(|turns| {
                        co! {
                            for _ in 0..turns % 10 {
                                yield;
                            }
                        }
                    })
                    .collect();
                let mut gather = resume.begin(parts);
                while gather.poll(&resume).is_pending() {
                    resume = yield Suspend;
                    counts.set(counts.get() + 1);
                }
                Outcome::value(())
            },
        );
        Loop::new().run((main, co! { yield; yield; sets.set(); })).unwrap();
        resumed.get()
    };
    assert_eq!([resumptions(FEW), resumptions(MANY)], [1, 1]);
}
