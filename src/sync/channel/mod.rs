//! Channels: many senders, many receivers, and each message goes to one receiver.
//!
//! The names and the errors are those of `async-channel`. A channel is closed when all ends of one side are gone, or by a call of
//! `close`. The messages in a closed channel can still be received. Coroutines of one thread are served in the order in which they
//! began to wait, and no other coroutine of that thread overtakes them. The [remote](Sender::remote) ends are for other threads.
//! To wait, a remote end blocks its thread.
//!
//! ```
//! use tinyield::channel::{Receiver, bounded};
//! use tinyield::{Coro, Loop, co, coro, spawn};
//!
//! #[coro]
//! fn sum(numbers: Receiver<u32>) -> Coro<u32> {
//!     let mut sum = 0;
//!     while let Ok(number) = yield numbers.recv() {
//!         sum += number;
//!     }
//!     sum
//! }
//!
//! let main = co! {
//!     let (sender, receiver) = bounded(2);
//!     let sum = yield spawn(sum(receiver));
//!     for number in 1..=4 {
//!         (yield sender.send(number))?;
//!     }
//!     drop(sender);
//!     yield sum
//! };
//! assert_eq!(Loop::new().run(main).unwrap(), 10);
//! ```

use std::fmt;

/// The methods that all four ends have. Each end is a newtype: the inner type does the work.
macro_rules! end_methods {
    ($end:ident<T $(: $bound:lifetime)?>) => {
        impl<T $(: $bound)?> $end<T> {
            /// Closes the channel. No message can be sent any more, but the messages in the channel can be received.
            ///
            /// Returns false if the channel was closed already.
            pub fn close(&self) -> bool {
                self.0.close()
            }

            /// Whether the channel is closed, by a call of `close` or because all ends of one side are gone.
            ///
            /// A closed channel may still have messages. Receiving fails with [`RecvError`] only when no further message will come.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.0.with(|state| state.is_closed())
            }

            /// How many messages can be received now. Messages that were already handed to waiting coroutines do not count.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.with(|state| state.len())
            }

            /// Whether no message can be received now.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many messages the channel has room for. `None` means any number.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                self.0.with(|state| state.capacity)
            }
        }

        impl<T $(: $bound)?> Clone for $end<T> {
            fn clone(&self) -> $end<T> {
                $end(self.0.clone())
            }
        }

        impl<T $(: $bound)?> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

mod error;
mod local;
mod queue;
mod recv;
mod remote;
mod send;
mod state;

pub use self::error::{RecvError, SendError, TryRecvError, TrySendError};
pub use self::local::ChannelStatistics;
pub use self::recv::Recv;
pub use self::remote::{RemoteReceiver, RemoteSender};
pub use self::send::Send;

use self::local::{Channel, End};
use self::queue::{RECEIVERS, SENDERS};

/// Makes a channel with room for `capacity` messages. If the channel is full, a coroutine that sends waits until a message was
/// received.
///
/// If a receiver gives up, its message comes back into the channel (see [`Receiver::recv`]). Then the channel may hold more
/// messages than its capacity: one more for each message that came back. If a remote end was ever made, such messages take no room.
///
/// # Panics
///
/// If `capacity` is 0: no message could be sent.
#[must_use]
#[track_caller]
pub fn bounded<T: 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel of capacity 0 has no room for a message; it takes at least 1");
    let (sender, receiver) = Channel::open(Some(capacity));
    (Sender(sender), Receiver(receiver))
}

/// Makes a channel with room for any number of messages: no sender ever waits.
///
/// ```
/// use tinyield::Loop;
/// use tinyield::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// sender.try_send("sent before there was a loop").unwrap();
/// assert!(Loop::new().run(receiver.recv()).unwrap().is_ok());
/// ```
#[must_use]
pub fn unbounded<T: 'static>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = Channel::open(None);
    (Sender(sender), Receiver(receiver))
}

/// Sends messages. It stays on its thread: [`remote`](Sender::remote) makes a sender for other threads and their loops.
///
/// Clones send to the same channel. When all senders are gone, including remote and waiting ones, the channel is closed.
pub struct Sender<T: 'static>(End<T, SENDERS>);

/// Receives messages. It stays on its thread: [`remote`](Receiver::remote) makes a receiver for other threads and their loops.
///
/// Clones receive from the same channel, and each message goes to one receiver. When all receivers are gone, including remote and
/// waiting ones, the channel is closed, and the messages in it are dropped.
pub struct Receiver<T: 'static>(End<T, RECEIVERS>);

// The ends are not `Send` even without these impls. With these impls, the errors of rustc name the ends, and not the types inside
// of the ends.
impl<T> !std::marker::Send for Sender<T> {}
impl<T> !std::marker::Send for Receiver<T> {}

