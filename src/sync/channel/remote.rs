//! The ends of a channel that are for other threads.
//!
//! As soon as there is one, all messages go through a channel of crossbeam's, of the same capacity; so there is one queue, and
//! room in it is the same for all. Threads block on that. Coroutines cannot, so whatever a thread does that they may wait
//! for rings their loop, which then looks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::{Arc, PoisonError};

use super::{Channel, RecvError, SendError, TryRecvError, TrySendError};
use crate::primitives::atomic::AtomicUsize;
use crate::primitives::atomic::Ordering::{AcqRel, Acquire};
use crate::primitives::channel::{self as crossbeam, Select, TryRecvError as Nothing};
use crate::primitives::{Mutex, MutexGuard};
use crate::scheduler::TaskRef;
use crate::sync::notify::{Listener, Listeners, Notifier};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Senders,
    Receivers,
}

/// What the ends on the channel's own thread have of it.
pub(super) struct Outside<T> {
    remote: Arc<Remote<T>>,
    /// The loops in which receivers wait.
    receivers: Listeners,
    /// The loops in which senders wait.
    senders: Listeners,
}

/// What all ends share.
struct Remote<T> {
    capacity: Option<usize>,
    sender: crossbeam::Sender<T>,
    receiver: crossbeam::Receiver<T>,
    /// Messages that a coroutine was to receive, and gave up: older than all others, the oldest last.
    given_back: Mutex<Vec<T>>,
    /// One for each of these, for threads to wait for. Changed together with them.
    give_back: crossbeam::Sender<()>,
    were_given_back: crossbeam::Receiver<()>,
    /// Dropped, to have all threads see it, when the channel is closed. Who sends holds it: so what is sent is sent before that,
    /// and whoever finds the channel closed and empty has missed nothing.
    open: Mutex<Option<crossbeam::Sender<Infallible>>>,
    closed: crossbeam::Receiver<Infallible>,
    /// How many of each there are; those on the channel's own thread count as one.
    senders: AtomicUsize,
    receivers: AtomicUsize,
    /// Rung by remote senders, and by whoever closes the channel: held by all remote ends.
    message_bell: Arc<Notifier>,
    /// Rung by remote receivers, and by whoever closes the channel: held by all remote ends.
    room_bell: Arc<Notifier>,
}

impl<T> Remote<T> {
    fn take(&self) -> Option<T> {
        // The second look is for one that was given back after the first: who is told that there is nothing relies on it.
        self.take_given_back().or_else(|| self.receiver.try_recv().ok()).or_else(|| self.take_given_back())
    }

    fn take_given_back(&self) -> Option<T> {
        if self.were_given_back.is_empty() {
            return None;
        }
        let mut given_back = self.given_back();
        let message = given_back.pop()?;
        let _ = self.were_given_back.try_recv();
        Some(message)
    }

    /// `message` is older than those that were given back before.
    fn give_back(&self, message: T) {
        let mut given_back = self.given_back();
        given_back.push(message);
        // It cannot fail: there is room for any number, and this has both ends.
        let _ = self.give_back.try_send(());
    }

    fn given_back(&self) -> MutexGuard<'_, Vec<T>> {
        self.given_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Option<crossbeam::Sender<Infallible>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings nobody.
    fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let open = self.open();
        if open.is_none() {
            return Err(TrySendError::Closed(message));
        }
        self.sender.try_send(message).map_err(|unsent| TrySendError::Full(unsent.into_inner()))
    }

    fn is_closed(&self) -> bool {
        self.closed.try_recv() == Err(Nothing::Disconnected)
    }

    fn close(&self) -> bool {
        let open = self.open().take();
        let was_open = open.is_some();
        drop(open);
        self.message_bell.notify();
        self.room_bell.notify();
        was_open
    }

    fn count(&self, side: Side) -> &AtomicUsize {
        match side {
            Side::Senders => &self.senders,
            Side::Receivers => &self.receivers,
        }
    }

    fn notifier(&self, side: Side) -> &Arc<Notifier> {
        match side {
            Side::Senders => &self.message_bell,
            Side::Receivers => &self.room_bell,
        }
    }

    /// One end less. Gives what nobody will read any longer: its destructors are the user's, and run when all have been told.
    #[must_use = "it is to be dropped when all have been told"]
    fn leave(&self, side: Side) -> Vec<T> {
        if self.count(side).fetch_sub(1, AcqRel) != 1 {
            return Vec::new();
        }
        self.close();
        match side {
            Side::Senders => Vec::new(),
            Side::Receivers => std::iter::from_fn(|| self.take()).collect(),
        }
    }

    fn len(&self) -> usize {
        self.were_given_back.len() + self.receiver.len()
    }
}

