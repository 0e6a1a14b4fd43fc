//! tinyield's semaphore and lock.

use std::rc::Rc;

use tinyield::{Coro, Lock, Loop, Semaphore, coro};

use super::shares::Shares;
use super::{PERMITS, TASKS, TIMES};
use crate::harness::Measured;

pub fn semaphore() -> Measured {
    let shares = Shares::new(PERMITS);
    let semaphore = Semaphore::new(PERMITS);
    let all: Vec<_> = (0..TASKS).map(|i| with_permit(i, semaphore.clone(), Rc::clone(&shares))).collect();
    Loop::new().run(all).expect("no error");
    shares.measured()
}

#[coro]
fn with_permit(number: usize, semaphore: Semaphore, shares: Rc<Shares>) -> Coro<()> {
    for _ in 0..TIMES {
        let permit = yield semaphore.acquire();
        shares.enter();
        yield;
        shares.leave(number);
        drop(permit);
    }
}

pub fn lock() -> Measured {
    let shares = Shares::new(1);
    let lock = Lock::new(());
    let all: Vec<_> = (0..TASKS).map(|i| with_lock(i, lock.clone(), Rc::clone(&shares))).collect();
    Loop::new().run(all).expect("no error");
    shares.measured()
}

#[coro]
fn with_lock(number: usize, lock: Lock<()>, shares: Rc<Shares>) -> Coro<()> {
    for _ in 0..TIMES {
        let guard = yield lock.acquire();
        shares.enter();
        yield;
        shares.leave(number);
        drop(guard);
    }
}
