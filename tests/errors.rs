//! The error that `run` returns: its trace, its report, and the types that can be raised.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;
use std::rc::Rc;

use common::{FOREVER, LONG, forever, lines, names};
use tinyield::{
    Coro, Deadlock, Error, Event, Grouping, Loop, LoopError, Reason, Shared, Stuck, as_completed, catch, co, coro,
    isolate, race, run_in_thread, shield, spawn, thread, timeout,
};

#[derive(Debug, PartialEq)]
struct Kapow(u32);

impl fmt::Display for Kapow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kapow {}", self.0)
    }
}

impl StdError for Kapow {}

#[derive(Debug)]
struct Wrapper(Kapow);

impl fmt::Display for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl StdError for Wrapper {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

fn error_of<T>(coro: Coro<T>) -> LoopError {
    match Loop::new().run(coro) {
        Ok(_) => panic!("it should have failed"),
        Err(error) => error,
    }
}

#[test]
fn run_returns_an_error_with_the_names_and_lines_of_all_waiting_coroutines() {
    #[coro]
    fn f() -> Coro<()> {
        yield g() // 1
    }
    #[coro]
    fn g() -> Coro<()> {
        yield;
        let x = 1;
        let ((), ()) = (yield h(x), ()); // 2
    }
    #[coro]
    fn h(_: i32) -> Coro<()> {
        let (_, ()) = yield (
            co! { yield; }, // 3: the line of the `yield`
            i(),
        );
    }
    #[coro]
    fn i() -> Coro<()> {
        yield;
        let fine: Result<i32, Kapow> = Ok(1);
        fine?;
        let bad: Result<i32, Kapow> = Err(Kapow(1));
        bad?; // 4
    }
    let here = |mark: &str| {
        let place = include_str!("errors.rs").lines().position(|line| line.ends_with(mark));
        u32::try_from(place.unwrap()).unwrap() + 1
    };
    let error = error_of(f());
    assert_eq!(names(error.error()), ["f", "g", "h", "i"]);
    let h = here("// 3: the line of the `yield`") - 1;
    assert_eq!(lines(error.error()), [here("g() // 1"), here("; // 2"), h, here("bad?; // 4")]);
    assert!(error.error().trace().iter().all(|frame| frame.location().file() == file!()));
    assert_eq!(error.error().downcast_ref::<Kapow>(), Some(&Kapow(1)));
    assert_eq!(error.error().location().line(), here("bad?; // 4"));
    assert!(!error.error().is_cancelled() && !error.is_stopped());
    for grouping in [Grouping::Auto, Grouping::Never, Grouping::Always] {
        let error = Loop::builder().grouping(grouping).build().run(f()).unwrap_err();
        assert_eq!(names(error.error()), ["f", "g", "h", "i"]);
        assert_eq!(error.others().len(), if grouping == Grouping::Always { 3 } else { 0 }, "{error:?}");
    }
}

#[test]
fn the_display_is_the_message_and_the_debug_output_is_the_report() {
    #[coro]
    fn outer() -> Coro<()> {
        yield (inner(), answers());
    }
    #[coro]
    fn inner() -> Coro<()> {
        yield;
        Err(Wrapper(Kapow(7)))?
    }
    #[coro]
    fn answers() -> Coro<()> {
        let _ = yield catch(forever());
        Err(Kapow(8))?;
    }
    let error = error_of(outer());
    assert_eq!(error.to_string(), "wrapped");
    assert_eq!(error.source().unwrap().to_string(), "kapow 7");
    let [outer, inner] = lines(error.error())[..] else { panic!() };
    let other = error.others()[0].location().line();
    let file = file!();
    let report = format!(
        "wrapped\n  caused by: kapow 7\n  coroutines, outermost first:\n    outer at {file}:{outer}\n    inner at {file}:{inner}\n\
         while stopping, 1 of 1: kapow 8\n  coroutines, outermost first:\n    outer at {file}:{outer}\n    answers at {file}:{other}"
    );
    assert_eq!(format!("{error:?}"), report);
    assert!(format!("{:?}", error.error()).starts_with("wrapped\n  caused by: kapow 7\n  coroutines"));
}

#[test]
fn a_trace_continues_while_exactly_one_coroutine_waits() {
    let failing: Shared<()> = co! { yield; yield; Err("shared")?; }.named("shared").shared();
    let also = failing.clone();
    let user = |shared: Shared<()>, name: &'static str| co! { yield shared }.named(name);
    let error = error_of(co! { yield (user(failing, "one"), user(also, "two")); });
    assert_eq!(names(error.error()), ["shared"]);
    let failing: Shared<()> = co! { yield; Err("shared")?; }.named("shared").shared();
    let error = error_of(co! { yield user(failing, "only"); }.named("main"));
    assert_eq!(names(error.error()), ["main", "only", "shared"]);
}

#[test]
fn a_trace_begins_at_a_spawned_coroutine_that_is_not_awaited() {
    #[coro]
    fn background() -> Coro<()> {
        yield;
        yield;
        Err("back there")?
    }
    let error = error_of(co! { yield spawn(background()); yield forever(); });
    assert_eq!(names(error.error()), ["background"]);
    let error = error_of(co! { let handle = yield spawn(background()); yield handle }.named("waits"));
    assert_eq!(names(error.error()), ["waits", "background"]);
}

#[test]
fn a_trace_goes_through_gathers_timeouts_races_shields_and_catches() {
    let failing = || co! { yield; Err("inside")?; }.named("failing");
    macro_rules! through {
        ($wait:expr) => {{
            let error = error_of(co! { let _ = yield $wait; }.named("outer"));
            assert_eq!(error.to_string(), "inside");
            assert_eq!(names(error.error()), ["outer", "failing"], "{}", stringify!($wait));
            assert!(error.others().is_empty(), "{error:?}");
        }};
    }
    through!((co! { 1 }, vec![Some(failing())]));
    through!(timeout(failing(), LONG));
    through!(timeout((failing(), forever()), LONG));
    through!(timeout(timeout(failing(), LONG), FOREVER));
    through!(race([failing(), co! { yield forever(); }]));
    through!(shield(failing()));
    through!(shield((failing(), ())));
    through!(failing().shared());
    through!(timeout(shield(catch((failing(), race([co! { yield forever(); }])))), LONG));
    let error = error_of(co! { (yield catch(failing()))?; }.named("outer"));
    assert_eq!(names(error.error()), ["outer", "failing"]);
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn a_trace_goes_through_threads() {
    let line = line!() + 3;
    let main = co! {
        yield (
            run_in_thread(|| Err::<(), _>(Kapow(3))).raise(),
            co! { loop { yield; } },
        )
    };
    let error = error_of(main.named("main"));
    assert_eq!(error.error().downcast_ref::<Kapow>(), Some(&Kapow(3)));
    assert_eq!(names(error.error()), ["main", "run_in_thread"]);
    assert_eq!(lines(error.error()), [line - 1, line]);
}

#[test]
fn the_report_shows_where_an_error_was_raised_inside_the_closure_of_a_thread() {
    let raised = line!() + 1;
    let work = || Err::<(), _>(Error::msg("disk full"));
    let line = line!() + 1;
    let error = error_of(co! { yield run_in_thread(work).raise(); }.named("main"));
    let file = file!();
    assert_eq!(error.error().location().line(), raised);
    let report = format!(
        "disk full\n  coroutines, outermost first:\n    main at {file}:{line}\n    run_in_thread at {file}:{line}\n  \
         raised at {file}:{raised}"
    );
    assert_eq!(format!("{error:?}"), report);
}

#[test]
fn the_report_shows_the_line_where_an_error_was_raised_once() {
    let error = error_of(co! { yield; Err(Kapow(1))?; });
    let report = format!("{error:?}");
    assert!(!report.contains("raised at"), "{report}");
    let inner = co! { yield; Err(Kapow(2))?; }.named("inner");
    let error = error_of(co! { (yield isolate(inner))?; }.named("outer"));
    let report = format!("{error:?}");
    assert!(report.contains("    outer at") && report.contains("    inner at"), "{report}");
    assert!(!report.contains("raised at"), "{report}");
}

#[test]
fn a_loop_error_keeps_its_trace_through_an_anyhow_error() {
    let inner = co! { yield; Err(Kapow(2))?; }.named("inner");
    let error = error_of(co! { (yield isolate(inner)).map_err(anyhow::Error::from)?; }.named("outer"));
    assert_eq!(names(error.error()), ["outer", "inner"], "{error:?}");
}

#[test]
fn a_loop_error_that_two_domains_raise_keeps_all_its_frames() {
    let failing: Shared<()> = co! {
        yield;
        Loop::new().run(co! { Err(Kapow(2))?; }.named("inner"))?;
    }
    .named("failing")
    .shared();
    let outside = failing.clone();
    let isolated = co! { let _ = yield isolate(co! { yield failing; }); };
    let main = co! { yield (isolated, co! { yield; yield outside }.named("waits")); };
    let error = error_of(main.named("main"));
    assert_eq!(names(error.error()), ["main", "waits", "failing", "inner"], "{error:?}");
}

#[test]
fn raise_adds_no_frame() {
    let coro: Coro<Result<(), Kapow>> = co! { yield; Err("its own")?; Ok(()) }.named("once");
    let error = error_of(co! { yield coro.raise(); }.named("main"));
    assert_eq!(names(error.error()), ["main", "once"]);
}

#[test]
fn an_error_of_an_isolate_that_is_raised_again_has_the_frames_of_both_domains() {
    let inner = co! { yield co! { yield; Err(Kapow(2))?; }.named("deepest"); }.named("inside");
    let outer = co! {
        let failed: Result<(), LoopError> = yield isolate(inner);
        failed?;
    };
    let error = error_of(co! { yield outer.named("outer"); }.named("main"));
    assert_eq!(names(error.error()), ["main", "outer", "inside", "deepest"]);
    assert_eq!(error.to_string(), "kapow 2");
}

#[test]
fn an_error_of_another_loop_that_is_raised_again_has_the_frames_of_both_loops() {
    let main = co! {
        yield;
        Loop::new().run(co! { yield; Err(Kapow(2))?; }.named("inner"))?;
    };
    let error = error_of(main.named("outer"));
    assert_eq!(names(error.error()), ["outer", "inner"]);
    let inner = error.error().downcast_ref::<LoopError>().expect("it is the error of the other loop");
    assert_eq!(inner.error().downcast_ref::<Kapow>(), Some(&Kapow(2)));
}

#[test]
fn an_error_that_leaves_a_domain_through_a_shared_names_each_coroutine_once() {
    let failing: Shared<()> = co! { yield; yield; Err("across")?; }.named("failing").shared();
    let outside = failing.clone();
    let main = co! {
        let inside = co! { yield spawn(&failing); yield forever(); }.named("inside");
        yield (co! { let _ = yield isolate(inside); }, co! { yield; yield outside }.named("waits"));
    };
    let error = error_of(main.named("main"));
    assert_eq!(error.to_string(), "across");
    assert_eq!(names(error.error()), ["main", "waits", "failing"], "{error:?}");
}

#[test]
fn a_coroutine_has_the_name_of_its_function_or_the_name_it_was_given() {
    struct Type;
    impl Type {
        #[coro]
        fn method(self: Rc<Self>) -> Coro<()> {
            yield;
            Err("x")?
        }
    }
    #[coro]
    fn generic<T: 'static>(value: T) -> Coro<()> {
        drop(value);
        yield Rc::new(Type).method()
    }
    let main = co! { yield generic(1); };
    let error = error_of(co! { yield main; }.named(String::from("by hand")));
    assert_eq!(names(error.error()), ["by hand", "co!", "generic", "method"]);
}

#[test]
fn anything_that_converts_into_a_box_may_be_raised() {
    assert_eq!(error_of(co! { Err("a str")?; }).to_string(), "a str");
    assert_eq!(error_of(co! { Err(String::from("a string"))?; }).to_string(), "a string");
    assert_eq!(error_of(co! { Err(Error::msg(1))?; }).to_string(), "1");
    assert!(error_of(co! { "x".parse::<i32>()?; }).error().downcast_ref::<std::num::ParseIntError>().is_some());
    let boxed = || -> Result<(), Box<dyn StdError + Send + Sync>> { Err(Box::new(Kapow(5))) };
    assert_eq!(error_of(co! { boxed()?; }).error().downcast_ref::<Kapow>(), Some(&Kapow(5)));
    let error = error_of(co! { std::fs::read("/no/such/file")?; });
    assert_eq!(error.error().downcast_ref::<std::io::Error>().unwrap().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn an_error_that_is_raised_later_keeps_the_place_where_it_was_made() {
    let line = line!() + 1;
    let made = Error::msg("made here");
    let error = error_of(co! { yield; Err(made)?; });
    assert_eq!((error.error().location().file(), error.error().location().line()), (file!(), line));
    let line = line!() + 1;
    let made = Error::from(Kapow(1));
    assert_eq!(made.location().line(), line);
    assert!(made.trace().is_empty());
}

#[test]
fn an_error_goes_through_a_box_and_back() {
    let error = Error::from(Wrapper(Kapow(4)));
    let boxed: Box<dyn StdError + Send + Sync> = error.clone().into();
    assert_eq!(boxed.to_string(), "wrapped");
    assert_eq!(boxed.source().unwrap().to_string(), "kapow 4");
    let again = error_of(co! { Err(boxed)?; });
    assert!(again.error().downcast_ref::<Wrapper>().is_some());
    assert_eq!(again.error().location(), error.location());
}

#[test]
fn errors_are_send_and_sync_and_cheap_to_clone() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Error>();
    check::<LoopError>();
    check::<tinyield::Cancelled>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    let error = error_of(co! { Err(Kapow(9))?; });
    let clone = error.clone();
    assert!(std::ptr::eq(
        error.error().downcast_ref::<Kapow>().unwrap(),
        clone.error().downcast_ref::<Kapow>().unwrap()
    ));
    let text = std::thread::spawn(move || format!("{clone:?}")).join().unwrap();
    assert_eq!(text, format!("{error:?}"));
}

#[test]
fn a_report_without_a_trace_shows_where_the_error_was_made() {
    let line = line!() + 1;
    let error = Error::from(Wrapper(Kapow(1)));
    assert_eq!(format!("{error:?}"), format!("wrapped\n  caused by: kapow 1\n  raised at {}:{line}", file!()));
}

#[test]
fn returning_an_err_value_raises_nothing() {
    let main = co! {
        yield;
        let result: Result<(), Kapow> = Err(Kapow(1));
        if result.is_err() {
            return result;
        }
        Ok(())
    };
    assert_eq!(Loop::new().run(main).unwrap(), Err(Kapow(1)));
}

#[test]
fn a_usage_error_in_a_coroutine_panics_after_the_others_have_cleaned_up() {
    let drops = common::Counter::new();
    let guard = drops.guard();
    let main = co! {
        yield (co! { let _guard = guard; loop { yield; } }, co! { yield; drop(race(Vec::<Coro<()>>::new())); });
    };
    let message = common::panic_of(|| Loop::new().run(main));
    assert!(message.contains("at least 1"), "{message}");
    assert_eq!(drops.get(), 1);
}

#[test]
fn waits_inside_the_library_are_reported_at_a_line_of_the_user() {
    let never = Event::new();
    let asked_for = line!() + 1;
    let upload = co! { yield never.wait(); Ok::<(), Kapow>(()) }.raise().named("upload");
    let error = Loop::new().run(upload).unwrap_err();
    let stuck = error.error().downcast_ref::<Deadlock>().unwrap().stuck();
    let frame = stuck.iter().map(Stuck::frame).find(|frame| frame.name() == "upload").unwrap();
    assert_eq!((frame.location().file(), frame.location().line()), (file!(), asked_for));

    let kept = Rc::new(RefCell::new(None));
    let keeps = kept.clone();
    let asked_for = line!() + 2;
    let loses = co! {
        let next = (yield as_completed([co! { yield forever(); }])).next();
        *keeps.borrow_mut() = next;
        yield forever();
    };
    let main = co! {
        yield race([loses, co! { yield; yield; yield; }]);
        let next = kept.borrow_mut().take().unwrap();
        yield next;
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!((error.error().location().file(), error.error().location().line()), (file!(), asked_for));

    let (begun, told) = (Event::new(), Rc::new(RefCell::new(None)));
    let (begins, tell) = (begun.remote(), told.clone());
    let works = move || {
        begins.set();
        while !thread::is_cancelled() {
            std::thread::yield_now();
        }
        std::panic::resume_unwind(Box::new("too late"));
    };
    let asked_for = line!() + 1;
    let runs = co! { yield run_in_thread(works); };
    let watches = co! {
        let error = (yield catch(forever())).unwrap_err();
        *tell.borrow_mut() = Some(error.as_cancelled().unwrap().reason());
        Err(error)?;
    };
    let main = co! { yield (watches, co! { yield race([runs, co! { yield begun.wait(); }]); }); };
    assert_eq!(common::panic_of(|| Loop::new().run(main)), "too late");
    let Some(Reason::Failed { name, location }) = told.take() else { panic!("the closure has failed") };
    assert_eq!((&*name, location.file(), location.line()), ("run_in_thread", file!(), asked_for));
}

mod imports_all {
    use std::num::ParseIntError;

    use tinyield::*;

    pub fn parse(text: &str) -> Result<u32, ParseIntError> {
        text.parse()
    }

    pub fn raised() -> Result<u32> {
        Loop::new().run(co! { Err("late")? }).map_err(|error| error.error().clone())
    }
}

#[test]
fn importing_all_leaves_results_with_two_parameters_usable() {
    assert_eq!(imports_all::parse("7"), Ok(7));
    assert_eq!(imports_all::raised().unwrap_err().to_string(), "late");
}
