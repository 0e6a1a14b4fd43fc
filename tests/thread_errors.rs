//! Threads and failure: errors into, out of, and beside blocking work; pools; cancellation that is seen from any depth.
#![feature(coroutines)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;
use std::{fmt, io};

use common::{LONG, forever, lines, messages, ms, names, panic_of};
use tinyield::{
    Cancelled, Coro, Grouping, Loop, Reason, ThreadPool, TimedOut, catch, co, coro, isolate, race, run_in_thread,
    sleep, thread, timeout,
};

/// Signals that it has begun, then works until it is cancelled.
fn until_told(begun: mpsc::Sender<()>) -> Cancelled {
    begun.send(()).unwrap();
    loop {
        if let Err(cancelled) = a_call_deep(20) {
            return cancelled;
        }
        std::thread::yield_now();
    }
}

fn a_call_deep(depth: u32) -> Result<(), Cancelled> {
    if depth == 0 { thread::checkpoint() } else { a_call_deep(depth - 1) }
}

/// Fails as soon as something has begun.
#[coro]
fn fails_when(begun: mpsc::Receiver<()>) -> Coro<()> {
    while begun.try_recv().is_err() {
        yield sleep(Duration::ZERO);
    }
    Err("Raising!")?
}

#[test]
fn a_hundred_closures_run_at_the_same_time() {
    let all_run = Arc::new(Barrier::new(100));
    let call = |all_run: Arc<Barrier>| {
        run_in_thread(move || {
            all_run.wait();
            2
        })
    };
    let calls: Vec<_> = (0..100).map(|_| call(all_run.clone())).collect();
    assert_eq!(Loop::new().run(calls).unwrap(), [2; 100]);
}

#[test]
fn a_pool_of_two_never_runs_three_and_a_pool_of_three_does() {
    for with_map in [false, true] {
        for max in [2, 3] {
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let all = Arc::new(Barrier::new(max));
            let (now, peak) = (running.clone(), most.clone());
            let count = Arc::new(move |x: usize| {
                peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                // As many closures as the pool has threads run at once. If this waited for more, it would never end.
                all.wait();
                now.fetch_sub(1, SeqCst);
                (x, x)
            });
            let pool = ThreadPool::new(max);
            let calls = 12;
            let main = co! {
                if with_map {
                    yield pool.map(move |x| count(x), 0..calls)
                } else {
                    let all: Vec<_> = (0..calls).map(|x| { let count = count.clone(); pool.run_in_thread(move || count(x)) }).collect();
                    yield all
                }
            };
            assert_eq!(Loop::new().run(main).unwrap(), (0..calls).map(|x| (x, x)).collect::<Vec<_>>());
            assert_eq!(most.load(SeqCst), max);
        }
    }
}

#[test]
fn errors_of_many_threads_are_all_reported() {
    let barrier = Arc::new(Barrier::new(10));
    let calls: Vec<_> = (0..10)
        .map(|n| {
            let barrier = barrier.clone();
            run_in_thread(move || {
                barrier.wait();
                Err::<(), _>(format!("error {n}"))
            })
            .raise()
        })
        .collect();
    let error = Loop::new().run(calls).unwrap_err();
    let mut all = messages(error.others());
    all.push(error.to_string());
    all.sort();
    assert_eq!(all, (0..10).map(|n| format!("error {n}")).collect::<Vec<_>>());
}

#[test]
fn a_failure_is_seen_in_the_thread_with_its_reason_and_the_thread_is_joined() {
    for first in [false, true] {
        for grouping in [Grouping::Auto, Grouping::Never, Grouping::Always] {
            let (begun, begin) = mpsc::channel();
            let seen = Arc::new(Mutex::new(None));
            let tells = seen.clone();
            let work = run_in_thread(move || *tells.lock().unwrap() = Some(until_told(begun).reason()));
            let fails = fails_when(begin);
            let main = co! { if first { yield (work, fails); } else { yield (fails, work); } };
            let error = Loop::builder().grouping(grouping).build().run(main.named("main")).unwrap_err();
            assert_eq!(error.to_string(), "Raising!");
            assert_eq!(names(error.error()), ["main", "fails_when"]);
            let seen = seen.lock().unwrap().take();
            assert!(matches!(seen, Some(Reason::Failed { name, .. }) if name == "fails_when"));
            let others: Vec<_> = error.others().iter().map(|other| names(other).join("/")).collect();
            // The closure completed, and its value was dropped. It raised nothing.
            let expected = if grouping == Grouping::Always { vec!["main"] } else { vec![] };
            assert_eq!(others, expected, "{error:?}");
            assert!(error.others().iter().all(tinyield::Error::is_cancelled));
        }
    }
}

