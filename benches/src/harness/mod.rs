//! Runs, measures and compares contenders.

mod args;
mod child;
mod figures;
mod gate;
mod lap;
pub mod machine;
#[cfg(feature = "tinyield")]
mod one_run;
mod report;
mod timing;
mod workload;

pub use gate::Gate;
pub use lap::Lap;
#[cfg(feature = "tinyield")]
pub use one_run::per_op_in_one_run;
pub use timing::{Stopwatch, per_op};
pub use workload::{Contender, Measured, Workload, all};

use std::process::ExitCode;
use std::{env, fs};

use serde_json::json;

use args::Args;

/// The whole program. A child measures one contender, and the parent compares all of them.
pub fn main(workloads: &[Workload]) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [child::MEASURE, workload, contender] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let workload = workloads.iter().find(|w| w.name == workload).expect("the name of a workload");
        child::answer(workload, contender);
        return ExitCode::SUCCESS;
    }
    match Args::parse(arguments.into_iter()).and_then(|args| compare(workloads, &args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn compare(workloads: &[Workload], args: &Args) -> Result<(), String> {
    let wanted: Vec<&Workload> = workloads.iter().filter(|workload| args.wants_workload(workload.name)).collect();
    if wanted.is_empty() {
        return Err(format!("no workload has a name that starts with {:?}; see --list", args.workloads));
    }
    let mut results = vec![];
    let mut failed = vec![];
    for workload in wanted {
        if args.list {
            let names: Vec<_> = workload.contenders.iter().map(|contender| contender.name).collect();
            println!("{}: {}", workload.name, names.join(", "));
            continue;
        }
        let entries = figures::gather(workload, args);
        report::print(workload, &entries);
        results.push(report::json(workload, &entries));
        let failures = entries.iter().filter(|entry| entry.failure.is_some());
        failed.extend(failures.map(|entry| format!("{} in {}", entry.name, workload.name)));
    }
    if let Some(path) = &args.json {
        let document = json!({ "rounds": args.rounds, "workloads": results });
        fs::write(path, format!("{document:#}\n")).map_err(|e| format!("{path}: {e}"))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("\nfailed: {}", failed.join(", "))) }
}
