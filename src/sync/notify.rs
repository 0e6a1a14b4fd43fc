//! Wakes the loops whose coroutines wait for something that other threads can change.
//!
//! All remote handles of one object, such as an event, share a [`Notifier`]. Each loop in which a coroutine waits for the object
//! registers a [`Listener`] with it. [`Notifier::notify`] wakes these loops, and each of them calls the callback of its [`Listeners`].
//!
//! While a remote handle exists, a loop that waits for the object is not deadlocked. So the notifier holds a counted waker of each
//! registered loop for as long as there are handles. Some listeners do not count: their loop is woken as well, but it can be
//! deadlocked although a remote handle exists.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;
use smallvec::SmallVec;

use crate::primitives::{Mutex, lock};
use crate::scheduler::{Scheduler, WakeSlot, WakeTarget};

/// Shared by the remote handles of one object. Wakes the loops that wait for the object.
#[derive(Default)]
pub(crate) struct Notifier {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of remote handles.
    holders: usize,
    registrations: Slab<Registration>,
}

/// The data that a notifier has of one listener.
struct Registration {
    wake_slot: Arc<WakeSlot>,
    counts: bool,
    /// Present while the listener counts and there is a remote handle.
    waker: Option<Waker>,
}

impl Registration {
    fn create_waker(&mut self) {
        self.waker = self.counts.then(|| WakeSlot::waker(&self.wake_slot));
    }
}

impl Notifier {
    /// The number of remote handles.
    pub(crate) fn holders(&self) -> usize {
        lock(&self.state).holders
    }

    /// Counts a new remote handle.
    pub(crate) fn hold(&self) {
        let mut state = lock(&self.state);
        state.holders += 1;
        if state.holders == 1 {
            state.registrations.iter_mut().for_each(|(_, registration)| registration.create_waker());
        }
    }

    /// Counts a dropped remote handle. After the last one is dropped, the registered loops may be deadlocked.
    pub(crate) fn release(&self) {
        let mut state = lock(&self.state);
        state.holders -= 1;
        if state.holders != 0 {
            return;
        }
        let wakers: Vec<_> =
            state.registrations.iter_mut().filter_map(|(_, registration)| registration.waker.take()).collect();
        // Dropping a waker may wake the host of a loop. The host is user code, which must not run under the lock.
        drop(state);
        drop(wakers);
    }

    /// Wakes all registered loops.
    pub(crate) fn notify(&self) {
        let state = lock(&self.state);
        // Usually there is at most one, and then no memory is allocated.
        let wake_slots: SmallVec<[_; 1]> =
            state.registrations.iter().map(|(_, registration)| registration.wake_slot.clone()).collect();
        // Waking a loop may wake its host. The host is user code, which must not run under the lock.
        drop(state);
        wake_slots.iter().for_each(WakeSlot::wake);
    }

    fn register(&self, wake_slot: Arc<WakeSlot>, counts: bool) -> usize {
        let mut registration = Registration { wake_slot, counts, waker: None };
        let mut state = lock(&self.state);
        if state.holders != 0 {
            registration.create_waker();
        }
        state.registrations.insert(registration)
    }

    fn unregister(&self, key: usize) {
        let registration = lock(&self.state).registrations.remove(key);
        // The registration is dropped after the lock is released, as in `release`.
        drop(registration);
    }
}

/// The listeners of one object: one for each loop in which a coroutine waits.
pub(crate) struct Listeners {
    set: Rc<ListenerSet>,
}

struct ListenerSet {
    notifier: Arc<Notifier>,
    counts: bool,
    callback: Rc<dyn Fn()>,
    /// Sorted by the address of the scheduler. A listener keeps its scheduler alive, and removes its own entry when it is dropped.
    /// So an address never stands for two loops.
    by_loop: RefCell<Vec<(*const Scheduler, Weak<Listener>)>>,
}

impl Listeners {
    /// Each loop calls `callback` after a notification. If `counts` is true, a registered loop is not deadlocked while a remote
    /// handle exists.
    pub(crate) fn new(notifier: Arc<Notifier>, counts: bool, callback: impl Fn() + 'static) -> Listeners {
        let set = ListenerSet { notifier, counts, callback: Rc::new(callback), by_loop: RefCell::default() };
        Listeners { set: Rc::new(set) }
    }

    /// Returns the listener of a loop. The loop stays registered until the last clone of the listener is dropped.
    pub(crate) fn listen(&self, scheduler: &Rc<Scheduler>) -> Rc<Listener> {
        let ListenerSet { notifier, counts, callback, by_loop } = &*self.set;
        let mut by_loop = by_loop.borrow_mut();
        match by_loop.binary_search_by_key(&Rc::as_ptr(scheduler), |&(address, _)| address) {
            Ok(position) => by_loop[position].1.upgrade().expect("a listener removes its entry when it is dropped"),
            Err(position) => {
                let wake_slot = scheduler.add_wake_slot(WakeTarget::Call(callback.clone()));
                let key = notifier.register(wake_slot.clone(), *counts);
                let listener =
                    Rc::new(Listener { set: self.set.clone(), key, scheduler: scheduler.clone(), wake_slot });
                by_loop.insert(position, (Rc::as_ptr(scheduler), Rc::downgrade(&listener)));
                listener
            }
        }
    }
}

/// Keeps one loop registered with a notifier.
pub(crate) struct Listener {
    set: Rc<ListenerSet>,
    key: usize,
    scheduler: Rc<Scheduler>,
    wake_slot: Arc<WakeSlot>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ListenerSet { notifier, by_loop, .. } = &*self.set;
        // The entry is removed first. The calls below may wake the host of the loop, which is user code: it may begin a wait with a
        // new listener.
        let mut by_loop = by_loop.borrow_mut();
        if let Ok(position) = by_loop.binary_search_by_key(&Rc::as_ptr(&self.scheduler), |&(address, _)| address) {
            by_loop.remove(position);
        }
        drop(by_loop);
        notifier.unregister(self.key);
        self.scheduler.remove_wake_slot(&self.wake_slot);
    }
}
