//! Channels: many senders, many receivers, each message to one of them.
//!
//! Names and errors are those of `async-channel`. A channel is closed when one side is gone, or by hand; what is in it can
//! still be received. Who waits is served in the order in which they came, and nobody on its thread comes in between. The
//! [remote](Sender::remote) ends are for other threads: they block where the others yield.
//!
//! ```
//! # #![feature(coroutines)]
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

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

mod error;
mod remote;

pub use self::error::{RecvError, SendError, TryRecvError, TrySendError};
pub use self::remote::{RemoteReceiver, RemoteSender};

use self::remote::{Outside, Side};
use crate::error::Result;
use crate::scheduler::{BlockedOn, Key, TaskRef, WaitQueue, Waiter};
use crate::sync::notify::Listener;
use crate::wait::private::Sealed;
use crate::wait::{Wait, WaitState, polled_after_completion};

/// A channel with room for so many messages: who sends one more waits until one has been received.
///
/// A message that a coroutine was to receive and gave up is in it again, as the oldest. If there are remote ends, it takes no room.
///
/// # Panics
///
/// If there is no room at all: no message could be sent.
#[must_use]
#[track_caller]
pub fn bounded<T: 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel of capacity 0 has no room for a message; it takes at least 1");
    Channel::open(Some(capacity))
}

/// A channel with room for any number of messages: no sender ever waits.
///
/// ```
/// # #![feature(coroutines)]
/// use tinyield::Loop;
/// use tinyield::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// sender.try_send("sent before there was a loop").unwrap();
/// assert!(Loop::new().run(receiver.recv()).unwrap().is_ok());
/// ```
#[must_use]
pub fn unbounded<T: 'static>() -> (Sender<T>, Receiver<T>) {
    Channel::open(None)
}

pub(super) struct Channel<T: 'static> {
    state: RefCell<State<T>>,
    /// How many there are on this thread, those who wait included.
    senders: Cell<usize>,
    receivers: Cell<usize>,
    outside: OnceCell<Outside<T>>,
}

struct State<T: 'static> {
    capacity: Option<usize>,
    /// So many as are `claimed` are for receivers that know nothing of it yet: each takes what is the first then. Once there is an
    /// outside, the others are there.
    messages: VecDeque<T>,
    claimed: usize,
    senders: WaitQueue<Sending<T>>,
    receivers: WaitQueue<Receiving>,
    closed: bool,
}

/// A sender that waits. When its value is gone, it was sent.
struct Sending<T: 'static> {
    value: Option<T>,
    waiter: Option<Waiter>,
    listener: Option<Rc<Listener>>,
    /// It counts as a sender for as long as it waits.
    sender: Option<Sender<T>>,
}

/// Who need not wait any longer, and what was kept for the wait.
struct Served<T: 'static> {
    waiter: Waiter,
    listener: Option<Rc<Listener>>,
    sender: Option<Sender<T>>,
}

/// A receiver that waits. When it is gone, one of the claimed messages is for it.
enum Receiving {
    Waiting(Waiter, Option<Rc<Listener>>),
    Closed,
}

impl<T: 'static> State<T> {
    /// Sends `value`, if there is room, and if no other thread has closed the channel meanwhile.
    fn put(&mut self, outside: Option<&Outside<T>>, value: T) -> std::result::Result<(), TrySendError<T>> {
        if let Some(outside) = outside {
            return outside.put(value);
        }
        if !self.has_room() {
            return Err(TrySendError::Full(value));
        }
        self.messages.push_back(value);
        Ok(())
    }

    /// Sets a message apart for a receiver, if there is one.
    fn claim(&mut self, outside: Option<&Outside<T>>) -> bool {
        if self.messages.len() == self.claimed {
            let Some(message) = outside.and_then(Outside::take) else { return false };
            self.messages.push_back(message);
        }
        self.claimed += 1;
        true
    }

    #[inline]
    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.messages.len() - self.claimed < capacity)
    }

    /// Whether somebody on this thread waits at either end.
    #[inline]
    fn has_waiters(&self) -> bool {
        self.receivers.len() + self.senders.len() != 0
    }

    fn is_closed(&self, outside: Option<&Outside<T>>) -> bool {
        self.closed || outside.is_some_and(Outside::is_closed)
    }
}

