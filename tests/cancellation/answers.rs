//! What a coroutine may do after its cancellation, which of its answers are reported, and what `catch` gives.

use tinyield::{Cancelled, Coro, Error, Grouping, Loop, Reason, catch, co, isolate, shield, sleep, spawn, timeout};

use crate::common::{Alive, Counter, FOREVER, forever, messages, ms, names, simulated};
use crate::fails;

#[test]
fn raising_the_cancellation_again_adds_no_error() {
    let ways: [fn() -> Coro<()>; 3] = [
        || co! { yield forever(); },
        || co! { if let Err(error) = yield catch(forever()) { Err(error)?; } },
        // The cancellation that it raises is not the one that it has caught.
        || co! { let _ = yield catch(forever()); yield forever(); },
    ];
    for way in ways {
        let error = Loop::new().run((way(), fails())).unwrap_err();
        assert_eq!(error.to_string(), "failed");
        assert!(error.others().is_empty(), "{error:?}");
    }
}

#[test]
fn value_after_a_cancellation_is_reported_with_name_and_line() {
    let line = line!() + 1;
    let answers = co! { assert!((yield catch(forever())).is_err()); 5 }.named("polite");
    let error = Loop::new().run((answers, fails())).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    let [other] = error.others() else { panic!("{error:?}") };
    assert!(other.to_string().contains("`polite`"), "{other}");
    assert!(other.to_string().contains(&format!("answers.rs:{line}")), "{other}");
    assert_eq!(names(other), ["polite"]);
}

#[test]
fn another_error_after_a_cancellation_is_reported_with_its_trace() {
    let line = line!() + 3;
    let answers = co! {
        let _ = yield catch(forever());
        Err("instead")?;
    };
    let error = Loop::new().run((answers.named("rude"), fails())).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(messages(error.others()), ["instead"]);
    assert_eq!(names(&error.others()[0]).last(), Some(&"rude"));
    assert_eq!(error.others()[0].location().line(), line);
}

#[test]
fn coroutine_that_catches_its_cancellation_over_a_hundred_times_is_dropped_and_reported() {
    let (swallowed, bodies) = (Counter::new(), Alive::new());
    let (counts, held) = (swallowed.clone(), bodies.token());
    let line = line!() + 4;
    let swallows = co! {
        let _held = held;
        loop {
            if let Err(error) = yield catch(forever()) {
                assert!(error.is_cancelled());
                counts.up();
            }
        }
    };
    let error = Loop::new().run((swallows.named("glutton"), fails())).unwrap_err();
    assert_eq!(swallowed.get(), 100);
    assert_eq!(bodies.get(), 0);
    assert_eq!(error.to_string(), "failed");
    let [other] = error.others() else { panic!("{error:?}") };
    assert!(other.to_string().contains("`glutton`"), "{other}");
    assert!(other.to_string().contains("100 times"), "{other}");
    assert!(other.to_string().contains(&format!("answers.rs:{line}")), "{other}");
}

