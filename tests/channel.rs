//! Channels: first in, first out; no message is lost; no waiter is overtaken; local and remote ends share one capacity.
#![feature(coroutines)]

mod common;

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;

use common::{Alive, Counter, LONG, Log, forever, ms, panic_of, simulated, to_end, to_idle};
use tinyield::channel::{
    Receiver, RecvError, RemoteReceiver, RemoteSender, SendError, Sender, TryRecvError, TrySendError, bounded,
    unbounded,
};
use tinyield::{Coro, Deadlock, Loop, LoopError, TimedOut, catch, co, coro, isolate, run_in_thread, spawn, timeout};

#[coro]
fn collects<T: 'static>(receiver: Receiver<T>) -> Coro<Vec<T>> {
    let mut all = Vec::new();
    while let Ok(message) = yield receiver.recv() {
        all.push(message);
    }
    all
}

#[coro]
fn turns(count: usize) -> Coro<()> {
    for _ in 0..count {
        yield;
    }
}

fn is_deadlock(error: &LoopError) -> bool {
    error.error().downcast_ref::<Deadlock>().is_some()
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
fn no_room_at_all_is_a_mistake() {
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
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "it is for who waited first");
        sender.try_send(2)?;
        sender.try_send(3)?;
        sender.try_send(4)?;
        assert_eq!(receiver.try_recv(), Ok(1), "there is one more than are waited for, and all are received in order");
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
        assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)), "the room was for who waited first");
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
        // One that is cancelled when the message was already for it.
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
            yield; // one of them is to be received, when the turns have been taken
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
fn one_way_loops_wait_for_each_other() {
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

// The remote ends.

#[test]
fn remote_ends_are_send_and_sync() {
    fn is<T: Send + Sync + Clone + 'static>() {}
    is::<RemoteSender<u32>>();
    is::<RemoteReceiver<u32>>();
}

#[test]
fn a_thread_sends_and_coroutines_receive() {
    for (sender, receiver) in [bounded(1), bounded(3), unbounded()] {
        let remote = sender.remote();
        drop(sender);
        let thread = thread::spawn(move || (0..1000).try_for_each(|i| remote.send(i)));
        assert_eq!(Loop::new().run(collects(receiver)).unwrap(), (0..1000).collect::<Vec<_>>());
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn coroutines_send_and_a_thread_receives() {
    for (sender, receiver) in [bounded(1), bounded(3), unbounded()] {
        let remote = receiver.remote();
        drop(receiver);
        let thread = thread::spawn(move || remote.iter().collect::<Vec<_>>());
        let main = co! {
            for i in 0..1000 {
                (yield sender.send(i))?;
            }
        };
        Loop::new().run(main).unwrap();
        assert_eq!(thread.join().unwrap(), (0..1000).collect::<Vec<_>>());
    }
}

#[test]
fn many_threads_and_many_coroutines_lose_nothing() {
    let (sender, receiver) = bounded(4);
    let main = co! {
        let from_threads: Vec<_> = (0..4).map(|thread| {
            let remote = sender.remote();
            run_in_thread(move || (0..250).try_for_each(|i| remote.send(thread * 1000 + i)))
        }).collect();
        let from_coroutines: Vec<_> = (4..6).map(|coroutine| {
            let sender = sender.clone();
            co! {
                for i in 0..250 {
                    (yield sender.send(coroutine * 1000 + i))?;
                }
            }
        }).collect();
        let by_threads: Vec<_> = (0..2).map(|_| {
            let remote = receiver.remote();
            run_in_thread(move || remote.iter().collect::<Vec<_>>())
        }).collect();
        let by_coroutines: Vec<_> = (0..2).map(|_| collects(receiver.clone())).collect();
        drop(receiver);
        let sends = co! {
            for sent in (yield (from_threads, from_coroutines)).0 {
                sent?;
            }
            drop(sender);
        };
        let (by_threads, by_coroutines, ()) = yield (by_threads, by_coroutines, sends);
        let mut all = by_threads.concat();
        all.extend(by_coroutines.concat());
        all.sort_unstable();
        all
    };
    let expected: Vec<_> = (0..6).flat_map(|by| (0..250).map(move |i| by * 1000 + i)).collect();
    assert_eq!(Loop::new().run(main).unwrap(), expected);
}

#[test]
fn the_room_is_the_same_for_threads() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let (sender, receiver) = bounded(3);
    let remote = sender.remote();
    drop(sender);
    let thread = thread::spawn(move || {
        for i in 0..500 {
            remote.send(i).unwrap();
            SENT.fetch_add(1, SeqCst);
        }
    });
    let main = co! {
        for received in 0..500 {
            MOST.fetch_max(SENT.load(SeqCst).saturating_sub(received), SeqCst);
            assert_eq!(yield receiver.recv(), Ok(received));
        }
        assert_eq!(yield receiver.recv(), Err(RecvError));
    };
    Loop::new().run(main).unwrap();
    thread.join().unwrap();
    assert!(MOST.load(SeqCst) <= 3, "{MOST:?}");
}

#[test]
fn what_was_in_it_before_stays_in_order() {
    let (sender, receiver) = bounded(3);
    for i in 0..3 {
        sender.try_send(i).unwrap();
    }
    let remote = receiver.remote();
    assert_eq!((sender.len(), remote.len(), remote.capacity()), (3, 3, Some(3)));
    assert!(sender.try_send(3).is_err());
    assert_eq!(remote.try_recv(), Ok(0));
    assert_eq!(receiver.try_recv(), Ok(1));
    sender.remote().try_send(3).unwrap();
    drop(sender);
    assert_eq!((remote.recv(), remote.recv(), remote.recv()), (Ok(2), Ok(3), Err(RecvError)));
}

#[test]
fn a_message_that_a_coroutine_gave_back_is_received_by_a_thread_first() {
    let (sender, receiver) = bounded(1);
    let remote = receiver.remote();
    let main = co! {
        let (sends, recv) = (sender.clone(), receiver.recv());
        let failed = yield isolate(co! {
            yield spawn(co! { let _ = yield recv; });
            yield;
            sends.try_send(1)?;
            sends.try_send(2)?;
            Err("failed")?;
        });
        assert!(failed.is_err());
        assert_eq!(receiver.len(), 2);
        drop((sender, receiver));
        yield run_in_thread(move || remote.iter().collect::<Vec<_>>())
    };
    assert_eq!(Loop::new().run(main).unwrap(), [1, 2]);
}

#[test]
fn closing_reaches_threads_that_block() {
    let (sender, receiver) = bounded(1);
    sender.try_send(0).unwrap();
    let remote = sender.remote();
    let sends = thread::spawn(move || remote.send(1));
    let (other_sender, other_receiver) = bounded::<()>(1);
    let remote = other_receiver.remote();
    let receives = thread::spawn(move || remote.recv());
    receiver.close();
    other_sender.close();
    assert_eq!(sends.join().unwrap(), Err(SendError(1)));
    assert_eq!(receives.join().unwrap(), Err(RecvError));
    assert_eq!(receiver.try_recv(), Ok(0));
}

#[test]
fn a_thread_that_closes_reaches_coroutines_that_wait() {
    let (sender, receiver) = bounded::<()>(1);
    let remote = sender.remote();
    let recv = receiver.recv();
    let main = co! {
        let closes = co! { yield; yield run_in_thread(move || remote.close()) };
        yield (recv, closes)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (Err(RecvError), true));
    assert!(sender.is_closed() && receiver.is_closed());
}

#[test]
fn a_thread_that_closes_by_an_end_of_their_own_side_reaches_coroutines_that_wait() {
    let (sender, receiver) = bounded::<()>(1);
    let remote = receiver.remote();
    let closes = co! { yield; yield run_in_thread(move || remote.close()) };
    assert_eq!(Loop::new().run((receiver.recv(), closes)).unwrap(), (Err(RecvError), true));
    drop(sender);

    let (sender, receiver) = bounded(1);
    sender.try_send(0).unwrap();
    let remote = sender.remote();
    let closes = co! { yield; yield run_in_thread(move || remote.close()) };
    assert_eq!(Loop::new().run((sender.send(1), closes)).unwrap(), (Err(SendError(1)), true));
    drop(receiver);
}

#[test]
fn a_thread_that_closes_by_an_end_made_after_they_came_reaches_coroutines_that_wait() {
    let (sender, receiver) = bounded::<()>(1);
    let recv = receiver.recv();
    let closes = co! {
        yield;
        let remote = receiver.remote();
        yield run_in_thread(move || remote.close())
    };
    assert_eq!(Loop::new().run((recv, closes)).unwrap(), (Err(RecvError), true));
    drop(sender);
}

#[test]
fn the_last_end_of_a_side_closes_wherever_it_is() {
    let (sender, receiver) = unbounded::<()>();
    let remote = sender.remote();
    drop(sender);
    assert!(!receiver.is_closed());
    let thread = thread::spawn(move || drop(remote));
    assert_eq!(Loop::new().run(receiver.recv()).unwrap(), Err(RecvError));
    thread.join().unwrap();

    let (sender, receiver) = bounded(1);
    let remote = receiver.remote();
    drop(receiver);
    sender.try_send(0).unwrap();
    let thread = thread::spawn(move || drop(remote));
    assert_eq!(Loop::new().run(sender.send(1)).unwrap(), Err(SendError(1)));
    thread.join().unwrap();
}

#[test]
fn the_last_end_of_a_side_closes_after_the_remote_ones_are_gone() {
    let (sender, receiver) = unbounded::<()>();
    drop(sender.remote());
    let main = (receiver.recv(), co! { yield; drop(sender); });
    assert_eq!(Loop::new().run(main).unwrap().0, Err(RecvError));

    let (sender, receiver) = bounded(1);
    drop(receiver.remote());
    sender.try_send(0).unwrap();
    let main = (sender.send(1), co! { yield; drop(receiver); });
    assert_eq!(Loop::new().run(main).unwrap().0, Err(SendError(1)));
}

#[test]
fn a_remote_end_outlives_the_loop_and_the_other_side() {
    let (sender, receiver) = bounded(1);
    let (remote_sender, remote_receiver) = (sender.remote(), receiver.remote());
    drop((sender, receiver));
    let thread = thread::spawn(move || (0..10).try_for_each(|i| remote_sender.send(i)));
    assert_eq!(remote_receiver.iter().sum::<u32>(), 45);
    thread.join().unwrap().unwrap();
}

#[test]
fn a_remote_sender_that_is_kept_is_no_deadlock_and_dropped_it_is_one_at_once() {
    let (sender, receiver) = unbounded::<()>();
    let remote = sender.remote();
    let thread = thread::spawn(move || drop(remote));
    // `sender` stays, so it is not closed.
    assert!(is_deadlock(&Loop::new().run(receiver.recv()).unwrap_err()));
    thread.join().unwrap();
    drop(sender);
}

#[test]
fn a_remote_end_of_their_own_side_is_a_watcher_too_and_may_close() {
    fn closes(close: impl FnOnce() -> bool + Send + 'static) -> Coro<()> {
        let (begin, begun) = mpsc::channel();
        thread::spawn(move || {
            begun.recv().unwrap();
            close();
        });
        co! { yield; begin.send(())?; }
    }

    let (sender, receiver) = bounded::<()>(1);
    let remote = receiver.remote();
    let closes_it = closes(move || remote.close());
    assert_eq!(Loop::new().run((receiver.recv(), closes_it)).unwrap().0, Err(RecvError));
    drop(sender);

    let (sender, receiver) = bounded(1);
    sender.try_send(0).unwrap();
    let remote = sender.remote();
    let closes_it = closes(move || remote.close());
    assert_eq!(Loop::new().run((sender.send(1), closes_it)).unwrap().0, Err(SendError(1)));
    drop(receiver);
}

#[test]
fn a_remote_end_of_their_own_side_that_is_dropped_leaves_a_deadlock() {
    let (sender, receiver) = unbounded::<()>();
    let remote = receiver.remote();
    let thread = thread::spawn(move || drop(remote));
    assert!(is_deadlock(&Loop::new().run(receiver.recv()).unwrap_err()));
    thread.join().unwrap();
    drop(sender);
}

#[test]
fn unread_messages_are_dropped_with_the_last_receiver_also_a_remote_one() {
    use std::sync::Arc;
    let message = Arc::new(());
    let (sender, receiver) = unbounded();
    let remote = receiver.remote();
    sender.try_send(message.clone()).unwrap();
    drop(receiver);
    assert_eq!(Arc::strong_count(&message), 2);
    drop(remote);
    assert_eq!(Arc::strong_count(&message), 1);
    assert!(sender.is_closed());
}

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("boo");
    }
}

