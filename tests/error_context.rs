//! Context that is added to errors, and what is kept when an error is wrapped, converted or raised again.

#![feature(coroutines, error_generic_member_access)]

mod common;

use std::cell::RefCell;
use std::error::{Error as StdError, Request};
use std::rc::Rc;
use std::{fmt, io};

use common::names;
use tinyield::channel::{RecvError, TryRecvError};
use tinyield::{
    Aborted, Coro, Deadlock, Error, Event, Grouping, Loop, LoopError, Panic, Reason, TimedOut, catch, co, coro,
    isolate, run_in_thread, sleep, spawn, timeout,
};

#[coro]
fn fails() -> Coro<()> {
    Err(io::Error::other("disk full"))?
}

#[coro]
fn settings() -> Coro<()> {
    yield fails();
}

fn error_of(main: Coro<()>) -> LoopError {
    Loop::new().run(main).unwrap_err()
}

#[test]
fn context_keeps_the_cause_the_place_and_the_frames() {
    let plain = error_of(settings());
    let error = error_of(settings().context("reading the settings"));
    assert_eq!(error.to_string(), "reading the settings");
    assert_eq!(error.error().location(), plain.error().location());
    assert_eq!(error.error().trace(), plain.error().trace());
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), "disk full");
    assert_eq!(error.find::<io::Error>().unwrap().to_string(), "disk full");
    let text = format!("{error:?}");
    assert!(
        text.starts_with("reading the settings\n  caused by: disk full\n  coroutines, outermost first:\n"),
        "{text}"
    );
}

#[test]
fn contexts_add_up_from_the_inside_to_the_outside() {
    let main = co! { yield fails().context("first").context("second"); }.named("main").context("third");
    let text = format!("{:?}", error_of(main));
    assert!(text.starts_with("third\n  caused by: second\n  caused by: first\n  caused by: disk full\n"), "{text}");
}

#[test]
fn a_context_outside_of_an_isolate_does_not_change_its_error() {
    let main = co! {
        let inside = yield isolate(fails().context("inside"));
        assert_eq!(inside.unwrap_err().to_string(), "inside");
        drop(yield isolate(co! { drop(yield catch(fails().context("caught"))); }));
    };
    Loop::new().run(main.context("outside")).unwrap();
}

#[test]
fn a_context_is_not_added_to_a_value_a_cancellation_or_twice() {
    Loop::new().run(co! { 5 }.context("unused")).unwrap();
    let waits = co! { yield tinyield::sleep(common::LONG); }.context("waits");
    let error = error_of(co! { yield (waits, fails()); });
    assert_eq!(error.to_string(), "disk full");
    let again = co! {
        let inner = yield isolate(fails().context("once"));
        inner?
    };
    let text = format!("{:?}", error_of(again.context("again")));
    assert!(text.starts_with("again\n"), "{text}");
    assert_eq!(text.matches("once").count(), 1, "{text}");
}

#[test]
fn anyhow_prints_the_coroutines_of_a_run() {
    fn main() -> anyhow::Result<()> {
        Loop::new().run(settings())?;
        Ok(())
    }
    let plain = error_of(settings());
    let frames = plain.error().trace().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(plain.error()), ["settings", "fails"]);
    let text = format!("{:?}", main().unwrap_err());
    assert!(text.starts_with("disk full\n\nCaused by:\n"), "{text}");
    assert!(text.contains("coroutines, outermost first:"), "{text}");
    assert!(frames.iter().all(|frame| text.contains(frame)), "{text}");
    let text = format!("{:?}", main().map_err(|error| error.context("starting")).unwrap_err());
    assert!(text.starts_with("starting\n") && text.contains(&frames[0]), "{text}");
}

#[test]
fn anyhow_prints_the_causes_before_the_coroutines() {
    let error = anyhow::Error::from(error_of(settings().context("reading")));
    let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
    assert_eq!((chain[0].as_str(), chain[1].as_str(), chain.len()), ("reading", "disk full", 3));
    assert!(error.downcast_ref::<LoopError>().is_some());
}

#[test]
fn find_looks_into_the_errors_of_inner_loops() {
    let main = co! {
        Loop::new().run(fails())?;
    };
    let error = error_of(main);
    assert!(error.find::<LoopError>().is_some());
    assert!(error.find::<io::Error>().is_some());
    assert!(error.find::<std::fmt::Error>().is_none());
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.error().clone().into();
    assert!(Error::msg("x").find::<io::Error>().is_none());
    let wrapped = Error::from(io::Error::other(boxed));
    assert!(wrapped.find::<LoopError>().is_some());
}

