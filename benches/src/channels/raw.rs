//! Boxed coroutines that share a queue or a slot.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;
use std::rc::Rc;

use super::{BOUNDED, BURST, BURSTS, Phase, UNBOUNDED};
use crate::harness::{Measured, per_op};

type Task = Pin<Box<dyn Coroutine<(), Yield = Step, Return = ()>>>;

enum Step {
    /// The others run next, then this one.
    Turn,
    /// The other one runs next. This one runs again when the other one hands over.
    HandOver,
}

fn run(mut ready: VecDeque<Task>) {
    let mut parked = None;
    while let Some(mut task) = ready.pop_front() {
        match task.as_mut().resume(()) {
            CoroutineState::Yielded(Step::Turn) => ready.push_back(task),
            CoroutineState::Yielded(Step::HandOver) => ready.extend(parked.replace(task)),
            CoroutineState::Complete(()) => ready.extend(parked.take()),
        }
    }
}

type Messages = Rc<RefCell<VecDeque<u64>>>;

/// Each message takes a turn of the receiver. The last one of a burst takes a turn of the sender too.
pub fn unbounded() -> Measured {
    bursts(burst_receiver)
}

/// Each burst takes a turn of each side.
pub fn unbounded_bulk() -> Measured {
    bursts(bulk_receiver)
}

fn bursts(receiver: fn(Messages, Rc<Cell<u64>>) -> Task) -> Measured {
    per_op(UNBOUNDED, || {
        let queue = Messages::default();
        let sum = Rc::new(Cell::new(0));
        run(VecDeque::from([burst_sender(Rc::clone(&queue)), receiver(queue, Rc::clone(&sum))]));
        assert_eq!(sum.get(), UNBOUNDED * (UNBOUNDED - 1) / 2);
    })
}

fn burst_sender(queue: Messages) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for burst in 0..BURSTS {
                for i in 0..BURST {
                    queue.borrow_mut().push_back(burst * BURST + i);
                }
                yield Step::HandOver;
            }
        },
    )
}

fn burst_receiver(queue: Messages, sum: Rc<Cell<u64>>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for _ in 0..UNBOUNDED {
                let message = loop {
                    let message = queue.borrow_mut().pop_front();
                    match message {
                        Some(message) => break message,
                        None => yield Step::HandOver,
                    }
                };
                sum.update(|sum| sum + message);
                yield Step::Turn;
            }
        },
    )
}

fn bulk_receiver(queue: Messages, sum: Rc<Cell<u64>>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for _ in 0..BURSTS {
                while queue.borrow().is_empty() {
                    yield Step::HandOver;
                }
                queue.borrow_mut().drain(..).for_each(|message| sum.update(|sum| sum + message));
            }
        },
    )
}

/// Each message takes a turn of each side. In [`Phase::Shifted`], each side is parked after it, until the other side wakes it.
pub fn bounded(phase: Phase) -> Measured {
    per_op(BOUNDED, || {
        let slot = Rc::new(Cell::new(None));
        let sum = Rc::new(Cell::new(0));
        run(VecDeque::from([slot_sender(phase, Rc::clone(&slot)), slot_receiver(phase, slot, Rc::clone(&sum))]));
        assert_eq!(sum.get(), BOUNDED * (BOUNDED - 1) / 2);
    })
}

impl Phase {
    fn step(self) -> Step {
        if self == Phase::Kept { Step::Turn } else { Step::HandOver }
    }
}

fn slot_sender(phase: Phase, slot: Rc<Cell<Option<u64>>>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for i in 0..BOUNDED {
                while slot.get().is_some() {
                    yield phase.step();
                }
                slot.set(Some(i));
                yield phase.step();
            }
        },
    )
}

fn slot_receiver(phase: Phase, slot: Rc<Cell<Option<u64>>>, sum: Rc<Cell<u64>>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for _ in 0..BOUNDED {
                let message = loop {
                    match slot.take() {
                        Some(message) => break message,
                        None => yield phase.step(),
                    }
                };
                sum.update(|sum| sum + message);
                yield phase.step();
            }
        },
    )
}