#[test]
fn a_panic_of_an_unread_message_does_not_keep_the_last_receiver_from_closing_the_channel() {
    // On a thread, before a message whose drop closes a second channel, for which a coroutine waits.
    let (answer, answers) = unbounded::<()>();
    let (sender, receiver) = unbounded();
    sender.try_send((Some(Bomb), None)).unwrap();
    sender.try_send((None, Some(answer.remote()))).unwrap();
    drop(answer);
    let remote = receiver.remote();
    drop(receiver);
    assert_eq!(panic_of(|| drop(remote)), "boo");
    assert_eq!(Loop::new().run(answers.recv()).unwrap(), Err(RecvError));
    assert_eq!((sender.statistics().receivers, sender.len()), (0, 0));

    // In a coroutine, while another waits for room.
    let (sender, receiver) = bounded(1);
    let _remote = sender.remote();
    sender.try_send(Some(Bomb)).unwrap();
    let leaves = co! { yield; panic_of(|| drop(receiver)) };
    let (sent, message) = Loop::new().run((sender.send(None), leaves)).unwrap();
    assert!(sent.is_err());
    assert_eq!(message, "boo");
}

#[test]
fn room_for_more_than_there_is_memory_is_room_for_all() {
    let (sender, receiver) = bounded(usize::MAX);
    sender.try_send(1).unwrap();
    let (remote, seen) = (sender.remote(), receiver.remote());
    assert_eq!(
        (remote.capacity(), seen.capacity(), sender.capacity()),
        (Some(usize::MAX), Some(usize::MAX), Some(usize::MAX))
    );
    remote.send(2).unwrap();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_remote_end_that_is_made_later_wakes_coroutines_that_wait_already() {
    let (sender, receiver) = bounded(1);
    let receives = receiver.recv();
    let sends = co! {
        yield;
        let remote = sender.remote();
        drop(sender);
        run_in_thread(move || remote.clone().send(1)).raise().yield;
    };
    assert_eq!(Loop::new().run((receives, sends)).unwrap().0, Ok(1));

    let (sender, receiver) = bounded(1);
    sender.try_send(1).unwrap();
    let sends = co! { yield sender.send(2) };
    let receives = co! {
        yield;
        let remote = receiver.remote();
        drop(receiver);
        yield run_in_thread(move || remote.clone().iter().collect::<Vec<_>>())
    };
    assert_eq!(Loop::new().run((sends, receives)).unwrap(), (Ok(()), vec![1, 2]));
}

#[test]
fn a_thread_that_waits_for_room_gets_its_message_back_when_the_channel_is_closed() {
    // Whether the thread has come to wait is its own affair: so, often.
    for round in 0..200 {
        let (sender, receiver) = bounded(1);
        sender.try_send(0).unwrap();
        let (remote, seen) = (sender.remote(), receiver.remote());
        let (begins, has_begun) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            begins.send(()).unwrap();
            remote.send(1)
        });
        has_begun.recv().unwrap();
        for _ in 0..round % 20 {
            thread::yield_now();
        }
        assert!(!seen.is_closed() && !seen.is_empty());
        assert!(receiver.close());
        assert_eq!(thread.join().unwrap(), Err(SendError(1)));
        assert!(seen.is_closed());
        assert_eq!((seen.recv(), seen.recv()), (Ok(0), Err(RecvError)));
    }
}

#[test]
fn a_send_that_is_part_of_more_counts_as_a_sender_until_its_message_is_sent() {
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

#[test]
fn messages_that_are_given_back_are_received_in_the_order_in_which_they_were_sent() {
    for has_remote in [false, true] {
        let (sender, receiver) = unbounded();
        let _remote = has_remote.then(|| sender.remote());
        (1..=4).for_each(|number| sender.try_send(number).unwrap());
        let gives_up = timeout((receiver.recv(), receiver.recv(), receiver.recv(), forever()), ms(1));
        assert_eq!(simulated().run(gives_up).unwrap(), Err(TimedOut));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2, 3, 4], "remote: {has_remote}");
    }
}
