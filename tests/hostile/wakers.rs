//! Futures and wakers that are used where they should not be: late, on other threads, and inside of polls.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Event, Loop, co, sleep};

use crate::common::by_hand::until_ready;
use crate::common::{Counter, Gate, Wakes, forget, ms, poll};

/// Calls, clones and drops wakers.
fn use_up(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake_by_ref();
        drop(waker.clone());
        forget(waker.clone());
        let clone = waker.clone();
        waker.wake();
        clone.wake();
    }
}

#[test]
fn future_that_wakes_itself_while_it_is_polled_is_polled_again_once() {
    struct WakesTwice(Counter, Counter);
    impl Future for WakesTwice {
        type Output = ();
        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            self.0.up();
            context.waker().wake_by_ref();
            context.waker().wake_by_ref();
            if self.0.get() == 10 { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    impl Drop for WakesTwice {
        fn drop(&mut self) {
            self.1.up();
        }
    }
    let (polls, drops) = (Counter::new(), Counter::new());
    let future = WakesTwice(polls.clone(), drops.clone());
    Loop::new().run(co! { future.await; yield; yield; }).unwrap();
    assert_eq!((polls.get(), drops.get()), (10, 1));
}

#[test]
fn borrowed_waker_is_used_on_another_thread_and_its_clones_outlive_the_loop() {
    let kept = Rc::<RefCell<Vec<Waker>>>::default();
    let keeps = kept.clone();
    let polls = Counter::new();
    let counts = polls.clone();
    let main = co! {
        poll_fn(|context| {
            counts.up();
            let borrowed = context.waker();
            let clones = thread::scope(|scope| {
                let clone_twice = || {
                    borrowed.wake_by_ref();
                    drop(borrowed.clone());
                    [borrowed.clone(), borrowed.clone()]
                };
                let threads = [scope.spawn(clone_twice), scope.spawn(clone_twice)];
                threads.map(|thread| thread.join().unwrap())
            });
            keeps.borrow_mut().extend(clones.into_iter().flatten());
            if counts.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        // The future is over, so its wakers have no effect any more: not in this coroutine, and not after its end.
        let early = keeps.borrow_mut().split_off(8);
        thread::spawn(move || use_up(early)).join().unwrap();
        yield;
    };
    Loop::new().run(main).unwrap();
    assert_eq!(polls.get(), 3);
    let late = kept.take();
    assert_eq!(late.len(), 8);
    thread::spawn(move || use_up(late)).join().unwrap();
}

#[test]
fn forgotten_runtime_is_woken_and_stopped_by_threads() {
    let gate = Gate::new();
    let event = Event::new();
    let remote = event.remote();
    let waits = gate.clone();
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let (wakes, waker) = Wakes::new();
    let mut runtime = event_loop.runtime((co! { waits.await }, event.wait()));
    assert!(poll(&mut runtime, &waker).is_pending());
    forget(runtime);
    let wakers = vec![gate.waker().unwrap(), gate.waker().unwrap()];
    thread::spawn(move || {
        gate.open();
        handle.stop();
        remote.set();
        use_up(wakers);
    })
    .join()
    .unwrap();
    assert_eq!(wakes.get(), 1);
    event.clear();
    event.set();
}

#[test]
fn future_polls_another_with_an_old_resume_while_it_is_polled_itself() {
    let kept = Rc::<RefCell<Option<Resume>>>::default();
    let own = kept.clone();
    let coro: Coro<i32> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            *own.borrow_mut() = Some(resume);
            resume = yield Suspend;
            let (mut left, mut inner) = (3, Box::pin(async { 4 }));
            let mut outer = pin!(poll_fn(|context| {
                let old = own.take().unwrap();
                context.waker().wake_by_ref();
                // Both futures get the same waker.
                let wakes = poll_fn(|again| {
                    assert!(again.waker().will_wake(context.waker()));
                    Poll::Ready(again.waker().clone())
                });
                let Poll::Ready(Ok(waker)) = old.poll_future(pin!(wakes).as_mut()) else { panic!("it was ready") };
                left -= 1;
                if left == 0 {
                    // A wait is refused while the outer future is unfinished. If this wait were accepted, no other wait could begin in this
                    // turn.
                    drop(old.begin((sleep(ms(0)), co! { yield; })));
                }
                *own.borrow_mut() = Some(old);
                waker.wake();
                if left == 0 { inner.as_mut().poll(context) } else { Poll::Pending }
            }));
            Outcome::value(until_ready!(resume, resume.poll_future(outer.as_mut()))?)
        },
    );
    assert_eq!(Loop::new().run(coro).unwrap(), 4);
    kept.take();
}
