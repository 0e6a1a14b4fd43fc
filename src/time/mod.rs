//! The types of waits that have to do with time.
//!
//! The functions [`sleep`](crate::sleep()), [`sleep_until`](crate::sleep_until), [`timeout`](crate::timeout()),
//! [`now`](crate::now()) and [`settled`](crate::settled()) return them.
//! Few programs have to name them: to yield them is enough.

pub(crate) mod now;
pub(crate) mod settled;
pub(crate) mod sleep;
pub(crate) mod timeout;

pub use now::Now;
pub use settled::Settled;
pub use sleep::Sleep;
pub use timeout::{TimedOut, Timeout};
