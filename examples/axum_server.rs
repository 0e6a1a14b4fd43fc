#![feature(coroutines)]
fn main() {}
