//! Loops that are reached from inside themselves, and threads that end with coroutines left.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use tinyield::{Coro, Loop, Runtime, co};

use crate::common::{Log, OnDrop, forever, forget, panic_of, to_idle};

#[test]
fn loop_can_run_after_a_coroutine_has_tried_to_run_it() {
    // `&mut` forbids this. Through a `RefCell`, the cell panics.
    let cell = Rc::<RefCell<Option<Loop>>>::default();
    *cell.borrow_mut() = Some(Loop::new());
    let own = cell.clone();
    let main = co! { yield; own.borrow_mut().as_mut().unwrap().run(co! { 1 })? };
    let message = panic_of(|| cell.borrow_mut().as_mut().unwrap().run(main));
    assert!(message.contains("borrowed"), "{message}");
    assert_eq!(cell.borrow_mut().as_mut().unwrap().run(co! { 2 }).unwrap(), 2);
}

#[test]
fn runtime_cannot_be_reached_by_the_coroutines_that_it_runs() {
    type Own = Rc<RefCell<Option<Runtime<'static, ()>>>>;
    let loops: &'static mut [Loop] = Box::leak(Box::new([Loop::new(), Loop::new()]));
    // So that a leak sanitizer does not report it.
    forget(std::ptr::from_ref(loops).expose_provenance());
    for (is_dropped_in_place, event_loop) in [false, true].into_iter().zip(loops) {
        let own = Own::default();
        let (seen, sees, sees_late) = (Log::new(), own.clone(), own.clone());
        let log = seen.clone();
        let late = seen.clone();
        let main = co! {
            // The caller of `step` has borrowed it.
            log.push(sees.try_borrow_mut().is_err());
            let _late = OnDrop(move || {
                late.push(sees_late.try_borrow_mut().map_or_else(|_| "in use", |mut own| {
                    if own.take().is_some() { "there" } else { "gone" }
                }));
            });
            yield forever();
        };
        *own.borrow_mut() = Some(event_loop.runtime(main));
        let _ = to_idle(own.borrow_mut().as_mut().unwrap());
        if is_dropped_in_place {
            *own.borrow_mut() = None;
        } else {
            drop(own.take());
        }
        assert_eq!(seen.take(), ["true", if is_dropped_in_place { "in use" } else { "gone" }]);
    }
}

/// Counts how many are alive, on any thread.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, SeqCst);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn coroutines_kept_in_a_thread_local_are_dropped_when_the_thread_ends() {
    thread_local! {
        static KEPT: RefCell<Vec<Coro<Counted>>> = const { RefCell::new(Vec::new()) };
    }
    let count = Arc::new(AtomicUsize::new(0));
    let theirs = count.clone();
    let main = move || {
        // Thread-locals are dropped in the opposite order of their first use. So the one with which the library drops deep chains is
        // dropped before these.
        KEPT.with_borrow_mut(Vec::clear);
        let (unused, held) = (Counted::new(&theirs), Counted::new(&theirs));
        drop(co! { unused });
        let mut chain = co! { held };
        for _ in 0..100 {
            let (inner, held) = (chain, Counted::new(&theirs));
            chain = co! { let _held = held; yield inner };
        }
        KEPT.with_borrow_mut(|kept| kept.push(chain));
        assert_eq!(theirs.load(SeqCst), 101);
    };
    thread::spawn(main).join().unwrap();
    assert_eq!(count.load(SeqCst), 0);
}
