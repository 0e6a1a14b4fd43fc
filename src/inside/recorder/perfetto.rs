//! The packets of a Perfetto trace.
//!
//! The messages and their fields are those of `protos/perfetto/trace` in Perfetto's sources. Only what is used is listed here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, BufWriter, Write};
use std::panic::Location;

use super::protobuf::Message;
use super::ring::{End, Event, Ring, TaskKey, Waker};

mod trace {
    pub const PACKET: u32 = 1;
}

mod packet {
    pub const TIMESTAMP: u32 = 8;
    pub const SEQUENCE_ID: u32 = 10;
    pub const TRACK_EVENT: u32 = 11;
    pub const SEQUENCE_FLAGS: u32 = 13;
    pub const TRACK_DESCRIPTOR: u32 = 60;

    /// The value of [`SEQUENCE_FLAGS`] in the first packet.
    pub const IS_FIRST: u64 = 1;
}

mod track {
    pub const UUID: u32 = 1;
    pub const NAME: u32 = 2;
    pub const PROCESS: u32 = 3;
    pub const THREAD: u32 = 4;
    pub const PARENT: u32 = 5;

    pub const PROCESS_PID: u32 = 1;
    pub const PROCESS_NAME: u32 = 6;
    pub const THREAD_PID: u32 = 1;
    pub const THREAD_TID: u32 = 2;
    pub const THREAD_NAME: u32 = 5;
}

mod event {
    pub const ANNOTATION: u32 = 4;
    pub const TYPE: u32 = 9;
    pub const TRACK: u32 = 11;
    pub const CATEGORY: u32 = 22;
    pub const NAME: u32 = 23;
    pub const SOURCE_LOCATION: u32 = 33;
    pub const FLOW: u32 = 47;
    pub const ENDING_FLOW: u32 = 48;

    pub const SLICE_BEGIN: u64 = 1;
    pub const SLICE_END: u64 = 2;
    pub const INSTANT: u64 = 3;

    pub const ANNOTATION_NAME: u32 = 10;
    pub const ANNOTATION_TEXT: u32 = 6;
    pub const LOCATION_FILE: u32 = 2;
    pub const LOCATION_LINE: u32 = 4;
}

const PROCESS_TRACK: u64 = 1;

/// The track of the thread of a run.
fn thread_track(run: u32) -> u64 {
    u64::from(run) << 40
}

/// The track of a coroutine. Its number is at least 1.
fn coroutine_track(key: TaskKey) -> u64 {
    thread_track(key.run) + key.task
}

/// Writes a trace of what `ring` has.
pub(super) fn write(ring: &Ring, writer: impl Write) -> io::Result<()> {
    let mut trace = Trace { ring, writer: BufWriter::new(writer), is_first: true };
    trace.tracks()?;
    trace.lifetimes()?;
    trace.events()?;
    trace.writer.flush()
}

struct Trace<'a, W: Write> {
    ring: &'a Ring,
    writer: BufWriter<W>,
    is_first: bool,
}

