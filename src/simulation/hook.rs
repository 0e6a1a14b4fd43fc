//! Notes the place of a panic without printing the panic. A simulation may run a program that panics again and again, in hundreds
//! of runs, but it reports the panic only once.
//!
//! A process has one panic hook. The first simulation installs a hook of its own. On a thread on which [`watch`] runs, this hook
//! notes the place of the first panic, and calls the former hook only if panics have to be printed. On other threads it only calls
//! the former hook.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

use crate::panic::{self, Payload, catch};

/// The data that the hook notes about the first panic of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// `file:line:column`
    pub(super) place: Option<String>,
}

struct Watch {
    first: Option<Seen>,
    prints: bool,
}

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Calls `f`. If `f` panics, returns the payload, and what the hook noted about the first panic on this thread.
pub(super) fn watch<R>(prints: bool, f: impl FnOnce() -> R) -> Result<R, (Payload, Seen)> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if note(info) {
                before(info);
            }
        }));
    });
    // A simulation may run inside of another one.
    let outer = WATCH.replace(Some(Watch { first: None, prints }));
    let result = catch(f);
    let seen = WATCH.replace(outer).and_then(|watch| watch.first).unwrap_or_default();
    result.map_err(|payload| (payload, seen))
}

/// Notes a panic. Returns whether the panic has to be printed.
fn note(info: &PanicHookInfo<'_>) -> bool {
    let noted = WATCH.try_with(|watch| {
        let mut watch = watch.try_borrow_mut().ok()?;
        let watch = watch.as_mut()?;
        watch.first.get_or_insert_with(|| Seen { place: info.location().map(ToString::to_string) });
        Some(watch.prints)
    });
    noted.ok().flatten().unwrap_or(true)
}

/// The message of a panic.
pub(super) fn message(payload: &Payload) -> &str {
    panic::message(&**payload).unwrap_or("a value that is not text")
}
