//! tinyield's channel, with a remote end.

use tinyield::channel::{Receiver, unbounded};
use tinyield::{Coro, Loop, co, coro};

use super::{MESSAGES, Receiving, Sending};
use crate::harness::Measured;

/// A `recv` for each message.
pub fn one_by_one() -> Measured {
    received_by(receive)
}

/// After each `recv`, takes all messages that have arrived.
pub fn in_bulk() -> Measured {
    received_by(receive_in_bulk)
}

/// Runs twice, and returns the figure of the second run. The first run is to warm up.
fn received_by(receive: fn(Receiver<u64>) -> Coro<u64>) -> Measured {
    let main = co! {
        let mut measured = None;
        for _ in 0..2 {
            let (sender, receiver) = unbounded();
            let remote = sender.remote();
            let sending = Sending::start(move |i| remote.try_send(i).expect("the receiver is there"));
            let sum = yield receive(receiver);
            measured = Some(sending.end(sum));
        }
        measured.expect("it ran twice")
    };
    Loop::new().run(main).expect("no error")
}

/// A `send` for each message. Runs twice, as `received_by` does.
pub fn to_thread() -> Measured {
    let main = co! {
        yield send();
        yield send()
    };
    Loop::new().run(main).expect("no error")
}

#[coro]
fn send() -> Coro<Measured> {
    let (sender, receiver) = unbounded();
    let remote = receiver.remote();
    let receiving = Receiving::start(move || remote.recv().expect("the sender is there"));
    for i in 0..MESSAGES {
        (yield sender.send(i))?;
    }
    receiving.end()
}

#[coro]
fn receive(receiver: Receiver<u64>) -> Coro<u64> {
    let mut sum = 0;
    for _ in 0..MESSAGES {
        sum += (yield receiver.recv())?;
    }
    sum
}

#[coro]
fn receive_in_bulk(receiver: Receiver<u64>) -> Coro<u64> {
    let mut sum = 0;
    let mut received = 0;
    while received < MESSAGES {
        let first = (yield receiver.recv())?;
        for message in std::iter::once(first).chain(receiver.try_iter()) {
            sum += message;
            received += 1;
        }
    }
    sum
}
