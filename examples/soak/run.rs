//! The state that all parts of a run share: where its fault is injected, and counts of its live values and closures.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::{Fault, InjectedError, PANIC_MESSAGE};

/// One run, shared by its coroutines and its threads.
pub struct Run {
    pub fault: Fault,
    pub timer_thread: TimerThread,
    /// The index of the fault point at which an error or a panic is injected.
    chosen_point: u64,
    /// How many fault points were passed so far.
    fault_points: AtomicU64,
    has_had_effect: AtomicBool,
    /// How many coroutines have started.
    coroutines: AtomicU64,
    live_values: AtomicI64,
    running_closures: AtomicI64,
    /// Failed checks.
    failures: Mutex<Vec<String>>,
}

impl Run {
    pub fn new(fault: Fault, chosen_point: u64, timer_thread: TimerThread) -> Arc<Run> {
        Arc::new(Run {
            fault,
            timer_thread,
            chosen_point,
            fault_points: AtomicU64::new(0),
            has_had_effect: AtomicBool::new(false),
            coroutines: AtomicU64::new(0),
            live_values: AtomicI64::new(0),
            running_closures: AtomicI64::new(0),
            failures: Mutex::default(),
        })
    }

    /// Injects the error or the panic, if this is the chosen point.
    pub fn pass_fault_point(&self) -> Result<(), InjectedError> {
        if self.fault_points.fetch_add(1, SeqCst) == self.chosen_point {
            match self.fault {
                Fault::Error => {
                    self.record_effect();
                    return Err(InjectedError);
                }
                Fault::Panic => {
                    self.record_effect();
                    std::panic::panic_any(PANIC_MESSAGE.to_string())
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn record_effect(&self) {
        self.has_had_effect.store(true, SeqCst);
    }

    pub fn has_had_effect(&self) -> bool {
        self.has_had_effect.load(SeqCst)
    }

    pub fn coroutines(&self) -> u64 {
        self.coroutines.load(SeqCst)
    }

    pub fn fault_points(&self) -> u64 {
        self.fault_points.load(SeqCst)
    }

    /// Makes a counted value. Programs hold, send and return such values. All must be dropped before the run ends.
    pub fn new_value(self: &Arc<Run>) -> Value {
        self.live_values.fetch_add(1, SeqCst);
        Value(self.clone())
    }

    /// Counts a coroutine, and makes a value that it holds until it ends.
    pub fn start_coroutine(self: &Arc<Run>) -> Value {
        self.coroutines.fetch_add(1, SeqCst);
        self.new_value()
    }

    /// Makes a guard that a closure on a thread holds while it runs.
    pub fn start_closure(self: &Arc<Run>) -> RunningClosure {
        self.running_closures.fetch_add(1, SeqCst);
        RunningClosure(self.new_value())
    }

    pub fn running_closures(&self) -> i64 {
        self.running_closures.load(SeqCst)
    }

    /// Records `failure` unless `is_true`.
    pub fn check(&self, is_true: bool, failure: &str) {
        if !is_true {
            self.failures.lock().unwrap().push(failure.to_string());
        }
    }

    /// Checks that nothing of the ended run is left.
    ///
    /// # Errors
    ///
    /// All failed checks of the run.
    pub fn check_nothing_left(self: &Arc<Run>) -> Result<(), String> {
        let (live_values, running_closures) = (self.live_values.load(SeqCst), self.running_closures());
        self.check(live_values == 0, &format!("{live_values} values were not dropped"));
        self.check(running_closures == 0, &format!("{running_closures} closures still run"));
        self.check(Arc::strong_count(self) == 1, "something still holds the run");
        let failures = self.failures.lock().unwrap();
        if failures.is_empty() { Ok(()) } else { Err(failures.join(", and ")) }
    }
}

pub struct Value(Arc<Run>);

impl Clone for Value {
    fn clone(&self) -> Value {
        self.0.new_value()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.live_values.fetch_sub(1, SeqCst);
    }
}

pub struct RunningClosure(Value);

impl Drop for RunningClosure {
    fn drop(&mut self) {
        self.0.0.running_closures.fetch_sub(1, SeqCst);
    }
}

/// A run, shared by the coroutines of one thread.
#[derive(Clone)]
pub struct World {
    pub run: Arc<Run>,
    pub random: Rc<Random>,
    end_checks: Rc<EndChecks>,
}

impl World {
    pub fn new(run: Arc<Run>, seed: u64) -> World {
        let end_checks = EndChecks { checks: RefCell::default(), held: run.new_value() };
        World { run, random: Rc::new(Random::new(seed)), end_checks: Rc::new(end_checks) }
    }

    /// Adds a condition that must be true when all coroutines have ended.
    pub fn check_at_end(&self, failure: &'static str, is_true: impl Fn() -> bool + 'static) {
        self.end_checks.checks.borrow_mut().push((failure, Box::new(is_true)));
    }
}

struct EndChecks {
    checks: RefCell<Vec<Check>>,
    held: Value,
}

type Check = (&'static str, Box<dyn Fn() -> bool>);

impl Drop for EndChecks {
    fn drop(&mut self) {
        for (failure, is_true) in self.checks.take() {
            self.held.0.check(is_true(), failure);
        }
    }
}

/// A thread that runs jobs after a delay, even if the run that submitted these jobs has ended.
#[derive(Clone)]
pub struct TimerThread(Sender<(Instant, Job)>);

type Job = Box<dyn FnOnce() + Send>;

impl TimerThread {
    pub fn new() -> TimerThread {
        let (sender, receiver) = channel::<(Instant, Job)>();
        thread::spawn(move || {
            let mut jobs = BTreeMap::new();
            loop {
                let due = jobs.keys().next().copied();
                let wait = due.map_or(Duration::MAX, |due: Instant| due.saturating_duration_since(Instant::now()));
                match receiver.recv_timeout(wait) {
                    Ok((due, job)) => jobs.entry(due).or_insert_with(Vec::new).push(job),
                    Err(RecvTimeoutError::Timeout) => {
                        let (_, due) = jobs.pop_first().expect("one is due");
                        due.into_iter().for_each(|job| job());
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        TimerThread(sender)
    }

    pub fn run_later(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        // The thread receives as long as there is a sender, so this cannot fail.
        let _ = self.0.send((Instant::now() + delay, Box::new(job)));
    }
}

/// A generator of random numbers from a seed (SplitMix64).
pub struct Random(Cell<u64>);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(Cell::new(seed))
    }

    pub fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut x = self.0.get();
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number from 0 to `end - 1`.
    pub fn below(&self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// A duration of less than `end` microseconds.
    pub fn micros(&self, end: u64) -> Duration {
        Duration::from_micros(self.below(end))
    }
}
