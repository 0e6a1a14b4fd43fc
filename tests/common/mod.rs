//! Helpers that the integration tests share, one concept per file. They use the public API only.
//!
//! `allocations.rs` and `random.rs` are not part of this module: the first installs a global allocator, and the second needs proptest. Tests
//! include them by their paths.
#![allow(dead_code, unused_imports, unused_macros)] // each test uses a part of it

pub mod by_hand;
mod child;
mod coroutines;
mod counters;
mod drops;
mod errors;
mod gate;
mod log;
mod panics;
mod runtime;
mod times;
mod wakers;

pub use child::in_child;
pub use coroutines::{turns, waits_forever};
pub use counters::{Alive, Counter, Guard, Token};
pub use drops::{OnDrop, forget};
pub use errors::{is_deadlock, lines, messages, names};
pub use gate::{Gate, OpenOnDrop};
pub use log::{Log, LogOnDrop};
pub use panics::{panic_of, silence_panics, text_of};
pub use runtime::{poll, ran, run_steps, simulated, to_end, to_idle};
pub use times::{FOREVER, LONG, forever, in_time, ms};
pub use wakers::{Wakes, wakes_itself};
