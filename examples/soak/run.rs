//! What all parts of a run share: the place of its fault, and the balance of what it made.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::{Fault, PANICKED, Raised};

/// One run, as its coroutines and its threads see it.
pub struct Run {
    pub fault: Fault,
    pub elsewhere: Elsewhere,
    /// At which place an error or a panic comes up.
    chosen: u64,
    places: AtomicU64,
    fired: AtomicBool,
    coroutines: AtomicU64,
    values: AtomicI64,
    at_work: AtomicI64,
    findings: Mutex<Vec<String>>,
}

impl Run {
    pub fn new(fault: Fault, chosen: u64, elsewhere: Elsewhere) -> Arc<Run> {
        Arc::new(Run {
            fault,
            elsewhere,
            chosen,
            places: AtomicU64::new(0),
            fired: AtomicBool::new(false),
            coroutines: AtomicU64::new(0),
            values: AtomicI64::new(0),
            at_work: AtomicI64::new(0),
            findings: Mutex::default(),
        })
    }

    /// A place at which the run may fail.
    pub fn here(&self) -> Result<(), Raised> {
        if self.places.fetch_add(1, SeqCst) == self.chosen {
            match self.fault {
                Fault::Error => {
                    self.fire();
                    return Err(Raised);
                }
                Fault::Panic => {
                    self.fire();
                    std::panic::panic_any(PANICKED.to_string())
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn fire(&self) {
        self.fired.store(true, SeqCst);
    }

    pub fn has_fired(&self) -> bool {
        self.fired.load(SeqCst)
    }

    pub fn coroutines(&self) -> u64 {
        self.coroutines.load(SeqCst)
    }

    pub fn places(&self) -> u64 {
        self.places.load(SeqCst)
    }

    /// A value: to be held, sent, returned, and dropped before the run is over.
    pub fn value(self: &Arc<Run>) -> Value {
        self.values.fetch_add(1, SeqCst);
        Value(self.clone())
    }

    /// What a coroutine holds from its beginning to its end.
    pub fn begins(self: &Arc<Run>) -> Value {
        self.coroutines.fetch_add(1, SeqCst);
        self.value()
    }

    /// What a closure on a thread holds while it works.
    pub fn at_work(self: &Arc<Run>) -> AtWork {
        self.at_work.fetch_add(1, SeqCst);
        AtWork(self.value())
    }

    pub fn threads_at_work(&self) -> i64 {
        self.at_work.load(SeqCst)
    }

    pub fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.findings.lock().unwrap().push(what.to_string());
        }
    }

    /// Whether nothing is left of it; if not, what.
    pub fn balanced(self: &Arc<Run>) -> Result<(), String> {
        let (values, at_work) = (self.values.load(SeqCst), self.threads_at_work());
        self.check(values == 0, &format!("{values} values were not dropped"));
        self.check(at_work == 0, &format!("{at_work} closures are at work"));
        self.check(Arc::strong_count(self) == 1, "something still holds the run");
        let findings = self.findings.lock().unwrap();
        if findings.is_empty() { Ok(()) } else { Err(findings.join(", and ")) }
    }
}

pub struct Value(Arc<Run>);

impl Clone for Value {
    fn clone(&self) -> Value {
        self.0.value()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.values.fetch_sub(1, SeqCst);
    }
}

pub struct AtWork(Value);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.0.at_work.fetch_sub(1, SeqCst);
    }
}

/// A run, as its coroutines see it; they share a thread.
#[derive(Clone)]
pub struct World {
    pub run: Arc<Run>,
    pub random: Rc<Random>,
    at_the_end: Rc<AtTheEnd>,
}

impl World {
    pub fn new(run: Arc<Run>, seed: u64) -> World {
        let at_the_end = AtTheEnd { checks: RefCell::default(), held: run.value() };
        World { run, random: Rc::new(Random::new(seed)), at_the_end: Rc::new(at_the_end) }
    }

    /// What has to hold when all coroutines have ended.
    pub fn at_the_end(&self, what: &'static str, holds: impl Fn() -> bool + 'static) {
        self.at_the_end.checks.borrow_mut().push((what, Box::new(holds)));
    }
}

struct AtTheEnd {
    checks: RefCell<Vec<Check>>,
    held: Value,
}

type Check = (&'static str, Box<dyn Fn() -> bool>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        for (what, holds) in self.checks.take() {
            self.held.0.check(holds(), what);
        }
    }
}

/// A thread that does things later, whatever has become of who asked for them.
#[derive(Clone)]
pub struct Elsewhere(Sender<(Instant, Job)>);

type Job = Box<dyn FnOnce() + Send>;

impl Elsewhere {
    pub fn new() -> Elsewhere {
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
        Elsewhere(sender)
    }

    pub fn later(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        // It listens for as long as it can be told.
        let _ = self.0.send((Instant::now() + delay, Box::new(job)));
    }
}

/// Random numbers that a seed determines (SplitMix64).
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

    /// From 0 to less than `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// Less than `end` microseconds.
    pub fn micros(&self, end: u64) -> Duration {
        Duration::from_micros(self.below(end))
    }
}
