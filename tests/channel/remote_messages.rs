//! Remote ends: messages between coroutines and threads, their order, and the capacity that all ends share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use tinyield::channel::{Receiver, RecvError, RemoteReceiver, RemoteSender, Sender, TryRecvError, bounded, unbounded};
use tinyield::{Loop, TimedOut, co, isolate, run_in_thread, spawn, timeout};

use crate::collects;
use crate::common::{forever, ms, simulated};

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
    lose_nothing(bounded(4));
    lose_nothing(unbounded());
}

fn lose_nothing((sender, receiver): (Sender<u32>, Receiver<u32>)) {
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
fn local_and_remote_ends_share_one_capacity() {
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
fn messages_sent_before_the_first_remote_end_stay_in_order() {
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
fn a_thread_receives_a_message_that_a_coroutine_gave_back_first() {
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
fn a_capacity_that_exceeds_the_memory_is_accepted() {
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

/// The first `recv` moves all messages from the queue of the senders to the state. They still belong to the channel.
#[test]
fn remote_receiver_made_after_the_loop_has_received_gets_all_other_messages_in_order() {
    let (sender, receiver) = unbounded();
    let remote = sender.remote();
    drop(sender);
    for number in 0..200 {
        remote.try_send(number).unwrap();
    }
    drop(remote);
    assert_eq!(Loop::new().run(receiver.recv()).unwrap(), Ok(0));
    assert_eq!((receiver.len(), receiver.statistics().messages), (199, 199));
    let remote = receiver.remote();
    let received = thread::spawn(move || remote.iter().collect::<Vec<_>>()).join().unwrap();
    assert_eq!(received, (1..200).collect::<Vec<_>>());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn local_and_remote_receivers_that_take_turns_receive_in_order() {
    for (sender, receiver) in [bounded(9), unbounded()] {
        let (sends, receives) = (sender.remote(), receiver.remote());
        for number in 1..=9 {
            if number % 2 == 0 { sends.try_send(number).unwrap() } else { sender.try_send(number).unwrap() }
        }
        let mut received = Vec::new();
        for _ in 0..3 {
            received.push(receiver.try_recv().unwrap());
            received.push(receives.try_recv().unwrap());
            received.push(Loop::new().run(receiver.recv()).unwrap().unwrap());
        }
        assert_eq!(received, (1..=9).collect::<Vec<_>>());
        assert_eq!(receives.try_recv(), Err(TryRecvError::Empty));
    }
}

/// Each time a thread takes the oldest message, the claim of the coroutine moves to the next message.
#[test]
fn a_thread_may_take_a_message_that_a_coroutine_was_handed_but_not_the_last_one() {
    let (sender, receiver) = unbounded();
    let remote = receiver.remote();
    let main = co! {
        let receives = yield spawn(co! { (yield receiver.recv())? });
        yield;
        (1..=3).try_for_each(|number| sender.try_send(number))?;
        (remote.try_recv(), remote.try_recv(), remote.try_recv(), yield receives)
    };
    let received = Loop::new().run(main).unwrap();
    assert_eq!(received, (Ok(1), Ok(2), Err(TryRecvError::Empty), 3));
}

#[test]
fn messages_moved_to_the_state_are_dropped_with_the_last_receiver() {
    let (sender, receiver) = unbounded();
    let remote = sender.remote();
    let message = Arc::new(());
    for _ in 0..200 {
        remote.try_send(message.clone()).unwrap();
    }
    drop(receiver.try_recv().unwrap());
    drop(receiver);
    assert_eq!(Arc::strong_count(&message), 1);
    assert!(sender.try_send(message).unwrap_err().is_closed());
}
