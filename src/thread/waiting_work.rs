//! The queue of a pool, as data. Work that is withdrawn leaves the queue at once, so that it is dropped at once.
//!
//! The wait queue of the scheduler is not used here, because the stamps of its keys have 32 bits and wrap around. While one closure runs,
//! the pool of the process may run more closures than that. Then a key could withdraw the work of another loop.

use std::collections::VecDeque;

/// The work that waits for a thread, in the order of arrival.
pub(super) struct WaitingWork<T> {
    /// Sorted by number. Removed work leaves an empty place. When more than half of the places are empty, the empty places are
    /// removed.
    places: VecDeque<(u64, Option<T>)>,
    empty: usize,
    last_number: u64,
}

impl<T> Default for WaitingWork<T> {
    fn default() -> WaitingWork<T> {
        WaitingWork { places: VecDeque::new(), empty: 0, last_number: 0 }
    }
}

impl<T> WaitingWork<T> {
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.empty
    }

    pub(super) fn push(&mut self, work: T) -> u64 {
        self.last_number += 1;
        self.places.push_back((self.last_number, Some(work)));
        self.last_number
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        loop {
            match self.places.pop_front()? {
                (_, Some(work)) => return Some(work),
                (_, None) => self.empty -= 1,
            }
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let index = self.places.binary_search_by_key(&number, |place| place.0).ok()?;
        let work = self.places[index].1.take();
        self.empty += 1;
        if self.empty > self.places.len() / 2 {
            self.places.retain(|place| place.1.is_some());
            self.empty = 0;
        }
        work
    }
}
