//! A dump: what each coroutine of a loop waits for, at one moment. It is plain data, and its `Display` prints a tree.
//!
//! A dump consists of copies, so it can be sent to other threads, and can outlive the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::statistics::Statistics;
use crate::iterations;
use crate::trace::Frame;

/// What each coroutine of a loop waits for, at one moment between two rounds.
///
/// [`View::dump`](crate::View::dump) takes a dump from another thread, and [`dump`](crate::dump()) takes one from inside of the
/// loop. Taking a dump runs no code of the program. A clone shares the data.
///
/// `{}` prints a tree. Each coroutine is printed once, below its [parent](DumpedTask::parent). If other coroutines wait for it,
/// their lines refer to the number of its line. Coroutines with the same name, source line and wait share a line if their
/// parents share a line, too. Such a line begins with the count of its coroutines.
///
/// ```
/// use tinyield::{Dump, Event, Loop, co, dump, spawn};
///
/// let main = co! {
///     let quit = Event::new();
///     for _ in 0..3 {
///         let quit = quit.clone();
///         yield spawn(co! { yield quit.wait(); }.named("worker"));
///     }
///     yield;
///     let dump: Dump = yield dump();
///     quit.set();
///     dump
/// };
/// let dump = Loop::new().run(main.named("main")).unwrap();
/// assert_eq!(dump.tasks().len(), 4);
/// assert_eq!(dump.tasks()[1].name(), "worker");
/// assert_eq!(dump.tasks()[1].waits_on(), "an event");
/// assert_eq!(dump.tasks()[1].parent(), Some(0));
/// assert!(dump.to_string().contains("3 x `worker`"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Dump {
    content: Arc<Content>,
}

#[derive(Debug, Default)]
struct Content {
    tasks: Vec<DumpedTask>,
    statistics: Statistics,
    /// Whether the loop was running when the dump was requested.
    is_of_run: bool,
}

/// One coroutine of a [`Dump`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpedTask {
    pub(crate) frame: Frame,
    pub(crate) waits_on: String,
    pub(crate) parent: Option<usize>,
    /// The indices of the tasks that it waits for.
    pub(crate) waits_for: Vec<usize>,
}

impl DumpedTask {
    /// The name of the coroutine.
    #[must_use]
    pub fn name(&self) -> &str {
        self.frame.name()
    }

    /// The line of the `yield` at which it waits.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.frame.location()
    }

    /// The name and the line together.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// What it waits on, in the words of a [`Deadlock`](crate::Deadlock). Examples: "an event", "`worker`", "its turn". For a
    /// lock or a semaphore, the text has the names of the coroutines that hold it.
    #[must_use]
    pub fn waits_on(&self) -> &str {
        &self.waits_on
    }

    /// The index, in [`Dump::tasks`], of the coroutine that started this one. If that coroutine is not known or has ended, this
    /// is the index of the first coroutine that waits for this one. If there is none, it is the index of the first coroutine of
    /// a scope around this one, or of the coroutine that waits for that scope. `None` for the first coroutine of the run, and
    /// if there is no such coroutine.
    #[must_use]
    pub fn parent(&self) -> Option<usize> {
        self.parent
    }
}

impl Dump {
    pub(crate) fn new(tasks: Vec<DumpedTask>, statistics: Statistics) -> Dump {
        Dump { content: Arc::new(Content { tasks, statistics, is_of_run: true }) }
    }

    /// The coroutines, in the order in which they were started. Empty if the loop did not run.
    #[must_use]
    pub fn tasks(&self) -> &[DumpedTask] {
        &self.content.tasks
    }

    /// The figures of the run at the moment of the dump. If the loop is not [observed](crate::Loop::view), they count only the
    /// turns up to the last moment at which the loop was idle or returned to its host.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.content.statistics
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.content.is_of_run {
            return f.write_str("the loop does not run");
        }
        let Statistics { turns, timers, longest_turn, .. } = self.content.statistics;
        write!(f, "coroutines: {}, timers: {timers}", self.tasks().len())?;
        if longest_turn.is_some() {
            write!(f, ", turns so far: {turns}")?;
        }
        let tree = Tree::new(self.tasks());
        for index in 0..tree.lines.len() {
            tree.write_line(f, index)?;
        }
        Ok(())
    }
}

