//! Aborting: work that a handle ends from outside, on the same thread or on another.
//!
//! The work runs in a scope of its own, and the handle cancels the scope. The handle and the work share a [`Link`].

mod remote;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

pub use self::remote::RemoteAbortHandle;
use self::remote::{Request, RequestListeners};
use crate::coro::Coro;
use crate::error::{Cancelled, Error, Reason, Result, provides_itself};
use crate::scheduler::{CancelHandle, Canceller, Scope, ScopeKind, TaskRef};
use crate::spawn::{JoinHandle, Spawnable, Starting};
use crate::sync::Listener;
use crate::waiting::active::task_of;
use crate::waiting::kind::Work;
use crate::waiting::scoped::Scoped;
use crate::waiting::state::WaitState;
use crate::waiting::state::private::Sealed;
use crate::waiting::yieldable::{Wait, inherent_map};

/// Makes work, and a handle that can end it. When the [`Abortable`] is yielded, it gives `Ok` with the output of `wait`, or
/// `Err(`[`Aborted`]`)`.
///
/// [`abort`](AbortHandle::abort) cancels `wait` and all that it started. Whether it is aborted or not, the `yield` returns only
/// when all of that has ended. If the work had a value already, or returns one in response to the cancellation, the `yield` gives
/// `Ok` with this value.
///
/// An [`Abortable`] can be yielded, [spawned](crate::spawn), raced and gathered like a coroutine. If it is aborted before it
/// begins, it never begins. The handle may be cloned, dropped, and used at any time. When the work is over, the handle does
/// nothing.
///
/// ```
/// use std::time::Duration;
/// use tinyield::{Aborted, Loop, abortable, co, sleep, spawn};
///
/// let main = co! {
///     let (heartbeat, handle) = abortable(co! {
///         loop {
///             yield sleep(Duration::from_secs(1));
///         }
///     });
///     let heartbeat = yield spawn(heartbeat);
///     yield sleep(Duration::from_millis(5));
///     handle.abort();
///     yield heartbeat // has ended, with all that it started
/// };
/// let result: Result<(), Aborted> = Loop::new().run(main).unwrap();
/// assert_eq!(result, Err(Aborted));
/// ```
///
/// # Errors
///
/// An error in the work stops the loop, or the [`isolate`](crate::isolate) around it, as an error of any coroutine does.
///
/// # Cancellation
///
/// All that `wait` started is cancelled first, and then the coroutine that waits.
#[track_caller]
pub fn abortable<W: Wait>(wait: W) -> (Abortable<W>, AbortHandle) {
    let link = Rc::<Link>::default();
    let state = Aborting { work: Scoped::new(wait), link: link.clone() };
    (Abortable { state, location: Location::caller() }, AbortHandle::new(link))
}

/// The error of an [`abortable`]: it was aborted before it had a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("aborted")
    }
}

provides_itself!(Aborted);

/// Work that an [`AbortHandle`] can end. Made by [`abortable`].
#[must_use = "nothing starts before this is yielded or spawned"]
pub struct Abortable<W: Wait> {
    state: Aborting<W::Output>,
    location: &'static Location<'static>,
}

impl<W: Wait> fmt::Debug for Abortable<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abortable").field("task", self.state.work.task()).finish()
    }
}

impl<W: Wait> Sealed for Abortable<W> {}

inherent_map!([W: Wait] Abortable<W>);

impl<W: Wait> Wait for Abortable<W> {
    type Output = std::result::Result<W::Output, Aborted>;
    type State = Aborting<W::Output>;
    type Kind = Work;

    fn into_state(self) -> Aborting<W::Output> {
        self.state
    }
}

impl<W: Wait> Spawnable for Abortable<W> {
    type Handles = JoinHandle<std::result::Result<W::Output, Aborted>>;
    type State = Starting<Self::Handles>;

    fn into_state(self) -> Self::State {
        let task = task_of(self.state);
        task.raw().location.set(self.location);
        Spawnable::into_state(Coro::from_task(task))
    }
}

/// Ends the work of an [`abortable`].
///
/// While a handle exists, a loop that is stepped or polled does not report a cycle of coroutines that the handle can end: an abort may
/// still end the cycle.
pub struct AbortHandle {
    link: Rc<Link>,
}

impl AbortHandle {
    fn new(link: Rc<Link>) -> AbortHandle {
        link.handles.set(link.handles.get() + 1);
        AbortHandle { link }
    }

    /// Cancels the work and all that it started. The work sees a [`Cancelled`](crate::Cancelled) for the reason
    /// [`Aborted`](Reason::Aborted), before any other coroutine has its turn.
    ///
    /// It may be called anywhere on this thread, even by the work itself. The work then sees the cancellation at its next `yield`.
    /// When the work is over, the call does nothing.
    pub fn abort(&self) {
        self.link.abort();
    }

