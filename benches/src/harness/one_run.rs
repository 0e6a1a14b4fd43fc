//! Times coroutines of tinyield. As with the peers, the warm-up and the timed work are in one run.

use tinyield::{Loop, Wait, co};

use super::{Measured, Stopwatch};

/// Times work that does `ops` operations: once to warm up, once with the clock. `check` looks at the output of the work.
pub fn per_op_in_one_run<W: Wait + 'static>(
    ops: u64,
    work: impl Fn() -> W + 'static,
    check: impl Fn(W::Output) + 'static,
) -> Measured {
    let measurement = co! {
        check(yield work());
        let stopwatch = Stopwatch::start();
        check(yield work());
        stopwatch.per(ops)
    };
    Loop::new().run(measurement).expect("no error")
}
