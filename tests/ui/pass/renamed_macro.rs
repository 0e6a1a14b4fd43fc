//! `co!` inside another `co!`, under another name.
#![feature(coroutines)]
#![deny(warnings)]
use tinyield::{Loop, co, co as go, from_future, spawn};

fn main() {
    let main = co! {
        let handle = yield spawn(go! {
            yield;
            let one = yield go! { 1 };
            let two: u32 = yield go! { (go! { 2 }).yield };
            let three = from_future(std::future::ready(3)).yield;
            let four = std::future::ready(4).await;
            assert_eq!(yield go! { yield; "five" }, "five");
            if one + two + three + four == 10 {
                return Ok::<_, String>(go! { return 10; }.yield);
            }
            unreachable!()
        });
        yield handle
    };
    assert_eq!(Loop::new().run(main).unwrap(), Ok(10));
}