/// Crossbeam makes all the places of a bounded channel at once. No memory has more than these, so a channel that is to have more is
/// as good as unbounded.
const MOST_PLACES: usize = u32::MAX as usize;

impl<T: 'static> Outside<T> {
    /// The messages that are in the channel go here. `sides` tells which of them has ends on the channel's own thread.
    pub(super) fn new(
        channel: Weak<Channel<T>>,
        capacity: Option<usize>,
        mut messages: VecDeque<T>,
        sides: (bool, bool),
        closed: bool,
    ) -> Outside<T> {
        let places = capacity.filter(|&capacity| capacity <= MOST_PLACES);
        let (sender, receiver) = places.map_or_else(crossbeam::unbounded, crossbeam::bounded);
        let (give_back, were_given_back) = crossbeam::unbounded();
        // One that was given back may be one too many.
        let excess = capacity.map_or(0, |capacity| messages.len().saturating_sub(capacity));
        let excess: Vec<T> = messages.drain(..excess).collect();
        for message in messages {
            sender
                .try_send(message)
                .unwrap_or_else(|_| unreachable!("there is room for it, and somebody who receives it"));
        }
        let (open, closed_receiver) = crossbeam::bounded(0);
        let remote = Arc::new(Remote {
            capacity,
            sender,
            receiver,
            given_back: Mutex::default(),
            give_back,
            were_given_back,
            open: Mutex::new((!closed).then_some(open)),
            closed: closed_receiver,
            senders: AtomicUsize::new(usize::from(sides.0)),
            receivers: AtomicUsize::new(usize::from(sides.1)),
            message_bell: Arc::default(),
            room_bell: Arc::default(),
        });
        excess.into_iter().rev().for_each(|message| remote.give_back(message));
        let listeners = |notifier: &Arc<Notifier>| {
            let channel = channel.clone();
            let answer = move || {
                if let Some(channel) = channel.upgrade() {
                    channel.serve();
                }
            };
            Listeners::new(notifier.clone(), true, answer)
        };
        Outside { receivers: listeners(&remote.message_bell), senders: listeners(&remote.room_bell), remote }
    }

    /// Has a loop rung, in which `task` waits on this side, if anybody could ring.
    pub(super) fn listen(&self, side: Side, task: &TaskRef) -> Option<Rc<Listener>> {
        let listeners = match side {
            Side::Senders => &self.senders,
            Side::Receivers => &self.receivers,
        };
        if self.remote.notifier(side).holders() == 0 {
            return None;
        }
        Some(listeners.listen(&task.scheduler()?))
    }

    pub(super) fn put(&self, message: T) -> Result<(), TrySendError<T>> {
        self.remote.try_send(message)
    }

    pub(super) fn take(&self) -> Option<T> {
        self.remote.take()
    }

    /// `message` is older than those that were given back before.
    pub(super) fn give_back(&self, message: T) {
        self.remote.give_back(message);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.remote.is_closed()
    }

    pub(super) fn close(&self) -> bool {
        self.remote.close()
    }

    pub(super) fn leave(&self, side: Side) -> Vec<T> {
        self.remote.leave(side)
    }

    pub(super) fn len(&self) -> usize {
        self.remote.len()
    }

    /// How many remote ends there are on this side, besides those on the channel's own thread if that has some.
    pub(super) fn remotes(&self, side: Side, has_own: bool) -> usize {
        self.remote.count(side).load(Acquire) - usize::from(has_own)
    }

    pub(super) fn sender(&self) -> RemoteSender<T> {
        RemoteSender::new(&self.remote)
    }

    pub(super) fn receiver(&self) -> RemoteReceiver<T> {
        RemoteReceiver::new(&self.remote)
    }
}

