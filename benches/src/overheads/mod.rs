//! The cost that tinyield adds to an operation, compared with the same operation without it.

mod bridge;
mod frames;
mod ours;
mod raw;

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::harness::{Contender, Workload};

const READY: u64 = 5_000_000;
const TIMEOUTS: u64 = 200_000;
/// The number of coroutines that only compute, and how often each yields.
const TASKS: usize = 100;
const YIELDS: u64 = 10_000;

/// A ready future that the compiler cannot see through.
struct Opaque(u64);

impl Future for Opaque {
    type Output = u64;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        black_box(context);
        Poll::Ready(self.0)
    }
}

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "ready-await",
            what: "await a ready future in a coroutine; raw polls it in a bare coroutine; the poll is a call",
            units: &["ns per future"],
            pinned: false,
            contenders: vec![
                Contender::bare("bare poll", raw::poll),
                Contender::ours(ours::awaits),
                Contender::aside("bare poll, inlined", raw::poll_in_sight),
                Contender::aside("tinyield, inlined", ours::awaits_in_sight),
            ],
        },
        Workload {
            name: "timeout-around",
            what: "`timeout(w, 30 s)` and `w`, a child that yields once",
            units: &["ns per wait"],
            pinned: false,
            contenders: vec![Contender::bare("w", ours::unlimited), Contender::ours(ours::limited)],
        },
        Workload {
            name: "to-smol",
            what: "100 coroutines that yield in turn, under `to_smol` and under `Loop::run`",
            units: &["ns per yield"],
            pinned: false,
            contenders: vec![Contender::bare("Loop::run", bridge::alone), Contender::ours(bridge::in_smol)],
        },
        Workload {
            name: "frames",
            what: "the heap memory of a body that has not started, as a coroutine and as a boxed `async fn` with smol's leaves",
            units: frames::UNITS,
            pinned: false,
            contenders: vec![
                Contender::bare("async fn, boxed", frames::of_futures),
                Contender::ours(frames::of_coroutines),
            ],
        },
    ]
}
