//! Pools: threads that run the work of one queue.
//!
//! A pool decides when to start a thread, when to end a thread, and when to refuse work because the system starts no thread. One
//! lock guards all numbers on which these decisions depend. A thread also decides which completions are delivered in a batch (see
//! [`Completion::deliver`]).

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use super::waiting_work::WaitingWork;
use crate::panic::contain;
use crate::primitives::{Condvar, Mutex, MutexGuard, lock, process_wide, thread, wait_while};
use crate::scheduler::Completion;

/// How many closures the pool of the process runs at once. The `blocking` crate has the same limit.
const SHARED_MAX: usize = 500;

/// How long a thread without work is kept before it ends.
const KEEP_ALIVE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(5) };

/// After this many closures in a row that came one at a time, a thread yields to other threads once before it parks.
const YIELDS_AFTER: u32 = if cfg!(tinyield_loom) { 1 } else { 4 };

/// A closure whose types are erased: a thread can run it or refuse it.
pub(super) trait Work: Send + Sync {
    /// Runs the closure on this thread. If a coroutine waits, returns its completion, which the caller has to deliver.
    fn run(self: Arc<Self>) -> Option<Completion>;

    /// Reports that no thread will run the closure.
    fn refuse(self: Arc<Self>, error: &io::Error);
}

/// A queue of work and the threads that serve it. When the pool is dropped, the threads run the remaining work, and end.
pub(crate) struct Pool {
    queue: Arc<Queue>,
}

impl Pool {
    /// Makes a pool of at most `max` threads.
    pub(super) fn bounded(max: usize) -> Arc<Pool> {
        Pool::new(max, true, None)
    }

    /// The pool of the whole process.
    pub(super) fn shared() -> Arc<Pool> {
        process_wide! { static SHARED: Arc<Pool> = Pool::new(SHARED_MAX, false, None); }
        SHARED.clone()
    }

    /// The pool of the whole process for loops and foreign futures. It has no limit, because any number of them may wait for each
    /// other.
    pub(crate) fn unlimited() -> Arc<Pool> {
        process_wide! { static UNLIMITED: Arc<Pool> = Pool::new(usize::MAX, false, None); }
        UNLIMITED.clone()
    }

    /// Makes a pool of one thread that does work for this pool.
    pub(super) fn spare(&self) -> Arc<Pool> {
        Pool::new(1, true, Some(self.queue.root().clone()))
    }

    fn new(max: usize, counts_held: bool, parent: Option<Arc<Queue>>) -> Arc<Pool> {
        let queue = Queue { max, counts_held, parent, state: Mutex::default(), wake_ups: Condvar::default() };
        Arc::new(Pool { queue: Arc::new(queue) })
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Adds `work` at the end of the queue, and returns its number in the queue. If no thread can be started and no other thread will
    /// take `work`, `work` is refused before this function returns.
    pub(super) fn push(&self, work: Arc<dyn Work>) -> u64 {
        let mut state = lock(&self.queue.state);
        let number = state.work.push(work);
        let is_thread_needed = self.queue.reserve_thread(&mut state);
        self.queue.unlock_and_wake(state);
        if is_thread_needed {
            self.queue.start_thread();
        }
        number
    }

    /// Whether all threads of the pool are held, and the limit allows no further thread.
    pub(super) fn is_exhausted(&self) -> bool {
        let state = lock(&self.queue.state);
        state.threads >= self.queue.limit(&state) && state.threads <= state.held
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.queue.state).is_closed = true;
        self.queue.wake_ups.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.queue.state);
        let (threads, waiting) = (state.threads, state.work.len());
        drop(state);
        f.debug_struct("ThreadPool")
            .field("max", &self.queue.max)
            .field("threads", &threads)
            .field("waiting", &waiting)
            .finish()
    }
}

/// The state that a pool shares with its threads.
pub(super) struct Queue {
    max: usize,
    /// Whether held threads count towards `max`.
    counts_held: bool,
    /// The queue for which this one does work.
    parent: Option<Arc<Queue>>,
    state: Mutex<State>,
    /// Threads without work park here.
    wake_ups: Condvar,
}

