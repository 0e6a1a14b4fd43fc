//! The recorder: the events that it keeps, and the content of its file, as an independent reader of protocol buffers finds it.

#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use prost::Message;
use tinyield::{Coro, Event, Loop, Recorder, as_completed, co, coro, run_in_thread, sleep, spawn, timeout};

/// The parts of the messages in `protos/perfetto/trace` of Perfetto that these tests use.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Trace {
        #[prost(message, repeated, tag = "1")]
        pub packet: Vec<Packet>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Packet {
        #[prost(uint64, optional, tag = "8")]
        pub timestamp: Option<u64>,
        #[prost(uint32, tag = "10")]
        pub sequence: u32,
        #[prost(message, optional, tag = "11")]
        pub event: Option<Event>,
        #[prost(message, optional, tag = "60")]
        pub track: Option<Track>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Track {
        #[prost(uint64, tag = "1")]
        pub uuid: u64,
        #[prost(string, tag = "2")]
        pub name: String,
        #[prost(uint64, optional, tag = "5")]
        pub parent: Option<u64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Event {
        #[prost(message, repeated, tag = "4")]
        pub annotations: Vec<Annotation>,
        #[prost(int32, tag = "9")]
        pub kind: i32,
        #[prost(uint64, tag = "11")]
        pub track: u64,
        #[prost(string, repeated, tag = "22")]
        pub categories: Vec<String>,
        #[prost(string, tag = "23")]
        pub name: String,
        #[prost(fixed64, repeated, packed = "false", tag = "47")]
        pub flows: Vec<u64>,
        #[prost(fixed64, repeated, packed = "false", tag = "48")]
        pub ending_flows: Vec<u64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Annotation {
        #[prost(string, tag = "10")]
        pub name: String,
        #[prost(string, tag = "6")]
        pub text: String,
    }
}

/// The trace that `recorder` writes, as the reader finds it.
struct Trace(proto::Trace);

impl Trace {
    fn of(recorder: &Recorder) -> Trace {
        let mut file = Vec::new();
        recorder.write_perfetto(&mut file).unwrap();
        Trace(proto::Trace::decode(&*file).unwrap())
    }

    fn tracks(&self) -> BTreeMap<u64, &proto::Track> {
        self.0.packet.iter().filter_map(|packet| Some((packet.track.as_ref()?.uuid, packet.track.as_ref()?))).collect()
    }

    fn events(&self, category: &str) -> Vec<&proto::Event> {
        let events = self.0.packet.iter().filter_map(|packet| packet.event.as_ref());
        events.filter(|event| event.categories.iter().any(|other| other == category)).collect()
    }

    /// The name of a track, without the line.
    fn name(&self, uuid: u64) -> &str {
        self.tracks()[&uuid].name.split(' ').next().unwrap()
    }

    fn annotation<'a>(event: &'a proto::Event, name: &str) -> &'a str {
        &event.annotations.iter().find(|annotation| annotation.name == name).unwrap().text
    }

    /// The pairs of coroutines between which arrows lead.
    fn arrows(&self) -> Vec<(&str, &str)> {
        let (turns, tracks) = (self.events("running"), self.tracks());
        let name = |turn: &proto::Event| tracks[&turn.track].name.split(' ').next().unwrap();
        let from = turns.iter().flat_map(|turn| turn.flows.iter().map(|flow| (*flow, name(turn))));
        let to: BTreeMap<_, _> =
            turns.iter().flat_map(|turn| turn.ending_flows.iter().map(|flow| (*flow, name(turn)))).collect();
        from.filter_map(|(flow, from)| Some((from, *to.get(&flow)?))).collect()
    }
}

#[coro]
fn leaf() -> Coro<u32> {
    yield;
    1
}

#[coro]
fn middle() -> Coro<u32> {
    (yield leaf()) + (yield timeout(leaf(), common::LONG)).unwrap()
}

#[coro]
fn top() -> Coro<u32> {
    yield spawn(middle());
    yield middle()
}

fn recorded(main: Coro<u32>) -> Recorder {
    let recorder = Recorder::last(1_000_000);
    Loop::builder().record(&recorder).build().run(main).unwrap();
    recorder
}

#[test]
fn the_counts_are_those_of_the_run() {
    let recorder = Recorder::last(1_000);
    let mut event_loop = Loop::builder().record(&recorder).build();
    event_loop.run(co! { yield (co! { yield; }, co! {}); }).unwrap();
    let counts = recorder.recorded();
    assert_eq!((counts.coroutines, counts.starts, counts.ends), (3, 3, 3));
    assert_eq!(counts.turns as u64, event_loop.statistics().turns());
    assert_eq!((counts.turns, counts.cancellations, counts.dropped), (5, 0, 0));
    // The last child that ends wakes the first coroutine.
    assert_eq!((counts.wakes, counts.wakes_by_coroutines), (1, 1));
}

