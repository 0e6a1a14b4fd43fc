//! Threads that take jobs from one queue.

use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::job::Work;
use crate::error::{Error, Result};
use crate::primitives::atomic::AtomicUsize;
use crate::primitives::atomic::Ordering::SeqCst;
use crate::primitives::channel::{Receiver, Sender, unbounded};
use crate::primitives::thread;

/// Threads that take jobs from one queue.
pub(crate) struct Pool {
    pub(super) max: usize,
    jobs: Sender<Arc<dyn Work>>,
    pub(super) queue: Arc<Queue>,
}

pub(super) struct Queue {
    jobs: Receiver<Arc<dyn Work>>,
    /// Jobs that no thread has taken yet.
    pub(super) waiting: AtomicUsize,
    /// Threads that wait for a job, or are about to.
    idle: AtomicUsize,
    pub(super) threads: AtomicUsize,
}

/// How many threads all loops share at most: as many as the `blocking` crate has by default.
const SHARED_MAX: usize = 500;

/// How long a thread without work is kept.
const KEPT_FOR: Duration = Duration::from_secs(5);

impl Pool {
    pub(super) fn new(max: usize) -> Pool {
        let (jobs, receiver) = unbounded();
        let queue = Queue {
            jobs: receiver,
            waiting: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
        };
        Pool { max, jobs, queue: Arc::new(queue) }
    }

    /// That of the whole process. Not for loom, in which nothing may outlive a model.
    pub(super) fn shared() -> Arc<Pool> {
        static SHARED: std::sync::OnceLock<Arc<Pool>> = std::sync::OnceLock::new();
        SHARED.get_or_init(|| Arc::new(Pool::new(SHARED_MAX))).clone()
    }

    /// The same, without a limit: for loops and futures, which may wait for each other, from one thread to the next.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) fn unlimited() -> Arc<Pool> {
        static UNLIMITED: std::sync::OnceLock<Arc<Pool>> = std::sync::OnceLock::new();
        UNLIMITED.get_or_init(|| Arc::new(Pool::new(usize::MAX))).clone()
    }

    /// Has a thread do `job`, now or when one is free.
    pub(crate) fn submit(&self, job: Arc<dyn Work>, location: &'static Location<'static>) -> Result<()> {
        let queue = &self.queue;
        // Counted before it is sent, and read after: so either this sees that nobody is idle, and that there is room for one
        // thread more, or a thread that is about to leave sees that a job is coming.
        let waiting = queue.waiting.fetch_add(1, SeqCst) + 1;
        let mut failed = None;
        if waiting > queue.idle.load(SeqCst) && queue.add_thread(self.max) {
            let (theirs, max) = (queue.clone(), self.max);
            let spawned = thread::Builder::new().name("tinyield".into()).spawn(move || theirs.serve(max));
            if let Err(error) = spawned
                && queue.threads.fetch_sub(1, SeqCst) == 1
            {
                failed = Some(error);
            }
        }
        if let Some(error) = failed {
            queue.waiting.fetch_sub(1, SeqCst);
            return Err(Error::at(format!("no thread could be started: {error}").into(), location));
        }
        self.jobs.send(job).expect("the queue has its own receiver");
        Ok(())
    }
}

impl Queue {
    /// Counts one thread more; false if there are as many as there may be.
    fn add_thread(&self, max: usize) -> bool {
        self.threads.fetch_update(SeqCst, SeqCst, |threads| (threads < max).then_some(threads + 1)).is_ok()
    }

    /// A thread's life.
    fn serve(&self, max: usize) {
        loop {
            self.idle.fetch_add(1, SeqCst);
            let job = self.jobs.recv_timeout(KEPT_FOR);
            self.idle.fetch_sub(1, SeqCst);
            match job {
                Ok(job) => {
                    self.waiting.fetch_sub(1, SeqCst);
                    // A host's waker may be woken here, which is foreign code.
                    forget_panic(catch_unwind(AssertUnwindSafe(|| job.work())));
                    // What is left of it belongs to the coroutine; if that is gone, its destructors run here.
                    forget_panic(catch_unwind(AssertUnwindSafe(|| drop(job))));
                }
                Err(_) => {
                    // In this order: whoever has counted a job after this looked finds that a thread may be started for it.
                    self.threads.fetch_sub(1, SeqCst);
                    if self.waiting.load(SeqCst) == 0 || !self.add_thread(max) {
                        return;
                    }
                }
            }
        }
    }
}

/// There is nobody to tell of this panic but the hook, which has been told. What it carries might panic in its turn.
fn forget_panic(result: std::result::Result<(), Box<dyn Any + Send>>) {
    if let Err(payload) = result {
        std::mem::forget(payload);
    }
}
