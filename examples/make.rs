//! A small `make -j`. A target runs its command when its dependencies are built. A limited number of commands run at a time.
//!
//! Each target is a `Shared`: it is built once, however many targets depend on it. A command that takes too long is killed. An
//! error stops everything, and is printed with the chain of targets that waited for it.

#![feature(coroutines)]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use smol::process::Command;
use tinyield::{Coro, Loop, Semaphore, Shared, co, coro, timeout};

/// A target, its dependencies, and its command.
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
    ("manual", &[], "exec sleep 60"), // with `exec`, the kill reaches the command, and not only its shell
    ("all", &["app", "manual"], "true"),
];

const CIRCULAR: &[Rule] = &[("all", &["app"], "true"), ("app", &["main.o"], "true"), ("main.o", &["app"], "true")];

const SLOW: &[Rule] = &[("all", &[], "exec sleep 60")];

/// The state that all targets of a build share.
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

/// The targets that were made, and the names of the targets that are being made, the outermost first.
#[derive(Default)]
struct Targets {
    made: BTreeMap<&'static str, Shared<()>>,
    making: Vec<&'static str>,
}

impl Targets {
    /// The target with this name. It is built at the first wait for it.
    fn get(&mut self, name: &'static str, rules: &[Rule], build: &Build) -> Result<Shared<()>, String> {
        if let Some(target) = self.made.get(name) {
            return Ok(target.clone());
        }
        if self.making.contains(&name) {
            return Err(format!("a target depends on itself: {} -> {name}", self.making.join(" -> ")));
        }
        let rule = rules.iter().find(|rule| rule.0 == name);
        let (_, dependencies, command) = rule.ok_or_else(|| format!("there is no rule for `{name}`"))?;
        self.making.push(name);
        let dependencies = dependencies.iter().map(|other| self.get(other, rules, build)).collect::<Result<_, _>>()?;
        self.making.pop();
        let target = build_target(build.clone(), command, dependencies).named(name).shared();
        self.made.insert(name, target.clone());
        Ok(target)
    }
}

fn make(rules: &[Rule], limit: Duration) -> Result<(), Box<dyn Error>> {
    let build = Build { jobs: Semaphore::new(2), limit };
    let all = Targets::default().get("all", rules, &build)?;
    Ok(Loop::new().run(all)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    make(GOOD, Duration::from_secs(60))?;
    let error = make(BROKEN, Duration::from_secs(60)).expect_err("a command fails");
    println!("\nthe broken build:\n{error:?}");
    let error = make(CIRCULAR, Duration::from_secs(60)).expect_err("it could never end");
    println!("\nthe circular build:\n{error}");
    let error = make(SLOW, Duration::from_millis(50)).expect_err("a command is too slow");
    println!("\nthe slow build:\n{error:?}");
    Ok(())
}
