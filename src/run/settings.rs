//! The settings and the observers that a run gets from its loop.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Grouping;
use crate::inside::watchdog::Watchdog;
use crate::last_run::LastRun;
use crate::reports::recorder::Recorder;
use crate::scheduler::{Order, Record, Watch};
use crate::stop::Stop;

/// The settings that a run gets from its loop.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) grouping: Grouping,
    pub(crate) stop: Option<Arc<Stop>>,
    pub(crate) simulation: Option<Box<SimulationSettings>>,
    pub(crate) observation: Option<Box<Observation>>,
    pub(crate) hides_panic_trace: bool,
    pub(crate) timer_slack: Duration,
}

/// The observers of a run, which look at its turns.
#[derive(Debug)]
pub(crate) struct Observation {
    /// `Some` if the loop has a view or a watchdog.
    pub(crate) watch: Option<Arc<Watch>>,
    pub(crate) watchdog: Option<Watchdog>,
    pub(crate) recorder: Option<Recorder>,
}

#[derive(Debug)]
pub(crate) struct SimulationSettings {
    pub(crate) last_run: Arc<LastRun>,
    pub(crate) order: Order,
    /// The record of the turns, if they are recorded.
    pub(crate) record: Option<Record>,
    /// For how many rounds the clock may stand still before the run fails.
    pub(crate) max_rounds: Option<u64>,
}
