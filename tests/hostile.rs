//! Code that misuses the library: through the protocol of coroutines written by hand, in destructors, in `Clone`, and with wakers. None of
//! this code is unsound, and it does not affect the other coroutines of the loop.
//!
//! The wakers of hosts that misbehave are in `hostile_wakers.rs`, because they need `unsafe`.
#![feature(coroutines, coroutine_trait)]
#![forbid(unsafe_code)]

mod common;

#[path = "hostile/auto_traits.rs"]
mod auto_traits;
#[path = "hostile/bodies.rs"]
mod bodies;
#[path = "hostile/destructors.rs"]
mod destructors;
#[path = "hostile/forgotten_waits.rs"]
mod forgotten_waits;
#[path = "hostile/loops.rs"]
mod loops;
#[path = "hostile/misuse.rs"]
mod misuse;
#[path = "hostile/second_waits.rs"]
mod second_waits;
#[path = "hostile/values.rs"]
mod values;
#[path = "hostile/wakers.rs"]
mod wakers;
