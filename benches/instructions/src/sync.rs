//! Tasks that wake each other.

use tinyield::channel::{self, Receiver, Sender};
use tinyield::{Coro, Event, Loop, Semaphore, co, coro, race, stream};

/// Waits for its own event, then sets the event of the other.
#[coro]
fn player(mine: Event, other: Event, rounds: u64) -> Coro<()> {
    for _ in 0..rounds {
        yield mine.wait();
        mine.clear();
        other.set();
    }
}

pub fn event(rounds: u64) -> u64 {
    let (left, right) = (Event::new(), Event::new());
    let both = (player(left.clone(), right.clone(), rounds), player(right, left.clone(), rounds));
    let main = co! {
        left.set();
        yield both;
    };
    Loop::new().run(main).expect("no error");
    2 * rounds
}

const BURST: u64 = 64;

#[coro]
fn send_bursts(sender: Sender<u64>, acknowledged: Receiver<()>, bursts: u64) -> Coro<()> {
    for _ in 0..bursts {
        for i in 0..BURST {
            sender.try_send(i)?;
        }
        (yield acknowledged.recv())?;
    }
}

/// Each message takes a turn.
#[coro]
fn receive_bursts(receiver: Receiver<u64>, acknowledge: Sender<()>, bursts: u64) -> Coro<()> {
    for _ in 0..bursts {
        for i in 0..BURST {
            assert_eq!((yield receiver.recv())?, i);
        }
        acknowledge.try_send(())?;
    }
}

pub fn channel(rounds: u64) -> u64 {
    let (sender, receiver) = channel::unbounded();
    let (acknowledge, acknowledged) = channel::unbounded();
    let both = (send_bursts(sender, acknowledged, rounds), receive_bursts(receiver, acknowledge, rounds));
    Loop::new().run(both).expect("no error");
    BURST * rounds
}

pub fn channel_of_one(rounds: u64) -> u64 {
    let (sender, receiver) = channel::bounded(1);
    let sending = co! {
        for i in 0..rounds {
            (yield sender.send(i))?;
        }
    };
    let receiving = co! {
        for i in 0..rounds {
            assert_eq!((yield receiver.recv())?, i);
        }
    };
    Loop::new().run((sending, receiving)).expect("no error");
    rounds
}

/// Without the extra turns, the sender and the receiver take turns in an order in which neither has to wait.
pub fn channel_of_one_with_waits(rounds: u64) -> u64 {
    let (sender, receiver) = channel::bounded(1);
    let sending = co! {
        for i in 0..rounds {
            if i % 64 == 0 {
                yield;
            }
            (yield sender.send(i))?;
        }
    };
    let receiving = co! {
        for i in 0..rounds {
            assert_eq!((yield receiver.recv())?, i);
        }
    };
    Loop::new().run((sending, receiving)).expect("no error");
    rounds
}

pub fn stream_of_numbers(rounds: u64) -> u64 {
    let numbers = stream(move |out| {
        co! {
            for i in 0..rounds {
                yield out.emit(i);
            }
        }
    });
    let receiving = co! {
        for i in 0..rounds {
            assert_eq!(yield numbers.next(), Some(i));
        }
    };
    Loop::new().run(receiving).expect("no error");
    rounds
}

const TASKS: u64 = 100;

#[coro]
fn holder(permits: Semaphore, times: u64) -> Coro<()> {
    for _ in 0..times {
        let permit = yield permits.acquire();
        yield;
        drop(permit);
    }
}

pub fn semaphore(rounds: u64) -> u64 {
    let permits = Semaphore::new(2);
    let all: Vec<_> = (0..TASKS).map(|_| holder(permits.clone(), rounds)).collect();
    Loop::new().run(all).expect("no error");
    TASKS * rounds
}

/// The output of a race: a message, or the request to stop.
type Next = Option<u64>;

/// Takes messages until the event is set.
#[coro]
fn receive_or_stop(receiver: Receiver<u64>, stop: Event) -> Coro<u64> {
    let mut received = 0;
    loop {
        let message = receiver.recv().map(|message| message.ok());
        let next: Next = yield race((stop.wait().map(|()| None), message));
        match next {
            Some(_) => received += 1,
            None => break received,
        }
    }
}

pub fn race_of_leaves(rounds: u64) -> u64 {
    let (sender, receiver) = channel::unbounded();
    let stop = Event::new();
    let sending = co! {
        for i in 0..rounds {
            sender.try_send(i)?;
            yield;
        }
    };
    Loop::new().run((receive_or_stop(receiver, stop), sending)).expect("no error");
    rounds
}

pub fn race_ready(rounds: u64) -> u64 {
    let (sender, receiver) = channel::unbounded();
    for i in 0..rounds {
        sender.try_send(i).expect("it is unbounded");
    }
    drop(sender);
    Loop::new().run(receive_or_stop(receiver, Event::new())).expect("no error");
    rounds
}