type Boxed = Box<dyn StdError + Send + Sync>;

/// An error of the program, with another error as its source.
#[derive(Debug)]
struct App(Boxed);

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("app failed")
    }
}

impl StdError for App {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// An error whose sources never end.
#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("endless")
    }
}

impl StdError for Endless {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

fn app(error: impl Into<Boxed>) -> App {
    App(error.into())
}

/// The ways in which the error of an inner run becomes a source of another error.
const WRAPS: [fn(LoopError) -> Boxed; 11] = [
    |error| error.into(),
    |error| app(error).into(),
    |error| app(error.error().clone()).into(),
    |error| app(app(app(error))).into(),
    |error| io::Error::other(error).into(),
    |error| io::Error::other(app(error)).into(),
    |error| app(Error::from(app(error))).into(),
    |error| anyhow::Error::from(error).context("starting").into(),
    |error| anyhow::Error::from(app(error)).into(),
    |error| anyhow::Error::from(app(error)).context("starting").context("again").into(),
    |error| anyhow::Error::from(io::Error::other(error)).into(),
];

#[test]
fn the_coroutines_of_an_inner_run_are_in_the_trace_when_its_error_is_a_source_at_any_depth() {
    for (index, wrap) in WRAPS.into_iter().enumerate() {
        let main = co! { Loop::new().run(settings()).map_err(wrap)?; }.named("main");
        let error = error_of(main);
        assert_eq!(names(error.error()), ["main", "settings", "fails"], "{index}: {error:?}");
        let isolated = co! { (yield isolate(settings())).map_err(wrap)?; }.named("main");
        assert_eq!(names(error_of(isolated).error()), ["main", "settings", "fails"], "{index}: {error:?}");
    }
}

#[test]
fn every_report_shows_the_coroutines_of_an_inner_run_once() {
    for (index, wrap) in WRAPS.into_iter().enumerate() {
        let error = error_of(co! { Loop::new().run(settings()).map_err(wrap)?; }.named("main"));
        let reports = [
            format!("{error:?}"),
            format!("{:?}", error.error()),
            format!("{:?}", anyhow::Error::from(error.clone())),
            format!("{:?}", anyhow::Error::from(error).context("outside")),
        ];
        for report in reports {
            for frame in ["main at ", "settings at ", "fails at "] {
                assert_eq!(report.matches(frame).count(), 1, "{index}: {frame}in {report}");
            }
            assert_eq!(report.matches("coroutines, outermost first").count(), 1, "{index}: {report}");
            assert!(report.contains("disk full"), "{index}: {report}");
        }
    }
}

#[test]
fn an_error_that_was_made_from_the_error_of_a_run_shows_its_coroutines_outside_of_loops() {
    for (index, wrap) in WRAPS.into_iter().enumerate() {
        let error = Loop::new().run(settings()).map_err(|error| Error::from(app(wrap(error)))).unwrap_err();
        assert_eq!(names(&error), ["settings", "fails"], "{index}: {error:?}");
        assert_eq!(format!("{error:?}").matches("settings at ").count(), 1, "{index}: {error:?}");
    }
}

#[test]
fn the_coroutines_of_many_runs_inside_of_each_other_are_shown_once() {
    #[coro]
    fn nested(depth: usize, wrap: fn(LoopError) -> Boxed) -> Coro<()> {
        if depth == 0 {
            Err(io::Error::other("disk full"))?;
        }
        (yield isolate(nested(depth - 1, wrap))).map_err(wrap)?;
    }
    for (index, wrap) in WRAPS.into_iter().enumerate() {
        let error = error_of(nested(5, wrap));
        assert_eq!(names(error.error()), ["nested"; 6], "{index}: {error:?}");
        for report in [format!("{error:?}"), format!("{:?}", anyhow::Error::from(error))] {
            assert_eq!(report.matches("nested at ").count(), 6, "{index}: {report}");
            assert!(report.contains("disk full"), "{index}: {report}");
        }
    }
}

#[test]
fn an_error_may_have_sources_without_end() {
    let error = error_of(co! { yield; Err(Endless)?; }.named("main"));
    assert_eq!(error.to_string(), "endless");
    assert_eq!(names(error.error()), ["main"]);
}

/// The trace continues only with an error that is among the first 64 sources.
#[test]
fn the_coroutines_of_an_error_below_a_long_chain_of_sources_are_shown_once() {
    let wrap = |error: LoopError| (0..200).fold(Boxed::from(error), |error, _| app(error).into());
    let error = error_of(co! { Loop::new().run(settings()).map_err(wrap)?; }.named("main"));
    assert_eq!(names(error.error()), ["main"]);
    for report in [format!("{error:?}"), format!("{:?}", anyhow::Error::from(error))] {
        for frame in ["main at ", "settings at ", "fails at "] {
            assert_eq!(report.matches(frame).count(), 1, "{frame}in {report}");
        }
    }
}

/// What `find` and `downcast_ref` find if a coroutine raises an `anyhow::Error` that was made from this error.
fn is_found_in_anyhow<E: StdError + Send + Sync + 'static>(error: E) -> [bool; 3] {
    let raised = error_of(co! { Err(anyhow::Error::from(error))?; });
    [raised.find::<E>().is_some(), raised.downcast_ref::<E>().is_some(), raised.error().downcast_ref::<E>().is_some()]
}

