//! Wakers of hosts that stop the loop, set an event or panic when they are cloned, called or dropped.
#![feature(coroutines)]

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{Alive, LONG, Wakes, forever, in_time, poll};
use tinyield::thread::is_cancelled;
use tinyield::{Event, Loop, StopHandle, ThreadPool, co, race, shield, sleep, timeout};

/// A use of a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Clone,
    Wake,
    WakeByRef,
    Drop,
}

use Use::{Clone as Cloned, Drop as Dropped, Wake as Woken, WakeByRef as WokenByRef};

thread_local! {
    /// The event that a waker sets. An event stays on its thread, so it cannot be in the waker.
    static EVENT: Cell<Option<Event>> = const { Cell::new(None) };
}

/// Decides what a waker does, and notes how it was used.
#[derive(Default)]
struct Hostile {
    stops: Mutex<Option<(Use, StopHandle)>>,
    sets: Mutex<Option<Use>>,
    panics: Mutex<Option<Use>>,
    uses: Mutex<Vec<Use>>,
}

impl Hostile {
    fn panics_when(used: Use) -> Arc<Hostile> {
        Arc::new(Hostile { panics: Mutex::new(Some(used)), ..Hostile::default() })
    }

    fn stops_when(used: Use, handle: StopHandle) -> Arc<Hostile> {
        Arc::new(Hostile { stops: Mutex::new(Some((used, handle))), ..Hostile::default() })
    }

    /// Sets `event` on this thread.
    fn sets_when(used: Use, event: &Event) -> Arc<Hostile> {
        EVENT.set(Some(event.clone()));
        Arc::new(Hostile { sets: Mutex::new(Some(used)), ..Hostile::default() })
    }

    fn waker(self: &Arc<Self>) -> Waker {
        // SAFETY: the functions below keep the contract: each waker owns one count of the `Arc`, which is `Send +
        // Sync`.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(self.clone()).cast(), &VTABLE)) }
    }

    fn stop_panicking(&self) {
        *self.panics.lock().unwrap() = None;
    }

    fn has_seen(&self, used: Use) -> bool {
        self.uses.lock().unwrap().contains(&used)
    }

    fn respond_to(&self, used: Use) {
        self.uses.lock().unwrap().push(used);
        if let Some((when, handle)) = &*self.stops.lock().unwrap()
            && *when == used
        {
            handle.stop();
        }
        if *self.sets.lock().unwrap() == Some(used)
            && let Some(event) = EVENT.take()
        {
            event.set();
        }
        let panics = *self.panics.lock().unwrap() == Some(used) && !thread::panicking();
        assert!(!panics, "{used:?}");
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: `data` is that of a waker that is alive, see `waker`.
        unsafe { &*data.cast::<Hostile>() }.respond_to(Cloned);
        // SAFETY: as above. The new count is that of the clone.
        unsafe { Arc::increment_strong_count(data.cast::<Hostile>()) };
        RawWaker::new(data, &VTABLE)
    },
    // SAFETY: as above. The waker gives up its count.
    |data| unsafe { Arc::from_raw(data.cast::<Hostile>()) }.respond_to(Woken),
    // SAFETY: as above.
    |data| unsafe { &*data.cast::<Hostile>() }.respond_to(WokenByRef),
    // SAFETY: as above. The waker gives up its count.
    |data| unsafe { Arc::from_raw(data.cast::<Hostile>()) }.respond_to(Dropped),
);

#[test]
fn stop_requested_while_the_waker_is_cloned_is_seen() {
    let mut event_loop = Loop::new();
    let waker = Hostile::stops_when(Cloned, event_loop.stop_handle()).waker();
    let mut runtime = event_loop.runtime(sleep(LONG));
    match poll(&mut runtime, &waker) {
        Poll::Ready(result) => assert!(result.unwrap_err().is_stopped()),
        Poll::Pending => panic!("cloning the waker stopped it"),
    }
}

