use tinyield::{Coro, coro};

#[coro]
fn ready() -> Coro<()> {
    yield;
}

fn main() {}
