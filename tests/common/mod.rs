//! What the integration tests share: counters, logs, and short ways to say often-said things.
#![allow(dead_code)] // each test uses a part of it

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use tinyield::{Error, Idle, LoopError, Runtime, Step, Wait, sleep};

/// For ever, as far as a test is concerned. It keeps a loop from calling a wait a deadlock.
pub const FOREVER: Duration = Duration::MAX;

/// Longer than any test takes, for upper bounds.
pub const LONG: Duration = Duration::from_secs(60);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn forever() -> impl Wait<Output = ()> {
    sleep(FOREVER)
}

/// Counts.
#[derive(Clone, Default)]
pub struct Counter(Rc<Cell<usize>>);

impl Counter {
    pub fn new() -> Counter {
        Counter::default()
    }

    pub fn get(&self) -> usize {
        self.0.get()
    }

    pub fn up(&self) {
        self.0.set(self.get() + 1);
    }

    pub fn down(&self) {
        self.0.set(self.get() - 1);
    }

    /// Counts when it is dropped.
    pub fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

pub struct Guard(Counter);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.up();
    }
}

/// How many of something are alive.
#[derive(Clone, Default)]
pub struct Alive(Rc<Cell<isize>>);

impl Alive {
    pub fn new() -> Alive {
        Alive::default()
    }

    pub fn get(&self) -> isize {
        self.0.get()
    }

    pub fn token(&self) -> Token {
        self.0.set(self.0.get() + 1);
        Token(self.clone())
    }
}

/// Something that is alive.
pub struct Token(Alive);

impl Clone for Token {
    fn clone(&self) -> Token {
        self.0.token()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn new() -> Log {
        Log::default()
    }

    pub fn push(&self, what: impl Display) {
        self.0.borrow_mut().push(what.to_string());
    }

    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Logs when it is dropped.
    pub fn on_drop(&self, what: impl Display) -> LogOnDrop {
        LogOnDrop(self.clone(), what.to_string())
    }
}

pub struct LogOnDrop(Log, String);

impl Drop for LogOnDrop {
    fn drop(&mut self) {
        self.0.push(&self.1);
    }
}

/// Does something when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// As [`std::mem::forget`], but what is forgotten can be reached to the end, so that it is no leak to a sanitizer.
pub fn forget<T>(value: T) {
    static FORGOTTEN: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
    FORGOTTEN.lock().unwrap().push(Box::into_raw(Box::new(value)).expose_provenance());
}

/// The names in an error's trace, outermost first.
pub fn names(error: &Error) -> Vec<&str> {
    error.trace().iter().map(|frame| frame.name()).collect()
}

/// The lines in an error's trace, outermost first.
pub fn lines(error: &Error) -> Vec<u32> {
    error.trace().iter().map(|frame| frame.location().line()).collect()
}

pub fn messages(errors: &[Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// What `f` panics with, as text.
pub fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it should have panicked"),
        Err(payload) => text_of(payload),
    }
}

pub fn text_of(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<&'static str>() {
        Ok(text) => text.to_string(),
        Err(payload) => *payload.downcast::<String>().expect("a panic with a message"),
    }
}

/// Steps until the loop is idle; how many steps that were.
pub fn to_idle<T>(runtime: &mut Runtime<'_, T>) -> (usize, Idle) {
    let mut steps = 0;
    loop {
        match runtime.step() {
            Step::Ran => steps += 1,
            Step::Idle(idle) => return (steps, idle),
            Step::Done(_) => panic!("the run is over after {steps} steps"),
        }
    }
}

/// Steps until the end, waiting when idle; how many steps that were, and the result.
pub fn to_end<T>(runtime: &mut Runtime<'_, T>) -> (usize, Result<T, LoopError>) {
    let mut steps = 0;
    loop {
        match runtime.step() {
            Step::Ran => steps += 1,
            Step::Idle(idle) => idle.wait(),
            Step::Done(result) => return (steps, result),
        }
    }
}

/// A step that is to be a turn of a coroutine.
#[track_caller]
pub fn ran<T>(runtime: &mut Runtime<'_, T>) {
    match runtime.step() {
        Step::Ran => {}
        Step::Idle(_) => panic!("the loop is idle"),
        Step::Done(_) => panic!("the run is over"),
    }
}

/// A waker that counts.
#[derive(Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    pub fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::<Wakes>::default();
        (wakes.clone(), wakes.into())
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Wakes>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is ready when it is told so, from anywhere; the slot holds its waker.
#[derive(Clone, Default)]
pub struct Gate(Arc<std::sync::Mutex<GateState>>);

#[derive(Default)]
struct GateState {
    open: bool,
    waker: Option<Waker>,
    polls: usize,
}

impl Gate {
    pub fn new() -> Gate {
        Gate::default()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, GateState> {
        self.0.lock().unwrap()
    }

    pub fn open(&self) {
        let waker = {
            let mut state = self.state();
            state.open = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Gives up the waker, without a wake-up.
    pub fn forsake(&self) {
        let waker = self.state().waker.take();
        drop(waker);
    }

    /// The waker of who waits, still there.
    pub fn waker(&self) -> Option<Waker> {
        self.state().waker.clone()
    }

    pub fn polls(&self) -> usize {
        self.state().polls
    }

    /// Opens it at the end of a test that failed: whoever waits behind a shield would keep it from ending.
    pub fn open_on_drop(&self) -> OpenOnDrop {
        OpenOnDrop(self.clone())
    }
}

pub struct OpenOnDrop(Gate);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Future for Gate {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        let mut state = self.state();
        state.polls += 1;
        if state.open {
            return std::task::Poll::Ready(());
        }
        let old = state.waker.replace(context.waker().clone());
        drop(state);
        drop(old);
        std::task::Poll::Pending
    }
}
