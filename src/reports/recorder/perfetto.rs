//! The packets of a Perfetto trace.
//!
//! The messages and their fields are defined in `protos/perfetto/trace` in Perfetto's sources. This file lists only the fields
//! that it uses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, BufWriter, Write};
use std::panic::Location;

use super::protobuf::Message;
use super::ring::{End, Event, Ring, TaskKey, WokenBy};
use crate::iterations;

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

/// The numbers of the tracks in the written trace.
#[derive(Default)]
struct Tracks {
    numbers: HashMap<TaskKey, u64>,
}

impl Tracks {
    /// The track of the thread of a run.
    fn thread(&mut self, run: u64) -> u64 {
        // The ids of tasks begin at 1, so 0 stands for the thread.
        self.coroutine(TaskKey { run, task: 0 })
    }

    fn coroutine(&mut self, key: TaskKey) -> u64 {
        let next = PROCESS_TRACK + 1 + self.numbers.len() as u64;
        *self.numbers.entry(key).or_insert(next)
    }
}

/// Writes a trace of the events in `ring`.
pub(super) fn write(ring: &Ring, writer: impl Write) -> io::Result<()> {
    let mut trace = Trace { ring, tracks: Tracks::default(), writer: BufWriter::new(writer), is_first: true };
    let result = trace.write();
    if result.is_err() {
        // The destructor of the `BufWriter` would try to write the rest of its buffer again.
        let _unwritten = trace.writer.into_parts();
    }
    result
}

struct Trace<'a, W: Write> {
    ring: &'a Ring,
    tracks: Tracks,
    writer: BufWriter<W>,
    is_first: bool,
}

