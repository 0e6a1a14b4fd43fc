//! The part of a channel on its own thread: the ends, and the coroutines that wait.
//!
//! Coroutines wait in two queues, one for each side, and are served in the order in which they came. When a coroutine is served,
//! its entry is removed: its message was sent, or it has a claim to a message. If the wait is over because the channel was closed,
//! the entry stays, without a waiter, until the output of the wait is taken or the wait is dropped.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use super::error::{TryRecvError, TrySendError};
use super::queue::{RECEIVERS, SENDERS, Taker};
use super::state::{Shared, State};
use crate::scheduler::{Claimant, TaskRef, WaitQueue, Waiter};
use crate::sync::notify::{Listener, Listeners};

pub(super) struct Channel<T: 'static> {
    pub(super) inner: RefCell<Inner<T>>,
    /// How many ends there are on this thread, on each side.
    ends: [Cell<usize>; 2],
}

pub(super) struct Inner<T: 'static> {
    /// Threads do not share the channel, and there are no entries. Then sending or receiving a message has no effect on a waiting
    /// coroutine or on another thread.
    pub(super) is_quiet: bool,
    /// Unused if threads share the channel.
    pub(super) state: State<T>,
    /// Present if threads share the channel: the shared state, and the loops in which coroutines wait.
    shared: Option<(Arc<Shared<T>>, Listeners)>,
    /// The entry of a waiting sender has an end of its own, until the message has been sent.
    pub(super) senders: WaitQueue<Entry<(T, End<T, SENDERS>)>>,
    pub(super) receivers: WaitQueue<Entry<()>>,
}

pub(super) struct Entry<V> {
    pub(super) value: V,
    /// `None` if the wait is over because the channel was closed.
    pub(super) waiting: Option<Waiting>,
}

pub(super) struct Waiting {
    pub(super) waiter: Waiter,
    /// Present if threads share the channel.
    listener: Option<Rc<Listener>>,
}

impl<T: 'static> Inner<T> {
    #[inline(always)]
    pub(super) fn with_state<R>(&mut self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        match &self.shared {
            None => change(&mut self.state),
            Some((shared, _)) => shared.with(change),
        }
    }

    /// The entry of a task that begins to wait.
    #[inline]
    pub(super) fn entry<V>(&self, value: V, task: &TaskRef) -> Entry<V> {
        let listen = |(_, listeners): &(_, Listeners)| Some(listeners.listen(&task.scheduler()?));
        let listener = self.shared.as_ref().and_then(listen);
        Entry { value, waiting: Some(Waiting { waiter: Waiter::new(task), listener }) }
    }

    fn update_is_quiet(&mut self) {
        self.is_quiet = self.receivers.has_no_entries() && self.senders.has_no_entries() && self.shared.is_none();
    }

    /// Hands a message to the first receiver in line, if threads do not share the channel and no older message comes first. Returns the
    /// message if it was not handed over.
    #[inline(always)]
    fn hand_over(&mut self, message: T) -> Result<Waiter, T> {
        if self.shared.is_none()
            && self.senders.len() == 0
            && self.state.is_open_and_drained()
            && let Some(Entry { waiting: Some(Waiting { waiter, .. }), .. }) = self.receivers.pop_front()
        {
            self.state.push_local(message);
            self.state.claim_local(Claimant::new(waiter.task()));
            self.update_is_quiet();
            return Ok(waiter);
        }
        Err(message)
    }

    /// Serves the next coroutine that need not wait any longer, if there is one.
    fn serve_next(&mut self) -> Option<(Waiting, Option<End<T, SENDERS>>)> {
        let Inner { state, shared, senders, receivers, .. } = self;
        if receivers.len() + senders.len() == 0 {
            return None;
        }
        let mut serve = |state: &mut State<T>| {
            if let Some(Entry { waiting: Some(Waiting { waiter, .. }), .. }) = receivers.front_mut() {
                let claimant = Claimant::new(waiter.task());
                if state.claim(claimant) {
                    return Some((receivers.pop_front()?.waiting?, None));
                }
                if state.is_over_for(claimant) {
                    return Some((receivers.advance()?.waiting.take()?, None));
                }
            }
            if state.is_closed() {
                return Some((senders.advance()?.waiting.take()?, None));
            }
            None
        };
        let served = match shared {
            None => serve(state),
            Some((shared, _)) => shared.with(serve),
        };
        if served.is_some() || senders.len() == 0 {
            return served;
        }
        let mut next = || {
            let Entry { value: (message, end), waiting } = senders.pop_front()?;
            Some((message, (waiting?, Some(end))))
        };
        match shared {
            Some((shared, _)) => shared.queue.send_from(next),
            None if state.has_local_room() => {
                let (message, served) = next()?;
                state.push_local(message);
                Some(served)
            }
            None => None,
        }
    }
}

