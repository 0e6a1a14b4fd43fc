//! Threads that run the work of one queue.
//!
//! One lock guards all numbers on which these decisions depend: to start a thread, to end a thread, and to refuse work because the
//! system starts no thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::panic::contain;
use crate::primitives::channel::{Receiver, Sender, unbounded};
use crate::primitives::{Mutex, lock, process_wide, thread};

/// How many closures the pool of the process runs at once, as in the `blocking` crate.
const SHARED_MAX: usize = 500;

/// How long a thread without work is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A closure as a thread uses it: its types are erased.
pub(super) trait Work: Send + Sync {
    /// Runs the closure on this thread, which serves `queue`.
    fn run(self: Arc<Self>, queue: &Arc<Queue>);

    /// Reports that no thread will run the closure.
    fn refuse(self: Arc<Self>, error: &io::Error);
}

/// A queue of work and the threads that serve it. When it is dropped, the threads run the work that is left, and end.
pub(crate) struct Pool {
    queue: Arc<Queue>,
    /// One message for each closure in the queue. A message does not name a closure.
    signals: Sender<()>,
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
        let (signals, receiver) = unbounded();
        let queue = Queue { max, counts_held, parent, signals: receiver, state: Mutex::default() };
        Arc::new(Pool { queue: Arc::new(queue), signals })
    }

    /// Adds `work` at the end of the queue. If no thread can be started and no other thread will take `work`, it is refused before
    /// this returns.
    pub(super) fn push(&self, work: Arc<dyn Work>) -> Ticket {
        let mut state = lock(&self.queue.state);
        let number = state.work.push(work);
        let is_thread_needed = self.queue.reserve_thread(&mut state);
        drop(state);
        self.signals.send(()).expect("the queue has a receiver");
        if is_thread_needed {
            self.queue.start_thread();
        }
        Ticket { queue: self.queue.clone(), number }
    }

    /// Whether the pool may start no further thread, and all its threads are held.
    pub(super) fn is_exhausted(&self) -> bool {
        let state = lock(&self.queue.state);
        state.threads >= self.queue.limit(&state) && state.threads <= state.held
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
    signals: Receiver<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    work: Waiting,
    threads: usize,
    /// Threads that wait for work.
    idle: usize,
    /// Threads whose closure waits for a loop. That loop may wait for work in this queue, so nothing may rely on the return of such
    /// a thread.
    held: usize,
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
        let is_needed = state.work.len() > state.idle && state.threads < self.limit(state);
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
            let _ = self.signals.try_recv();
            contain(|| work.refuse(&error));
        }
    }

    /// What a thread does from its start to its end.
    fn serve(self: Arc<Queue>) {
        let mut state = lock(&self.state);
        // The limit may go down when another thread is no longer held. Then there is one thread too many.
        while state.threads <= self.limit(&state) {
            if let Some(work) = state.work.pop() {
                drop(state);
                let _ = self.signals.try_recv();
                contain(|| work.run(&self));
                state = lock(&self.state);
                continue;
            }
            state.idle += 1;
            drop(state);
            let signal = self.signals.recv_timeout(KEEP_ALIVE);
            state = lock(&self.state);
            state.idle -= 1;
            match (state.work.pop(), signal) {
                (Some(work), _) => {
                    drop(state);
                    contain(|| work.run(&self));
                    state = lock(&self.state);
                }
                (None, Err(_)) => break,
                (None, Ok(())) => {}
            }
        }
        state.threads -= 1;
    }
}

/// A place in a queue.
pub(super) struct Ticket {
    queue: Arc<Queue>,
    number: u64,
}

impl Ticket {
    /// Takes the work out of the queue. Returns false if a thread has taken the work already.
    pub(super) fn withdraw(&self) -> bool {
        let work = lock(&self.queue.state).work.remove(self.number);
        if work.is_some() {
            // If a thread has received the signal already, it may find no work. It then waits for the next signal.
            let _ = self.queue.signals.try_recv();
        }
        work.is_some()
    }
}