#[derive(Default)]
struct State {
    work: WaitingWork<Arc<dyn Work>>,
    threads: usize,
    /// The number of threads that are parked and were not woken.
    parked: usize,
    /// The number of threads that were woken and have not looked for work yet.
    woken: usize,
    /// The number of threads that yield to other threads now, and will then look for work again.
    yielding: usize,
    /// How many closures in a row were the only work in the queue when a thread took them.
    taken_alone: u32,
    /// The pool was dropped, so no more work arrives.
    is_closed: bool,
    /// The number of threads whose closure waits for a loop or for a foreign future. This loop or future may itself wait for work in
    /// this queue, so nothing may rely on such a thread becoming free.
    held: usize,
}

impl State {
    /// The number of threads without work.
    fn idle(&self) -> usize {
        self.parked + self.woken + self.yielding
    }

    /// Takes the oldest work out of the queue.
    fn take_work(&mut self) -> Option<Arc<dyn Work>> {
        let work = self.work.pop()?;
        self.taken_alone = if self.work.len() == 0 { self.taken_alone.saturating_add(1) } else { 0 };
        Some(work)
    }

    /// If there is work for a parked thread, counts the thread as woken and returns true. The caller then has to notify the thread.
    ///
    /// No thread is woken while another thread is about to look for work. If that thread takes work and leaves more work in the
    /// queue, it wakes the next thread. So while closures are short, few threads run all of them. If each closure woke a thread,
    /// most of these threads would find no work.
    fn reserve_wake(&mut self) -> bool {
        let is_needed = self.work.len() > 0 && self.parked > 0 && self.woken + self.yielding == 0;
        if is_needed {
            self.parked -= 1;
            self.woken += 1;
        }
        is_needed
    }
}

impl Queue {
    /// Counts one more thread as held.
    pub(super) fn hold_thread(self: &Arc<Queue>) {
        let mut state = lock(&self.state);
        state.held += 1;
        let is_thread_needed = self.reserve_thread(&mut state);
        drop(state);
        if is_thread_needed {
            self.start_thread();
        }
    }

    pub(super) fn release_thread(&self) {
        lock(&self.state).held -= 1;
    }

    /// Takes the work with this number out of the queue. Returns false if a thread has taken it already.
    pub(super) fn withdraw(&self, number: u64) -> bool {
        // A thread that was woken for this work may find no work. It then parks again.
        let work = lock(&self.state).work.remove(number);
        work.is_some()
    }

    fn root(self: &Arc<Queue>) -> &Arc<Queue> {
        self.parent.as_ref().unwrap_or(self)
    }

    /// Whether this is the queue of `pool` or of one of its spare pools.
    pub(super) fn is_of(self: &Arc<Queue>, pool: &Pool) -> bool {
        Arc::ptr_eq(self.root(), pool.queue.root())
    }

    fn limit(&self, state: &State) -> usize {
        if self.counts_held { self.max } else { self.max.saturating_add(state.held) }
    }

    /// If there is work for one more thread, counts the thread and returns true. The caller then has to start the thread.
    fn reserve_thread(&self, state: &mut State) -> bool {
        let is_needed = state.work.len() > state.idle() && state.threads < self.limit(state);
        state.threads += usize::from(is_needed);
        is_needed
    }

    fn start_thread(self: &Arc<Queue>) {
        let queue = self.clone();
        let Err(error) = thread::Builder::new().name("tinyield".into()).spawn(move || queue.serve()) else { return };
        let mut state = lock(&self.state);
        state.threads -= 1;
        if state.threads > state.held {
            // Another thread, which is not held, will take the work. If that thread is about to start and the start fails, its own
            // call of this function refuses the work.
            return;
        }
        let refused: Vec<_> = std::iter::from_fn(|| state.work.pop()).collect();
        drop(state);
        for work in refused {
            contain(|| work.refuse(&error));
        }
    }

    /// Unlocks the state. Before that, decides whether a parked thread has to be woken for the work, and wakes it afterwards.
    fn unlock_and_wake(&self, mut state: MutexGuard<'_, State>) {
        let is_wake_needed = state.reserve_wake();
        drop(state);
        if is_wake_needed {
            self.wake_ups.notify_one();
        }
    }

