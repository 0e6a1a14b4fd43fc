//! Code that misuses the library: by the protocol of coroutines written by hand, in destructors, in `Clone`, with
//! wakers. None of it is unsound, and the loop keeps its promises to all other coroutines.
//!
//! The wakers of hosts that misbehave are in `hostile_wakers.rs`, as they need `unsafe`.
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
