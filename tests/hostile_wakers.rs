//! Wakers of hosts that stop the loop when they are cloned, and panic when they are woken.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

use tinyield::{Loop, StopHandle, ThreadPool, sleep, timeout};

const LONG: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Hostile {
    stops_when_cloned: Mutex<Option<StopHandle>>,
    panics_when_woken: AtomicBool,
    was_woken: AtomicBool,
}

impl Hostile {
    fn waker(self: &Arc<Self>) -> Waker {
        // SAFETY: the functions below keep the contract: each waker owns one count of the `Arc`, which is `Send + Sync`.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(self.clone()).cast(), &VTABLE)) }
    }

    fn woken(&self) {
        self.was_woken.store(true, SeqCst);
        assert!(!self.panics_when_woken.load(SeqCst), "woken");
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: `data` is of a live waker, see `waker`.
        let hostile = unsafe {
            Arc::increment_strong_count(data.cast::<Hostile>());
            &*data.cast::<Hostile>()
        };
        if let Some(handle) = &*hostile.stops_when_cloned.lock().unwrap() {
            handle.stop();
        }
        RawWaker::new(data, &VTABLE)
    },
    // SAFETY: as above; the waker is given up.
    |data| unsafe { Arc::from_raw(data.cast::<Hostile>()) }.woken(),
    // SAFETY: as above.
    |data| unsafe { &*data.cast::<Hostile>() }.woken(),
    // SAFETY: as above; the waker is given up.
    |data| drop(unsafe { Arc::from_raw(data.cast::<Hostile>()) }),
);

#[test]
fn a_waker_stops_the_loop_when_it_is_cloned() {
    let mut event_loop = Loop::new();
    let hostile = Arc::new(Hostile::default());
    *hostile.stops_when_cloned.lock().unwrap() = Some(event_loop.stop_handle());
    let waker = hostile.waker();
    let mut runtime = event_loop.runtime(sleep(LONG));
    match runtime.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(result) => assert!(result.unwrap_err().is_stopped()),
        Poll::Pending => panic!("it was stopped when the waker was cloned"),
    }
}

#[test]
fn a_waker_that_panics_on_a_thread_of_a_pool_ends_no_thread() {
    let pool = ThreadPool::new(1);
    let hostile = Arc::new(Hostile::default());
    hostile.panics_when_woken.store(true, SeqCst);
    let waker = hostile.waker();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(pool.run_in_thread(|| thread::sleep(Duration::from_millis(10))));
    assert!(runtime.poll(&mut Context::from_waker(&waker)).is_pending());
    while !hostile.was_woken.load(SeqCst) {
        thread::yield_now();
    }
    hostile.panics_when_woken.store(false, SeqCst);
    drop(runtime);
    assert_eq!(event_loop.run(timeout(pool.run_in_thread(|| 5), LONG)).unwrap(), Ok(5));
}
