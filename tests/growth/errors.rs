//! How the cost of errors grows: in chains of coroutines, in nested domains, and in nested scopes.

use std::fmt;

use tinyield::{Coro, Event, LoopError, catch, co, coro, isolate, shield, timeout};

use crate::common::{FOREVER, forever};
use crate::{assert_linear, look_at, run};

/// Each member answers its cancellation with an error of its own.
#[coro]
fn chain_of_errors(depth: usize) -> Coro<()> {
    let waited = if depth == 0 { catch(co! { yield forever(); }) } else { catch(chain_of_errors(depth - 1)) };
    if (yield waited).is_err() {
        Err(format!("at {depth}"))?;
    }
}

fn cancel_chain_of_errors(count: usize) -> LoopError {
    let fails = co! {
        for _ in 0..count + 10 {
            yield;
        }
        Err("stop")?;
    };
    run(co! { yield (chain_of_errors(count), fails); }).unwrap_err()
}

#[test]
fn a_chain_whose_members_all_answer_their_cancellation_with_an_error_is_linear() {
    assert_linear(|count| {
        let error = cancel_chain_of_errors(count);
        let answers = error.others().iter().filter(|other| !other.is_cancelled()).count();
        assert!(answers > count, "{answers}");
        // The traces of all errors together are linear, too.
        let frames: usize = error.others().iter().map(|other| other.trace().len()).sum();
        assert!(frames <= 100 * error.others().len());
    });
}

#[test]
fn the_frames_nearest_to_an_error_that_came_up_while_stopping_are_kept() {
    let error = cancel_chain_of_errors(150);
    let deepest = error.others().iter().find(|other| other.to_string() == "at 0").unwrap();
    assert_eq!(deepest.trace().len(), 100);
    assert!(deepest.trace().iter().all(|frame| frame.name() == "chain_of_errors"));
}

/// Raises the error of the domain inside again.
#[coro]
fn raises_again(depth: usize) -> Coro<()> {
    if depth == 0 {
        Err("first")?;
    }
    let error = (yield isolate(raises_again(depth - 1))).unwrap_err();
    Err(error.error().clone())?;
}

/// As `raises_again`, with the `LoopError`.
#[coro]
fn raises_loop_error(depth: usize) -> Coro<()> {
    if depth == 0 {
        Err("first")?;
    }
    (yield isolate(raises_loop_error(depth - 1)))?;
}

/// An error of the program, with the error of a run as its source.
#[derive(Debug)]
struct App(LoopError);

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("first")
    }
}

impl std::error::Error for App {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// As `raises_loop_error`, with the `LoopError` as the source of an error of the program.
#[coro]
fn raises_source(depth: usize) -> Coro<()> {
    if depth == 0 {
        Err("first")?;
    }
    (yield isolate(raises_source(depth - 1))).map_err(App)?;
}

/// As `raises_loop_error`, with the `LoopError` in an `anyhow::Error`.
#[coro]
fn raises_anyhow(depth: usize) -> Coro<()> {
    if depth == 0 {
        Err("first")?;
    }
    (yield isolate(raises_anyhow(depth - 1))).map_err(anyhow::Error::from)?;
}

#[test]
fn one_error_raised_again_in_each_of_many_nested_domains_is_linear() {
    for raises in [raises_again, raises_loop_error, raises_source, raises_anyhow] {
        assert_linear(|count| {
            let error = run(raises(count)).unwrap_err();
            assert_eq!(error.to_string(), "first");
            assert_eq!(error.error().trace().len(), count + 1);
        });
    }
}

#[test]
fn an_error_raised_again_in_a_hundred_thousand_nested_domains_is_dropped() {
    for raises in [raises_again, raises_loop_error, raises_source] {
        let error = run(raises(100_000)).unwrap_err();
        assert_eq!(format!("{error}"), "first");
        drop(error);
    }
}

#[test]
fn the_reports_of_an_error_that_was_wrapped_in_each_of_many_nested_domains_are_linear() {
    assert_linear(|count| {
        let error = run(raises_source(count)).unwrap_err();
        assert_eq!(format!("{error:?}").matches("raises_source at ").count(), count + 1);
        assert_eq!(format!("{:?}", anyhow::Error::from(error)).matches("raises_source at ").count(), count + 1);
    });
}

#[test]
fn one_error_raised_again_by_many_coroutines_behind_shields_is_linear() {
    assert_linear(|count| {
        let fails = co! { yield; yield; Err("first")?; }.shared();
        let again = || {
            let fails = fails.clone();
            co! {
                let error = (yield catch(shield(fails))).unwrap_err();
                yield shield(());
                Err(error)?;
            }
        };
        let all: Vec<_> = (0..count).map(|_| again()).collect();
        look_at(&run(co! { yield all; }).unwrap_err());
    });
}

/// As `chain_of_errors`, with a timeout around each member.
#[coro]
fn errors_below_timeouts(depth: usize) -> Coro<()> {
    let is_err = if depth == 0 {
        (yield catch(co! { yield Event::new().wait(); })).is_err()
    } else {
        (yield catch(timeout(errors_below_timeouts(depth - 1), FOREVER))).is_err()
    };
    if is_err {
        Err(format!("at {depth}"))?;
    }
}

#[test]
fn failures_behind_many_scopes_are_linear() {
    assert_linear(|count| {
        let fails = co! {
            for _ in 0..2 * count + 10 {
                yield;
            }
            Err("stop")?;
        };
        look_at(&run(co! { yield (errors_below_timeouts(count), fails); }).unwrap_err());
    });
}
