//! State that few loops, or few scopes, have. Until the state is used, it takes one word, and making or dropping it costs
//! nothing.

use std::cell::{OnceCell, Ref, RefCell, RefMut};

pub(super) struct LazyBox<T>(OnceCell<Box<RefCell<T>>>);

impl<T> Default for LazyBox<T> {
    fn default() -> LazyBox<T> {
        LazyBox(OnceCell::new())
    }
}

impl<T: Default> LazyBox<T> {
    /// The state, if it was ever used.
    #[inline]
    pub(super) fn borrow_if_used(&self) -> Option<Ref<'_, T>> {
        self.0.get().map(|state| state.borrow())
    }

    /// Whether the state was ever used.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.0.get().is_some()
    }

    /// The state, if it was ever used.
    pub(super) fn borrow_mut_if_used(&self) -> Option<RefMut<'_, T>> {
        self.0.get().map(|state| state.borrow_mut())
    }

    /// The state, which is made now if this is its first use.
    pub(super) fn borrow_mut(&self) -> RefMut<'_, T> {
        self.0.get_or_init(Box::default).borrow_mut()
    }

    /// Takes the state out, if it was ever used.
    #[inline]
    pub(super) fn take(&self) -> Option<T> {
        self.0.get().map(|state| state.take())
    }
}
