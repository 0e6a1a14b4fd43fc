//! Cleaning up: a shielded wait that follows the work in any case.
//!
//! The work runs in a scope that ends when all tasks in it have ended. The task that waits for the scope is shielded, but the scope
//! is not. So a cancellation ends the work, and the task continues with the cleanup.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;

use crate::coro::Coro;
use crate::error::{Error, Result};
use crate::scheduler::{Outcome, Resume, ScopeKind, State, TaskRef};
use crate::shield::shield;
use crate::waiting::active::{ActiveWait, Internal, suspend_until};
use crate::waiting::scoped::Scoped;
use crate::waiting::state::WaitState;
use crate::waiting::state::private::Sealed;
use crate::waiting::yieldable::Wait;

/// Waits for `wait`, then calls `cleanup`, and waits for what `cleanup` returns. Then it gives the output of `wait`, or raises its
/// error.
///
/// The cleanup runs exactly once if `wait` began: after a value, an error, a cancellation or a panic. When the cleanup begins, all
/// that `wait` started has ended. The cleanup is [shielded](crate::shield): it may wait, and is not cancelled. `cleanup` may return
/// anything that can be yielded, including `()`.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Event, Loop, co, finally, sleep, timeout};
///
/// let said_goodbye = Event::new();
/// let goodbye = said_goodbye.clone();
/// let session = finally(sleep(Duration::from_secs(60)), || {
///     co! {
///         yield sleep(Duration::from_millis(1)); // the cancelled session may wait here
///         goodbye.set();
///     }
/// });
/// assert!(Loop::new().run(timeout(session, Duration::from_millis(1))).unwrap().is_err());
/// assert!(said_goodbye.is_set());
/// ```
///
/// # Errors
///
/// An error of `wait` is raised after the cleanup. If `wait` gave a value, an error of the cleanup is raised. Otherwise it is among
/// the [`others`](crate::LoopError::others).
///
/// # Cancellation
///
/// All that `wait` started is cancelled. The coroutine that waits sees the cancellation when the cleanup has ended.
#[track_caller]
pub fn finally<W, F, C>(wait: W, cleanup: F) -> Coro<W::Output>
where
    W: Wait,
    F: FnOnce() -> C + 'static,
    C: Wait,
{
    let location = Location::caller();
    let work = Work(Scoped::new(wait));
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let task = work.0.task().clone();
            let mut wait = ActiveWait::begin_at(&resume, work, location);
            let result = suspend_until!(resume, wait.poll(&resume));
            drop(wait);
            if !task.has(State::BEGUN) {
                return Outcome(result);
            }
            let mut wait = ActiveWait::begin_at(&resume, shield(cleanup()).into_state(), location);
            let cleaned = suspend_until!(resume, wait.poll(&resume));
            Outcome(result.and_then(|value| cleaned.map(|_| value)))
        },
    )
}

