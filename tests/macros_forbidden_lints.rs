//! The macros in a crate that forbids lints: an `allow` in an expansion would not compile here.
//!
//! Nothing here awaits a future. `.await` uses the `pin!` of the standard library, which does not compile where `unused` is forbidden.
#![feature(coroutines)]
#![deny(warnings)]
#![forbid(unsafe_code, unused)]

use tinyield::{Coro, Loop, co, coro};

#[coro]
fn ends(x: u32) -> Coro<u32> {
    yield;
    x
}

#[coro]
fn returns((first, _): (u32, u32), _: String, [second, ..]: [u32; 3], _unused: u32) -> Coro<u32> {
    loop {
        if (yield ends(first)) > 1 {
            return second;
        }
    }
}

#[coro]
fn loops() -> Coro<()> {
    loop {
        yield;
    }
}

#[coro]
fn loops_with_a_type(_unused: u32) -> Coro<u32> {
    loop {
        yield;
    }
}

#[coro]
fn raises() -> Coro<()> {
    Err("raised")?
}

#[coro]
fn raises_in_a_return() -> Coro<u32> {
    return Err("raised")?;
}

#[coro]
fn panics() -> Coro<String> {
    panic!("it does")
}

#[test]
fn bodies_that_may_never_end_compile_without_a_warning() {
    drop((loops(), loops_with_a_type(0), raises(), raises_in_a_return(), panics()));
    drop(co! { loop { yield; } });
    let typed: Coro<u32> = co! { panic!("it does") };
    drop(typed);
}

#[test]
fn bodies_that_end_give_their_value() {
    assert_eq!(Loop::new().run(returns((2, 0), String::new(), [5, 6, 7], 0)).unwrap(), 5);
    assert_eq!(Loop::new().run(co! { let value = yield ends(1); return value; }).unwrap(), 1);
    assert!(Loop::new().run((raises(), raises_in_a_return())).is_err());
}
