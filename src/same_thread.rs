//! The public types that stay on their thread. None of them is `Send` or `Sync` even without this file. With it, the errors of rustc
//! name the public type, and not a type inside of it, such as an `Rc`. The channels and the bridges do the same in their own files.

use crate::abortable::{AbortHandle, Abortable};
use crate::as_completed::AsCompleted;
use crate::coro::Coro;
use crate::runtime::Runtime;
use crate::shared::Shared;
use crate::spawn::JoinHandle;
use crate::stream::{Emitter, Stream};
use crate::sync::{Barrier, Event, Lock, LockGuard, Permit, Semaphore};
use crate::time::Interval;
use crate::waiting::Wait;

macro_rules! stays_on_its_thread {
    ($([$($generics:tt)*] $type:ty,)+) => {
        $(
            impl<$($generics)*> !Send for $type {}
            impl<$($generics)*> !Sync for $type {}
        )+
    };
}

stays_on_its_thread! {
    [T: 'static] Coro<T>,
    [T: 'static] Shared<T>,
    [T: 'static] JoinHandle<T>,
    [T: 'static] AsCompleted<T>,
    [T: 'static] Stream<T>,
    [T: 'static] Emitter<T>,
    [W: Wait] Abortable<W>,
    [] AbortHandle,
    [T: 'static] Runtime<'_, T>,
    [] Event,
    [] Semaphore,
    [] Permit,
    [T] Lock<T>,
    [T] LockGuard<T>,
    [] Barrier,
    [] Interval,
}
