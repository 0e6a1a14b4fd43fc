//! Spans of `tracing`: each turn of a coroutine is in its span, and in no other.

#![feature(coroutines)]
#![cfg(feature = "tracing")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tinyield::{Coro, Loop, co, coro, isolate, sleep, spawn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, info, info_span};

/// For each event: its number, and the numbers of the spans that are entered, outermost first.
#[derive(Clone, Default)]
struct Spans(Arc<State>);

#[derive(Default)]
struct State {
    last: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    numbers: BTreeMap<u64, u64>,
    entered: Vec<u64>,
    closed: usize,
    events: Vec<(u64, Vec<u64>)>,
}

struct Number(u64);

impl Visit for Number {
    fn record_u64(&mut self, _: &Field, value: u64) {
        self.0 = value;
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.0.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut number = Number(0);
        attributes.record(&mut number);
        self.0.inner.lock().unwrap().numbers.insert(id, number.0);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut number = Number(0);
        event.record(&mut number);
        let mut inner = self.0.inner.lock().unwrap();
        let entered = inner.entered.iter().map(|id| inner.numbers[id]).collect();
        inner.events.push((number.0, entered));
    }

    fn enter(&self, id: &Id) {
        self.0.inner.lock().unwrap().entered.push(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        let left = self.0.inner.lock().unwrap().entered.pop();
        assert_eq!(left, Some(id.into_u64()));
    }

    fn try_close(&self, _: Id) -> bool {
        self.0.inner.lock().unwrap().closed += 1;
        true
    }
}

/// The events of a program.
fn events_of<T: 'static>(main: impl FnOnce() -> Coro<T>) -> Vec<(u64, Vec<u64>)> {
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || drop(Loop::new().run(main())));
    let inner = spans.0.inner.lock().unwrap();
    assert_eq!(inner.entered, [0; 0]);
    assert_eq!(inner.closed, inner.numbers.len(), "each span is closed");
    inner.events.clone()
}

#[coro]
fn says(number: u64, times: usize) -> Coro<()> {
    for _ in 0..times {
        info!(number);
        yield;
    }
}

#[test]
fn a_thousand_interleaved_coroutines_are_each_in_their_own_span() {
    let events = events_of(|| {
        co! {
            let all: Vec<_> = (1..=1_000).map(|number| says(number, 5).in_span(info_span!("own", number))).collect();
            yield all;
        }
    });
    assert_eq!(events.len(), 5_000);
    for (number, spans) in events {
        assert_eq!(spans, [number]);
    }
}

#[test]
fn children_inherit_the_span_unless_they_have_their_own() {
    let events = events_of(|| {
        let inner = co! {
            yield spawn(says(1, 3));
            yield (says(1, 2), says(2, 2).in_span(info_span!("own", number = 2_u64)));
            (yield isolate(co! { yield says(1, 1); })).unwrap();
            info!(number = 1_u64);
        };
        co! {
            info!(number = 0_u64);
            yield (inner.in_span(info_span!("outer", number = 1_u64)), says(0, 4));
            info!(number = 0_u64);
        }
    });
    assert_eq!(events.len(), 1 + 3 + 4 + 1 + 1 + 4 + 1);
    for (number, spans) in events {
        let expected: &[u64] = if number == 0 { &[] } else { &[number] };
        assert_eq!(spans, expected, "event {number}");
    }
}

#[test]
fn a_span_is_left_by_errors_cancellations_and_panics() {
    common::silence_panics("in a span");
    let events = events_of(|| {
        let waits = co! {
            let _says = common::OnDrop(|| info!(number = 1_u64));
            yield sleep(common::LONG);
        };
        let fails = co! { yield; Err("no more")?; };
        let never = co! { info!(number = 3_u64); };
        let panics = co! { yield; if true { panic!("in a span") } };
        co! {
            drop(never.in_span(info_span!("dropped", number = 3_u64)));
            let panicked = isolate(panics.in_span(info_span!("panics", number = 4_u64))).catch_unwind();
            (yield panicked).unwrap_err();
            info!(number = 0_u64);
            yield (
                waits.in_span(info_span!("waits", number = 1_u64)),
                fails.in_span(info_span!("fails", number = 2_u64)),
            );
        }
    });
    assert_eq!(events, [(0, vec![]), (1, vec![1])]);
}
