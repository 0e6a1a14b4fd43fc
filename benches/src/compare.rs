//! Compares tinyield with the bare mechanism and its peers: `cargo bench`. See `README.md`.

#![feature(coroutines, coroutine_trait)]

mod harness;
mod peers;

mod cancels;
mod channels;
mod children;
mod echo;
mod locks;
mod loops;
#[cfg(feature = "tinyield")]
mod overheads;
mod races;
mod sleeps;
mod thread_channels;
mod threads;
mod wakes;
mod yields;

use std::process::ExitCode;

fn main() -> ExitCode {
    let groups = [
        yields::workloads(),
        children::workloads(),
        cancels::workloads(),
        loops::workloads(),
        sleeps::workloads(),
        threads::workloads(),
        wakes::workloads(),
        channels::workloads(),
        thread_channels::workloads(),
        races::workloads(),
        locks::workloads(),
        echo::workloads(),
        #[cfg(feature = "tinyield")]
        overheads::workloads(),
    ];
    harness::main(&groups.into_iter().flatten().collect::<Vec<_>>())
}
