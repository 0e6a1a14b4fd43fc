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
    /// A flag for remote senders that [block](Queue::block). It is set while there is room, or if the channel is closed.
    pub(super) can_send: Receiver<()>,
    /// A flag for remote receivers that [block](Queue::block). It is set while the queue has a message.
    pub(super) has_message: Receiver<()>,
}

struct Locked<T> {
    messages: VecDeque<T>,
    capacity: Option<usize>,
    is_closed: bool,
    /// Whether the last receiver found no message here. Then coroutines may be waiting for one, and a sender has to notify them.
    ///
    /// A coroutine that waits is never forgotten: this is set when the coroutine finds no message. It stays set until a message is sent
    /// and taken, and the sender of this message has seen it.
    is_awaited: bool,
    has_local_ends: [bool; 2],
    remote_ends: [usize; 2],
    /// How many threads block, for each side.
    blocked: [usize; 2],
    can_send: Flag,
    has_message: Flag,
}

impl<T> Queue<T> {
    /// `has_local_ends` says which sides have ends on the channel's own thread.
    pub(super) fn new(
        capacity: Option<usize>,
        messages: VecDeque<T>,
        is_closed: bool,
        has_local_ends: [bool; 2],
    ) -> Queue<T> {
        let (can_send, has_message) = (Flag::default(), Flag::default());
        let watches = (can_send.watch(), has_message.watch());
        let locked = Locked {
            messages,
            capacity,
            is_closed,
            // Coroutines may have begun to wait before the channel was shared.
            is_awaited: true,
            has_local_ends,
            remote_ends: [0; 2],
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
            let (message, result) = if locked.can_send() { message()? } else { return None };
            locked.messages.push_back(message);
            Some(result)
        })
    }

    /// Moves messages to the end of `taken`: at least one, if there is one. Must be called under the lock of the state.
    #[inline(never)]
    pub(super) fn take_some(&self, taken: &mut VecDeque<T>) {
        self.with(|locked| {
            locked.is_awaited = locked.messages.is_empty();
            if locked.capacity.is_some() {
                // The messages outside of the queue take no room.
                taken.extend(locked.messages.pop_front());
            } else if taken.is_empty() {
                std::mem::swap(taken, &mut locked.messages);
            } else {
                taken.append(&mut locked.messages);
            }
            if locked.messages.is_empty() && locked.messages.capacity() > KEPT_CAPACITY {
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

    /// Must be called before a thread blocks on the flag of its side. The thread blocks until the result is dropped.
    pub(super) fn block(&self, side: usize) -> Blocked<'_, T> {
        self.with(|locked| locked.blocked[side] += 1);
        Blocked { queue: self, side }
    }

    pub(super) fn remote_ends(&self, side: usize) -> usize {
        lock(&self.locked).remote_ends[side]
    }

    pub(super) fn add_remote_end(&self, side: usize) {
        self.with(|locked| locked.remote_ends[side] += 1);
    }

    /// Counts a remote end that was dropped. Returns whether it was the last end of its side.
    pub(super) fn remove_remote_end(&self, side: usize) -> bool {
        self.with(|locked| {
            locked.remote_ends[side] -= 1;
            locked.has_no_ends(side)
        })
    }

    /// Called when the channel's own thread has no more ends of this side. Returns whether no end of this side is left.
    pub(super) fn remove_local_ends(&self, side: usize) -> bool {
        self.with(|locked| {
            locked.has_local_ends[side] = false;
            locked.has_no_ends(side)
        })
    }
}

impl<T> Locked<T> {
    fn can_send(&self) -> bool {
        !self.is_closed && self.capacity.is_none_or(|capacity| self.messages.len() < capacity)
    }

    fn has_no_ends(&self, side: usize) -> bool {
        !self.has_local_ends[side] && self.remote_ends[side] == 0
    }

    /// If no thread blocks, the flags are not used. Then they are never set, because this costs more than sending a message.
    fn update_flags(&mut self) {
        let [senders, receivers] = self.blocked;
        self.can_send.set(senders != 0 && (self.can_send() || self.is_closed));
        self.has_message.set(receivers != 0 && !self.messages.is_empty());
    }
}

/// A thread that is about to block.
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
        Queue::new(capacity, VecDeque::new(), false, [true; 2])
    }

    fn send(queue: &Queue<u32>, message: u32) -> bool {
        queue.send(message).unwrap()
    }

    #[test]
    fn a_sender_notifies_until_a_receiver_has_taken_a_message() {
        let (queue, mut taken) = (queue(None), VecDeque::new());
        // Coroutines may have begun to wait before the channel was shared.
        assert!(send(&queue, 1));
        assert!(send(&queue, 2));
        queue.take_some(&mut taken);
        assert!(!send(&queue, 3));
        queue.take_some(&mut taken);
        queue.take_some(&mut taken);
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
        queue.take_some(&mut taken);
        assert_eq!(flags(), [true, false]);
        send(&queue, 2);
        queue.close();
        // A sender that blocks gets its message back.
        assert_eq!(flags(), [true, true]);
        drop(blocked);
        assert_eq!(flags(), [false, false]);
    }

    #[test]
    fn the_queue_of_a_receiver_with_older_messages_gives_memory_back() {
        let (queue, mut taken) = (queue(None), VecDeque::from([0]));
        for message in 0..100 * KEPT_CAPACITY as u32 {
            send(&queue, message);
        }
        queue.take_some(&mut taken);
        assert_eq!(taken.len(), 100 * KEPT_CAPACITY + 1);
        assert!(lock(&queue.locked).messages.capacity() <= KEPT_CAPACITY);
    }
}
