//! Two programs that can never go on. The loop finds out at once, and says who waits where, and on what.
#![feature(coroutines)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tinyield::{Coro, Deadlock, Loop, LoopError, Shared, coro, spawn};

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

#[coro]
fn consumer(work: std::future::Pending<u32>) -> Coro<u32> {
    work.await
}

#[coro]
fn supervisor() -> Coro<()> {
    let consumer = yield spawn(consumer(std::future::pending()));
    yield consumer;
}

fn show(title: &str, result: Result<(), LoopError>) {
    let error = result.expect_err("it cannot go on");
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
    println!("{title}:\n{error}\n");
}

fn main() {
    show("a circle", Loop::new().run(build_all()));
    show("nobody is left who could wake them", Loop::new().run(supervisor()));
}
