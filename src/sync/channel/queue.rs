//! The newer messages of a shared channel, and the number of its ends, under one lock. A sender locks only this queue. A receiver locks the
//! state of the channel, and also this queue if the state has no free message. See "Channels between threads" in `devdocs/scheduler.md`.

use std::collections::VecDeque;

use crossbeam_channel::Receiver;

use super::error::TrySendError;
use crate::capacity::{KEPT_CAPACITY, give_memory_back};
use crate::primitives::{Flag, Mutex, lock};

/// The sides of a channel, as indices into arrays that have one element for each side.
pub(super) const SENDERS: usize = 0;
pub(super) const RECEIVERS: usize = 1;

/// The newer messages of a shared channel.
///
/// If a thread locks both the state of the channel and this queue, it locks the state first.
pub(super) struct Queue<T> {
    locked: Mutex<Locked<T>>,
    /// The flags of [`Locked`], for threads that block.
    pub(super) is_send_ready: Receiver<()>,
    pub(super) is_recv_ready: Receiver<()>,
}

struct Locked<T> {
    messages: VecDeque<T>,
    capacity: Option<usize>,
    is_closed: bool,
    /// Whether coroutines may be waiting for a message. Then remote senders have to notify them.
    ///
    /// The channel's own thread sets this when it finds no message here, and clears it when it takes messages. Another thread that takes
    /// a message does not clear it. Otherwise only the sender of that message would have seen this flag. If this sender were preempted
    /// before it notifies the coroutines, the senders of newer messages would not notify them either.
    is_awaited: bool,
    /// How many ends each side has. The ends on the channel's own thread count as one.
    ends: [usize; 2],
    /// How many threads block, for each side. A flag is set only while a thread of its side blocks, because setting and clearing it takes
    /// longer than sending a message.
    blocked: [usize; 2],
    /// Set while there is room, or if the channel is closed.
    is_send_ready: Flag,
    /// Set while there is a message.
    is_recv_ready: Flag,
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
        let locked = Locked {
            messages,
            capacity,
            is_closed,
            is_awaited,
            ends: has_local_ends.map(usize::from),
            blocked: [0; 2],
            is_send_ready: Flag::default(),
            is_recv_ready: Flag::default(),
        };
        Queue {
            is_send_ready: locked.is_send_ready.watch(),
            is_recv_ready: locked.is_recv_ready.watch(),
            locked: Mutex::new(locked),
        }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Locked<T>) -> R) -> R {
        let mut locked = lock(&self.locked);
        let result = change(&mut locked);
        locked.update_flags();
        result
    }

    /// Sends a message, if there is room. Returns whether coroutines may be waiting for it, so that a remote sender has to notify them.
    // Not inlined, so that the code for channels on one thread stays small.
    #[inline(never)]
    pub(super) fn send(&self, message: T) -> Result<bool, TrySendError<T>> {
        self.with(|locked| {
            if locked.is_closed {
                return Err(TrySendError::Closed(message));
            }
            if !locked.has_room() {
                return Err(TrySendError::Full(message));
            }
            locked.messages.push_back(message);
            Ok(locked.is_awaited)
        })
    }

    /// If the channel is open and has room, sends the message that `message` returns, and returns the other value. `message` is called
    /// under the lock, so it must not run user code.
    #[inline(never)]
    pub(super) fn send_from<R>(&self, message: impl FnOnce() -> Option<(T, R)>) -> Option<R> {
        self.with(|locked| {
            if locked.is_closed || !locked.has_room() {
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
                // Only the messages in the queue count towards the capacity. If all were moved, the channel could hold more.
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

    #[must_use = "the destructors of messages are user code, and run when nothing is borrowed or locked"]
    pub(super) fn take_all(&self) -> VecDeque<T> {
        self.with(|locked| std::mem::take(&mut locked.messages))
    }

    /// Must be called before a thread of this side blocks.
    pub(super) fn count_blocked(&self, side: usize) -> BlockedThread<'_, T> {
        self.with(|locked| locked.blocked[side] += 1);
        BlockedThread { queue: self, side }
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
    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.messages.len() < capacity)
    }

    fn update_flags(&mut self) {
        let [senders, receivers] = self.blocked;
        self.is_send_ready.set(senders != 0 && (self.has_room() || self.is_closed));
        self.is_recv_ready.set(receivers != 0 && !self.messages.is_empty());
    }
}

/// A thread that counts as blocked until this is dropped.
#[must_use = "the thread counts as blocked until this is dropped"]
pub(super) struct BlockedThread<'a, T> {
    queue: &'a Queue<T>,
    side: usize,
}

impl<T> Drop for BlockedThread<'_, T> {
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
        let flags = || [&queue.is_send_ready, &queue.is_recv_ready].map(|flag| !flag.is_empty());
        assert_eq!(flags(), [false, false]);
        let blocked = [queue.count_blocked(SENDERS), queue.count_blocked(RECEIVERS)];
        assert_eq!(flags(), [true, false]);
        send(&queue, 1);
        assert_eq!(flags(), [false, true]);
        queue.take_some(&mut taken, Taker::OwnThread);
        assert_eq!(flags(), [true, false]);
        send(&queue, 2);
        queue.close();
        // A close also sets the flag of the senders, because they have to return their messages.
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
