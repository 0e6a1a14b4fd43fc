//! The newer messages of a shared channel: a queue with a lock of its own. Senders lock only this queue, and receivers lock the state of
//! the channel. See "Channels between threads" in `devdocs/scheduler.md`.

use std::collections::VecDeque;

use super::error::TrySendError;
use super::flag::Flag;
use crate::capacity::{KEPT_CAPACITY, give_memory_back};
use crate::primitives::channel::Receiver;
use crate::primitives::{Mutex, lock};

/// The sides of a channel, as indices into arrays that have one element for each side.
pub(super) const SENDERS: usize = 0;
pub(super) const RECEIVERS: usize = 1;

/// The newer messages of a shared channel.
///
/// If a thread locks both the state of the channel and this queue, it locks the state first.
pub(super) struct Queue<T> {
    locked: Mutex<Locked<T>>,
    /// The flags of [`Locked`], for threads that block.
    pub(super) can_send: Receiver<()>,
    pub(super) has_message: Receiver<()>,
}

struct Locked<T> {
    messages: VecDeque<T>,
    capacity: Option<usize>,
    is_closed: bool,
    /// Whether coroutines may be waiting for a message. Then remote senders have to notify them.
    ///
    /// The channel's own thread sets this when it finds no message here, and clears it when it takes one. Another thread that takes a
    /// message does not clear it. Otherwise only the sender of that message would know of the coroutines, and if this sender were
    /// preempted, nothing would notify them of newer messages.
    is_awaited: bool,
    /// How many ends each side has. The ends on the channel's own thread count as one.
    ends: [usize; 2],
    /// How many threads block, for each side. While no thread of a side blocks, its flag is not set: to set and clear it costs more
    /// than to send a message.
    blocked: [usize; 2],
    /// Set while there is room, or if the channel is closed.
    can_send: Flag,
    /// Set while there is a message.
    has_message: Flag,
}

/// The thread that takes messages from the queue.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Taker {
    /// The channel's own thread. If it finds no message, coroutines may begin to wait.
    OwnThread,
    OtherThread,
}

impl<T> Queue<T> {
    /// `has_local_ends` says which sides have ends on the channel's own thread, and `is_awaited` whether coroutines wait for a message.
    pub(super) fn new(
        capacity: Option<usize>,
        messages: VecDeque<T>,
        is_closed: bool,
        has_local_ends: [bool; 2],
        is_awaited: bool,
    ) -> Queue<T> {
        let (can_send, has_message) = (Flag::default(), Flag::default());
        let watches = (can_send.watch(), has_message.watch());
        let locked = Locked {
            messages,
            capacity,
            is_closed,
            is_awaited,
            ends: has_local_ends.map(usize::from),
            blocked: [0; 2],
            can_send,
            has_message,
        };
        Queue { locked: Mutex::new(locked), can_send: watches.0, has_message: watches.1 }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Locked<T>) -> R) -> R {
        let mut locked = lock(&self.locked);
        let result = change(&mut locked);
        locked.update_flags();
        result
    }

    /// Sends a message for another thread, if there is room. Returns whether coroutines may be waiting for it.
    pub(super) fn send(&self, message: T) -> Result<bool, TrySendError<T>> {
        self.with(|locked| {
            if locked.is_closed {
                return Err(TrySendError::Closed(message));
            }
            if !locked.can_send() {
                return Err(TrySendError::Full(message));
            }
            locked.messages.push_back(message);
            Ok(locked.is_awaited)
        })
    }

    /// If the channel is open and has room, sends the message that `message` returns, and returns the other value. `message` is called
    /// under the lock, so it must not run user code. Only for the channel's own thread, which serves its waiting coroutines afterwards.
    // Not inlined, because a channel on one thread has no queue.
    #[inline(never)]
    pub(super) fn send_from<R>(&self, message: impl FnOnce() -> Option<(T, R)>) -> Option<R> {
        self.with(|locked| {
            if !locked.can_send() {
                return None;
            }
            let (message, result) = message()?;
            locked.messages.push_back(message);
            Some(result)
        })
    }

    /// Moves messages to the end of `taken`: at least one, if there is one. Must be called under the lock of the state.
    #[inline(never)]
    pub(super) fn take_some(&self, taken: &mut VecDeque<T>, taker: Taker) {
        self.with(|locked| {
            if taker == Taker::OwnThread {
                locked.is_awaited = locked.messages.is_empty();
            }
            if locked.capacity.is_some() {
                // The messages outside of the queue take no room.
                taken.extend(locked.messages.pop_front());
            } else if taken.is_empty() {
                std::mem::swap(taken, &mut locked.messages);
            } else {
                taken.append(&mut locked.messages);
            }
            if locked.messages.capacity() > KEPT_CAPACITY {
                give_memory_back(&mut locked.messages);
            }
        });
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.locked).messages.len()
    }

    /// Must be called under the lock of the state. Afterwards, no message can be added to the queue.
    pub(super) fn close(&self) {
        self.with(|locked| locked.is_closed = true);
    }

    /// Removes all messages.
    #[must_use = "the destructors of messages are user code, and run when nothing is borrowed or locked"]
    pub(super) fn clear(&self) -> VecDeque<T> {
        self.with(|locked| std::mem::take(&mut locked.messages))
    }

    /// Must be called before a thread of this side blocks. The thread counts as blocked until the result is dropped.
    #[must_use]
    pub(super) fn block(&self, side: usize) -> Blocked<'_, T> {
        self.with(|locked| locked.blocked[side] += 1);
        Blocked { queue: self, side }
    }

    pub(super) fn ends(&self, side: usize) -> usize {
        lock(&self.locked).ends[side]
    }

    pub(super) fn add_end(&self, side: usize) {
        self.with(|locked| locked.ends[side] += 1);
    }

    /// Counts an end that was dropped. Returns whether it was the last one.
    #[must_use]
    pub(super) fn remove_end(&self, side: usize) -> bool {
        self.with(|locked| {
            locked.ends[side] -= 1;
            locked.ends[side] == 0
        })
    }
}

