//! The types of the waits for time.
//!
//! The functions [`sleep`](crate::sleep()), [`sleep_until`](crate::sleep_until), [`timeout`](crate::timeout()),
//! [`interval`](crate::interval()), [`now`](crate::now()) and [`settled`](crate::settled()) return them. Few programs need
//! the names of these types.

pub(crate) mod interval;
pub(crate) mod now;
pub(crate) mod settled;
pub(crate) mod sleep;
pub(crate) mod timeout;

pub use interval::{Interval, Tick};
pub use now::Now;
pub use settled::Settled;
pub use sleep::Sleep;
pub use timeout::{TimedOut, Timeout};