#[test]
fn the_error_types_of_this_crate_are_found_in_a_plain_anyhow_error() {
    let deadlock = error_of(co! { yield Event::new().wait(); }).downcast_ref::<Deadlock>().unwrap().clone();
    let panic = Loop::new().run(isolate(co! { if true { panic!("on purpose") } }).catch_unwind()).unwrap().unwrap_err();
    let waits = co! { yield Event::new().wait(); };
    let cancelled = Loop::builder().grouping(Grouping::Always).build().run((waits, fails())).unwrap_err();
    let all = [
        is_found_in_anyhow(error_of(settings())),
        is_found_in_anyhow(deadlock),
        is_found_in_anyhow(panic.downcast_ref::<Panic>().unwrap().clone()),
        is_found_in_anyhow(cancelled.others()[0].as_cancelled().unwrap().clone()),
        is_found_in_anyhow(TimedOut),
        is_found_in_anyhow(Aborted),
        is_found_in_anyhow(RecvError),
        is_found_in_anyhow(TryRecvError::Empty),
    ];
    assert_eq!(all, [[true; 3]; 8]);
}

#[test]
fn what_a_loop_error_contains_is_found_when_it_is_in_a_plain_anyhow_error() {
    let error = error_of(co! { Err(anyhow::Error::from(error_of(settings())))?; });
    assert!(error.find::<io::Error>().is_some());
    assert!(error.downcast_ref::<io::Error>().is_none());
    let boxed: Boxed = Error::from(app(error_of(settings()))).into();
    let error = error_of(co! { Err(anyhow::Error::from_boxed(boxed))?; });
    assert!(error.find::<App>().is_some() && error.find::<LoopError>().is_some());
    assert!(error.find::<io::Error>().is_some());
}

#[test]
fn an_error_of_another_crate_is_found_in_an_anyhow_error_with_a_context_only() {
    let plain = || anyhow::Error::from(io::Error::other("disk full"));
    assert!(error_of(co! { Err(plain())?; }).find::<io::Error>().is_none());
    assert!(error_of(co! { Err(plain().context("reading"))?; }).find::<io::Error>().is_some());
}

/// An error that passes requests on to its source, as `thiserror` does for a source with a backtrace.
#[derive(Debug)]
struct PassesOn<E>(E);

impl<E> fmt::Display for PassesOn<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("passes requests on")
    }
}

impl<E: StdError + 'static> StdError for PassesOn<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }

    fn provide<'a>(&'a self, request: &mut Request<'a>) {
        self.0.provide(request);
    }
}

#[test]
fn an_error_is_not_taken_for_its_source_if_it_passes_requests_on() {
    let error = error_of(co! { Err(PassesOn(TimedOut))?; });
    assert!(error.downcast_ref::<TimedOut>().is_none());
    assert!(error.find::<TimedOut>().is_some() && error.find::<PassesOn<TimedOut>>().is_some());
    let error = error_of(co! { Err(PassesOn(error_of(settings())))?; });
    assert!(error.downcast_ref::<LoopError>().is_none());
    assert_eq!(error.to_string(), "passes requests on");
    let deadlock = error_of(co! { Loop::new().run(co! { yield Event::new().wait(); })?; });
    assert!(deadlock.downcast_ref::<LoopError>().is_some() && deadlock.error().downcast_ref::<Deadlock>().is_none());
}

#[test]
fn the_place_of_an_error_in_a_thread_is_printed() {
    let line = line!() + 2;
    let main = co! {
        yield run_in_thread(|| Err::<(), Error>(Error::msg("in a thread"))).raise();
    };
    let error = error_of(main.named("main"));
    assert_eq!(error.error().location().line(), line);
    for text in [format!("{error:?}"), format!("{:?}", anyhow::Error::from(error))] {
        assert!(text.contains(&format!("error_context.rs:{line}")), "{text}");
    }
}

