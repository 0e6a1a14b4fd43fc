//! Each peer with the semaphore and the lock that its users use. They are leaked, so that only their own
//! operations count.

use std::rc::Rc;

use super::shares::Shares;
use super::{PERMITS, TASKS, TIMES};
use crate::harness::Measured;
use crate::peers::Peer;

/// Every task acquires, yields once, and releases.
fn share<P: Peer, G>(most: usize, acquire: impl AsyncFn() -> G + Copy + 'static) -> Measured {
    P::run(move |peer| async move {
        let shares = Shares::new(most);
        let task = |number| {
            let (of_task, shares) = (peer.clone(), Rc::clone(&shares));
            peer.spawn(async move {
                for _ in 0..TIMES {
                    let guard = acquire().await;
                    shares.enter();
                    of_task.turn().await;
                    shares.leave(number);
                    drop(guard);
                }
            })
        };
        let tasks: Vec<_> = (0..TASKS).map(task).collect();
        for task in tasks {
            task.await;
        }
        shares.measured()
    })
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

const OPEN: &str = "it is never closed";

pub fn semaphore_async_lock<P: Peer>() -> Measured {
    let semaphore = leak(async_lock::Semaphore::new(PERMITS));
    share::<P, _>(PERMITS, async || semaphore.acquire().await)
}

pub fn semaphore_tokio<P: Peer>() -> Measured {
    let semaphore = leak(tokio::sync::Semaphore::new(PERMITS));
    share::<P, _>(PERMITS, async || semaphore.acquire().await.expect(OPEN))
}

pub fn semaphore_local_sync<P: Peer>() -> Measured {
    let semaphore = leak(local_sync::semaphore::Semaphore::new(PERMITS));
    share::<P, _>(PERMITS, async || semaphore.acquire().await.expect(OPEN))
}

pub fn lock_async_lock<P: Peer>() -> Measured {
    let lock = leak(async_lock::Mutex::new(()));
    share::<P, _>(1, async || lock.lock().await)
}

pub fn lock_tokio<P: Peer>() -> Measured {
    let lock = leak(tokio::sync::Mutex::new(()));
    share::<P, _>(1, async || lock.lock().await)
}

pub fn lock_futures<P: Peer>() -> Measured {
    let lock = leak(futures::lock::Mutex::new(()));
    share::<P, _>(1, async || lock.lock().await)
}
