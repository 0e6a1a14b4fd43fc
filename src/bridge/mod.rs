//! Loops inside other programs' loops, and their futures inside loops.

mod future;
#[cfg(any(feature = "smol", feature = "async-std"))]
mod host;
#[cfg(any(feature = "smol", feature = "async-std"))]
mod thread;

#[cfg(feature = "async-std")]
mod async_std;
#[cfg(feature = "smol")]
mod smol;

#[cfg(feature = "async-std")]
pub use self::async_std::{
    ToAsyncStd, ToAsyncStdWith, from_async_std, from_async_std_with, to_async_std, to_async_std_with,
};
#[cfg(feature = "smol")]
pub use self::smol::{ToSmol, ToSmolWith, from_smol, to_smol, to_smol_with};
pub use future::from_future;