#[test]
fn the_file_has_the_events_that_the_recorder_counts() {
    let recorder = recorded(co! {
        let event = Event::new();
        let waiter = { let event = event.clone(); co! { yield event.wait(); } };
        let waiter = yield spawn(waiter);
        let all = yield top();
        yield sleep(Duration::from_millis(1));
        yield run_in_thread(|| ());
        event.set();
        yield waiter;
        all
    });
    let (counts, trace) = (recorder.recorded(), Trace::of(&recorder));
    assert_eq!(trace.events("turn").len(), counts.turns);
    assert_eq!(trace.events("coroutine").len(), counts.coroutines);
    assert_eq!(trace.events("wake").len(), counts.wakes);
    let ends = trace.events("coroutine").iter().filter(|event| !event.annotations.is_empty()).count();
    assert_eq!(ends, counts.ends);
    let events = || trace.0.packet.iter().filter_map(|packet| packet.event.as_ref());
    let count = |kind| events().filter(|event| event.kind == kind).count();
    assert_eq!(count(1), count(2), "each slice that begins ends");
    assert!(counts.wakes > counts.wakes_by_coroutines, "a timer and a thread woke something");
    assert!(trace.0.packet.iter().all(|packet| packet.sequence == 1));
}

#[test]
fn tracks_nest_as_the_coroutines_do() {
    let trace = Trace::of(&recorded(top()));
    let tracks = trace.tracks();
    let mut paths: Vec<String> = Vec::new();
    for track in tracks.values().filter(|track| !track.name.is_empty()) {
        let mut path = vec![track.name.split(' ').next().unwrap()];
        let mut next = track.parent;
        while let Some(above) = next.and_then(|uuid| tracks.get(&uuid)).filter(|above| !above.name.is_empty()) {
            path.push(above.name.split(' ').next().unwrap());
            next = above.parent;
        }
        path.reverse();
        paths.push(path.join("/"));
    }
    paths.sort();
    let below =
        ["top", "top/middle", "top/middle", "top/middle/leaf", "top/middle/leaf", "top/middle/leaf", "top/middle/leaf"];
    assert_eq!(paths, below);
}

#[test]
fn arrows_lead_from_the_waking_task_to_the_woken_task() {
    let recorder = recorded(
        co! {
            let (ping, pong) = (Event::new(), Event::new());
            let other = {
                let (ping, pong) = (ping.clone(), pong.clone());
                co! {
                    yield ping.wait();
                    pong.set();
                }
            };
            yield spawn(other.named("other"));
            yield;
            ping.set();
            yield pong.wait();
            5
        }
        .named("main"),
    );
    let trace = Trace::of(&recorder);
    // The first arrow leads to the coroutine that is started.
    assert_eq!(trace.arrows(), [("main", "other"), ("main", "other"), ("other", "main")]);
    let by: Vec<_> = trace.events("wake").into_iter().map(|event| Trace::annotation(event, "by")).collect();
    assert_eq!(by, ["main", "other"]);
}

/// Two coroutines that wake each other `times` times.
fn ping_pong(times: usize) -> Coro<u32> {
    let (ping, pong) = (Event::new(), Event::new());
    let other = {
        let (ping, pong) = (ping.clone(), pong.clone());
        co! {
            for _ in 0..times {
                yield ping.wait();
                ping.clear();
                pong.set();
            }
        }
    };
    let main = co! {
        yield spawn(other.named("other"));
        for _ in 0..times {
            ping.set();
            yield pong.wait();
            pong.clear();
        }
        0
    };
    main.named("main")
}

#[test]
fn loops_on_several_threads_that_share_a_recorder_have_the_arrows_of_each_alone() {
    const TIMES: usize = 1_000;
    let alone = Trace::of(&recorded(ping_pong(TIMES))).arrows().len();
    assert!(alone >= 2 * TIMES, "{alone}");
    let recorder = Recorder::last(1_000_000);
    let both_begin = Arc::new(Barrier::new(2));
    let threads = [(); 2].map(|()| {
        let (recorder, both_begin) = (recorder.clone(), both_begin.clone());
        std::thread::spawn(move || {
            both_begin.wait();
            Loop::builder().record(&recorder).build().run(ping_pong(TIMES)).unwrap()
        })
    });
    threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 0));
    assert_eq!(Trace::of(&recorder).arrows().len(), 2 * alone);
}

