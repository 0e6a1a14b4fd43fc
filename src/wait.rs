//! The types of waits, and the traits of the arguments of the functions that make them.
//!
//! The functions in the root of the crate, such as [`race`](crate::race) and [`spawn`](crate::spawn), return these types. Few
//! programs have to name these types, because most programs yield such a value at once. The trait [`Wait`](crate::Wait) itself is in the
//! root.

pub use crate::as_completed::{NextCompleted, StartAsCompleted, StartLimited};
pub use crate::catch::Catch;
pub use crate::finally::CloneOutput;
pub use crate::isolate::Isolate;
pub use crate::race::{Race, Racers};
pub use crate::shared::Shareable;
pub use crate::shield::Shield;
pub use crate::spawn::{Spawn, Spawnable};
pub use crate::stream::{Close, Emit, Next};
pub use crate::waiting::map::Map;
