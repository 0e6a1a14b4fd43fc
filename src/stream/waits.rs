//! The waits of a stream: for the next value, and until a reader gets a value.

use std::fmt;
use std::rc::Rc;

use super::Reader;
use super::handover::{Got, Handover, OfferPlace, ReaderPlace};
use crate::error::{Error, Result};
use crate::scheduler::{BlockedOn, OnFailure, Scheduler, TaskRef, Waiter};
use crate::waiting::kind::Leaf;
use crate::waiting::private::Sealed;
use crate::waiting::{Wait, WaitState, inherent_map, polled_after_completion};

/// A [`Wait`] for the next value of a [`Stream`](crate::Stream). Its output is an `Option`.
#[must_use = "no value is taken before this is yielded"]
pub struct Next<T: 'static> {
    reader: Rc<Reader<T>>,
    stage: Stage,
}

enum Stage {
    Init,
    Begun(ReaderPlace),
    Done,
}

impl<T> Next<T> {
    pub(super) fn new(reader: Rc<Reader<T>>) -> Next<T> {
        Next { reader, stage: Stage::Init }
    }
}

impl<T> fmt::Debug for Next<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("stream", self.reader.task.raw()).finish()
    }
}

impl<T> Sealed for Next<T> {}

inherent_map!([T] Next<T>);

impl<T: 'static> Wait for Next<T> {
    type Output = Option<T>;
    type State = Self;
    type Kind = Leaf;

    fn into_state(self) -> Next<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Next<T> {
    type Output = Option<T>;

    /// A reader finds the end when the body of the coroutine is dropped. At that moment, the error of the coroutine is not known
    /// yet.
    const RAISES_LATE: bool = true;

    fn begin(&mut self, task: &TaskRef) {
        let coroutine = self.reader.task.raw();
        if !coroutine.is_started() && !self.reader.handover.is_closed() {
            Scheduler::start_shared(coroutine, task);
            let handover: Rc<dyn OnFailure> = self.reader.handover.clone();
            coroutine.cold_mut(|cold| cold.on_failure = Some(Rc::downgrade(&handover)));
        }
        task.note_blocked_on(BlockedOn::STREAM_VALUE);
        self.stage = Stage::Begun(self.reader.handover.add_reader(task));
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn gives_back(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        match self.stage {
            Stage::Init => false,
            Stage::Begun(place) => self.reader.handover.is_served(place),
            Stage::Done => true,
        }
    }

    /// A reader in another domain gets the error of the coroutine.
    fn failure(&self) -> Option<Error> {
        match self.stage {
            Stage::Begun(place) if self.reader.handover.is_at_end(place) => self.reader.error(),
            _ => None,
        }
    }

    fn take(&mut self) -> Result<Option<T>> {
        let Stage::Begun(place) = self.stage else { return Err(polled_after_completion()) };
        match self.reader.handover.take(place) {
            Got::Nothing => Err(polled_after_completion()),
            Got::Value(value) => {
                self.stage = Stage::Done;
                Ok(Some(value))
            }
            Got::End => {
                self.stage = Stage::Done;
                self.reader.error().map_or(Ok(None), Err)
            }
        }
    }
}

impl<T> Drop for Next<T> {
    fn drop(&mut self) {
        if let Stage::Begun(place) = self.stage {
            self.reader.handover.leave(place);
        }
    }
}

/// A [`Wait`] until a reader of a [`stream`](crate::stream) gets a value.
#[must_use = "the value is not given before this is yielded"]
pub struct Emit<T: 'static> {
    handover: Rc<Handover<T>>,
    stage: EmitStage<T>,
}

enum EmitStage<T> {
    /// The wait counts as an emitter, because it may still offer its value.
    Init(T),
    Offered(OfferPlace),
    /// The stream was closed, so the value was not offered.
    Refused,
    Done,
}

impl<T> Emit<T> {
    pub(super) fn new(handover: Rc<Handover<T>>, value: T) -> Emit<T> {
        handover.add_emitter();
        Emit { handover, stage: EmitStage::Init(value) }
    }

    fn is_refused(&self) -> bool {
        match self.stage {
            EmitStage::Offered(place) => self.handover.is_closed() && !self.handover.was_granted(place),
            EmitStage::Refused => true,
            EmitStage::Init(_) | EmitStage::Done => false,
        }
    }
}

impl<T> fmt::Debug for Emit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emit").finish_non_exhaustive()
    }
}

impl<T> Sealed for Emit<T> {}

inherent_map!([T] Emit<T>);

impl<T: 'static> Wait for Emit<T> {
    type Output = ();
    type State = Self;
    type Kind = Leaf;

    fn into_state(self) -> Emit<T> {
        self
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Emit<T> {
    type Output = ();

    fn begin(&mut self, task: &TaskRef) {
        let EmitStage::Init(value) = std::mem::replace(&mut self.stage, EmitStage::Refused) else { return };
        task.note_blocked_on(BlockedOn::STREAM_READER);
        if self.handover.is_closed() {
            self.handover.remove_emitter();
            drop(value);
            return Waiter::new(task).fail();
        }
        self.stage = EmitStage::Offered(self.handover.add_offer(value, task));
        self.handover.remove_emitter();
    }

    fn is_ready(&self) -> bool {
        match self.stage {
            EmitStage::Offered(place) => self.handover.was_granted(place),
            EmitStage::Init(_) | EmitStage::Refused => false,
            EmitStage::Done => true,
        }
    }

    fn failure(&self) -> Option<Error> {
        self.is_refused().then(|| Error::msg("a value was emitted, but the stream was dropped: nobody will take it"))
    }

    fn take(&mut self) -> Result<()> {
        match self.stage {
            EmitStage::Offered(place) if self.handover.was_granted(place) => {
                self.stage = EmitStage::Done;
                Ok(())
            }
            _ => Err(polled_after_completion()),
        }
    }
}

impl<T> Drop for Emit<T> {
    fn drop(&mut self) {
        match self.stage {
            EmitStage::Init(_) => self.handover.remove_emitter(),
            EmitStage::Offered(place) => self.handover.withdraw(place),
            EmitStage::Refused | EmitStage::Done => {}
        }
    }
}