impl<T: 'static> Channel<T> {
    fn open(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
        let state = State {
            capacity,
            messages: VecDeque::new(),
            claimed: 0,
            senders: WaitQueue::default(),
            receivers: WaitQueue::default(),
            closed: false,
        };
        let channel = Rc::new(Channel {
            state: RefCell::new(state),
            senders: Cell::new(1),
            receivers: Cell::new(1),
            outside: OnceCell::new(),
        });
        (Sender { channel: channel.clone() }, Receiver { channel })
    }

    /// Gives messages to those who wait for one, room to those who wait to send, and tells both if it is closed.
    pub(super) fn serve(&self) {
        while let Some(Served { waiter, listener, sender }) = self.next_served() {
            waiter.settle();
            // The last sender may leave, which closes the channel.
            drop((listener, sender));
        }
    }

    fn next_served(&self) -> Option<Served<T>> {
        let mut state = self.state.borrow_mut();
        if !state.has_waiters() {
            return None;
        }
        let outside = self.outside.get();
        // In this order: what was sent before it was closed is received.
        let closed = state.is_closed(outside);
        if state.receivers.len() != 0 {
            let served = if state.claim(outside) {
                state.receivers.pop_front()
            } else if closed {
                state.receivers.advance().map(|receiving| std::mem::replace(receiving, Receiving::Closed))
            } else {
                None
            };
            if let Some(Receiving::Waiting(waiter, listener)) = served {
                return Some(Served { waiter, listener, sender: None });
            }
        }
        if !closed {
            let value = state.senders.front_mut()?.value.take()?;
            if let Err(unsent) = state.put(outside, value) {
                state.senders.front_mut()?.value = Some(unsent.into_inner());
                return None;
            }
        }
        let sending = state.senders.advance()?;
        Some(Served {
            waiter: sending.waiter.take()?,
            listener: sending.listener.take(),
            sender: sending.sender.take(),
        })
    }

    /// A message that was set apart for a receiver is for somebody else now.
    fn give_back(&self) {
        let mut state = self.state.borrow_mut();
        state.claimed -= 1;
        if let Some(outside) = self.outside.get()
            && let Some(message) = state.messages.pop_back()
        {
            outside.give_back(message);
        }
        drop(state);
        self.serve();
    }

    fn close(&self) -> bool {
        let outside = self.outside.get();
        let mut state = self.state.borrow_mut();
        let was_closed = std::mem::replace(&mut state.closed, true);
        drop(state);
        // Other threads may close it at this very moment: then it tells which of all was the first.
        let was_open = outside.map_or(!was_closed, Outside::close);
        self.serve();
        was_open
    }

    fn is_closed(&self) -> bool {
        self.state.borrow().is_closed(self.outside.get())
    }

    fn len(&self) -> usize {
        let state = self.state.borrow();
        state.messages.len() - state.claimed + self.outside.get().map_or(0, Outside::len)
    }

    fn statistics(&self) -> ChannelStatistics {
        let outside = self.outside.get();
        let ends = |own, side| own + outside.map_or(0, |outside| outside.remotes(side, own != 0));
        let state = self.state.borrow();
        ChannelStatistics {
            messages: self.len(),
            capacity: state.capacity,
            senders: ends(self.senders.get(), Side::Senders),
            receivers: ends(self.receivers.get(), Side::Receivers),
            waiting_senders: state.senders.len(),
            waiting_receivers: state.receivers.len(),
            is_closed: state.is_closed(outside),
        }
    }

    /// What the channel shares with its remote ends; from the first of them on, all messages go that way.
    fn outside(self: &Rc<Channel<T>>) -> &Outside<T> {
        self.outside.get_or_init(|| {
            let mut state = self.state.borrow_mut();
            let claimed = state.claimed;
            let messages = state.messages.split_off(claimed);
            let sides = (self.senders.get() != 0, self.receivers.get() != 0);
            Outside::new(Rc::downgrade(self), state.capacity, messages, sides, state.closed)
        })
    }

    /// Those who wait already are now to be reached from outside.
    fn listen(&self, outside: &Outside<T>) {
        let listen = |side, waiter: &Waiter, listener: &mut Option<Rc<Listener>>| {
            // No listener is dropped here, as that may wake a host, which may look at this channel: who listens gets the same again.
            if let Some(now) = outside.listen(side, waiter.task()) {
                *listener = Some(now);
            }
        };
        let mut state = self.state.borrow_mut();
        state.receivers.for_each_mut(|receiving| {
            if let Receiving::Waiting(waiter, listener) = receiving {
                listen(Side::Receivers, waiter, listener);
            }
        });
        state.senders.for_each_mut(|sending| {
            if let Some(waiter) = &sending.waiter {
                listen(Side::Senders, waiter, &mut sending.listener);
            }
        });
    }

    fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistics = self.statistics();
        f.debug_struct(name)
            .field("messages", &statistics.messages)
            .field("capacity", &statistics.capacity)
            .field("waiting_senders", &statistics.waiting_senders)
            .field("waiting_receivers", &statistics.waiting_receivers)
            .field("is_closed", &statistics.is_closed)
            .finish()
    }
}

