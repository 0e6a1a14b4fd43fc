//! First in, first out, with removal from the middle: those who wait for something, and may give up.

use slab::Slab;

/// A queue whose entries may leave at any place, in constant time.
pub(crate) struct WaitQueue<T> {
    nodes: Slab<Node<T>>,
    ends: Option<(usize, usize)>,
    stamp: u32,
}

struct Node<T> {
    value: T,
    stamp: u32,
    before: Option<usize>,
    after: Option<usize>,
}

/// An entry. Of one that has left, it stays behind and names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    stamp: u32,
}

impl<T> Default for WaitQueue<T> {
    fn default() -> WaitQueue<T> {
        WaitQueue { nodes: Slab::new(), ends: None, stamp: 0 }
    }
}

impl<T> WaitQueue<T> {
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn push_back(&mut self, value: T) -> Key {
        self.stamp = self.stamp.wrapping_add(1);
        let before = self.ends.map(|(_, last)| last);
        let index = self.nodes.insert(Node { value, stamp: self.stamp, before, after: None });
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
        Some(self.unlink(first))
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.nodes.get(key.index as usize).is_some_and(|node| node.stamp == key.stamp)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.contains(key).then(|| self.unlink(key.index as usize))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next = self.ends.map(|(first, _)| first);
        std::iter::from_fn(move || {
            let node = &self.nodes[next?];
            next = node.after;
            Some(&node.value)
        })
    }

    fn unlink(&mut self, index: usize) -> T {
        let node = self.nodes.remove(index);
        if let Some(before) = node.before {
            self.nodes[before].after = node.after;
        }
        if let Some(after) = node.after {
            self.nodes[after].before = node.before;
        }
        self.ends = match self.ends {
            Some((first, last)) => {
                let first = if first == index { node.after } else { Some(first) };
                let last = if last == index { node.before } else { Some(last) };
                first.zip(last)
            }
            None => None,
        };
        if self.nodes.is_empty() && self.nodes.capacity() > 64 {
            self.nodes.shrink_to_fit();
        }
        node.value
    }
}
