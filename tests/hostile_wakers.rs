//! Wakers of hosts that stop the loop, set an event, or panic, whatever is done with them.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{Alive, LONG, Wakes, forever};
use tinyield::thread::is_cancelled;
use tinyield::{Event, Loop, StopHandle, ThreadPool, co, race, shield, sleep, timeout};

/// What can be done with a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Clone,
    Wake,
    WakeByRef,
    Drop,
}

use Deed::{Clone as Cloned, Drop as Dropped, Wake as Woken, WakeByRef as WokenByRef};

thread_local! {
    /// What a waker sets on the loop's own thread.
    static EVENT: Cell<Option<Event>> = const { Cell::new(None) };
}

#[derive(Default)]
struct Hostile {
    stops: Mutex<Option<(Deed, StopHandle)>>,
    sets: Mutex<Option<Deed>>,
    panics: Mutex<Option<Deed>>,
    done: Mutex<Vec<Deed>>,
}

impl Hostile {
    fn panics_when(deed: Deed) -> Arc<Hostile> {
        Arc::new(Hostile { panics: Mutex::new(Some(deed)), ..Hostile::default() })
    }

    fn stops_when(deed: Deed, handle: StopHandle) -> Arc<Hostile> {
        Arc::new(Hostile { stops: Mutex::new(Some((deed, handle))), ..Hostile::default() })
    }

    /// The event is that of this thread.
    fn sets_when(deed: Deed, event: &Event) -> Arc<Hostile> {
        EVENT.set(Some(event.clone()));
        Arc::new(Hostile { sets: Mutex::new(Some(deed)), ..Hostile::default() })
    }

    fn waker(self: &Arc<Self>) -> Waker {
        // SAFETY: the functions below keep the contract: each waker owns one count of the `Arc`, which is `Send + Sync`.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(self.clone()).cast(), &VTABLE)) }
    }

    fn calm_down(&self) {
        *self.panics.lock().unwrap() = None;
    }

    fn has_seen(&self, deed: Deed) -> bool {
        self.done.lock().unwrap().contains(&deed)
    }

    fn suffer(&self, deed: Deed) {
        self.done.lock().unwrap().push(deed);
        if let Some((when, handle)) = &*self.stops.lock().unwrap()
            && *when == deed
        {
            handle.stop();
        }
        if *self.sets.lock().unwrap() == Some(deed)
            && let Some(event) = EVENT.take()
        {
            event.set();
        }
        let panics = *self.panics.lock().unwrap() == Some(deed) && !thread::panicking();
        assert!(!panics, "{deed:?}");
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: `data` is of a live waker, see `waker`.
        unsafe { &*data.cast::<Hostile>() }.suffer(Cloned);
        // SAFETY: as above; the count is that of the clone.
        unsafe { Arc::increment_strong_count(data.cast::<Hostile>()) };
        RawWaker::new(data, &VTABLE)
    },
    // SAFETY: as above; the waker is given up.
    |data| unsafe { Arc::from_raw(data.cast::<Hostile>()) }.suffer(Woken),
    // SAFETY: as above.
    |data| unsafe { &*data.cast::<Hostile>() }.suffer(WokenByRef),
    // SAFETY: as above; the waker is given up.
    |data| unsafe { Arc::from_raw(data.cast::<Hostile>()) }.suffer(Dropped),
);

/// Does `f` on a thread of its own: should it wait for ever, the test fails.
fn in_time<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || drop(sender.send(f())));
    receiver.recv_timeout(LONG).expect("it ended")
}

#[test]
fn a_waker_stops_the_loop_when_it_is_cloned() {
    let mut event_loop = Loop::new();
    let waker = Hostile::stops_when(Cloned, event_loop.stop_handle()).waker();
    let mut runtime = event_loop.runtime(sleep(LONG));
    match runtime.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(result) => assert!(result.unwrap_err().is_stopped()),
        Poll::Pending => panic!("it was stopped when the waker was cloned"),
    }
}

