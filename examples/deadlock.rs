//! Two programs that can never finish. The loop reports each deadlock at once: which coroutine waits, where, and on what.
#![feature(coroutines)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tinyield::{Coro, Deadlock, Lock, Loop, LoopError, Shared, coro};

/// The targets of a build, by name. Each is built once, however many others need it.
type Targets = Rc<RefCell<BTreeMap<&'static str, Shared<()>>>>;

#[coro]
fn build(needs: &'static [&'static str], targets: Targets) -> Coro<()> {
    for name in needs {
        let target = targets.borrow()[name].clone();
        yield target;
    }
}

/// A cycle: `program` needs `library`, `library` needs `generator`, and `generator` needs `program`.
#[coro]
fn build_all() -> Coro<()> {
    let targets = Targets::default();
    for (name, needs) in [
        ("program", &["library"][..]),
        ("library", &["headers", "generator"]),
        ("generator", &["program"]),
        ("headers", &[]),
    ] {
        let target = build(needs, targets.clone()).named(name).shared();
        targets.borrow_mut().insert(name, target);
    }
    let program = targets.borrow()["program"].clone();
    yield program;
}

/// Takes one lock, then the other. Two transfers in opposite directions each wait for the lock that the other holds.
#[coro]
fn transfer(from: Lock<i64>, to: Lock<i64>) -> Coro<()> {
    let mut from = yield from.acquire();
    yield; // let the other transfer take its first lock
    let mut to = yield to.acquire();
    *from -= 10;
    *to += 10;
}

#[coro]
fn bank() -> Coro<()> {
    let (savings, current) = (Lock::new(100), Lock::new(100));
    let out = transfer(savings.clone(), current.clone()).named("savings to current");
    let back = transfer(current, savings).named("current to savings");
    yield (out, back);
}

fn print_deadlock(title: &str, result: Result<(), LoopError>) {
    let error = result.expect_err("the program cannot finish");
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
    println!("{title}:\n{error}");
}

fn main() {
    print_deadlock("a cycle", Loop::new().run(build_all()));
    println!();
    print_deadlock("two locks, taken in opposite order", Loop::new().run(bank()));
}
