//! Values that are dropped in a special way, or not at all.

use std::sync::Mutex;

/// Calls a function when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// As [`std::mem::forget`], but the value stays reachable, so that a leak sanitizer does not report it.
pub fn forget<T>(value: T) {
    static FORGOTTEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    FORGOTTEN.lock().unwrap().push(Box::into_raw(Box::new(value)).expose_provenance());
}