impl<W: Write> Trace<'_, W> {
    fn write(&mut self) -> io::Result<()> {
        self.tracks()?;
        self.lifetimes()?;
        self.events()?;
        self.writer.flush()
    }

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
        let runs: BTreeSet<u64> = self.ring.events().map(|(key, _)| key.run).collect();
        for (run, number) in runs.into_iter().zip(1..) {
            let name = format!("loop {run}, thread {}", self.ring.thread(run));
            let thread = Message::default()
                .number(track::THREAD_PID, pid)
                .number(track::THREAD_TID, number)
                .text(track::THREAD_NAME, &name);
            let uuid = self.tracks.thread(run);
            self.track(
                Message::default()
                    .number(track::UUID, uuid)
                    .number(track::PARENT, PROCESS_TRACK)
                    .message(track::THREAD, &thread),
            )?;
        }
        for key in self.coroutines() {
            let Some(known) = self.ring.known(key) else { continue };
            let track = self.tracks.coroutine(key);
            let parent = self.ring.parent(key).map_or(PROCESS_TRACK, |parent| self.tracks.coroutine(parent));
            let name = format!("{} {}", known.name, place(known.location));
            self.track(
                Message::default().number(track::UUID, track).number(track::PARENT, parent).text(track::NAME, &name),
            )?;
        }
        Ok(())
    }

    /// The coroutines that have a track, in the order in which they started. These are the coroutines with events, and all
    /// their ancestors.
    fn coroutines(&self) -> BTreeSet<TaskKey> {
        let mut coroutines = BTreeSet::new();
        for (key, _) in self.ring.events() {
            let mut next = self.ring.coroutine(key);
            while let Some(key) = next
                && coroutines.insert(key)
            {
                iterations::count();
                next = self.ring.parent(key);
            }
        }
        coroutines
    }

    /// Writes a slice for each coroutine, from its start to its end. If the start is not recorded, the slice begins at the
    /// first recorded event. If there is no end, the slice stays open.
    fn lifetimes(&mut self) -> io::Result<()> {
        let mut spans = BTreeMap::<TaskKey, (u64, Option<(u64, End)>)>::new();
        for (key, event) in self.ring.events() {
            // An internal task has no track of its own.
            if self.ring.coroutine(key) != Some(key) {
                continue;
            }
            let at = match event {
                Event::Started { at, .. } | Event::Woken { at, .. } | Event::Cancelled { at, .. } => *at,
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
            let track = self.tracks.coroutine(key);
            let mut event = Message::default()
                .number(event::TYPE, event::SLICE_BEGIN)
                .number(event::TRACK, track)
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
                self.slice_end(at, track)?;
            }
        }
        Ok(())
    }

    // Events.

    fn events(&mut self) -> io::Result<()> {
        let ring = self.ring;
        let arrows = Arrows::of(ring);
        for (index, (key, event)) in ring.events().enumerate() {
            match event {
                Event::Turn { began, ended, from, to } => {
                    let (leaving, arriving) = (arrows.leaving(index), arrows.arriving(index));
                    let name = ring.coroutine(key).and_then(|key| ring.known(key)).map_or("run", |known| &known.name);
                    let own = ring.coroutine(key).map(|key| self.tracks.coroutine(key));
                    let thread = self.tracks.thread(key.run);
                    // Arrows connect the tracks of coroutines. If the coroutine of a turn is not known, the arrows of the turn
                    // are at the track of the thread.
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
                        WokenBy::Task(task) => {
                            let known = ring.coroutine(TaskKey { task: *task, ..key }).and_then(|key| ring.known(key));
                            known.map_or("run", |known| &*known.name)
                        }
                        WokenBy::Timer => "a timer",
                        WokenBy::Outside => "from outside",
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
        let track = match self.ring.coroutine(key) {
            Some(key) => self.tracks.coroutine(key),
            None => self.tracks.thread(key.run),
        };
        let message = Message::default()
            .number(event::TYPE, event::INSTANT)
            .number(event::TRACK, track)
            .text(event::CATEGORY, category)
            .text(event::NAME, name)
            .message(event::ANNOTATION, annotation);
        self.event(at, message)
    }
}

/// The arrows between turns. Each leads from the turn in which a task was woken or started to the next turn of that task.
///
/// In the ring, the wake-ups and starts of a turn follow the event of the turn. Events of other runs may be between them.
#[derive(Default)]
struct Arrows {
    /// The arrows that leave a turn, by the index of the event of that turn.
    leaving: HashMap<usize, Vec<u64>>,
    arriving: HashMap<usize, Vec<u64>>,
}

impl Arrows {
    fn of(ring: &Ring) -> Arrows {
        let mut arrows = Arrows::default();
        let mut open: HashMap<TaskKey, Vec<u64>> = HashMap::new();
        let mut last_turns: HashMap<u64, (usize, u64)> = HashMap::new();
        for (index, (key, event)) in ring.events().enumerate() {
            let by = match event {
                Event::Turn { .. } => {
                    last_turns.insert(key.run, (index, key.task));
                    if let Some(arriving) = open.remove(&key) {
                        arrows.arriving.insert(index, arriving);
                    }
                    continue;
                }
                Event::Woken { by: WokenBy::Task(by), .. } | Event::Started { by: Some(by), .. } => *by,
                _ => continue,
            };
            // The turn is not known if its event was dropped to make room.
            if let Some((turn, _)) = last_turns.get(&key.run).filter(|(_, task)| *task == by) {
                let arrow = index as u64 + 1;
                arrows.leaving.entry(*turn).or_default().push(arrow);
                open.entry(key).or_default().push(arrow);
            }
        }
        arrows
    }

    fn leaving(&self, turn: usize) -> &[u64] {
        self.leaving.get(&turn).map_or(&[], Vec::as_slice)
    }

    fn arriving(&self, turn: usize) -> &[u64] {
        self.arriving.get(&turn).map_or(&[], Vec::as_slice)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_runs_have_other_tracks_than_early_runs() {
        let mut tracks = Tracks::default();
        let mut numbers = BTreeSet::from([PROCESS_TRACK]);
        let runs = [1, 2, 1 << 24, 1 + (1 << 24), 1 << 32, 1 + (1 << 32)];
        for run in runs {
            numbers.extend([tracks.thread(run), tracks.coroutine(TaskKey { run, task: 1 })]);
            numbers.insert(tracks.coroutine(TaskKey { run, task: 1 << 40 }));
        }
        assert_eq!(numbers.len(), 1 + 3 * runs.len());
    }

    #[test]
    fn arrows_do_not_change_if_the_events_of_several_runs_alternate() {
        let here = Location::caller();
        let turn = || Event::Turn { began: 0, ended: 0, from: here, to: here };
        let woken = |by| Event::Woken { at: 0, by: WokenBy::Task(by) };
        let count = |runs: u64| {
            let mut ring = Ring::new(100);
            let runs: Vec<_> = (0..runs).map(|_| ring.begin_run(String::new())).collect();
            for (task, event) in [(1, turn()), (2, woken(1)), (2, turn()), (1, woken(2)), (1, turn())] {
                for &run in &runs {
                    let key = TaskKey { run, task };
                    ring.know(key, "task".into(), None, here);
                    ring.push(key, event.clone());
                }
            }
            let arrows = Arrows::of(&ring);
            let count = |by_turn: &HashMap<usize, Vec<u64>>| by_turn.values().flatten().count();
            (count(&arrows.leaving), count(&arrows.arriving))
        };
        assert_eq!(count(1), (2, 2));
        assert_eq!(count(3), (6, 6));
    }
}
