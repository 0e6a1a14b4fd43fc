//! Channels: first in, first out; no message is lost; no waiter is overtaken; local and remote ends share one capacity.
#![feature(coroutines)]

mod common;

#[path = "channel/remote_close.rs"]
mod remote_close;
#[path = "channel/remote_messages.rs"]
mod remote_messages;

use common::{Alive, Counter, LONG, Log, ms, panic_of, simulated, to_end, to_idle, turns};
use tinyield::channel::{Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError, bounded, unbounded};
use tinyield::{Coro, Deadlock, Loop, catch, co, coro, isolate, spawn, timeout};

#[coro]
fn collects<T: 'static>(receiver: Receiver<T>) -> Coro<Vec<T>> {
    let mut all = Vec::new();
    while let Ok(message) = yield receiver.recv() {
        all.push(message);
    }
    all
}

#[test]
fn messages_come_in_order() {
    for (sender, receiver) in [bounded(1), bounded(3), unbounded()] {
        let main = co! {
            let all = yield spawn(collects(receiver));
            for i in 0..10 {
                (yield sender.send(i))?;
            }
            drop(sender);
            yield all
        };
        assert_eq!(Loop::new().run(main).unwrap(), (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn a_channel_of_capacity_0_panics() {
    let text = panic_of(|| bounded::<()>(0));
    assert_eq!(text, "a channel of capacity 0 has no room for a message; it takes at least 1");
}

#[test]
fn a_sender_waits_while_the_channel_is_full() {
    let (sender, receiver) = bounded(2);
    let sent = Counter::new();
    let counted = sent.clone();
    let main = co! {
        yield spawn(co! {
            for i in 0..5 {
                (yield sender.send(i))?;
                sent.up();
            }
        });
        yield turns(10);
        assert_eq!((counted.get(), receiver.len(), receiver.statistics().waiting_senders), (2, 2, 1));
        assert_eq!(yield receiver.recv(), Ok(0));
        yield turns(10);
        assert_eq!((counted.get(), receiver.len()), (3, 2));
        yield collects(receiver)
    };
    assert_eq!(Loop::new().run(main).unwrap(), [1, 2, 3, 4]);
}

#[test]
fn try_send_and_try_recv_report_why_they_fail() {
    let (sender, receiver) = bounded(1);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(sender.try_send(3), Ok(()));
    drop(sender.clone());
    assert!(!receiver.is_closed());
    drop(sender);
    assert!(receiver.is_closed());
    assert_eq!(receiver.try_recv(), Ok(3));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    let (sender, receiver) = unbounded();
    drop(receiver);
    assert_eq!(sender.try_send(1), Err(TrySendError::Closed(1)));
    assert_eq!(Loop::new().run(sender.send(2)).unwrap(), Err(SendError(2)));
}

#[test]
fn closing_wakes_all_waiters() {
    let (sender, receiver) = bounded::<u32>(1);
    let (other_sender, other_receiver) = bounded::<u32>(1);
    let main = co! {
        let receives = yield spawn([(); 2].map(|()| { let wait = receiver.recv(); co! { yield wait } }));
        other_sender.try_send(0).unwrap();
        let sends = yield spawn([1, 2].map(|i| { let wait = other_sender.send(i); co! { yield wait } }));
        yield;
        assert!(sender.close());
        assert!(!receiver.close());
        assert!(other_receiver.close());
        assert_eq!(yield receives, [Err(RecvError), Err(RecvError)]);
        assert_eq!(yield sends, [Err(SendError(1)), Err(SendError(2))]);
        assert_eq!(yield other_receiver.recv(), Ok(0));
        assert_eq!(yield other_receiver.recv(), Err(RecvError));
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn receivers_are_served_first_in_first_out_and_are_not_overtaken() {
    let log = Log::new();
    let (sender, receiver) = unbounded();
    let main = co! {
        for name in ["a", "b", "c"] {
            let (receiver, log) = (receiver.clone(), log.clone());
            yield spawn(co! {
                let got = (yield receiver.recv())?;
                log.push(format!("{name}{got}"));
            });
        }
        yield;
        sender.try_send(1)?;
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "the message is for the receiver that waited first");
        sender.try_send(2)?;
        sender.try_send(3)?;
        sender.try_send(4)?;
        assert_eq!(receiver.try_recv(), Ok(1), "four messages for three waiting receivers leave one, and the order stays");
        yield turns(2);
        log
    };
    assert_eq!(Loop::new().run(main).unwrap().take(), ["a2", "b3", "c4"]);
}

#[test]
fn senders_are_served_first_in_first_out_and_are_not_overtaken() {
    let (sender, receiver) = bounded(1);
    let main = co! {
        sender.try_send(0)?;
        for i in 1..4 {
            let send = sender.send(i);
            yield spawn(co! { (yield send)?; });
        }
        yield;
        assert_eq!(receiver.try_recv(), Ok(0));
        assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)), "the room is for the sender that waited first");
        drop(sender);
        yield collects(receiver)
    };
    assert_eq!(Loop::new().run(main).unwrap(), [1, 2, 3]);
}

#[test]
fn a_receiver_that_gives_up_loses_no_message() {
    let (sender, receiver) = unbounded();
    let main = co! {
        assert!((yield timeout(receiver.recv(), ms(1))).is_err());
        sender.try_send(1)?;
        assert_eq!(yield receiver.recv(), Ok(1));
        // A receiver that is cancelled after it was handed the message.
        let (recv, sends) = (receiver.recv(), sender.clone());
        let failed = yield isolate(co! {
            yield spawn(co! {
                let cancelled = yield catch(recv);
                assert!(cancelled.is_err());
                cancelled?.unwrap();
            });
            yield;
            sends.try_send(2)?;
            sends.try_send(3)?;
            assert_eq!(sends.len(), 1);
            Err("failed")?;
        });
        assert!(failed.is_err());
        assert_eq!(sender.len(), 2);
        assert_eq!((yield receiver.recv(), yield receiver.recv()), (Ok(2), Ok(3)));
    };
    simulated().run(main).unwrap();
}

#[test]
fn a_message_given_back_goes_to_the_next_waiter() {
    let (sender, receiver) = unbounded();
    let main = co! {
        let quits = timeout((receiver.recv(), tinyield::sleep(LONG)), ms(2));
        yield spawn(co! { assert!((yield quits).is_err()); });
        yield turns(2);
        let recv = receiver.recv();
        let next = yield spawn(co! { yield recv });
        yield;
        sender.try_send(1)?;
        assert_eq!(sender.len(), 0);
        assert!(!next.is_finished());
        yield next
    };
    assert_eq!(simulated().run(main).unwrap(), Ok(1));
}

#[test]
fn a_sender_that_gives_up_has_not_sent() {
    let alive = Alive::new();
    let (sender, receiver) = bounded(1);
    let main = co! {
        assert!(sender.try_send(alive.token()).is_ok());
        assert!((yield timeout(sender.send(alive.token()), ms(1))).is_err());
        assert_eq!(alive.get(), 1);
        assert_eq!(sender.statistics().waiting_senders, 0);
        assert!(receiver.try_recv().is_ok());
        assert!(receiver.try_recv().is_err());
    };
    simulated().run(main).unwrap();
}

#[test]
fn a_part_of_a_gather_sends_and_receives_by_itself() {
    let (sender, receiver) = bounded(1);
    let (answer, answered) = bounded(1);
    let main = co! {
        sender.try_send(0)?;
        let asks = (sender.send(1), answered.recv());
        let asks = co! { yield asks };
        let answers = co! {
            assert_eq!(yield receiver.recv(), Ok(0));
            assert_eq!(yield receiver.recv(), Ok(1));
            (yield answer.send("yes"))?;
        };
        yield (asks, answers)
    };
    let ((sent, answer), ()) = Loop::new().run(main).unwrap();
    assert_eq!((sent, answer), (Ok(()), Ok("yes")));
}

#[test]
fn try_recv_gets_the_oldest_message_although_another_receiver_has_a_claim() {
    for has_remote in [false, true] {
        let (sender, receiver) = unbounded();
        let _remote = has_remote.then(|| receiver.remote());
        let recv = receiver.recv();
        let claims = co! { (yield (recv, turns(3))).0? };
        let main = co! {
            sender.try_send(0)?;
            let claims = yield spawn(claims);
            yield; // now `claims` waits; it will take one of the messages after its turns
            sender.try_send(1)?;
            sender.try_send(2)?;
            let own = (receiver.try_recv()?, (yield receiver.recv())?);
            (own, yield claims)
        };
        assert_eq!(Loop::new().run(main).unwrap(), ((0, 1), 2), "{has_remote}");
    }
}

#[test]
fn a_received_message_makes_room_although_its_gather_waits() {
    let (sender, receiver) = bounded(1);
    let (more, received) = (sender.clone(), receiver.clone());
    let main = co! {
        let receives = co! { yield (received.recv(), received.recv(), received.recv()) };
        let sends = co! {
            for i in 0..3 {
                (yield more.send(i))?;
            }
        };
        (yield (receives, sends)).0
    };
    assert_eq!(Loop::new().run(main).unwrap(), (Ok(0), Ok(1), Ok(2)));
    drop((sender, receiver));
}

#[test]
fn each_wait_is_one_turn_and_wakes_once() {
    let (sender, receiver) = unbounded();
    let resumed = Counter::new();
    let counted = resumed.clone();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(co! {
        while (yield receiver.recv()).is_ok() {
            resumed.up();
        }
    });
    let _ = to_idle(&mut runtime);
    sender.try_send(()).unwrap();
    let (steps, _) = to_idle(&mut runtime);
    assert_eq!((steps, counted.get()), (1, 1));
    sender.try_send(()).unwrap();
    sender.try_send(()).unwrap();
    let (steps, _) = to_idle(&mut runtime);
    assert_eq!((steps, counted.get()), (2, 3));
    drop(sender);
    assert_eq!(to_end(&mut runtime).0, 1);
}

#[test]
fn unread_messages_are_dropped_with_the_last_receiver() {
    let alive = Alive::new();
    let (sender, receiver) = unbounded();
    sender.try_send(alive.token()).unwrap();
    drop(receiver);
    assert_eq!(alive.get(), 0);
    assert!(sender.is_closed());
}

#[test]
fn a_message_may_own_its_own_channel() {
    struct Message(#[allow(dead_code)] Sender<Message>);
    let (sender, receiver) = unbounded();
    sender.try_send(Message(sender.clone())).unwrap();
    drop(sender);
    drop(receiver);
}

#[test]
fn a_send_on_one_loop_wakes_a_receiver_on_another_loop_of_the_thread() {
    let (sender, receiver) = unbounded();
    let (mut one, mut other) = (Loop::new(), Loop::new());
    let mut receiving = one.runtime(receiver.recv());
    let _ = to_idle(&mut receiving);
    assert!(other.run(sender.send(1)).unwrap().is_ok());
    assert_eq!(to_end(&mut receiving).1.unwrap(), Ok(1));
}

#[test]
fn waiting_for_a_channel_that_is_never_used_is_a_deadlock() {
    let (_sender, receiver) = unbounded::<()>();
    let recv = receiver.recv();
    let error = Loop::new().run(co! { let _ = yield recv; }).unwrap_err();
    assert!(error.error().downcast_ref::<Deadlock>().unwrap().to_string().contains("a channel"));
    assert!(format!("{receiver:?}").starts_with("Receiver { messages: 0, capacity: None"), "{receiver:?}");
}

#[test]
fn a_send_in_a_gather_counts_as_a_sender_until_its_message_is_sent() {
    for capacity in [1, 2] {
        let (sender, receiver) = bounded(capacity);
        let sends = [sender.send(1), sender.send(2), sender.send(3)];
        drop(sender);
        let receives = co! {
            let mut received = Vec::new();
            while let Ok(number) = yield receiver.recv() {
                received.push(number);
            }
            received
        };
        let (sent, received) = Loop::new().run((sends, receives)).unwrap();
        assert!(sent.iter().all(Result::is_ok));
        assert_eq!(received, [1, 2, 3]);
    }
}
