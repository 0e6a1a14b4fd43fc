//! How the work of a cancellation grows with the number of coroutines.

use std::cell::Cell;

use crate::{Loop, as_completed, co, sleep};

thread_local! {
    static ACCESSES: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count_access() {
    ACCESSES.set(ACCESSES.get() + 1);
}

/// Counts the accesses to slots while `count` coroutines of one `as_completed` are cancelled.
fn accesses_to_cancel(count: usize) -> usize {
    let main = co! {
        let items = yield as_completed((0..count).map(|_| co! { yield sleep(std::time::Duration::MAX) }));
        yield;
        yield;
        ACCESSES.set(0);
        drop((items, Err("stop")?));
    };
    assert!(Loop::new().run(main).is_err());
    ACCESSES.get()
}

#[test]
fn cancelling_ten_times_as_many_coroutines_accesses_ten_times_as_many_slots() {
    assert_eq!(accesses_to_cancel(1_000), 10 * accesses_to_cancel(100));
}
