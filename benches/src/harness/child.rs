//! Each run is a process of its own, so that no contender leaves a heap, threads or thread-locals to the next.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{env, io, thread};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::machine;
use super::workload::{Contender, Measured, Workload};

/// The argument that turns this program into a child that measures one contender.
pub const MEASURE: &str = "--measure";

/// A child that takes longer counts as hung.
const LIMIT: Duration = Duration::from_secs(60);

/// Measures a contender once, in a child process of the same program.
pub fn measure(workload: &Workload, contender: &Contender) -> Result<Measured, String> {
    let output = run(workload, contender).map_err(|error| error.to_string())?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint: Vec<_> = complaint.lines().filter(|line| !line.trim().is_empty()).take(2).collect();
        return Err(format!("{}: {}", output.status, complaint.join(" ")));
    }
    parse(&output.stdout).ok_or_else(|| "the child printed no figures".to_owned())
}

fn run(workload: &Workload, contender: &Contender) -> io::Result<Output> {
    let child = Command::new(env::current_exe()?)
        .args([MEASURE, workload.name, contender.name])
        .envs(contender.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = Pid::from_child(&child);
    let (ended, has_ended) = mpsc::channel::<()>();
    // The watchdog runs here, because a second thread in the child would slow down its allocator.
    let watchdog = thread::spawn(move || {
        if has_ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let output = child.wait_with_output();
    drop(ended);
    watchdog.join().expect("the watchdog does not panic");
    output
}

/// Measures one contender in the child, which prints its figures as its last line.
pub fn answer(workload: &Workload, contender: &str) {
    let contender = workload.contenders.iter().find(|c| c.name == contender).expect("the name of a contender");
    if workload.pinned {
        machine::pin_to_one_core();
    }
    let measured = contender.run();
    assert_eq!(measured.figures.len(), workload.units.len());
    measured.print();
}

fn parse(output: &[u8]) -> Option<Measured> {
    let line = output.trim_ascii().rsplit(|byte| *byte == b'\n').next()?;
    let value: Value = serde_json::from_slice(line).ok()?;
    let figures = value["figures"].as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    Some(Measured { figures, note: value["note"].as_str().map(str::to_owned) })
}
