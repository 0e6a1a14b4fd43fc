//! How handles on other threads reach the coroutines that wait here.
//!
//! A [`Bell`] is what such handles share. It rings the loops in which somebody waits for what the handles may bring; and as
//! long as there are handles, these loops count as watched: it is no deadlock to wait there.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use crate::primitives::{Mutex, MutexGuard};
use crate::scheduler::{Core, WakeTarget, Wakeable};

/// Rung by handles on any thread.
#[derive(Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many handles there are.
    holders: usize,
    /// One for each loop that listens, while there are handles.
    wakers: Vec<Waker>,
}

impl Bell {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn holders(&self) -> usize {
        self.state().holders
    }

    /// One handle more.
    pub(crate) fn hold(&self) {
        self.state().holders += 1;
    }

    /// One handle less. After the last one, nobody listens in vain.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.holders -= 1;
        let wakers = if state.holders == 0 { std::mem::take(&mut state.wakers) } else { Vec::new() };
        // What a waker does may come back here, so none is dropped or woken under the lock.
        drop(state);
        drop(wakers);
    }

    /// Has all loops that listen look at what has come.
    pub(crate) fn ring(&self) {
        let wakers = self.state().wakers.clone();
        for waker in wakers {
            waker.wake();
        }
    }

    /// From now on `wakeable` is rung, if there is anybody who could.
    fn add(&self, wakeable: &Arc<Wakeable>) {
        let mut state = self.state();
        if state.holders != 0 && state.position(wakeable).is_none() {
            state.wakers.push(Wakeable::waker(wakeable));
        }
    }

    fn remove(&self, wakeable: &Arc<Wakeable>) {
        let mut state = self.state();
        let waker = state.position(wakeable).map(|position| state.wakers.swap_remove(position));
        drop(state);
        drop(waker);
    }
}

impl State {
    fn position(&self, wakeable: &Arc<Wakeable>) -> Option<usize> {
        self.wakers.iter().position(|waker| waker.data() == Arc::as_ptr(wakeable).cast())
    }
}

/// The loops in which somebody waits, one [`Listener`] each.
pub(crate) struct Listeners {
    bell: Arc<Bell>,
    listeners: RefCell<Vec<Weak<Listener>>>,
    answer: Rc<dyn Fn()>,
}

impl Listeners {
    /// When the bell rings, `answer` is called in each loop that listens.
    pub(crate) fn new(bell: Arc<Bell>, answer: impl Fn() + 'static) -> Listeners {
        Listeners { bell, listeners: RefCell::default(), answer: Rc::new(answer) }
    }

    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// The listener of the loop `core`, if anybody could ring. It listens for as long as it is kept.
    pub(crate) fn listen(&self, core: &Rc<Core>) -> Option<Rc<Listener>> {
        if self.bell.holders() == 0 {
            return None;
        }
        let mut listeners = self.listeners.borrow_mut();
        listeners.retain(|listener| listener.strong_count() != 0);
        let known = listeners.iter().filter_map(Weak::upgrade).find(|listener| Rc::ptr_eq(&listener.core, core));
        let listener = known.unwrap_or_else(|| {
            let wakeable = core.add_wakeable(WakeTarget::Call(self.answer.clone()));
            let listener = Rc::new(Listener { core: core.clone(), wakeable, bell: self.bell.clone() });
            listeners.push(Rc::downgrade(&listener));
            listener
        });
        drop(listeners);
        self.bell.add(&listener.wakeable);
        Some(listener)
    }
}

/// A loop that listens to a bell.
pub(crate) struct Listener {
    core: Rc<Core>,
    wakeable: Arc<Wakeable>,
    bell: Arc<Bell>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.bell.remove(&self.wakeable);
        self.core.remove_wakeable(&self.wakeable);
    }
}
