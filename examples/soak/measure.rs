//! What a soak counts, and what it prints.

use std::fs;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

use crate::fault::Fault;
use crate::run::Run;

const SAMPLES: u32 = 200;
const ROWS: u32 = 20;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// How much more may be alive on the heap in the last quarter of the time than in the second one. A thread has half a KiB of it.
const HEAP_MAY_GROW_KIB: u64 = 32;
/// How much more may be resident. Allocators keep some for each thread.
const MAY_GROW_KIB: u64 = 1024;
/// In a short one it still warms up.
const MAY_GROW_AT_FIRST_KIB: u64 = 8 * 1024;
const SHORT: Duration = Duration::from_secs(60);
/// How many more may be there at a time.
const MORE_THREADS_OR_FILES: u64 = 16;

#[derive(Clone, Copy, Default)]
struct Counts {
    runs: u64,
    coroutines: u64,
    places: u64,
    effects: u64,
}

/// What is alive between two runs, and what the system says about this process; nothing where there is no `/proc`.
#[derive(Clone, Copy)]
struct Sample {
    heap_kib: u64,
    resident_kib: u64,
    threads: u64,
    files: u64,
}

impl Sample {
    fn take() -> Option<Sample> {
        let heap_kib = HEAP.current_usage() as u64 / 1024;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let number = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Some(Sample { heap_kib, resident_kib: number("VmRSS:")?, threads: number("Threads:")?, files })
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
            "{:>8} {:>9} {:>8} {:>12} {:>9} {:>9} {:>8} {:>6} {:>8} {:>9}",
            "time", "runs", "runs/s", "coroutines/s", "places/s", "faults/s", "threads", "files", "heap", "resident"
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
        let system = match self.samples.last() {
            Some(Sample { heap_kib, resident_kib, threads, files }) => {
                format!("{threads:>8} {files:>6} {heap_kib:>4} KiB {:>5.1} MiB", *resident_kib as f64 / 1024.0)
            }
            None => "?".to_string(),
        };
        println!(
            "{:>6} s {:>9} {:>8.0} {:>12.0} {:>9.0} {:>9.0} {system}",
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
        let second = &self.samples[quarter..2 * quarter];
        let last = &self.samples[self.samples.len() - quarter..];
        let check = |what: &str, of: fn(&Sample) -> u64, may_grow: u64| {
            // Medians, as a single sample may find a run with many threads.
            let median = |samples: &[Sample]| {
                let mut values: Vec<_> = samples.iter().map(of).collect();
                values.sort_unstable();
                values[values.len() / 2]
            };
            let (before, after) = (median(second), median(last));
            println!("{what}: {before} in the second quarter, {after} in the last (medians)");
            if after > before + may_grow {
                return Err(format!("{what}: {} more than before, and {may_grow} may be", after - before));
            }
            Ok(())
        };
        let warms_up = self.duration < SHORT;
        let if_warm = |may_grow| if warms_up { MAY_GROW_AT_FIRST_KIB } else { may_grow };
        check("KiB alive on the heap", |sample| sample.heap_kib, if_warm(HEAP_MAY_GROW_KIB))?;
        check("KiB resident", |sample| sample.resident_kib, if_warm(MAY_GROW_KIB))?;
        check("threads", |sample| sample.threads, MORE_THREADS_OR_FILES)?;
        check("open files", |sample| sample.files, MORE_THREADS_OR_FILES)
    }
}
