//! What the tools for looking into a running loop report: dumps, stalls, statistics and recordings, as data. The scheduler fills
//! them.

pub(crate) mod dump;
pub(crate) mod recorder;
pub(crate) mod stall;
pub(crate) mod statistics;
