//! Blocking work on threads.
#![feature(coroutines)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use tinyield::{Loop, ThreadPool, co, run_in_thread, thread};

#[test]
fn closures_run_at_the_same_time() {
    let barrier = Arc::new(Barrier::new(8));
    let calls: Vec<_> = (0..8)
        .map(|x| {
            let barrier = barrier.clone();
            run_in_thread(move || {
                barrier.wait();
                x
            })
        })
        .collect();
    assert_eq!(Loop::new().run(calls).unwrap(), (0..8).collect::<Vec<_>>());
}

#[test]
fn an_error_elsewhere_cancels_a_closure_and_waits_for_it() {
    let ended = Arc::new(AtomicUsize::new(0));
    let theirs = ended.clone();
    let (begun, begin) = std::sync::mpsc::channel();
    let main = co! {
        let work = run_in_thread(move || {
            begun.send(()).unwrap();
            while !thread::is_cancelled() {
                std::thread::yield_now();
            }
            theirs.fetch_add(1, Ordering::SeqCst);
        });
        let fails = co! {
            begin.recv().unwrap();
            Err("stop it")?;
        };
        yield (work, fails);
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "stop it");
    assert!(error.others().is_empty(), "{error:?}");
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[test]
fn errors_of_two_threads_are_both_reported() {
    let barrier = Arc::new(Barrier::new(2));
    let fails = |message: &'static str| {
        let barrier = barrier.clone();
        run_in_thread(move || {
            barrier.wait();
            Err::<(), _>(message)
        })
        .raise()
    };
    let error = Loop::new().run((fails("one"), fails("two"))).unwrap_err();
    assert_eq!(error.others().len(), 1, "{error:?}");
    let mut messages = [error.to_string(), error.others()[0].to_string()];
    messages.sort();
    assert_eq!(messages, ["one", "two"]);
}

#[test]
fn a_pool_bounds_how_many_run_at_once_and_keeps_order() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (r, m) = (running.clone(), most.clone());
    let pool = ThreadPool::new(2);
    let main = pool.map(
        move |x: usize| {
            let now = r.fetch_add(1, Ordering::SeqCst) + 1;
            m.fetch_max(now, Ordering::SeqCst);
            std::thread::yield_now();
            r.fetch_sub(1, Ordering::SeqCst);
            x * 2
        },
        0..100,
    );
    assert_eq!(Loop::new().run(main).unwrap(), (0..100).map(|x| x * 2).collect::<Vec<_>>());
    assert!(most.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_panic_in_a_closure_comes_out_of_run() {
    let result = std::panic::catch_unwind(|| Loop::new().run(run_in_thread(|| panic!("from a thread"))));
    assert_eq!(*result.unwrap_err().downcast_ref::<&str>().unwrap(), "from a thread");
}
