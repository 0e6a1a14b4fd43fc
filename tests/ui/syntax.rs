#![feature(coroutines)]
use tinyield::co;

fn main() {
    drop(co! { let = 3; });
}
