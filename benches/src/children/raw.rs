//! Boxed coroutines in a slab, each with the key of its parent.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;

use slab::Slab;

use super::{BRANCHES, CHAINS, CHILDREN, DEPTH, GATHERS, LEVELS, LINKS, NESTED, NESTS, NODES, SPAWNS, TREES};
use crate::harness::{Measured, per_op};

/// A coroutine that is resumed with the sum of its children's values, and returns a number.
type Body = Pin<Box<dyn Coroutine<u64, Yield = Step, Return = u64>>>;

enum Step {
    /// Lets the others run.
    Turn,
    /// Runs this child, and waits for it.
    One(Body),
    /// Runs these children, and waits for both.
    Two(Body, Body),
    /// Runs this number of children, and waits for all. The function makes each child from the last field.
    Many(u64, fn(u32) -> Body, u32),
}

struct Task {
    body: Body,
    parent: usize,
    missing: u64,
    sum: u64,
}

/// A key that no task has: the parent of the first task.
const NO_PARENT: usize = usize::MAX;

#[derive(Default)]
struct Scheduler {
    tasks: Slab<Task>,
    ready: VecDeque<usize>,
}

impl Scheduler {
    fn start(&mut self, body: Body, parent: usize) {
        let key = self.tasks.insert(Task { body, parent, missing: 0, sum: 0 });
        self.ready.push_back(key);
    }

    fn run(&mut self, body: Body) -> u64 {
        self.start(body, NO_PARENT);
        while let Some(key) = self.ready.pop_front() {
            let task = &mut self.tasks[key];
            let sum = std::mem::take(&mut task.sum);
            match task.body.as_mut().resume(sum) {
                CoroutineState::Yielded(step) => self.wait(key, step),
                CoroutineState::Complete(value) => {
                    let parent = self.tasks.remove(key).parent;
                    if parent == NO_PARENT {
                        return value;
                    }
                    self.deliver(parent, value);
                }
            }
        }
        unreachable!("a task is always ready");
    }

    fn wait(&mut self, key: usize, step: Step) {
        match step {
            Step::Turn => self.ready.push_back(key),
            Step::One(body) => {
                self.tasks[key].missing = 1;
                self.start(body, key);
            }
            Step::Two(left, right) => {
                self.tasks[key].missing = 2;
                self.start(left, key);
                self.start(right, key);
            }
            Step::Many(count, child, argument) => {
                self.tasks[key].missing = count;
                (0..count).for_each(|_| self.start(child(argument), key));
            }
        }
    }

    fn deliver(&mut self, parent: usize, value: u64) {
        let task = &mut self.tasks[parent];
        task.sum += value;
        task.missing -= 1;
        if task.missing == 0 {
            self.ready.push_back(parent);
        }
    }
}

pub fn spawn() -> Measured {
    let mut scheduler = Scheduler::default();
    per_op(SPAWNS, || {
        let sum = scheduler.run(Box::pin(
            #[coroutine]
            static |_: u64| {
                let mut sum = 0;
                for i in 0..SPAWNS {
                    sum += yield Step::One(trivial(i));
                }
                sum
            },
        ));
        assert_eq!(sum, SPAWNS * (SPAWNS - 1) / 2);
    })
}

fn trivial(i: u64) -> Body {
    Box::pin(
        #[coroutine]
        static move |_: u64| {
            if false {
                yield Step::Turn;
            }
            black_box(i)
        },
    )
}

/// Without a scheduler: a queue of the children, and a list of their values.
pub fn gather() -> Measured {
    let mut ready = VecDeque::new();
    per_op(CHILDREN * GATHERS, || {
        for _ in 0..GATHERS {
            ready.extend((0..CHILDREN).map(yielding));
            let mut values = Vec::new();
            while let Some(mut child) = ready.pop_front() {
                match child.as_mut().resume(()) {
                    CoroutineState::Yielded(()) => ready.push_back(child),
                    CoroutineState::Complete(value) => values.push(value),
                }
            }
            assert_eq!(values.iter().sum::<u64>(), CHILDREN * (CHILDREN - 1) / 2);
        }
    })
}

fn yielding(i: u64) -> Pin<Box<dyn Coroutine<(), Yield = (), Return = u64>>> {
    Box::pin(
        #[coroutine]
        static move || {
            yield;
            i
        },
    )
}

pub fn nested() -> Measured {
    let mut scheduler = Scheduler::default();
    per_op(NESTED * NESTS, || {
        for _ in 0..NESTS {
            assert_eq!(scheduler.run(level(LEVELS)), NESTED);
        }
    })
}

fn level(levels: u32) -> Body {
    Box::pin(
        #[coroutine]
        static move |_: u64| {
            if levels == 0 {
                yield Step::Turn;
                return 1;
            }
            let sum = yield Step::Many(BRANCHES, level, levels - 1);
            sum + 1
        },
    )
}

pub fn tree() -> Measured {
    let mut scheduler = Scheduler::default();
    per_op(NODES * TREES, || {
        for _ in 0..TREES {
            assert_eq!(scheduler.run(node(DEPTH)), NODES);
        }
    })
}

fn node(depth: u32) -> Body {
    Box::pin(
        #[coroutine]
        static move |_: u64| {
            if depth == 0 {
                return 1;
            }
            let sum = yield Step::Two(node(depth - 1), node(depth - 1));
            sum + 1
        },
    )
}

pub fn chain() -> Measured {
    let mut scheduler = Scheduler::default();
    per_op(LINKS * CHAINS, || {
        for _ in 0..CHAINS {
            assert_eq!(scheduler.run(link(LINKS - 1)), LINKS);
        }
    })
}

fn link(further: u64) -> Body {
    Box::pin(
        #[coroutine]
        static move |_: u64| {
            if further == 0 { 1 } else { (yield Step::One(link(further - 1))) + 1 }
        },
    )
}
