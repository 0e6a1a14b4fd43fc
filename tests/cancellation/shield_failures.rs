//! Failures and panics behind a shield.

use tinyield::{Loop, catch, co, shield};

use crate::common::{Log, forever, messages, names, panic_of, waits_forever};
use crate::fails;

#[test]
fn catch_of_a_shield_that_failed_gives_the_cancellation_of_the_coroutine() {
    let log = Log::new();
    let logs = log.clone();
    let main = co! {
        let error = (yield catch(shield(fails()))).unwrap_err();
        logs.push(error.is_cancelled());
        Err(error)?;
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(log.take(), ["true"]);
    assert_eq!(error.to_string(), "failed");
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn failure_while_cleaning_up_behind_a_shield_is_reported() {
    let polite = co! {
        let _ = yield catch(forever());
        yield shield(co! { yield; Err("while cleaning")?; }.named("cleaner"));
    };
    let error = Loop::new().run((polite.named("polite"), fails())).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(messages(error.others()), ["while cleaning"], "{error:?}");
    assert_eq!(names(&error.others()[0]).last(), Some(&"cleaner"));
}

#[test]
fn failure_behind_a_shield_stops_the_loop() {
    let log = Log::new();
    let main = (waits_forever(log.clone(), "other"), co! { yield shield(co! { yield; Err("inside")?; }); });
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "inside");
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(log.take(), ["other"]);
}

#[test]
fn failure_behind_a_shield_cancels_the_others_behind_it() {
    let log = Log::new();
    let (one, two, three) = (
        waits_forever(log.clone(), "beside"),
        waits_forever(log.clone(), "around"),
        waits_forever(log.clone(), "outside"),
    );
    let inner = co! { yield shield(co! { yield (one, co! { yield; yield; Err("inside")?; }); }); };
    let error = Loop::new().run((three, shield((two, inner)))).unwrap_err();
    assert_eq!(error.to_string(), "inside");
    assert!(error.others().is_empty(), "{error:?}");
    let mut log = log.take();
    log.sort();
    assert_eq!(log, ["around", "beside", "outside"]);
}

#[test]
fn panic_behind_a_shield_cancels_the_others_behind_it() {
    let log = Log::new();
    let (one, two) = (waits_forever(log.clone(), "beside"), waits_forever(log.clone(), "outside"));
    let inner = co! { yield shield((one, co! { yield; yield; panic!("inside"); })); };
    assert_eq!(panic_of(|| Loop::new().run((two, inner))), "inside");
    assert_eq!(log.take(), ["beside", "outside"]);
}

#[test]
fn error_of_a_shared_coroutine_behind_two_shields_is_reported_once() {
    let failing = co! { yield; yield; Err("failed once")?; }.shared();
    let waits = failing.clone();
    let main = (shield(&failing), co! { yield shield(co! { yield waits }); });
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "failed once");
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn shielded_waiter_of_a_stopped_coroutine_adds_nothing_to_the_error() {
    let stopped = co! { yield forever(); }.shared();
    let waits = stopped.clone();
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let behind = co! { yield shield(co! { yield waits }); };
    let error = event_loop.run((stopped, behind, co! { yield; yield; handle.stop(); yield; })).unwrap_err();
    assert!(error.is_stopped() && error.others().is_empty(), "{error:?}");
    assert!(error.error().trace().is_empty(), "{error:?}");
}

#[test]
fn failure_behind_one_shield_does_not_interrupt_another() {
    let log = Log::new();
    let logs = log.clone();
    let whole = co! { yield shield(co! { for _ in 0..20 { yield; } logs.push("whole"); }); };
    let error = Loop::new().run((whole, co! { yield shield(fails()); })).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(log.take(), ["whole"]);
}
