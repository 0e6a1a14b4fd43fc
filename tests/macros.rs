//! The macros inside other macros, under other names, and from other crates.
#![feature(coroutines)]
#![deny(warnings)]

use std::cell::RefCell;
use std::rc::Rc;

use tinyield::{Coro, Loop, co, co as go, coro, from_future, spawn};

#[test]
fn a_renamed_co_works_inside_another_one() {
    let main = co! {
        let handle = yield spawn(go! {
            yield;
            let one = yield go! { 1 };
            let two: u32 = yield go! { (go! { 2 }).yield };
            let three = from_future(std::future::ready(3)).yield;
            let four = std::future::ready(4).await;
            assert_eq!(yield go! { yield; "five" }, "five");
            if one + two + three + four == 10 {
                return Ok::<u32, String>(go! { return 10; }.yield);
            }
            unreachable!()
        });
        yield handle
    };
    assert_eq!(Loop::new().run(main).unwrap(), Ok(10));
}

macro_rules! background {
    ($e:expr) => {
        spawn(co! { $e })
    };
}

#[test]
fn an_argument_that_a_macro_puts_into_a_coroutine_belongs_to_that_coroutine() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let (outer, inner) = (log.clone(), log.clone());
    let main = co! {
        let handle = yield background!({
            inner.borrow_mut().push("inner");
            yield;
            inner.borrow_mut().push("inner again");
            let nested = yield background!(std::future::ready(4).await);
            if (yield nested) == 4 {
                return 5;
            }
            6
        });
        outer.borrow_mut().push("outer");
        yield;
        outer.borrow_mut().push("outer again");
        yield handle
    };
    assert_eq!(Loop::new().run(main).unwrap(), 5);
    assert_eq!(*log.borrow(), ["inner", "outer", "inner again", "outer again"]);
}

#[test]
fn an_error_in_an_argument_that_a_macro_puts_into_a_coroutine_has_the_line_of_its_question_mark() {
    let line = line!() + 3;
    let main = co! {
        let handle = yield background!({
            Err::<(), _>("raised")?
        });
        yield handle
    };
    assert_eq!(Loop::new().run(main).unwrap_err().error().location().line(), line);
}

#[test]
fn parentheses_before_a_postfix_yield_are_not_reported_as_unused() {
    let shared = co! { yield; 1 }.shared();
    let main = co! { (&shared).yield + (async { 2 }).await };
    assert_eq!(Loop::new().run(main).unwrap(), 3);
}

#[test]
fn the_value_of_a_body_is_coerced_to_the_return_type() {
    #[coro]
    fn opaque(x: u32) -> Coro<impl Fn() -> u32> {
        yield;
        move || x
    }
    #[coro]
    fn object(x: u32) -> Coro<Box<dyn Fn() -> u32>> {
        Box::new(move || x)
    }
    #[coro]
    fn pointer() -> Coro<fn(u32) -> u32> {
        |x| x + 1
    }
    #[coro]
    fn slice() -> Coro<&'static [u32]> {
        &[4, 5]
    }
    let (opaque, object, pointer, slice) = Loop::new().run((opaque(1), object(2), pointer(), slice())).unwrap();
    assert_eq!((opaque(), object(), pointer(2), slice), (1, 2, 3, &[4, 5][..]));
}

mod other {
    pub mod runtime {
        pub use tinyield::*;
    }

    macro_rules! go {
        ($($body:tt)*) => {
            $crate::other::runtime::co! { crate = $crate::other::runtime; $($body)* }
        };
    }

    pub(crate) use go;
}

#[test]
fn a_crate_that_reexports_tinyield_gives_its_path() {
    use other::runtime::{Coro, Loop, co, coro};

    #[coro(crate = crate::other::runtime)]
    fn one() -> Coro<u32> {
        yield;
        std::future::ready(1).await
    }
    let main = co! { crate = crate::other::runtime; (yield one()) + (yield other::go! { yield; return 1; }) };
    assert_eq!(Loop::new().run(main).unwrap(), 2);
}

/// rustfmt formats this form.
#[test]
fn co_takes_a_block_in_parentheses() {
    let nothing = co!({});
    let main = co!({
        yield nothing;
        let one = yield co!({ 1 });
        one + "2".parse::<i32>()?
    });
    assert_eq!(Loop::new().run(main).unwrap(), 3);
}
