//! What a coroutine waits for, in words. Reports of deadlocks and dumps use these words.

use std::collections::HashMap;
use std::rc::Rc;

use super::{BlockedOn, State, TaskRef};

/// The holders of semaphores and locks, in words. The key is the id of a task that waits for a semaphore or a lock, and the bit
/// of [`BlockedOn`] for semaphores or for locks.
pub(super) type Holders = HashMap<(u64, u16), Rc<str>>;

/// The kinds of things that have holders.
pub(super) const HELD: BlockedOn = BlockedOn::SEMAPHORE.union(BlockedOn::LOCK);

/// What a coroutine waits for. If it waits for an internal task, this lists what the internal task waits for instead.
pub(super) struct Awaited<'a> {
    pub(super) task: &'a TaskRef,
    /// The coroutines that it waits for.
    pub(super) named: Vec<&'a TaskRef>,
    pub(super) blocked_on: BlockedOn,
    /// The tasks that are blocked on a semaphore or a lock: this one, or internal tasks that it waits for.
    pub(super) blocked_on_held: Vec<&'a TaskRef>,
    /// Whether it waits until nothing is ready.
    pub(super) is_in_settled: bool,
    /// Whether it waits only until one of these things, any of them, is over.
    pub(super) is_race: bool,
}

impl Awaited<'_> {
    /// What the task waits for, in words. `holders` has the holders of semaphores and locks.
    pub(super) fn in_words(&self, holders: &Holders) -> String {
        const MAX_NAMES: usize = 5;
        let separator = if self.is_race { " or " } else { " and " };
        let mut words = String::new();
        let mut add = |parts: [&str; 3]| {
            if !words.is_empty() {
                words.push_str(separator);
            }
            words.extend(parts);
        };
        for task in self.named.iter().take(MAX_NAMES) {
            add(["`", &task.name(), "`"]);
        }
        if self.named.len() > MAX_NAMES {
            add([&(self.named.len() - MAX_NAMES).to_string(), " more", ""]);
        }
        let held_by =
            |bit: BlockedOn| self.blocked_on_held.iter().find_map(|task| holders.get(&(task.id.get(), bit.bits())));
        for (bit, word) in [
            (BlockedOn::EVENT, "an event"),
            (BlockedOn::SEMAPHORE, "a semaphore"),
            (BlockedOn::LOCK, "a lock"),
            (BlockedOn::BARRIER, "a barrier"),
            (BlockedOn::CHANNEL, "a channel"),
            (BlockedOn::FUTURE, "a future"),
            (BlockedOn::TIMER, "a timer"),
            (BlockedOn::COMPLETION, "what `as_completed` gives next"),
            (BlockedOn::STREAM_READER, "a reader of its stream"),
            (BlockedOn::STREAM_VALUE, "a value of a stream"),
        ] {
            if self.blocked_on.contains(bit) {
                match held_by(bit) {
                    Some(held_by) => add([word, " ", held_by]),
                    None => add([word, "", ""]),
                }
            }
        }
        if self.is_in_settled {
            add(["the moment when nothing else is ready", "", ""]);
        }
        if words.is_empty() {
            words.push_str(if self.task.has(State::BEGUN) {
                "nothing that the loop knows of"
            } else {
                "its first turn"
            });
        }
        words
    }
}
