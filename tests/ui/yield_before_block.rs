#![feature(coroutines)]
use tinyield::{Coro, Event, JoinHandle, Loop, Shared, co, now};

struct Job {
    end: JoinHandle<i32>,
}

struct Wait {
    coro: Coro<i32>,
}

fn matched(handle: JoinHandle<i32>) -> Coro<&'static str> {
    co! {
        match yield handle {
            1 => "one",
            _ => "many",
        }
    }
}

fn iterated(wait: Coro<Vec<i32>>) -> Coro<i32> {
    co! {
        let mut sum = 0;
        for x in yield wait {
            sum += x;
        }
        sum
    }
}

fn iterated_by_a_block_of_one_name(wait: Coro<Vec<()>>, done: ()) -> Coro<()> {
    co! {
        for () in yield wait { done }
    }
}

fn tested(job: Job, count: Coro<Option<i32>>, ready: Coro<bool>) -> Coro<i32> {
    co! {
        if let 1 = yield job.end {
            return 1;
        }
        while let Some(2) = yield count {}
        if yield ready { return 2; } else { return 3; }
    }
}

fn compared(end: std::time::Instant) -> Coro<bool> {
    co! {
        if yield now() >= end {
            return true;
        }
        false
    }
}

fn nested(event: Event, handle: Coro<i32>, shared: Shared<Vec<()>>) -> Coro<i32> {
    co! {
        if true {
            yield event.wait();
            match yield Wait { coro: co! { 1 } }.coro {
                1 if true => yield Wait { coro: co! { 1 } }.coro,
                _ => 2,
            };
            for () in yield &shared {}
            match yield handle { 1 => 1, other => other }
        } else {
            2
        }
    }
}

// These are structs.
fn legal() -> Coro<i32> {
    co! {
        let one = match yield Wait { coro: co! { 1 } }.coro { 1 => 1, _ => 2 };
        if one == 1 {
            yield Wait { coro: co! { 1 } }.coro;
        }
        let coro = co! { 3 };
        yield Wait { coro }.coro
    }
}

fn main() {
    let _: i32 = Loop::new().run(legal()).unwrap();
}