/// What [`Sender::statistics`] and [`Receiver::statistics`] tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// How many messages were sent and nobody has received yet.
    pub messages: usize,
    /// How many there is room for; `None` is any number.
    pub capacity: Option<usize>,
    /// How many senders there are, remote ones and those that wait included.
    pub senders: usize,
    /// How many receivers there are, remote ones and those that wait included.
    pub receivers: usize,
    /// How many wait for room on this thread.
    pub waiting_senders: usize,
    /// How many wait for a message on this thread.
    pub waiting_receivers: usize,
    /// Whether it is closed.
    pub is_closed: bool,
}

macro_rules! both_ends {
    ($end:ident, $count:ident, $side:ident) => {
        impl<T: 'static> $end<T> {
            /// Closes the channel: nothing more can be sent; what is in it can still be received, and then it is over. False
            /// if it was closed already.
            ///
            /// What another thread sends at this very moment may arrive after a receiver was told that it is over.
            pub fn close(&self) -> bool {
                self.channel.close()
            }

            /// Whether it is closed: by hand, or because one side is gone.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.channel.is_closed()
            }

            /// How many messages were sent and nobody has received yet.
            #[must_use]
            pub fn len(&self) -> usize {
                self.channel.len()
            }

            /// Whether there is no message in it.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many messages there is room for; `None` is any number.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                self.channel.state.borrow().capacity
            }

            /// How full it is, and who waits.
            #[must_use]
            pub fn statistics(&self) -> ChannelStatistics {
                self.channel.statistics()
            }
        }

        impl<T: 'static> Clone for $end<T> {
            fn clone(&self) -> $end<T> {
                self.channel.$count.set(self.channel.$count.get() + 1);
                $end { channel: self.channel.clone() }
            }
        }

        impl<T: 'static> Drop for $end<T> {
            #[inline]
            fn drop(&mut self) {
                let left = self.channel.$count.get() - 1;
                self.channel.$count.set(left);
                if left == 0 {
                    self.channel.last_one_left(Side::$side);
                }
            }
        }

        impl<T: 'static> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.channel.fmt(stringify!($end), f)
            }
        }
    };
}

impl<T: 'static> Channel<T> {
    /// There are no more senders, or receivers, on this thread.
    #[cold]
    #[inline(never)]
    fn last_one_left(&self, side: Side) {
        if let Some(outside) = self.outside.get() {
            let unread = outside.leave(side);
            self.serve();
            return drop(unread);
        }
        self.close();
        if side == Side::Receivers {
            let unread = std::mem::take(&mut self.state.borrow_mut().messages);
            drop(unread);
        }
    }
}

