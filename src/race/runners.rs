//! A race of waits that are not all leaves. Each wait has a task, the *runner*, in a scope of its own. The scopes form a group.

use std::fmt;
use std::rc::Rc;

use crate::error::{Cancelled, Reason, Result};
use crate::scheduler::{Group, Scheduler, Task, TaskRef};
use crate::waiting::state::private::Sealed;
use crate::waiting::state::{WaitState, polled_after_completion};

#[doc(hidden)]
pub struct Runners<T: 'static> {
    tasks: Vec<Task<T>>,
    group: Option<Rc<Group>>,
}

impl<T> Runners<T> {
    pub(super) fn new(tasks: Vec<Task<T>>) -> Runners<T> {
        Runners { tasks, group: None }
    }
}

impl<T: 'static> fmt::Debug for Runners<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runners: Vec<_> = self.tasks.iter().map(|task| Runner(task.raw())).collect();
        f.debug_struct("Race").field("runners", &runners).finish()
    }
}

/// A task in the debug output of its race.
struct Runner<'a>(&'a TaskRef);

impl fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coro").field("name", &self.0.name()).finish()
    }
}

impl<T> Sealed for Runners<T> {}

#[allow(private_interfaces)]
impl<T: 'static> WaitState for Runners<T> {
    type Output = T;

    fn begin(&mut self, task: &TaskRef) {
        if let Some(group) = Group::below(task, self.tasks.len()) {
            for (runner, scope) in self.tasks.iter().zip(group.scopes()) {
                Scheduler::start_root(runner.raw(), &scope);
            }
            self.group = Some(group);
        }
    }

    fn carries_value(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.winner().is_some())
    }

    fn take(&mut self) -> Result<T> {
        let winner = self.group.as_ref().and_then(|group| group.winner()).ok_or_else(polled_after_completion)?;
        self.group = None;
        self.tasks.swap_remove(winner).take_output().unwrap_or_else(|| Err(polled_after_completion()))
    }
}

impl<T> Drop for Runners<T> {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            for scope in group.disown() {
                scope.scheduler().cancel(&scope, &Cancelled::new(Reason::Dropped));
            }
        }
    }
}
