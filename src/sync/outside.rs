//! How handles on other threads reach the coroutines that wait here.
//!
//! A [`Bell`] is what such handles share. It rings the loops in which somebody waits for what the handles may bring; and as
//! long as there are handles, these loops count as watched: it is no deadlock to wait there. Others may ring it as well, and are
//! heard, but do not count.

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
    /// One for each loop that listens; with a waker, which is what counts, while there are handles, unless it is not to count.
    listening: Vec<(Arc<Wakeable>, Option<Waker>)>,
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
        let nobody_left = state.holders == 0;
        let take = |(_, waker): &mut (Arc<Wakeable>, Option<Waker>)| if nobody_left { waker.take() } else { None };
        let wakers: Vec<Waker> = state.listening.iter_mut().filter_map(take).collect();
        // What a waker does may come back here, so none is dropped or woken under the lock.
        drop(state);
        drop(wakers);
    }

    /// Has all loops that listen look at what has come.
    pub(crate) fn ring(&self) {
        let listening: Vec<_> = self.state().listening.iter().map(|(wakeable, _)| wakeable.clone()).collect();
        listening.iter().for_each(Wakeable::wake);
    }

    /// From now on `wakeable` is rung.
    fn add(&self, wakeable: &Arc<Wakeable>, counts: bool) {
        let mut state = self.state();
        let position = state.position(wakeable).unwrap_or_else(|| {
            state.listening.push((wakeable.clone(), None));
            state.listening.len() - 1
        });
        if counts && state.holders != 0 {
            state.listening[position].1.get_or_insert_with(|| Wakeable::waker(wakeable));
        }
    }

    fn remove(&self, wakeable: &Arc<Wakeable>) {
        let mut state = self.state();
        let removed = state.position(wakeable).map(|position| state.listening.swap_remove(position));
        drop(state);
        drop(removed);
    }
}

impl State {
    fn position(&self, wakeable: &Arc<Wakeable>) -> Option<usize> {
        self.listening.iter().position(|(listening, _)| Arc::ptr_eq(listening, wakeable))
    }
}

/// The loops in which somebody waits, one [`Listener`] each.
pub(crate) struct Listeners {
    bell: Arc<Bell>,
    counts: bool,
    listeners: RefCell<Vec<Weak<Listener>>>,
    answer: Rc<dyn Fn()>,
}

impl Listeners {
    /// When the bell rings, `answer` is called in each loop that listens. `counts` says whether handles are a reason to wait for that.
    pub(crate) fn new(bell: Arc<Bell>, counts: bool, answer: impl Fn() + 'static) -> Listeners {
        Listeners { bell, counts, listeners: RefCell::default(), answer: Rc::new(answer) }
    }

    /// The listener of the loop `core`. It listens for as long as it is kept.
    pub(crate) fn listen(&self, core: &Rc<Core>) -> Rc<Listener> {
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
        self.bell.add(&listener.wakeable, self.counts);
        listener
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
