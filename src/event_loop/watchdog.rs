//! The setting for the watchdog.

use std::time::Duration;

use super::Builder;
use crate::inside::watchdog::Watchdog;
use crate::reports::stall::Stall;

impl Builder {
    /// Starts a thread that watches the turns of the loop. The thread calls `report` when a turn takes longer than `limit`.
    ///
    /// Each stall is reported once when it has lasted for `limit`, and once more when it is over. The second report also has the
    /// line of the `yield` that ended the turn, so the slow code is between its two lines. Each run starts the thread. When the run
    /// ends, the thread reports the remaining stalls, and is joined. An idle loop does not count as a stall, and does not wake the
    /// thread.
    ///
    /// The watchdog measures real time. So it also reports a turn in which the thread got no processor for longer than `limit`, or
    /// in which the backtrace of a panic took long to print. If `report` panics, the panic hook prints the panic, and the watchdog
    /// continues.
    ///
    /// A stall that begins and ends while `report` runs is reported afterwards. The last 64 of these reports are kept. A run ends only
    /// when `report` has returned. So `report` must not wait for a lock that the caller of [`run`](crate::Loop::run) holds: that
    /// would be a deadlock that nothing detects.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use tinyield::{Loop, Stall, co};
    ///
    /// let (sender, stalls) = mpsc::channel();
    /// let report = move |stall: &Stall| sender.send(stall.clone()).unwrap();
    /// let mut event_loop = Loop::builder().watchdog(Duration::from_millis(20), report).build();
    /// let blocking = co! {
    ///     yield;
    ///     std::thread::sleep(Duration::from_millis(100)); // should be `yield sleep(..)`
    ///     yield;
    /// };
    /// event_loop.run(blocking.named("blocking")).unwrap();
    ///
    /// let (during, after) = (stalls.recv().unwrap(), stalls.recv().unwrap());
    /// assert_eq!((during.name(), during.yielded_at()), ("blocking", None));
    /// assert_eq!(after.yielded_at().unwrap().line(), after.location().line() + 2);
    /// ```
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    #[track_caller]
    pub fn watchdog(mut self, limit: Duration, report: impl FnMut(&Stall) + Send + 'static) -> Builder {
        assert!(
            !limit.is_zero(),
            "a watchdog with a limit of no time would report every turn; its limit has to be longer than zero, such as \
             `.watchdog(Duration::from_millis(50), ..)`"
        );
        self.watchdog = Some(Watchdog::new(limit, report));
        self
    }
}