end_methods!(Sender<T: 'static>);
end_methods!(Receiver<T: 'static>);

impl<T: 'static> Sender<T> {
    /// Sends `message`, and waits for room first if there is none.
    ///
    /// If there is room, the message is sent at once, and the `yield` lets the other coroutines run once. Until the message is
    /// sent, this wait counts as a sender.
    ///
    /// # Errors
    ///
    /// The `yield` returns the message in a [`SendError`] if the channel is closed, or is closed before there is room. The docs of
    /// the error show how to raise it if the message is not `Send` and `Sync`.
    ///
    /// # Cancellation
    ///
    /// If the message has not been sent when the coroutine is cancelled, it is dropped.
    pub fn send(&self, message: T) -> Send<T> {
        Send::new(self.0.clone(), message)
    }

    /// Sends `message` if there is room and no coroutine waits for room.
    ///
    /// # Errors
    ///
    /// If the channel is full or closed, the error says which, and has the message.
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(message)
    }

    /// Makes a sender for other threads. It blocks its thread where this sender yields.
    ///
    /// While a remote sender exists, a loop whose coroutines wait for a message, or for room, is not deadlocked: the remote sender could
    /// send, or close the channel.
    ///
    /// ```
    /// use tinyield::channel::bounded;
    /// use tinyield::{Loop, co};
    ///
    /// let (sender, receiver) = bounded(2);
    /// let remote = sender.remote();
    /// drop(sender);
    /// let producer = std::thread::spawn(move || {
    ///     for number in 0..10 {
    ///         remote.send(number).unwrap(); // blocks while 2 messages are in the channel
    ///     }
    /// });
    /// let main = co! {
    ///     let mut sum = 0;
    ///     while let Ok(number) = yield receiver.recv() {
    ///         sum += number;
    ///     }
    ///     sum
    /// };
    /// assert_eq!(Loop::new().run(main).unwrap(), 45);
    /// producer.join().unwrap();
    /// ```
    #[must_use]
    pub fn remote(&self) -> RemoteSender<T>
    where
        T: std::marker::Send,
    {
        RemoteSender::new(self.0.share())
    }

    /// How full the channel is, and how many ends it has.
    #[must_use]
    pub fn statistics(&self) -> ChannelStatistics {
        self.0.statistics()
    }
}

impl<T: 'static> Receiver<T> {
    /// Receives a message, and waits for one if there is none.
    ///
    /// If there is a message, the `yield` lets the other coroutines run once. To take more messages before other coroutines run,
    /// use [`try_iter`](Receiver::try_iter). Until the `yield` is over, the wait counts as a receiver.
    ///
    /// # Errors
    ///
    /// The `yield` returns a [`RecvError`] when no message will come any more: the channel is closed and empty, and no other coroutine
    /// can give a message back.
    ///
    /// # Cancellation
    ///
    /// No message is lost. The first coroutine in the queue is handed the next message, and takes it when its `yield` is over. In a
    /// gather, this may be much later, because the other parts have to be ready, too. In the meantime, the coroutine may give up, for
    /// example because of a timeout or a lost race. Then the message goes back into the channel as the oldest one, and the next
    /// receiver gets it.
    ///
    /// So while a gather holds a message of a closed channel, the message may still go back into the channel. While this is possible,
    /// the other receivers wait, and get no [`RecvError`]. If another part of the same gather waits for the end of this channel, the
    /// gather waits for itself:
    ///
    /// ```
    /// use tinyield::channel::unbounded;
    /// use tinyield::{Deadlock, Loop, co};
    ///
    /// let (sender, receiver) = unbounded();
    /// sender.try_send("the only message").unwrap();
    /// drop(sender);
    /// let rest = receiver.clone();
    /// let main = co! { yield (receiver.recv(), co! { while (yield rest.recv()).is_ok() {} }) };
    /// let error = Loop::new().run(main).unwrap_err();
    /// assert!(error.error().downcast_ref::<Deadlock>().is_some());
    /// ```
    ///
    /// To avoid this, receive the first message in a separate `yield`. Several `recv` in one gather do not wait for each other.
    pub fn recv(&self) -> Recv<T> {
        Recv::new(self.0.clone())
    }

    /// Receives a message if there is one and no coroutine waits for it.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is no message now. [`TryRecvError::Closed`] if the channel is closed and no message will come
    /// any more.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv()
    }

    /// Iterates over the messages that can be received now. Each step is a [`try_recv`](Receiver::try_recv). No other coroutine runs
    /// between two steps.
    ///
    /// ```
    /// use tinyield::channel::{Receiver, unbounded};
    /// use tinyield::{Coro, Loop, coro};
    ///
    /// #[coro]
    /// fn batches(numbers: Receiver<u32>) -> Coro<Vec<Vec<u32>>> {
    ///     let mut batches = Vec::new();
    ///     while let Ok(first) = yield numbers.recv() {
    ///         batches.push(std::iter::once(first).chain(numbers.try_iter()).collect());
    ///     }
    ///     batches
    /// }
    ///
    /// let (sender, receiver) = unbounded();
    /// for number in 1..=3 {
    ///     sender.try_send(number).unwrap();
    /// }
    /// drop(sender);
    /// assert_eq!(Loop::new().run(batches(receiver)).unwrap(), [[1, 2, 3]]);
    /// ```
    #[inline]
    pub fn try_iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// Makes a receiver for other threads. It blocks its thread where this receiver yields.
    ///
    /// While a remote receiver exists, a loop whose coroutines wait for room, or for a message, is not deadlocked: the remote receiver
    /// could receive, or close the channel.
    ///
    /// ```
    /// use tinyield::channel::bounded;
    /// use tinyield::{Loop, co};
    ///
    /// let (sender, receiver) = bounded(1);
    /// let remote = receiver.remote();
    /// drop(receiver);
    /// let consumer = std::thread::spawn(move || remote.iter().sum::<u32>());
    /// let main = co! {
    ///     for number in 1..=4 {
    ///         (yield sender.send(number))?;
    ///     }
    /// };
    /// Loop::new().run(main).unwrap();
    /// assert_eq!(consumer.join().unwrap(), 10);
    /// ```
    #[must_use]
    pub fn remote(&self) -> RemoteReceiver<T>
    where
        T: std::marker::Send,
    {
        RemoteReceiver::new(self.0.share())
    }

    /// How full the channel is, and how many ends it has.
    #[must_use]
    pub fn statistics(&self) -> ChannelStatistics {
        self.0.statistics()
    }
}
