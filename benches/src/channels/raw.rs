//! Boxed coroutines that share a queue or a slot.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;
use std::rc::Rc;

use super::{BOUNDED, BURST, BURSTS, UNBOUNDED};
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

/// Each message takes a turn of the receiver. The last one of a burst takes a turn of the sender too.
pub fn unbounded() -> Measured {
    per_op(UNBOUNDED, || {
        let queue = Rc::new(RefCell::new(VecDeque::new()));
        let sum = Rc::new(Cell::new(0));
        run(VecDeque::from([burst_sender(Rc::clone(&queue)), burst_receiver(queue, Rc::clone(&sum))]));
        assert_eq!(sum.get(), UNBOUNDED * (UNBOUNDED - 1) / 2);
    })
}

fn burst_sender(queue: Rc<RefCell<VecDeque<u64>>>) -> Task {
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

fn burst_receiver(queue: Rc<RefCell<VecDeque<u64>>>, sum: Rc<Cell<u64>>) -> Task {
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

/// Each message takes a turn of each side.
pub fn bounded() -> Measured {
    per_op(BOUNDED, || {
        let slot = Rc::new(Cell::new(None));
        let sum = Rc::new(Cell::new(0));
        run(VecDeque::from([slot_sender(Rc::clone(&slot)), slot_receiver(slot, Rc::clone(&sum))]));
        assert_eq!(sum.get(), BOUNDED * (BOUNDED - 1) / 2);
    })
}

fn slot_sender(slot: Rc<Cell<Option<u64>>>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for i in 0..BOUNDED {
                while slot.get().is_some() {
                    yield Step::Turn;
                }
                slot.set(Some(i));
                yield Step::Turn;
            }
        },
    )
}

fn slot_receiver(slot: Rc<Cell<Option<u64>>>, sum: Rc<Cell<u64>>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for _ in 0..BOUNDED {
                let message = loop {
                    match slot.take() {
                        Some(message) => break message,
                        None => yield Step::Turn,
                    }
                };
                sum.update(|sum| sum + message);
                yield Step::Turn;
            }
        },
    )
}
