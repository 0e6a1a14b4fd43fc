//! A bug that shows only in some orders of the turns, and the report of the simulation that finds this bug.
//!
//! A test would be `Simulation::new().seeds(0..1000).check(close_during_a_transfer)`, and would fail with that report.
#![feature(coroutines)]

use std::cell::Cell;
use std::panic::catch_unwind;
use std::rc::Rc;

use tinyield::{Coro, Simulation, co, coro};

type Account = Rc<Cell<i32>>;

#[coro]
fn transfer(from: Account, to: Account, amount: i32) -> Coro<()> {
    if from.get() >= amount {
        yield; // other coroutines have their turns here
        from.set(from.get() - amount);
        to.set(to.get() + amount);
    }
}

#[coro]
fn close(account: Account, other: Account) -> Coro<()> {
    yield;
    other.set(other.get() + account.replace(0));
}

/// Makes new accounts for each run.
fn close_during_a_transfer() -> Coro<()> {
    let (savings, current) = (Account::new(Cell::new(100)), Account::new(Cell::new(0)));
    co! {
        yield (transfer(savings.clone(), current.clone(), 70), close(savings.clone(), current.clone()));
        assert!(savings.get() >= 0, "the balance is {}", savings.get());
    }
}

fn report() -> String {
    let checked = catch_unwind(|| Simulation::new().seeds(0..1000).check(close_during_a_transfer));
    *checked.expect_err("it fails with some seed").downcast().expect("a report is text")
}

fn main() {
    println!("{}", report());
}

#[test]
fn the_documentation_has_the_report() {
    let report = report();
    let rustdoc = include_str!("../src/simulation/mod.rs").replace("/// ", "").replace("///", "");
    for text in [include_str!("../README.md"), include_str!("../docs/guide.md"), &rustdoc] {
        assert!(text.contains(&report), "{report}");
    }
}
