//! Aborting from other threads.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::Link;
use crate::primitives::atomic::AtomicBool;
use crate::primitives::atomic::Ordering::SeqCst;
use crate::scheduler::Scheduler;
use crate::sync::{Listener, Listeners, Notifier};

/// The state that the remote handles share with the work.
#[derive(Default)]
pub(super) struct Request {
    is_made: AtomicBool,
    notifier: Arc<Notifier>,
}

impl Request {
    pub(super) fn is_made(&self) -> bool {
        self.is_made.load(SeqCst)
    }
}

/// The loops to wake after a request. A loop that was woken checks whether its work was aborted.
pub(super) struct RequestListeners(Listeners);

impl RequestListeners {
    pub(super) fn new(link: &Rc<Link>) -> (Arc<Request>, RequestListeners) {
        let request = Arc::<Request>::default();
        let link = Rc::downgrade(link);
        let look = move || {
            if let Some(link) = link.upgrade()
                && link.is_aborted()
            {
                link.abort();
            }
        };
        let listeners = Listeners::new(request.notifier.clone(), true, look);
        (request, RequestListeners(listeners))
    }

    pub(super) fn listen(&self, scheduler: &Rc<Scheduler>) -> Rc<Listener> {
        self.0.listen(scheduler)
    }
}

/// Ends the work of an [`abortable`](crate::abortable) from another thread. Made by
/// [`AbortHandle::remote`](crate::AbortHandle::remote).
///
/// The handle may outlive the work and its loop. Then it does nothing.
pub struct RemoteAbortHandle {
    request: Arc<Request>,
}

impl RemoteAbortHandle {
    pub(super) fn new(request: Arc<Request>) -> RemoteAbortHandle {
        request.notifier.hold();
        RemoteAbortHandle { request }
    }

    /// Requests the abort. The loop of the work sees the request between two rounds of turns. Then it cancels the work, as
    /// [`AbortHandle::abort`](crate::AbortHandle::abort) does.
    pub fn abort(&self) {
        self.request.is_made.store(true, SeqCst);
        self.request.notifier.notify();
    }

    /// Whether a remote handle has aborted the work.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.request.is_made()
    }
}

impl Clone for RemoteAbortHandle {
    fn clone(&self) -> RemoteAbortHandle {
        RemoteAbortHandle::new(self.request.clone())
    }
}

impl Drop for RemoteAbortHandle {
    fn drop(&mut self) {
        self.request.notifier.release();
    }
}

impl fmt::Debug for RemoteAbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteAbortHandle").field("is_aborted", &self.is_aborted()).finish()
    }
}
