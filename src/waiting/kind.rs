//! The two kinds of waits in a race. A leaf starts no task, so a race can give it up by dropping it. All other waits are work.
//! A race that has any work starts a task for each of its waits, and has to wait until these tasks have ended. The kinds are
//! types, so that the state of a race of leaves has no room for tasks, and the state of a race of work has no room for leaves.

use super::state::WaitState;

/// The kind of a wait, and of a race of such waits.
#[doc(hidden)]
pub trait RaceKind {
    const IS_LEAF: bool;

    /// The kind of a race of waits of this kind and of the kind `K`: `Leaf` only if both are `Leaf`.
    type And<K: RaceKind>: RaceKind;

    /// The state of a race of this kind: `L` for leaves, `W` for work.
    type State<L: WaitState, W: WaitState<Output = L::Output>>: WaitState<Output = L::Output>;

    fn of_leaves<L: WaitState, W: WaitState<Output = L::Output>>(leaves: L) -> Self::State<L, W>;

    fn of_work<L: WaitState, W: WaitState<Output = L::Output>>(work: W) -> Self::State<L, W>;
}

/// The kind of a wait that a race can give up by dropping it.
#[doc(hidden)]
#[derive(Debug)]
pub enum Leaf {}

/// The kind of all other waits.
#[doc(hidden)]
#[derive(Debug)]
pub enum Work {}

impl RaceKind for Leaf {
    const IS_LEAF: bool = true;

    type And<K: RaceKind> = K;
    type State<L: WaitState, W: WaitState<Output = L::Output>> = L;

    fn of_leaves<L: WaitState, W: WaitState<Output = L::Output>>(leaves: L) -> L {
        leaves
    }

    fn of_work<L: WaitState, W: WaitState<Output = L::Output>>(_: W) -> L {
        unreachable!("a leaf is not work")
    }
}

impl RaceKind for Work {
    const IS_LEAF: bool = false;

    type And<K: RaceKind> = Work;
    type State<L: WaitState, W: WaitState<Output = L::Output>> = W;

    fn of_leaves<L: WaitState, W: WaitState<Output = L::Output>>(_: L) -> W {
        unreachable!("work is not a leaf")
    }

    fn of_work<L: WaitState, W: WaitState<Output = L::Output>>(work: W) -> W {
        work
    }
}
