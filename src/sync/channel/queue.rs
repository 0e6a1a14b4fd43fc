//! The part of a shared channel that threads use without the lock of its state: a crossbeam channel with the newer messages, two
//! flags on which threads can block, the send lock, and the numbers of ends. Why there is a send lock: see "Channels between threads" in
//! `devdocs/scheduler.md`.
//!
//! This file relies on three properties of crossbeam's unbounded channel. It keeps the order of messages. Its length includes a message
//! that is still being sent. Receiving a message spins only while this message is still being sent.

use std::collections::VecDeque;

use crossbeam_utils::CachePadded;

use super::error::TrySendError;
use crate::primitives::atomic::AtomicUsize;
use crate::primitives::atomic::Ordering::{AcqRel, Acquire};
use crate::primitives::channel::{self as crossbeam, Receiver, Sender};
use crate::primitives::{Mutex, lock};

/// The sides of a channel, as indices into arrays that have one element for each side.
pub(super) const SENDERS: usize = 0;
pub(super) const RECEIVERS: usize = 1;

/// The largest number of messages that the channel's own thread takes from an unbounded queue at once. With 64, the cost of reading the
/// length and of setting `is_state_ready` is small for each message.
const TAKEN_AT_ONCE: usize = 64;

/// The largest capacity for which the queue is bounded. A bounded crossbeam channel allocates memory for its whole capacity at
/// once, and a larger capacity might not fit into memory.
const MAX_BOUNDED: usize = u32::MAX as usize;

/// The newer messages of a shared channel, and what threads have to know to send and receive them.
pub(super) struct Queue<T> {
    pub(super) sender: Sender<T>,
    pub(super) receiver: Receiver<T>,
    /// Set while receivers have to lock the state. There are two cases: free messages are outside of the queue (they are older than
    /// those in it), or the channel is closed and no message can come back.
    pub(super) is_state_ready: Flag,
    pub(super) is_closed: Flag,
    /// The send lock. Its value says whether the channel is open. If the queue is unbounded, each sender holds this lock while it sends,
    /// so at most one message is being sent at a time. If a thread locks the state, too, it locks the state first.
    ///
    /// It has a cache line of its own, because receivers read the other fields for each message.
    send_lock: CachePadded<Mutex<bool>>,
    /// How many ends each side has. The ends on the channel's own thread count as one.
    ends: [AtomicUsize; 2],
}

impl<T> Queue<T> {
    /// `has_local_ends` says which sides have ends on the channel's own thread. There must be room for the messages.
    pub(super) fn new(
        capacity: Option<usize>,
        messages: VecDeque<T>,
        is_closed: bool,
        has_local_ends: [bool; 2],
    ) -> Queue<T> {
        let bound = capacity.filter(|&capacity| capacity <= MAX_BOUNDED);
        let (sender, receiver) = bound.map_or_else(crossbeam::unbounded, crossbeam::bounded);
        for message in messages {
            sender.try_send(message).unwrap_or_else(|_| unreachable!("there is room, and there is a receiver"));
        }
        let queue = Queue {
            sender,
            receiver,
            is_state_ready: Flag::new(),
            is_closed: Flag::new(),
            send_lock: CachePadded::new(Mutex::new(!is_closed)),
            ends: has_local_ends.map(|has_some| AtomicUsize::new(usize::from(has_some))),
        };
        queue.is_closed.set(is_closed);
        queue
    }

    /// Whether there is always room. This is also true for a capacity above [`MAX_BOUNDED`], which no channel ever uses up.
    pub(super) fn is_unbounded(&self) -> bool {
        self.sender.capacity().is_none()
    }

    /// Sends a message, if there is room. If the queue is bounded, the caller has to lock the state, and the channel must be open.
    // Not inlined, because a channel on one thread has no queue.
    #[inline(never)]
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let is_open = self.is_unbounded().then(|| lock(&self.send_lock));
        if is_open.as_deref() == Some(&false) {
            return Err(TrySendError::Closed(message));
        }
        self.sender.try_send(message).map_err(|unsent| TrySendError::Full(unsent.into_inner()))
    }

    /// Takes a message. If it is still being sent, this spins.
    pub(super) fn take(&self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    /// Takes a message. Waits for the send lock, and so does not spin while a message is being sent. If the sender was preempted, a thread
    /// that spins with a higher priority may keep it from running.
    pub(super) fn take_under_send_lock(&self) -> Option<T> {
        let _guard = lock(&self.send_lock);
        self.take()
    }

    /// Moves messages to `messages`: at least one, if there is one. Only for a receiver on the channel's own thread, and under the lock of
    /// the state.
    #[inline(never)]
    pub(super) fn take_some(&self, messages: &mut VecDeque<T>) {
        if !self.is_unbounded() {
            messages.extend(self.take());
            return;
        }
        match self.receiver.len() {
            0 => {}
            // Only the last message may still be in the middle of a send. The others are complete, so they are taken without the send
            // lock, for which this thread would often have to wait.
            //
            // With remote receivers, only one message is taken. Otherwise a remote receiver could receive a newer message from the
            // queue, and then an older one that was taken here.
            length if length > 1 && !self.has_remote_receivers() => {
                let count = (length - 1).min(TAKEN_AT_ONCE);
                messages.extend(std::iter::from_fn(|| self.take()).take(count));
            }
            _ => messages.extend(self.take_under_send_lock()),
        }
    }

    /// Must be called while there is a receiver on the channel's own thread.
    fn has_remote_receivers(&self) -> bool {
        self.ends(RECEIVERS) > 1
    }

    /// Must be called under the lock of the state. Afterwards, no message can be added to the queue.
    pub(super) fn close(&self) {
        *lock(&self.send_lock) = false;
        self.is_closed.set(true);
    }

    pub(super) fn ends(&self, side: usize) -> usize {
        self.ends[side].load(Acquire)
    }

    pub(super) fn add_end(&self, side: usize) {
        self.ends[side].fetch_add(1, AcqRel);
    }

    /// Counts an end that was dropped. Returns whether it was the last one.
    pub(super) fn remove_end(&self, side: usize) -> bool {
        self.ends[side].fetch_sub(1, AcqRel) == 1
    }
}

/// A flag that threads can select on: while it is set, `receiver` has something to receive.
pub(super) struct Flag {
    sender: Sender<()>,
    pub(super) receiver: Receiver<()>,
}

impl Flag {
    fn new() -> Flag {
        let (sender, receiver) = crossbeam::bounded(1);
        Flag { sender, receiver }
    }

    pub(super) fn is_set(&self) -> bool {
        !self.receiver.is_empty()
    }

    /// Must be called under the lock of the state.
    pub(super) fn set(&self, is_set: bool) {
        // This fails if the flag has this value already.
        let _ = if is_set { self.sender.try_send(()).is_ok() } else { self.receiver.try_recv().is_ok() };
    }
}
