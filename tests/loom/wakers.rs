//! Wakers of foreign futures.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use loom::sync::Mutex;
use loom::thread;
use tinyield::{Loop, co, race};

use crate::{Completion, Letter, check, check_bounded, complete, completed, is_deadlock};

#[test]
fn a_future_is_completed_by_a_thread() {
    check(|| {
        let (completion, letter) = (Completion::default(), Letter::new());
        let thread = {
            let (completion, letter) = (completion.clone(), letter.clone());
            thread::spawn(move || {
                letter.write();
                complete(&completion);
            })
        };
        Loop::new().run(co! { completed(completion).await; letter.assert_written(); }).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn writes_before_a_wake_up_are_seen_although_another_wake_up_came_first() {
    check_bounded(2, || {
        let letters = [Letter::new(), Letter::new()];
        let mut unwritten = Some(letters.clone());
        let both_seen = poll_fn(move |context| {
            for letter in unwritten.take().into_iter().flatten() {
                let waker = context.waker().clone();
                thread::spawn(move || {
                    letter.write();
                    waker.wake();
                });
            }
            if letters.iter().all(Letter::is_seen) { Poll::Ready(()) } else { Poll::Pending }
        });
        Loop::new().run(co! { both_seen.await; }).unwrap();
    });
}

#[test]
fn the_last_waker_dropped_is_a_deadlock() {
    check(|| {
        let (sent, received) = loom::sync::mpsc::channel();
        let mut unsent = Some(sent);
        let forgotten = poll_fn(move |context| {
            if let Some(sent) = unsent.take() {
                sent.send(context.waker().clone()).unwrap();
            }
            Poll::<()>::Pending
        });
        let thread = thread::spawn(move || {
            let waker: Waker = received.recv().unwrap();
            let clone = waker.clone();
            drop(waker);
            drop(clone);
        });
        assert!(is_deadlock(&Loop::new().run(co! { forgotten.await; }).unwrap_err()));
        thread.join().unwrap();
    });
}

#[test]
fn wakers_of_one_wait_are_woken_at_once() {
    check_bounded(2, || {
        let polls = Rc::new(Cell::new(0));
        let (completions, seen) = ([Completion::default(), Completion::default()], polls.clone());
        let threads = completions.clone().map(|completion| thread::spawn(move || complete(&completion)));
        let both = async move {
            let mut parts = completions.map(|completion| Box::pin(completed(completion)));
            let mut left = [true; 2];
            poll_fn(|context| {
                seen.set(seen.get() + 1);
                for (part, left) in parts.iter_mut().zip(&mut left) {
                    *left = *left && part.as_mut().poll(context).is_pending();
                }
                if left == [false; 2] { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        };
        Loop::new().run(co! { both.await; }).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(polls.get() <= 3, "polled {} times", polls.get());
    });
}

#[test]
fn a_waker_outlives_the_loop() {
    check(|| {
        let kept = Arc::new(Mutex::new(None));
        let keeper = kept.clone();
        let main = co! {
            poll_fn(|context| {
                *keeper.lock().unwrap() = Some(context.waker().clone());
                Poll::Ready(())
            })
            .await;
        };
        let thread = {
            let kept = kept.clone();
            thread::spawn(move || {
                let waker: Option<Waker> = kept.lock().unwrap().clone();
                if let Some(waker) = waker {
                    waker.wake_by_ref();
                    waker.clone().wake();
                }
            })
        };
        Loop::new().run(main).unwrap();
        let waker = kept.lock().unwrap().take();
        drop(waker);
        thread.join().unwrap();
    });
}

#[test]
fn a_waker_of_a_finished_wait_wakes_no_other_task() {
    check(|| {
        let completion = Completion::default();
        let thread = {
            let completion = completion.clone();
            thread::spawn(move || complete(&completion))
        };
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        let never = poll_fn(move |_| {
            counted.set(counted.get() + 1);
            Poll::<()>::Pending
        });
        let gives_up = race([co! { completed(completion).await; }, co! { yield; }]);
        let main = co! {
            yield gives_up;
            // Another future now uses the same wake slot.
            never.await;
        };
        assert!(is_deadlock(&Loop::new().run(main).unwrap_err()));
        assert_eq!(polls.get(), 1);
        thread.join().unwrap();
    });
}
