//! The reason that a cancellation gives.

use std::cell::Cell;
use std::rc::Rc;

use tinyield::{Coro, Loop, Reason, TimedOut, catch, co, race, timeout};

use crate::common::{forever, ms, panic_of, ran, simulated};
use crate::fails;

/// Gives `run` a coroutine that waits until it is cancelled, and returns the reason that it saw.
fn reason_of(run: impl FnOnce(Coro<()>)) -> Reason {
    let reason = Rc::new(Cell::new(None));
    let sees = reason.clone();
    run(co! {
        let error = (yield catch(forever())).unwrap_err();
        sees.set(Some(error.as_cancelled().expect("a cancellation").reason()));
        Err(error)?;
    });
    reason.take().expect("it was cancelled")
}

#[test]
fn reason_names_the_coroutine_that_failed() {
    let reason = reason_of(|coro| drop(Loop::new().run((coro, fails()))));
    assert!(matches!(&reason, Reason::Failed { name, .. } if name == "fails"), "{reason:?}");
    let reason = reason_of(|coro| {
        panic_of(|| Loop::new().run((coro, co! { yield; panic!("oh") }.named("panics"))));
    });
    assert!(matches!(&reason, Reason::Failed { name, .. } if name == "panics"), "{reason:?}");
}

#[test]
fn reason_distinguishes_timeouts_races_stops_and_drops() {
    let reason = reason_of(|coro| assert_eq!(simulated().run(timeout(coro, ms(1))).unwrap(), Err(TimedOut)));
    assert_eq!(reason, Reason::TimedOut);
    let reason = reason_of(|coro| simulated().run(race([coro, co! { yield; yield; }])).unwrap());
    assert_eq!(reason, Reason::Raced);
    let reason = reason_of(|coro| {
        let mut event_loop = simulated();
        let handle = event_loop.stop_handle();
        assert!(event_loop.run((coro, co! { yield; handle.stop(); })).unwrap_err().is_stopped());
    });
    assert_eq!(reason, Reason::Stopped);
    let reason = reason_of(|coro| {
        let mut event_loop = simulated();
        let mut runtime = event_loop.runtime(coro);
        ran(&mut runtime);
        drop(runtime);
    });
    assert_eq!(reason, Reason::Dropped);
}

#[test]
fn message_of_a_cancellation_says_the_reason() {
    let text = |reason: fn(Coro<()>)| {
        let text = Rc::new(Cell::new(String::new()));
        let sees = text.clone();
        reason(co! {
            let error = (yield catch(forever())).unwrap_err();
            sees.set(error.to_string());
            Err(error)?;
        });
        text.take()
    };
    assert_eq!(text(|coro| drop(simulated().run(timeout(coro, ms(1))))), "cancelled: timed out");
    assert_eq!(
        text(|coro| drop(simulated().run(race([coro, co! { yield; }])))),
        "cancelled: another coroutine won the race"
    );
    let failed = text(|coro| drop(simulated().run((coro, fails()))));
    assert!(failed.starts_with("cancelled: `fails` failed at ") && failed.contains("cancellation.rs:"), "{failed}");
}
