//! The runtimes with which tinyield is compared, each on one thread and in the way that is fastest
//! according to its manual, and the interface that generic workloads use.

mod async_std;
mod boxed;
mod compio;
mod futures;
mod monoio;
mod smol;
mod tokio;

use std::time::Duration;

pub use self::async_std::AsyncStd;
pub use self::boxed::Boxed;
pub use self::compio::Compio;
pub use self::futures::LocalPool;
pub use self::monoio::Monoio;
pub use self::smol::{Smol, SmolStatic};
pub use self::tokio::{TokioLocalRuntime, TokioLocalSet};

/// A runtime with tasks. A task needs a value of this type to spawn others.
pub trait Peer: Clone + 'static {
    type Handle<T: 'static>: Future<Output = T> + 'static;

    /// Makes a minimal runtime, and runs the future that `main` makes as one of its tasks.
    fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T;

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Self::Handle<T>;

    /// Starts a detached task.
    fn detach(&self, task: impl Future<Output = ()> + 'static);

    /// Lets the other tasks run.
    fn turn(&self) -> impl Future<Output = ()> {
        futures_lite::future::yield_now()
    }
}

/// A runtime with timers.
pub trait Timed: Peer {
    /// As [`Peer::run`], with timers.
    fn run_timed<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T;

    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;

    /// The value of the future, or `None` if it takes longer than the limit.
    fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> impl Future<Output = Option<T>>;
}

/// A runtime with sockets.
pub trait Connected: Peer {
    /// As [`Peer::run`], with sockets.
    fn run_connected<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T;
}

/// Makes a contender of a generic job for every peer: `every_peer!(peers::spawn)`, or with arguments for the job.
macro_rules! every_peer {
    ($($job:ident)::+ $(, $given:expr)*) => {
        crate::harness::all([
            crate::peers::every_timed_peer!($($job)::+ $(, $given)*),
            vec![crate::harness::Contender::peer("futures LocalPool", move || {
                $($job)::+::<crate::peers::LocalPool>($($given),*)
            })],
        ])
    };
}

/// As [`every_peer`], for a job that needs timers.
macro_rules! every_timed_peer {
    ($($job:ident)::+ $(, $given:expr)*) => {
        crate::peers::every_timed_peer!([$($job)::+] ($($given),*)
            "smol" Smol, "smol static" SmolStatic, "tokio LocalSet" TokioLocalSet,
            "tokio LocalRuntime" TokioLocalRuntime, "async-std" AsyncStd, "monoio" Monoio, "compio" Compio)
    };
    ([$($job:ident)::+] ($($given:expr),*) $name:literal $peer:ident) => {
        crate::harness::Contender::peer($name, move || $($job)::+::<crate::peers::$peer>($($given),*))
    };
    ($job:tt $given:tt $($name:literal $peer:ident),*) => {
        vec![$(crate::peers::every_timed_peer!($job $given $name $peer)),*]
    };
}

pub(crate) use {every_peer, every_timed_peer};