impl<T> Locked<T> {
    fn can_send(&self) -> bool {
        !self.is_closed && self.capacity.is_none_or(|capacity| self.messages.len() < capacity)
    }

    fn update_flags(&mut self) {
        let [senders, receivers] = self.blocked;
        self.can_send.set(senders != 0 && (self.can_send() || self.is_closed));
        self.has_message.set(receivers != 0 && !self.messages.is_empty());
    }
}

/// Counts a thread as blocked.
pub(super) struct Blocked<'a, T> {
    queue: &'a Queue<T>,
    side: usize,
}

impl<T> Drop for Blocked<'_, T> {
    fn drop(&mut self) {
        self.queue.with(|locked| locked.blocked[self.side] -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(capacity: Option<usize>) -> Queue<u32> {
        Queue::new(capacity, VecDeque::new(), false, [true; 2], false)
    }

    fn send(queue: &Queue<u32>, message: u32) -> bool {
        queue.send(message).unwrap()
    }

    #[test]
    fn remote_senders_notify_until_the_channels_own_thread_has_taken_a_message() {
        let (queue, mut taken) = (queue(None), VecDeque::new());
        queue.take_some(&mut taken, Taker::OtherThread);
        assert!(!send(&queue, 1));
        queue.take_some(&mut taken, Taker::OwnThread);
        assert!(!send(&queue, 2));
        queue.take_some(&mut taken, Taker::OwnThread);
        queue.take_some(&mut taken, Taker::OwnThread);
        assert!(send(&queue, 3));
        queue.take_some(&mut taken, Taker::OtherThread);
        assert!(send(&queue, 4));
        assert_eq!(taken, [1, 2, 3]);
    }

    #[test]
    fn flags_are_set_only_while_a_thread_blocks() {
        let (queue, mut taken) = (queue(Some(1)), VecDeque::new());
        let flags = || [&queue.can_send, &queue.has_message].map(|flag| !flag.is_empty());
        assert_eq!(flags(), [false, false]);
        let blocked = [queue.block(SENDERS), queue.block(RECEIVERS)];
        assert_eq!(flags(), [true, false]);
        send(&queue, 1);
        assert_eq!(flags(), [false, true]);
        queue.take_some(&mut taken, Taker::OwnThread);
        assert_eq!(flags(), [true, false]);
        send(&queue, 2);
        queue.close();
        // A sender that blocks gets its message back.
        assert_eq!(flags(), [true, true]);
        drop(blocked);
        assert_eq!(flags(), [false, false]);
    }

    #[test]
    fn memory_of_a_burst_is_freed_while_a_few_messages_are_left() {
        let count = 100 * KEPT_CAPACITY;
        // In the first queue, one message is left there. In the second one, a receiver has an older message.
        for (capacity, mut taken) in [(Some(count), VecDeque::new()), (None, VecDeque::from([0]))] {
            let queue = queue(capacity);
            for message in 0..count {
                send(&queue, message as u32);
            }
            for _ in 1..count {
                queue.take_some(&mut taken, Taker::OwnThread);
            }
            let kept = lock(&queue.locked).messages.capacity();
            assert!(kept <= KEPT_CAPACITY, "{kept} places for {} messages", queue.len());
        }
    }
}
