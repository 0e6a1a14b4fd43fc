//! What crosses threads, in every order that can happen: the inbox of a loop and its wakers, `RemoteEvent`, remote ends of
//! channels, what threads do for a loop, and `StopHandle`.
//!
//! Run by `RUSTFLAGS="--cfg tinyield_loom" cargo test --no-default-features --release --test loom`: a name of its own, as
//! other crates know `loom` too, and do not build with it.
//!
//! Loom has its own mutexes, atomics, threads and parking. What is not its own is one step for it, which nothing interrupts:
//! so it is with `Arc`'s counts, and with the channels of crossbeam, through which remote ends and pools of threads go. Of these
//! it checks what the library does around them, and none of what blocks in them, such as [`RemoteSender::send`] without room.
//! Time does not pass: a thread without work leaves at once. Bridges to smol and async-std are not there.
//! It takes `SeqCst` for `AcqRel`, so it may try more orders than there are.
//!
//! [`RemoteSender::send`]: tinyield::channel::RemoteSender::send
#![cfg(tinyield_loom)]
#![feature(coroutines)]

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Uncontrolled, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Mutex;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;
use tinyield::channel::{RecvError, TryRecvError, TrySendError, bounded, unbounded};
use tinyield::{
    Aborted, Deadlock, Event, Idle, Loop, LoopError, Runtime, Step, ThreadPool, abortable, catch, co, race,
    run_in_loop, spawn,
};

fn is_deadlock(error: &LoopError) -> bool {
    error.error().downcast_ref::<Deadlock>().is_some()
}

/// All orders.
fn check(model: impl Fn() + Sync + Send + 'static) {
    explore(None, model);
}

/// All orders in which threads are interrupted at most `preemptions` times, where it is not their own doing: for models of which
/// the whole would take hours.
fn check_bounded(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    explore(Some(preemptions), model);
}

#[track_caller]
fn explore(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let orders = Arc::new(Uncontrolled::new(0));
    let counted = orders.clone();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = preemptions.or(builder.preemption_bound);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    println!("{name}: {} orders", orders.load(Ordering::Relaxed));
}

/// A value that one thread writes before it signals another, which has to find it written. Only the signal orders
/// the two accesses.
#[derive(Clone)]
struct Letter(Arc<AtomicUsize>);

impl Letter {
    fn new() -> Letter {
        Letter(Arc::new(AtomicUsize::new(0)))
    }

    fn write(&self) {
        self.0.store(1, Relaxed);
    }

    fn is_seen(&self) -> bool {
        self.0.load(Relaxed) == 1
    }

    #[track_caller]
    fn assert_written(&self) {
        assert!(self.is_seen(), "what was done before is not seen");
    }
}

/// A future's own state, of which another thread completes it.
#[derive(Default)]
struct Foreign {
    done: bool,
    waker: Option<Waker>,
}

type Completion = Arc<Mutex<Foreign>>;

fn complete(completion: &Completion) {
    let waker = {
        let mut foreign = completion.lock().unwrap();
        foreign.done = true;
        foreign.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

async fn completed(completion: Completion) {
    poll_fn(|context| {
        let mut foreign = completion.lock().unwrap();
        if foreign.done {
            return Poll::Ready(());
        }
        foreign.waker = Some(context.waker().clone());
        Poll::Pending
    })
    .await
}

/// Has a thread of loom's poll a future to its end.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

// Remote events, and the inbox below them.

#[test]
fn a_set_wakes_the_loop() {
    check_bounded(4, || {
        let event = Event::new();
        let (remote, letter) = (event.remote(), Letter::new());
        let thread = {
            let letter = letter.clone();
            thread::spawn(move || {
                letter.write();
                remote.set();
            })
        };
        Loop::new().run(event.wait()).unwrap();
        letter.assert_written();
        thread.join().unwrap();
    });
}

#[test]
fn a_loop_that_finds_an_event_set_sees_writes_from_before_the_set() {
    check(|| {
        let event = Event::new();
        let (remote, letter) = (event.remote(), Letter::new());
        let thread = {
            let letter = letter.clone();
            thread::spawn(move || {
                letter.write();
                remote.set();
            })
        };
        if event.is_set() {
            letter.assert_written();
        }
        thread.join().unwrap();
    });
}

/// The request comes before the work begins, while its loop registers, or while it waits.
#[test]
fn a_remote_abort_ends_work_that_waits_for_ever() {
    check_bounded(3, || {
        let (work, handle) = abortable(Event::new().wait());
        let remote = handle.remote();
        let thread = thread::spawn(move || remote.abort());
        assert_eq!(Loop::new().run(work).unwrap(), Err(Aborted));
        thread.join().unwrap();
    });
}

#[test]
fn a_set_and_a_clear_wake_exactly_the_earlier_waiters() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        // Each signals that it waits before the thread begins.
        let (early, late) = (event.wait(), event.wait());
        let begins = co! {
            yield;
            thread::spawn(move || {
                remote.set();
                remote.clear();
            })
        };
        let ((), thread) = Loop::new().run((early, begins)).unwrap();
        thread.join().unwrap();
        assert!(!event.is_set());
        assert!(is_deadlock(&Loop::new().run(late).unwrap_err()));
    });
}

