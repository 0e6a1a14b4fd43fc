//! Does one operation so and so many times, and prints how many: `tinyield-instructions yield-100 500`. For `run`, which
//! has valgrind count the instructions.
//!
//! Nothing here depends on the time that it takes, so that two counts of the same binary are the same.

#![feature(coroutines)]

mod children;
mod sleeps;
mod sync;
mod yields;

use std::env;
use std::process::ExitCode;

/// What is counted. It is done `rounds` times, and gives how many operations these were.
struct Operation {
    name: &'static str,
    what: &'static str,
    /// Two counts of rounds: what is done once, whatever the count, is in both.
    rounds: [u64; 2],
    run: fn(rounds: u64) -> u64,
}

const OPERATIONS: &[Operation] = &[
    Operation { name: "yield-1", what: "one task yields, alone", rounds: [1_000, 21_000], run: yields::alone },
    Operation { name: "yield-100", what: "100 ready tasks yield in turn", rounds: [10, 210], run: yields::hundred },
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
        what: "a sleep of a task that is alone; it is due at once",
        rounds: [100, 2_100],
        run: sleeps::alone,
    },
    Operation { name: "sleep-10k", what: "a sleep among 10,000", rounds: [1, 3], run: sleeps::many },
    Operation {
        name: "timeout",
        what: "a limit of 30 s around a child that yields once, and that child",
        rounds: [100, 5_100],
        run: sleeps::timeout_around,
    },
    Operation { name: "child", what: "the same child without a limit", rounds: [100, 5_100], run: sleeps::unlimited },
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
        name: "semaphore",
        what: "a permit, of 2 that 100 tasks share; a holder yields once",
        rounds: [5, 105],
        run: sync::semaphore,
    },
];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            for operation in OPERATIONS {
                let [few, many] = operation.rounds;
                println!("{}\t{few}\t{many}\t{}", operation.name, operation.what);
            }
            ExitCode::SUCCESS
        }
        [name, rounds] => {
            let operation = OPERATIONS.iter().find(|operation| operation.name == name).expect("an operation's name");
            println!("{}", (operation.run)(rounds.parse().expect("a number")));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: tinyield-instructions [<operation> <rounds>]");
            ExitCode::FAILURE
        }
    }
}
