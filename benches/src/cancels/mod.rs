//! Cancelling tasks that wait.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;

use std::cell::Cell;
use std::rc::Rc;

use crate::harness::{Contender, Workload};
use crate::peers::{Compio, LocalPool, Smol, SmolStatic, TokioLocalRuntime, TokioLocalSet};

const TASKS: usize = 100_000;

pub fn workloads() -> Vec<Workload> {
    vec![Workload {
        name: "cancel-100k",
        what: "cancel 100,000 tasks that wait, until all have ended; raw drops boxed coroutines",
        units: &["ns per task"],
        pinned: false,
        contenders: vec![
            Contender::raw(raw::cancel),
            #[cfg(feature = "tinyield")]
            Contender::ours(ours::cancel),
            Contender::peer("smol", peers::drop_handles::<Smol>),
            Contender::peer("smol static", peers::drop_handles::<SmolStatic>),
            Contender::peer("LocalSet, JoinSet", peers::drop_join_set::<TokioLocalSet>),
            Contender::peer("LocalRuntime, JoinSet", peers::drop_join_set::<TokioLocalRuntime>),
            Contender::peer("compio", peers::drop_handles::<Compio>),
            Contender::peer("futures LocalPool", peers::drop_handles::<LocalPool>),
            Contender::aside("FuturesUnordered", peers::drop_futures_unordered),
        ],
    }]
}

/// The number of tasks that have started and not ended.
type Alive = Rc<Cell<usize>>;

/// A task holds a guard from its start to its end.
struct Guard(Alive);

impl Guard {
    fn new(alive: Alive) -> Self {
        alive.update(|alive| alive + 1);
        Self(alive)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.update(|alive| alive - 1);
    }
}
