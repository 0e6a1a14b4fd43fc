//! What other threads see of a loop that has a view or a watchdog: the turn that is being taken, and requests for dumps.
//!
//! A watch belongs to a loop, and the runs of the loop use it one after the other. The thread of the loop notes each turn,
//! under a lock that is nearly always free. Views and the watchdog look at it from other threads. No user code runs under the
//! lock.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};
use std::{fmt, mem};

use super::inbox::Inbox;
use crate::reports::dump::Dump;
use crate::reports::stall::{Kind, Stall};
use crate::trace::Frame;

/// The part of a loop that other threads see, if the loop has a view or a watchdog.
#[derive(Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
    /// Whether there are requests that the loop has not answered.
    is_asked: AtomicBool,
    /// Notifies the watchdog in three cases: a turn begins while the watchdog rests, a stall is over, or the run is over.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    run: Option<Running>,
    requests: Vec<Arc<Request>>,
    /// Whether the watchdog waits, without a timeout, for a turn to begin.
    is_resting: bool,
    /// A turn of this length or more is a stall. Set if there is a watchdog.
    limit: Option<Duration>,
    /// Whether the watchdog has reported the current turn.
    is_reported: bool,
    /// The reports that the watchdog still has to make of stalls that are over. For each stall, one report says that the stall
    /// is over. If the watchdog did not report the stall while it lasted, a report that the stall lasts comes first.
    over: VecDeque<Stall>,
    /// How many runs have ended.
    runs: u64,
}

struct Running {
    inbox: Arc<Inbox>,
    thread: ThreadId,
    location: &'static Location<'static>,
    turn: Option<RunningTurn>,
    /// How many turns have begun.
    turns: u64,
    /// When the loop last ended a turn, answered requests, or began the run.
    looked_at: Instant,
}

struct RunningTurn {
    frame: Frame,
    began: Instant,
}

/// How many reports may wait while the watchdog is busy. If there are more, the oldest are dropped.
const MAX_REPORTS: usize = 64;

/// The next action of the watchdog.
pub(crate) enum Next {
    /// The watchdog reports this stall.
    Report(Stall),
    /// The watchdog waits for a change, but no longer than this.
    Wait(Duration),
    /// The watchdog waits for a change.
    WaitForChange,
    /// The thread of the watchdog ends.
    End,
}

impl Running {
    /// The stall that keeps the loop from answering the request that was made at `asked`.
    fn stall(&self, asked: Instant) -> Stall {
        self.turn.as_ref().map_or_else(
            || Stall {
                frame: Frame::new("run".into(), self.location),
                duration: self.looked_at.max(asked).elapsed(),
                kind: Kind::NoTurn,
            },
            RunningTurn::stall,
        )
    }
}

impl RunningTurn {
    fn stall(&self) -> Stall {
        Stall { frame: self.frame.clone(), duration: self.began.elapsed(), kind: Kind::Running }
    }
}

/// A request of a view, and the place for its answer.
#[derive(Default)]
struct Request {
    answer: Mutex<Option<Dump>>,
    answered: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// For the loop.

impl Watch {
    /// Notes that a run begins on this thread. If the run before it was leaked by `mem::forget`, this ends that run.
    pub(crate) fn begin_run(&self, inbox: &Arc<Inbox>, location: &'static Location<'static>) {
        self.end_run();
        let (thread, looked_at) = (thread::current().id(), Instant::now());
        let running = Running { inbox: inbox.clone(), thread, location, turn: None, turns: 0, looked_at };
        lock(&self.state).run = Some(running);
    }

    pub(crate) fn end_run(&self) {
        let mut state = lock(&self.state);
        let ended = state.run.take();
        if ended.is_some() {
            state.runs += 1;
        }
        let requests = mem::take(&mut state.requests);
        drop(state);
        self.changed.notify_all();
        Watch::answer_all(requests, &Dump::default());
    }

    pub(super) fn begin_turn(&self, frame: Frame, began: Instant) {
        let mut state = lock(&self.state);
        state.is_reported = false;
        if let Some(run) = &mut state.run {
            run.turn = Some(RunningTurn { frame, began });
            run.turns += 1;
        }
        if mem::take(&mut state.is_resting) {
            self.changed.notify_all();
        }
    }

