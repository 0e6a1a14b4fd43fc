//! Lists give the memory of a burst back: what a list keeps when it is short, and how it shrinks.

use std::collections::VecDeque;

/// A list with room for more than this gives memory back when it is short.
pub(crate) const KEPT_CAPACITY: usize = 1024;

/// Shrinks a list that uses less than a quarter of its memory.
///
/// It keeps twice the memory that it uses. So the time for copying, in total, is in proportion to the number of elements that
/// were added and removed.
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