#[test]
fn a_waker_stops_the_loop_when_it_is_dropped() {
    in_time(|| {
        let mut event_loop = Loop::new();
        let hostile = Hostile::stops_when(Dropped, event_loop.stop_handle());
        let waker = hostile.waker();
        let mut runtime = event_loop.runtime(shield(sleep(Duration::from_millis(10))));
        assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
        // It waits for what is shielded on this thread; there is nothing that a host could be woken for.
        drop(runtime);
        assert!(hostile.has_seen(Dropped));
    });
}

#[test]
fn a_waker_stops_the_loop_when_another_takes_its_place() {
    let mut event_loop = Loop::new();
    let waker = Hostile::stops_when(Dropped, event_loop.stop_handle()).waker();
    let mut runtime = event_loop.runtime(sleep(LONG));
    assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
    let (wakes, other) = Wakes::new();
    assert!(runtime.poll(&mut Context::from_waker(&other)).is_pending());
    assert_eq!(wakes.get(), 1);
    match runtime.poll(&mut Context::from_waker(&other)) {
        Poll::Ready(result) => assert!(result.unwrap_err().is_stopped()),
        Poll::Pending => panic!("it was stopped when the waker was dropped"),
    }
}

#[test]
fn a_waker_sets_an_event_when_it_is_cloned() {
    let event = Event::new();
    let waker = Hostile::sets_when(Cloned, &event).waker();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(event.wait());
    assert!(runtime.poll(&mut Context::from_waker(&waker)).is_ready(), "it was set when the waker was cloned");
}

#[test]
fn a_waker_sets_an_event_when_another_takes_its_place() {
    let event = Event::new();
    let waker = Hostile::sets_when(Dropped, &event).waker();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(event.wait());
    assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
    let (wakes, other) = Wakes::new();
    assert!(runtime.poll(&mut Context::from_waker(&other)).is_pending());
    assert_eq!(wakes.get(), 1);
    assert!(runtime.poll(&mut Context::from_waker(&other)).is_ready(), "it was set when the waker was dropped");
}

#[test]
fn a_waker_sets_an_event_when_it_is_dropped() {
    in_time(|| {
        let event = Event::new();
        let waker = Hostile::sets_when(Dropped, &event).waker();
        let mut event_loop = Loop::new();
        // The limit keeps the loop from calling it a deadlock.
        let mut runtime = event_loop.runtime(shield(timeout(event.wait(), 2 * LONG)));
        assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
        drop(runtime);
    });
}

#[test]
fn a_waker_that_panics_at_whatever_is_done_with_it_leaves_the_loop_as_it_was() {
    for deed in [Cloned, Woken, WokenByRef, Dropped] {
        let hostile = Hostile::panics_when(deed);
        let waker = hostile.waker();
        let event = Event::new();
        let remote = event.remote();
        // More turns than one poll takes.
        let main = co! { yield event.wait(); for _ in 0..1_000 { yield; } "done" };
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(main);
        let mut poll = |waker: &Waker| {
            catch_unwind(AssertUnwindSafe(|| runtime.poll(&mut Context::from_waker(waker)))).unwrap_or(Poll::Pending)
        };
        let (_, other) = Wakes::new();
        assert!(poll(&waker).is_pending());
        assert!(poll(&other).is_pending());
        assert!(poll(&waker).is_pending());
        thread::spawn(move || remote.set()).join().expect("who sets an event knows nothing of hosts");
        let done = (0..20).find_map(|_| match poll(&waker) {
            Poll::Ready(result) => Some(result.unwrap()),
            Poll::Pending => None,
        });
        assert_eq!(done, Some("done"), "{deed:?}");
        assert!(hostile.has_seen(deed), "{deed:?}");
        hostile.calm_down();
    }
}

#[test]
fn a_run_that_is_dropped_with_a_waker_that_panics_cleans_up() {
    for deed in [Woken, Dropped] {
        let hostile = Hostile::panics_when(deed);
        let waker = hostile.waker();
        let alive = Alive::new();
        let held = alive.token();
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(co! { let _held = held; yield forever(); });
        assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
        drop(runtime);
        assert_eq!(alive.get(), 0);
        assert_eq!(Arc::strong_count(&hostile), 2);
        assert_eq!(event_loop.run(co! { yield; 1 }).unwrap(), 1);
        hostile.calm_down();
    }
}

