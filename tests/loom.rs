//! Models of the code that crosses threads. Loom runs each model in every order of its threads' operations. The models cover the
//! inbox of a loop and its wakers, `RemoteEvent`, the remote ends of channels, the threads that work for a loop, and `StopHandle`.
//!
//! To run them: `RUSTFLAGS="--cfg tinyield_loom" cargo test --no-default-features --release --test loom`. The flag is not called
//! `loom`, because some dependencies use that flag, too, and do not build with it.
//!
//! Loom has its own mutexes, condition variables, atomics, threads and parking. Everything else is one step for loom, which nothing
//! interrupts: the counts of an `Arc`, and the changes of the flags on which threads block. So the models check the code of
//! the library before and after these steps. They do not check calls that block inside of crossbeam, such as [`RemoteSender::send`] without
//! room. Time does not pass in a model: every other wait for work in a pool times out, after the other threads have had a chance to run.
//! The bridges to smol, async-std and tokio are not built. Loom treats `SeqCst` as `AcqRel`, so it may try orders that cannot happen.
//!
//! [`RemoteSender::send`]: tinyield::channel::RemoteSender::send
#![cfg(tinyield_loom)]
#![feature(coroutines)]

#[path = "loom/channels.rs"]
mod channels;
#[path = "loom/polled_loops.rs"]
mod polled_loops;
#[path = "loom/remote_events.rs"]
mod remote_events;
#[path = "loom/stop.rs"]
mod stop;
#[path = "loom/threads.rs"]
mod threads;
#[path = "loom/wakers.rs"]
mod wakers;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Uncontrolled, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Mutex;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;
use tinyield::{Deadlock, LoopError};

fn is_deadlock(error: &LoopError) -> bool {
    error.error().downcast_ref::<Deadlock>().is_some()
}

/// Runs the model in all orders.
fn check(model: impl Fn() + Sync + Send + 'static) {
    explore(None, model);
}

/// Runs the model in all orders in which threads are interrupted at most `preemptions` times. Blocking and yielding do not count.
/// For models of which all orders would take hours.
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

/// A value that one thread writes before it signals another thread. The other thread has to find it written. Only the signal
/// orders the two accesses.
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

/// The state of a future that another thread completes.
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

/// Unparks the thread of loom that polls a future.
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
