//! How handles on other threads reach the coroutines that wait here.
//!
//! A [`Notifier`] is what such handles share. It rings the loops in which somebody waits for what the handles may bring; and as
//! long as there are handles, these loops count as watched: it is no deadlock to wait there. Others may ring it as well, and are
//! heard, but do not count.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use crate::primitives::{Mutex, MutexGuard};
use crate::scheduler::{Scheduler, WakeSlot, WakeTarget};

/// Rung by handles on any thread.
#[derive(Default)]
pub(crate) struct Notifier {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many handles there are.
    holders: usize,
    /// One for each loop that listens.
    listening: Vec<Registration>,
}

struct Registration {
    wake_slot: Arc<WakeSlot>,
    counts: bool,
    /// Present while it counts and there are handles.
    waker: Option<Waker>,
}

impl Registration {
    fn add_waker(&mut self) {
        if self.counts && self.waker.is_none() {
            self.waker = Some(WakeSlot::waker(&self.wake_slot));
        }
    }
}

impl Notifier {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn holders(&self) -> usize {
        self.state().holders
    }

    /// One handle more.
    pub(crate) fn hold(&self) {
        let mut state = self.state();
        state.holders += 1;
        if state.holders == 1 {
            state.listening.iter_mut().for_each(Registration::add_waker);
        }
    }

    /// One handle less. After the last one, nobody listens in vain.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.holders -= 1;
        let nobody_left = state.holders == 0;
        let take = |registration: &mut Registration| if nobody_left { registration.waker.take() } else { None };
        let wakers: Vec<Waker> = state.listening.iter_mut().filter_map(take).collect();
        // What a waker does may come back here, so none is dropped or woken under the lock.
        drop(state);
        drop(wakers);
    }

    /// Has all loops that listen look at what has come.
    pub(crate) fn notify(&self) {
        let listening: Vec<_> =
            self.state().listening.iter().map(|registration| registration.wake_slot.clone()).collect();
        listening.iter().for_each(WakeSlot::wake);
    }

    /// From now on `wake_slot` is rung.
    fn add(&self, wake_slot: &Arc<WakeSlot>, counts: bool) {
        let mut state = self.state();
        let position = state.position(wake_slot).unwrap_or_else(|| {
            state.listening.push(Registration { wake_slot: wake_slot.clone(), counts, waker: None });
            state.listening.len() - 1
        });
        if state.holders != 0 {
            state.listening[position].add_waker();
        }
    }

    fn remove(&self, wake_slot: &Arc<WakeSlot>) {
        let mut state = self.state();
        let removed = state.position(wake_slot).map(|position| state.listening.swap_remove(position));
        drop(state);
        drop(removed);
    }
}

impl State {
    fn position(&self, wake_slot: &Arc<WakeSlot>) -> Option<usize> {
        self.listening.iter().position(|registration| Arc::ptr_eq(&registration.wake_slot, wake_slot))
    }
}

/// The loops in which somebody waits, one [`Listener`] each.
pub(crate) struct Listeners {
    notifier: Arc<Notifier>,
    counts: bool,
    listeners: RefCell<Vec<Weak<Listener>>>,
    answer: Rc<dyn Fn()>,
}

impl Listeners {
    /// When the notifier rings, `answer` is called in each loop that listens. `counts` says whether handles are a reason to wait for that.
    pub(crate) fn new(notifier: Arc<Notifier>, counts: bool, answer: impl Fn() + 'static) -> Listeners {
        Listeners { notifier, counts, listeners: RefCell::default(), answer: Rc::new(answer) }
    }

    /// The listener of the loop `scheduler`. It listens for as long as it is kept.
    pub(crate) fn listen(&self, scheduler: &Rc<Scheduler>) -> Rc<Listener> {
        let mut listeners = self.listeners.borrow_mut();
        listeners.retain(|listener| listener.strong_count() != 0);
        let known =
            listeners.iter().filter_map(Weak::upgrade).find(|listener| Rc::ptr_eq(&listener.scheduler, scheduler));
        let listener = known.unwrap_or_else(|| {
            let wake_slot = scheduler.add_wake_slot(WakeTarget::Call(self.answer.clone()));
            let listener =
                Rc::new(Listener { scheduler: scheduler.clone(), wake_slot, notifier: self.notifier.clone() });
            listeners.push(Rc::downgrade(&listener));
            listener
        });
        drop(listeners);
        self.notifier.add(&listener.wake_slot, self.counts);
        listener
    }
}

/// A loop that listens to a notifier.
pub(crate) struct Listener {
    scheduler: Rc<Scheduler>,
    wake_slot: Arc<WakeSlot>,
    notifier: Arc<Notifier>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.notifier.remove(&self.wake_slot);
        self.scheduler.remove_wake_slot(&self.wake_slot);
    }
}