#[test]
fn another_error_of_a_cancelled_thread_is_among_the_others() {
    for grouping in [Grouping::Auto, Grouping::Never] {
        let (begun, begin) = mpsc::channel();
        let work = run_in_thread(move || {
            let cancelled = until_told(begun);
            Err::<(), _>(format!("Responding improperly to: {cancelled}"))
        });
        let main = co! { yield (fails_when(begin), work.raise()); };
        let error = Loop::builder().grouping(grouping).build().run(main).unwrap_err();
        assert_eq!(error.to_string(), "Raising!");
        if grouping == Grouping::Auto {
            let [other] = error.others() else { panic!("{error:?}") };
            assert!(
                other.to_string().starts_with("Responding improperly to: cancelled: `fails_when` failed at "),
                "{other}"
            );
            assert_eq!(names(other).last(), Some(&"run_in_thread"));
        } else {
            assert!(error.others().is_empty());
        }
    }
}

#[test]
fn a_thread_that_raises_its_cancellation_adds_no_error() {
    let (begun, begin) = mpsc::channel();
    let work = run_in_thread(move || Err::<(), _>(until_told(begun)));
    let error = Loop::new().run((fails_when(begin), work.raise())).unwrap_err();
    assert_eq!(error.to_string(), "Raising!");
    assert!(error.others().is_empty(), "{error:?}");
}

/// An error type of the program, with the cancellation as its source.
#[derive(Debug)]
struct WrapsCancelled(Cancelled);

impl fmt::Display for WrapsCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the work was given up")
    }
}