#[test]
fn a_panic_prints_the_coroutines_after_its_message() {
    let printed = common::in_child("a_panic_prints_the_coroutines_after_its_message", || {
        let inner = co! { yield; panic!("three deep"); };
        let middle = co! { yield inner.named("inner"); }.named("middle");
        let outer = co! { yield middle; }.named("outer");
        assert_eq!(common::panic_of(|| Loop::new().run(outer)), "three deep");
    });
    if printed.is_empty() {
        return; // the child
    }
    let place = "tests/error_context.rs:";
    let after = printed.split_once("three deep\n").unwrap().1;
    let lines: Vec<_> =
        after.lines().skip_while(|line| !line.contains("coroutines, outermost first:")).take(4).collect();
    assert!(lines[1].starts_with(&format!("    outer at {place}")), "{printed}");
    assert!(lines[2].starts_with(&format!("    middle at {place}")), "{printed}");
    assert!(lines[3].starts_with(&format!("    inner at {place}")), "{printed}");
}

#[test]
fn the_coroutines_of_a_panic_are_not_printed_if_that_is_turned_off_or_the_panic_is_contained() {
    let printed = common::in_child(
        "the_coroutines_of_a_panic_are_not_printed_if_that_is_turned_off_or_the_panic_is_contained",
        || {
            let panics = || co! { yield; if true { panic!("on purpose") } };
            let mut event_loop = Loop::builder().panic_trace(false).build();
            assert_eq!(common::panic_of(|| event_loop.run(panics())), "on purpose");
            Loop::new().run(isolate(panics()).catch_unwind()).unwrap().unwrap_err();
        },
    );
    assert!(!printed.contains("coroutines, outermost first"), "{printed}");
}

#[test]
fn context_keeps_the_frames_of_a_failure_that_was_raised_again() {
    let main = || {
        let read = co! { Err(io::Error::other("disk full"))?; };
        co! { (yield isolate(read.named("read")))?; }.named("server")
    };
    let (plain, with_context) = (error_of(main()), error_of(main().context("serving")));
    assert_eq!(names(plain.error()), ["server", "read"]);
    assert_eq!(names(with_context.error()), ["server", "read"]);
    assert!(format!("{with_context:?}").contains("read at tests/error_context.rs"), "{with_context:?}");
}

fn nested_contexts(depth: usize) -> Coro<()> {
    co! {
        if depth == 0 {
            Err(io::Error::other("deep"))?;
        } else {
            yield nested_contexts(depth - 1).context("outer");
        }
    }
}

#[test]
fn a_hundred_thousand_contexts_are_looked_through_printed_and_dropped_without_recursion() {
    let test = || {
        let error = error_of(nested_contexts(100_000));
        assert!(error.find::<io::Error>().is_some());
        assert!(error.error().downcast_ref::<io::Error>().is_some());
        let report = anyhow::Error::from(error);
        assert_eq!(report.chain().count(), 100_002);
        drop(report);
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(test).unwrap().join().unwrap();
}

#[test]
fn the_work_to_print_nested_contexts_is_linear() {
    let steps = |depth: usize| {
        let error = anyhow::Error::from(error_of(nested_contexts(depth)));
        let before = tinyield::__private::iterations();
        let text = format!("{error:?}");
        assert!(text.contains("deep"));
        tinyield::__private::iterations().zip(before).map_or(0, |(after, before)| after - before)
    };
    let (few, many) = (steps(100), steps(1_000));
    assert!(many <= 11 * few + 100, "{few} steps for 100 contexts, and {many} for 1,000");
}

/// `waits` is not cancelled itself: the coroutine for which it waits is cancelled by a timeout.
#[test]
fn a_context_is_not_added_to_the_cancellation_of_another_coroutine() {
    let place = Rc::new(RefCell::new(None));
    let found = place.clone();
    let limited = co! {
        *place.borrow_mut() = Some(yield spawn(co! { yield sleep(common::LONG); }));
        yield sleep(common::LONG);
    };
    let waits = co! {
        while found.borrow().is_none() { yield; }
        let handle = found.take().unwrap();
        yield handle
    };
    let main = co! { let _ = yield (timeout(limited, common::ms(1)), waits.context("waits")); };
    let error = Loop::builder().simulated(0).build().run(main).unwrap_err();
    assert!(error.error().is_cancelled(), "{error:?}");
    assert_eq!(error.error().as_cancelled().unwrap().reason(), Reason::TimedOut);
}