    /// Runs on each thread of the pool, from its start to its end.
    fn serve(self: Arc<Queue>) {
        // The completion of the closure that ran last. It is delivered when this thread has looked for more work, or ends.
        let mut completion: Option<Completion> = None;
        let mut state = lock(&self.state);
        // When a thread is no longer held, the limit may go down. If there is then one thread too many, this thread ends.
        while state.threads <= self.limit(&state) {
            if let Some(work) = state.take_work() {
                let is_more_waiting = state.work.len() > 0;
                let is_wake_needed = state.reserve_wake();
                drop(state);
                // If the other thread were woken first, it might preempt this one, and the result would be late.
                if let Some(completion) = completion.take() {
                    completion.deliver(is_more_waiting);
                }
                if is_wake_needed {
                    self.wake_ups.notify_one();
                }
                contain(|| completion = work.run());
                state = lock(&self.state);
                continue;
            }
            if let Some(completion) = completion.take() {
                drop(state);
                completion.deliver(false);
                // In the meantime, more work may have arrived.
                state = lock(&self.state);
                continue;
            }
            if state.is_closed {
                break;
            }
            if state.taken_alone >= YIELDS_AFTER {
                state = self.yield_once(state);
                if state.work.len() > 0 {
                    continue;
                }
            }
            let is_needed;
            (state, is_needed) = self.park(state);
            if !is_needed {
                break;
            }
        }
        state.threads -= 1;
        // This thread may have been woken for work. If it ends because there is one thread too many, another thread is woken.
        self.unlock_and_wake(state);
    }

    /// Yields to other threads once, before this thread parks. In this time, a loop may take the result of one closure, and give the
    /// next closure to the pool. Then no system call is needed to wake this thread for the next closure.
    ///
    /// If results arrive while other closures wait, a thread that always yields makes the loop and the thread switch after each closure,
    /// as measurements showed.
    fn yield_once<'state>(&'state self, mut state: MutexGuard<'state, State>) -> MutexGuard<'state, State> {
        state.yielding += 1;
        drop(state);
        thread::yield_now();
        let mut state = lock(&self.state);
        state.yielding -= 1;
        state
    }

    /// Parks this thread until it is woken, the pool is dropped, or [`KEEP_ALIVE`] is over. Returns false if only the time is over,
    /// and there is no work.
    fn park<'state>(&'state self, mut state: MutexGuard<'state, State>) -> (MutexGuard<'state, State>, bool) {
        state.parked += 1;
        let is_unneeded = |state: &mut State| state.woken == 0 && !state.is_closed;
        let mut state = wait_while(&self.wake_ups, &self.state, state, KEEP_ALIVE, is_unneeded);
        let is_woken = state.woken > 0;
        if is_woken {
            state.woken -= 1;
        } else {
            state.parked -= 1;
        }
        // There may be work although this thread was not woken: no thread is woken while another thread yields.
        let is_needed = is_woken || state.is_closed || state.work.len() > 0;
        (state, is_needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoWork;

    impl Work for NoWork {
        fn run(self: Arc<NoWork>) -> Option<Completion> {
            None
        }

        fn refuse(self: Arc<NoWork>, _: &io::Error) {}
    }

    /// If there are enough threads without work, a push starts no thread. While one of them yields, a push wakes no thread either. So
    /// a parked thread must not end before it has looked for work.
    #[test]
    fn parked_thread_takes_waiting_work_when_its_keep_alive_is_over() {
        let pool = Pool::new(8, false, None);
        let queue = &pool.queue;
        let mut state = lock(&queue.state);
        state.yielding = 1;
        let (mut state, is_needed) = queue.park(state);
        assert!(!is_needed);
        for _ in 0..2 {
            state.work.push(Arc::new(NoWork));
        }
        assert!(!state.reserve_wake());
        let (mut state, is_needed) = queue.park(state);
        assert!(is_needed);
        assert_eq!((state.parked, state.woken), (0, 0));
        state.yielding = 0;
    }
}
