//! The state of a simulated loop: the order of its rounds, and a record of its turns.
//!
//! The second copy of the main loop ([`observed`](super::observed)) runs simulated loops.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::livelock::Standstill;
use super::order::Order;
use super::record::{Record, Round, Turn};
use super::wait_graph::place_of;
use super::{Scheduler, State, TaskRef};

/// The state of a simulated loop.
pub(crate) struct Simulated {
    /// When its clock begins.
    pub(super) start: Instant,
    order: Order,
    /// How many rounds have begun.
    rounds: Cell<u64>,
    record: Option<RefCell<Record>>,
    standstill: Standstill,
    /// Whether something has come from outside. If so, the same seed need not give the same turns.
    came_from_outside: Cell<bool>,
    /// The real time at which the clock began to wait for something outside.
    waits_since: Cell<Option<Instant>>,
    is_reported: Cell<bool>,
    jumps: Jumps,
}

/// Counts the jumps of the clock, to recognize a program that may have no end.
#[derive(Default)]
struct Jumps {
    count: Cell<u64>,
    /// The real time of the first check.
    since: Cell<Option<Instant>>,
    is_reported: Cell<bool>,
}

/// How many jumps pass between two checks.
const JUMPS_PER_LOOK: u64 = 1 << 14;

/// If a program has run for this long by its clock, and for [`BEFORE_REPORT`] in real time, it may have no end.
const LONG: Duration = Duration::from_hours(365 * 24);

/// How long a clock waits for something outside before the loop prints a warning.
const BEFORE_REPORT: Duration = Duration::from_secs(3);

impl Simulated {
    /// The run fails after `max_rounds` rounds during which its clock stood still.
    pub(crate) fn new(start: Instant, order: Order, record: Option<Record>, max_rounds: Option<u64>) -> Simulated {
        let record = record.map(RefCell::new);
        Simulated {
            start,
            order,
            rounds: Cell::new(0),
            record,
            standstill: Standstill::new(max_rounds),
            came_from_outside: Cell::new(false),
            waits_since: Cell::new(None),
            is_reported: Cell::new(false),
            jumps: Jumps::default(),
        }
    }

    /// Counts a round in which `size` tasks are ready, unless `size` is 0. Returns the number of the last counted round.
    fn count_round(&self, size: usize) -> u64 {
        if size > 0 {
            self.rounds.set(self.rounds.get() + 1);
            if let Some(record) = &self.record {
                record.borrow_mut().add_size(self.rounds.get(), size);
            }
        }
        self.rounds.get()
    }
}

impl Scheduler {
    /// Notes that something has come from outside.
    pub(crate) fn note_outside(&self) {
        if let Some(simulated) = &self.simulated {
            simulated.came_from_outside.set(true);
            simulated.standstill.end();
        }
    }

    /// Notes that nothing was ready, or that the clock has moved.
    pub(super) fn end_standstill(&self) {
        if let Some(simulated) = &self.simulated {
            simulated.standstill.end();
        }
    }

    /// The seed of the order of the rounds, if there is one.
    pub(super) fn seed(&self) -> Option<u64> {
        self.simulated.as_ref().and_then(|simulated| simulated.order.seed())
    }

    /// Notes that the clock has jumped.
    pub(super) fn end_wait_for_outside(&self) {
        if let Some(simulated) = &self.simulated {
            simulated.waits_since.set(None);
        }
    }

    /// Called when the loop is idle and its thread is about to wait. If the clock of a simulated loop has waited for something
    /// outside for long, this prints a warning, once. The waker that counts as outside may belong to a coroutine of the same
    /// loop. In that case, the clock and this coroutine wait for each other for ever. Returns the time at which to call this
    /// again.
    pub(crate) fn warn_if_it_waits_for_long(self: &Rc<Scheduler>) -> Option<Instant> {
        let simulated = self.simulated.as_ref().filter(|simulated| !simulated.is_reported.get())?;
        self.deadline()?;
        let now = Instant::now();
        let since = simulated.waits_since.get().unwrap_or(now);
        simulated.waits_since.set(Some(since));
        if now < since + BEFORE_REPORT {
            return Some(since + BEFORE_REPORT);
        }
        simulated.is_reported.set(true);
        // `eprintln!` is not used here, because a test keeps its output until the test ends.
        let _ = writeln!(
            std::io::stderr(),
            "tinyield: a simulated clock has waited for {} s, because something outside holds a waker or a remote handle. If a \
             coroutine that sleeps holds it, both wait for ever. These coroutines wait:\n{}",
            BEFORE_REPORT.as_secs(),
            self.describe_waits()
        );
        None
    }