/// Sends messages from other threads. Made by [`Sender::remote`](super::Sender::remote).
pub struct RemoteSender<T> {
    remote: Arc<Remote<T>>,
}

/// Receives messages on other threads. Made by [`Receiver::remote`](super::Receiver::remote).
pub struct RemoteReceiver<T> {
    remote: Arc<Remote<T>>,
}

macro_rules! both_ends {
    ($end:ident, $side:ident) => {
        impl<T> $end<T> {
            fn new(remote: &Arc<Remote<T>>) -> $end<T> {
                remote.count(Side::$side).fetch_add(1, AcqRel);
                remote.message_bell.hold();
                remote.room_bell.hold();
                $end { remote: remote.clone() }
            }

            /// Closes the channel: nothing more can be sent; what is in it can still be received, and then it is over. False
            /// if it was closed already.
            ///
            /// What another thread sends at this very moment may arrive after a receiver was told that it is over.
            pub fn close(&self) -> bool {
                self.remote.close()
            }

            /// Whether it is closed: by hand, or because one side is gone.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.remote.is_closed()
            }

            /// How many messages were sent and nobody has received yet.
            #[must_use]
            pub fn len(&self) -> usize {
                self.remote.len()
            }

            /// Whether there is no message in it.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many messages there is room for; `None` is any number.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                self.remote.capacity
            }
        }

        impl<T> Clone for $end<T> {
            fn clone(&self) -> $end<T> {
                $end::new(&self.remote)
            }
        }

        impl<T> Drop for $end<T> {
            fn drop(&mut self) {
                // In this order: who waits hears that it is over before nobody can tell them.
                let unread = self.remote.leave(Side::$side);
                self.remote.message_bell.release();
                self.remote.room_bell.release();
                drop(unread);
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("messages", &self.len())
                    .field("capacity", &self.capacity())
                    .field("is_closed", &self.is_closed())
                    .finish()
            }
        }
    };
}

both_ends!(RemoteSender, Senders);
both_ends!(RemoteReceiver, Receivers);

impl<T> RemoteSender<T> {
    /// Sends `message`; blocks the thread until there is room.
    ///
    /// On the thread of the loop itself this would block those who are to make room: use
    /// [`Sender::send`](super::Sender::send) there.
    ///
    /// # Errors
    ///
    /// Gives the message back if the channel is closed, before or meanwhile.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let Remote { sender, closed, .. } = &*self.remote;
        let mut message = message;
        loop {
            message = match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(message)) => return Err(SendError(message)),
                Err(TrySendError::Full(message)) => message,
            };
            let mut select = Select::new();
            select.send(sender);
            select.recv(closed);
            select.ready();
        }
    }

    /// Sends `message` if there is room.
    ///
    /// # Errors
    ///
    /// Gives the message back if there is none, or if the channel is closed.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.remote.try_send(message)?;
        self.remote.message_bell.notify();
        Ok(())
    }
}

impl<T> RemoteReceiver<T> {
    /// Receives a message; blocks the thread until there is one.
    ///
    /// On the thread of the loop itself this would block those who are to send: use
    /// [`Receiver::recv`](super::Receiver::recv) there.
    ///
    /// # Errors
    ///
    /// Says that the channel is closed and nothing is left in it.
    pub fn recv(&self) -> Result<T, RecvError> {
        let Remote { receiver, were_given_back, closed, .. } = &*self.remote;
        loop {
            match self.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Closed) => return Err(RecvError),
                Err(TryRecvError::Empty) => {}
            }
            let mut select = Select::new();
            select.recv(were_given_back);
            select.recv(receiver);
            select.recv(closed);
            select.ready();
        }
    }

    /// A message, if there is one.
    ///
    /// # Errors
    ///
    /// Says whether there is none yet, or the channel is closed and there will be none.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        // In this order: what was sent before it was closed is received.
        let closed = self.remote.is_closed();
        match self.remote.take() {
            Some(message) => {
                self.remote.room_bell.notify();
                Ok(message)
            }
            None if closed => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// The messages, until the channel is closed and nothing is left in it. Blocks the thread while there is none.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.recv().ok())
    }
}
