//! Which types are `Send` and `Sync`. For nearly all types, these traits follow from the fields of the type. This file does not compile if
//! a type gains or loses one of the traits.

use std::cell::Cell;
use std::rc::Rc;

use tinyield::by_hand::{ActiveWait, Resume};
use tinyield::time::Interval;
use tinyield::{
    AbortHandle, Abortable, AsCompleted, Barrier, Cancelled, Coro, Deadlock, Emitter, Error, Event, Idle, JoinHandle,
    Lock, LockGuard, Loop, LoopError, Permit, Reason, RemoteEvent, Runtime, Semaphore, Shared, StopHandle, Stream,
    ThreadPool, Wait, channel,
};

/// Asserts that types do not implement a trait. If one did, `check` would have two meanings.
macro_rules! assert_not_implemented {
    ($trait:path: $($type:ty),+ $(,)?) => {
        $(const _: fn() = || {
            trait Ambiguous<A> {
                fn check() {}
            }
            struct Implemented;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
            <$type as Ambiguous<_>>::check();
        };)+
    };
}

/// For types that point to a task, to the state of a loop, or to data that the coroutines of one thread share.
macro_rules! assert_stays_on_its_thread {
    ($($type:ty),+ $(,)?) => {
        assert_not_implemented!(Send: $($type),+);
        assert_not_implemented!(Sync: $($type),+);
    };
}

assert_stays_on_its_thread!(
    Coro<()>,
    Shared<()>,
    JoinHandle<()>,
    Runtime<'static, ()>,
    Resume,
    ActiveWait<<Coro<()> as Wait>::State>,
    AsCompleted<()>,
    Event,
    Semaphore,
    Permit,
    Lock<()>,
    LockGuard<()>,
    Barrier,
    channel::Sender<()>,
    channel::Receiver<()>,
    Stream<()>,
    Emitter<()>,
    Interval,
    AbortHandle,
    Abortable<Coro<()>>,
);
#[cfg(feature = "smol")]
assert_stays_on_its_thread!(tinyield::bridge::ToSmol<()>);
#[cfg(feature = "async-std")]
assert_stays_on_its_thread!(tinyield::bridge::ToAsyncStd<()>);
// A remote end may drop or return messages on its thread, so they have to be `Send`.
assert_stays_on_its_thread!(channel::RemoteSender<Rc<()>>, channel::RemoteReceiver<Rc<()>>);

const _: () = {
    const fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<RemoteEvent>();
    crosses_threads::<StopHandle>();
    crosses_threads::<ThreadPool>();
    crosses_threads::<channel::RemoteSender<Cell<()>>>();
    crosses_threads::<channel::RemoteReceiver<Cell<()>>>();
    crosses_threads::<Error>();
    crosses_threads::<LoopError>();
    crosses_threads::<Cancelled>();
    crosses_threads::<Reason>();
    crosses_threads::<Deadlock>();
    crosses_threads::<tinyield::Frame>();
    crosses_threads::<tinyield::TimedOut>();
    // A thread other than that of the loop may wait by an `Idle`, which refers only to the inbox.
    crosses_threads::<Idle>();
    // Between two runs, a loop is its settings and its stop handle. A run borrows the loop, and stays on its thread.
    crosses_threads::<Loop>();
    #[cfg(feature = "smol")]
    {
        const fn moves_between_threads<T: Send>() {}
        moves_between_threads::<tinyield::bridge::ToSmolWith<Cell<()>>>();
    }
};
