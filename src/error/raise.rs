//! The trait of the errors that `?` can raise in a coroutine.

use std::error::Error as StdError;

/// The types of errors that `?` can raise in a coroutine: all types that convert into `Box<dyn Error + Send + Sync>`.
///
/// These are all types that implement [`std::error::Error`], `Send` and `Sync`, and in addition `&str`, `String`,
/// `anyhow::Error`, `Box<dyn Error + Send + Sync>`, and [`Error`](crate::Error). Do not implement this trait by hand.
///
/// A `Box<dyn Error>` without `Send + Sync` cannot be raised, because errors may cross threads. Add `+ Send + Sync` to its
/// type. If you cannot change the type, raise the message of the error:
///
/// ```
/// use std::error::Error;
/// use tinyield::{Coro, Loop, coro};
///
/// fn read_setting() -> Result<u16, Box<dyn Error>> {
///     Ok("80".parse()?)
/// }
///
/// #[coro]
/// fn port() -> Coro<u16> {
///     read_setting().map_err(|error| error.to_string())?
/// }
///
/// assert_eq!(Loop::new().run(port()).unwrap(), 80);
/// ```
// At a `?`, rustc shows only the label. Without `do_not_recommend`, rustc reports a `Box<dyn Error>` with three errors about
// `dyn Error`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be raised in a coroutine",
    label = "`?` raises types that implement `std::error::Error`, `Send` and `Sync`; to a `Box<dyn Error>`, add `+ Send + Sync`, \
             or raise its message by `.map_err(|error| error.to_string())?`"
)]
pub trait Raise {
    /// Converts the error.
    fn into_boxed(self) -> Box<dyn StdError + Send + Sync>;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError + Send + Sync>>> Raise for E {
    fn into_boxed(self) -> Box<dyn StdError + Send + Sync> {
        self.into()
    }
}
