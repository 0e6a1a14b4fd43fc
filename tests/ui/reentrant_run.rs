#![feature(coroutines)]
use tinyield::{Coro, Loop, co, coro};

#[coro]
fn ready() -> Coro<i32> {
    1
}

fn main() {
    let mut event_loop = Loop::new();
    let _ = event_loop.run(co! { event_loop.run(ready())? });
    let mut other = Loop::new();
    let inner = &mut other;
    let _ = inner.run(co! { inner.run(ready())? });
}
