//! Boxed coroutines, a number of permits, and a queue of waiters.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;
use std::rc::Rc;

use super::shares::Shares;
use super::{TASKS, TIMES};
use crate::harness::Measured;

type Task = Pin<Box<dyn Coroutine<(), Yield = Step, Return = ()>>>;

enum Step {
    /// The others run next, then this one.
    Turn,
    /// The coroutine has put itself into the queue of waiters.
    Park,
}

struct Semaphore {
    permits: Cell<usize>,
    waiting: RefCell<VecDeque<usize>>,
    ready: RefCell<VecDeque<usize>>,
}

impl Semaphore {
    /// Whether a permit is available at once. Otherwise the task has to park, and gets one later.
    fn acquire(&self, task: usize) -> bool {
        let free = self.permits.get() > 0;
        if free {
            self.permits.update(|permits| permits - 1);
        } else {
            self.waiting.borrow_mut().push_back(task);
        }
        free
    }

    fn release(&self) {
        match self.waiting.borrow_mut().pop_front() {
            Some(next) => self.ready.borrow_mut().push_back(next),
            None => self.permits.update(|permits| permits + 1),
        }
    }
}

pub fn permits(permits: usize) -> Measured {
    let shares = Shares::new(permits);
    let semaphore = Rc::new(Semaphore {
        permits: Cell::new(permits),
        waiting: RefCell::default(),
        ready: RefCell::new((0..TASKS).collect()),
    });
    let mut tasks: Vec<Task> = (0..TASKS).map(|i| task(i, Rc::clone(&semaphore), Rc::clone(&shares))).collect();
    loop {
        let next = semaphore.ready.borrow_mut().pop_front();
        let Some(next) = next else { break };
        if let CoroutineState::Yielded(Step::Turn) = tasks[next].as_mut().resume(()) {
            semaphore.ready.borrow_mut().push_back(next);
        }
    }
    shares.measured()
}

fn task(number: usize, semaphore: Rc<Semaphore>, shares: Rc<Shares>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            for _ in 0..TIMES {
                if !semaphore.acquire(number) {
                    yield Step::Park;
                }
                shares.enter();
                yield Step::Turn;
                shares.leave(number);
                semaphore.release();
            }
        },
    )
}
