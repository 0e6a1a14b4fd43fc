#![feature(coroutines)]
use tinyield::channel::unbounded;
use tinyield::{Coro, co, coro, run_in_loop, to_tokio};

#[coro]
fn answer() -> Coro<u32> {
    42
}

fn channel_between_loops() -> Coro<()> {
    let (sender, _receiver) = unbounded::<u32>();
    co! {
        yield run_in_loop(move || co! { let _ = yield sender.send(1); });
    }
}

fn channel_to_a_thread() {
    let (_sender, receiver) = unbounded::<u32>();
    std::thread::spawn(move || drop(receiver));
}

fn task_of_tokio() {
    tokio::spawn(to_tokio(answer()));
}

fn main() {}
