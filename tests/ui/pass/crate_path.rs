//! Another crate re-exports tinyield: the macros are told its path.
#![feature(coroutines)]
#![deny(warnings)]

mod other {
    pub mod runtime {
        pub use tinyield::*;
    }

    #[macro_export]
    macro_rules! go {
        ($($body:tt)*) => {
            $crate::other::runtime::co! { crate = $crate::other::runtime; $($body)* }
        };
    }
}

use other::runtime::{Coro, Loop, co, coro};

#[coro(crate = crate::other::runtime)]
fn one() -> Coro<u32> {
    yield;
    std::future::ready(1).await
}

fn main() {
    let main = co! { crate = crate::other::runtime; (yield one()) + (yield go! { yield; return 1; }) };
    assert_eq!(Loop::new().run(main).unwrap(), 2);
}