#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    for from_outside in [false, true] {
        let hostile = Hostile::panics_when(Woken);
        let waker = hostile.waker();
        let (wakes, other) = Wakes::new();
        let event = Event::new();
        let remote = event.remote();
        let (mut one, mut two) = (Loop::new(), Loop::new());
        let mut first = one.runtime([event.wait(), event.wait()]);
        let mut second = two.runtime(event.wait());
        assert!(first.poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(second.poll(&mut Context::from_waker(&other)).is_pending());
        if from_outside {
            remote.set();
        } else {
            event.set();
        }
        assert!(hostile.has_seen(Woken));
        assert_eq!(wakes.get(), 1);
        let ready = |polled| matches!(polled, Poll::Ready(Ok(_)));
        assert!(ready(first.poll(&mut Context::from_waker(&other)).map_ok(drop)));
        assert!(ready(second.poll(&mut Context::from_waker(&other))));
    }
}

#[test]
fn a_waker_that_panics_on_a_thread_of_a_pool_ends_no_thread() {
    let pool = ThreadPool::new(1);
    let hostile = Hostile::panics_when(Woken);
    let waker = hostile.waker();
    let mut event_loop = Loop::new();
    let (begin, may_begin) = mpsc::channel::<()>();
    let mut runtime = event_loop.runtime(pool.run_in_thread(move || may_begin.recv().is_ok()));
    assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
    begin.send(()).unwrap();
    while !hostile.has_seen(Woken) {
        thread::yield_now();
    }
    hostile.calm_down();
    drop(runtime);
    assert_eq!(event_loop.run(timeout(pool.run_in_thread(|| 5), LONG)).unwrap(), Ok(5));
}

#[cfg(feature = "smol")]
#[test]
fn a_waker_that_panics_when_a_loop_on_its_own_thread_is_polled_leaves_it_as_it_was() {
    use common::OnDrop;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    for drops in [false, true] {
        let hostile = Hostile::panics_when(Cloned);
        let waker = hostile.waker();
        let ended = Arc::new(AtomicBool::new(false));
        let ends = ended.clone();
        let (begins, has_begun) = mpsc::channel();
        let main = move || {
            co! {
                let _ends = OnDrop(move || ends.store(true, SeqCst));
                begins.send(()).unwrap();
                yield sleep(if drops { LONG } else { Duration::ZERO });
                "done"
            }
        };
        let mut future = tinyield::to_smol_with(main);
        let mut poll = || Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        assert!(catch_unwind(AssertUnwindSafe(&mut poll)).is_err());
        has_begun.recv().unwrap();
        hostile.calm_down();
        if drops {
            drop(future);
        } else {
            assert_eq!(smol::block_on(future).unwrap(), "done");
        }
        assert!(ended.load(SeqCst), "it is waited for");
    }
}

/// Tells whether whoever wakes it is cancelled.
struct Asks(mpsc::Sender<bool>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(is_cancelled());
    }
}

#[test]
fn a_waker_on_a_thread_of_a_pool_is_not_cancelled_with_the_closure_before() {
    let (pool, event) = (ThreadPool::new(1), Event::new());
    let (begins, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel();
    let job = pool.run_in_thread(move || {
        begins.send(()).unwrap();
        may_end.recv().unwrap();
        assert!(is_cancelled());
    });
    let (asks, answers) = mpsc::channel();
    let waker = Waker::from(Arc::new(Asks(asks)));
    let mut event_loop = Loop::new();
    let set = event.wait();
    let mut runtime = event_loop.runtime(race([job, co! { yield set; }]));
    assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
    has_begun.recv().unwrap();
    event.set();
    assert_eq!(answers.recv_timeout(LONG), Ok(false));
    assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending(), "it waits for the closure");
    end.send(()).unwrap();
    assert_eq!(answers.recv_timeout(LONG), Ok(false));
}