impl std::error::Error for WrapsCancelled {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// The ways in which a cancellation becomes another error.
const WRAPS: [fn(Cancelled) -> Boxed; 9] = [
    |cancelled| cancelled.into(),
    |cancelled| WrapsCancelled(cancelled).into(),
    |cancelled| tinyield::Error::from(cancelled).into(),
    |cancelled| anyhow::Error::from(cancelled).into(),
    |cancelled| anyhow::Error::from(WrapsCancelled(cancelled)).context("while indexing").into(),
    |cancelled| anyhow::Error::from_boxed(tinyield::Error::from(cancelled).into()).into(),
    |cancelled| io::Error::other(cancelled).into(),
    |cancelled| anyhow::Error::from(io::Error::other(tinyield::Error::from(cancelled))).context("while reading").into(),
    |cancelled| Loop::new().run(co! { Err::<(), _>(cancelled)? }).unwrap_err().into(),
];

#[test]
fn a_thread_that_raises_an_error_caused_by_its_cancellation_adds_no_error() {
    for wrap in WRAPS {
        let work = |begun| run_in_thread(move || Err::<(), _>(wrap(until_told(begun)))).raise();

        let (begun, begin) = mpsc::channel();
        let error = Loop::new().run((fails_when(begin), work(begun))).unwrap_err();
        assert_eq!(error.to_string(), "Raising!");
        assert!(error.others().is_empty(), "{error:?}");

        let (begun, begin) = mpsc::channel();
        let wins = co! { let _ = yield isolate(fails_when(begin)); };
        assert_eq!(Loop::new().run(race([work(begun), wins])).unwrap(), ());

        let (begun, _begin) = mpsc::channel();
        assert_eq!(Loop::new().run(timeout(work(begun), ms(20))).unwrap(), Err(TimedOut));
    }
}

#[test]
fn a_coroutine_that_raises_an_error_caused_by_its_cancellation_adds_no_error() {
    for wrap in WRAPS {
        let wraps = co! {
            let Err(error) = yield catch(forever()) else { unreachable!() };
            Err(wrap(error.as_cancelled().unwrap().clone()))?;
        };
        let error = Loop::new().run((wraps, co! { yield; Err("Raising!")?; })).unwrap_err();
        assert_eq!(error.to_string(), "Raising!");
        assert!(error.others().is_empty(), "{error:?}");
    }
}

#[test]
fn an_error_that_only_quotes_a_cancellation_is_another_error() {
    let quotes = co! {
        let Err(error) = yield catch(forever()) else { unreachable!() };
        Err(anyhow::anyhow!("not ended: {error}"))?;
    };
    let error = Loop::new().run((quotes, co! { yield; Err("Raising!")?; })).unwrap_err();
    assert_eq!(error.to_string(), "Raising!");
    assert_eq!(error.others().len(), 1, "{error:?}");
}

#[test]
fn an_error_of_a_thread_stops_the_others_and_has_the_trace() {
    #[coro]
    fn foo() -> Coro<()> {
        yield bar()
    }
    #[coro]
    fn bar() -> Coro<()> {
        let spins = co! { loop { yield; } }.named("baz");
        yield (spins, run_in_thread(|| Err::<(), _>("Kaboom")).raise());
    }
    let line = line!() - 2;
    for grouping in [Grouping::Auto, Grouping::Never, Grouping::Always] {
        let error = Loop::builder().grouping(grouping).build().run(foo()).unwrap_err();
        assert_eq!(error.to_string(), "Kaboom");
        assert_eq!(names(error.error()), ["foo", "bar", "run_in_thread"]);
        assert_eq!(lines(error.error()), [line - 5, line, line]);
        let others: Vec<_> = error.others().iter().map(|other| names(other).join("/")).collect();
        assert_eq!(others, if grouping == Grouping::Always { vec!["baz", "bar", "foo"] } else { vec![] });
    }
}

#[test]
fn an_error_of_a_thread_keeps_its_cause() {
    #[derive(Debug)]
    struct OhNo(std::num::ParseIntError);
    impl std::fmt::Display for OhNo {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("oh no")
        }
    }
    impl std::error::Error for OhNo {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Loop::new().run(run_in_thread(|| "x".parse::<i32>().map_err(OhNo)).raise()).unwrap_err();
    assert_eq!(error.to_string(), "oh no");
    assert!(error.error().downcast_ref::<OhNo>().is_some());
    assert!(format!("{error:?}").contains("caused by: invalid digit found in string"), "{error:?}");
}

#[test]
fn a_stop_while_waiting_for_a_thread_is_seen_there() {
    // This thread stops the loop, as a thread that waits for signals would.
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    let (begun, begin) = mpsc::channel();
    let signal = std::thread::spawn(move || {
        begin.recv().unwrap();
        handle.stop();
    });
    let cleaned = Arc::new(AtomicUsize::new(0));
    let cleans = cleaned.clone();
    let main = run_in_thread(move || {
        assert_eq!(until_told(begun).reason(), Reason::Stopped);
        cleans.fetch_add(1, SeqCst);
    });
    let error = event_loop.run([main]).unwrap_err();
    signal.join().unwrap();
    assert!(error.is_stopped());
    assert_eq!(cleaned.load(SeqCst), 1);
}

#[test]
fn a_value_that_arrives_after_a_cancellation_is_dropped() {
    struct Value(Arc<AtomicUsize>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let value = Value(drops.clone());
    let (begun, begin) = mpsc::channel();
    let work = run_in_thread(move || {
        until_told(begun);
        value
    });
    let error = Loop::new().run((work, fails_when(begin))).map(drop).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn a_closure_that_has_not_begun_never_does() {
    let begun = Arc::new(AtomicUsize::new(0));
    let pool = ThreadPool::new(1);
    let (first_begun, begin) = mpsc::channel();
    let first = pool.run_in_thread(move || drop(until_told(first_begun)));
    let captures = Arc::new(());
    let queued: Vec<_> = (0..10)
        .map(|_| {
            let (begun, held) = (begun.clone(), captures.clone());
            pool.run_in_thread(move || {
                drop(held);
                begun.fetch_add(1, SeqCst)
            })
        })
        .collect();
    Loop::new().run((first, queued, fails_when(begin))).map(drop).unwrap_err();
    assert_eq!(begun.load(SeqCst), 0);
    assert_eq!(Arc::strong_count(&captures), 1);
    // The pool still works.
    assert_eq!(Loop::new().run(pool.run_in_thread(|| 1)).unwrap(), 1);
}

#[test]
fn a_closure_cancelled_by_a_timeout_sees_that_reason() {
    let (tell, told) = mpsc::channel();
    let (begun, _begin) = mpsc::channel();
    let main = co! {
        // If the time runs out before the closure has begun, the closure never runs and sends no reason.
        loop {
            let (tell, begun) = (tell.clone(), begun.clone());
            let work = run_in_thread(move || tell.send(until_told(begun).reason()).unwrap());
            assert_eq!(yield timeout(work, ms(5)), Err(TimedOut));
            if let Ok(reason) = told.try_recv() {
                return reason;
            }
        }
    };
    assert_eq!(Loop::new().run(main).unwrap(), Reason::TimedOut);
}

#[test]
fn a_closure_cancelled_by_a_race_sees_that_reason() {
    let (tell, told) = mpsc::channel();
    let (begun, begin) = mpsc::channel();
    let work = run_in_thread(move || tell.send(until_told(begun).reason()).unwrap());
    let wins = co! { while begin.try_recv().is_err() { yield sleep(ms(0)); } };
    Loop::new().run(race([work, wins])).unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [Reason::Raced]);
}

#[test]
fn a_domain_joins_its_threads_and_their_reason_names_the_failed_coroutine() {
    let (tell, told) = mpsc::channel();
    let (begun, begin) = mpsc::channel();
    let main = co! {
        let work = run_in_thread(move || tell.send(until_told(begun).reason()).unwrap());
        let error = (yield isolate(co! { yield (work, fails_when(begin)); })).unwrap_err();
        (error.to_string(), told.try_iter().collect::<Vec<_>>())
    };
    let (error, told) = Loop::new().run(main).unwrap();
    assert_eq!(error, "Raising!");
    assert!(matches!(&told[..], [Reason::Failed { name, .. }] if name == "fails_when"), "{told:?}");
}

#[test]
fn a_caught_cancellation_of_a_wait_for_a_thread_arrives_after_the_join() {
    let (begun, begin) = mpsc::channel();
    let ended = Arc::new(AtomicUsize::new(0));
    let ends = ended.clone();
    let watches = co! {
        let work = run_in_thread(move || {
            until_told(begun);
            ends.fetch_add(1, SeqCst);
        });
        let error = (yield catch(work)).unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(ended.load(SeqCst), 1);
        Err(error)?;
    };
    let error = Loop::new().run((watches, fails_when(begin))).unwrap_err();
    assert!(error.others().is_empty(), "{error:?}");
}

#[test]
fn is_cancelled_is_false_outside_of_a_closure_and_in_a_later_one() {
    assert!(thread::checkpoint().is_ok());
    assert!(!thread::is_cancelled());
    Loop::new().run(run_in_thread(|| assert!(thread::checkpoint().is_ok() && !thread::is_cancelled()))).unwrap();
    // The same on a thread of the pool whose last closure was cancelled.
    let pool = ThreadPool::new(1);
    let (begun, begin) = mpsc::channel();
    let work = pool.run_in_thread(move || drop(until_told(begun)));
    Loop::new().run((work, fails_when(begin))).unwrap_err();
    assert!(!Loop::new().run(pool.run_in_thread(thread::is_cancelled)).unwrap());
}

#[test]
fn a_pool_of_0_threads_panics_where_it_is_made() {
    let message = panic_of(|| ThreadPool::new(0));
    assert!(message.contains("at least 1"), "{message}");
}

#[test]
fn a_map_of_nothing_gives_nothing_and_one_that_panics_panics() {
    let pool = ThreadPool::new(2);
    assert_eq!(Loop::new().run(pool.map(|x: i32| x, [])).unwrap(), []);
    let map = pool.map(|x| assert_ne!(x, 3, "three"), 0..5);
    assert!(panic_of(|| Loop::new().run(map)).contains("three"));
    assert_eq!(Loop::new().run(pool.map(|x: i32| x + 1, 0..3)).unwrap(), [1, 2, 3]);
}

#[test]
fn an_idle_loop_takes_no_steps_while_it_waits_for_its_threads() {
    let (begun, begin) = mpsc::channel();
    let (go, goes) = mpsc::channel();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime((
        run_in_thread(move || {
            begun.send(()).unwrap();
            goes.recv().unwrap();
            5
        }),
        timeout(forever(), LONG),
    ));
    let (steps, idle) = common::to_idle(&mut runtime);
    assert!(steps <= 6, "{steps}");
    begin.recv().unwrap();
    assert!(idle.deadline().is_some());
    go.send(()).unwrap();
    idle.wait();
    let (steps, _) = common::to_idle(&mut runtime);
    assert_eq!(steps, 1);
}

#[test]
fn reports_about_a_map_name_the_line_that_called_it() {
    let pool = ThreadPool::new(1);
    let map = pool.map(|()| std::panic::resume_unwind(Box::new("a call")), [()]);
    let asked_for = line!() - 1;
    let (tell, told) = mpsc::channel();
    let watches = co! {
        let error = (yield catch(forever())).unwrap_err();
        tell.send(error.as_cancelled().unwrap().reason()).unwrap();
        Err(error)?;
    };
    assert_eq!(panic_of(|| drop(Loop::new().run((map, watches)))), "a call");
    let Reason::Failed { name, location } = told.recv().unwrap() else { panic!("a call has failed") };
    assert_eq!((&*name, location.file(), location.line()), ("run_in_thread", file!(), asked_for));

    let map = pool.map(|()| (), [()]);
    let asked_for = line!() - 1;
    let main = co! { yield (map, co! { Err("oh no")?; }); };
    let error = Loop::builder().grouping(Grouping::Always).build().run(main).unwrap_err();
    let map = error.others().iter().find(|other| names(other) == ["ThreadPool::map"]).unwrap();
    assert_eq!((map.location().file(), lines(map)), (file!(), vec![asked_for]));
}
