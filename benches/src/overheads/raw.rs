//! Without tinyield.

use std::future::{Future, ready};
use std::hint::black_box;
use std::ops::{Coroutine, CoroutineState};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::{Opaque, READY};
use crate::harness::{Measured, per_op};

/// In a coroutine, like the awaited future.
pub fn poll() -> Measured {
    polls(|i| Opaque(black_box(i)))
}

pub fn poll_in_sight() -> Measured {
    polls(|i| ready(black_box(i)))
}

fn polls<F: Future<Output = u64> + 'static>(future: impl Fn(u64) -> F + 'static) -> Measured {
    per_op(READY, || {
        let future = &future;
        let mut task: Pin<Box<dyn Coroutine<(), Yield = (), Return = u64> + '_>> = Box::pin(
            #[coroutine]
            static move |()| {
                let mut sum = 0;
                for i in 0..READY {
                    let mut future = pin!(future(i));
                    sum += loop {
                        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                            Poll::Ready(value) => break value,
                            Poll::Pending => yield,
                        }
                    };
                }
                sum
            },
        );
        let CoroutineState::Complete(sum) = task.as_mut().resume(()) else { unreachable!("all are ready") };
        assert_eq!(sum, READY * (READY - 1) / 2);
    })
}
