//! Deadlocks: whether no task can go on any more. The report names the stuck coroutines, the lines at which they wait, and what
//! they wait on.
//!
//! A run that owns its thread is stuck when nothing is ready, no timer is set, and nothing outside holds a handle that could wake
//! it. The host of a hosted run may still set an event. So there, only a cycle of coroutines that wait for each other is an
//! error: see [`cycles`](super::cycles).

use std::collections::BTreeSet;
use std::panic::Location;
use std::rc::Rc;

use super::blockers::Waits;
use super::{Scheduler, Scope, State, TaskRef, wait_graph};
use crate::error::{Cancelled, Deadlock, Error, NoDeadline, Reason, Stuck};
use crate::panic::catch;
use crate::trace::Frame;

impl Scheduler {
    /// Stops the loop if nothing is ready and nothing can change that.
    pub(crate) fn stop_if_stuck(self: &Rc<Scheduler>) -> bool {
        let is_stuck = !self.may_time_help() && !self.may_be_woken();
        if is_stuck {
            self.stop_stuck(Report::new(self, &BTreeSet::new()), || self.unfinished_tasks());
        }
        is_stuck
    }

    /// Describes what each coroutine waits for, one coroutine per line, for at most 20 coroutines.
    pub(super) fn describe_waits(self: &Rc<Scheduler>) -> String {
        const MAX_LINES: usize = 20;
        let report = Report::new(self, &BTreeSet::new());
        let lines = report.deadlock.stuck().iter().take(MAX_LINES).map(|stuck| format!("  {stuck}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(super) fn stop_stuck(self: &Rc<Scheduler>, report: Report, to_drop: impl Fn() -> Vec<TaskRef>) {
        let (name, location) = report.blamed;
        let error = Error::at(Box::new(report.deadlock), location);
        self.stop_for_good(error, name, to_drop, "waited behind a shield for what can no longer come");
    }

    /// Stops the loop, because it would never end by itself. `name` is the name of the coroutine to which the error is
    /// attributed. If the loop was stopping already, the remaining tasks are behind shields. In this case, this drops the tasks
    /// `to_drop`, and reports an error for each of them. `message` is the text of this error.
    pub(super) fn stop_for_good(
        self: &Rc<Scheduler>,
        error: Error,
        name: String,
        to_drop: impl FnOnce() -> Vec<TaskRef>,
        message: &str,
    ) {
        let root = self.root();
        let location = error.location();
        if root.set_failure(error.clone()) {
            return self.cancel(&root, &Cancelled::new(Reason::Failed { name, location }));
        }
        root.add_other(error);
        let mut to_drop = self.without_cleanup_waiters(to_drop());
        to_drop.sort_unstable_by_key(|task| std::cmp::Reverse(task.id.get()));
        for task in to_drop {
            task.set(State::CANCELLED);
            self.begin_turn(&task, true);
            match catch(|| self.drop_stuck(task, message)) {
                Ok(()) => self.end_turn(false),
                Err(payload) => self.end_panicked(payload),
            }
        }
    }

    /// Removes two groups of tasks from `to_drop`: those that wait for the work of a [`finally`](crate::finally), and all tasks
    /// that wait for those. All of them go on when the work has been dropped. If this would remove all tasks, as in a cycle,
    /// only the first group is removed. If that would remove all tasks, too, none is removed.
    fn without_cleanup_waiters(&self, to_drop: Vec<TaskRef>) -> Vec<TaskRef> {
        let waits_to_clean_up = |scope: &Rc<Scope>| {
            scope.owner().filter(|owner| scope.is_whole() && !scope.is_domain() && owner.has(State::SHIELDED))
        };
        let cleaning: Vec<_> = self.root().all_scopes().iter().filter_map(waits_to_clean_up).collect();
        if cleaning.is_empty() {
            return to_drop;
        }
        let ids = |tasks: &[TaskRef]| tasks.iter().map(|task| task.id.get()).collect::<BTreeSet<_>>();
        for spared in [ids(&wait_graph::all_dependents(cleaning.clone())), ids(&cleaning)] {
            let rest: Vec<_> = to_drop.iter().filter(|task| !spared.contains(&task.id.get())).cloned().collect();
            if !rest.is_empty() {
                return rest;
            }
        }
        to_drop
    }

    /// The tasks that have not ended, except those whose cancellation is put off.
    pub(super) fn unfinished_tasks(&self) -> Vec<TaskRef> {
        let mut tasks = self.root().all_tasks();
        tasks.retain(|task| !task.has(State::CANCEL_DEFERRED));
        tasks
    }
}

/// The content of a deadlock's error.
pub(super) struct Report {
    deadlock: Deadlock,
    /// The name and the location of the coroutine that the error is attributed to.
    blamed: (String, &'static Location<'static>),
    pub(super) cycle: Vec<TaskRef>,
}

impl Report {
    /// Makes a report of all tasks. The tasks with the ids `free` can still go on, whatever they wait for.
    pub(super) fn new(scheduler: &Scheduler, free: &BTreeSet<u64>) -> Report {
        let (tasks, run_at) = (scheduler.root().all_tasks(), scheduler.location);
        let waits = Waits::new(&tasks, &scheduler.quorums(), scheduler.waiting_in_settled());
        let cycle = waits.find_cycle(free);
        let holders = scheduler.holders_by_waiting();
        let in_words = |task| waits.awaited(task).in_words(&holders);
        let is_visible = |task: &&TaskRef| !task.is_internal();
        let mut stuck: Vec<Stuck> = tasks
            .iter()
            .filter(is_visible)
            .map(|task| Stuck::new(Frame::new(task.name(), task.location.get()), in_words(task)))
            .collect();
        if stuck.is_empty()
            && let Some(main) = tasks.first()
        {
            // There is no coroutine of the user: the loop runs a wait, for which the library has made a task.
            stuck.push(Stuck::new(Frame::new("run".into(), run_at), in_words(main)));
        }
        let blamed = cycle.iter().chain(tasks.iter().rev()).find(is_visible);
        let blamed = blamed.map_or(("run".into(), run_at), |task| (task.name().into_owned(), task.location.get()));
        let names = cycle.iter().filter(is_visible).map(|task| task.name().into_owned()).collect();
        let timers = if scheduler.has_timers() { NoDeadline::BeyondTheClock } else { NoDeadline::NoTimerRuns };
        Report { deadlock: Deadlock::new(stuck, names, timers), blamed, cycle }
    }
}
