//! The ends of a channel for other threads. Where the ends on the channel's own thread yield, these ends block their thread.

use std::fmt;
use std::sync::Arc;

use crossbeam_channel::Select;

use super::error::{RecvError, SendError, TryRecvError, TrySendError};
use super::queue::{Queue, RECEIVERS, SENDERS};
use super::state::{Shared, State};
use crate::thread::BlockingCall;

/// Sends messages from other threads. Made by [`Sender::remote`](super::Sender::remote).
///
/// Clones send to the same channel. When all senders of a channel are gone, the channel is closed.
pub struct RemoteSender<T>(RemoteEnd<T, SENDERS>);

/// Receives messages on other threads. Made by [`Receiver::remote`](super::Receiver::remote).
///
/// Clones receive from the same channel, and each message goes to one receiver. When all receivers of a channel are gone, the channel
/// is closed, and the messages in it are dropped.
pub struct RemoteReceiver<T>(RemoteEnd<T, RECEIVERS>);

end_methods!(RemoteSender<T>);
end_methods!(RemoteReceiver<T>);

impl<T> RemoteSender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> RemoteSender<T> {
        RemoteSender(RemoteEnd::new(shared))
    }

    /// Sends `message`. Blocks the thread until there is room.
    ///
    /// Do not call it on the thread of the loop: it would block the coroutines that make room. Use
    /// [`Sender::send`](super::Sender::send) there.
    ///
    /// # Errors
    ///
    /// Returns the message if the channel is closed, or is closed before there is room.
    ///
    /// # Cancellation
    ///
    /// In a closure of [`run_in_thread`](crate::run_in_thread) that is cancelled, this does not block: if there is no room, it returns
    /// the message as an error. If the closure is cancelled while this blocks, this returns the error at once.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let queue = &self.0.queue;
        let mut message = message;
        let mut call = BlockingCall::default();
        loop {
            message = match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(message)) => return Err(SendError(message)),
                Err(TrySendError::Full(message)) => message,
            };
            let _blocked = queue.count_blocked(SENDERS);
            let mut select = Select::new();
            select.recv(&queue.is_send_ready);
            if !call.block(select) {
                return Err(SendError(message));
            }
        }
    }

    /// Sends `message` if there is room.
    ///
    /// # Errors
    ///
    /// Returns the message if there is no room, or if the channel is closed.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        if self.0.queue.send(message)? {
            self.0.shared.notifier.notify();
        }
        Ok(())
    }
}

impl<T> RemoteReceiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> RemoteReceiver<T> {
        RemoteReceiver(RemoteEnd::new(shared))
    }

    /// Receives a message. Blocks the thread until there is one.
    ///
    /// Do not call it on the thread of the loop: it would block the coroutines that send. Use
    /// [`Receiver::recv`](super::Receiver::recv) there.
    ///
    /// # Errors
    ///
    /// Returns [`RecvError`] when the channel is closed and no message is left, as [`Receiver::recv`](super::Receiver::recv) does.
    ///
    /// # Cancellation
    ///
    /// In a closure of [`run_in_thread`](crate::run_in_thread) that is cancelled, this does not block: if there is no message, it
    /// returns [`RecvError`]. If the closure is cancelled while this blocks, this returns the error at once.
    pub fn recv(&self) -> Result<T, RecvError> {
        let shared = &self.0.shared;
        let mut call = BlockingCall::default();
        loop {
            match self.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Closed) => return Err(RecvError),
                Err(TryRecvError::Empty) => {}
            }
            let _blocked = shared.queue.count_blocked(RECEIVERS);
            let mut select = Select::new();
            select.recv(&shared.is_state_ready);
            select.recv(&shared.queue.is_recv_ready);
            if !call.block(select) {
                return Err(RecvError);
            }
        }
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is no message now. [`TryRecvError::Closed`] if no message will come any more, as in
    /// [`Receiver::try_recv`](super::Receiver::try_recv).
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.shared.try_recv()
    }

    /// Iterates over the messages until the channel is closed and no message is left. Blocks the thread while there is no message.
    /// The iteration also ends if [`recv`](RemoteReceiver::recv) returns an error because of a cancellation. To find out why it ended,
    /// call [`checkpoint`](crate::thread::checkpoint) afterwards.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.recv().ok())
    }
}

struct RemoteEnd<T, const SIDE: usize> {
    shared: Arc<Shared<T>>,
    /// The queue of `shared`. If each message read this pointer there, next to the lock of the state, it would take twice as long on two
    /// cores.
    queue: Arc<Queue<T>>,
}

impl<T, const SIDE: usize> RemoteEnd<T, SIDE> {
    fn new(shared: Arc<Shared<T>>) -> RemoteEnd<T, SIDE> {
        shared.queue.add_end(SIDE);
        shared.notifier.hold();
        RemoteEnd { queue: shared.queue.clone(), shared }
    }

    fn close(&self) -> bool {
        self.shared.close()
    }

    fn with<R>(&self, look: impl FnOnce(&mut State<T>) -> R) -> R {
        self.shared.with(look)
    }
}

impl<T, const SIDE: usize> Clone for RemoteEnd<T, SIDE> {
    fn clone(&self) -> RemoteEnd<T, SIDE> {
        RemoteEnd::new(self.shared.clone())
    }
}

impl<T, const SIDE: usize> Drop for RemoteEnd<T, SIDE> {
    fn drop(&mut self) {
        // The order matters. The waiting coroutines have to be notified that the channel is closed, before their loops count as
        // deadlocked.
        let unread = self.shared.remove_end(SIDE);
        self.shared.notifier.release();
        drop(unread);
    }
}

/// Shows the end as the `RemoteSender` or the `RemoteReceiver` that contains it.
impl<T, const SIDE: usize> fmt::Debug for RemoteEnd<T, SIDE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (messages, capacity, is_closed) = self.with(|state| (state.len(), state.capacity, state.is_closed()));
        f.debug_struct(["RemoteSender", "RemoteReceiver"][SIDE])
            .field("messages", &messages)
            .field("capacity", &capacity)
            .field("is_closed", &is_closed)
            .finish()
    }
}