/// Sends messages. Clones send to the same channel; when all are gone, it is closed.
pub struct Sender<T: 'static> {
    channel: Rc<Channel<T>>,
}

both_ends!(Sender, senders, Senders);

impl<T: 'static> Sender<T> {
    /// Sends `message`; waits for room first, if there is none. If there is, this is one turn of the others, and the
    /// message has been sent before it. It counts as a sender until the message is sent.
    ///
    /// # Errors
    ///
    /// The `yield` gives the message back if the channel is closed, before or meanwhile. How to raise that if the message is
    /// not `Send` and `Sync`: see [`SendError`].
    ///
    /// # Cancellation
    ///
    /// The message is not sent, and is dropped, unless there had been room for it already.
    pub fn send(&self, message: T) -> Send<T> {
        Send { place: SendPlace::Unbegun(self.clone(), message) }
    }

    /// Sends `message` if there is room, and nobody waits for room.
    ///
    /// # Errors
    ///
    /// Gives the message back if there is none, or if the channel is closed.
    #[inline]
    pub fn try_send(&self, message: T) -> std::result::Result<(), TrySendError<T>> {
        self.channel.try_send(message)
    }

    /// A sender for other threads: it blocks where this one yields.
    ///
    /// While there is one, a loop whose coroutines wait for a message, or for room, is not deadlocked: it could close the channel.
    ///
    /// ```
    /// # #![feature(coroutines)]
    /// use tinyield::channel::bounded;
    /// use tinyield::{Loop, co};
    ///
    /// let (sender, receiver) = bounded(2);
    /// let remote = sender.remote();
    /// drop(sender);
    /// let producer = std::thread::spawn(move || {
    ///     for number in 0..10 {
    ///         remote.send(number).unwrap(); // blocks while 2 are waiting to be received
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
        let outside = self.channel.outside();
        let remote = outside.sender();
        self.channel.listen(outside);
        remote
    }
}

impl<T: 'static> Channel<T> {
    /// The state, if all of the channel is on this thread, and nobody waits: then there is nobody to serve either.
    #[inline(always)]
    fn plain_state(&self) -> Option<RefMut<'_, State<T>>> {
        let state = self.state.borrow_mut();
        (self.outside.get().is_none() && !state.has_waiters()).then_some(state)
    }

    #[inline(always)]
    fn try_send(&self, message: T) -> std::result::Result<(), TrySendError<T>> {
        if let Some(mut state) = self.plain_state()
            && !state.closed
            && state.has_room()
        {
            state.messages.push_back(message);
            return Ok(());
        }
        self.try_send_anyhow(message)
    }

    #[inline(never)]
    fn try_send_anyhow(&self, message: T) -> std::result::Result<(), TrySendError<T>> {
        let mut state = self.state.borrow_mut();
        let outside = self.outside.get();
        if state.is_closed(outside) {
            return Err(TrySendError::Closed(message));
        }
        if outside.is_none()
            && let Some(Receiving::Waiting(waiter, _)) = state.receivers.pop_front()
        {
            // Somebody waits for it, so it is the only one: no need to look for others to serve.
            state.messages.push_back(message);
            state.claimed += 1;
            drop(state);
            waiter.settle();
            return Ok(());
        }
        if state.senders.len() != 0 {
            return Err(TrySendError::Full(message));
        }
        let result = state.put(outside, message);
        let has_waiters = state.has_waiters();
        drop(state);
        if has_waiters {
            self.serve();
        }
        result
    }

    #[inline(always)]
    fn try_recv(&self) -> std::result::Result<T, TryRecvError> {
        if let Some(mut state) = self.plain_state()
            && state.claimed == 0
            && let Some(message) = state.messages.pop_front()
        {
            return Ok(message);
        }
        self.try_recv_anyhow()
    }

    #[inline(never)]
    fn try_recv_anyhow(&self) -> std::result::Result<T, TryRecvError> {
        let mut state = self.state.borrow_mut();
        let outside = self.outside.get();
        // In this order: what was sent before it was closed is received.
        let closed = state.is_closed(outside);
        // Who came before has the first message that comes.
        let message = if state.receivers.len() == 0 { state.take_unclaimed(outside) } else { None };
        let Some(message) = message else {
            return Err(if closed { TryRecvError::Closed } else { TryRecvError::Empty });
        };
        let has_waiters = state.has_waiters();
        drop(state);
        if has_waiters {
            self.serve();
        }
        Ok(message)
    }
}

