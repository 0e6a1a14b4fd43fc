//! Events, semaphores, locks, barriers and channels.
//!
//! They coordinate the coroutines of one thread, on any of its loops. All of them are handles: a clone refers to the same object. An
//! [`Event`] and the ends of a [`channel`] have a method `remote`, which makes a handle for other threads. Without such a handle, they
//! use no atomics.
//!
//! The handles are also in the root of the crate. Two kinds of types are only here, because few programs need their names: the waits
//! that the methods return, such as [`EventWait`], and the statistics, such as [`EventStatistics`].

mod barrier;
pub mod channel;
mod event;
mod event_state;
mod lock;
mod notify;
mod remote_event;
mod semaphore;

pub(crate) use notify::{Listener, Listeners, Notifier};

pub use barrier::{Barrier, BarrierStatistics, BarrierWait};
pub use event::{Event, EventStatistics, EventWait, EventWaitTimeout};
pub use lock::{AcquireLock, Lock, LockGuard, LockStatistics};
pub use remote_event::RemoteEvent;
pub use semaphore::{Acquire, Permit, Semaphore, SemaphoreStatistics};