/// Opens a resource, uses it, and closes it: waits for `open`, then for the wait that `work` returns (the *use*), then for the wait
/// that `close` returns. Then it gives the output of the use, or raises the error of the use.
///
/// Both functions get the output of `open`, or a clone of it. So the output has to be `Clone`: if it is not, wrap it in an `Rc`. If
/// the opening gives a `Result`, raise its error inside of `open`, as in `co! { Rc::new((yield run_in_thread(connect))?) }`. Then
/// `work` gets the resource, and not a `Result`.
///
/// The opening and the closing are [shielded](crate::shield). So if the resource was opened, it is closed exactly once, when all
/// that the use started has ended: after a value, an error, a cancellation or a panic. If a cancellation comes during the
/// opening, the use does not begin.
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
/// use tinyield::{Loop, bracket, co};
///
/// let log = Rc::new(RefCell::new(Vec::new()));
/// let (open, close) = (log.clone(), log.clone());
/// let main = bracket(
///     co! { open.borrow_mut().push("open"); 7 },
///     |connection| co! { yield; connection * 2 },
///     |_connection| co! { close.borrow_mut().push("close"); },
/// );
/// assert_eq!(Loop::new().run(main).unwrap(), 14);
/// assert_eq!(log.take(), ["open", "close"]);
/// ```
///
/// # Errors
///
/// An error of `open` is raised, and nothing else is called. An error of the use is raised after the closing. If the use gave a
/// value, an error of the closing is raised. Otherwise it is among the [`others`](crate::LoopError::others).
///
/// # Cancellation
///
/// As [`finally`].
#[track_caller]
pub fn bracket<O, U, W, F, C>(open: O, work: U, close: F) -> Coro<W::Output>
where
    O: Wait,
    O::Output: CloneOutput,
    U: FnOnce(O::Output) -> W + 'static,
    W: Wait,
    F: FnOnce(O::Output) -> C + 'static,
    C: Wait,
{
    let location = Location::caller();
    let opening = shield(open).into_state();
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut wait = ActiveWait::begin_at(&resume, opening, location);
            let resource = match suspend_until!(resume, wait.poll(&resume)) {
                Ok(resource) => resource,
                Err(error) => return Outcome(Err(error)),
            };
            drop(wait);
            // The coroutine that runs `work` makes the clone. So if the clone panics, only that coroutine panics, and the resource is
            // still closed.
            let kept = Rc::new(RefCell::new(Some(resource)));
            let shared = kept.clone();
            let clone = move || shared.borrow().as_ref().map(O::Output::clone_output).expect(IS_OPEN);
            let using = Work(Scoped::new(called(work, clone, location)));
            let mut wait = ActiveWait::begin_at(&resume, using, location);
            let result = suspend_until!(resume, wait.poll(&resume));
            drop(wait);
            let resource = kept.take().expect(IS_OPEN);
            let mut wait = ActiveWait::begin_at(&resume, shield(close(resource)).into_state(), location);
            let closed = suspend_until!(resume, wait.poll(&resume));
            Outcome(result.and_then(|value| closed.map(|_| value)))
        },
    )
}

const IS_OPEN: &str = "the resource is present until it is closed";

/// A resource that [`bracket`](crate::bracket) can pass to both of its functions: any value that is [`Clone`].
#[diagnostic::on_unimplemented(
    message = "`bracket` passes the output of `open` to both functions, so `{Self}` has to be `Clone`",
    label = "this gives `{Self}`, which is not `Clone`",
    note = "wrap it in an `Rc`, and raise a `Result` inside of `open`: `co! {{ Rc::new((yield w)?) }}`"
)]
pub trait CloneOutput: Sized {
    #[doc(hidden)]
    fn clone_output(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> CloneOutput for T {
    fn clone_output(&self) -> T {
        self.clone()
    }
}

/// A coroutine that calls `work`, and waits for what `work` returns. So a panic of `work` or of `make_argument` is a panic of this
/// coroutine.
fn called<X, U, W>(
    work: U,
    make_argument: impl FnOnce() -> X + 'static,
    location: &'static Location<'static>,
) -> Coro<W::Output>
where
    X: 'static,
    U: FnOnce(X) -> W + 'static,
    W: Wait,
{
    Coro::from_named::<Internal, _>(
        #[coroutine]
        static move |mut resume: Resume| {
            let mut wait = ActiveWait::begin_at(&resume, work(make_argument()).into_state(), location);
            Outcome(suspend_until!(resume, wait.poll(&resume)))
        },
    )
}

/// Waits for work and all that it started. The task that waits is shielded, and the work is not.
struct Work<T: 'static>(Scoped<T>);

impl<T> Sealed for Work<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Work<T> {
    type Output = T;

    const SHIELDED: bool = true;

    fn begin(&mut self, task: &TaskRef) {
        self.0.begin(task, ScopeKind::Whole);
    }

    fn is_ready(&self) -> bool {
        self.0.is_ended()
    }

    fn failure(&self) -> Option<Error> {
        if self.is_ready() { self.0.task().error() } else { None }
    }

    fn take(&mut self) -> Result<T> {
        self.0.take_ended()?;
        self.0.take_output()
    }
}