impl<W: Write> Trace<'_, W> {
    fn packet(&mut self, packet: Message) -> io::Result<()> {
        let mut packet = packet.number(packet::SEQUENCE_ID, 1);
        if std::mem::take(&mut self.is_first) {
            packet = packet.number(packet::SEQUENCE_FLAGS, packet::IS_FIRST);
        }
        self.writer.write_all(Message::default().message(trace::PACKET, &packet).bytes())
    }

    fn track(&mut self, track: Message) -> io::Result<()> {
        self.packet(Message::default().message(packet::TRACK_DESCRIPTOR, &track))
    }

    fn event(&mut self, at: u64, event: Message) -> io::Result<()> {
        self.packet(Message::default().number(packet::TIMESTAMP, at).message(packet::TRACK_EVENT, &event))
    }

    fn slice_end(&mut self, at: u64, track: u64) -> io::Result<()> {
        self.event(at, Message::default().number(event::TYPE, event::SLICE_END).number(event::TRACK, track))
    }

    // Tracks.

    fn tracks(&mut self) -> io::Result<()> {
        let pid = u64::from(std::process::id());
        let process = Message::default().number(track::PROCESS_PID, pid).text(track::PROCESS_NAME, "tinyield");
        self.track(Message::default().number(track::UUID, PROCESS_TRACK).message(track::PROCESS, &process))?;
        let runs: BTreeSet<u32> = self.ring.events().map(|(key, _)| key.run).collect();
        for run in runs {
            let name = format!("loop {run}, thread {}", self.ring.thread(run));
            let thread = Message::default()
                .number(track::THREAD_PID, pid)
                .number(track::THREAD_TID, u64::from(run))
                .text(track::THREAD_NAME, &name);
            let uuid = thread_track(run);
            self.track(
                Message::default()
                    .number(track::UUID, uuid)
                    .number(track::PARENT, PROCESS_TRACK)
                    .message(track::THREAD, &thread),
            )?;
        }
        for key in self.coroutines() {
            let Some(known) = self.ring.known(key) else { continue };
            let parent = known.parent.and_then(|task| self.ring.coroutine(TaskKey { task, ..key }));
            let parent = parent.map_or(PROCESS_TRACK, coroutine_track);
            let name = format!("{} {}", known.name, place(known.location));
            self.track(
                Message::default()
                    .number(track::UUID, coroutine_track(key))
                    .number(track::PARENT, parent)
                    .text(track::NAME, &name),
            )?;
        }
        Ok(())
    }

    /// The coroutines that have a track: those with events, and those above them, in the order in which they started.
    fn coroutines(&self) -> BTreeSet<TaskKey> {
        let mut coroutines = BTreeSet::new();
        let mut seen = HashSet::new();
        for (key, _) in self.ring.events() {
            let mut next = self.ring.coroutine(key).filter(|_| seen.insert(key));
            while let Some(key) = next
                && coroutines.insert(key)
            {
                let parent = self.ring.known(key).and_then(|known| known.parent);
                next = parent.and_then(|task| self.ring.coroutine(TaskKey { task, ..key }));
            }
        }
        coroutines
    }

    /// A slice of each coroutine from its start to its end, as far as these were recorded.
    fn lifetimes(&mut self) -> io::Result<()> {
        let mut spans = BTreeMap::<TaskKey, (u64, Option<(u64, End)>)>::new();
        for (key, event) in self.ring.events() {
            // A task of the library has no track of its own.
            if self.ring.coroutine(key) != Some(key) {
                continue;
            }
            let at = match event {
                Event::Started { at } | Event::Woken { at, .. } | Event::Cancelled { at, .. } => *at,
                Event::Turn { began, .. } => *began,
                Event::Ended { at, .. } => *at,
            };
            let span = spans.entry(key).or_insert((at, None));
            span.0 = span.0.min(at);
            if let Event::Ended { at, end } = event {
                span.1 = Some((*at, *end));
            }
        }
        for (key, (begin, end)) in spans {
            let Some(known) = self.ring.known(key) else { continue };
            let mut event = Message::default()
                .number(event::TYPE, event::SLICE_BEGIN)
                .number(event::TRACK, coroutine_track(key))
                .text(event::CATEGORY, "coroutine")
                .text(event::NAME, &known.name)
                .message(event::SOURCE_LOCATION, &source_location(known.location));
            if let Some((_, end)) = end {
                let words = match end {
                    End::Value => "a value",
                    End::Error => "an error",
                    End::Cancelled => "cancelled",
                    End::Panicked => "a panic",
                };
                event = event.message(event::ANNOTATION, &annotation("ended with", words));
            }
            self.event(begin, event)?;
            if let Some((at, _)) = end {
                self.slice_end(at, coroutine_track(key))?;
            }
        }
        Ok(())
    }

    // Events.

    fn events(&mut self) -> io::Result<()> {
        let ring = self.ring;
        let (mut arrows, mut cursor) = (Arrows::default(), 0);
        let events: Vec<_> = ring.events().collect();
        while let Some(&(key, event)) = events.get(cursor) {
            cursor += 1;
            match event {
                Event::Turn { began, ended, from, to } => {
                    // What it woke and started follows right after it.
                    let woken = events[cursor..].iter().map_while(|&(other, event)| match event {
                        Event::Woken { by: Waker::Task(waker), .. } if is(key, other, *waker) => Some(other),
                        Event::Started { .. }
                            if ring.known(other)?.parent == Some(key.task) && other.run == key.run =>
                        {
                            Some(other)
                        }
                        _ => None,
                    });
                    let leaving: Vec<u64> = woken.map(|other| arrows.add(other)).collect();
                    let arriving = arrows.take(key);
                    let name = ring.coroutine(key).and_then(|key| ring.known(key)).map_or("run", |known| &known.name);
                    let own = ring.coroutine(key).map(coroutine_track);
                    let thread = thread_track(key.run);
                    // The arrows are between the tracks of the coroutines.
                    for track in std::iter::once(thread).chain(own) {
                        let mut message = Message::default()
                            .number(event::TYPE, event::SLICE_BEGIN)
                            .number(event::TRACK, track)
                            .text(event::CATEGORY, if track == thread { "turn" } else { "running" })
                            .text(event::NAME, if track == thread { name } else { "turn" })
                            .message(event::SOURCE_LOCATION, &source_location(from))
                            .message(event::ANNOTATION, &annotation("from", &place(from)))
                            .message(event::ANNOTATION, &annotation("to", &place(to)));
                        if own.is_none_or(|own| own == track) {
                            message = leaving.iter().fold(message, |message, flow| message.fixed64(event::FLOW, *flow));
                            message = arriving
                                .iter()
                                .fold(message, |message, flow| message.fixed64(event::ENDING_FLOW, *flow));
                        }
                        self.event(*began, message)?;
                        self.slice_end(*ended, track)?;
                    }
                }
                Event::Woken { at, by } => {
                    let by = match by {
                        Waker::Task(task) => {
                            let known = ring.coroutine(TaskKey { task: *task, ..key }).and_then(|key| ring.known(key));
                            known.map_or("run", |known| &*known.name)
                        }
                        Waker::Timer => "a timer",
                        Waker::Outside => "from outside",
                    };
                    self.instant(*at, key, "wake", "woken", &annotation("by", by))?;
                }
                Event::Cancelled { at, reason } => {
                    self.instant(*at, key, "cancel", "cancelled", &annotation("reason", reason))?;
                }
                Event::Started { .. } | Event::Ended { .. } => {}
            }
        }
        Ok(())
    }

    fn instant(&mut self, at: u64, key: TaskKey, category: &str, name: &str, annotation: &Message) -> io::Result<()> {
        let track = self.ring.coroutine(key).map_or(thread_track(key.run), coroutine_track);
        let message = Message::default()
            .number(event::TYPE, event::INSTANT)
            .number(event::TRACK, track)
            .text(event::CATEGORY, category)
            .text(event::NAME, name)
            .message(event::ANNOTATION, annotation);
        self.event(at, message)
    }
}

fn is(key: TaskKey, other: TaskKey, waker: u64) -> bool {
    key.run == other.run && key.task == waker
}

/// The arrows that have begun, by the task to whose next turn they lead.
#[derive(Default)]
struct Arrows {
    open: HashMap<TaskKey, Vec<u64>>,
    last: u64,
}

impl Arrows {
    fn add(&mut self, to: TaskKey) -> u64 {
        self.last += 1;
        self.open.entry(to).or_default().push(self.last);
        self.last
    }

    fn take(&mut self, to: TaskKey) -> Vec<u64> {
        self.open.remove(&to).unwrap_or_default()
    }
}

fn annotation(name: &str, text: &str) -> Message {
    Message::default().text(event::ANNOTATION_NAME, name).text(event::ANNOTATION_TEXT, text)
}

fn source_location(location: &'static Location<'static>) -> Message {
    Message::default()
        .text(event::LOCATION_FILE, location.file())
        .number(event::LOCATION_LINE, u64::from(location.line()))
}

fn place(location: &'static Location<'static>) -> String {
    format!("{}:{}", location.file(), location.line())
}
