//! The data that the tools for looking into a running loop show: dumps, stalls, statistics and recordings. The scheduler fills it.

pub(crate) mod dump;
pub(crate) mod recorder;
pub(crate) mod stall;
pub(crate) mod statistics;
