//! A guest is a loop that a task of another loop, its host, polls. The host waits for a guest if and only if something can wake the guest.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::thread;

use common::{ms, simulated};
use tinyield::{Coro, Deadlock, Event, Loop, Runtime, Step, co, sleep, spawn};

type Guest = Rc<RefCell<Runtime<'static, ()>>>;

fn guest(coro: Coro<()>) -> Guest {
    Rc::new(RefCell::new(Loop::new().into_runtime(coro)))
}

fn poll(guest: &Guest) -> Coro<()> {
    let guest = guest.clone();
    co! { poll_fn(|context| guest.borrow_mut().poll(context)).await?; }
}

/// A guest that waits for `event`, inside of `depth` further guests.
fn nested(event: &Event, depth: usize) -> Guest {
    let waits = event.wait();
    (0..depth).fold(guest(co! { yield waits; }), |inner, _| guest(poll(&inner)))
}

#[test]
fn a_guest_that_becomes_watched_while_it_and_its_host_sleep_is_waited_for() {
    for depth in 0..3 {
        let event = Event::new();
        let main = co! {
            let waits = yield spawn(poll(&nested(&event, depth)));
            for _ in 0..3 {
                // During this sleep, the host is idle, and looks at its guests. Nothing can wake them.
                yield sleep(ms(1));
                let remote = event.remote();
                // Until `remote` is dropped, something can wake the guest.
                yield;
                drop(remote);
            }
            yield sleep(ms(1));
            let remote = event.remote();
            thread::spawn(move || remote.set());
            yield waits;
        };
        simulated().run(main).unwrap();
    }
}

#[test]
fn a_guest_that_is_watched_no_longer_is_not_waited_for() {
    for depth in 0..3 {
        let event = Event::new();
        let main = co! {
            let waits = yield spawn(poll(&nested(&event, depth)));
            yield sleep(ms(1));
            let remote = event.remote();
            thread::spawn(move || drop(remote));
            yield waits;
        };
        let error = simulated().run(main).unwrap_err();
        assert!(error.error().downcast_ref::<Deadlock>().is_some(), "{error:?}");
    }
}

#[test]
fn a_guest_that_becomes_watched_while_it_is_stepped_is_waited_for() {
    let (go, waits) = (Event::new(), Event::new());
    let (goes, remotes) = (go.clone(), Rc::<RefCell<Vec<_>>>::default());
    let kept = remotes.clone();
    let inner = guest(co! {
        yield go.wait();
        kept.borrow_mut().push(waits.remote());
        yield waits.wait();
    });
    let main = co! {
        let ends = yield spawn(poll(&inner));
        yield sleep(ms(1));
        goes.set();
        while matches!(inner.borrow_mut().step(), Step::Ran) {}
        let remote = remotes.borrow_mut().pop().unwrap();
        thread::spawn(move || remote.set());
        yield ends;
    };
    simulated().run(main).unwrap();
}

#[test]
fn a_guest_that_another_loop_polls_later_is_waited_for_there() {
    let event = Event::new();
    let moves = nested(&event, 0);
    let (first, second) = (moves.clone(), moves);
    let begun = simulated().run(co! {
        let waits = yield spawn(poll(&first));
        yield sleep(ms(1));
        yield waits;
    });
    assert!(begun.is_err(), "nothing can wake the guest");
    let main = co! {
        let waits = yield spawn(poll(&second));
        yield sleep(ms(1));
        let remote = event.remote();
        thread::spawn(move || remote.set());
        yield waits;
    };
    simulated().run(main).unwrap();
}
