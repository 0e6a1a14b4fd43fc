//! The words after `cargo bench --`.

pub const USAGE: &str = "\
cargo bench -- [OPTIONS] [WORKLOAD]..

A WORKLOAD is what a workload's name begins with; without any, all run.

  --only NAMES    run only these contenders, as `raw,smol,tinyield`
  --rounds N      how often each contender runs (5)
  --json FILE     write the figures there too
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
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self { workloads: vec![], only: vec![], rounds: 5, json: None, list: false };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--bench" => {} // cargo's own
                "--list" => args.list = true,
                "--only" => args.only.extend(value()?.split(',').map(str::to_owned)),
                "--rounds" => {
                    args.rounds = value()?.parse().ok().filter(|n| *n > 0).ok_or("--rounds wants a number from 1")?;
                }
                "--json" => args.json = Some(value()?),
                _ if word.starts_with('-') => return Err(format!("what is {word}?\n\n{USAGE}")),
                _ => args.workloads.push(word),
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
