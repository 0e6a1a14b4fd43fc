//! A race of leaves.

use tinyield::channel::{self, Receiver};
use tinyield::{Coro, Event, co, coro, race};

use super::MESSAGES;
use crate::harness::{Measured, per_op_in_one_run};

#[coro]
fn receive_or_stop(receiver: Receiver<u64>, stop: Event) -> Coro<u64> {
    let mut sum = 0;
    loop {
        let message = receiver.recv().map(|message| message.ok());
        let next: Option<u64> = yield race((stop.wait().map(|()| None), message));
        match next {
            Some(message) => sum += message,
            None => break sum,
        }
    }
}

pub fn leaves() -> Measured {
    let work = || {
        let (sender, receiver) = channel::unbounded();
        let sending = co! {
            for i in 0..MESSAGES {
                sender.try_send(i)?;
                yield;
            }
        };
        (receive_or_stop(receiver, Event::new()), sending)
    };
    per_op_in_one_run(MESSAGES, work, |(sum, ())| assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2))
}