#[test]
fn cancellations_have_their_reason() {
    let recorder = Recorder::last(1_000);
    let mut event_loop = Loop::builder().record(&recorder).build();
    let waits = co! { yield sleep(common::LONG); };
    let fails = co! { yield; Err("disk full")?; };
    event_loop.run((waits.named("waits"), fails.named("fails"))).unwrap_err();
    // The library made the first task, which waits for both.
    assert_eq!(recorder.recorded().cancellations, 1);
    let trace = Trace::of(&recorder);
    let of_waits: Vec<_> =
        trace.events("cancel").into_iter().filter(|event| trace.name(event.track) == "waits").collect();
    assert_eq!(of_waits.len(), 1);
    assert!(Trace::annotation(of_waits[0], "reason").starts_with("cancelled: `fails` failed at tests/recorder.rs:"));
    let ends: BTreeMap<_, _> = trace
        .events("coroutine")
        .into_iter()
        .map(|event| (event.name.as_str(), Trace::annotation(event, "ended with")))
        .collect();
    assert_eq!(ends, BTreeMap::from([("waits", "cancelled"), ("fails", "an error")]));
}

#[test]
fn only_the_last_events_are_kept() {
    let recorder = Recorder::last(100);
    let mut event_loop = Loop::builder().record(&recorder).build();
    let main = co! {
        for _ in 0..1_000 {
            yield leaf();
        }
    };
    event_loop.run(main).unwrap();
    let counts = recorder.recorded();
    assert_eq!(counts.starts + counts.turns + counts.wakes + counts.ends, 100);
    assert!(counts.coroutines < 100 && counts.dropped > 3_000, "{counts:?}");
    let trace = Trace::of(&recorder);
    assert_eq!(trace.events("turn").len(), counts.turns);
}

/// Each wait has an internal task, which the library starts in the turn of the internal task before it.
fn one_after_the_other(count: usize) -> Coro<u32> {
    let main = co! {
        for next in yield as_completed((0..count).map(|_| leaf())).limit(1) {
            yield next;
        }
        0
    };
    main.named("main")
}

/// The steps that `work` takes inside of the library. 0 in a release build.
fn steps_of(work: impl FnOnce()) -> u64 {
    let steps = || tinyield::__private::iterations().unwrap_or(0);
    let before = steps();
    work();
    steps() - before
}

#[test]
fn writing_coroutines_that_as_completed_started_one_after_the_other_is_linear() {
    let steps = |count| {
        let recorder = recorded(one_after_the_other(count));
        steps_of(|| recorder.write_perfetto(io::sink()).unwrap())
    };
    let (few, many) = (steps(100), steps(1_000));
    assert!(many <= 20 * few, "100: {few} steps; 1,000: {many} steps");
}

#[test]
fn coroutines_stay_below_the_one_that_started_them_when_older_events_are_dropped() {
    let recorder = Recorder::last(100);
    Loop::builder().record(&recorder).build().run(one_after_the_other(1_000)).unwrap();
    assert!(recorder.recorded().dropped > 1_000);
    let trace = Trace::of(&recorder);
    let tracks = trace.tracks();
    let parents = || tracks.values().filter(|track| track.name.starts_with("leaf ")).map(|track| track.parent.unwrap());
    assert!(parents().count() > 1);
    parents().for_each(|parent| assert_eq!(trace.name(parent), "main"));
}

#[test]
fn the_end_of_a_run_costs_the_same_beside_ten_times_as_many_events_of_others() {
    let steps = |count| {
        let recorder = recorded(one_after_the_other(count));
        let mut event_loop = Loop::builder().record(&recorder).build();
        steps_of(|| assert_eq!(event_loop.run(top()).unwrap(), 2))
    };
    let (few, many) = (steps(100), steps(1_000));
    assert!(many <= few + few / 10, "beside 100: {few} steps; beside 1,000: {many} steps");
}

#[test]
fn a_run_of_which_no_event_is_kept_is_forgotten() {
    let recorder = Recorder::last(10);
    for _ in 0..1_000 {
        Loop::builder().record(&recorder).build().run(top()).unwrap();
    }
    let text = format!("{recorder:?}");
    let runs: usize = text.rsplit("runs: ").next().unwrap().trim_end_matches(" }").parse().unwrap();
    assert!((1..=10).contains(&runs), "{text}");
    // While this run goes on, all its events so far are dropped, but the name and line of its coroutine are kept.
    let inner_recorder = recorder.clone();
    let outer = co! {
        yield;
        for _ in 0..10 {
            Loop::builder().record(&inner_recorder).build().run(top()).unwrap();
        }
    };
    Loop::builder().record(&recorder).build().run(outer.named("outer")).unwrap();
    let trace = Trace::of(&recorder);
    let names: Vec<_> = trace.events("coroutine").iter().map(|event| event.name.as_str()).collect();
    assert!(names.contains(&"outer"), "{names:?}");
}

