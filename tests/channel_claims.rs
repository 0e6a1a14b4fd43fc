//! Claimed messages. A message is claimed if it was assigned to a receiver that has not taken it yet, because its turn
//! has not come or its gather still waits. The receiver may still give the message back. So a receiver finds the end of
//! a channel only when the channel is closed and empty, and no message is claimed.
#![feature(coroutines)]
mod common;
use std::sync::mpsc;
use std::time::Duration;
use tinyield::channel::{Receiver, RecvError, RemoteReceiver, Sender, TryRecvError, unbounded};
use tinyield::{Coro, Event, Loop, co, coro, race, run_in_thread, spawn, timeout};

#[coro]
fn turns(count: usize) -> Coro<()> {
    for _ in 0..count {
        yield;
    }
}

#[coro]
fn collects<T: 'static>(receiver: Receiver<T>) -> Coro<Vec<T>> {
    let mut all = Vec::new();
    while let Ok(message) = yield receiver.recv() {
        all.push(message);
    }
    all
}

type Ends<T> = (Sender<T>, Receiver<T>, Option<RemoteReceiver<T>>);

/// A channel without a remote end, and one with.
fn channels<T: Send + 'static>() -> [Ends<T>; 2] {
    [false, true].map(|has_remote| {
        let (sender, receiver) = unbounded();
        let remote = has_remote.then(|| receiver.remote());
        (sender, receiver, remote)
    })
}

#[coro]
fn holds<T: 'static>(receiver: Receiver<T>, release: Event, gives_up: Event) -> Coro<Option<Result<T, RecvError>>> {
    yield race([co! { Some((yield (receiver.recv(), release.wait())).0) }, co! { yield gives_up.wait(); None }])
}

#[test]
fn a_claimed_message_that_comes_back_is_received_although_the_channel_is_closed() {
    let (tx, rx) = unbounded();
    tx.try_send("job").unwrap();
    drop(tx);
    let main = co! {
        let (r1, r2, r3) = (rx.recv(), rx.recv(), rx.clone());
        let worker = co! { yield timeout((r1, Event::new().wait()), Duration::from_millis(5)) };
        let other = co! { yield; yield; (r3.try_recv(), yield r2) };
        let (w, o) = yield (worker, other);
        assert!(w.is_err());
        assert_eq!(o, (Err(TryRecvError::Empty), Ok("job")));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn a_receiver_returns_when_the_last_claimed_message_is_taken() {
    for (sender, receiver, _remote) in channels() {
        let release = Event::new();
        let holds = holds(receiver.clone(), release.clone(), Event::new());
        let main = co! {
            sender.try_send("job")?;
            let holds = yield spawn(holds);
            yield turns(3);
            let waits = yield spawn([receiver.recv(), receiver.recv()].map(|recv| co! { yield recv }));
            yield;
            assert!(sender.close());
            yield turns(3);
            assert_eq!(receiver.statistics().waiting_receivers, 2);
            release.set();
            (yield holds, yield waits)
        };
        assert_eq!(Loop::new().run(main).unwrap(), (Some(Ok("job")), [Err(RecvError); 2]));
    }
}

#[test]
fn a_gather_does_not_wait_for_its_own_claims() {
    for (sender, receiver, _remote) in channels() {
        sender.try_send(1).unwrap();
        let early = vec![receiver.recv(), receiver.recv(), receiver.recv()];
        let main = co! {
            let closes = co! { yield; sender.try_send(2)?; yield; drop(sender); };
            (yield (early, closes)).0
        };
        assert_eq!(Loop::new().run(main).unwrap(), [Ok(1), Ok(2), Err(RecvError)]);
    }
}

#[test]
fn a_gather_waits_for_the_claims_of_others() {
    for gives_up in [false, true] {
        for (sender, receiver, _remote) in channels() {
            let (release, give_up) = (Event::new(), Event::new());
            let holds = holds(receiver.clone(), release.clone(), give_up.clone());
            let both = vec![receiver.recv(), receiver.recv()];
            let main = co! {
                sender.try_send(1)?;
                sender.try_send(2)?;
                drop(sender);
                let holds = yield spawn(holds);
                yield turns(3);
                let both = yield spawn(co! { yield both });
                yield turns(3);
                assert!(!both.is_finished());
                if gives_up { give_up.set() } else { release.set() }
                (yield holds, yield both)
            };
            let expected =
                if gives_up { (None, vec![Ok(1), Ok(2)]) } else { (Some(Ok(1)), vec![Ok(2), Err(RecvError)]) };
            assert_eq!(Loop::new().run(main).unwrap(), expected);
        }
    }
}

fn beside_a_claim(gives_up: bool) -> (Option<u32>, Vec<u32>) {
    let (sender, receiver) = unbounded();
    let remote = receiver.remote();
    let (release, give_up) = (Event::new(), Event::new());
    let holds = holds(receiver.clone(), release.clone(), give_up.clone());
    let (begins, begun) = mpsc::channel();
    let main = co! {
        sender.try_send(1)?;
        drop(sender);
        let holds = yield spawn(holds);
        yield turns(3);
        assert!(remote.is_closed() && remote.is_empty());
        assert_eq!(remote.try_recv(), Err(TryRecvError::Empty));
        let thread = yield spawn(run_in_thread(move || { begins.send(()).unwrap(); remote.iter().collect::<Vec<_>>() }));
        yield;
        begun.recv()?;
        if gives_up { give_up.set() } else { release.set() }
        ((yield holds).map(|held| held.unwrap()), yield thread)
    };
    Loop::new().run(main).unwrap()
}

#[test]
fn a_thread_receives_a_claimed_message_that_comes_back() {
    for _ in 0..50 {
        assert_eq!(beside_a_claim(true), (None, vec![1]));
    }
}

#[test]
fn a_thread_returns_when_the_last_claimed_message_is_taken() {
    for _ in 0..50 {
        assert_eq!(beside_a_claim(false), (Some(1), vec![]));
    }
}

#[test]
fn a_waiting_coroutine_receives_a_claimed_message_that_comes_back() {
    for (sender, receiver, _remote) in channels() {
        let gives_up = Event::new();
        let holds = holds(receiver.clone(), Event::new(), gives_up.clone());
        let main = co! {
            sender.try_send("job")?;
            drop(sender);
            let holds = yield spawn(holds);
            yield turns(3);
            assert_eq!(receiver.try_iter().count(), 0);
            let waits = yield spawn(collects(receiver.clone()));
            yield turns(3);
            assert!(!waits.is_finished());
            gives_up.set();
            (yield holds, yield waits)
        };
        assert_eq!(Loop::new().run(main).unwrap(), (None, vec!["job"]));
    }
}
