//! What a soak counts, and what it prints.

use std::fs;
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::run::Run;

const SAMPLES: u32 = 200;
const ROWS: u32 = 20;

/// How much a process may grow from the second quarter of the time to the last one. Allocators keep some.
const MAY_GROW_KIB: u64 = 1024;
/// In a short one it still warms up.
const MAY_GROW_AT_FIRST_KIB: u64 = 8 * 1024;
const SHORT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Default)]
struct Counts {
    runs: u64,
    coroutines: u64,
    places: u64,
    effects: u64,
}

/// What the system says about this process; nothing where there is no `/proc`.
#[derive(Clone, Copy)]
struct Sample {
    resident_kib: u64,
    threads: u64,
    files: u64,
}

impl Sample {
    fn take() -> Option<Sample> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let number = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Some(Sample { resident_kib: number("VmRSS:")?, threads: number("Threads:")?, files })
    }
}

pub struct Measure {
    began: Instant,
    duration: Duration,
    now: Counts,
    at_last_row: (Instant, Counts),
    faults: Vec<(Fault, u64, u64)>,
    samples: Vec<Sample>,
}

impl Measure {
    pub fn new(duration: Duration) -> Measure {
        println!(
            "{:>8} {:>9} {:>8} {:>12} {:>9} {:>9} {:>8} {:>6} {:>12}",
            "time", "runs", "runs/s", "coroutines/s", "places/s", "faults/s", "threads", "files", "resident"
        );
        let began = Instant::now();
        Measure {
            began,
            duration,
            now: Counts::default(),
            at_last_row: (began, Counts::default()),
            faults: Fault::ALL.iter().map(|fault| (*fault, 0, 0)).collect(),
            // It is not to grow by this itself.
            samples: Vec::with_capacity(SAMPLES as usize + 1),
        }
    }

    /// Counts a run.
    pub fn count(&mut self, fault: Fault, effect: bool, run: &Run) {
        self.now.runs += 1;
        self.now.coroutines += run.coroutines();
        self.now.places += run.places();
        self.now.effects += u64::from(effect);
        let (_, injected, effects) =
            self.faults.iter_mut().find(|(other, ..)| *other == fault).expect("all faults are listed");
        *injected += 1;
        *effects += u64::from(effect);
    }

    /// Whether the time is not over. Samples when it is time to, and prints a row.
    pub fn goes_on(&mut self) -> bool {
        let elapsed = self.began.elapsed();
        let every = self.duration / SAMPLES;
        if elapsed >= every * self.samples.len() as u32 && self.samples.len() <= SAMPLES as usize {
            self.samples.extend(Sample::take());
        }
        let goes_on = elapsed < self.duration;
        let row = (self.duration / ROWS).max(Duration::from_secs(1));
        if !goes_on || self.at_last_row.0.elapsed() >= row {
            self.row(elapsed);
        }
        goes_on
    }

    fn row(&mut self, elapsed: Duration) {
        let (then, before) = std::mem::replace(&mut self.at_last_row, (Instant::now(), self.now));
        let rate = |now: u64, before: u64| (now - before) as f64 / then.elapsed().as_secs_f64();
        let (threads, files, resident) = match self.samples.last() {
            Some(sample) => (
                sample.threads.to_string(),
                sample.files.to_string(),
                format!("{:.1} MiB", sample.resident_kib as f64 / 1024.0),
            ),
            None => ("?".to_string(), "?".to_string(), "?".to_string()),
        };
        println!(
            "{:>6} s {:>9} {:>8.0} {:>12.0} {:>9.0} {:>9.0} {threads:>8} {files:>6} {resident:>12}",
            elapsed.as_secs(),
            self.now.runs,
            rate(self.now.runs, before.runs),
            rate(self.now.coroutines, before.coroutines),
            rate(self.now.places, before.places),
            rate(self.now.effects, before.effects),
        );
    }

    pub fn summary(&self) {
        println!("\n{:<18} {:>9} {:>14}", "fault", "injected", "had an effect");
        for (fault, injected, effects) in &self.faults {
            println!("{:<18} {injected:>9} {effects:>14}", format!("{fault:?}"));
        }
        let Counts { runs, coroutines, places, effects } = self.now;
        println!("{runs} runs of {coroutines} coroutines, which passed {places} places, survived {effects} faults");
    }

    /// Whether memory stayed flat, and threads and files did.
    pub fn flat(&self) -> Result<(), String> {
        let quarter = self.samples.len() / 4;
        if quarter == 0 {
            println!("memory was not measured");
            return Ok(());
        }
        // Medians, as a single sample may find a run with many threads.
        let grown = |of: fn(&Sample) -> u64| {
            let median = |samples: &[Sample]| {
                let mut values: Vec<_> = samples.iter().map(of).collect();
                values.sort_unstable();
                values[values.len() / 2]
            };
            let (before, after) =
                (median(&self.samples[quarter..2 * quarter]), median(&self.samples[self.samples.len() - quarter..]));
            (before, after, after.saturating_sub(before))
        };
        let may_grow = if self.duration < SHORT { MAY_GROW_AT_FIRST_KIB } else { MAY_GROW_KIB };
        let (before, after, more_kib) = grown(|sample| sample.resident_kib);
        println!("resident, median of the second quarter: {before} KiB, of the last: {after} KiB");
        if more_kib > may_grow {
            return Err(format!("memory is not flat: {more_kib} KiB more; {may_grow} KiB may be"));
        }
        let (_, _, more_threads) = grown(|sample| sample.threads);
        let (_, _, more_files) = grown(|sample| sample.files);
        if more_threads > 16 || more_files > 16 {
            return Err(format!("{more_threads} more threads, and {more_files} more open files"));
        }
        Ok(())
    }
}
