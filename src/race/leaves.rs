//! A race of leaves. It is decided when one leaf is over: then the other leaves are dropped.
//!
//! While the bit `RACING` of a task is set, the scheduler resumes the task when any leaf is settled.

use std::fmt;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::scheduler::{State, Task, TaskRef};
use crate::waiting::gather::for_tuples;
use crate::waiting::state::private::Sealed;
use crate::waiting::state::{WaitState, polled_after_completion};

/// All outputs of a race have the type of the first output: `Same<T>` is implemented only for `T`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the outputs of a race have to be of one type, but one is `{Self}` and the first is `{T}`",
    label = "the outputs of these waits differ",
    note = "`map` changes the output of a wait: `race((jobs.recv().map(Next::Job), stop.wait().map(|()| Next::Stop)))`"
)]
#[allow(private_interfaces)]
pub trait Same<T>: Sized {
    #[doc(hidden)]
    fn same(self) -> T;

    #[doc(hidden)]
    fn same_task(task: Task<Self>) -> Task<T>;
}

#[allow(private_interfaces)]
impl<T> Same<T> for T {
    #[inline]
    fn same(self) -> T {
        self
    }

    #[inline]
    fn same_task(task: Task<T>) -> Task<T> {
        task
    }
}

/// The leaves of a race. A leaf that was given up is `None`.
#[doc(hidden)]
#[allow(private_interfaces)]
pub trait Contest: 'static {
    type Output: 'static;

    fn len(&self) -> usize;

    /// Begins the leaves in order, and stops at the first one that is over at once.
    fn begin(&mut self, task: &TaskRef);

    /// The index of the first leaf that has an output or an error.
    fn find_over(&self) -> Option<usize>;

    /// Drops all leaves but one.
    fn give_up_others(&mut self, winner: usize);

    fn carries_value(&self, winner: usize) -> bool;

    fn gives_back(&self, winner: usize) -> bool;

    fn has_value(&self, winner: usize) -> bool;

    fn failure(&self, winner: usize) -> Option<Error>;

    fn take(&mut self, winner: usize) -> Result<Self::Output>;
}

#[inline]
fn is_over<X: WaitState>(leaf: &Option<X>) -> bool {
    leaf.as_ref().is_some_and(|leaf| leaf.is_ready() || leaf.has_failed())
}

/// Begins the wait of a leaf. Returns whether it is over at once.
#[inline]
fn begin<X: WaitState>(leaf: &mut Option<X>, task: &TaskRef) -> bool {
    let pending = task.pending.get();
    leaf.as_mut().into_iter().for_each(|leaf| leaf.begin(task));
    // A leaf that has added a pending part is not over.
    task.pending.get() <= pending && is_over(leaf)
}

/// The leaves of a race of an array or another iterator.
#[doc(hidden)]
pub type List<X> = SmallVec<[Option<X>; INLINE]>;

/// How many leaves of one type a race keeps without allocating.
const INLINE: usize = 2;

#[allow(private_interfaces)]
impl<X: WaitState> Contest for List<X> {
    type Output = X::Output;

    fn len(&self) -> usize {
        SmallVec::len(self)
    }

    fn begin(&mut self, task: &TaskRef) {
        for leaf in self {
            if begin(leaf, task) {
                task.set(State::FORCE_RESUME);
                break;
            }
        }
    }

    fn find_over(&self) -> Option<usize> {
        self.iter().position(is_over)
    }

    fn give_up_others(&mut self, winner: usize) {
        let others = self.iter_mut().enumerate().filter(|&(index, _)| index != winner);
        others.for_each(|(_, leaf)| *leaf = None);
    }

    fn carries_value(&self, winner: usize) -> bool {
        self[winner].as_ref().is_some_and(X::carries_value)
    }

    fn gives_back(&self, winner: usize) -> bool {
        self[winner].as_ref().is_some_and(X::gives_back)
    }

    fn has_value(&self, winner: usize) -> bool {
        self[winner].as_ref().is_some_and(X::has_value)
    }

    fn failure(&self, winner: usize) -> Option<Error> {
        self[winner].as_ref().and_then(X::failure)
    }

    fn take(&mut self, winner: usize) -> Result<X::Output> {
        self[winner].as_mut().ok_or_else(polled_after_completion)?.take()
    }
}

