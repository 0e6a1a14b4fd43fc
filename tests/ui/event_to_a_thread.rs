#![feature(coroutines)]
use std::cell::RefCell;
use std::thread;
use tinyield::{Coro, Event, Lock, Loop, Runtime, Shared, coro};

#[coro]
fn answer() -> Coro<u32> {
    42
}

fn event_in_a_closure() {
    let done = Event::new();
    thread::spawn(move || done.set());
}

fn event_in_a_scope() {
    let done = Event::new();
    thread::scope(|scope| {
        scope.spawn(|| done.set());
    });
}

fn coroutine_in_a_closure() {
    let coro = answer();
    thread::spawn(move || Loop::new().run(coro));
}

fn moves<T: Send>(_: T) {}

fn other_types(shared: Shared<u32>, lock: Lock<RefCell<u32>>, runtime: Runtime<'_, u32>) {
    moves(shared);
    moves(lock);
    moves(runtime);
}

fn main() {}
