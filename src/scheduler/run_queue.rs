//! The run queue: first in, first out, taken in rounds.

use std::cell::UnsafeCell;

use smallvec::SmallVec;

use super::task::TaskRef;
use crate::capacity::KEPT_CAPACITY;

/// The tasks to resume. A round consists of the tasks that are ready when it begins. Tasks that become ready during a round are
/// in the next round.
#[derive(Default)]
pub(crate) struct RunQueue {
    queues: UnsafeCell<Queues>,
}

#[derive(Default)]
struct Queues {
    /// The rest of this round, in reverse order, so that `Vec::pop` takes the next task.
    round: Vec<TaskRef>,
    next_round: Vec<TaskRef>,
    /// How many rounds have begun.
    rounds: u64,
}

// `Queues::have_much_room` relies on this.
const _: () = assert!(KEPT_CAPACITY.is_power_of_two());

impl Queues {
    /// Whether the capacity of one of the queues is at least twice [`KEPT_CAPACITY`].
    #[inline(always)]
    fn have_much_room(&self) -> bool {
        // The limit is a power of two, so one comparison is enough for both capacities.
        self.round.capacity() | self.next_round.capacity() >= 2 * KEPT_CAPACITY
    }

    #[inline(never)]
    fn shrink(&mut self) {
        let count = self.round.len();
        for queue in [&mut self.round, &mut self.next_round] {
            if count < queue.capacity() / 4 {
                queue.shrink_to(KEPT_CAPACITY);
            }
        }
    }
}

impl RunQueue {
    /// A queue with room for a few tasks: allocating now costs half as much as allocating for the first task.
    pub(crate) fn new() -> RunQueue {
        let queues = Queues { next_round: Vec::with_capacity(4), ..Queues::default() };
        RunQueue { queues: UnsafeCell::new(queues) }
    }

    /// This is not a `RefCell`: a turn takes five nanoseconds, and checking the flag of a `RefCell` would take a tenth of that.
    #[inline(always)]
    fn with<R>(&self, change: impl FnOnce(&mut Queues) -> R) -> R {
        // SAFETY: `RunQueue` is not `Sync`, and this private function is the only place that borrows the queues. No `change`
        // below calls this function. Each `change` runs only code of `Vec`, `SmallVec` and `std::mem`, and this code moves
        // tasks or clones pointers to tasks, but never drops a task. So there is no second borrow while this one lasts, and `R`
        // cannot hold a reference into it.
        change(unsafe { &mut *self.queues.get() })
    }

    #[inline(always)]
    pub(crate) fn push(&self, task: TaskRef) {
        self.with(|queues| queues.next_round.push(task));
    }

    /// As [`push`](RunQueue::push), for a short caller. The code that grows the queue is not inlined here, so the caller need
    /// not save registers for it.
    #[inline(always)]
    pub(crate) fn push_in_place(&self, task: TaskRef) {
        if self.with(|queues| queues.next_round.len() == queues.next_round.capacity()) {
            self.push_and_grow(task);
        } else {
            self.push(task);
        }
    }

    #[cold]
    #[inline(never)]
    fn push_and_grow(&self, task: TaskRef) {
        self.push(task);
    }

    /// Takes the next task of this round.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        self.with(|queues| queues.round.pop())
    }

    /// Begins a round of all tasks that are ready. The last round must be over. Returns false if no task is ready.
    #[inline(always)]
    pub(crate) fn begin_round(&self) -> bool {
        self.with(|queues| {
            if queues.next_round.len() == 1 && queues.round.capacity() != 0 {
                // `swap` is not used here. The fields of the queue were just stored one by one. `swap` would load several of
                // them as one word, and the processor would wait for these stores.
                queues.round.extend(queues.next_round.pop());
                queues.rounds += 1;
            } else {
                std::mem::swap(&mut queues.round, &mut queues.next_round);
                queues.round.reverse();
                queues.rounds += u64::from(!queues.round.is_empty());
            }
            if queues.have_much_room() {
                queues.shrink();
            }
            !queues.round.is_empty()
        })
    }

    /// Begins a round of one task, and takes the task. The last round must be over. This does the same as
    /// [`begin_round`](RunQueue::begin_round) and [`pop`](RunQueue::pop), in half of their instructions. `None` if no task or
    /// several tasks are ready, or if the queue has to give memory back.
    #[inline(always)]
    pub(crate) fn take_only(&self) -> Option<TaskRef> {
        self.with(|queues| {
            if queues.next_round.len() != 1 || queues.have_much_room() {
                return None;
            }
            let only = queues.next_round.pop();
            queues.rounds += 1;
            only
        })
    }

    /// How many rounds have begun.
    pub(super) fn rounds(&self) -> u64 {
        self.with(|queues| queues.rounds)
    }

    /// How many tasks are ready for the next round.
    pub(super) fn next_round_len(&self) -> usize {
        self.with(|queues| queues.next_round.len())
    }

    /// The tasks that became ready for the next round after the first `known` ones.
    pub(super) fn next_round_after(&self, known: usize) -> SmallVec<[TaskRef; 4]> {
        self.with(|queues| queues.next_round.get(known..).into_iter().flatten().cloned().collect())
    }

    /// Whether the turn that is being taken is the last of its round.
    pub(crate) fn is_round_over(&self) -> bool {
        self.with(|queues| queues.round.is_empty())
    }

    pub(crate) fn is_next_round_empty(&self) -> bool {
        self.with(|queues| queues.next_round.is_empty())
    }

    /// The last task of this round, if only one task is left in the round. The task stays in the queue.
    pub(crate) fn only(&self) -> Option<TaskRef> {
        let task = self.with(|queues| if queues.round.len() == 1 { queues.round.pop() } else { None })?;
        let again = task.clone();
        self.with(|queues| queues.round.push(again));
        Some(task)
    }

    /// Takes out the remaining tasks of this round, first to last.
    pub(crate) fn take_round(&self) -> Vec<TaskRef> {
        let mut round = self.with(|queues| std::mem::take(&mut queues.round));
        round.reverse();
        round
    }

    /// Sets the remaining tasks of this round, first to last. The queue of the round must be empty.
    pub(crate) fn put_round(&self, mut round: Vec<TaskRef>) {
        round.reverse();
        let empty = self.with(|queues| std::mem::replace(&mut queues.round, round));
        drop(empty);
    }

    pub(crate) fn clear(&self) {
        let is_small = |queue: &Vec<TaskRef>| queue.is_empty() && queue.capacity() <= 64;
        // Small queues are freed with the scheduler.
        if self.with(|queues| !is_small(&queues.round) || !is_small(&queues.next_round)) {
            let left = self.with(std::mem::take);
            drop(left);
        }
    }
}
