//! Remote ends of channels.

use std::sync::Arc;

use loom::thread;
use tinyield::channel::{Receiver, RecvError, Sender, TryRecvError, TrySendError, bounded, unbounded};
use tinyield::{Loop, co, race};

use crate::{check, check_bounded};

#[test]
fn a_remote_sender_and_its_end_wake_the_loop() {
    check_bounded(3, || {
        let (sender, receiver) = unbounded();
        let remote = sender.remote();
        drop(sender);
        let thread = thread::spawn(move || remote.try_send(1).unwrap());
        let main = co! {
            assert_eq!(yield receiver.recv(), Ok(1));
            assert_eq!(yield receiver.recv(), Err(RecvError));
        };
        Loop::new().run(main).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_message_wakes_the_loop_although_its_sender_stays() {
    check_bounded(4, || {
        let (sender, receiver) = unbounded();
        let remote = sender.remote();
        let thread = thread::spawn(move || {
            remote.try_send(1).unwrap();
            remote
        });
        assert_eq!(Loop::new().run(co! { yield receiver.recv() }).unwrap(), Ok(1));
        thread.join().unwrap();
    });
}

#[test]
fn room_wakes_the_loop_although_its_receiver_stays() {
    check_bounded(4, || {
        let (sender, receiver) = bounded(1);
        sender.try_send(1).unwrap();
        let remote = receiver.remote();
        let thread = thread::spawn(move || {
            assert_eq!(remote.try_recv(), Ok(1));
            remote
        });
        assert!(Loop::new().run(co! { (yield sender.send(2)).is_ok() }).unwrap());
        thread.join().unwrap();
    });
}

#[test]
fn two_remote_senders_lose_nothing() {
    check_bounded(2, || {
        let (sender, receiver) = unbounded();
        let threads = [(1, sender.remote()), (2, sender.remote())]
            .map(|(number, remote)| thread::spawn(move || remote.try_send(number).unwrap()));
        drop(sender);
        let main = co! {
            let mut sum = 0;
            while let Ok(number) = yield receiver.recv() {
                sum += number;
            }
            sum
        };
        assert_eq!(Loop::new().run(main).unwrap(), 3);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_remote_receiver_makes_room_and_its_end_closes() {
    check_bounded(3, || {
        let (sender, receiver) = bounded(1);
        let remote = receiver.remote();
        drop(receiver);
        let thread = thread::spawn(move || match remote.try_recv() {
            Ok(number) => number,
            Err(TryRecvError::Empty) => 0,
            Err(TryRecvError::Closed) => panic!("the sender is still there"),
        });
        // There is room for one message, and for one more after each message that was received. Then `send` fails, because the receiver is
        // gone.
        let main = co! {
            let mut sent = 0;
            while (yield sender.send(sent + 1)).is_ok() {
                sent += 1;
            }
            (sent, sender)
        };
        let (sent, sender) = Loop::new().run(main).unwrap();
        let received = thread.join().unwrap();
        assert!(received <= sent && sent <= received + 1, "sent {sent}, received {received}");
        assert!(sender.is_empty(), "messages that nobody can receive are dropped");
    });
}

#[test]
fn a_coroutine_receives_the_message_that_a_remote_receiver_leaves() {
    check_bounded(3, || {
        let (sender, receiver) = unbounded();
        let (sends, receives) = (sender.remote(), receiver.remote());
        // The threads return their ends: dropping an end would also wake the loop.
        let sending = thread::spawn(move || {
            (1..=2).for_each(|number| sends.try_send(number).unwrap());
            sends
        });
        let receiving = thread::spawn(move || (receives.try_recv().ok(), receives));
        let here = Loop::new().run(receiver.recv()).unwrap();
        let (there, _receives) = receiving.join().unwrap();
        let _sends = sending.join().unwrap();
        assert!(matches!(here, Ok(1 | 2)) && here.ok() != there, "received {here:?} and {there:?}");
    });
}

#[test]
fn a_coroutine_receives_one_of_two_messages_if_a_sender_takes_the_other_one() {
    check_bounded(3, || {
        let (sender, receiver) = unbounded();
        let (sends, receives) = (sender.remote(), receiver.remote());
        let other = sender.remote();
        let threads = [
            thread::spawn(move || {
                sends.try_send(1).unwrap();
                let _ = receives.try_recv();
            }),
            thread::spawn(move || other.try_send(2).unwrap()),
        ];
        assert!(Loop::new().run(receiver.recv()).unwrap().is_ok());
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_message_is_received_or_stays_when_its_receiver_gives_up() {
    check_bounded(4, || {
        let (sender, receiver) = unbounded();
        let remote = sender.remote();
        let thread = thread::spawn(move || remote.try_send(1).unwrap());
        let theirs = receiver.clone();
        let gives_up = race([co! { (yield theirs.recv()).ok() }, co! { yield; None }]);
        let received = Loop::new().run(gives_up).unwrap();
        thread.join().unwrap();
        assert_eq!(receiver.try_recv().ok(), if received.is_some() { None } else { Some(1) });
        drop(sender);
    });
}

#[test]
fn a_remote_sender_finds_the_channel_closed_or_its_message_is_received() {
    check(|| check_send_during_close(bounded(1)));
    check(|| check_send_during_close(unbounded()));
}

fn check_send_during_close((sender, receiver): (Sender<u32>, Receiver<u32>)) {
    let remote = sender.remote();
    let thread = thread::spawn(move || match remote.try_send(1) {
        Ok(()) => true,
        Err(TrySendError::Closed(1)) => false,
        unsent => panic!("{unsent:?}"),
    });
    receiver.close();
    let received = match receiver.try_recv() {
        Ok(1) => true,
        Err(TryRecvError::Closed) => false,
        other => panic!("{other:?}"),
    };
    assert_eq!(thread.join().unwrap(), received);
}

#[test]
fn a_message_that_is_sent_while_the_last_receiver_is_dropped_is_returned_or_dropped() {
    check(|| {
        let (sender, receiver) = unbounded();
        let remote = sender.remote();
        let message = Arc::new(());
        let sent = message.clone();
        // The senders stay. If the message stayed in the channel, they would keep it.
        let thread = thread::spawn(move || {
            let _ = remote.try_send(sent);
            remote
        });
        drop(receiver);
        let remote = thread.join().unwrap();
        assert_eq!(Arc::strong_count(&message), 1, "the channel keeps a message that nobody can receive");
        drop((sender, remote));
    });
}

#[test]
fn messages_sent_before_the_close_are_received_before_it_on_any_thread() {
    check(|| {
        let (sender, receiver) = unbounded();
        let (sends, receives) = (sender.remote(), receiver.remote());
        drop(sender);
        let thread = thread::spawn(move || sends.try_send(1).unwrap());
        let mut received = receives.try_recv();
        if received == Err(TryRecvError::Empty) {
            received = receiver.try_recv();
        }
        assert_ne!(received, Err(TryRecvError::Closed), "it is closed, but not empty");
        thread.join().unwrap();
        if received == Err(TryRecvError::Empty) {
            received = receiver.try_recv();
        }
        assert_eq!(received, Ok(1));
    });
}

#[test]
fn a_remote_receiver_receives_in_order_while_a_local_receiver_receives() {
    check(|| {
        let (sender, receiver) = unbounded();
        let remote = receiver.remote();
        for number in [1, 2, 3] {
            sender.try_send(number).unwrap();
        }
        let thread = thread::spawn(move || [remote.try_recv(), remote.try_recv()].map(Result::unwrap));
        let received = receiver.try_recv().unwrap();
        let [first, second] = thread.join().unwrap();
        assert!(first < second, "{first} came before {second}");
        assert_eq!(received + first + second, 6);
    });
}

#[test]
fn threads_find_a_returned_message_while_more_messages_are_returned() {
    check_bounded(3, || {
        let (sender, receiver) = unbounded();
        for number in [1, 2] {
            sender.try_send(number).unwrap();
        }
        let remote = receiver.remote();
        sender.close();
        let (one, two) = (receiver.recv(), receiver.recv());
        let (handle, handles) = std::sync::mpsc::channel();
        let gives_up = race([
            co! { let _ = yield (one, two); },
            co! {
                // Both messages are claimed by now. So if the thread finds one, it was given back, and nothing else takes it.
                let looks = move || if remote.is_empty() { None } else { Some(remote.try_recv()) };
                handle.send(thread::spawn(looks)).unwrap();
            },
        ]);
        Loop::new().run(gives_up).unwrap();
        let received = handles.recv().unwrap().join().unwrap();
        assert!(!matches!(received, Some(Err(_))), "it was not empty: {received:?}");
        let rest: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        assert_eq!(received.into_iter().flatten().chain(rest).count(), 2);
    });
}

#[test]
fn a_send_during_a_close_by_a_thread_never_fails_as_full() {
    check(|| {
        let (sender, receiver) = unbounded();
        let remote = receiver.remote();
        let thread = thread::spawn(move || remote.close());
        let sent = sender.try_send(1);
        assert!(thread.join().unwrap());
        match sent {
            Ok(()) => assert_eq!(receiver.try_recv(), Ok(1)),
            Err(unsent) => assert!(unsent.is_closed(), "{unsent:?}"),
        }
    });
}

#[test]
fn of_three_handles_that_close_a_channel_at_once_exactly_one_reports_success() {
    check_bounded(4, || {
        let (sender, receiver) = unbounded::<u32>();
        let remotes = [sender.remote(), sender.remote()];
        let threads = remotes.map(|remote| thread::spawn(move || remote.close()));
        let closed_here = receiver.close();
        let closed_there = threads.map(|thread| thread.join().unwrap());
        let times = usize::from(closed_here) + closed_there.map(usize::from).iter().sum::<usize>();
        assert_eq!(times, 1, "the number of calls of `close` that returned true");
    });
}