#[test]
fn the_last_handle_dropped_is_a_deadlock_found_at_once_and_never_before() {
    check(|| {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || {
            let clone = remote.clone();
            drop(remote);
            drop(clone);
        });
        assert!(is_deadlock(&Loop::new().run(event.wait()).unwrap_err()));
        thread.join().unwrap();
    });
}

#[test]
fn a_set_as_the_last_act_of_the_last_handle_is_no_deadlock() {
    check_bounded(3, || {
        let event = Event::new();
        let (one, other) = (event.remote(), event.remote());
        let threads = [thread::spawn(move || drop(one)), thread::spawn(move || other.set())];
        Loop::new().run(event.wait()).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn two_threads_set_two_events() {
    check_bounded(2, || {
        let (one, other) = (Event::new(), Event::new());
        let threads = [one.remote(), other.remote()].map(|remote| thread::spawn(move || remote.set()));
        Loop::new().run((one.wait(), other.wait())).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn two_threads_set_one_event() {
    check_bounded(2, || {
        let event = Event::new();
        let threads = [event.remote(), event.remote()].map(|remote| thread::spawn(move || remote.set()));
        Loop::new().run((event.wait(), event.wait())).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(event.is_set());
    });
}

#[test]
fn one_event_after_another_wakes_the_loop_again() {
    check_bounded(3, || {
        let (first, second) = (Event::new(), Event::new());
        let remotes = [first.remote(), second.remote()];
        let thread = thread::spawn(move || remotes.iter().for_each(|remote| remote.set()));
        Loop::new()
            .run(co! {
                yield first.wait();
                yield second.wait();
            })
            .unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_handle_outlives_the_run() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        event.set();
        let thread = thread::spawn(move || {
            remote.clear();
            remote.set();
        });
        Loop::new().run(event.wait()).unwrap();
        thread.join().unwrap();
        assert!(event.is_set());
    });
}

#[test]
fn a_wait_is_given_up_while_it_is_woken() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        let gives_up = race([co! { yield event.wait(); }, co! { yield; }]);
        Loop::new().run(gives_up).unwrap();
        thread.join().unwrap();
    });
}

// Loops that others step or poll.

#[test]
fn a_set_wakes_the_host_of_a_loop() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        block_on(poll_fn(|context| runtime.poll(context))).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_set_ends_an_idle_wait() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        loop {
            match runtime.step() {
                Step::Ran => {}
                Step::Idle(idle) => idle.wait(),
                Step::Done(result) => break result.unwrap(),
            }
        }
        thread.join().unwrap();
    });
}

#[test]
fn an_unfinished_loop_is_dropped_while_it_is_woken() {
    check_bounded(4, || {
        let event = Event::new();
        let remote = event.remote();
        let thread = thread::spawn(move || remote.set());
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        let _ = runtime.poll(&mut Context::from_waker(Waker::noop()));
        drop(runtime);
        thread.join().unwrap();
    });
}

/// Steps it until it is idle.
fn to_idle<T: 'static>(runtime: &mut Runtime<'_, T>) -> Idle {
    loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => break idle,
            Step::Done(_) => panic!("it is done, not idle"),
        }
    }
}

