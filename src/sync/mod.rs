//! Coordination between coroutines of one thread, and with other threads where a handle says `remote`.

mod barrier;
pub mod channel;
mod event;
mod lock;
mod notify;
mod semaphore;

pub use barrier::{Barrier, BarrierStatistics, BarrierWait};
pub use event::{Event, EventStatistics, EventWait, EventWaitTimeout, RemoteEvent};
pub use lock::{AcquireLock, Lock, LockGuard, LockStatistics};
pub use semaphore::{Acquire, Permit, Semaphore, SemaphoreStatistics};
