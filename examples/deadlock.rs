//! Three programs that can never go on. The loop finds out at once, and says who waits where, and on what.
#![feature(coroutines)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tinyield::{Coro, Deadlock, Event, Lock, Loop, LoopError, Shared, coro};

/// Targets of a build, by name: each is built once, whoever needs it.
type Targets = Rc<RefCell<BTreeMap<&'static str, Shared<()>>>>;

#[coro]
fn build(needs: &'static [&'static str], targets: Targets) -> Coro<()> {
    for name in needs {
        let target = targets.borrow()[name].clone();
        yield target;
    }
}

/// `program` needs `library`, that needs `generator`, and that needs `program`: a circle.
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

/// Takes one lock after the other. If two do so in opposite order, each waits for what the other has.
#[coro]
fn transfer(from: Lock<i64>, to: Lock<i64>) -> Coro<()> {
    let mut from = yield from.acquire();
    yield; // the other one gets its turn
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

/// Waits for a producer that ends early, and forgets to say so.
#[coro]
fn consumer(ready: Event) -> Coro<()> {
    yield ready.wait();
}

#[coro]
fn producer(ready: Event) -> Coro<()> {
    let nothing_to_do = true;
    if nothing_to_do {
        return;
    }
    ready.set();
}

#[coro]
fn factory() -> Coro<()> {
    let ready = Event::new();
    yield (producer(ready.clone()), consumer(ready));
}

fn show(title: &str, result: Result<(), LoopError>) {
    let error = result.expect_err("it cannot go on");
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
    println!("{title}:\n{error}");
}

fn main() {
    show("a circle", Loop::new().run(build_all()));
    println!();
    show("two locks in opposite order", Loop::new().run(bank()));
    println!();
    show("an event that nobody sets", Loop::new().run(factory()));
}
