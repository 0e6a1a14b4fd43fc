//! The state of a closure on a thread. Code that runs inside of the closure finds it in a thread-local.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock, Weak};

use super::cancellation::Cancellation;
use super::pool::{Pool, Queue};
use crate::panic;
use crate::primitives::atomic::AtomicUsize;
use crate::primitives::atomic::Ordering::SeqCst;
use crate::primitives::{Mutex, lock, thread_local};
use crate::scheduler::Inbox;

thread_local! {
    /// The closure that this thread runs.
    static CURRENT: RefCell<Option<Arc<Closure>>> = const { RefCell::new(None) };
}

#[derive(Default)]
pub(crate) struct Closure {
    pub(crate) cancellation: Cancellation,
    /// The closure that waits for this one.
    awaited_by: Mutex<Weak<Closure>>,
    /// The queue that the thread of the closure serves. Set when the closure begins.
    queue: OnceLock<Arc<Queue>>,
    holds: AtomicUsize,
    /// See [`Closure::pool_for`].
    spare: OnceLock<Arc<Pool>>,
}

impl Closure {
    /// The closure that runs on this thread.
    pub(crate) fn current() -> Option<Arc<Closure>> {
        Closure::with_current(Arc::clone)
    }

    /// Calls `f` with the closure that runs on this thread, if one does.
    pub(super) fn with_current<R>(f: impl FnOnce(&Arc<Closure>) -> R) -> Option<R> {
        // A thread that is ending has no thread-locals any more, and runs no closure.
        CURRENT.try_with(|current| current.borrow().as_ref().map(f)).ok().flatten()
    }

    /// Calls `f` on this thread, which serves `queue`. During the call this is the current closure.
    pub(super) fn call<R>(self: &Arc<Closure>, queue: &Arc<Queue>, f: impl FnOnce() -> R) -> std::thread::Result<R> {
        let _ = self.queue.set(queue.clone());
        CURRENT.with(|current| current.replace(Some(self.clone())));
        let result = panic::catch(f);
        CURRENT.with(|current| current.replace(None));
        result
    }

    fn queue(&self) -> &Arc<Queue> {
        self.queue.get().expect("a closure that runs has a thread")
    }

    pub(super) fn set_awaited_by(&self, other: Option<&Arc<Closure>>) {
        *lock(&self.awaited_by) = other.map(Arc::downgrade).unwrap_or_default();
    }

    /// The closure of this thread, the one that waits for it, and so on.
    pub(super) fn chain() -> Vec<Arc<Closure>> {
        let mut chain = Vec::new();
        let mut next = Closure::current();
        while let Some(closure) = next {
            // A future that moves from one closure to another can make a cycle.
            if chain.iter().any(|seen| Arc::ptr_eq(seen, &closure)) {
                break;
            }
            next = lock(&closure.awaited_by).upgrade();
            chain.push(closure);
        }
        chain
    }

    /// The pool that runs work which this thread gives to `pool`: `pool` itself, or a spare pool of one thread.
    ///
    /// A closure that waits for work of its own pool could wait for itself. So, if all threads of the pool are held, each such
    /// closure gets one more thread, which runs the work that the closure waits for.
    pub(super) fn pool_for(pool: &Arc<Pool>) -> Arc<Pool> {
        let runs_there = |closure: &Arc<Closure>| closure.queue.get().is_some_and(|queue| queue.is_of(pool));
        match Closure::chain().into_iter().find(runs_there) {
            Some(closure) if pool.is_exhausted() => closure.spare.get_or_init(|| pool.spare()).clone(),
            _ => pool.clone(),
        }
    }
}

/// While this exists, the thread of a closure counts as held: the closure waits for a loop.
pub(crate) struct Hold(Arc<Closure>);

impl Hold {
    pub(crate) fn new(closure: Arc<Closure>) -> Hold {
        if closure.holds.fetch_add(1, SeqCst) == 0 {
            closure.queue().hold_thread();
        }
        Hold(closure)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.0.holds.fetch_sub(1, SeqCst) == 1 {
            self.0.queue().release_thread();
        }
    }
}

/// Connects a loop with the closure that runs it: the loop is cancelled with the closure.
pub(crate) struct InnerLoop {
    hold: Hold,
    inbox: Arc<Inbox>,
    /// Its key in the cancellation of the closure.
    key: usize,
}

impl InnerLoop {
    /// For a loop that begins on this thread; `None` if no closure runs here.
    pub(crate) fn new(inbox: impl FnOnce() -> Arc<Inbox>) -> Option<InnerLoop> {
        let closure = Closure::current()?;
        let inbox = inbox();
        let key = closure.cancellation.add_loop(&inbox);
        Some(InnerLoop { hold: Hold::new(closure), inbox, key })
    }
}

impl Drop for InnerLoop {
    fn drop(&mut self) {
        self.hold.0.cancellation.remove_loop(self.key, &self.inbox);
    }
}
