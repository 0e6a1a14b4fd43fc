//! Coroutines without macros that wait in ways which `yield` does not allow.

use std::cell::RefCell;
use std::rc::Rc;

use tinyield::by_hand::{ActiveWait, Outcome, Resume, Suspend};
use tinyield::{Coro, Wait};

/// In the body of a coroutine: suspends it until the expression `$poll`, of type `Poll`, is ready, and gives its value.
macro_rules! until_ready {
    ($resume:ident, $poll:expr) => {
        loop {
            match $poll {
                std::task::Poll::Ready(output) => break output,
                std::task::Poll::Pending => $resume = yield tinyield::by_hand::Suspend,
            }
        }
    };
}

pub(crate) use until_ready;

/// Begins to wait for `wait`, forgets the wait, and ends with `value` in the same turn.
pub fn forgets_wait<W: Wait + 'static, T: 'static>(wait: W, value: T) -> Coro<T> {
    Coro::from_coroutine(
        #[coroutine]
        static move |resume: Resume| {
            super::forget(resume.begin(wait));
            if false {
                yield Suspend;
            }
            Outcome::value(value)
        },
    )
}

/// A wait that a coroutine has begun, to be dropped by another coroutine.
pub struct OpenWait<W: Wait>(Rc<RefCell<Option<ActiveWait<W::State>>>>);

impl<W: Wait> OpenWait<W> {
    /// Drops the wait. The coroutine that began this wait is resumed, because it no longer waits for anything.
    pub fn drop_wait(&self) {
        let wait = self.0.take();
        drop(wait.expect("the wait has begun and was not dropped before"));
    }
}

/// A coroutine that waits for `wait` until the [`OpenWait`] drops the wait. Then it ends with `value`.
pub fn abandons_wait<W: Wait + 'static, T: 'static>(wait: W, value: T) -> (OpenWait<W>, Coro<T>) {
    let open = Rc::<RefCell<Option<ActiveWait<W::State>>>>::default();
    let begun = open.clone();
    let coro = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            *begun.borrow_mut() = Some(resume.begin(wait));
            loop {
                // Not borrowed across the `yield`.
                let is_open = begun.borrow_mut().as_mut().map(|wait| wait.poll(&resume).is_pending());
                match is_open {
                    None => break Outcome::value(value),
                    Some(is_pending) => assert!(is_pending, "the wait is over before it was dropped"),
                }
                resume = yield Suspend;
            }
        },
    );
    (OpenWait(open), coro)
}
