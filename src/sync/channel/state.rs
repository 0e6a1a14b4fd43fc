//! The messages of a channel, and the rules for them.
//!
//! While all ends are on one thread, they share only a [`State`]. The first remote end puts the state behind a mutex ([`Shared`])
//! and adds a [`Queue`] with a lock of its own. Then senders put messages into the queue, and receivers move them from there to the state.
//!
//! A message is *free* or *claimed*. A claimed message has been handed to a coroutine that has not resumed yet. Either the
//! coroutine takes the message, or it gives up, and then the message is free again. So a channel is *over* only when it is closed
//! and empty, and has no claims. Only then do receivers get the error for a closed channel.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::error::{TryRecvError, TrySendError};
use super::queue::{Queue, SENDERS, Taker};
use crate::capacity::{KEPT_CAPACITY, give_memory_back};
use crate::primitives::{Flag, Mutex, lock};
use crate::scheduler::{Claimant, Claims};
use crate::sync::notify::Notifier;

/// The state of a channel.
pub(super) struct State<T> {
    pub(super) capacity: Option<usize>,
    /// How many messages may be in the channel at the same time. 0 once the channel is closed.
    limit: usize,
    /// The oldest messages. The first ones are claimed, one for each claim. The others are free.
    messages: VecDeque<T>,
    claims: Claims,
    /// Present if threads share the channel. Holds the newer messages.
    queue: Option<Arc<Queue<T>>>,
}

impl<T> State<T> {
    pub(super) fn new(capacity: Option<usize>) -> State<T> {
        State {
            capacity,
            limit: capacity.unwrap_or(usize::MAX),
            messages: VecDeque::new(),
            claims: Claims::default(),
            queue: None,
        }
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.limit == 0
    }

    /// The number of free messages outside of the queue.
    #[inline]
    fn free(&self) -> usize {
        self.messages.len() - self.claims.count()
    }

    fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    /// The number of free messages.
    pub(super) fn len(&self) -> usize {
        self.free() + self.queued()
    }

    /// Why a receiver gets no message.
    pub(super) fn no_message(&self) -> TryRecvError {
        let is_over = self.is_closed() && self.messages.is_empty() && self.queued() == 0;
        if is_over { TryRecvError::Closed } else { TryRecvError::Empty }
    }

    /// Whether no message will come for a receiver of this task. The claims of the task itself do not count: the task gives them up
    /// only together with this receiver. If these claims counted, a task that waits for two messages would wait for itself.
    pub(super) fn is_over_for(&self, task: Claimant) -> bool {
        self.is_closed() && self.len() == 0 && self.claims.are_all_by(task)
    }

    /// Whether a message can be sent now, if threads do not share the channel.
    #[inline(always)]
    pub(super) fn has_local_room(&self) -> bool {
        self.free() < self.limit
    }

    /// Sends a message. The caller has checked that there is [local room](State::has_local_room).
    #[inline(always)]
    pub(super) fn push_local(&mut self, message: T) {
        self.messages.push_back(message);
    }

    /// Whether the channel is open and no message is free, if threads do not share the channel.
    #[inline(always)]
    pub(super) fn is_open_and_drained(&self) -> bool {
        !self.is_closed() && self.free() == 0
    }