#[test]
fn stop_requested_while_the_waker_is_dropped_is_seen() {
    in_time(|| {
        let mut event_loop = Loop::new();
        let hostile = Hostile::stops_when(Dropped, event_loop.stop_handle());
        let waker = hostile.waker();
        let mut runtime = event_loop.runtime(shield(sleep(Duration::from_millis(10))));
        assert!(poll(&mut runtime, &waker).is_pending());
        // The drop waits for the shielded sleep on this thread. No host is woken then.
        drop(runtime);
        assert!(hostile.has_seen(Dropped));
    });
}

#[test]
fn stop_requested_while_the_waker_is_replaced_is_seen() {
    let mut event_loop = Loop::new();
    let waker = Hostile::stops_when(Dropped, event_loop.stop_handle()).waker();
    let mut runtime = event_loop.runtime(sleep(LONG));
    assert!(poll(&mut runtime, &waker).is_pending());
    let (wakes, other) = Wakes::new();
    assert!(poll(&mut runtime, &other).is_pending());
    assert_eq!(wakes.get(), 1);
    match poll(&mut runtime, &other) {
        Poll::Ready(result) => assert!(result.unwrap_err().is_stopped()),
        Poll::Pending => panic!("dropping the waker stopped it"),
    }
}

#[test]
fn event_set_while_the_waker_is_cloned_is_seen() {
    let event = Event::new();
    let waker = Hostile::sets_when(Cloned, &event).waker();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(event.wait());
    assert!(poll(&mut runtime, &waker).is_ready(), "cloning the waker set the event");
}

#[test]
fn event_set_while_the_waker_is_replaced_is_seen() {
    let event = Event::new();
    let waker = Hostile::sets_when(Dropped, &event).waker();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(event.wait());
    assert!(poll(&mut runtime, &waker).is_pending());
    let (wakes, other) = Wakes::new();
    assert!(poll(&mut runtime, &other).is_pending());
    assert_eq!(wakes.get(), 1);
    assert!(poll(&mut runtime, &other).is_ready(), "dropping the waker set the event");
}

#[test]
fn event_set_while_the_waker_is_dropped_is_seen() {
    in_time(|| {
        let event = Event::new();
        let waker = Hostile::sets_when(Dropped, &event).waker();
        let mut event_loop = Loop::new();
        // Without the timeout it would be a deadlock.
        let mut runtime = event_loop.runtime(shield(timeout(event.wait(), 2 * LONG)));
        assert!(poll(&mut runtime, &waker).is_pending());
        drop(runtime);
    });
}

#[test]
fn loop_goes_on_after_any_panic_of_its_hosts_waker() {
    for used in [Cloned, Woken, WokenByRef, Dropped] {
        let hostile = Hostile::panics_when(used);
        let waker = hostile.waker();
        let event = Event::new();
        let remote = event.remote();
        // More turns than one poll takes.
        let main = co! { yield event.wait(); for _ in 0..1_000 { yield; } "done" };
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(main);
        let mut poll =
            |waker: &Waker| catch_unwind(AssertUnwindSafe(|| poll(&mut runtime, waker))).unwrap_or(Poll::Pending);
        let (_, other) = Wakes::new();
        assert!(poll(&waker).is_pending());
        assert!(poll(&other).is_pending());
        assert!(poll(&waker).is_pending());
        thread::spawn(move || remote.set())
            .join()
            .expect("a panic of a host's waker does not reach the thread that sets an event");
        let done = (0..20).find_map(|_| match poll(&waker) {
            Poll::Ready(result) => Some(result.unwrap()),
            Poll::Pending => None,
        });
        assert_eq!(done, Some("done"), "{used:?}");
        assert!(hostile.has_seen(used), "{used:?}");
        hostile.stop_panicking();
    }
}

#[test]
fn dropped_runtime_cleans_up_although_its_waker_panics() {
    for used in [Woken, Dropped] {
        let hostile = Hostile::panics_when(used);
        let waker = hostile.waker();
        let alive = Alive::new();
        let held = alive.token();
        let mut event_loop = Loop::new();
        let mut runtime = event_loop.runtime(co! { let _held = held; yield forever(); });
        assert!(poll(&mut runtime, &waker).is_pending());
        drop(runtime);
        assert_eq!(alive.get(), 0);
        assert_eq!(Arc::strong_count(&hostile), 2);
        assert_eq!(event_loop.run(co! { yield; 1 }).unwrap(), 1);
        hostile.stop_panicking();
    }
}

