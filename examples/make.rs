//! A small `make -j`: targets run commands when what they depend on is built, a limited number at a time.
//!
//! Each target is a `Shared`: it is built once, whatever number of targets depend on it. A command that takes too long is killed, and an
//! error stops everything and is told with the chain of targets that waited for it.

#![feature(coroutines)]

use std::collections::BTreeMap;
use std::time::Duration;

use smol::process::Command;
use tinyield::{Coro, Loop, LoopError, Semaphore, Shared, co, coro, timeout};

/// A target, what it depends on, and its command.
type Rule = (&'static str, &'static [&'static str], &'static str);

const GOOD: &[Rule] = &[
    ("parser.o", &["grammar"], "echo compiling the parser"),
    ("grammar", &[], "echo generating the grammar"),
    ("main.o", &["grammar"], "echo compiling main"),
    ("app", &["parser.o", "main.o"], "echo linking"),
    ("manual", &[], "echo writing the manual"),
    ("all", &["app", "manual"], "true"),
];

const BROKEN: &[Rule] = &[
    ("main.o", &[], "exit 3"),
    ("app", &["main.o"], "echo never"),
    ("manual", &[], "exec sleep 60"), // is killed when the build stops; without `exec`, only its shell would be
    ("all", &["app", "manual"], "true"),
];

const SLOW: &[Rule] = &[("all", &[], "exec sleep 60")];

/// What a build has in common.
#[derive(Clone)]
struct Build {
    jobs: Semaphore,
    limit: Duration,
}

#[coro]
fn build_target(build: Build, command: &'static str, dependencies: Vec<Shared<()>>) -> Coro<()> {
    yield dependencies;
    let _job = yield build.jobs.acquire();
    // A cancelled command is killed: its future is dropped where it waits.
    let running = co! { Command::new("sh").arg("-c").arg(command).kill_on_drop(true).status().await? };
    let status =
        (yield timeout(running, build.limit)).map_err(|_| format!("`{command}` took longer than {:?}", build.limit))?;
    if !status.success() {
        Err(format!("`{command}` failed: {status}"))?;
    }
}

/// The target with this name, which is built when somebody waits for it.
fn target(
    name: &'static str,
    rules: &[Rule],
    build: &Build,
    made: &mut BTreeMap<&'static str, Shared<()>>,
) -> Shared<()> {
    if let Some(target) = made.get(name) {
        return target.clone();
    }
    let (_, dependencies, command) = rules.iter().find(|rule| rule.0 == name).expect("each dependency has a rule");
    let dependencies = dependencies.iter().map(|other| target(other, rules, build, made)).collect();
    let target = build_target(build.clone(), command, dependencies).named(name).shared();
    made.insert(name, target.clone());
    target
}

fn make(rules: &[Rule], limit: Duration) -> Result<(), LoopError> {
    let build = Build { jobs: Semaphore::new(2), limit };
    Loop::new().run(target("all", rules, &build, &mut BTreeMap::new()))
}

fn main() -> Result<(), LoopError> {
    make(GOOD, Duration::from_secs(60))?;
    let error = make(BROKEN, Duration::from_secs(60)).expect_err("a command fails");
    println!("\nthe broken build:\n{error:?}");
    let error = make(SLOW, Duration::from_millis(50)).expect_err("a command is too slow");
    println!("\nthe slow build:\n{error:?}");
    Ok(())
}
