//! A table whose entries are found by keys. No two entries of a table ever have the same key, because other threads and foreign code may
//! keep a key after its entry was removed.

use slab::Slab;

use crate::capacity::KEPT_CAPACITY;

/// Identifies an entry of a table: by its index, and by a stamp that no other entry of the table ever has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotKey {
    pub(crate) index: usize,
    pub(crate) stamp: u64,
}

pub(super) struct SlotTable<T> {
    /// Each entry has the stamp of its key.
    entries: Slab<(u64, T)>,
    last_stamp: u64,
    /// How many entries were removed since the table last gave memory back.
    removals: usize,
}

impl<T> Default for SlotTable<T> {
    fn default() -> SlotTable<T> {
        SlotTable { entries: Slab::new(), last_stamp: 0, removals: 0 }
    }
}

impl<T> SlotTable<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(debug_assertions)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, (_, entry))| entry)
    }

    /// Adds the entry that `make` returns for its key. Returns the key.
    #[inline]
    pub(super) fn insert_with(&mut self, make: impl FnOnce(SlotKey) -> T) -> SlotKey {
        let place = self.entries.vacant_entry();
        self.last_stamp += 1;
        let key = SlotKey { index: place.key(), stamp: self.last_stamp };
        place.insert((key.stamp, make(key)));
        key
    }

    #[inline]
    pub(super) fn get(&self, key: SlotKey) -> Option<&T> {
        self.entries.get(key.index).filter(|(stamp, _)| *stamp == key.stamp).map(|(_, entry)| entry)
    }

    /// Removes the entry with this key, if it exists.
    #[inline]
    pub(super) fn remove(&mut self, key: SlotKey) -> Option<T> {
        self.get(key)?;
        let (_, entry) = self.entries.remove(key.index);
        self.removals += 1;
        // Shrinking takes time in proportion to the capacity, and has no effect while the last place is in use. So it is tried only
        // when no entry is left, or after many removals.
        let is_time = self.entries.is_empty() || self.removals > self.entries.capacity();
        if is_time && self.entries.capacity() > 4 * self.entries.len() + KEPT_CAPACITY {
            self.entries.shrink_to_fit();
            self.removals = 0;
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_removed_entry_does_not_find_the_next_entry_in_its_place() {
        let mut table = SlotTable::default();
        let first = table.insert_with(|_| 'a');
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert_with(|_| 'b');
        assert_eq!(first.index, second.index);
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&'b'));
    }

    #[test]
    fn table_that_was_long_gives_its_memory_back() {
        const LONG: usize = 100 * KEPT_CAPACITY;
        let mut table = SlotTable::default();
        let keys: Vec<_> = (0..LONG).map(|_| table.insert_with(|_| 0)).collect();
        let capacity = table.entries.capacity();
        for key in keys.into_iter().skip(1) {
            table.remove(key);
        }
        // The entry at the front stays, so the memory behind it can be given back.
        assert_eq!(table.len(), 1);
        for _ in 0..capacity {
            let key = table.insert_with(|_| 0);
            table.remove(key);
        }
        assert!(table.entries.capacity() <= 4 + KEPT_CAPACITY, "{}", table.entries.capacity());
    }
}
