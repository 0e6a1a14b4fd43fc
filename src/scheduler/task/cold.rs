//! What few tasks have: the cold part, which is made when a task first needs it. Most tasks that were cancelled need only the
//! reason, and have that in its place.

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

/// The part that few tasks have.
#[derive(Default)]
pub(crate) struct Cold {
    pub(crate) name: Option<Cow<'static, str>>,
    /// The contexts that are added to errors that leave it, innermost first.
    pub(crate) contexts: Vec<Rc<str>>,
    /// The span of its turns. Entering, leaving and dropping it is user code.
    #[cfg(feature = "tracing")]
    pub(in crate::scheduler) span: Option<Rc<tracing::Span>>,
    pub(in crate::scheduler) failure: Option<Failure>,
    pub(in crate::scheduler) waiters: WaitQueue<Waiter>,
    /// Called if the task ends without a value.
    pub(crate) on_failure: Option<Weak<dyn OnFailure>>,
    pub(in crate::scheduler) wake_slot: Option<Arc<WakeSlot>>,
    /// With [`State::SAW_CANCELLATION`]: how many cancellations it has swallowed in a row. This is one less than were raised, so it
    /// is -1 after a wait at a shield.
    pub(super) swallowed: i8,
    /// Whether its memory is a block of a chunk (see [`memory`]).
    is_pooled: bool,
    /// The tasks whose cancellation is put off until this one has ended.
    pub(in crate::scheduler) holds: Vec<TaskRef>,
    /// Tasks whose cancellation is put off for this task and for other ones.
    pub(in crate::scheduler) holds_owners: Option<Rc<Hold>>,
    /// How many tasks put off the cancellation of this one.
    pub(in crate::scheduler) held_by: u32,
}

impl Cold {
    /// Whether the cancellation of any other task is put off until this one has ended.
    pub(in crate::scheduler) fn holds_any(&self) -> bool {
        !self.holds.is_empty() || self.holds_owners.is_some()
    }
}

/// Why a task has ended without a value.
pub(in crate::scheduler) enum Failure {
    /// The error that the task raised, or the error with which its cancelled domain failed.
    Raised(Error),
    /// It was cancelled, and ended with an error that was raised at this place. The error is seldom needed, so it is made on
    /// request.
    Cancelled(Cancelled, &'static Location<'static>),
}

/// Called when a task has ended without a value, for code that is not one of its waiters.
pub(crate) trait OnFailure {
    /// The error of the task is known. Must not run user code.
    fn task_failed(&self);
}

/// What a task has besides its header: nothing, a cold part, or, if it has ended, the reason of its cancellation. All in one word,
/// because many tasks that are cancelled at once need the reason and nothing else.
///
/// The word is null, the address of a cold part plus [`COLD`], or that of an `Arc<Reason>`. Only that of a cold part is odd.
pub(super) struct Extra(*const u8);

/// One check of this bit tells whether there is a cold part.
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

    /// A new cold part. Its memory is that of tasks, and not a `Box`, because many tasks may get one at once.
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
        // SAFETY: the bit says that `of_cold` has added it to an address that is not null.
        is_cold.then(|| unsafe { NonNull::new_unchecked(self.0.wrapping_sub(COLD).cast_mut().cast()) })
    }

    #[inline]
    pub(super) fn cold(&self) -> Option<&Cold> {
        // SAFETY: `of_cold` has written it, and this owns it until `drop`.
        self.place().map(|place| unsafe { place.as_ref() })
    }

    #[inline]
    pub(super) fn cold_mut(&mut self) -> Option<&mut Cold> {
        // SAFETY: `of_cold` has written it. This owns it until `drop`, and is borrowed mutably itself.
        self.place().map(|mut place| unsafe { place.as_mut() })
    }

    /// The cold part, which is made if there is none. A reason moves there, with `location`.
    pub(super) fn cold_or_new(&mut self, location: &'static Location<'static>) -> &mut Cold {
        if self.place().is_none() {
            *self = Extra::of_cold(self.take_reason().map(|reason| Failure::Cancelled(reason, location)));
        }
        self.cold_mut().expect("it was made if it was not there")
    }

    pub(super) fn is_reason(&self) -> bool {
        !self.is_none() && self.place().is_none()
    }

    fn take_reason(&mut self) -> Option<Cancelled> {
        if !self.is_reason() {
            return None;
        }
        let taken = ManuallyDrop::new(std::mem::take(self));
        // SAFETY: the pointer is neither null nor that of a cold part, so it is from `of_reason`. It is used only here, as `taken` is
        // not dropped.
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
