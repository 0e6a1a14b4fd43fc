//! A closure that was given to a pool: its cancellation, and the closure that waits for it. Most code does not need the types of the
//! closure, so they are erased. A thread-local value holds the closure that runs on the thread.

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

/// A closure that was given to a pool. The body `B` has the function to call, and later its result. By default, the type of the
/// body is erased.
pub(crate) struct Closure<B: ?Sized = dyn Send + Sync> {
    pub(crate) cancellation: Cancellation,
    /// The closure that waits for this one.
    awaited_by: Mutex<Weak<Closure>>,
    /// The queue of the pool whose threads may run the closure.
    pub(super) queue: Arc<Queue>,
    /// How many [`HeldThread`]s of this closure exist.
    holds: AtomicUsize,
    /// See [`Closure::spare_for`].
    spare: OnceLock<Arc<Pool>>,
    pub(super) body: B,
}

impl<B> Closure<B> {
    /// A closure that the threads of `queue` may run.
    pub(super) fn new(awaited_by: Option<&Arc<Closure>>, queue: Arc<Queue>, body: B) -> Closure<B> {
        let awaited_by = Mutex::new(weak(awaited_by));
        let (cancellation, holds, spare) = (Cancellation::default(), AtomicUsize::new(0), OnceLock::new());
        Closure { cancellation, awaited_by, queue, holds, spare, body }
    }
}

impl Closure {
    /// The closure that runs on this thread.
    pub(crate) fn current() -> Option<Arc<Closure>> {
        Closure::with_current(Arc::clone)
    }

    /// Calls `f` with the closure that runs on this thread. `None` if no closure runs here.
    pub(super) fn with_current<R>(f: impl FnOnce(&Arc<Closure>) -> R) -> Option<R> {
        // A thread that is ending may have no thread-local values any more. Such a thread runs no closure.
        CURRENT.try_with(|current| current.borrow().as_ref().map(f)).ok().flatten()
    }

    /// Calls `f` on this thread. During the call, [`Closure::current`] returns `closure`. Catches a panic of `f`.
    pub(super) fn call<R>(closure: Arc<Closure>, f: impl FnOnce() -> R) -> std::thread::Result<R> {
        CURRENT.with(|current| current.replace(Some(closure)));
        let result = panic::catch(f);
        CURRENT.with(|current| current.replace(None));
        result
    }

    /// This closure, the closure that waits for it, the closure that waits for that one, and so on.
    pub(super) fn chain(self: &Arc<Closure>) -> Vec<Arc<Closure>> {
        let mut chain = Vec::new();
        let mut next = Some(self.clone());
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

    /// The spare pool, of one thread, for work that this closure gives to `pool`. `None` if `pool` itself runs the work.
    ///
    /// If all threads of a pool waited for work of this pool, they would wait for each other forever. So if all threads of the pool are
    /// held, each closure that waits for such work gets one more thread, which runs this work.
    pub(super) fn spare_for(self: &Arc<Closure>, pool: &Pool) -> Option<Arc<Pool>> {
        let closure = self.chain().into_iter().find(|closure| closure.queue.is_of(pool))?;
        pool.is_exhausted().then(|| closure.spare.get_or_init(|| pool.spare()).clone())
    }
}

impl<B: ?Sized> Closure<B> {
    /// Whether the closure waits for a loop that it runs, or for a foreign future.
    pub(super) fn holds_thread(&self) -> bool {
        self.holds.load(SeqCst) != 0
    }

    #[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
    pub(super) fn set_awaited_by(&self, other: Option<&Arc<Closure>>) {
        *lock(&self.awaited_by) = weak(other);
    }
}

fn weak(closure: Option<&Arc<Closure>>) -> Weak<Closure> {
    closure.map_or_else(|| Weak::<Closure<()>>::new(), Arc::downgrade)
}

/// While this exists, the thread of a closure counts as held: the closure waits for a loop or for a foreign future.
pub(crate) struct HeldThread(Arc<Closure>);

impl HeldThread {
    pub(crate) fn new(closure: Arc<Closure>) -> HeldThread {
        if closure.holds.fetch_add(1, SeqCst) == 0 {
            closure.queue.hold_thread();
        }
        HeldThread(closure)
    }
}

impl Drop for HeldThread {
    fn drop(&mut self) {
        if self.0.holds.fetch_sub(1, SeqCst) == 1 {
            self.0.queue.release_thread();
        }
    }
}

/// Connects a loop with the closure that runs it: when the closure is cancelled, the loop is stopped.
pub(crate) struct LoopInClosure {
    held_thread: HeldThread,
    inbox: Arc<Inbox>,
    /// The key of the loop in the cancellation of the closure.
    key: usize,
}

impl LoopInClosure {
    /// Connects a loop that begins on this thread. `None` if no closure runs here.
    pub(crate) fn new(inbox: impl FnOnce() -> Arc<Inbox>) -> Option<LoopInClosure> {
        let closure = Closure::current()?;
        let inbox = inbox();
        let key = closure.cancellation.add_loop(&inbox);
        Some(LoopInClosure { held_thread: HeldThread::new(closure), inbox, key })
    }
}

impl Drop for LoopInClosure {
    fn drop(&mut self) {
        self.held_thread.0.cancellation.remove_loop(self.key, &self.inbox);
    }
}