#[test]
fn the_counts_are_those_of_the_events_that_are_kept() {
    for events in [1, 2, 3, 10, 33, 100] {
        let recorder = Recorder::last(events);
        for main in [top(), ping_pong(5), one_after_the_other(5)] {
            Loop::builder().record(&recorder).build().run(main).unwrap();
            let (counts, trace) = (recorder.recorded(), Trace::of(&recorder));
            assert_eq!(trace.events("turn").len(), counts.turns);
            assert_eq!(trace.events("wake").len(), counts.wakes);
            assert_eq!(trace.events("cancel").len(), counts.cancellations);
            assert_eq!(trace.events("coroutine").len(), counts.coroutines);
            let ends = trace.events("coroutine").iter().filter(|event| !event.annotations.is_empty()).count();
            assert_eq!(ends, counts.ends);
        }
    }
}

#[test]
fn counting_the_kept_events_costs_the_same_for_any_number_of_events() {
    let recorder = recorded(ping_pong(100));
    assert_eq!(steps_of(|| assert!(recorder.recorded().turns > 200 && format!("{recorder:?}").len() > 100)), 0);
}

#[test]
fn a_panic_ends_its_turn() {
    let recorder = Recorder::last(100);
    let mut event_loop = Loop::builder().record(&recorder).panic_trace(false).build();
    let panics = co! { yield; if true { panic!("on purpose") } };
    assert_eq!(common::panic_of(|| event_loop.run(panics)), "on purpose");
    assert_eq!((recorder.recorded().turns, recorder.recorded().ends), (2, 1));
    assert_eq!(Trace::annotation(Trace::of(&recorder).events("coroutine")[0], "ended with"), "a panic");
}

#[test]
fn loops_may_share_a_recorder() {
    let recorder = Recorder::last(10_000);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let recorder = recorder.clone();
            std::thread::spawn(move || Loop::builder().record(&recorder).build().run(top()).unwrap())
        })
        .collect();
    threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 2));
    let alone = recorded(top()).recorded();
    let counts = recorder.recorded();
    assert_eq!((counts.coroutines, counts.turns), (4 * alone.coroutines, 4 * alone.turns));
    let inner_recorder = recorder.clone();
    let outer = co! { Loop::builder().record(&inner_recorder).build().run(top()).unwrap() };
    Loop::builder().record(&recorder).build().run(outer).unwrap();
    assert_eq!(recorder.recorded().coroutines, 5 * alone.coroutines + 1);
    let trace = Trace::of(&recorder);
    let threads = trace.tracks().values().filter(|track| track.name.is_empty()).count();
    assert_eq!(threads, 1 + 6, "the process and a thread for each run");
}

#[test]
fn a_writer_that_fails_loses_nothing() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("disk full"))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let recorder = recorded(top());
    let before = recorder.recorded();
    assert_eq!(recorder.write_perfetto(Full(100)).unwrap_err().to_string(), "disk full");
    assert_eq!(recorder.recorded(), before);
    assert_eq!(Trace::of(&recorder).events("turn").len(), before.turns);
}

#[test]
fn a_writer_is_not_called_again_after_it_failed() {
    struct Fails<'a> {
        calls: &'a Cell<usize>,
        takes: usize,
    }

    impl Fails<'_> {
        fn called(&self) -> io::Result<()> {
            self.calls.set(self.calls.get() + 1);
            if self.calls.get() > self.takes { Err(io::Error::other("disk full")) } else { Ok(()) }
        }
    }

    impl io::Write for Fails<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.called().map(|()| bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.called()
        }
    }

    let recorder = recorded(ping_pong(100));
    let calls = |takes| {
        let calls = Cell::new(0);
        let result = recorder.write_perfetto(Fails { calls: &calls, takes });
        (calls.get(), result.map_err(|error| error.to_string()))
    };
    let (all, result) = calls(usize::MAX);
    assert!(all > 2 && result.is_ok());
    for takes in 0..all {
        assert_eq!(calls(takes), (takes + 1, Err("disk full".to_string())));
    }
}

#[test]
fn a_running_loop_may_write_its_own_recording() {
    let recorder = Recorder::last(100);
    let own = recorder.clone();
    let main = co! {
        yield;
        own.write_perfetto(io::sink())?;
    };
    Loop::builder().record(&recorder).build().run(main).unwrap();
}

#[test]
fn a_recorder_without_events_writes_a_trace_without_tracks() {
    let trace = Trace::of(&Recorder::last(1));
    assert_eq!((trace.tracks().len(), trace.events("turn").len()), (1, 0));
    assert!(common::panic_of(|| Recorder::last(0)).contains("at least 1"));
}
