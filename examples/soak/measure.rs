//! Counts the runs of a soak, samples its memory, and prints both.

use std::fs;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

use crate::fault::Fault;
use crate::run::Run;

const SAMPLES: u32 = 200;
const ROWS: u32 = 20;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Allowed growth of live heap memory from the second quarter of the time to the last. A thread takes half a KiB of it.
const HEAP_GROWTH_KIB: u64 = 32;
/// Allowed growth of resident memory. The allocator caches some memory for each thread.
const RESIDENT_GROWTH_KIB: u64 = 1024;
/// Allowed growth in a short soak, which ends before caches have filled.
const SHORT_SOAK_GROWTH_KIB: u64 = 8 * 1024;
const SHORT_SOAK: Duration = Duration::from_secs(60);
/// Allowed growth of the number of threads and of open files.
const THREADS_OR_FILES_GROWTH: u64 = 16;

#[derive(Clone, Copy, Default)]
struct Counts {
    runs: u64,
    coroutines: u64,
    fault_points: u64,
    effects: u64,
}

/// The memory, threads and open files of this process between two runs.
#[derive(Clone, Copy)]
struct Sample {
    heap_kib: u64,
    resident_kib: u64,
    threads: u64,
    files: u64,
}

impl Sample {
    /// Takes a sample. `None` on systems without `/proc`.
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
    start: Instant,
    duration: Duration,
    counts: Counts,
    last_row: (Instant, Counts),
    /// For each fault, how often it was injected, and how often it had an effect.
    faults: Vec<(Fault, u64, u64)>,
    samples: Vec<Sample>,
}

impl Measure {
    pub fn new(duration: Duration) -> Measure {
        println!(
            "{:>8} {:>9} {:>8} {:>12} {:>9} {:>9} {:>8} {:>6} {:>8} {:>9}",
            "time", "runs", "runs/s", "coroutines/s", "points/s", "faults/s", "threads", "files", "heap", "resident"
        );
        let start = Instant::now();
        Measure {
            start,
            duration,
            counts: Counts::default(),
            last_row: (start, Counts::default()),
            faults: Fault::ALL.iter().map(|fault| (*fault, 0, 0)).collect(),
            // Has its full capacity from the start, so that the samples themselves do not count as growth.
            samples: Vec::with_capacity(SAMPLES as usize + 1),
        }
    }

    /// Counts a run.
    pub fn count(&mut self, fault: Fault, effect: bool, run: &Run) {
        self.counts.runs += 1;
        self.counts.coroutines += run.coroutines();
        self.counts.fault_points += run.fault_points();
        self.counts.effects += u64::from(effect);
        let (_, injected, effects) =
            self.faults.iter_mut().find(|(other, ..)| *other == fault).expect("all faults are listed");
        *injected += 1;
        *effects += u64::from(effect);
    }

    /// Takes a sample and prints a row when they are due. Returns whether time is left.
    pub fn record_progress(&mut self) -> bool {
        let elapsed = self.start.elapsed();
        let sample_interval = self.duration / SAMPLES;
        if elapsed >= sample_interval * self.samples.len() as u32 && self.samples.len() <= SAMPLES as usize {
            self.samples.extend(Sample::take());
        }
        let has_time_left = elapsed < self.duration;
        let row_interval = (self.duration / ROWS).max(Duration::from_secs(1));
        if !has_time_left || self.last_row.0.elapsed() >= row_interval {
            self.print_row(elapsed);
        }
        has_time_left
    }

    fn print_row(&mut self, elapsed: Duration) {
        let (since, before) = std::mem::replace(&mut self.last_row, (Instant::now(), self.counts));
        let rate = |now: u64, before: u64| (now - before) as f64 / since.elapsed().as_secs_f64();
        let system = match self.samples.last() {
            Some(Sample { heap_kib, resident_kib, threads, files }) => {
                format!("{threads:>8} {files:>6} {heap_kib:>4} KiB {:>5.1} MiB", *resident_kib as f64 / 1024.0)
            }
            None => "?".to_string(),
        };
        println!(
            "{:>6} s {:>9} {:>8.0} {:>12.0} {:>9.0} {:>9.0} {system}",
            elapsed.as_secs(),
            self.counts.runs,
            rate(self.counts.runs, before.runs),
            rate(self.counts.coroutines, before.coroutines),
            rate(self.counts.fault_points, before.fault_points),
            rate(self.counts.effects, before.effects),
        );
    }

    pub fn print_summary(&self) {
        println!("\n{:<18} {:>9} {:>14}", "fault", "injected", "had an effect");
        for (fault, injected, effects) in &self.faults {
            println!("{:<18} {injected:>9} {effects:>14}", format!("{fault:?}"));
        }
        let Counts { runs, coroutines, fault_points, effects } = self.counts;
        println!(
            "{runs} runs of {coroutines} coroutines, with {fault_points} fault points; {effects} faults had an effect"
        );
    }

    /// Checks that memory and the numbers of threads and open files stayed flat.
    ///
    /// # Errors
    ///
    /// A description of the one that grew.
    pub fn check_flat(&self) -> Result<(), String> {
        let quarter = self.samples.len() / 4;
        if quarter == 0 {
            println!("memory was not measured");
            return Ok(());
        }
        let second = &self.samples[quarter..2 * quarter];
        let last = &self.samples[self.samples.len() - quarter..];
        let check = |what: &str, figure: fn(&Sample) -> u64, allowed: u64| {
            // Medians, because a single sample may fall on a moment with many threads.
            let median = |samples: &[Sample]| {
                let mut values: Vec<_> = samples.iter().map(figure).collect();
                values.sort_unstable();
                values[values.len() / 2]
            };
            let (before, after) = (median(second), median(last));
            println!("{what}: {before} in the second quarter, {after} in the last (medians)");
            if after > before + allowed {
                return Err(format!("{what}: grew by {}, more than the allowed {allowed}", after - before));
            }
            Ok(())
        };
        let is_short = self.duration < SHORT_SOAK;
        let memory_growth = |allowed| if is_short { SHORT_SOAK_GROWTH_KIB } else { allowed };
        check("live heap memory, KiB", |sample| sample.heap_kib, memory_growth(HEAP_GROWTH_KIB))?;
        check("resident memory, KiB", |sample| sample.resident_kib, memory_growth(RESIDENT_GROWTH_KIB))?;
        check("threads", |sample| sample.threads, THREADS_OR_FILES_GROWTH)?;
        check("open files", |sample| sample.files, THREADS_OR_FILES_GROWTH)
    }
}
