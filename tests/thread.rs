//! Blocking work on threads.
#![feature(coroutines)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use tinyield::{Loop, ThreadPool, co, isolate, run_in_thread, thread};

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

/// While it is armed, its destructor panics.
struct Bomb {
    panics: Arc<AtomicUsize>,
    is_armed: Arc<AtomicBool>,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.is_armed.load(SeqCst) {
            self.panics.fetch_add(1, SeqCst);
            resume_unwind(Box::new("bomb"));
        }
    }
}

/// The coroutine may end with the value before the thread has delivered its completion. Then the completion must not keep the value.
#[test]
fn a_value_that_nothing_takes_is_dropped_with_its_scope_and_a_panic_of_its_destructor_is_reported() {
    let pool = ThreadPool::new(1);
    for _ in 0..if cfg!(miri) { 5 } else { 1_000 } {
        let (panics, is_armed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let bomb = Bomb { panics: panics.clone(), is_armed: is_armed.clone() };
        let (arms, disarms, alive) = (is_armed.clone(), is_armed, panics.clone());
        let work = pool.run_in_thread(move || bomb);
        let takes = co! { let bomb = yield work; disarms.store(false, SeqCst); drop(bomb); };
        let fails = co! { yield; arms.store(true, SeqCst); Err("the work is given up")?; };
        let main = co! {
            assert!((yield isolate((takes, fails))).is_err());
            // `alive` and `panics` are left.
            assert_eq!(Arc::strong_count(&alive), 2, "the value has outlived its scope");
            // In these turns, the completion arrives.
            for _ in 0..3 { yield; }
            yield run_in_thread(|| ());
        };
        let result = catch_unwind(AssertUnwindSafe(|| Loop::new().run(main)));
        match result {
            Ok(result) => assert_eq!((result.is_ok(), panics.load(SeqCst)), (true, 0), "a panic is lost"),
            Err(payload) => assert_eq!(payload.downcast_ref(), Some(&"bomb"), "{}", message(&*payload)),
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload.downcast_ref::<String>().map_or("", String::as_str)
}
