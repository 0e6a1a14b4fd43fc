//! Children that are cancelled where they wait.

use std::future::pending;

use tinyield::{Coro, Event, Loop, abortable, co, coro, spawn};

const CHILDREN: u64 = 1_000;

#[coro]
fn waiting(never: Event) -> Coro<()> {
    yield never.wait();
}

pub fn at_event(rounds: u64) -> u64 {
    let never = Event::new();
    cancel(rounds, move || waiting(never.clone()))
}

#[coro]
fn waiting_for_future() -> Coro<()> {
    pending::<()>().await;
}

pub fn at_future(rounds: u64) -> u64 {
    cancel(rounds, waiting_for_future)
}

fn cancel(rounds: u64, child: impl Fn() -> Coro<()> + 'static) -> u64 {
    let main = co! {
        for _ in 0..rounds {
            let children: Vec<_> = (0..CHILDREN).map(|_| child()).collect();
            let (children, handle) = abortable(children);
            let children = yield spawn(children);
            // The task that gathers them starts them, and then each of them has its first turn.
            for _ in 0..4 {
                yield;
            }
            handle.abort();
            assert!((yield children).is_err());
        }
    };
    Loop::new().run(main).expect("no error");
    CHILDREN * rounds
}
