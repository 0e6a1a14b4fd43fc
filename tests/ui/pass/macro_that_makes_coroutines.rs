//! A macro of the user's puts its argument into a coroutine of its own: the argument belongs to that coroutine.
#![feature(coroutines)]
#![deny(warnings)]
use std::cell::RefCell;
use std::rc::Rc;
use tinyield::{Loop, co, spawn};

macro_rules! background {
    ($e:expr) => {
        spawn(co! { $e })
    };
}

/// Runs its argument twice: in the coroutine around it, and in one of its own.
macro_rules! here_and_there {
    ($e:expr) => {{
        let here = $e;
        (here, yield co! { $e })
    }};
}

fn main() {
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
    assert_eq!(*log.borrow(), ["outer", "inner", "outer again", "inner again"]);

    let main = co! { here_and_there!(yield co! { 1 }) };
    assert_eq!(Loop::new().run(main).unwrap(), (1, 1));
}
