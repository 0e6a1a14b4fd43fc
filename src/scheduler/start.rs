//! Starting tasks, and making them ready.
//!
//! It relies on the [run queue](super::run_queue) and on [`scope`](super::scope).

use std::rc::Rc;

use super::task::cell::{Task, TaskName};
use super::task::protocol::{Outcome, Resume, Suspend};
use super::task::state::State;
use super::{Scheduler, Scope, TaskRef};

/// The name of the task that represents the host.
struct HostTask;

impl TaskName for HostTask {
    const NAME: &'static str = "";
}

impl Scheduler {
    /// Starts `task` in `scope`.
    #[inline]
    pub(crate) fn start(task: &TaskRef, scope: Rc<Scope>) {
        let scheduler = scope.scheduler();
        let id = scheduler.last_id.get() + 1;
        scheduler.last_id.set(id);
        task.id.set(id);
        scope.add_task(task);
        if scope.is_cancelled() {
            return Scheduler::start_cancelled(task, scope);
        }
        task.set(State::QUEUED);
        scheduler.run_queue.push(task.clone());
        task.replace_scope(Some(scope));
    }

    /// Starts a task in a scope that is cancelled already. Such a task never runs. Examples: a destructor has cancelled the
    /// scope while the wait that starts the task began, or a host starts a task in a run that is stopping.
    #[cold]
    fn start_cancelled(task: &TaskRef, scope: Rc<Scope>) {
        task.replace_scope(Some(scope.clone()));
        scope.scheduler().cancel_tasks(vec![task.clone()]);
    }

    /// Starts `task` as the first of `scope`.
    pub(crate) fn start_root(task: &TaskRef, scope: &Rc<Scope>) {
        task.set(State::SCOPE_ROOT);
        Scheduler::start(task, scope.clone());
    }

    /// Calls `f` with a task of the root scope that never runs. A host starts its tasks as if that task had started them.
    pub(crate) fn with_root_task(&self, f: impl FnOnce(&TaskRef)) {
        let root = self.root();
        if !root.is_cancelled() {
            root.reopen();
        }
        let task = Task::<()>::new::<HostTask, _>(
            #[coroutine]
            static |_: Resume| {
                let _: Resume = yield Suspend;
                Outcome::value(())
            },
        );
        task.raw().replace_scope(Some(root));
        f(task.raw());
        task.raw().replace_scope(None);
        self.wake_sleeping_host();
    }

    /// Gives `task` a turn in the next round.
    #[inline]
    pub(crate) fn enqueue(task: &TaskRef) {
        // A running task is not queued here: when it suspends, the loop checks whether to queue it.
        if !task.has(State::QUEUED | State::RUNNING | State::ENDED) {
            Scheduler::push_ready(task);
        }
    }

    /// Queues `task`, which must not be queued, running or ended.
    #[inline(never)]
    pub(crate) fn push_ready(task: &TaskRef) {
        let is_host_asleep = task.with_scheduler(|scheduler| {
            task.set(State::QUEUED);
            scheduler.run_queue.push(task.clone());
            scheduler.is_host_asleep.get()
        });
        if is_host_asleep == Some(true)
            && let Some(scheduler) = task.scheduler()
        {
            // The waker of the host is foreign code, so it is called after the borrow of the task's scope has ended.
            scheduler.wake_sleeping_host();
        }
    }
}
