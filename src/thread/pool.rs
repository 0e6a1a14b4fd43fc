//! Threads that run the work of one queue.
//!
//! One lock guards all numbers on which these decisions depend: to start a thread, to end a thread, and to refuse work because the
//! system starts no thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::panic::contain;
use crate::primitives::{Condvar, Mutex, MutexGuard, lock, process_wide, thread, wait_while};

/// How many closures the pool of the process runs at once, as in the `blocking` crate.
const SHARED_MAX: usize = 500;

/// How long a thread without work is kept.
const KEEP_ALIVE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(5) };

/// When this many closures have come one at a time, a thread gives its time to others once before it parks.
const YIELDS_AFTER: u32 = if cfg!(tinyield_loom) { 1 } else { 64 };

/// A closure as a thread uses it: its types are erased.
pub(super) trait Work: Send + Sync {
    /// Runs the closure on this thread.
    fn run(self: Arc<Self>);

    /// Reports that no thread will run the closure.
    fn refuse(self: Arc<Self>, error: &io::Error);
}

/// A queue of work and the threads that serve it. When it is dropped, the threads run the work that is left, and end.
pub(crate) struct Pool {
    queue: Arc<Queue>,
}

impl Pool {
    /// A pool of at most `max` threads.
    pub(super) fn bounded(max: usize) -> Arc<Pool> {
        Pool::new(max, true, None)
    }

    /// The pool of the whole process.
    pub(super) fn shared() -> Arc<Pool> {
        process_wide! { static SHARED: Arc<Pool> = Pool::new(SHARED_MAX, false, None); }
        SHARED.clone()
    }

    /// A second pool of the whole process, for loops and futures: any number of them may wait for each other.
    pub(crate) fn unlimited() -> Arc<Pool> {
        process_wide! { static UNLIMITED: Arc<Pool> = Pool::new(usize::MAX, false, None); }
        UNLIMITED.clone()
    }

    /// A pool of one thread that does work for this pool.
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

    /// Adds `work` at the end of the queue, and returns its number there. If no thread can be started and no other thread will take
    /// `work`, it is refused before this returns.
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

    /// Whether the pool may start no further thread, and all its threads are held.
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

/// What a pool shares with its threads.
pub(super) struct Queue {
    max: usize,
    /// Whether held threads count towards `max`.
    counts_held: bool,
    /// The queue for which this one does work.
    parent: Option<Arc<Queue>>,
    state: Mutex<State>,
    /// Where threads park until there is work for them.
    wake_ups: Condvar,
}

#[derive(Default)]
struct State {
    work: Waiting,
    threads: usize,
    /// Threads that are parked, and were not woken.
    parked: usize,
    /// Threads that were woken, and have not looked for work yet.
    woken: usize,
    /// Threads that have given their time to others, and will look for work once more.
    yielding: usize,
    /// How many closures in a row left the queue empty when a thread took them.
    lone: u32,
    /// Whether the pool is gone, so that no more work arrives.
    is_closed: bool,
    /// Threads whose closure waits for a loop. That loop may wait for work in this queue, so nothing may rely on the return of such
    /// a thread.
    held: usize,
}

impl State {
    /// Threads without work.
    fn idle(&self) -> usize {
        self.parked + self.woken + self.yielding
    }

    /// Takes the work that arrived first.
    fn take_work(&mut self) -> Option<Arc<dyn Work>> {
        let work = self.work.pop()?;
        self.lone = if self.work.len() == 0 { self.lone.saturating_add(1) } else { 0 };
        Some(work)
    }

    /// Counts a parked thread as woken, if there is work for it. Returns whether it did. The caller then has to notify it.
    ///
    /// No thread is woken while another thread is about to look for work. When that thread takes work, and more work is left,
    /// it wakes the next one. So while closures are short, few threads run all of them. If each closure woke a thread, most of
    /// these threads would find no work.
    fn reserve_wake(&mut self) -> bool {
        let is_needed = self.work.len() > 0 && self.parked > 0 && self.woken + self.yielding == 0;
        if is_needed {
            self.parked -= 1;
            self.woken += 1;
        }
        is_needed
    }
}

/// Work in the order of arrival.
#[derive(Default)]
struct Waiting {
    /// Sorted by number. Removed work leaves an empty place. When more than half of the places are empty, the empty places are
    /// removed.
    places: VecDeque<(u64, Option<Arc<dyn Work>>)>,
    empty: usize,
    last_number: u64,
}

impl Waiting {
    fn len(&self) -> usize {
        self.places.len() - self.empty
    }

