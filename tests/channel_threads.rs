//! One channel, two loops, two threads: all send, receive, give up and close at random. Each message is received once.
//! Messages that are not given back arrive in the order of their sender. All ends see the close.
#![feature(coroutines)]

mod common;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use common::{LONG, ms};
use smol::future::{FutureExt, poll_fn, zip};
use tinyield::channel::{Receiver, RecvError, Sender, TryRecvError, bounded, unbounded};
use tinyield::{Coro, Loop, co, coro, race, timeout};

/// The sender, and the number of the message from this sender.
type Message = (usize, usize);

/// A message, and the index of its receiver; `None` when it was sent.
type Books = mpsc::Sender<(Option<usize>, Message)>;

/// A random number (xorshift).
fn below(end: u64, dice: &mut u64) -> u64 {
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    (*dice >> 20) % end
}

fn dice(seed: u64, who: usize) -> u64 {
    (seed * 16 + who as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[coro]
fn sends(who: usize, sender: Sender<Message>, mut dice: u64, gives_up: bool, books: Books) -> Coro<()> {
    for number in 0..20 {
        let message = (who, number);
        let send = sender.send(message);
        let sent = match below(if gives_up { 4 } else { 2 }, &mut dice) {
            0 => sender.try_send(message).is_ok(),
            1 => (yield send).is_ok(),
            2 => matches!(yield timeout(send, ms(0)), Ok(Ok(()))),
            _ => yield race([co! { (yield send).is_ok() }, co! { yield; false }]),
        };
        if sent {
            books.send((None, message))?;
        }
    }
    let _ = below(4, &mut dice) != 0 || sender.close();
}

#[coro]
fn receives(who: usize, receiver: Receiver<Message>, mut dice: u64, gives_up: bool, books: Books) -> Coro<()> {
    loop {
        let recv = receiver.recv();
        let received = match below(if gives_up { 5 } else { 3 }, &mut dice) {
            0 => vec![yield recv],
            1 => match receiver.try_recv() {
                Err(TryRecvError::Empty) => vec![yield recv],
                tried => vec![tried.map_err(|_| RecvError)],
            },
            2 => yield vec![recv, receiver.recv()],
            3 => (yield timeout(recv, ms(0))).into_iter().collect(),
            _ => yield race([co! { vec![yield recv] }, co! { yield; Vec::new() }]),
        };
        for message in received {
            let Ok(message) = message else { return };
            books.send((Some(who), message))?;
        }
    }
}

fn round(seed: u64) {
    let mut own = dice(seed, 15);
    let (books, entries) = mpsc::channel();
    let (gives_up, room) = (below(2, &mut own) == 0, below(4, &mut own) as usize);
    let (sender, receiver) = if room == 0 { unbounded() } else { bounded(room) };
    let mut threads = Vec::new();
    if below(4, &mut own) != 0 {
        let (sender, closes, books) = (sender.remote(), below(4, &mut own) == 0, books.clone());
        threads.push(thread::spawn(move || {
            for message in (0..20).map(|number| (9, number)).take_while(|&message| sender.send(message).is_ok()) {
                books.send((None, message)).unwrap();
            }
            let _ = closes && sender.close();
        }));
    }
    if below(2, &mut own) != 0 {
        let (receiver, mut dice, books) = (receiver.remote(), dice(seed, 9), books.clone());
        threads.push(thread::spawn(move || {
            for message in receiver.iter() {
                books.send((Some(9), message)).unwrap();
                let _ = below(40, &mut dice) == 0 && receiver.close();
            }
        }));
    }
    let parts = [[0, 1], [2, 3]].map(|part| {
        let coros = part.map(|who| {
            let receives = receives(who, receiver.clone(), dice(seed, who + 4), gives_up, books.clone());
            (receives, sends(who, sender.clone(), dice(seed, who), gives_up, books.clone()))
        });
        co! { yield coros; }
    });
    drop((sender, receiver, books));
    let [first, second] = parts;
    let (mut one, mut other) = (Loop::new(), Loop::new());
    let (mut one, mut other) = (one.runtime(first), other.runtime(second));
    let both = zip(poll_fn(|context| one.poll(context)), poll_fn(|context| other.poll(context)));
    let late = async {
        smol::Timer::after(LONG).await;
        panic!("seed {seed}: somebody waits for ever");
    };
    let (first, second) = smol::block_on(both.or(late));
    first.and(second).unwrap();
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    let (mut sent, mut received, mut last) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (by, message @ (who, number)) in entries {
        let Some(by) = by else {
            sent.push(message);
            continue;
        };
        assert_eq!(received.insert(message, by), None, "seed {seed}: {message:?} was received twice");
        let before = last.insert((by, who), number);
        // A message that is given back comes after messages that others received in the meantime.
        assert!(gives_up || before < Some(number), "seed {seed}: {message:?} after {before:?}");
    }
    let lost: Vec<_> = sent.iter().filter(|sent| !received.contains_key(sent)).collect();
    assert!(lost.is_empty(), "seed {seed}: lost: {lost:?}");
}

#[test]
fn messages_of_loops_and_threads_are_received_once_and_in_order_and_all_ends_see_the_close() {
    (0..2000).for_each(round);
}
