//! One run of a program, and how it failed.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::hook::{self, Seen};
use crate::error::{Deadlock, Error, Grouping, Livelock, LoopError};
use crate::last_run::LastRun;
use crate::panic::{Payload, discard};
use crate::run::{Run, Settings, SimulationSettings};
use crate::scheduler::{Order, Record};
use crate::waiting::Wait;
use crate::waiting::private::AnyTask;

/// The program of a simulation, and what all its runs have in common.
pub(super) struct Program<'a, W> {
    pub(super) build: &'a dyn Fn() -> W,
    pub(super) grouping: Grouping,
    pub(super) timer_slack: Duration,
    /// A run fails when its clock has stood still for this many rounds.
    pub(super) max_rounds: u64,
    /// Where `check` was called.
    pub(super) location: &'static Location<'static>,
}

/// The result of one run.
#[derive(Debug, Default)]
pub(super) struct Trial {
    pub(super) failure: Option<Failure>,
    pub(super) record: Record,
    pub(super) came_from_outside: bool,
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    /// The text that the error prints.
    pub(super) text: String,
}

/// Failures of equal kinds count as the same failure. Their messages may differ, for example in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An error that was raised at this line.
    Error(&'static Location<'static>),
    Deadlock,
    Livelock,
    /// A panic at this place, if the place is known.
    Panic(Option<String>),
}

/// Settings of a single run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// Whether panics are printed as usual.
    pub(super) prints: bool,
    /// Whether the tasks of reordered rounds are recorded.
    pub(super) with_tasks: bool,
    pub(super) max_rounds: u64,
}

impl Trial {
    pub(super) fn kind(&self) -> Option<&Kind> {
        self.failure.as_ref().map(|failure| &failure.kind)
    }
}

impl<W: Wait> Program<'_, W> {
    /// The mode of a run that checks whether the program fails.
    pub(super) fn check(&self) -> Mode {
        Mode { prints: false, with_tasks: false, max_rounds: self.max_rounds }
    }

    /// The mode of a run that checks whether the program fails as in the run `failing`, in another order.
    pub(super) fn search(&self, failing: &Trial) -> Mode {
        // The first run has shown whether this is a livelock or a long computation, so fewer rounds are enough.
        let max_rounds = match failing.kind() {
            Some(Kind::Livelock) => 1 << 14,
            _ => 1_000 + 4 * failing.record.turn_count() as u64,
        };
        Mode { with_tasks: true, max_rounds: max_rounds.min(self.max_rounds), ..self.check() }
    }

    /// Runs the program once.
    pub(super) fn run(&self, order: Order, mode: Mode) -> Trial {
        let Mode { prints, with_tasks, max_rounds } = mode;
        let last_run = Arc::<LastRun>::default();
        let AnyTask(main) = match hook::watch(prints, || (self.build)().into_task()) {
            Ok(main) => main,
            Err((payload, seen)) => {
                let failure = Failure::of_panic(&payload, seen, None);
                discard(payload);
                return Trial { failure: Some(failure), ..Trial::default() };
            }
        };
        if main.raw().is_internal() {
            // Without this, the location would be a line of this file.
            main.raw().location.set(self.location);
        }
        let record = Record::new(with_tasks);
        let simulation = SimulationSettings {
            last_run: last_run.clone(),
            order,
            record: Some(record),
            max_rounds: Some(max_rounds),
        };
        let settings = Settings {
            grouping: self.grouping,
            simulation: Some(Box::new(simulation)),
            // The report contains the trace.
            hides_panic_trace: true,
            timer_slack: self.timer_slack,
            ..Settings::default()
        };
        let mut run = Run::start(main, settings, self.location);
        let root = run.root();
        let result = hook::watch(prints, || {
            // The destructor of the output is user code, so it also runs here, where panics are caught.
            run.finish().map(drop)
        });
        let failure = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Failure::of_error(&error)),
            Err((payload, seen)) => {
                let failure = Failure::of_panic(&payload, seen, root.failure());
                discard(payload);
                Some(failure)
            }
        };
        Trial { failure, record: run.take_record(), came_from_outside: last_run.came_from_outside() }
    }
}

impl Failure {
    fn of_error(error: &LoopError) -> Failure {
        let raised = error.error();
        let kind = if raised.downcast_ref::<Deadlock>().is_some() {
            Kind::Deadlock
        } else if raised.downcast_ref::<Livelock>().is_some() {
            Kind::Livelock
        } else {
            Kind::Error(raised.location())
        };
        Failure { kind, text: format!("{error:?}") }
    }

    /// `stopped_by` is the error with which the loop stopped, because a coroutine panicked.
    fn of_panic(payload: &Payload, seen: Seen, stopped_by: Option<Error>) -> Failure {
        let who = stopped_by.as_ref().map_or("panicked".to_string(), |error| error.to_string());
        let mut text = format!("{who}: {}", hook::message(payload));
        if let Some(place) = &seen.place {
            text += &format!("\n  panicked at {place}");
        }
        let trace = stopped_by.as_ref().map_or(&[][..], |error| error.trace());
        // A single frame is already in the first line.
        if trace.len() > 1 {
            text += "\n  coroutines, outermost first:";
            trace.iter().for_each(|frame| text += &format!("\n    {frame}"));
        }
        Failure { kind: Kind::Panic(seen.place), text }
    }
}