    fn push(&mut self, work: Arc<dyn Work>) -> u64 {
        self.last_number += 1;
        self.places.push_back((self.last_number, Some(work)));
        self.last_number
    }

    fn pop(&mut self) -> Option<Arc<dyn Work>> {
        loop {
            match self.places.pop_front()? {
                (_, Some(work)) => return Some(work),
                (_, None) => self.empty -= 1,
            }
        }
    }

    fn remove(&mut self, number: u64) -> Option<Arc<dyn Work>> {
        let index = self.places.binary_search_by_key(&number, |place| place.0).ok()?;
        let work = self.places[index].1.take();
        self.empty += 1;
        if self.empty > self.places.len() / 2 {
            self.places.retain(|place| place.1.is_some());
            self.empty = 0;
        }
        work
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
        // A thread that was woken for it may find no work. It then waits again.
        let work = lock(&self.state).work.remove(number);
        work.is_some()
    }

    fn root(self: &Arc<Queue>) -> &Arc<Queue> {
        self.parent.as_ref().unwrap_or(self)
    }

    /// Whether this is the queue of `pool`, or does work for it.
    pub(super) fn is_of(self: &Arc<Queue>, pool: &Pool) -> bool {
        Arc::ptr_eq(self.root(), pool.queue.root())
    }

    fn limit(&self, state: &State) -> usize {
        if self.counts_held { self.max } else { self.max.saturating_add(state.held) }
    }

    /// Counts one more thread if there is work for it, and returns whether it did. The caller then has to start the thread.
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
            // Another thread, which is not held, will take the work. It may be about to start. If it cannot be started, its own call of
            // this function refuses the work.
            return;
        }
        let refused: Vec<_> = std::iter::from_fn(|| state.work.pop()).collect();
        drop(state);
        for work in refused {
            contain(|| work.refuse(&error));
        }
    }

    /// Unlocks the state, and wakes a thread if there is work and no thread was woken for it.
    fn unlock_and_wake(&self, mut state: MutexGuard<'_, State>) {
        let is_wake_needed = state.reserve_wake();
        drop(state);
        if is_wake_needed {
            self.wake_ups.notify_one();
        }
    }

    /// What a thread does from its start to its end.
    fn serve(self: Arc<Queue>) {
        let mut state = lock(&self.state);
        // The limit may go down when another thread is no longer held. Then there is one thread too many.
        while state.threads <= self.limit(&state) {
            if let Some(work) = state.take_work() {
                self.unlock_and_wake(state);
                contain(|| work.run());
                state = lock(&self.state);
                continue;
            }
            if state.is_closed {
                break;
            }
            if state.lone >= YIELDS_AFTER {
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
        // If there was one thread too many, this thread may be the one that was woken for the work.
        self.unlock_and_wake(state);
    }

    /// Gives the time of this thread to others, such as a loop that has got the result of one closure and gives the next one to the
    /// pool. That closure then needs no system call to wake this thread.
    ///
    /// This is for closures that come one at a time. With several closures at once, measurements showed that the loop and a
    /// thread that yields take turns after each closure. Probably Linux lets a woken thread preempt one that has yielded.
    fn yield_once<'state>(&'state self, mut state: MutexGuard<'state, State>) -> MutexGuard<'state, State> {
        state.yielding += 1;
        drop(state);
        thread::yield_now();
        let mut state = lock(&self.state);
        state.yielding -= 1;
        state
    }

    /// Parks this thread until it is woken, or the pool is gone, or [`KEEP_ALIVE`] is over. In this last case it returns false, if there
    /// is no work.
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
        // Work may be left for this thread: another thread, which yielded when the work arrived, has not woken this one yet.
        let is_needed = is_woken || state.is_closed || state.work.len() > 0;
        (state, is_needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoWork;

    impl Work for NoWork {
        fn run(self: Arc<NoWork>) {}

        fn refuse(self: Arc<NoWork>, _: &io::Error) {}
    }

    /// A push starts no thread for work that the threads without work can take, and wakes none while one of them yields. So a parked
    /// thread must not end before it has looked for that work.
    #[test]
    fn thread_whose_keep_alive_is_over_takes_the_work_that_was_left_to_it() {
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
