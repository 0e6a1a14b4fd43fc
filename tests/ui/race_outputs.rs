#![feature(coroutines)]
use tinyield::{Coro, Event, channel, coro, race};

#[coro]
fn outputs_differ(jobs: channel::Receiver<u32>, stop: Event) -> Coro<()> {
    let _ = yield race((jobs.recv(), stop.wait()));
}

#[coro]
fn types_differ(jobs: channel::Receiver<u32>, stop: Event) -> Coro<()> {
    let _ = yield race([jobs.recv(), stop.wait()]);
}

#[coro]
fn no_waits() -> Coro<()> {
    let _ = yield race((1, 2));
}

#[coro]
fn no_waits_in_an_array() -> Coro<()> {
    let _ = yield race([1, 2]);
}

#[coro]
fn no_list(stop: Event) -> Coro<()> {
    yield race(stop.wait());
}

fn main() {}
