//! The wait queue: first in, first out. An entry that gives up may leave the queue from any position.

use slab::Slab;

/// A queue from which any entry may leave, in constant time. A served entry may leave the line and stay aside until its owner
/// takes it out.
pub(crate) struct WaitQueue<T> {
    nodes: Slab<Node<T>>,
    first: u32,
    last: u32,
    in_line: usize,
    stamp: u32,
}

struct Node<T> {
    value: T,
    stamp: u32,
    is_in_line: bool,
    before: u32,
    after: u32,
}

/// An index that no entry has.
const NO_INDEX: u32 = u32::MAX;

/// Identifies an entry. After the entry has left, the key identifies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    stamp: u32,
}

impl Key {
    /// The key of an entry that is not in the queue yet.
    pub(crate) const NONE: Key = Key { index: NO_INDEX, stamp: 0 };
}

impl<T> Default for WaitQueue<T> {
    fn default() -> WaitQueue<T> {
        WaitQueue { nodes: Slab::new(), first: NO_INDEX, last: NO_INDEX, in_line: 0, stamp: 0 }
    }
}

impl<T> WaitQueue<T> {
    /// How many entries are in line.
    pub(crate) fn len(&self) -> usize {
        self.in_line
    }

    /// Whether it has no entry, in line or not.
    pub(crate) fn has_no_entries(&self) -> bool {
        self.nodes.is_empty()
    }

    #[inline(always)]
    pub(crate) fn push_back(&mut self, value: T) -> Key {
        let before = self.last;
        let key = self.insert(value, true, before);
        self.in_line += 1;
        self.last = key.index;
        match self.nodes.get_mut(before as usize) {
            Some(node) => node.after = key.index,
            None => self.first = key.index,
        }
        key
    }

    /// Adds an entry that is not in line, as if it had been served.
    #[inline(always)]
    pub(crate) fn put_aside(&mut self, value: T) -> Key {
        self.insert(value, false, NO_INDEX)
    }

    /// Inlined, and its callers too. Otherwise the entry would be passed in memory: two fields are stored separately and loaded by
    /// one wide load. Store forwarding fails for such a load, so the processor waits.
    #[inline(always)]
    fn insert(&mut self, value: T, is_in_line: bool, before: u32) -> Key {
        self.stamp = self.stamp.wrapping_add(1);
        let index = self.nodes.insert(Node { value, stamp: self.stamp, is_in_line, before, after: NO_INDEX });
        assert!(index < NO_INDEX as usize, "fewer than 2^32 - 1 entries in one queue");
        Key { index: index as u32, stamp: self.stamp }
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.nodes.contains(self.first as usize).then(|| self.take(self.first))
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut T> {
        self.nodes.get_mut(self.first as usize).map(|node| &mut node.value)
    }

    /// Serves the first entry: it leaves the line and stays aside until it is [removed](WaitQueue::remove).
    pub(crate) fn advance(&mut self) -> Option<&mut T> {
        let first = self.first;
        let node = self.nodes.get_mut(first as usize)?;
        node.is_in_line = false;
        let after = node.after;
        self.close_gap(NO_INDEX, after);
        self.nodes.get_mut(first as usize).map(|node| &mut node.value)
    }

    /// An entry, in line or not.
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.nodes.get(key.index as usize).filter(|node| node.stamp == key.stamp).map(|node| &node.value)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let is_there = self.get(key).is_some();
        is_there.then(|| self.take(key.index))
    }

    /// An entry, in line or not.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.nodes.get_mut(key.index as usize).filter(|node| node.stamp == key.stamp).map(|node| &mut node.value)
    }

    /// How many entries are aside.
    pub(crate) fn aside(&self) -> usize {
        self.nodes.len() - self.in_line
    }

    /// The entries that are aside, in no order.
    pub(crate) fn iter_aside(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().filter(|(_, node)| !node.is_in_line).map(|(_, node)| &node.value)
    }

    /// The keys of all entries, in line or not, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.nodes.iter().map(|(index, node)| Key { index: index as u32, stamp: node.stamp })
    }

    /// The first entry in line.
    pub(crate) fn front(&self) -> Option<&T> {
        self.get(self.first_key()?)
    }

    /// The key of the first entry in line.
    pub(crate) fn first_key(&self) -> Option<Key> {
        self.nodes.get(self.first as usize).map(|node| Key { index: self.first, stamp: node.stamp })
    }

    /// The entries in line, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            let node = self.nodes.get(next as usize)?;
            next = node.after;
            Some(&node.value)
        })
    }

    /// Changes each entry in line, in their order.
    pub(crate) fn for_each_mut(&mut self, mut change: impl FnMut(&mut T)) {
        let mut next = self.first;
        while let Some(node) = self.nodes.get_mut(next as usize) {
            next = node.after;
            change(&mut node.value);
        }
    }

    fn take(&mut self, index: u32) -> T {
        let node = self.nodes.remove(index as usize);
        if node.is_in_line {
            self.close_gap(node.before, node.after);
        }
        if self.nodes.is_empty() && self.nodes.capacity() > 64 {
            self.shrink();
        }
        node.value
    }

    #[cold]
    #[inline(never)]
    fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
    }

    /// Links the entries `before` and `after`: an entry between them has left the line.
    fn close_gap(&mut self, before: u32, after: u32) {
        match self.nodes.get_mut(before as usize) {
            Some(node) => node.after = after,
            None => self.first = after,
        }
        match self.nodes.get_mut(after as usize) {
            Some(node) => node.before = before,
            None => self.last = before,
        }
        self.in_line -= 1;
    }
}