impl<T: 'static> State<T> {
    /// Takes the first message, if there is one more than are claimed: whoever has a claim takes the one after it, so that all are
    /// taken in the order in which they were sent.
    fn take_unclaimed(&mut self, outside: Option<&Outside<T>>) -> Option<T> {
        self.claim(outside).then(|| self.unclaim_first()).flatten()
    }

    /// Takes the message that was claimed first.
    fn unclaim_first(&mut self) -> Option<T> {
        self.claimed -= 1;
        self.messages.pop_front()
    }
}

/// Receives messages. Clones receive from the same channel, each message goes to one of them; when all are gone, it is
/// closed.
pub struct Receiver<T: 'static> {
    channel: Rc<Channel<T>>,
}

both_ends!(Receiver, receivers, Receivers);

impl<T: 'static> Receiver<T> {
    /// Receives a message; waits for one, if there is none. If there is, this is one turn of the others: who would rather
    /// have at once what is there takes the rest by [`try_iter`](Receiver::try_iter). It counts as a receiver until the
    /// `yield` that it is part of is over.
    ///
    /// # Errors
    ///
    /// The `yield` gives a [`RecvError`] when the channel is closed and nothing is left in it.
    ///
    /// # Cancellation
    ///
    /// No message is lost: one that was to be received is given to the next receiver.
    pub fn recv(&self) -> Recv<T> {
        Recv { receiver: self.clone(), place: RecvPlace::Unbegun }
    }

    /// A message, if there is one, and nobody waits for it.
    ///
    /// # Errors
    ///
    /// Says whether there is none yet, or the channel is closed and there will be none.
    #[inline]
    pub fn try_recv(&self) -> std::result::Result<T, TryRecvError> {
        self.channel.try_recv()
    }

    /// The messages that are there, each taken as by [`try_recv`](Receiver::try_recv), without a turn of the others between
    /// them.
    ///
    /// ```
    /// # #![feature(coroutines)]
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

    /// A receiver for other threads: it blocks where this one yields.
    ///
    /// While there is one, a loop whose coroutines wait for room, or for a message, is not deadlocked: it could close the channel.
    ///
    /// ```
    /// # #![feature(coroutines)]
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
        let outside = self.channel.outside();
        let remote = outside.receiver();
        self.channel.listen(outside);
        remote
    }
}

/// What [`Sender::send`] gives: a [`Wait`] for a `Result<(), SendError<T>>`.
#[must_use = "nothing is sent before this is yielded"]
pub struct Send<T: 'static> {
    place: SendPlace<T>,
}

enum SendPlace<T: 'static> {
    Unbegun(Sender<T>, T),
    InLine(Rc<Channel<T>>, Key),
    Sent,
    Refused(T),
    Through,
}

impl<T: 'static> Sender<T> {
    /// Where a message is that could not be sent at once.
    #[inline(never)]
    fn not_at_once(self, refused: TrySendError<T>, task: &TaskRef) -> SendPlace<T> {
        let message = match refused {
            TrySendError::Full(message) => message,
            TrySendError::Closed(message) => return SendPlace::Refused(message),
        };
        let channel = self.channel.clone();
        let outside = channel.outside.get();
        let listener = outside.and_then(|outside| outside.listen(Side::Senders, task));
        let waiter = Some(Waiter::new(task));
        let sending = Sending { value: Some(message), waiter, listener, sender: Some(self) };
        let key = channel.state.borrow_mut().senders.push_back(sending);
        if outside.is_some() {
            // Other threads may have made room before there was a listener.
            channel.serve();
        }
        SendPlace::InLine(channel, key)
    }
}

