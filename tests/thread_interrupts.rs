//! A cancellation interrupts a closure that blocks at a remote end of a channel.
#![feature(coroutines)]

mod common;

use std::sync::mpsc;
use std::thread;

use common::{LONG, in_time, ms};
use tinyield::channel::{RecvError, SendError, Sender, bounded, unbounded};
use tinyield::thread::is_cancelled;
use tinyield::{Coro, Event, Loop, TimedOut, co, finally, run_in_loop, run_in_thread, sleep, timeout};

/// Blocks at a channel whose other end stays open, after it has called `begin`.
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
fn timeout_ends_a_closure_that_blocks_in_send_and_the_message_comes_back() {
    in_time(|| {
        let (give, given) = mpsc::channel();
        let main = co! {
            let (sender, receiver) = bounded(1);
            let remote = sender.remote();
            let sends = run_in_thread(move || { for n in 0.. { if let Err(SendError(unsent)) = remote.send(n) { return give.send(unsent).unwrap(); } } });
            let result = yield timeout(sends, ms(1));
            (result, receiver.try_iter().collect::<Vec<u32>>())
        };
        assert_eq!(Loop::new().run(main).unwrap(), (Err(TimedOut), vec![0]));
        assert_eq!(given.recv().unwrap(), 1);
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
            let (to, from) = bounded(2);
            let (back, back_end) = bounded(2);
            to.try_send(1)?;
            to.try_send(2)?;
            let (remote, back_remote) = (from.remote(), back.remote());
            let copies = run_in_thread(move || {
                while !is_cancelled() { thread::yield_now(); }
                let copied: Vec<_> = remote.iter().map(|n: u8| back_remote.send(n)).collect();
                give.send((copied, back_remote.send(3))).unwrap();
            });
            assert_eq!(yield timeout(copies, ms(1)), Err(TimedOut));
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
        let (receives, sender) = blocks_in_recv(|| {});
        let main = co! {
            let result = yield timeout(receives.raise(), ms(1));
            drop(sender);
            result
        };
        assert_eq!(Loop::new().run(main).unwrap(), Err(TimedOut));

        let raises = run_in_thread(|| {
            while !is_cancelled() {
                thread::yield_now();
            }
            Err::<(), _>("its own error")
        });
        let error = Loop::new().run(co! { let _ = yield timeout(raises.raise(), ms(1)); }).unwrap_err();
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
            let (sender, receiver) = unbounded::<u8>();
            let remote = receiver.remote();
            let inner = run_in_loop(move || co! {
                let cleans = finally(Event::new().wait(), move || co! { let _ = remote.recv(); });
                yield (cleans, co! { yield; yield; Err::<(), _>("its own failure")?; });
            });
            let result = yield timeout(inner, ms(20));
            drop((sender, result));
        };
        assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "its own failure");
    });
}
