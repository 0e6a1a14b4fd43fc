//! Does one operation for a number of rounds, and prints the number of operations: `tinyield-instructions yield-100 500`.
//! `run` counts its instructions with valgrind.
//!
//! Nothing here depends on elapsed time, so two counts of the same binary are equal.

#![feature(coroutines)]

mod cancels;
mod children;
mod sleeps;
mod sync;
mod wakes;
mod yields;

use std::env;
use std::process::ExitCode;

/// A counted operation. `run` does it for a number of rounds, and returns the number of operations.
struct Operation {
    name: &'static str,
    what: &'static str,
    /// Two numbers of rounds. Their difference leaves out the work that is done only once.
    rounds: [u64; 2],
    run: fn(rounds: u64) -> u64,
}

const OPERATIONS: &[Operation] = &[
    Operation { name: "yield-1", what: "one task yields, alone", rounds: [1_000, 21_000], run: yields::alone },
    Operation { name: "yield-100", what: "100 ready tasks yield in turn", rounds: [10, 210], run: yields::hundred },
    Operation {
        name: "yield-viewed",
        what: "100 ready tasks yield in turn, in a loop that has a view",
        rounds: [10, 210],
        run: yields::viewed,
    },
    Operation {
        name: "yield-recorded",
        what: "100 ready tasks yield in turn, in a loop that is recorded",
        rounds: [200, 400],
        run: yields::recorded,
    },
    Operation {
        name: "spawn",
        what: "start a trivial child and wait for it",
        rounds: [1_000, 11_000],
        run: children::spawn,
    },
    Operation {
        name: "gather",
        what: "a child among 1000 that yield once each",
        rounds: [2, 12],
        run: children::gather,
    },
    Operation {
        name: "cancel",
        what: "start a child that waits for an event, and cancel it there, among 1000",
        rounds: [2, 12],
        run: cancels::at_event,
    },
    Operation {
        name: "cancel-future",
        what: "the same, of a child that awaits a future",
        rounds: [2, 12],
        run: cancels::at_future,
    },
    Operation {
        name: "tree",
        what: "a node of a binary tree of 1023, each of which waits for its two children",
        rounds: [2, 12],
        run: children::tree,
    },
    Operation {
        name: "loop",
        what: "make a loop, run a trivial child, drop it",
        rounds: [100, 2_100],
        run: children::run,
    },
    Operation {
        name: "sleep-1",
        what: "one task sleeps, alone; the sleep is due at once",
        rounds: [100, 2_100],
        run: sleeps::alone,
    },
    Operation { name: "sleep-10k", what: "a sleep among 10,000", rounds: [1, 3], run: sleeps::many },
    Operation {
        name: "timeout",
        what: "a timeout of 30 s around a child that yields once, and the child",
        rounds: [100, 5_100],
        run: sleeps::timeout_around,
    },
    Operation { name: "child", what: "the same child without a timeout", rounds: [100, 5_100], run: sleeps::unlimited },
    Operation {
        name: "event",
        what: "wait for an event, be woken by another task, clear it",
        rounds: [100, 5_100],
        run: sync::event,
    },
    Operation {
        name: "channel",
        what: "a message of an unbounded channel, in bursts of 64",
        rounds: [10, 210],
        run: sync::channel,
    },
    Operation {
        name: "channel-1",
        what: "a message of a channel that holds one",
        rounds: [100, 5_100],
        run: sync::channel_of_one,
    },
    Operation {
        name: "channel-1-waits",
        what: "the same, and both sides wait for nearly every message",
        rounds: [100, 5_100],
        run: sync::channel_of_one_with_waits,
    },
    Operation { name: "stream", what: "a value of a stream", rounds: [100, 5_100], run: sync::stream_of_numbers },
    Operation {
        name: "semaphore",
        what: "a permit of a semaphore of 2, shared by 100 tasks; a holder yields once",
        rounds: [5, 105],
        run: sync::semaphore,
    },
    Operation {
        name: "race",
        what: "a race of a `recv` against an event; another task sends the message",
        rounds: [100, 5_100],
        run: sync::race_of_leaves,
    },
    Operation {
        name: "race-ready",
        what: "the same, with the message there already",
        rounds: [100, 5_100],
        run: sync::race_ready,
    },
    Operation {
        name: "wake-1",
        what: "one task awaits a future that wakes itself, alone",
        rounds: [1_000, 21_000],
        run: wakes::alone,
    },
    Operation {
        name: "wake",
        what: "100 tasks await futures that wake themselves, in turn",
        rounds: [10, 210],
        run: wakes::hundred,
    },
    Operation {
        name: "ping-pong",
        what: "a message between two tasks, through two channels of `async-channel` that hold one",
        rounds: [1_000, 11_000],
        run: wakes::ping_pong,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            for operation in OPERATIONS {
                let [few, many] = operation.rounds;
                println!("{}\t{few}\t{many}\t{}", operation.name, operation.what);
            }
            ExitCode::SUCCESS
        }
        [name, rounds] => {
            let operation =
                OPERATIONS.iter().find(|operation| operation.name == name).expect("the name of an operation");
            println!("{}", (operation.run)(rounds.parse().expect("a number")));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: tinyield-instructions [<operation> <rounds>]");
            ExitCode::FAILURE
        }
    }
}
