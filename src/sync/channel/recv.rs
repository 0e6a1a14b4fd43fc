//! The wait for a message of a channel.

use std::fmt;

use super::error::RecvError;
use super::local::{End, Entry, Waiting};
use super::queue::RECEIVERS;
use crate::error::Result;
use crate::scheduler::{BlockedOn, Claimant, Key, TaskRef};
use crate::waiting::private::Sealed;
use crate::waiting::{Wait, WaitState, inherent_map, polled_after_completion};

/// A [`Wait`] for a message of a channel: see [`Receiver::recv`](super::Receiver::recv).
///
/// Its output is a `Result<T, RecvError>`.
#[must_use = "no message is received before this is yielded"]
pub struct Recv<T: 'static> {
    receiver: End<T, RECEIVERS>,
    /// The task, and the key of its entry in the queue. If the queue has no entry of this key, the wait has a claim. `None` before
    /// the wait begins, and after the output was taken.
    begun: Option<(Claimant, Key)>,
}

impl<T: 'static> Recv<T> {
    pub(super) fn new(receiver: End<T, RECEIVERS>) -> Recv<T> {
        Recv { receiver, begun: None }
    }

    #[inline(never)]
    fn begin_slow(&self, claimant: Claimant, task: &TaskRef) -> Key {
        let mut inner = self.receiver.inner.borrow_mut();
        if inner.receivers.len() == 0 && inner.with_state(|state| state.claim(claimant)) {
            drop(inner);
            // A claimed message takes no room, so a sender may be served now.
            self.receiver.serve();
            return Key::NONE;
        }
        let entry = inner.entry((), task);
        let key = inner.receivers.push_back(entry);
        self.receiver.serve_new(inner);
        key
    }

    #[inline(never)]
    fn take_slow(&mut self) -> Result<std::result::Result<T, RecvError>> {
        let (claimant, key) = self.begun.ok_or_else(polled_after_completion)?;
        let mut inner = self.receiver.inner.borrow_mut();
        if let Some(entry) = inner.receivers.get(key) {
            if entry.waiting.is_some() {
                return Err(polled_after_completion());
            }
            drop(inner);
            self.receiver.change(|inner| inner.receivers.remove(key));
            self.begun = None;
            return Ok(Err(RecvError));
        }
        let message = inner.with_state(|state| state.take_claimed(claimant));
        let others_wait = inner.receivers.len() != 0;
        drop(inner);
        self.begun = None;
        if others_wait {
            // If this was the last message, the channel may be over for the other receivers.
            self.receiver.serve();
        }
        Ok(message.ok_or(RecvError))
    }

    #[inline(never)]
    fn give_up(&self, claimant: Claimant, key: Key) {
        let entry = self.receiver.change(|inner| {
            let entry = inner.receivers.remove(key);
            if entry.is_none() {
                inner.with_state(|state| state.give_back(claimant));
            }
            entry
        });
        match entry {
            None => self.receiver.serve(),
            Some(Entry { waiting: Some(Waiting { waiter, .. }), .. }) => waiter.give_up(),
            Some(_) => {}
        }
    }
}

impl<T> Drop for Recv<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some((claimant, key)) = self.begun {
            self.give_up(claimant, key);
        }
    }
}

impl<T> fmt::Debug for Recv<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").field("receiver", &self.receiver).finish()
    }
}

impl<T> Sealed for Recv<T> {}

inherent_map!([T] Recv<T>);

impl<T: 'static> Wait for Recv<T> {
    type Output = std::result::Result<T, RecvError>;
    type State = Recv<T>;
    type Kind = crate::waiting::kind::Leaf;

    fn into_state(self) -> Recv<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Recv<T> {
    type Output = std::result::Result<T, RecvError>;

    fn begin(&mut self, task: &TaskRef) {
        task.note_blocked_on(BlockedOn::CHANNEL);
        let claimant = Claimant::new(task);
        let mut inner = self.receiver.inner.borrow_mut();
        let is_claimed = inner.is_quiet && inner.state.claim_local(claimant);
        drop(inner);
        let key = if is_claimed { Key::NONE } else { self.begin_slow(claimant, task) };
        self.begun = Some((claimant, key));
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn gives_back(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        let Some((_, key)) = self.begun else { return false };
        self.receiver.inner.borrow().receivers.get(key).is_none_or(|entry| entry.waiting.is_none())
    }

    // This is not inlined, because it would add much code to each coroutine that receives.
    #[inline(never)]
    fn take(&mut self) -> Result<Self::Output> {
        let mut inner = self.receiver.inner.borrow_mut();
        // A quiet channel has no entries. A wait that has begun and has no entry has a claim.
        if inner.is_quiet
            && let Some((claimant, _)) = self.begun.take()
        {
            return Ok(inner.state.take_claimed(claimant).ok_or(RecvError));
        }
        drop(inner);
        self.take_slow()
    }
}