impl<T: 'static> Send<T> {
    /// What became of a message that could not be sent at once.
    #[inline(never)]
    fn take_late(&mut self) -> Result<std::result::Result<(), SendError<T>>> {
        if !self.is_ready() {
            return Err(polled_after_completion());
        }
        match std::mem::replace(&mut self.place, SendPlace::Through) {
            SendPlace::Sent => Ok(Ok(())),
            SendPlace::Refused(message) => Ok(Err(SendError(message))),
            SendPlace::InLine(channel, key) => {
                let sending = channel.state.borrow_mut().senders.remove(key);
                Ok(sending.and_then(|sending| sending.value).map_or(Ok(()), |message| Err(SendError(message))))
            }
            SendPlace::Unbegun(..) | SendPlace::Through => Err(polled_after_completion()),
        }
    }
}

impl<T> Drop for Send<T> {
    fn drop(&mut self) {
        let SendPlace::InLine(channel, key) = &self.place else { return };
        let mut sending = channel.state.borrow_mut().senders.remove(*key);
        if let Some(waiter) = sending.as_mut().and_then(|sending| sending.waiter.take()) {
            waiter.give_up();
        }
    }
}

impl<T> fmt::Debug for Send<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Send");
        match &self.place {
            SendPlace::Unbegun(sender, _) => debug.field("sender", sender).finish(),
            _ => debug.finish_non_exhaustive(),
        }
    }
}

impl<T> Sealed for Send<T> {}

impl<T: 'static> Wait for Send<T> {
    type Output = std::result::Result<(), SendError<T>>;
    type State = Send<T>;

    fn into_state(self) -> Send<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Send<T> {
    type Output = std::result::Result<(), SendError<T>>;

    fn begin(&mut self, task: &TaskRef) {
        let place = std::mem::replace(&mut self.place, SendPlace::Sent);
        let SendPlace::Unbegun(sender, message) = place else { return };
        task.note_blocked_on(BlockedOn::CHANNEL);
        if let Err(refused) = sender.channel.try_send(message) {
            self.place = sender.not_at_once(refused, task);
        }
    }

    fn is_ready(&self) -> bool {
        match &self.place {
            SendPlace::Unbegun(..) => false,
            SendPlace::InLine(channel, key) => {
                channel.state.borrow().senders.get(*key).is_none_or(|sending| sending.waiter.is_none())
            }
            SendPlace::Sent | SendPlace::Refused(_) | SendPlace::Through => true,
        }
    }

    fn take(&mut self) -> Result<Self::Output> {
        if !matches!(self.place, SendPlace::Sent) {
            return self.take_late();
        }
        // There is nothing to drop in it, but the compiler does not see that.
        std::mem::forget(std::mem::replace(&mut self.place, SendPlace::Through));
        Ok(Ok(()))
    }
}

/// What [`Receiver::recv`] gives: a [`Wait`] for a `Result<T, RecvError>`.
#[must_use = "nothing is received before this is yielded"]
pub struct Recv<T: 'static> {
    receiver: Receiver<T>,
    place: RecvPlace,
}

#[derive(Clone, Copy)]
enum RecvPlace {
    Unbegun,
    InLine(Key),
    /// One of the claimed messages is for it.
    Given,
    Closed,
    Through,
}

