//! First in, first out, with removal from the middle: those who wait for something, and may give up.

use slab::Slab;

/// A queue whose entries may leave at any place, in constant time. One whose turn has come may leave the line and stay as an
/// answer, until it is fetched.
pub(crate) struct WaitQueue<T> {
    nodes: Slab<Node<T>>,
    ends: Option<(usize, usize)>,
    in_line: usize,
    stamp: u32,
}

struct Node<T> {
    value: T,
    stamp: u32,
    is_in_line: bool,
    before: Option<usize>,
    after: Option<usize>,
}

/// An entry. Of one that is gone, it stays behind and names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    stamp: u32,
}

impl<T> Default for WaitQueue<T> {
    fn default() -> WaitQueue<T> {
        WaitQueue { nodes: Slab::new(), ends: None, in_line: 0, stamp: 0 }
    }
}

impl<T> WaitQueue<T> {
    /// How many are in line.
    pub(crate) fn len(&self) -> usize {
        self.in_line
    }

    pub(crate) fn push_back(&mut self, value: T) -> Key {
        self.stamp = self.stamp.wrapping_add(1);
        let before = self.ends.map(|(_, last)| last);
        let index = self.nodes.insert(Node { value, stamp: self.stamp, is_in_line: true, before, after: None });
        self.in_line += 1;
        match &mut self.ends {
            None => self.ends = Some((index, index)),
            Some((_, last)) => {
                self.nodes[*last].after = Some(index);
                *last = index;
            }
        }
        Key { index: u32::try_from(index).expect("fewer than 2^32 wait in one queue"), stamp: self.stamp }
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let (first, _) = self.ends?;
        Some(self.take(first))
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut T> {
        let (first, _) = self.ends?;
        Some(&mut self.nodes[first].value)
    }

    /// The first leaves the line, and stays as what this is made of it, until it is [removed](WaitQueue::remove).
    pub(crate) fn advance(&mut self) -> Option<&mut T> {
        let (first, _) = self.ends?;
        self.leave_line(first);
        Some(&mut self.nodes[first].value)
    }

    /// An entry, in line or not.
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.nodes.get(key.index as usize).filter(|node| node.stamp == key.stamp).map(|node| &node.value)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let is_there = self.get(key).is_some();
        is_there.then(|| self.take(key.index as usize))
    }

    /// Those in line.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next = self.ends.map(|(first, _)| first);
        std::iter::from_fn(move || {
            let node = &self.nodes[next?];
            next = node.after;
            Some(&node.value)
        })
    }

    /// Those in line, first come first.
    pub(crate) fn for_each_mut(&mut self, mut change: impl FnMut(&mut T)) {
        let mut next = self.ends.map(|(first, _)| first);
        while let Some(index) = next {
            let node = &mut self.nodes[index];
            next = node.after;
            change(&mut node.value);
        }
    }

    fn take(&mut self, index: usize) -> T {
        self.leave_line(index);
        let node = self.nodes.remove(index);
        if self.nodes.is_empty() && self.nodes.capacity() > 64 {
            self.nodes.shrink_to_fit();
        }
        node.value
    }

    fn leave_line(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if !std::mem::take(&mut node.is_in_line) {
            return;
        }
        let (before, after) = (node.before.take(), node.after.take());
        if let Some(before) = before {
            self.nodes[before].after = after;
        }
        if let Some(after) = after {
            self.nodes[after].before = before;
        }
        self.ends = self.ends.and_then(|(first, last)| {
            let first = if first == index { after } else { Some(first) };
            let last = if last == index { before } else { Some(last) };
            first.zip(last)
        });
        self.in_line -= 1;
    }
}
