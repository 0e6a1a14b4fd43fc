//! Lists that give memory back after a burst of entries: when a list shrinks, and how much memory it keeps.

use std::collections::VecDeque;

/// Only a list with a larger capacity than this gives memory back.
pub(crate) const KEPT_CAPACITY: usize = 1024;

/// Shrinks a list that uses less than a quarter of its memory.
///
/// The list keeps twice the memory that it uses. So the total time for copying is in proportion to the number of elements that were
/// added and removed.
#[cold]
#[inline(never)]
pub(crate) fn give_memory_back(list: &mut impl List) {
    if list.len() < list.capacity() / 4 {
        list.shrink_to((2 * list.len()).max(KEPT_CAPACITY));
    }
}

pub(crate) trait List {
    fn len(&self) -> usize;
    fn capacity(&self) -> usize;
    fn shrink_to(&mut self, capacity: usize);
}

macro_rules! impl_list {
    ($($list:ident),*) => {
        $(impl<T> List for $list<T> {
            fn len(&self) -> usize {
                $list::len(self)
            }

            fn capacity(&self) -> usize {
                $list::capacity(self)
            }

            fn shrink_to(&mut self, capacity: usize) {
                $list::shrink_to(self, capacity);
            }
        })*
    };
}

impl_list!(Vec, VecDeque);