impl<T: 'static> Recv<T> {
    #[inline(never)]
    fn begin_anyhow(&self, task: &TaskRef) -> RecvPlace {
        let channel = &self.receiver.channel;
        let outside = channel.outside.get();
        let listener = outside.and_then(|outside| outside.listen(Side::Receivers, task));
        let mut state = channel.state.borrow_mut();
        let closed = state.is_closed(outside);
        let place = if state.receivers.len() == 0 && state.claim(outside) {
            RecvPlace::Given
        } else if closed {
            RecvPlace::Closed
        } else {
            RecvPlace::InLine(state.receivers.push_back(Receiving::Waiting(Waiter::new(task), listener)))
        };
        let has_waiters = state.has_waiters();
        drop(state);
        if has_waiters && (matches!(place, RecvPlace::Given) || outside.is_some()) {
            // There may be room now for one who waits to send; and other threads may have sent before there was a listener.
            channel.serve();
        }
        place
    }

    #[inline(never)]
    fn take_anyhow(&mut self) -> Result<std::result::Result<T, RecvError>> {
        self.leave_line();
        let mut state = self.receiver.channel.state.borrow_mut();
        let message = match self.place {
            RecvPlace::Given => state.unclaim_first(),
            // Somebody else may have given a message back.
            RecvPlace::Closed => state.take_unclaimed(self.receiver.channel.outside.get()),
            RecvPlace::Unbegun | RecvPlace::InLine(_) | RecvPlace::Through => return Err(polled_after_completion()),
        };
        self.place = RecvPlace::Through;
        Ok(message.ok_or(RecvError))
    }

    /// Leaves the line if its turn has come.
    #[inline(always)]
    fn leave_line(&mut self) {
        let RecvPlace::InLine(key) = self.place else { return };
        let mut state = self.receiver.channel.state.borrow_mut();
        match state.receivers.get(key) {
            None => self.place = RecvPlace::Given,
            Some(Receiving::Closed) => {
                state.receivers.remove(key);
                self.place = RecvPlace::Closed;
            }
            Some(Receiving::Waiting(..)) => {}
        }
    }

    #[inline(never)]
    fn give_up(&mut self) {
        self.leave_line();
        match self.place {
            RecvPlace::Given => self.receiver.channel.give_back(),
            RecvPlace::InLine(key) => {
                let receiving = self.receiver.channel.state.borrow_mut().receivers.remove(key);
                if let Some(Receiving::Waiting(waiter, _)) = receiving {
                    waiter.give_up();
                }
            }
            RecvPlace::Unbegun | RecvPlace::Closed | RecvPlace::Through => {}
        }
    }
}

impl<T> Drop for Recv<T> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.place, RecvPlace::Through) {
            self.give_up();
        }
    }
}

impl<T> fmt::Debug for Recv<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").field("receiver", &self.receiver).finish()
    }
}

impl<T> Sealed for Recv<T> {}

impl<T: 'static> Wait for Recv<T> {
    type Output = std::result::Result<T, RecvError>;
    type State = Recv<T>;

    fn into_state(self) -> Recv<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Recv<T> {
    type Output = std::result::Result<T, RecvError>;

    const GIVES_BACK: bool = true;

    fn begin(&mut self, task: &TaskRef) {
        task.note_blocked_on(BlockedOn::CHANNEL);
        if let Some(mut state) = self.receiver.channel.plain_state()
            && state.claim(None)
        {
            self.place = RecvPlace::Given;
            return;
        }
        self.place = self.begin_anyhow(task);
    }

    fn is_ready(&self) -> bool {
        match self.place {
            RecvPlace::Unbegun => false,
            RecvPlace::InLine(key) => {
                !matches!(self.receiver.channel.state.borrow().receivers.get(key), Some(Receiving::Waiting(..)))
            }
            RecvPlace::Given | RecvPlace::Closed | RecvPlace::Through => true,
        }
    }

    // In each coroutine that receives, this would be a lot of code.
    #[inline(never)]
    fn take(&mut self) -> Result<Self::Output> {
        if let RecvPlace::Given = self.place {
            self.place = RecvPlace::Through;
            return Ok(self.receiver.channel.state.borrow_mut().unclaim_first().ok_or(RecvError));
        }
        self.take_anyhow()
    }
}
