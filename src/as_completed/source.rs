//! The coroutines that an `as_completed` with a limit has not started yet.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::slots::Slots;
use crate::coro::Coro;

pub(super) type Iter<T> = Box<dyn Iterator<Item = Coro<T>>>;

/// The coroutines that are still to be started.
pub(super) struct Source<T: 'static> {
    /// `None` once the iterator has ended or the source is closed. Also `None` during a call of the iterator: it is user code, so
    /// the cell must not be borrowed then.
    iterator: RefCell<Option<Iter<T>>>,
    /// Coroutines that were taken from the iterator when an item was asked for. They are started next.
    fetched: RefCell<VecDeque<Coro<T>>>,
}

impl<T> Source<T> {
    pub(super) fn new(iterator: Iter<T>) -> Source<T> {
        Source { iterator: RefCell::new(Some(iterator)), fetched: RefCell::default() }
    }

    fn ask(&self, slots: &RefCell<Slots<T>>) -> Option<Coro<T>> {
        let mut iterator = self.iterator.take()?;
        let coro = iterator.next()?;
        *self.iterator.borrow_mut() = Some(iterator);
        slots.borrow_mut().add(1);
        Some(coro)
    }

    /// The next coroutine to start.
    pub(super) fn next(&self, slots: &RefCell<Slots<T>>) -> Option<Coro<T>> {
        let fetched = self.fetched.borrow_mut().pop_front();
        fetched.or_else(|| self.ask(slots))
    }

    /// Takes one more coroutine from the iterator, to be started later. Returns whether there was one.
    pub(super) fn fetch(&self, slots: &RefCell<Slots<T>>) -> bool {
        let coro = self.ask(slots);
        let is_some = coro.is_some();
        self.fetched.borrow_mut().extend(coro);
        is_some
    }

    pub(super) fn size_hint(&self) -> (usize, Option<usize>) {
        let Some(iterator) = self.iterator.take() else { return (0, Some(0)) };
        let hint = iterator.size_hint();
        *self.iterator.borrow_mut() = Some(iterator);
        hint
    }

    /// Makes sure that nothing more is started. Returns the iterator, and the coroutines that were fetched.
    pub(super) fn close_all(&self) -> (Option<Iter<T>>, VecDeque<Coro<T>>) {
        (self.iterator.take(), self.fetched.take())
    }

    /// Makes sure that nothing more is started, except for the coroutines that were fetched already. Returns the iterator.
    pub(super) fn close(&self) -> Option<Iter<T>> {
        self.iterator.take()
    }
}
