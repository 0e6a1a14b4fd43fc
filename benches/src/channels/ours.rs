//! tinyield's channels.

use tinyield::channel::{self, Receiver, Sender};
use tinyield::{Coro, co, coro};

use super::{BOUNDED, BURST, BURSTS, Phase, UNBOUNDED};
use crate::harness::{Measured, per_op_in_one_run};

/// A `recv` for each message.
pub fn unbounded() -> Measured {
    bursts(receive_bursts)
}

/// Messages that have arrived are taken without a wait.
pub fn unbounded_bulk() -> Measured {
    bursts(receive_bursts_in_bulk)
}

fn bursts(receive: fn(Receiver<u64>, Sender<()>) -> Coro<u64>) -> Measured {
    let work = move || {
        let (sender, receiver) = channel::unbounded();
        let (acknowledge, acknowledged) = channel::unbounded();
        (send_bursts(sender, acknowledged), receive(receiver, acknowledge))
    };
    per_op_in_one_run(UNBOUNDED, work, |((), sum)| assert_eq!(sum, UNBOUNDED * (UNBOUNDED - 1) / 2))
}

#[coro]
fn send_bursts(sender: Sender<u64>, acknowledged: Receiver<()>) -> Coro<()> {
    for burst in 0..BURSTS {
        for i in 0..BURST {
            sender.try_send(burst * BURST + i)?;
        }
        (yield acknowledged.recv())?;
    }
}

#[coro]
fn receive_bursts_in_bulk(receiver: Receiver<u64>, acknowledge: Sender<()>) -> Coro<u64> {
    let mut sum = 0;
    for _ in 0..BURSTS {
        let mut received = 0;
        while received < BURST {
            let first = (yield receiver.recv())?;
            for message in std::iter::once(first).chain(receiver.try_iter()) {
                sum += message;
                received += 1;
            }
        }
        acknowledge.try_send(())?;
    }
    sum
}

#[coro]
fn receive_bursts(receiver: Receiver<u64>, acknowledge: Sender<()>) -> Coro<u64> {
    let mut sum = 0;
    for _ in 0..BURSTS {
        for _ in 0..BURST {
            sum += (yield receiver.recv())?;
        }
        acknowledge.try_send(())?;
    }
    sum
}

pub fn bounded(phase: Phase) -> Measured {
    let work = move || {
        let (sender, receiver) = channel::bounded(1);
        let sending = co! {
            for i in 0..BOUNDED {
                if phase.yields_before(i) {
                    yield;
                }
                (yield sender.send(i))?;
            }
        };
        let receiving = co! {
            let mut sum = 0;
            for _ in 0..BOUNDED {
                sum += (yield receiver.recv())?;
            }
            sum
        };
        (sending, receiving)
    };
    per_op_in_one_run(BOUNDED, work, |((), sum)| assert_eq!(sum, BOUNDED * (BOUNDED - 1) / 2))
}