#[test]
fn shield_resets_the_count_of_caught_cancellations() {
    let swallowed = Counter::new();
    let counts = swallowed.clone();
    let swallows = co! {
        for _ in 0..3 {
            for _ in 0..99 {
                assert!((yield catch(forever())).is_err());
                counts.up();
            }
            yield shield(());
        }
        yield forever();
    };
    let error = Loop::new().run((swallows, fails())).unwrap_err();
    assert_eq!(swallowed.get(), 297);
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn catch_in_a_wait_of_an_internal_task_is_not_reported() {
    // A wait in a timeout may need an internal task. What an internal task does after its cancellation is not reported.
    let waits: [fn() -> Coro<()>; 3] = [
        || co! { let _ = yield timeout(catch(forever()), FOREVER); },
        || co! { let _ = yield timeout((catch(forever()), forever()), FOREVER); },
        || co! { let _ = yield shield(timeout(catch(sleep(ms(1))), FOREVER)); yield forever(); },
    ];
    for wait in waits {
        let error = simulated().run((wait(), fails())).unwrap_err();
        assert!(error.others().is_empty(), "{error:?}");
    }
    let mut event_loop = simulated();
    event_loop.stop_handle().stop();
    let error = event_loop.run(catch(forever())).unwrap_err();
    assert!(error.is_stopped() && error.others().is_empty(), "{error:?}");
}

#[test]
fn grouping_decides_which_errors_are_kept() {
    let run = |grouping| {
        let value = co! { let _ = yield catch(forever()); }.named("value");
        let other = co! { let _ = yield catch(forever()); Err("other")?; }.named("other");
        let well = co! { yield forever(); }.named("well");
        let never = co! { yield; }.named("never");
        let sets = co! { yield; yield (fails(), co! { yield; yield spawn(never); }); }.named("sets");
        let error = Loop::builder().grouping(grouping).build().run((value, other, well, sets)).unwrap_err();
        assert_eq!(error.to_string(), "failed");
        error
            .others()
            .iter()
            .map(|error| {
                (error.trace().last().map(|frame| frame.name().to_string()).unwrap_or_default(), error.is_cancelled())
            })
            .collect::<Vec<_>>()
    };
    let expected = |list: &[(&str, bool)]| list.iter().map(|(name, is)| (name.to_string(), *is)).collect::<Vec<_>>();
    assert_eq!(run(Grouping::Never), expected(&[]));
    assert_eq!(run(Grouping::Auto), expected(&[("other", false), ("value", false)]));
    let always = run(Grouping::Always);
    let cancelled: Vec<_> = always.iter().filter(|(_, cancelled)| *cancelled).map(|(name, _)| name.as_str()).collect();
    assert!(cancelled.contains(&"well") && cancelled.contains(&"sets"), "{always:?}");
    assert!(
        always.contains(&("other".to_string(), false)) && always.contains(&("value".to_string(), false)),
        "{always:?}"
    );
    assert!(!always.iter().any(|(name, _)| name.is_empty()), "{always:?}");
}

#[test]
fn grouping_always_has_each_coroutine_of_the_user_once_and_no_internal_task() {
    // The wait in a timeout needs an internal task, which is not reported.
    let main = co! { let _ = yield (timeout(forever(), FOREVER), (forever(), fails())); }.named("main");
    let error = Loop::builder().grouping(Grouping::Always).build().run(main).unwrap_err();
    let cancelled: Vec<_> = error.others().iter().map(|error| names(error).join("/")).collect();
    assert_eq!(cancelled, ["main"], "{error:?}");
}

#[test]
fn failure_while_stopping_is_reported_and_cancels_no_coroutine_twice() {
    let seen = Counter::new();
    let bystander = |seen: Counter| {
        co! {
            let error = (yield catch(forever())).unwrap_err();
            seen.up();
            let reason = error.as_cancelled().unwrap().reason();
            assert!(matches!(reason, Reason::Failed { name, .. } if name == "fails"));
            Err(error)?;
        }
    };
    let second = co! { let _ = yield catch(forever()); Err("second")?; };
    let third = co! { let _ = yield catch(forever()); Err("third")?; };
    let main = (bystander(seen.clone()), second, bystander(seen.clone()), third, fails());
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "failed");
    assert_eq!(messages(error.others()), ["third", "second"]);
    assert_eq!(seen.get(), 2);
}

#[test]
fn catch_gives_the_value_if_nothing_is_raised() {
    let main = co! { (yield catch((co! { 1 }, co! { "two" }))).map_err(|error| error.to_string()) };
    assert_eq!(Loop::new().run(main).unwrap(), Ok((1, "two")));
}

#[test]
fn catch_gives_the_error_of_a_coroutine_of_another_domain() {
    let failed = co! { yield; Err("elsewhere")?; }.shared();
    let outside = failed.clone();
    let main = co! {
        let domain = isolate(co! { yield &failed });
        let (inside, caught) = yield (domain, catch(co! { yield; yield; yield; "late" }));
        assert_eq!(inside.unwrap_err().to_string(), "elsewhere");
        assert_eq!(caught.unwrap(), "late");
        // It is not a cancellation, so the coroutine continues.
        let error = (yield catch(&outside)).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.is_cancelled()), ("elsewhere", false));
        yield;
        "went on"
    };
    assert_eq!(Loop::new().run(main).unwrap(), "went on");
}

#[test]
fn cancellation_converted_and_raised_again_is_still_a_cancellation() {
    let main = co! {
        let cancelled: Result<(), Error> = yield catch(forever());
        // Converted to a boxed error, as a function of the user may do.
        let boxed: Box<dyn std::error::Error + Send + Sync> = cancelled.unwrap_err().into();
        Err(boxed)?;
    };
    let error = Loop::new().run((main, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    let main = co! {
        let error = (yield catch(forever())).unwrap_err();
        let cancelled: Cancelled = error.as_cancelled().unwrap().clone();
        Err(cancelled)?;
    };
    let error = Loop::new().run((main, fails())).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn error_of_a_domain_that_is_raised_again_outside_is_reported_once() {
    for grouping in [Grouping::Auto, Grouping::Always] {
        let shared = co! { yield; Err("inside")?; }.shared();
        let waits = shared.clone();
        let main = (isolate(co! { yield shared }), co! { yield waits });
        let error = Loop::builder().grouping(grouping).build().run(main).unwrap_err();
        assert_eq!(error.to_string(), "inside");
        assert!(error.others().iter().all(Error::is_cancelled), "{error:?}");
    }
}
