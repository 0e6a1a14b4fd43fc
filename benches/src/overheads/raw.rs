//! Without tinyield.

use std::future::ready;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::READY;
use crate::harness::{Measured, per_op};

pub fn poll() -> Measured {
    per_op(READY, || {
        let mut context = Context::from_waker(Waker::noop());
        let mut sum = 0;
        for i in 0..READY {
            let future = pin!(ready(black_box(i)));
            let Poll::Ready(value) = future.poll(&mut context) else { unreachable!("it is ready") };
            sum += value;
        }
        assert_eq!(sum, READY * (READY - 1) / 2);
    })
}
