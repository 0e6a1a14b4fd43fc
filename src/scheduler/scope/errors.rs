//! The errors of a scope: the failure of a domain, the errors that came up after the failure, and which domain receives an
//! error.
//!
//! It relies on the tree only to go up from one domain to the next.

use std::rc::Rc;

use super::{Scope, ScopeKind};
use crate::error::{Error, Grouping};
use crate::iterations;
use crate::panic::FirstPanic;

impl Scope {
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.get().cloned()
    }

    /// Makes `error` the failure of this domain. Returns false if there is a failure already.
    pub(in crate::scheduler) fn set_failure(&self, error: Error) -> bool {
        self.failure.set(error).is_ok()
    }

    /// Adds an error that came up after the failure.
    pub(in crate::scheduler) fn add_other(&self, error: Error) {
        if self.grouping() == Grouping::Never {
            return;
        }
        let mut cold = self.cold.borrow_mut();
        // The same error may arrive twice. A task behind a shield is not cancelled, and may raise an error again that another
        // task has raised. An isolate whose owner gave up may raise such an error too, and its error may arrive first.
        if cold.known.insert(error.identity()) {
            cold.others.push(error);
        }
    }

    /// Adds errors that came up in this scope to the responsible domain. An example is the errors of a loop on another thread.
    pub(crate) fn add_others(self: &Rc<Scope>, errors: &[Error]) {
        let domain = self.responsible_domain();
        errors.iter().for_each(|error| domain.add_other(error.clone()));
    }

    pub(crate) fn take_others(&self) -> Vec<Error> {
        self.cold.borrow_mut_if_used().map_or_else(Vec::new, |mut cold| {
            cold.known.clear();
            std::mem::take(&mut cold.others)
        })
    }

    /// The nearest domain: this scope or one above.
    pub(in crate::scheduler) fn domain(self: &Rc<Scope>) -> Rc<Scope> {
        self.domain.as_ref().unwrap_or(self).clone()
    }

    /// The nearest domain in which a panic is an error.
    pub(in crate::scheduler) fn containing_domain(self: &Rc<Scope>) -> Option<Rc<Scope>> {
        let mut domain = self.domain();
        while !matches!(domain.kind, ScopeKind::Contained(_)) {
            domain = domain.parent()?.domain();
        }
        Some(domain)
    }

    /// The domain that receives an error raised in this scope: the nearest domain that is not itself cancelled from outside.
    pub(in crate::scheduler) fn responsible_domain(self: &Rc<Scope>) -> Rc<Scope> {
        let mut domain = self.domain();
        let mut passed = Vec::new();
        while domain.failure.get().is_none()
            && domain.cancelled.get().is_some()
            && let Some(above) = domain.next_responsible()
        {
            iterations::count();
            passed.push(std::mem::replace(&mut domain, above));
        }
        // Domains may be nested thousands deep, and each may look for its responsible domain: the result is cached.
        for passed in passed {
            *passed.responsible.borrow_mut() = Some(domain.clone());
        }
        domain
    }

    /// Called when this failed domain has ended. Stores the domain around it: if no task takes the failure, the failure is
    /// reported there.
    pub(in crate::scheduler) fn keep_surroundings(&self, parent: &Rc<Scope>) {
        *self.responsible.borrow_mut() = Some(parent.domain());
        if self.owner.borrow().is_none() {
            self.report_untaken();
        }
    }

    /// Called when no task takes the failure of this domain. If the responsible domain above has failed, too, and keeps all
    /// errors, it gets this one.
    pub(crate) fn report_untaken(&self) {
        let above = self.next_responsible().map(|above| above.responsible_domain());
        if let (Some(failure), Some(above)) = (self.failure(), above.filter(|above| above.keeps_all_errors())) {
            // The failure is skipped if the domain above has failed with the same error, because the error was raised again
            // there.
            if !above.failure.get().is_some_and(|known| known.is_same_as(&failure)) {
                above.add_other(failure);
            }
            self.take_others().into_iter().for_each(|other| above.add_other(other));
        }
    }

    fn keeps_all_errors(&self) -> bool {
        self.failure.get().is_some() && self.grouping() == Grouping::Always
    }

    fn next_responsible(&self) -> Option<Rc<Scope>> {
        let cached = self.responsible.borrow().clone();
        cached.or_else(|| self.parent().map(|parent| parent.domain()))
    }
}

/// Dropping an error runs user code, which may panic. All errors are dropped, and then the first panic is resumed.
impl Drop for Scope {
    fn drop(&mut self) {
        if self.failure.get().is_none() && self.cold.borrow_if_used().is_none_or(|cold| cold.others.is_empty()) {
            return;
        }
        let mut panicked = FirstPanic::default();
        for error in self.failure.take().into_iter().chain(self.take_others()) {
            panicked.run(|| drop(error));
        }
        panicked.resume();
    }
}
