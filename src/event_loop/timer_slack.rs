//! The setting for the slack of timers. The clock of the scheduler applies the slack: it says until when an idle loop waits.

use std::time::Duration;

use super::Builder;

/// The longest slack. A longer slack is probably a mistake, such as seconds in place of milliseconds.
const LONGEST: Duration = Duration::from_secs(60);

impl Builder {
    /// Sets for how long an idle loop may wait after the deadline of its next timer. Timers that become due in this time fire
    /// together. So a loop with many timers wakes up less often, and takes less processor time. The default is zero.
    ///
    /// A timer never fires before its deadline, and timers fire in the order of their deadlines. The slack makes a timer late by at
    /// most `slack`, and only while the loop is idle. If coroutines are ready, or something else has woken the loop, it fires each
    /// timer that is due.
    ///
    /// It applies to all timers of the loop: [`sleep`](crate::sleep()), [`sleep_until`](crate::sleep_until),
    /// [`interval`](crate::interval()), [`timeout`](crate::timeout()) and [`Event::wait_timeout`](crate::Event::wait_timeout).
    ///
    /// - A timeout also lasts up to `slack` longer. Work that ends before the timer fires is in time.
    /// - An interval does not drift, because its ticks are computed from the first tick. Ticks that pass within the slack are
    ///   missed, and `tick` counts them. So choose a slack that is shorter than the periods.
    /// - [`Idle::deadline`](crate::Idle::deadline) and [`Runtime::deadline`](crate::Runtime::deadline) include the slack.
    /// - The clock of a [simulated](Builder::simulated) loop jumps to the next deadline plus the slack. So the lateness is always the
    ///   same, and the longest possible. A sleep of zero does not move the clock.
    ///
    /// The timers of other crates have no slack. The bridges, such as `to_tokio`, make loops without slack. If a hosted loop needs
    /// slack, poll a [`Runtime`](crate::Runtime) instead.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tinyield::{Loop, co, now, sleep};
    ///
    /// const MS: Duration = Duration::from_millis(1);
    ///
    /// let nap = |duration| co! {
    ///     let start = yield now();
    ///     yield sleep(duration);
    ///     (yield now()) - start
    /// };
    /// let mut event_loop = Loop::builder().timer_slack(5 * MS).simulated(0).build();
    /// let slept = event_loop.run([10 * MS, 12 * MS, 30 * MS].map(nap)).unwrap();
    /// assert_eq!(slept, [15 * MS, 15 * MS, 35 * MS]); // the loop wakes up twice
    /// ```
    ///
    /// # Panics
    ///
    /// If `slack` is longer than a minute.
    #[track_caller]
    pub fn timer_slack(mut self, slack: Duration) -> Builder {
        self.timer_slack = checked(slack);
        self
    }
}

/// Returns `slack`.
///
/// # Panics
///
/// If `slack` is longer than [`LONGEST`].
#[track_caller]
pub(crate) fn checked(slack: Duration) -> Duration {
    assert!(
        slack <= LONGEST,
        "a slack of {slack:?} would make each timer late by up to that time; it can be at most {LONGEST:?}, and is usually some \
         milliseconds, such as `.timer_slack(Duration::from_millis(1))`"
    );
    slack
}
