//! Claims: values that were granted to tasks that have not resumed since. Such a task may still give its value back.
//!
//! A closed channel or stream is *over* for a task only when no other task can give a value back. The claims of the task itself
//! do not count, because it gives them up only together with its wait. If they counted, a task that waits for two values would
//! wait for itself.

use std::num::NonZero;
use std::ptr::NonNull;

use super::task::TaskRef;

/// The task that made a claim, by its address. No other task can have this address while the claim exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimant(NonZero<usize>);

impl Claimant {
    #[inline]
    pub(crate) fn new(task: &TaskRef) -> Claimant {
        Claimant(NonNull::from(&**task).addr())
    }
}

/// Counts the claims, and records whether one task has made all of them.
///
/// A task makes all claims of one wait in a row, as receivers are served in the order in which they came. So it is enough to
/// keep the last claimant.
#[derive(Default)]
pub(crate) struct Claims {
    count: usize,
    last: Option<Claimant>,
    /// How many of the claims are not by `last`.
    by_others: usize,
}

impl Claims {
    #[inline]
    pub(crate) fn add(&mut self, claimant: Claimant) {
        if self.last != Some(claimant) {
            self.last = Some(claimant);
            self.by_others = self.count;
        }
        self.count += 1;
    }

    #[inline]
    pub(crate) fn remove(&mut self, claimant: Claimant) {
        if self.last != Some(claimant) {
            self.by_others -= 1;
        }
        self.count -= 1;
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn are_all_by(&self, claimant: Claimant) -> bool {
        if self.last == Some(claimant) { self.by_others == 0 } else { self.count == 0 }
    }
}