#[test]
fn second_waker_is_woken_although_the_first_panics() {
    for from_outside in [false, true] {
        let hostile = Hostile::panics_when(Woken);
        let waker = hostile.waker();
        let (wakes, other) = Wakes::new();
        let event = Event::new();
        let remote = event.remote();
        let (mut one, mut two) = (Loop::new(), Loop::new());
        let mut first = one.runtime([event.wait(), event.wait()]);
        let mut second = two.runtime(event.wait());
        assert!(poll(&mut first, &waker).is_pending());
        assert!(poll(&mut second, &other).is_pending());
        if from_outside {
            remote.set();
        } else {
            event.set();
        }
        assert!(hostile.has_seen(Woken));
        assert_eq!(wakes.get(), 1);
        let ready = |polled| matches!(polled, Poll::Ready(Ok(_)));
        assert!(ready(poll(&mut first, &other).map_ok(drop)));
        assert!(ready(poll(&mut second, &other)));
    }
}

#[test]
fn pool_thread_survives_a_waker_that_panics() {
    let pool = ThreadPool::new(1);
    let hostile = Hostile::panics_when(Woken);
    let waker = hostile.waker();
    let mut event_loop = Loop::new();
    let (begin, may_begin) = mpsc::channel::<()>();
    let mut runtime = event_loop.runtime(pool.run_in_thread(move || may_begin.recv().is_ok()));
    assert!(poll(&mut runtime, &waker).is_pending());
    begin.send(()).unwrap();
    while !hostile.has_seen(Woken) {
        thread::yield_now();
    }
    hostile.stop_panicking();
    drop(runtime);
    assert_eq!(event_loop.run(timeout(pool.run_in_thread(|| 5), LONG)).unwrap(), Ok(5));
}

#[cfg(feature = "smol")]
#[test]
fn loop_on_its_own_thread_goes_on_although_cloning_its_waker_panics() {
    use common::OnDrop;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    for drops in [false, true] {
        let hostile = Hostile::panics_when(Cloned);
        let waker = hostile.waker();
        let ended = Arc::new(AtomicBool::new(false));
        let ends = ended.clone();
        let (begins, has_begun) = mpsc::channel();
        let (poll_ends, poll_ended) = mpsc::channel();
        let main = move || {
            co! {
                let _ends = OnDrop(move || ends.store(true, SeqCst));
                begins.send(()).unwrap();
                poll_ended.recv().unwrap();
                yield sleep(if drops { LONG } else { Duration::ZERO });
                "done"
            }
        };
        let mut future = tinyield::to_smol_with(main);
        let mut poll = || Pin::new(&mut future).poll(&mut std::task::Context::from_waker(&waker));
        assert!(catch_unwind(AssertUnwindSafe(&mut poll)).is_err());
        has_begun.recv().unwrap();
        hostile.stop_panicking();
        poll_ends.send(()).unwrap();
        if drops {
            drop(future);
        } else {
            assert_eq!(smol::block_on(future).unwrap(), "done");
        }
        assert!(ended.load(SeqCst), "the loop's thread is waited for");
    }
}

/// Sends whether the thread that wakes it is cancelled.
struct Asks(mpsc::Sender<bool>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(is_cancelled());
    }
}

#[test]
fn waker_called_on_a_pool_thread_does_not_see_the_cancellation_of_the_job() {
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
    assert!(poll(&mut runtime, &waker).is_pending());
    has_begun.recv().unwrap();
    event.set();
    assert_eq!(answers.recv_timeout(LONG), Ok(false));
    assert!(poll(&mut runtime, &waker).is_pending(), "the race waits for the closure");
    end.send(()).unwrap();
    assert_eq!(answers.recv_timeout(LONG), Ok(false));
}
