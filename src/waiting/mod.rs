//! What all waits have in common: the trait of everything that can be yielded, the state of a wait, how a coroutine waits, and
//! gathers.

pub(crate) mod active;
pub(crate) mod gather;
pub(crate) mod kind;
pub(crate) mod map;
pub(crate) mod scoped;
pub(crate) mod state;
pub(crate) mod yieldable;

pub(crate) use self::map::Map;
pub(crate) use active::{ActiveWait, Internal, suspend_until};
pub(crate) use gather::{for_shapes, for_tuples};
pub(crate) use state::{WaitState, polled_after_completion, private};
pub(crate) use yieldable::{Wait, inherent_map, wait_is_its_state};