macro_rules! tuple {
    ($first:ident $($rest:ident)*) => {
        #[allow(private_interfaces, non_snake_case, unused_assignments)]
        impl<$first: WaitState, $($rest: WaitState),*> Contest for (Option<$first>, $(Option<$rest>,)*)
        where
            $($rest::Output: Same<$first::Output>,)*
        {
            type Output = $first::Output;

            fn len(&self) -> usize {
                [stringify!($first), $(stringify!($rest)),*].len()
            }

            fn begin(&mut self, task: &TaskRef) {
                tuple!(@each self, leaf, _index => {
                    if begin(leaf, task) {
                        return task.set(State::FORCE_RESUME);
                    }
                }, $first $($rest)*);
            }

            fn find_over(&self) -> Option<usize> {
                tuple!(@each self, leaf, index => {
                    if is_over(leaf) {
                        return Some(index);
                    }
                }, $first $($rest)*);
                None
            }

            fn give_up_others(&mut self, winner: usize) {
                tuple!(@each self, leaf, index => {
                    if index != winner {
                        *leaf = None;
                    }
                }, $first $($rest)*);
            }

            fn carries_value(&self, winner: usize) -> bool {
                tuple!(@each self, leaf, index => {
                    if index == winner {
                        return leaf.as_ref().is_some_and(WaitState::carries_value);
                    }
                }, $first $($rest)*);
                false
            }

            fn gives_back(&self, winner: usize) -> bool {
                tuple!(@each self, leaf, index => {
                    if index == winner {
                        return leaf.as_ref().is_some_and(WaitState::gives_back);
                    }
                }, $first $($rest)*);
                false
            }

            fn has_value(&self, winner: usize) -> bool {
                tuple!(@each self, leaf, index => {
                    if index == winner {
                        return leaf.as_ref().is_some_and(WaitState::has_value);
                    }
                }, $first $($rest)*);
                false
            }

            fn failure(&self, winner: usize) -> Option<Error> {
                tuple!(@each self, leaf, index => {
                    if index == winner {
                        return leaf.as_ref().and_then(WaitState::failure);
                    }
                }, $first $($rest)*);
                None
            }

            fn take(&mut self, winner: usize) -> Result<$first::Output> {
                tuple!(@each self, leaf, index => {
                    if index == winner
                        && let Some(leaf) = leaf
                    {
                        return leaf.take().map(Same::same);
                    }
                }, $first $($rest)*);
                Err(polled_after_completion())
            }
        }
    };
    // Runs the block `$with` for each leaf. In the block, `$leaf` is the leaf, and `$index` is its index.
    (@each $leaves:ident, $leaf:ident, $index:ident => $with:block, $($part:ident)+) => {
        let ($($part,)+) = $leaves;
        let mut next = 0;
        $(
            let ($leaf, $index) = ($part, next);
            next += 1;
            $with
        )+
    };
}

for_tuples!(tuple);

/// The state of a race of leaves.
#[doc(hidden)]
pub struct Leaves<C: Contest> {
    contest: C,
    /// The index of the leaf that wins, once the race is decided.
    winner: Option<usize>,
}

impl<C: Contest> Leaves<C> {
    pub(super) fn new(contest: C) -> Leaves<C> {
        Leaves { contest, winner: None }
    }

    fn winner(&self) -> Option<usize> {
        self.winner.or_else(|| self.contest.find_over())
    }
}

impl<C: Contest> fmt::Debug for Leaves<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race").field("leaves", &self.contest.len()).finish()
    }
}

impl<C: Contest> Sealed for Leaves<C> {}

#[allow(private_interfaces)]
impl<C: Contest> WaitState for Leaves<C> {
    type Output = C::Output;

    fn begin(&mut self, task: &TaskRef) {
        task.set(State::RACING);
        self.contest.begin(task);
    }

    fn carries_value(&self) -> bool {
        self.winner().is_some_and(|winner| self.contest.carries_value(winner))
    }

    fn gives_back(&self) -> bool {
        self.winner().is_some_and(|winner| self.contest.gives_back(winner))
    }

    fn is_ready(&self) -> bool {
        self.winner().is_some()
    }

    fn has_value(&self) -> bool {
        self.winner().is_some_and(|winner| self.contest.has_value(winner))
    }

    fn failure(&self) -> Option<Error> {
        self.winner().and_then(|winner| self.contest.failure(winner))
    }

    /// The losers are dropped at once, although other parts of the wait may be pending. So a loser gives its message back without
    /// waiting for these parts.
    #[inline]
    fn decide_races(&mut self) {
        if self.winner.is_none() {
            self.winner = self.contest.find_over();
            if let Some(winner) = self.winner {
                self.contest.give_up_others(winner);
            }
        }
    }

    fn take(&mut self) -> Result<C::Output> {
        self.decide_races();
        self.contest.take(self.winner.ok_or_else(polled_after_completion)?)
    }
}