    /// Sends a message, if threads do not share the channel.
    pub(super) fn try_send_local(&mut self, message: T) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(message));
        }
        if !self.has_local_room() {
            return Err(TrySendError::Full(message));
        }
        self.push_local(message);
        Ok(())
    }

    /// Makes sure that there is a free message outside of the queue. Returns false if there is no free message at all.
    #[inline]
    fn fetch(&mut self, taker: Taker) -> bool {
        if self.free() == 0 {
            if self.messages.capacity() > KEPT_CAPACITY {
                give_memory_back(&mut self.messages);
            }
            if let Some(queue) = &self.queue {
                queue.take_some(&mut self.messages, taker);
            }
        }
        self.free() != 0
    }

    /// Claims a message, if there is a free one.
    #[inline]
    pub(super) fn claim(&mut self, claimant: Claimant) -> bool {
        let is_free = self.fetch(Taker::OwnThread);
        if is_free {
            self.claims.add(claimant);
        }
        is_free
    }

    /// Like [`claim`](State::claim), if threads do not share the channel.
    #[inline(always)]
    pub(super) fn claim_local(&mut self, claimant: Claimant) -> bool {
        let is_free = self.free() != 0;
        if is_free {
            self.claims.add(claimant);
        }
        is_free
    }

    /// Takes the oldest message for a claim.
    #[inline(always)]
    pub(super) fn take_claimed(&mut self, claimant: Claimant) -> Option<T> {
        self.claims.remove(claimant);
        self.messages.pop_front()
    }

    /// Gives up a claim. A message is free again, and it is older than all other free messages.
    pub(super) fn give_back(&mut self, claimant: Claimant) {
        self.claims.remove(claimant);
    }

    /// Takes the oldest message, if any message is free. The oldest message may be a claimed one: each claim then moves to the next
    /// message. So all messages are received in the order in which they were sent.
    pub(super) fn try_recv(&mut self, taker: Taker) -> Result<T, TryRecvError> {
        let message = if self.fetch(taker) { self.messages.pop_front() } else { None };
        message.ok_or_else(|| self.no_message())
    }

    /// Like [`try_recv`](State::try_recv), if threads do not share the channel.
    #[inline(always)]
    pub(super) fn pop_local(&mut self) -> Option<T> {
        if self.free() != 0 { self.messages.pop_front() } else { None }
    }

    /// Closes the channel. Returns whether it was open.
    pub(super) fn close(&mut self) -> bool {
        let was_open = std::mem::replace(&mut self.limit, 0) != 0;
        if let Some(queue) = &self.queue {
            queue.close();
        }
        was_open
    }

    /// Closes the channel because its last end on `side` is gone. Returns the messages that no receiver will get.
    #[must_use = "the destructors of messages are user code, and run when nothing is borrowed or locked"]
    pub(super) fn close_side(&mut self, side: usize) -> VecDeque<T> {
        self.close();
        if side == SENDERS {
            return VecDeque::new();
        }
        let mut unread = std::mem::take(&mut self.messages);
        if let Some(queue) = &self.queue {
            unread.append(&mut queue.take_all());
        }
        unread
    }
}

/// A state that threads share.
pub(super) struct Shared<T> {
    state: Mutex<(State<T>, Flag)>,
    /// The flag of the state, for remote receivers that block. It is set while the state has a free message, or if the channel is closed
    /// and no message can come back.
    pub(super) is_state_ready: Receiver<()>,
    pub(super) queue: Arc<Queue<T>>,
    /// All remote ends are holders of it.
    pub(super) notifier: Arc<Notifier>,
}

impl<T> Shared<T> {
    /// `has_local_ends` says which sides have ends on the channel's own thread, and `is_awaited` whether coroutines wait for a message.
    pub(super) fn new(mut state: State<T>, has_local_ends: [bool; 2], is_awaited: bool) -> Shared<T> {
        // The newest messages go into the queue. If messages came back, there may be more messages than its capacity. Then the
        // oldest messages stay in the state.
        let count = state.capacity.unwrap_or(usize::MAX).min(state.free());
        let queued = state.messages.split_off(state.messages.len() - count);
        let queue = Arc::new(Queue::new(state.capacity, queued, state.is_closed(), has_local_ends, is_awaited));
        state.queue = Some(queue.clone());
        let flag = Flag::default();
        let notifier = Arc::default();
        let shared = Shared { is_state_ready: flag.watch(), state: Mutex::new((state, flag)), queue, notifier };
        // Sets the flag if messages stayed in the state, or if the channel is over.
        shared.with(|_| {});
        shared
    }

    /// Locks the state, and calls `change` with it. Before it unlocks the state, it updates the flag.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut locked = lock(&self.state);
        let (state, flag) = &mut *locked;
        let result = change(state);
        flag.set(state.free() != 0 || (state.is_closed() && state.claims.count() == 0));
        result
    }

    /// Takes the oldest message for another thread, if any message is free.
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let (message, must_notify) = self.with(|state| {
            let message = state.try_recv(Taker::OtherThread)?;
            // Coroutines may be waiting for room. If this was the last message of a closed channel, the channel may be over for coroutines
            // that wait for a message.
            Ok((message, state.capacity.is_some() || state.is_closed()))
        })?;
        if must_notify {
            self.notifier.notify();
        }
        Ok(message)
    }

    /// Closes the channel. Returns whether it was open.
    pub(super) fn close(&self) -> bool {
        let was_open = self.with(State::close);
        self.notifier.notify();
        was_open
    }

    /// Counts an end that was dropped. Returns the messages that no receiver will get.
    #[must_use = "the destructors of messages are user code, and run after all waiters were notified"]
    pub(super) fn remove_end(&self, side: usize) -> VecDeque<T> {
        if !self.queue.remove_end(side) {
            return VecDeque::new();
        }
        let unread = self.with(|state| state.close_side(side));
        self.notifier.notify();
        unread
    }
}
