//! The types of the bridges. Each of them is a future that runs a loop in another runtime. Few programs have to name them.
//!
//! The functions that make them are in the root of the crate: `to_smol`, `to_smol_with`, `to_async_std`, `to_async_std_with`,
//! `to_tokio`, `to_tokio_with`.

pub(crate) mod future;
#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
mod host;
#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
mod thread;

#[cfg(feature = "async-std")]
pub(crate) mod async_std;
#[cfg(feature = "smol")]
pub(crate) mod smol;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;
#[cfg(feature = "tokio")]
mod tokio_runtime;

#[cfg(feature = "async-std")]
pub use self::async_std::{ToAsyncStd, ToAsyncStdWith};
#[cfg(feature = "smol")]
pub use self::smol::{ToSmol, ToSmolWith};
#[cfg(feature = "tokio")]
pub use self::tokio::{ToTokio, ToTokioWith};