impl<T: 'static> Channel<T> {
    pub(super) fn open(capacity: Option<usize>) -> (End<T, SENDERS>, End<T, RECEIVERS>) {
        let inner = Inner {
            is_quiet: true,
            state: State::new(capacity),
            shared: None,
            senders: WaitQueue::default(),
            receivers: WaitQueue::default(),
        };
        let channel = Rc::new(Channel { inner: RefCell::new(inner), ends: [Cell::new(1), Cell::new(1)] });
        (End { channel: channel.clone() }, End { channel })
    }

    /// Calls `change`, which changes the entries or shares the state. `change` must not run user code.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Inner<T>) -> R) -> R {
        let mut inner = self.inner.borrow_mut();
        let result = change(&mut inner);
        inner.update_is_quiet();
        result
    }

    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        self.inner.borrow_mut().with_state(change)
    }

    fn shared(&self) -> Option<Arc<Shared<T>>> {
        self.inner.borrow().shared.as_ref().map(|(shared, _)| shared.clone())
    }

    /// Serves all coroutines that need not wait any longer.
    pub(super) fn serve(&self) {
        loop {
            let mut inner = self.inner.borrow_mut();
            if inner.is_quiet {
                return;
            }
            let Some((Waiting { waiter, listener }, end)) = inner.serve_next() else { return };
            inner.update_is_quiet();
            drop(inner);
            waiter.settle();
            // Dropping the listener may wake the host of a loop, which is user code. Dropping the end closes the channel if it was
            // the last sender.
            drop((listener, end));
        }
    }

    /// Serves a coroutine that has just begun to wait, if its wait may be over already. There are two cases: other threads may have
    /// sent or received before they could notify the loop of the coroutine, or the channel is closed.
    pub(super) fn serve_new(&self, mut inner: RefMut<'_, Inner<T>>) {
        inner.is_quiet = false;
        let may_be_over = inner.shared.is_some() || inner.state.is_closed();
        drop(inner);
        if may_be_over {
            self.serve();
        }
    }

    #[inline(always)]
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut inner = self.inner.borrow_mut();
        if inner.is_quiet && inner.state.has_local_room() {
            inner.state.push_local(message);
            return Ok(());
        }
        drop(inner);
        self.try_send_slow(message)
    }

    #[inline(never)]
    fn try_send_slow(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut inner = self.inner.borrow_mut();
        let message = match inner.hand_over(message) {
            Ok(receiver) => {
                drop(inner);
                receiver.settle();
                return Ok(());
            }
            Err(message) => message,
        };
        // The message must not overtake those of the coroutines that wait for room.
        if inner.senders.len() != 0 {
            let is_closed = inner.with_state(|state| state.is_closed());
            return Err(if is_closed { TrySendError::Closed(message) } else { TrySendError::Full(message) });
        }
        match &inner.shared {
            Some((shared, _)) => {
                // The coroutines that wait for the message are served below.
                shared.queue.send(message)?;
            }
            None => inner.state.try_send_local(message)?,
        }
        drop(inner);
        self.serve();
        Ok(())
    }

    #[inline(always)]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut inner = self.inner.borrow_mut();
        if inner.is_quiet
            && let Some(message) = inner.state.pop_local()
        {
            return Ok(message);
        }
        drop(inner);
        self.try_recv_slow()
    }

    #[inline(never)]
    fn try_recv_slow(&self) -> Result<T, TryRecvError> {
        let mut inner = self.inner.borrow_mut();
        let others_wait = inner.receivers.len() != 0;
        let message = inner
            .with_state(|state| if others_wait { Err(state.no_message()) } else { state.try_recv(Taker::OwnThread) })?;
        drop(inner);
        self.serve();
        Ok(message)
    }

    /// Closes the channel. Returns whether it was open.
    pub(super) fn close(&self) -> bool {
        let was_open = match self.shared() {
            None => self.with(State::close),
            // This is called while nothing is borrowed: it may wake the hosts of other loops, which are user code.
            Some(shared) => shared.close(),
        };
        self.serve();
        was_open
    }

    #[cold]
    #[inline(never)]
    fn close_side(&self, side: usize) {
        let unread = match self.shared() {
            None => self.with(|state| state.close_side(side)),
            Some(shared) => shared.remove_end(side),
        };
        self.serve();
        drop(unread);
    }

    pub(super) fn statistics(&self) -> ChannelStatistics {
        let mut inner = self.inner.borrow_mut();
        let (messages, capacity, is_closed) =
            inner.with_state(|state| (state.len(), state.capacity, state.is_closed()));
        let ends = |side: usize| {
            let local = self.ends[side].get();
            let others = |(shared, _): &(Arc<Shared<T>>, _)| shared.queue.ends(side) - usize::from(local != 0);
            local + inner.shared.as_ref().map_or(0, others)
        };
        ChannelStatistics {
            messages,
            capacity,
            senders: ends(SENDERS),
            receivers: ends(RECEIVERS),
            waiting_senders: inner.senders.len(),
            waiting_receivers: inner.receivers.len(),
            is_closed,
        }
    }

    /// The state that remote ends share. The first call registers the loops of all waiting coroutines, so that other threads can
    /// wake these coroutines.
    pub(super) fn share(self: &Rc<Channel<T>>) -> Arc<Shared<T>> {
        self.shared().unwrap_or_else(|| self.change(|inner| self.share_first(inner)))
    }

    fn share_first(self: &Rc<Channel<T>>, inner: &mut Inner<T>) -> Arc<Shared<T>> {
        let state = std::mem::replace(&mut inner.state, State::new(None));
        let has_ends = self.ends.each_ref().map(|ends| ends.get() != 0);
        let shared = Arc::new(Shared::new(state, has_ends, inner.receivers.len() != 0));
        let channel = Rc::downgrade(self);
        let serve = move || {
            if let Some(channel) = channel.upgrade() {
                channel.serve();
            }
        };
        let listeners = Listeners::new(shared.notifier.clone(), true, serve);
        let listen = |waiting: &mut Option<Waiting>| {
            if let Some(Waiting { waiter, listener }) = waiting {
                *listener = waiter.task().scheduler().map(|scheduler| listeners.listen(&scheduler));
            }
        };
        inner.senders.for_each_mut(|entry| listen(&mut entry.waiting));
        inner.receivers.for_each_mut(|entry| listen(&mut entry.waiting));
        inner.shared = Some((shared.clone(), listeners));
        shared
    }
}

