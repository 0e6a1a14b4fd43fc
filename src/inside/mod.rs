//! Tools to look into a running loop: dumps, stalls, statistics and recordings.
//!
//! [`View::dump`](crate::View::dump) and [`dump`](crate::dump()) list what each coroutine waits for. The
//! [watchdog](crate::Builder::watchdog) reports coroutines that hold the loop up. A [`Recorder`](crate::Recorder) keeps the last
//! events, and writes them for Perfetto.
//!
//! The main types are in the root of the crate. Few programs have to name the other types, which are in this module.

pub(crate) mod take_dump;
pub(crate) mod view;
pub(crate) mod watchdog;

pub use self::take_dump::TakeDump;
pub use crate::reports::dump::DumpedTask;
pub use crate::reports::recorder::Recorded;
pub use crate::reports::statistics::Statistics;
