//! The alarms of the watchdog, and which of them are false.
//!
//! An alarm is right in two cases. In the first case, the system runs other programs on the core of the thread in the middle of a turn. For
//! that time, the thread is ready, but does not run. In the second case, the turn is one of the coroutine `loops`. This coroutine runs an
//! inner loop, and so waits for the threads of that loop. No other turn of the soak takes longer than the limit.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tinyield::{Loop, Recorder, Stall};

const LIMIT: Duration = Duration::from_millis(20);
/// Events that the recorder keeps.
const RECORDED: usize = 10_000;
/// The coroutine that blocks its thread by design.
const BLOCKING: &str = "loops";

#[derive(Default)]
pub struct Alarms {
    /// For how long the main thread had waited for a core when the current run began, in nanoseconds.
    waited_before: AtomicU64,
    all: AtomicU64,
    wrong: AtomicU64,
}

impl Alarms {
    /// A loop with a watchdog and a recorder.
    pub fn observed_loop(self: &Arc<Alarms>) -> Loop {
        let alarms = self.clone();
        Loop::builder().watchdog(LIMIT, move |stall| alarms.check(stall)).record(&Recorder::last(RECORDED)).build()
    }

    pub fn begin_run(&self) {
        self.waited_before.store(time_without_core().as_nanos() as u64, SeqCst);
    }

    fn check(&self, stall: &Stall) {
        if stall.is_over() {
            return;
        }
        self.all.fetch_add(1, SeqCst);
        let waited = time_without_core_until_it_runs() - Duration::from_nanos(self.waited_before.load(SeqCst));
        if stall.name() != BLOCKING && stall.duration().saturating_sub(waited) >= LIMIT {
            self.wrong.fetch_add(1, SeqCst);
            println!("false alarm: {stall}; the thread waited {waited:?} for a core");
        }
    }

    /// Prints how many alarms there were.
    ///
    /// # Errors
    ///
    /// If one of them was false.
    pub fn check_none_false(&self) -> Result<(), String> {
        let (all, wrong) = (self.all.load(SeqCst), self.wrong.load(SeqCst));
        println!("alarms of the watchdog after {LIMIT:?}: {all}; false: {wrong}");
        if wrong == 0 { Ok(()) } else { Err(format!("{wrong} false alarms")) }
    }
}

/// As [`time_without_core`], including the current wait of the main thread for a core. Linux adds this wait when the thread runs again. So
/// this function waits until the count changes, for a second at most. If the thread blocks for another reason, the count does not change.
fn time_without_core_until_it_runs() -> Duration {
    let before = time_without_core();
    (0..100)
        .map(|_| {
            thread::sleep(Duration::from_millis(10));
            time_without_core()
        })
        .find(|&waited| waited != before)
        .unwrap_or(before)
}

/// For how long the main thread was ready to run and had no core. Zero on systems that do not count this time.
fn time_without_core() -> Duration {
    let pid = std::process::id();
    let nanos = fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat"))
        .ok()
        .and_then(|counts| counts.split_whitespace().nth(1)?.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
