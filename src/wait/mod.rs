//! The types of waits, and the traits of the arguments of the functions that make them.
//!
//! The functions in the root of the crate, such as [`race`](crate::race) and [`spawn`](crate::spawn), return these types. Few
//! programs have to name these types, because most programs yield such a value at once. The trait [`Wait`] itself is in the
//! root.

pub(crate) mod active;
pub(crate) mod gather;
pub(crate) mod kind;
pub(crate) mod map;
pub(crate) mod scoped;
pub(crate) mod state;
pub(crate) mod yieldable;

pub(crate) use active::{ActiveWait, Internal, suspend_until};
pub(crate) use gather::{for_shapes, for_tuples};
pub(crate) use state::{WaitState, polled_after_completion, private};
pub(crate) use yieldable::{Wait, inherent_map, wait_is_its_state};

pub use self::map::Map;
pub use crate::as_completed::{NextCompleted, StartAsCompleted, StartLimited};
pub use crate::catch::Catch;
pub use crate::finally::CloneOutput;
pub use crate::isolate::Isolate;
pub use crate::race::{Race, Racers};
pub use crate::shared::Shareable;
pub use crate::shield::Shield;
pub use crate::spawn::{Spawn, Spawnable};
pub use crate::stream::{Close, Emit, Next};