/// The lines of a printed dump, from top to bottom.
struct Tree<'a> {
    tasks: &'a [DumpedTask],
    lines: Vec<Line>,
    /// The line of each task.
    line_of: Vec<usize>,
}

/// Tasks that are alike, and whose parents share a line.
struct Line {
    depth: usize,
    members: Vec<usize>,
}

/// The maximum number of other lines that a line refers to.
const MAX_REFERENCES: usize = 5;

/// Lines below this depth are not indented further, so that the text of a deep chain of coroutines has linear length.
const MAX_INDENT: usize = 40;

impl Tree<'_> {
    fn new(tasks: &[DumpedTask]) -> Tree<'_> {
        let mut children = vec![Vec::new(); tasks.len()];
        let mut roots = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            match task.parent {
                Some(parent) => children[parent].push(index),
                None => roots.push(index),
            }
        }
        let mut tree = Tree { tasks, lines: Vec::new(), line_of: vec![0; tasks.len()] };
        // Depth first, without recursion: a chain of coroutines may be long.
        let mut next: Vec<Line> = tree.group(roots, 0);
        while let Some(line) = next.pop() {
            let below = line.members.iter().flat_map(|&member| std::mem::take(&mut children[member])).collect();
            next.extend(tree.group(below, line.depth + 1));
            for &member in &line.members {
                tree.line_of[member] = tree.lines.len();
            }
            tree.lines.push(line);
        }
        tree
    }

    /// Makes one line for each group of `members` that are alike. The parents of all `members` must share a line. Returns the
    /// lines in reverse order.
    fn group(&self, members: Vec<usize>, depth: usize) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        let mut known = BTreeMap::new();
        for member in members {
            iterations::count();
            let task = &self.tasks[member];
            let (file, line, column) = (task.location().file(), task.location().line(), task.location().column());
            let line = *known.entry((task.name(), file, line, column, task.waits_on())).or_insert_with(|| {
                lines.push(Line { depth, members: Vec::new() });
                lines.len() - 1
            });
            lines[line].members.push(member);
        }
        lines.reverse();
        lines
    }

    /// The lines to which the line `index` refers, because its tasks wait for tasks in those lines. A task that is printed
    /// below the task that waits for it needs no reference.
    fn references(&self, index: usize) -> BTreeSet<usize> {
        let waits_for = self.lines[index].members.iter().flat_map(|&member| {
            let is_elsewhere = move |other: &&usize| self.tasks[**other].parent != Some(member);
            self.tasks[member].waits_for.iter().filter(is_elsewhere)
        });
        waits_for.inspect(|_| iterations::count()).map(|&other| self.line_of[other]).collect()
    }

    fn write_line(&self, f: &mut fmt::Formatter<'_>, index: usize) -> fmt::Result {
        let Line { depth, members } = &self.lines[index];
        let task = &self.tasks[members[0]];
        write!(f, "\n{:indent$}{}. ", "", index + 1, indent = 2 * depth.min(&MAX_INDENT))?;
        let waits = if members.len() == 1 {
            "waits"
        } else {
            write!(f, "{} x ", members.len())?;
            "wait"
        };
        let (file, line) = (task.location().file(), task.location().line());
        write!(f, "`{}` {waits} at {file}:{line} on {}", task.name(), task.waits_on())?;
        let references = self.references(index);
        if !references.is_empty() {
            let numbers: Vec<_> = references.iter().take(MAX_REFERENCES).map(|other| (other + 1).to_string()).collect();
            let more = if references.len() > MAX_REFERENCES { ", .." } else { "" };
            write!(f, " (see {}{more})", numbers.join(", "))?;
        }
        Ok(())
    }
}
