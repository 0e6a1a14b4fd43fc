#![feature(coroutines)]
use std::error::Error;
use tinyield::{Coro, coro};

fn plain() -> Result<u32, Box<dyn Error>> {
    Ok(1)
}

fn send() -> Result<u32, Box<dyn Error + Send>> {
    Ok(1)
}

fn right() -> Result<u32, Box<dyn Error + Send + Sync>> {
    Ok(1)
}

#[coro]
fn raises() -> Coro<u32> {
    plain()? + send()? + right()?
}

fn main() {}
