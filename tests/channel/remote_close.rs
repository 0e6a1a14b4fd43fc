//! Remote ends: what a close, or the end of the last sender or receiver, does on all threads, and which ends prevent a deadlock.

use std::sync::mpsc;
use std::thread;

use tinyield::channel::{RecvError, SendError, bounded, unbounded};
use tinyield::{Coro, Loop, co, run_in_thread};

use crate::common::{is_deadlock, panic_of};

#[test]
fn a_close_wakes_threads_that_block() {
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
fn a_close_by_a_thread_wakes_waiting_coroutines() {
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
fn a_close_by_a_remote_end_of_the_waiting_side_wakes_the_coroutines() {
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
fn a_close_by_a_remote_end_made_during_the_wait_wakes_the_coroutines() {
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
fn dropping_the_last_end_of_a_side_on_any_thread_closes_the_channel() {
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
fn dropping_the_last_local_end_closes_the_channel_when_no_remote_end_is_left() {
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
fn a_deadlock_is_reported_when_the_last_remote_sender_is_dropped_and_not_before() {
    let (sender, receiver) = unbounded::<()>();
    let remote = sender.remote();
    let thread = thread::spawn(move || drop(remote));
    // `sender` stays, so it is not closed.
    assert!(is_deadlock(&Loop::new().run(receiver.recv()).unwrap_err()));
    thread.join().unwrap();
    drop(sender);
}

#[test]
fn a_remote_end_of_the_waiting_side_prevents_a_deadlock_as_it_may_close() {
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
fn a_remote_end_of_the_waiting_side_that_is_dropped_leaves_a_deadlock() {
    let (sender, receiver) = unbounded::<()>();
    let remote = receiver.remote();
    let thread = thread::spawn(move || drop(remote));
    assert!(is_deadlock(&Loop::new().run(receiver.recv()).unwrap_err()));
    thread.join().unwrap();
    drop(sender);
}

#[test]
fn unread_messages_are_dropped_with_the_last_local_or_remote_receiver() {
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
    // The channel is dropped on a thread. Behind the message that panics is one whose destructor closes a second channel, for which a
    // coroutine waits.
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

    // The channel is dropped in a coroutine, while another coroutine waits for room.
    let (sender, receiver) = bounded(1);
    let _remote = sender.remote();
    sender.try_send(Some(Bomb)).unwrap();
    let leaves = co! { yield; panic_of(|| drop(receiver)) };
    let (sent, message) = Loop::new().run((sender.send(None), leaves)).unwrap();
    assert!(sent.is_err());
    assert_eq!(message, "boo");
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
    // The thread may not wait yet when the channel is closed, so this is repeated many times.
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
