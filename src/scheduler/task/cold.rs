//! The cold part of a task: fields that few tasks need. It is made when a task first needs one of them. Most cancelled tasks
//! need only the reason of their cancellation. They store the reason in place of a cold part.
//!
//! It relies on [`memory`] for the memory of the cold part.

use std::alloc::Layout;
use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::{NonNull, null};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::state::State;
use super::{TaskRef, memory};
use crate::error::{Cancelled, Error, Reason};
use crate::scheduler::inbox::WakeSlot;
use crate::scheduler::scope::hold::Hold;
use crate::scheduler::wait::Waiter;
use crate::scheduler::wait_queue::WaitQueue;

#[cfg(test)]
mod tests;

/// The fields that few tasks need.
#[derive(Default)]
pub(crate) struct Cold {
    pub(crate) name: Option<Cow<'static, str>>,
    /// The contexts that are added to each error that leaves the task, innermost first.
    pub(crate) contexts: Vec<Rc<str>>,
    /// The span of its turns. Entering, leaving and dropping the span runs user code.
    #[cfg(feature = "tracing")]
    pub(in crate::scheduler) span: Option<Rc<tracing::Span>>,
    pub(in crate::scheduler) failure: Option<Failure>,
    pub(in crate::scheduler) waiters: WaitQueue<Waiter>,
    /// Called if the task ends without a value.
    pub(crate) on_failure: Option<Weak<dyn OnFailure>>,
    pub(in crate::scheduler) wake_slot: Option<Arc<WakeSlot>>,
    /// How many cancellations in a row the task has swallowed, if [`State::SAW_CANCELLATION`] is set. The last one that was
    /// raised does not count yet, so this is one less than the number of raised ones. After a wait at a shield it is -1,
    /// because none was raised since.
    pub(super) swallowed: i8,
    /// Whether the memory of this cold part is a block of a chunk (see [`memory`]).
    is_pooled: bool,
    /// The tasks whose cancellation is put off until this one has ended.
    pub(in crate::scheduler) holds: Vec<TaskRef>,
    /// Further tasks whose cancellation is put off, by this task and by other tasks together.
    pub(in crate::scheduler) shared_hold: Option<Rc<Hold>>,
    /// How many tasks put off the cancellation of this one.
    pub(in crate::scheduler) held_by: u32,
}

impl Cold {
    /// Whether the cancellation of any other task is put off until this one has ended.
    pub(in crate::scheduler) fn holds_any(&self) -> bool {
        !self.holds.is_empty() || self.shared_hold.is_some()
    }
}

/// Why a task has ended without a value.
pub(in crate::scheduler) enum Failure {
    /// The error that the task raised, or the error with which its cancelled domain failed.
    Raised(Error),
    /// The task was cancelled, and has ended with an error that was raised at this location. The error is seldom needed, so it
    /// is made on request.
    Cancelled(Cancelled, &'static Location<'static>),
}

/// Code that is not a waiter of a task, and is called when the task has ended without a value.
pub(crate) trait OnFailure {
    /// Called when the error of the task has been recorded. It must not run user code.
    fn task_failed(&self);
}

/// What a task has besides its header: nothing, a cold part, or the reason of its cancellation. Only a task that has ended has
/// a bare reason. One word is enough for each of these. This matters when many tasks are cancelled at once, as most of them
/// need only the reason.
///
/// The word is null, the address of a cold part plus [`COLD`], or the pointer of an `Arc<Reason>`. It is odd only if it stands
/// for a cold part.
pub(super) struct Extra(*const u8);

/// This bit of the word is set if there is a cold part.
const COLD: usize = 1;

const _: () = assert!(align_of::<Cold>() > COLD && align_of::<Reason>() > COLD);

impl Default for Extra {
    #[inline]
    fn default() -> Extra {
        Extra(null())
    }
}

impl Extra {
    pub(super) fn of_reason(reason: Cancelled) -> Extra {
        Extra(Arc::into_raw(reason.into_shared()).cast())
    }

    /// A new cold part. It is allocated like a task, and not as a `Box`, because many tasks may get a cold part at once.
    #[inline(never)]
    fn of_cold(failure: Option<Failure>) -> Extra {
        let (place, pooled) = memory::allocate(Layout::new::<Cold>());
        // SAFETY: `place` has the layout of a `Cold`, and nothing else refers to it.
        unsafe { place.cast().write(Cold { failure, is_pooled: pooled == State::POOLED, ..Cold::default() }) };
        Extra(place.as_ptr().wrapping_add(COLD))
    }

    #[inline]
    pub(super) fn is_none(&self) -> bool {
        self.0.is_null()
    }

    /// Where the cold part is. `None` if there is none.
    #[inline]
    fn place(&self) -> Option<NonNull<Cold>> {
        let is_cold = self.0.addr() & COLD != 0;
        // SAFETY: the bit is set, so `of_cold` has added it to an address that is not null.
        is_cold.then(|| unsafe { NonNull::new_unchecked(self.0.wrapping_sub(COLD).cast_mut().cast()) })
    }

    #[inline]
    pub(super) fn cold(&self) -> Option<&Cold> {
        // SAFETY: `of_cold` has written the cold part, and `self` owns it until `drop`.
        self.place().map(|place| unsafe { place.as_ref() })
    }

    #[inline]
    pub(super) fn cold_mut(&mut self) -> Option<&mut Cold> {
        // SAFETY: `of_cold` has written the cold part. `self` owns it until `drop`, and is borrowed mutably here.
        self.place().map(|mut place| unsafe { place.as_mut() })
    }

    /// Returns the cold part, and makes it if there is none. A reason moves into it, together with `location`.
    pub(super) fn cold_or_new(&mut self, location: &'static Location<'static>) -> &mut Cold {
        if self.place().is_none() {
            *self = Extra::of_cold(self.take_reason().map(|reason| Failure::Cancelled(reason, location)));
        }
        self.cold_mut().expect("a missing cold part was just made")
    }

    pub(super) fn is_reason(&self) -> bool {
        !self.is_none() && self.place().is_none()
    }

    fn take_reason(&mut self) -> Option<Cancelled> {
        if !self.is_reason() {
            return None;
        }
        let taken = ManuallyDrop::new(std::mem::take(self));
        // SAFETY: the pointer is neither null nor that of a cold part, so it is from `of_reason`. It is used only once, because
        // `taken` is not dropped.
        Some(Cancelled::from_shared(unsafe { Arc::from_raw(taken.0.cast()) }))
    }

    #[inline(never)]
    fn drop_some(&mut self) {
        drop(self.take_reason());
        let Some(place) = self.place() else { return };
        // SAFETY: `of_cold` has written the cold part, and it is not used again. `of_cold` took its memory, on the same thread, as an
        // `Extra` is not `Send`. It is released here, once.
        unsafe {
            let is_pooled = place.as_ref().is_pooled;
            place.drop_in_place();
            memory::release(place.cast(), Layout::new::<Cold>(), is_pooled);
        }
    }
}

/// Most tasks have nothing, so only the check is inline.
impl Drop for Extra {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.is_none() {
            self.drop_some();
        }
    }
}