#[test]
fn idle_waits_on_other_threads_come_back_when_the_run_is_dropped() {
    check_bounded(3, || {
        let event = Event::new();
        let _watched = event.remote();
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        // The later wait replaces the earlier one, in either order.
        let threads = [to_idle(&mut runtime), to_idle(&mut runtime)].map(|idle| thread::spawn(move || idle.wait()));
        drop(runtime);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn an_idle_wait_on_another_thread_comes_back_although_the_loop_is_polled() {
    check(|| {
        let event = Event::new();
        let remote = event.remote();
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(event.wait());
        let idle = to_idle(&mut runtime);
        let thread = thread::spawn(move || idle.wait());
        // The set wakes only the later of the two. So the earlier one must have returned before.
        assert!(runtime.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        remote.set();
        thread.join().unwrap();
    });
}

// Stopping.

#[test]
fn a_stop_wakes_the_loop() {
    check(|| {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let event = Event::new();
        let _watched = event.remote();
        let thread = thread::spawn(move || stop.stop());
        assert!(event_loop.run(event.wait()).unwrap_err().is_stopped());
        thread.join().unwrap();
    });
}

#[test]
fn a_stop_before_within_or_between_runs_stops_one_of_them_at_most() {
    check(|| {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let thread = thread::spawn(move || stop.stop());
        let mut stopped = 0;
        for _ in 0..2 {
            if let Err(error) = event_loop.run(co! { yield; }) {
                assert!(error.is_stopped());
                stopped += 1;
            }
        }
        thread.join().unwrap();
        if event_loop.run(()).is_err() {
            stopped += 1;
        }
        assert!(stopped <= 1, "stopped {stopped} times");
        event_loop.run(()).unwrap();
    });
}

#[test]
fn a_stop_of_a_run_that_is_forgotten_stops_the_next() {
    check(|| {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let event = Event::new();
        let _watched = event.remote();
        std::mem::forget(event_loop.runtime(()));
        let thread = thread::spawn(move || stop.stop());
        assert!(event_loop.run(event.wait()).unwrap_err().is_stopped());
        thread.join().unwrap();
    });
}

#[test]
fn a_stop_and_a_set_come_at_once() {
    check_bounded(2, || {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let event = Event::new();
        let remote = event.remote();
        let threads = [thread::spawn(move || stop.stop()), thread::spawn(move || remote.set())];
        if let Err(error) = event_loop.run(event.wait()) {
            assert!(error.is_stopped());
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

// Wakers.

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

// Remote ends of channels.

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
        // There is room for one, and for as many more as were received; then `send` fails, because the receiver is gone.
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
        assert!(sender.is_empty(), "what nobody can receive is dropped");
    });
}

#[test]
fn a_receiver_gives_up_while_a_message_comes() {
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
    check(|| {
        let (sender, receiver) = bounded(1);
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
        assert_eq!(times, 1, "so many say that it was they");
    });
}

// Threads that work for a loop.

#[test]
fn a_thread_hands_back_its_result() {
    check_bounded(4, || {
        let letter = Letter::new();
        let theirs = letter.clone();
        let pool = ThreadPool::new(1);
        let main = co! {
            let value = yield pool.run_in_thread(move || {
                theirs.write();
                7
            });
            letter.assert_written();
            value
        };
        assert_eq!(Loop::new().run(main).unwrap(), 7);
    });
}

#[test]
fn no_job_is_lost_by_a_thread_that_leaves() {
    check_bounded(3, || {
        let pool = ThreadPool::new(1);
        assert_eq!(Loop::new().run(pool.map(|number| number, [1, 2])).unwrap(), [1, 2]);
    });
}

#[test]
fn two_threads_share_the_jobs() {
    check_bounded(1, || {
        let pool = ThreadPool::new(2);
        assert_eq!(Loop::new().run(pool.map(|number| number, [1, 2])).unwrap(), [1, 2]);
    });
}

#[test]
fn jobs_that_wait_for_each_other_have_a_thread_each() {
    check_bounded(1, || {
        let (pool, came) = (ThreadPool::new(2), AtomicUsize::new(0));
        let meet = move |()| {
            came.fetch_add(1, Relaxed);
            while came.load(Relaxed) < 2 {
                thread::yield_now();
            }
        };
        Loop::new().run(pool.map(meet, [(), ()])).unwrap();
    });
}

#[test]
fn a_cancelled_job_never_begins_or_is_joined() {
    check_bounded(4, || {
        // 0: has not begun; 1: has; 2: has ended.
        let stage = Arc::new(AtomicUsize::new(0));
        let theirs = stage.clone();
        let pool = ThreadPool::new(1);
        let main = co! {
            let job = pool.run_in_thread(move || {
                theirs.store(1, Relaxed);
                theirs.store(2, Relaxed);
            });
            yield race([job, co! { yield; yield; }]);
            let seen = stage.load(Relaxed);
            assert_ne!(seen, 1, "the race is over, but not the closure");
            seen
        };
        Loop::new().run(main).unwrap();
    });
}

#[test]
fn a_running_closure_sees_its_cancellation() {
    check_bounded(2, || {
        let begun = Event::new();
        let (remote, pool) = (begun.remote(), ThreadPool::new(1));
        let job = pool.run_in_thread(move || {
            remote.set();
            while !tinyield::thread::is_cancelled() {
                thread::yield_now();
            }
        });
        Loop::new().run(race([job, co! { yield begun.wait(); }])).unwrap();
        // The next job of that thread has not been cancelled.
        assert!(!Loop::new().run(pool.run_in_thread(tinyield::thread::is_cancelled)).unwrap());
    });
}

#[test]
fn a_loop_on_a_thread_is_stopped_when_its_closure_is_cancelled() {
    check_bounded(2, || {
        // 0: nothing has begun; 1: the coroutine inside waits; 2: it has seen its cancellation.
        let stage = Arc::new(AtomicUsize::new(0));
        let theirs = stage.clone();
        let pool = ThreadPool::new(1);
        let job = pool.run_in_thread(move || {
            let event = Event::new();
            // With this somebody could set the event, so the loop is not deadlocked.
            let _remote = event.remote();
            let inside = co! {
                theirs.store(1, Relaxed);
                let error = (yield catch(event.wait())).unwrap_err();
                theirs.store(2, Relaxed);
                Err(error)?;
            };
            assert!(Loop::new().run(inside).unwrap_err().error().is_cancelled());
        });
        Loop::new().run(race([job, co! { yield; yield; }])).unwrap();
        assert_ne!(stage.load(Relaxed), 1, "the race is over, but not the loop on the thread");
    });
}

/// The stop comes before the work has a thread, while the loop in there begins, while it waits, or when it has ended.
#[test]
fn run_in_loop_is_stopped_and_waited_for() {
    check_bounded(4, || {
        // 0: nothing has begun; 1: the coroutine inside waits; 2: it has seen its cancellation.
        let stage = Arc::new(AtomicUsize::new(0));
        let theirs = stage.clone();
        let inner = run_in_loop(move || {
            let event = Event::new();
            // With this somebody could set the event, so the loop is not deadlocked.
            let remote = event.remote();
            co! {
                theirs.store(1, Relaxed);
                let error = (yield catch(event.wait())).unwrap_err();
                theirs.store(2, Relaxed);
                drop(remote);
                Err(error)?;
            }
        });
        Loop::new().run(race([inner, co! { yield; yield; }])).unwrap();
        assert_ne!(stage.load(Relaxed), 1, "the race is over, but not the loop on the thread");
    });
}

/// A loop that ends by itself while it is stopped: its value or its error comes across, or the reason of the stop, and nothing hangs.
#[test]
fn run_in_loop_ends_by_itself_while_it_is_stopped() {
    check_bounded(2, || {
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let stopper = thread::spawn(move || stop.stop());
        let result = event_loop.run(run_in_loop(|| co! { yield; Err::<(), _>("inside")?; }));
        let error = result.unwrap_err();
        assert!(error.is_stopped() || error.to_string() == "inside");
        stopper.join().unwrap();
    });
}

/// A thread leaves when it finds no work, while the next loop is handed over to it or to a new one.
#[test]
fn each_of_two_loops_has_a_thread() {
    check_bounded(2, || {
        let main = co! {
            let first = yield run_in_loop(|| co! { yield; 1 });
            first + yield run_in_loop(|| co! { 2 })
        };
        assert_eq!(Loop::new().run(main).unwrap(), 3);
    });
}

#[test]
fn two_loops_at_once_give_their_values() {
    check_bounded(2, || {
        let loops = [1, 2].map(|n| run_in_loop(move || co! { yield; n }));
        assert_eq!(Loop::new().run(loops).unwrap(), [1, 2]);
    });
}

#[test]
fn a_panic_in_a_thread_goes_on_here() {
    check_bounded(4, || {
        let pool = ThreadPool::new(1);
        // Without the hook, which would print.
        let job = pool.run_in_thread(|| std::panic::resume_unwind(Box::new(7)));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Loop::new().run(job)));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&7));
    });
}

#[test]
fn a_stop_while_a_thread_works_joins_it() {
    check_bounded(2, || {
        let working = Arc::new(AtomicUsize::new(0));
        let theirs = working.clone();
        let pool = ThreadPool::new(1);
        let mut event_loop = Loop::new();
        let stop = event_loop.stop_handle();
        let stopper = thread::spawn(move || stop.stop());
        let job = pool.run_in_thread(move || {
            theirs.store(1, Relaxed);
            theirs.store(0, Relaxed);
        });
        let main = co! { yield spawn(job); };
        if let Err(error) = event_loop.run(main) {
            assert!(error.is_stopped());
        }
        assert_eq!(working.load(Relaxed), 0, "the run is over, but not the closure");
        stopper.join().unwrap();
    });
}
