//! An idle loop that timers, threads or wakers may still wake is not deadlocked.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};

use tinyield::{Loop, co, run_in_thread, sleep};

use crate::common::{Gate, ms};
use crate::{deadlock, never};

#[test]
fn no_deadlock_while_a_timer_runs() {
    let gate = Gate::new();
    let waits = gate.clone();
    let main = (co! { waits.await }, co! { yield sleep(ms(5)); gate.open(); });
    Loop::new().run(main).unwrap();
}

#[test]
fn no_deadlock_while_a_thread_has_a_waker() {
    for _ in 0..100 {
        let gate = Gate::new();
        let waits = gate.clone();
        let thread = std::thread::spawn(move || {
            while gate.polls() == 0 {
                std::thread::yield_now();
            }
            std::thread::yield_now();
            gate.open();
        });
        Loop::new().run(co! { waits.await }).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn no_deadlock_while_thread_work_runs() {
    let gate = Gate::new();
    let waits = gate.clone();
    Loop::new().run((co! { waits.await }, run_in_thread(move || gate.open()))).unwrap();
}

#[test]
fn deadlock_is_found_when_another_thread_drops_the_last_waker() {
    for count in [1, 2, 5] {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let dropped = Arc::new(Mutex::new(0));
        let theirs = dropped.clone();
        let thread = std::thread::spawn(move || {
            let wakers: Vec<Waker> = receiver.iter().take(count).collect();
            for waker in wakers {
                std::thread::yield_now();
                *theirs.lock().unwrap() += 1;
                drop(waker);
            }
        });
        let main = co! {
            poll_fn::<(), _>(|context| {
                for _ in 0..count {
                    let _ = sender.send(context.waker().clone());
                }
                Poll::Pending
            })
            .await;
        };
        let error = Loop::new().run(main).unwrap_err();
        assert_eq!(*dropped.lock().unwrap(), count);
        assert_eq!(deadlock(&error).stuck().len(), 1);
        thread.join().unwrap();
    }
}

#[test]
fn no_deadlock_if_the_last_waker_is_called_when_it_is_dropped() {
    for _ in 0..200 {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let thread = std::thread::spawn(move || receiver.recv().unwrap().wake());
        let mut polls = 0;
        let main = co! {
            poll_fn(|context| {
                polls += 1;
                if polls == 2 {
                    return Poll::Ready(());
                }
                sender.send(context.waker().clone()).unwrap();
                Poll::Pending
            })
            .await;
            polls
        };
        assert_eq!(Loop::new().run(main).unwrap(), 2);
        thread.join().unwrap();
    }
}

#[test]
fn waker_of_an_ended_coroutine_does_not_prevent_a_deadlock() {
    let kept = Rc::<RefCell<Option<Waker>>>::default();
    let keeps = kept.clone();
    let main = co! {
        yield co! {
            let mut first = true;
            poll_fn(move |context| {
                if !std::mem::take(&mut first) {
                    return Poll::Ready(());
                }
                *keeps.borrow_mut() = Some(context.waker().clone());
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        };
        yield never();
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 2);
    // The waker may still be called.
    kept.take().unwrap().wake();
}

#[test]
fn waker_kept_by_a_stuck_coroutine_prevents_a_deadlock_until_it_is_dropped() {
    // The loop cannot find out where a waker is, so it waits until a thread drops the waker.
    let gate = Gate::new();
    let (waits, forsakes) = (gate.clone(), gate.clone());
    let thread = std::thread::spawn(move || {
        while forsakes.polls() == 0 {
            std::thread::yield_now();
        }
        forsakes.drop_waker();
    });
    let error = Loop::new().run(co! { waits.await }).unwrap_err();
    assert_eq!(deadlock(&error).stuck().len(), 1);
    thread.join().unwrap();
    drop(gate);
}
