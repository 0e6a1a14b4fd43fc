//! A check of the scheduler's own state, in debug builds only. It checks the conditions that have to be true whenever nothing
//! is ready.

use std::rc::Rc;

use super::{Scheduler, State};

/// How many tasks, and how many completions, are checked at most. The limit keeps a loop with many tasks usable in debug builds.
const MAX_CHECKED: usize = 100;

impl Scheduler {
    /// Checks the state when nothing is ready: no task runs or is queued, and each task that has not ended still waits for
    /// something.
    ///
    /// # Panics
    ///
    /// If the state is wrong. This is a bug in this crate. Without the check, the bug would show as a hang.
    pub(super) fn check_idle(self: &Rc<Scheduler>) {
        self.check_completions(MAX_CHECKED);
        let mut scopes = vec![self.root()];
        let mut checked = 0;
        while let Some(scope) = scopes.pop() {
            for task in scope.tasks() {
                let name = task.name();
                assert!(!task.is_ended(), "task `{name}` has ended and is still in its scope");
                assert!(!task.has(State::RUNNING | State::QUEUED), "task `{name}` is ready in an idle loop");
                assert!(
                    task.pending.get() > 0 || task.has(State::CANCEL_DEFERRED),
                    "task `{name}` waits for nothing and is not queued"
                );
                assert!(
                    task.scope().is_some_and(|own| Rc::ptr_eq(&own, &scope)),
                    "task `{name}` is in the list of another scope"
                );
                assert!(
                    !scope.is_cancelled() || task.has(State::CANCELLED),
                    "task `{name}` of a cancelled scope is not cancelled"
                );
                checked += 1;
                if checked == MAX_CHECKED {
                    return;
                }
            }
            scopes.extend(scope.subscopes());
        }
    }
}
