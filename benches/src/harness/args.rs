//! The arguments after `cargo bench --`.

pub const USAGE: &str = "\
cargo bench -- [OPTIONS] [WORKLOAD]..

A WORKLOAD is the start of a workload's name. Without one, all workloads run.

  --only NAMES    run only these contenders, such as `raw,smol,tinyield`
  --rounds N      how often each contender runs (default: 5)
  --json FILE     also write the figures to this file
  --list          print the names of the workloads and their contenders";

#[derive(Debug, PartialEq)]
pub struct Args {
    pub workloads: Vec<String>,
    pub only: Vec<String>,
    pub rounds: usize,
    pub json: Option<String>,
    pub list: bool,
}

impl Args {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self { workloads: vec![], only: vec![], rounds: 5, json: None, list: false };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--bench" => {} // cargo's own
                "--list" => args.list = true,
                "--only" => args.only.extend(value()?.split(',').map(str::to_owned)),
                "--rounds" => {
                    args.rounds =
                        value()?.parse().ok().filter(|n| *n > 0).ok_or("--rounds needs a number of at least 1")?;
                }
                "--json" => args.json = Some(value()?),
                _ if argument.starts_with('-') => return Err(format!("unknown option {argument}\n\n{USAGE}")),
                _ => args.workloads.push(argument),
            }
        }
        Ok(args)
    }

    pub fn wants_workload(&self, name: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|start| name.starts_with(start.as_str()))
    }

    pub fn wants_contender(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}