/// An end of the channel on its own thread. Dropping the last end of a side closes the channel.
pub(super) struct End<T: 'static, const SIDE: usize> {
    channel: Rc<Channel<T>>,
}

impl<T: 'static, const SIDE: usize> Deref for End<T, SIDE> {
    type Target = Rc<Channel<T>>;

    #[inline]
    fn deref(&self) -> &Rc<Channel<T>> {
        &self.channel
    }
}

impl<T: 'static, const SIDE: usize> Clone for End<T, SIDE> {
    #[inline]
    fn clone(&self) -> End<T, SIDE> {
        let ends = &self.channel.ends[SIDE];
        ends.set(ends.get() + 1);
        End { channel: self.channel.clone() }
    }
}

impl<T: 'static, const SIDE: usize> Drop for End<T, SIDE> {
    #[inline]
    fn drop(&mut self) {
        let ends = self.channel.ends[SIDE].get() - 1;
        self.channel.ends[SIDE].set(ends);
        if ends == 0 {
            self.channel.close_side(SIDE);
        }
    }
}

/// Shows the end as the `Sender` or the `Receiver` that contains it.
impl<T: 'static, const SIDE: usize> fmt::Debug for End<T, SIDE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistics = self.statistics();
        f.debug_struct(["Sender", "Receiver"][SIDE])
            .field("messages", &statistics.messages)
            .field("capacity", &statistics.capacity)
            .field("waiting_senders", &statistics.waiting_senders)
            .field("waiting_receivers", &statistics.waiting_receivers)
            .field("is_closed", &statistics.is_closed)
            .finish()
    }
}

/// A snapshot of a channel. Returned by [`Sender::statistics`](super::Sender::statistics) or
/// [`Receiver::statistics`](super::Receiver::statistics).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// How many messages can be received now.
    pub messages: usize,
    /// How many messages the channel has room for. `None` means any number.
    pub capacity: Option<usize>,
    /// How many senders there are, including remote and waiting ones.
    pub senders: usize,
    /// How many receivers there are, including remote and waiting ones.
    pub receivers: usize,
    /// How many coroutines wait for room.
    pub waiting_senders: usize,
    /// How many coroutines wait for a message.
    pub waiting_receivers: usize,
    /// Whether the channel is closed.
    pub is_closed: bool,
}