    /// Counts a jump of the clock. If there were many jumps, and the program may have no end, prints a warning, once.
    pub(super) fn count_jump(self: &Rc<Scheduler>) {
        let Some(simulated) = &self.simulated else { return };
        let jumps = &simulated.jumps;
        jumps.count.set(jumps.count.get() + 1);
        if !jumps.count.get().is_multiple_of(JUMPS_PER_LOOK) || jumps.is_reported.get() {
            return;
        }
        let now = Instant::now();
        let since = jumps.since.get().unwrap_or(now);
        jumps.since.set(Some(since));
        let simulated_time = self.clock.now().saturating_duration_since(simulated.start);
        if now - since < BEFORE_REPORT || simulated_time < LONG {
            return;
        }
        jumps.is_reported.set(true);
        let _ = writeln!(
            std::io::stderr(),
            "tinyield: a simulated loop has run for {} s, and for {} years of its clock. If its program has no end, put a limit around it, \
             such as `timeout(program, duration)`. These coroutines wait:\n{}",
            (now - since).as_secs(),
            simulated_time.as_secs() / LONG.as_secs(),
            self.describe_waits()
        );
    }

    pub(crate) fn came_from_outside(&self) -> bool {
        self.simulated.as_ref().is_some_and(|simulated| simulated.came_from_outside.get())
    }

    /// Takes out the record of a run that is over.
    pub(crate) fn take_record(&self) -> Record {
        let record = self.simulated.as_ref().and_then(|simulated| simulated.record.as_ref());
        record.map(RefCell::take).unwrap_or_default()
    }

    pub(super) fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    pub(super) fn record_turn(&self, task: &TaskRef) {
        let Some(record) = self.simulated.as_ref().and_then(|simulated| simulated.record.as_ref()) else { return };
        let turn = Turn { task: task.id.get(), location: task.location.get() };
        let name = || if task.is_internal() { place_of(task).into_name() } else { task.name() };
        record.borrow_mut().add_turn(turn, !task.has(State::BEGUN), name);
    }

    pub(super) fn simulated_round_has_begun(self: &Rc<Scheduler>) {
        let Some(simulated) = &self.simulated else { return };
        if let Some(rounds) = simulated.standstill.count_round() {
            self.look_for_livelock(&simulated.standstill, rounds);
        }
        if !simulated.order.is_first_in_first_out() || simulated.record.is_some() {
            self.reorder_round(simulated);
        }
    }

    /// Sets the order of the round that has just begun.
    ///
    /// A task may be queued without being ready, because the reason for queueing it no longer exists. A seed gives no order to
    /// such tasks: they are not counted, and come last.
    fn reorder_round(&self, simulated: &Simulated) {
        if let Some(task) = self.run_queue.only() {
            simulated.count_round(usize::from(Scheduler::is_ready(&task)));
            return;
        }
        let round = self.run_queue.take_round();
        let size = round.iter().filter(|task| Scheduler::is_ready(task)).count();
        let number = simulated.count_round(size);
        let Some(order) = simulated.order.of_round(number, size) else { return self.run_queue.put_round(round) };
        let (tasks, rest): (Vec<_>, Vec<_>) = round.into_iter().partition(|task| Scheduler::is_ready(task));
        self.run_queue.put_round(order.iter().map(|&index| tasks[index].clone()).chain(rest).collect());
        if let Some(record) = &simulated.record {
            let with_tasks = record.borrow().with_tasks;
            let tasks = if with_tasks { tasks.iter().map(place_of).collect() } else { Vec::new() };
            record.borrow_mut().add_reordered(Round { number, order, tasks });
        }
    }
}
