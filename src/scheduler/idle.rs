//! What the loop does when nothing is ready. First, one coroutine that waits in `settled` goes on. If there is none, the clock
//! of a simulated loop jumps. If it cannot jump, the loop is idle.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::run::Progress;
use super::{Key, Scheduler, Waiter};

impl Scheduler {
    /// Called when nothing is ready. Returns `None` if this call may have made something ready.
    #[inline(never)]
    pub(super) fn idle(self: &Rc<Scheduler>) -> Option<Progress> {
        if self.root().is_over() {
            return Some(Progress::Done);
        }
        if self.wake_settled() || self.jump() {
            return None;
        }
        self.end_standstill();
        #[cfg(debug_assertions)]
        self.check_idle();
        Some(Progress::Idle)
    }

    /// Makes `waiter` wait until nothing is ready.
    pub(crate) fn add_settled(&self, waiter: Waiter) -> Key {
        self.settled.borrow_mut().push_back(waiter)
    }

    /// Takes out a waiter that gives up. `None` if it was settled in the meantime.
    pub(crate) fn remove_settled(&self, key: Key) -> Option<Waiter> {
        self.settled.borrow_mut_if_used()?.remove(key)
    }

    pub(crate) fn is_in_settled(&self, key: Key) -> bool {
        self.settled.borrow_if_used().is_some_and(|queue| queue.get(key).is_some())
    }

    /// The ids of the tasks that wait until nothing is ready.
    pub(super) fn waiting_in_settled(&self) -> BTreeSet<u64> {
        let queue = self.settled.borrow_if_used();
        queue.iter().flat_map(|queue| queue.iter()).map(|waiter| waiter.task().id.get()).collect()
    }

    /// Wakes the first coroutine that waits until nothing else is ready.
    fn wake_settled(&self) -> bool {
        let first = self.settled.borrow_mut_if_used().and_then(|mut queue| queue.pop_front());
        let is_any = first.is_some();
        if let Some(waiter) = first {
            waiter.settle();
        }
        is_any
    }

    /// If the loop is simulated, and nothing outside can wake it, moves its clock to the next deadline, plus the timer slack, and
    /// returns true. If that deadline has passed already, the clock does not move. In all other cases, returns false.
    fn jump(self: &Rc<Scheduler>) -> bool {
        if !self.clock.is_virtual() {
            return false;
        }
        if self.may_be_woken_now() {
            return false;
        }
        let deadline = self.deadline();
        if let Some(deadline) = deadline {
            if deadline > self.clock.now() {
                self.end_standstill();
                self.clock.jump(self.clock.end_of_wait(deadline));
            } else {
                self.clock.jump(deadline);
            }
            self.end_wait_for_outside();
            self.count_jump();
        }
        deadline.is_some()
    }

    /// As [`may_be_woken`](Scheduler::may_be_woken), for a loop that is running. A running loop counts the holders on its own
    /// thread separately, so this adds them to the count of the inbox first.
    pub(super) fn may_be_woken_now(&self) -> bool {
        if let Some(inbox) = self.inbox.get() {
            inbox.add_local_watchers();
        }
        self.may_be_woken()
    }
}
