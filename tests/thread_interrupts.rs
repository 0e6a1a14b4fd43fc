//! A cancellation interrupts a closure that blocks at a remote end of a channel.
#![feature(coroutines)]

mod common;

use std::sync::mpsc;
use std::thread;

use common::{LONG, in_time, ms};
use tinyield::channel::{RecvError, SendError, Sender, bounded, unbounded};
use tinyield::thread::is_cancelled;
use tinyield::{Coro, Event, Loop, co, finally, race, run_in_loop, run_in_thread, sleep, timeout};

/// A closure that calls `begin` and then blocks in `recv`. The returned sender keeps the channel open.
fn blocks_in_recv(begin: impl FnOnce() + Send + 'static) -> (Coro<Result<u8, RecvError>>, Sender<u8>) {
    let (sender, receiver) = unbounded::<u8>();
    let remote = receiver.remote();
    (
        run_in_thread(move || {
            begin();
            remote.recv()
        }),
        sender,
    )
}

#[test]
fn error_of_another_coroutine_ends_a_closure_that_blocks_in_recv() {
    in_time(|| {
        let (begun, begin) = mpsc::channel();
        let (receives, sender) = blocks_in_recv(move || begun.send(()).unwrap());
        let fails = co! { begin.recv()?; Err("the work failed")?; };
        let error = Loop::new().run(co! { let _ = yield (receives, fails); drop(sender); }).unwrap_err();
        assert_eq!(error.to_string(), "the work failed");
        assert!(error.others().is_empty(), "{error:?}");
    });
}

#[test]
fn lost_race_ends_a_closure_that_blocks_in_send_and_the_message_comes_back() {
    in_time(|| {
        let (give, given) = mpsc::channel();
        let main = co! {
            let ((sender, receiver), begun) = (bounded(1), Event::new());
            let (remote, begins) = (sender.remote(), begun.remote());
            let sends = run_in_thread(move || {
                remote.send(0).unwrap();
                begins.set();
                give.send(remote.send(1)).unwrap();
            });
            yield race((sends, begun.wait()));
            receiver.try_iter().collect::<Vec<u32>>()
        };
        assert_eq!(Loop::new().run(main).unwrap(), [0]);
        assert_eq!(given.recv().unwrap(), Err(SendError(1)));
    });
}

#[test]
fn stop_handle_ends_a_closure_that_blocks() {
    in_time(|| {
        let mut event_loop = Loop::new();
        let handle = event_loop.stop_handle();
        let (receives, sender) = blocks_in_recv(move || handle.stop());
        let error = event_loop.run(co! { let _ = yield receives; drop(sender); }).unwrap_err();
        assert!(error.error().is_cancelled(), "{error:?}");
    });
}

/// Only a call that would block returns an error.
#[test]
fn cancelled_closure_still_gets_messages_and_room_that_are_there() {
    in_time(|| {
        let (give, given) = mpsc::channel();
        let main = co! {
            let ((to, from), (back, back_end), begun) = (bounded(2), bounded(2), Event::new());
            to.try_send(1)?;
            to.try_send(2)?;
            let (remote, back_remote, begins) = (from.remote(), back.remote(), begun.remote());
            let copies = run_in_thread(move || {
                begins.set();
                while !is_cancelled() {
                    thread::yield_now();
                }
                let copied: Vec<_> = remote.iter().map(|n: u8| back_remote.send(n)).collect();
                give.send((copied, back_remote.send(3))).unwrap();
            });
            yield race((copies, begun.wait()));
            drop(to);
            back_end.try_iter().collect::<Vec<_>>()
        };
        assert_eq!(Loop::new().run(main).unwrap(), [1, 2]);
        assert_eq!(given.recv().unwrap(), (vec![Ok(()), Ok(())], Err(SendError(3))));
    });
}

#[test]
fn error_that_a_closure_returns_after_an_interrupted_call_counts_as_the_cancellation() {
    in_time(|| {
        let begun = Event::new();
        let begins = begun.remote();
        let (receives, sender) = blocks_in_recv(move || begins.set());
        let main = co! {
            let won = yield race((receives.raise().map(Some), begun.wait().map(|()| None)));
            drop(sender);
            won
        };
        assert_eq!(Loop::new().run(main).unwrap(), None);
    });
}

#[test]
fn error_that_a_cancelled_closure_returns_without_an_interrupted_call_stops_the_loop() {
    in_time(|| {
        let begun = Event::new();
        let begins = begun.remote();
        let fails = run_in_thread(move || {
            begins.set();
            while !is_cancelled() {
                thread::yield_now();
            }
            Err::<(), _>("its own error")
        });
        let error = Loop::new().run(race((fails.raise(), begun.wait()))).unwrap_err();
        assert_eq!(error.to_string(), "its own error");
    });
}

#[test]
fn closure_that_is_not_cancelled_waits_for_its_message() {
    let (receives, sender) = blocks_in_recv(|| {});
    let sends = co! { yield sleep(ms(2)); sender.try_send(7)?; };
    let main = co! { let (received, ()) = (yield timeout((receives, sends), LONG))?; received };
    assert_eq!(Loop::new().run(main).unwrap(), Ok(7));
}

/// The coroutine blocks the thread of its loop. This must not hide the failure of the loop.
#[test]
fn failure_of_a_loop_on_a_thread_is_kept_although_a_call_of_its_cleanup_is_interrupted() {
    in_time(|| {
        let main = co! {
            let ((sender, receiver), cleaning) = (unbounded::<u8>(), Event::new());
            let (remote, cleans) = (receiver.remote(), cleaning.remote());
            let inner = run_in_loop(move || co! {
                let waits = finally(Event::new().wait(), move || co! { cleans.set(); let _ = remote.recv(); });
                yield (waits, co! { yield; yield; Err::<(), _>("its own failure")?; });
            });
            yield race((inner, cleaning.wait()));
            drop(sender);
        };
        assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "its own failure");
    });
}
