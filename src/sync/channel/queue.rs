//! The part of a shared channel on which threads can block: a crossbeam channel with the newer messages, and two flags.
//!
//! This file relies on three properties of crossbeam's unbounded channel. Messages are received in the order in which they were sent.
//! A message that is being sent counts in the length. A thread that receives such a message spins until it is sent.

use std::collections::VecDeque;

use super::error::TrySendError;
use crate::primitives::atomic::AtomicUsize;
use crate::primitives::atomic::Ordering::{AcqRel, Acquire};
use crate::primitives::channel::{self as crossbeam, Receiver, Sender};
use crate::primitives::{Mutex, lock};

/// The sides of a channel, as indices into arrays that have one element for each side.
pub(super) const SENDERS: usize = 0;
pub(super) const RECEIVERS: usize = 1;

/// How many messages the channel's own thread takes out of an unbounded queue at a time.
const TAKEN_AT_ONCE: usize = 64;

/// The largest capacity for which the queue is bounded. A bounded crossbeam channel allocates memory for its whole capacity at
/// once, and a larger capacity might not fit into memory.
const MAX_BOUNDED: usize = u32::MAX as usize;

/// The newer messages of a shared channel.
pub(super) struct Queue<T> {
    pub(super) sender: Sender<T>,
    pub(super) receiver: Receiver<T>,
    /// Set while receivers have to lock the state. There are two cases: free messages are outside of the queue (they are older than
    /// those in it), or the channel is closed and no message can come back.
    pub(super) is_state_ready: Flag,
    pub(super) is_closed: Flag,
    /// Whether the channel is open. If the queue is unbounded, remote senders hold this lock while they send, and not the lock of the
    /// state, which a coroutine locks twice per message that it receives. If both are locked, the state is locked first.
    is_open: Mutex<bool>,
    /// How many ends each side has. The ends on the channel's own thread count as one.
    ends: [AtomicUsize; 2],
}

impl<T> Queue<T> {
    /// `has_local_ends` says which sides have ends on the channel's own thread.
    pub(super) fn new(capacity: Option<usize>, is_closed: bool, has_local_ends: [bool; 2]) -> Queue<T> {
        let bound = capacity.filter(|&capacity| capacity <= MAX_BOUNDED);
        let (sender, receiver) = bound.map_or_else(crossbeam::unbounded, crossbeam::bounded);
        let queue = Queue {
            sender,
            receiver,
            is_state_ready: Flag::new(),
            is_closed: Flag::new(),
            is_open: Mutex::new(!is_closed),
            ends: has_local_ends.map(|has_some| AtomicUsize::new(usize::from(has_some))),
        };
        queue.is_closed.set(is_closed);
        queue
    }

    /// Whether there is always room.
    pub(super) fn is_unbounded(&self) -> bool {
        self.sender.capacity().is_none()
    }

    /// Sends a message for another thread. The queue must be [unbounded](Queue::is_unbounded). Does not lock the state.
    ///
    /// # Errors
    ///
    /// Returns the message if the channel is closed.
    pub(super) fn send_unbounded(&self, message: T) -> Result<(), TrySendError<T>> {
        let is_open = lock(&self.is_open);
        if !*is_open {
            return Err(TrySendError::Closed(message));
        }
        self.sender.try_send(message).unwrap_or_else(|_| unreachable!("the queue has room and a receiver"));
        Ok(())
    }

    /// Takes a message. If it is still being sent, crossbeam spins until the sender continues.
    pub(super) fn take(&self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    /// Takes a message, and does not spin, as [`take`](Queue::take) may do. If a sender was preempted and has a lower priority than this
    /// thread, spinning could take forever.
    pub(super) fn take_without_spinning(&self) -> Option<T> {
        let _is_open = lock(&self.is_open);
        self.take()
    }

    /// Moves at least one message to `messages`, if there is one, for a receiver on the channel's own thread. Must be called under the
    /// lock of the state.
    pub(super) fn take_some(&self, messages: &mut VecDeque<T>) {
        if !self.is_unbounded() {
            messages.extend(self.take());
            return;
        }
        // At most one remote sender is in the middle of a send, and its message is the last one. So all others can be taken without
        // the lock, for which this thread would often have to wait. If there are remote receivers, messages are not taken in advance.
        // Otherwise a remote receiver could get a newer message from the queue, and then an older one that was taken in advance.
        match self.receiver.len() {
            0 => {}
            count if count > 1 && !self.has_remote_receivers() => {
                let count = (count - 1).min(TAKEN_AT_ONCE);
                messages.extend(std::iter::from_fn(|| self.take()).take(count));
            }
            _ => messages.extend(self.take_without_spinning()),
        }
    }

    /// Must be called while there is a receiver on the channel's own thread.
    fn has_remote_receivers(&self) -> bool {
        self.ends(RECEIVERS) > 1
    }

    /// Must be called under the lock of the state. Afterwards, no message arrives in the queue: senders that do not lock `is_open`
    /// find the state closed.
    pub(super) fn close(&self) {
        *lock(&self.is_open) = false;
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
