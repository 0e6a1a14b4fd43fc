//! Waiting costs no processor time, on either side of a bridge. This is the only test in its process, because it measures the time of
//! the process.
#![cfg(all(target_os = "linux", feature = "smol", feature = "async-std"))]
#![feature(coroutines)]

mod common;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{fs, thread};

use common::{Gate, OnDrop, forever, ms};
use tinyield::{
    Loop, TimedOut, catch, co, from_async_std, from_smol, shield, sleep, timeout, to_async_std, to_async_std_with,
    to_smol, to_smol_with,
};

/// The processor time of all threads of the process.
fn processor_time() -> Duration {
    let mut nanos = 0;
    for thread in fs::read_dir("/proc/self/task").unwrap() {
        // A thread may have ended in the meantime.
        if let Ok(stat) = fs::read_to_string(thread.unwrap().path().join("schedstat")) {
            nanos += stat.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
    }
    Duration::from_nanos(nanos)
}

/// How long each wait takes. It may cost a tenth of that in processor time.
const WAIT: Duration = Duration::from_millis(400);

#[track_caller]
fn idles(what: &str, wait: impl FnOnce()) {
    let (start, before) = (Instant::now(), processor_time());
    wait();
    let (elapsed, used) = (start.elapsed(), processor_time().saturating_sub(before));
    assert!(elapsed >= WAIT, "{what} took only {elapsed:?}");
    assert!(used < WAIT / 10, "{what} used {used:?} of {elapsed:?}");
    println!("{what}: {used:?} of {elapsed:?}");
}

async fn poll_once<F: Future + Unpin>(future: &mut F) {
    let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await;
    assert!(polled.is_pending());
}

#[test]
fn waiting_takes_no_processor_time_on_either_side_of_a_bridge() {
    let smol_sleeps = || async {
        smol::Timer::after(WAIT).await;
    };
    let async_std_sleeps = || async_std::task::sleep(WAIT);

    idles("a smol future in a loop", || Loop::new().run(from_smol(smol_sleeps())).unwrap());
    idles("an async-std future in a loop", || Loop::new().run(from_async_std(async_std_sleeps())).unwrap());
    idles("a loop next to a future that waits for ever", || {
        let both = co! { yield timeout(from_smol(Gate::new()), WAIT) };
        assert_eq!(Loop::new().run(both).unwrap(), Err(TimedOut));
    });
    idles("a loop in smol", || smol::block_on(to_smol(sleep(WAIT))).unwrap());
    idles("a loop in smol that waits for it", || smol::block_on(to_smol(from_smol(smol_sleeps()))).unwrap());
    idles("a loop in async-std", || async_std::task::block_on(to_async_std(sleep(WAIT))).unwrap());
    idles("a loop on a thread of its own", || smol::block_on(to_smol_with(|| sleep(WAIT))).unwrap());
    idles("a spawned one", || {
        async_std::task::block_on(async_std::task::spawn(to_async_std_with(|| sleep(WAIT)))).unwrap();
    });

    // Waiting for cancelled work costs no processor time either.
    let cleans_up = |begun: Gate| {
        co! {
            begun.open();
            let error = (yield catch(forever())).unwrap_err();
            yield shield(sleep(WAIT));
            Err::<(), _>(error)?;
        }
    };
    idles("dropping a loop in smol", || {
        let mut hosted = to_smol(cleans_up(Gate::new()));
        smol::block_on(poll_once(&mut hosted));
        drop(hosted);
    });
    idles("dropping a loop on a thread of its own", || {
        let gate = Gate::new();
        let opener = gate.clone();
        let mut threaded = to_smol_with(move || cleans_up(opener));
        smol::block_on(async {
            poll_once(&mut threaded).await;
            gate.await;
        });
        drop(threaded);
    });
    idles("cancelling an async-std future that takes its time", || {
        let slow = async {
            let _slow = OnDrop(|| thread::sleep(WAIT));
            std::future::pending::<()>().await;
        };
        let main = co! { yield timeout(from_async_std(slow), ms(20)) };
        assert_eq!(Loop::new().run(main).unwrap(), Err(TimedOut));
    });
}