    /// `to` is the line at which the coroutine has yielded. It is `None` if the coroutine has ended.
    pub(super) fn end_turn(&self, ended: Instant, to: Option<&'static Location<'static>>) {
        let mut state = lock(&self.state);
        let is_reported = mem::take(&mut state.is_reported);
        let Some(run) = &mut state.run else { return };
        run.looked_at = ended;
        let Some(turn) = run.turn.take() else { return };
        let duration = ended.saturating_duration_since(turn.began);
        let is_stall = state.limit.is_some_and(|limit| duration >= limit);
        if !is_reported && !is_stall {
            return;
        }
        let kind = to.map_or(Kind::Ended, Kind::Yielded);
        let begin = Stall { frame: turn.frame, duration, kind: Kind::Running };
        let end = Stall { kind, ..begin.clone() };
        state.over.extend((!is_reported).then_some(begin));
        state.over.push_back(end);
        while state.over.len() > MAX_REPORTS {
            state.over.pop_front();
        }
        drop(state);
        self.changed.notify_all();
    }

    #[inline]
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    /// Answers all requests. `take` makes the dump. It is called only if there is a request.
    pub(super) fn answer(&self, take: impl FnOnce() -> Dump) {
        self.is_asked.store(false, Ordering::Relaxed);
        let requests = mem::take(&mut lock(&self.state).requests);
        if !requests.is_empty() {
            Watch::answer_all(requests, &take());
            if let Some(run) = &mut lock(&self.state).run {
                run.looked_at = Instant::now();
            }
        }
    }

    fn answer_all(requests: Vec<Arc<Request>>, dump: &Dump) {
        for request in requests {
            *lock(&request.answer) = Some(dump.clone());
            request.answered.notify_all();
        }
    }
}

// For views.

impl Watch {
    /// Requests a dump from the loop. Blocks until the loop has answered, but for at most `timeout`.
    pub(crate) fn dump(&self, timeout: Duration) -> Result<Dump, Stall> {
        let asked = Instant::now();
        let deadline = asked.checked_add(timeout);
        let request = Arc::<Request>::default();
        let mut state = lock(&self.state);
        let Some(run) = &state.run else { return Ok(Dump::default()) };
        if run.thread == thread::current().id() {
            // The loop cannot answer while this thread waits for it.
            return Err(run.stall(asked));
        }
        let inbox = run.inbox.clone();
        state.requests.push(request.clone());
        drop(state);
        // If the loop notices the wake-up, it also reads the value of this store: `wake_parked` takes the lock of the inbox
        // after the store, and the loop takes the same lock later.
        self.is_asked.store(true, Ordering::Relaxed);
        inbox.wake_parked();
        let mut answer = lock(&request.answer);
        loop {
            if let Some(dump) = answer.take() {
                return Ok(dump);
            }
            let Some(deadline) = deadline else {
                answer = request.answered.wait(answer).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = request.answered.wait_timeout(answer, left);
            (answer, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        drop(answer);
        let mut state = lock(&self.state);
        state.requests.retain(|other| !Arc::ptr_eq(other, &request));
        let stall = state.run.as_ref().map(|run| run.stall(asked));
        drop(state);
        // The request may have been answered in the meantime, or the run may be over.
        let late = lock(&request.answer).take();
        match (late, stall) {
            (Some(dump), _) => Ok(dump),
            (None, Some(stall)) => Err(stall),
            (None, None) => Ok(Dump::default()),
        }
    }
}

// For the watchdog.

impl Watch {
    /// Notes that a watchdog begins. From now on, a turn that has lasted for `limit` is a stall. Returns the number of the run.
    /// No two runs have the same number.
    pub(crate) fn begin_watch(&self, limit: Duration) -> u64 {
        let mut state = lock(&self.state);
        state.limit = Some(limit);
        state.runs
    }

    /// Returns the next action of the watchdog of run `number`.
    pub(crate) fn next(&self, number: u64) -> Next {
        let mut state = lock(&self.state);
        if let Some(stall) = state.over.pop_front() {
            return Next::Report(stall);
        }
        let is_reported = state.is_reported;
        let Some(run) = state.run.as_ref().filter(|_| state.runs == number) else { return Next::End };
        match &run.turn {
            Some(_) if is_reported => Next::WaitForChange,
            Some(turn) => {
                let stall = turn.stall();
                let left = state.limit.unwrap_or(Duration::MAX).saturating_sub(stall.duration);
                if !left.is_zero() {
                    return Next::Wait(left);
                }
                state.is_reported = true;
                Next::Report(stall)
            }
            None => {
                state.is_resting = true;
                Next::WaitForChange
            }
        }
    }

    /// Blocks the thread of the watchdog until something has changed, but for at most `limit`.
    pub(crate) fn wait(&self, number: u64, limit: Option<Duration>) {
        let state = lock(&self.state);
        // The state may have changed since `next`.
        let is_current = state.runs == number && state.run.is_some() && state.over.is_empty();
        match limit {
            _ if !is_current => {}
            Some(limit) => drop(self.changed.wait_timeout(state, limit)),
            None if state.is_resting || state.is_reported => drop(self.changed.wait(state)),
            None => {}
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("is_running", &lock(&self.state).run.is_some()).finish_non_exhaustive()
    }
}
