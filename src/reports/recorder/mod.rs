//! A recorder keeps the last events of the loops that use it, and writes them as a trace for Perfetto.
//!
//! [`ring`], a ring buffer, keeps the events. [`perfetto`] makes packets from them, and [`protobuf`] encodes the packets.

mod perfetto;
mod protobuf;
mod ring;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

pub use self::ring::Recorded;
pub(crate) use self::ring::{End, WokenBy};
use self::ring::{Event, Ring, TaskKey};
use crate::error::Cancelled;

/// A flight recorder: it keeps the last events of the loops that use it.
///
/// The events are the start, the turns, the wake-ups, the cancellation and the end of each coroutine. A recorder is a handle: its
/// clones share the events. [`write_perfetto`](Recorder::write_perfetto) may be called at any time and from any thread, also while
/// a loop runs. Several loops may share a recorder, one after the other, or at the same time on several threads.
///
/// [`Builder::record`](crate::Builder::record) gives a recorder to a loop. Recording makes each turn a few hundred nanoseconds
/// longer, and an event takes about 100 bytes. The name and line of a coroutine that has ended are removed together with its
/// last event.
///
/// ```
/// use tinyield::{Loop, Recorder, co};
///
/// let recorder = Recorder::last(1_000_000);
/// let mut event_loop = Loop::builder().record(&recorder).build();
/// event_loop.run(co! { yield co! { yield; }.named("child"); }).unwrap();
///
/// let recorded = recorder.recorded();
/// assert_eq!(recorded.coroutines, 2);
/// assert_eq!(recorded.turns, 4);
/// let mut file = Vec::new(); // or File::create("run.pftrace")?
/// recorder.write_perfetto(&mut file)?;
/// # assert!(!file.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Recorder {
    ring: Arc<Mutex<Ring>>,
    zero: Instant,
}

impl Recorder {
    /// Makes a recorder that keeps the last `events` events.
    ///
    /// # Panics
    ///
    /// If `events` is 0.
    #[must_use]
    #[track_caller]
    pub fn last(events: usize) -> Recorder {
        assert!(events > 0, "a recorder of 0 events could never keep anything; it takes at least 1");
        Recorder { ring: Arc::new(Mutex::new(Ring::new(events))), zero: Instant::now() }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events are kept now, by kind. The recorder counts each event when it is added and when it is dropped, so this
    /// takes constant time.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        self.ring().recorded()
    }

    /// Writes the events as a trace for [Perfetto](https://ui.perfetto.dev), which shows the file in a browser.
    ///
    /// Each coroutine has a track, below the track of the coroutine that started it. The thread has a track with all turns.
    /// When a turn wakes a coroutine, an arrow leads from that turn to the next turn of the coroutine. All times are real
    /// times, counted from the moment at which the recorder was made. This is so in a simulated loop, too.
    ///
    /// This function first copies the events, and then writes the copy. The events stay in the recorder. Copying a million
    /// events takes about 0.2 s. During that time, a loop that has to record an event waits. While the copy is written, the
    /// loops go on. The copy takes as much memory as the events.
    ///
    /// # Errors
    ///
    /// The error that `writer` returns. After an error, `writer` is not called again. The events stay in the recorder in this
    /// case, too.
    pub fn write_perfetto(&self, writer: impl Write) -> io::Result<()> {
        let snapshot = self.ring().clone();
        perfetto::write(&snapshot, writer)
    }

    /// Begins to record a run on this thread.
    pub(crate) fn begin_run(&self) -> RunRecorder {
        let thread = thread::current().name().unwrap_or("unnamed").to_string();
        RunRecorder { recorder: self.clone(), run: self.ring().begin_run(thread) }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (recorded, runs) = {
            let ring = self.ring();
            (ring.recorded(), ring.run_count())
        };
        f.debug_struct("Recorder").field("recorded", &recorded).field("runs", &runs).finish()
    }
}

/// Records one run.
pub(crate) struct RunRecorder {
    recorder: Recorder,
    run: u64,
}

impl RunRecorder {
    fn time(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.recorder.zero).as_nanos()).unwrap_or(u64::MAX)
    }

    fn key(&self, task: u64) -> TaskKey {
        TaskKey { run: self.run, task }
    }

    pub(crate) fn started(
        &self,
        name: Cow<'static, str>,
        task: u64,
        by: u64,
        location: &'static Location<'static>,
        at: Instant,
    ) {
        let key = self.key(task);
        let mut ring = self.recorder.ring();
        ring.know(key, name, Some(by), location);
        ring.push(key, Event::Started { at: self.time(at), by: Some(by) });
    }

    pub(crate) fn turn(
        &self,
        name: Cow<'static, str>,
        task: u64,
        (began, from): (Instant, &'static Location<'static>),
        (ended, to): (Instant, &'static Location<'static>),
    ) {
        let key = self.key(task);
        let (began, ended) = (self.time(began), self.time(ended));
        let mut ring = self.recorder.ring();
        if ring.know(key, name, None, from) {
            ring.push(key, Event::Started { at: began, by: None });
        }
        ring.push(key, Event::Turn { began, ended, from, to });
    }

    pub(crate) fn woken(
        &self,
        name: Cow<'static, str>,
        task: u64,
        by: WokenBy,
        location: &'static Location<'static>,
        at: Instant,
    ) {
        let (key, at) = (self.key(task), self.time(at));
        let mut ring = self.recorder.ring();
        if ring.know(key, name, None, location) {
            // The recorder did not have this task until now, so the task was started outside of any turn.
            return ring.push(key, Event::Started { at, by: None });
        }
        ring.push(key, Event::Woken { at, by });
    }

    pub(crate) fn cancelled(&self, task: u64, at: Instant, reason: &Cancelled) {
        let at = self.time(at);
        let reason = reason.to_string().into();
        self.recorder.ring().push(self.key(task), Event::Cancelled { at, reason });
    }

    pub(crate) fn ended(&self, task: u64, at: Instant, end: End) {
        let at = self.time(at);
        self.recorder.ring().end(self.key(task), at, end);
    }
}

impl Drop for RunRecorder {
    fn drop(&mut self) {
        self.recorder.ring().end_run(self.run);
    }
}
