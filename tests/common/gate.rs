//! A future that the test completes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// A future that is pending until [`open`](Gate::open) is called, from any thread. Clones share the state, which keeps
/// the waker of the last poll.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_open: bool,
    waker: Option<Waker>,
    polls: usize,
}

impl Gate {
    pub fn new() -> Gate {
        Gate::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn open(&self) {
        let waker = {
            let mut state = self.state();
            state.is_open = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Drops the waker without calling it.
    pub fn drop_waker(&self) {
        let waker = self.state().waker.take();
        drop(waker);
    }

    /// A clone of the waker of the last poll. The gate keeps the waker.
    pub fn waker(&self) -> Option<Waker> {
        self.state().waker.clone()
    }

    pub fn polls(&self) -> usize {
        self.state().polls
    }

    /// Opens the gate when it is dropped: a test that fails while a shield waits for the gate would hang otherwise.
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

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        state.polls += 1;
        if state.is_open {
            return Poll::Ready(());
        }
        // The old waker is dropped when the lock is released: its destructor may call the gate.
        let old = state.waker.replace(context.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }
}
