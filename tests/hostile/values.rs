//! Values whose `Clone` or destructor calls the library.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;

use tinyield::{Event, Loop, Shared, catch, co, isolate, race, spawn};

use crate::common::{Counter, Log, OnDrop, Wakes, forever, poll};

#[test]
fn clone_of_a_shared_value_waits_for_that_value_and_gets_an_error() {
    struct Recursive(Rc<RefCell<Option<Shared<Recursive>>>>, Counter);
    impl Clone for Recursive {
        fn clone(&self) -> Recursive {
            self.1.up();
            if self.1.get() == 1 {
                // The value is being cloned, so it cannot be cloned again from inside.
                let own = self.0.borrow().clone().unwrap();
                assert!(Loop::new().run(co! { (yield catch(own)).is_err() }).unwrap());
            }
            Recursive(self.0.clone(), self.1.clone())
        }
    }
    let cell = Rc::<RefCell<Option<Shared<Recursive>>>>::default();
    let clones = Counter::new();
    let value = Recursive(cell.clone(), clones.clone());
    let shared = co! { yield; value }.shared();
    *cell.borrow_mut() = Some(shared.clone());
    drop(Loop::new().run((&shared, &shared)).unwrap());
    assert!(clones.get() >= 2);
    cell.take();
}

#[test]
fn clone_of_a_shared_value_drops_all_other_handles_of_it() {
    struct Value(String, Rc<RefCell<Vec<Shared<Value>>>>);
    impl Clone for Value {
        fn clone(&self) -> Value {
            self.1.take();
            Value(self.0.clone(), self.1.clone())
        }
    }
    let handles = Rc::<RefCell<Vec<Shared<Value>>>>::default();
    let value = Value("value".to_string(), handles.clone());
    let shared = co! { yield; value }.shared();
    handles.borrow_mut().extend([shared.clone(), shared.clone()]);
    let value = Loop::new().run(shared).unwrap();
    assert_eq!(value.0, "value");
    assert!(handles.borrow().is_empty());
}

#[test]
fn value_that_is_not_taken_sets_an_event_when_it_is_dropped() {
    let event = Event::new();
    // Completes after some turns, or as the answer to its cancellation.
    let sets = |turns: Option<usize>| {
        let event = event.clone();
        co! {
            match turns {
                Some(turns) => for _ in 0..turns { yield; },
                None => drop(yield catch(forever())),
            }
            OnDrop(move || { event.set(); event.clear(); })
        }
    };
    let log = Log::new();
    let waits = |name: &'static str| {
        let (event, log) = (event.clone(), log.clone());
        co! { yield event.wait(); log.push(name); }
    };
    // The handle is dropped before the end, and after the end.
    let (early, late) = (sets(Some(0)), sets(Some(2)));
    let (first, second) = (waits("first"), waits("second"));
    let main = co! {
        let handle = yield spawn(early);
        drop(yield spawn(late));
        yield first;
        let second = yield spawn(second);
        yield;
        drop(handle);
        yield second;
    };
    Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["first", "second"]);
    // The value of a coroutine that loses a race.
    let (runners, waiting) = ([sets(Some(2)), sets(None)], waits("third"));
    let main = co! {
        let waiting = yield spawn(waiting);
        let winner = yield race(runners);
        yield waiting;
        drop(winner);
    };
    Loop::new().run(main).unwrap();
    assert_eq!(log.take(), ["third"]);
}

#[test]
fn value_that_outlives_its_loop_sets_an_event_of_another_loop_when_it_is_dropped() {
    let event = Event::new();
    let sets = event.clone();
    let handle = Loop::new().run(spawn(co! { yield; OnDrop(move || sets.set()) })).unwrap();
    assert!(handle.is_finished());
    let (wakes, waker) = Wakes::new();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(event.wait());
    assert!(poll(&mut runtime, &waker).is_pending());
    drop(handle);
    assert_eq!(wakes.get(), 1);
    assert!(matches!(poll(&mut runtime, &waker), Poll::Ready(Ok(()))));
}

#[test]
fn error_raised_again_many_times_keeps_its_message_and_gets_a_frame_each_time() {
    const TIMES: usize = if cfg!(miri) { 50 } else { 2_000 };
    let main = co! {
        let mut error = tinyield::Error::msg("first");
        for _ in 0..TIMES {
            let again = error;
            error = (yield isolate(co! { Err::<(), _>(again)? })).unwrap_err().error().clone();
        }
        (error.to_string(), error.trace().len())
    };
    assert_eq!(Loop::new().run(main).unwrap(), ("first".to_string(), TIMES));
}