    /// Whether any handle has aborted the work. This is also true if the work had its value before.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.link.is_aborted()
    }

    /// Makes a handle for other threads.
    ///
    /// While such a handle exists and the work is not cancelled yet, a loop that waits for the work is not deadlocked.
    ///
    /// ```
    /// use tinyield::{Aborted, Event, Loop, abortable};
    ///
    /// let (work, handle) = abortable(Event::new().wait());
    /// let remote = handle.remote();
    /// std::thread::spawn(move || remote.abort());
    /// assert_eq!(Loop::new().run(work).unwrap(), Err(Aborted));
    /// ```
    #[must_use]
    pub fn remote(&self) -> RemoteAbortHandle {
        let (request, _) = self.link.remote.get_or_init(|| RequestListeners::new(&self.link));
        self.link.listen();
        RemoteAbortHandle::new(request.clone())
    }
}

impl Clone for AbortHandle {
    fn clone(&self) -> AbortHandle {
        AbortHandle::new(self.link.clone())
    }
}

impl Drop for AbortHandle {
    fn drop(&mut self) {
        self.link.handles.set(self.link.handles.get() - 1);
        self.link.note_handles();
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("is_aborted", &self.is_aborted()).finish_non_exhaustive()
    }
}

/// The state that the work shares with its handles.
#[derive(Default)]
struct Link {
    is_aborted: Cell<bool>,
    /// How many handles of this thread exist.
    handles: Cell<usize>,
    /// The scope of the work, while it runs and is not cancelled.
    scope: RefCell<Option<Rc<Scope>>>,
    /// Present once a remote handle was made.
    remote: OnceCell<(std::sync::Arc<Request>, RequestListeners)>,
    /// Present while the work runs and is not cancelled, if a remote handle was made.
    listener: RefCell<Option<Rc<Listener>>>,
}

impl Link {
    fn is_aborted(&self) -> bool {
        self.is_aborted.get() || self.remote.get().is_some_and(|(request, _)| request.is_made())
    }

    fn abort(&self) {
        self.is_aborted.set(true);
        let scope = self.scope.borrow().clone();
        if let Some(scope) = scope {
            scope.scheduler().cancel_by_itself(&scope, &Cancelled::new(Reason::Aborted));
        }
    }

    /// Notes in the scope of the work whether a handle of this thread can still abort the work.
    fn note_handles(&self) {
        let scope = self.scope.borrow().clone();
        if let Some(scope) = scope {
            scope.set_abortable(self.handles.get() != 0 && !scope.is_cancelled());
        }
    }

    /// If the work runs, registers its loop with the remote handles. From then on, a request wakes the loop.
    fn listen(&self) {
        let scope = self.scope.borrow().clone();
        if let (Some(scope), Some((request, listeners))) = (scope, self.remote.get())
            && self.listener.borrow().is_none()
            && !scope.is_cancelled()
        {
            *self.listener.borrow_mut() = Some(listeners.listen(scope.scheduler()));
            // From now on, a request wakes the loop. An earlier request is visible here.
            if request.is_made() {
                self.abort();
            }
        }
    }
}

impl CancelHandle for Link {
    fn no_longer_cancels(&self) {
        let left = (self.scope.take(), self.listener.take());
        drop(left);
    }
}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Aborting<T: 'static> {
    work: Scoped<T>,
    link: Rc<Link>,
}

impl<T> Sealed for Aborting<T> {}

impl<T: 'static> Aborting<T> {
    /// Whether the work was aborted before it began.
    fn never_begins(&self) -> bool {
        self.work.scope().is_none() && self.link.is_aborted()
    }

    fn is_cancelled_by_abort(&self) -> bool {
        // An abort of work around this work cancels this work for the same reason. But this work was not aborted itself.
        self.work.scope().is_some_and(|scope| scope.is_cancelled_by_itself())
    }
}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Aborting<T> {
    type Output = std::result::Result<T, Aborted>;

    fn begin(&mut self, task: &TaskRef) {
        if self.link.is_aborted() {
            return;
        }
        self.work.begin(task, ScopeKind::Whole);
        let scope = self.work.scope().cloned();
        if let Some(scope) = &scope {
            scope.set_canceller(Canceller::Handle(self.link.clone()));
        }
        *self.link.scope.borrow_mut() = scope;
        self.link.note_handles();
        self.link.listen();
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.work.is_ended() || self.never_begins()
    }

    fn has_value(&self) -> bool {
        self.is_ready() && (self.work.has_output() || self.never_begins() || self.is_cancelled_by_abort())
    }

    fn take(&mut self) -> Result<Self::Output> {
        if self.never_begins() {
            return Ok(Err(Aborted));
        }
        let is_aborted = self.is_cancelled_by_abort();
        let scope = self.work.take_ended()?;
        match scope.cancelled() {
            // The work may have a value although it was cancelled: the value had arrived before, or the work returned it in
            // response to the cancellation.
            Some(_) if self.work.has_output() => self.work.take_output().map(Ok),
            Some(_) if is_aborted => Ok(Err(Aborted)),
            Some(cancelled) => Err(Error::cancelled(cancelled, Location::caller())),
            None => self.work.take_output().map(Ok),
        }
    }
}
