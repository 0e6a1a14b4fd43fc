#![feature(coroutines)]
use tinyield::co;

struct NotClone;

fn main() {
    let shared = co! { NotClone }.shared();
    drop(co! { yield &shared });
}
