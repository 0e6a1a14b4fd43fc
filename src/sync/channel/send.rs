//! The wait for room in a channel.

use std::fmt;
use std::rc::Rc;

use super::error::SendError;
use super::local::{Channel, End, Entry, Waiting};
use super::queue::SENDERS;
use crate::error::Result;
use crate::scheduler::{BlockedOn, Key, TaskRef};
use crate::waiting::private::Sealed;
use crate::waiting::{Wait, WaitState, inherent_map, polled_after_completion};

/// A [`Wait`] that sends a message, when there is room for it: see [`Sender::send`](super::Sender::send).
///
/// Its output is a `Result<(), SendError<T>>`.
#[must_use = "the message is not sent before this is yielded"]
pub struct Send<T: 'static>(Stage<T>);

enum Stage<T: 'static> {
    New(End<T, SENDERS>, T),
    Queued(Rc<Channel<T>>, Key),
    Sent,
    Done,
}

impl<T: 'static> Send<T> {
    pub(super) fn new(end: End<T, SENDERS>, message: T) -> Send<T> {
        Send(Stage::New(end, message))
    }

    #[inline(never)]
    fn take_slow(&mut self) -> Result<std::result::Result<(), SendError<T>>> {
        let Stage::Queued(channel, key) = &self.0 else { return Err(polled_after_completion()) };
        if is_pending(channel, *key) {
            return Err(polled_after_completion());
        }
        let unsent = channel.change(|inner| inner.senders.remove(*key));
        self.0 = Stage::Done;
        Ok(unsent.map_or(Ok(()), |Entry { value: (message, _), .. }| Err(SendError(message))))
    }
}

#[inline(never)]
fn enqueue<T: 'static>(message: T, end: End<T, SENDERS>, task: &TaskRef) -> Stage<T> {
    let channel = Rc::clone(&end);
    let mut inner = channel.inner.borrow_mut();
    let entry = inner.entry((message, end), task);
    let key = inner.senders.push_back(entry);
    channel.serve_new(inner);
    Stage::Queued(channel, key)
}

fn is_pending<T: 'static>(channel: &Channel<T>, key: Key) -> bool {
    channel.inner.borrow().senders.get(key).is_some_and(|entry| entry.waiting.is_some())
}

impl<T> Drop for Send<T> {
    fn drop(&mut self) {
        let Stage::Queued(channel, key) = &self.0 else { return };
        let unsent = channel.change(|inner| inner.senders.remove(*key));
        // The message is dropped last, because its destructor is user code.
        if let Some(Entry { value: _message, waiting: Some(Waiting { waiter, .. }) }) = unsent {
            waiter.give_up();
        }
    }
}

impl<T> fmt::Debug for Send<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Send");
        match &self.0 {
            Stage::New(sender, _) => debug.field("sender", sender).finish(),
            _ => debug.finish_non_exhaustive(),
        }
    }
}

impl<T> Sealed for Send<T> {}

inherent_map!([T] Send<T>);

impl<T: 'static> Wait for Send<T> {
    type Output = std::result::Result<(), SendError<T>>;
    type State = Send<T>;
    type Kind = crate::waiting::kind::Leaf;

    fn into_state(self) -> Send<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Send<T> {
    type Output = std::result::Result<(), SendError<T>>;

    fn begin(&mut self, task: &TaskRef) {
        let Stage::New(end, message) = std::mem::replace(&mut self.0, Stage::Sent) else { return };
        task.note_blocked_on(BlockedOn::CHANNEL);
        if let Err(unsent) = end.try_send(message) {
            self.0 = enqueue(unsent.into_inner(), end, task);
        }
    }

    fn is_ready(&self) -> bool {
        match &self.0 {
            Stage::New(..) => false,
            Stage::Queued(channel, key) => !is_pending(channel, *key),
            Stage::Sent | Stage::Done => true,
        }
    }

    fn take(&mut self) -> Result<Self::Output> {
        if !matches!(self.0, Stage::Sent) {
            return self.take_slow();
        }
        // `Sent` has nothing to drop, but the compiler does not see that.
        std::mem::forget(std::mem::replace(&mut self.0, Stage::Done));
        Ok(Ok(()))
    }
}
