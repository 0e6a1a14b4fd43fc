//! The types of waits that have to do with time.
//!
//! The functions [`sleep`](crate::sleep), [`sleep_until`](crate::sleep_until), [`timeout`](crate::timeout) and [`interval`](crate::interval) return
//! them.
//! Few programs have to name them: to yield them is enough.

pub(crate) mod interval;
pub(crate) mod sleep;
pub(crate) mod timeout;

pub use interval::{Interval, Tick};
pub use sleep::Sleep;
pub use timeout::{TimedOut, Timeout};
