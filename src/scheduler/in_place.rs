//! Makes large values directly in their final place on the heap.

use std::rc::Rc;

/// Makes a value in its place in the `Rc`. `Rc::new` would make a large one on the stack and copy it.
#[inline(always)]
pub(super) fn new_in_place<T>(make: impl FnOnce() -> T) -> Rc<T> {
    let mut place = Rc::<T>::new_uninit();
    Rc::get_mut(&mut place).expect("a new `Rc` has no other reference").write(make());
    // SAFETY: it was written in the line before.
    unsafe { place.assume_init() }
}
