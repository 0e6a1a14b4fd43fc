//! A soak test: short runs that use every feature, one after the other, with a fault in almost every run.
//!
//! ```text
//! cargo run --release --example soak -- 30m          # duration in s, m or h; the default is 5s
//! cargo run --release --example soak -- 30m 7        # with seed 7
//! cargo run --release --example soak -- 10s 7 1234   # with seed 7, from run 1234 on
//! ```
//!
//! After each run, the soak checks that no values, coroutines, permits or running closures are left. At the end, it checks that memory
//! stayed flat. Half of the runs of a `Loop` have a watchdog and a recorder. The watchdog must not give a false alarm. The first failed
//! check ends the program with a non-zero exit code.
#![feature(coroutines)]

mod alarms;
mod fault;
mod load;
mod measure;
mod run;

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tinyield::{Loop, LoopError, Step};

use alarms::Alarms;
use fault::{End, Fault, PANIC_MESSAGE};
use load::program;
use measure::Measure;
use run::{Random, Run, TimerThread};

/// A run that takes longer counts as hung. Normal runs take a few milliseconds.
const HANG_LIMIT: Duration = Duration::from_secs(60);

/// How the loop is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Run,
    Steps,
    #[cfg(feature = "smol")]
    Smol,
    #[cfg(feature = "smol")]
    SmolThread,
    #[cfg(feature = "async-std")]
    AsyncStd,
    #[cfg(feature = "async-std")]
    AsyncStdThread,
    #[cfg(feature = "tokio")]
    Tokio,
    #[cfg(feature = "tokio")]
    TokioThread,
}

const HOSTS: &[Host] = &[
    Host::Run,
    Host::Steps,
    #[cfg(feature = "smol")]
    Host::Smol,
    #[cfg(feature = "smol")]
    Host::SmolThread,
    #[cfg(feature = "async-std")]
    Host::AsyncStd,
    #[cfg(feature = "async-std")]
    Host::AsyncStdThread,
    #[cfg(feature = "tokio")]
    Host::Tokio,
    #[cfg(feature = "tokio")]
    Host::TokioThread,
];

impl Host {
    /// Only a `Loop` has a stop handle, and `Loop::run` cannot be dropped. Deadlocks are injected only under `Loop::run`, because a loop that
    /// is stepped or polled by its host does not report them.
    fn supports(self, fault: Fault) -> bool {
        match fault {
            Fault::Stop => matches!(self, Host::Run | Host::Steps),
            Fault::Drop => self != Host::Run,
            Fault::Deadlock => self == Host::Run,
            _ => true,
        }
    }

    /// Runs the program that `seed` selects. If the fault is `Drop`, it drops the program after `delay`.
    fn run(self, event_loop: &mut Loop, run: &Arc<Run>, seed: u64, delay: Duration) -> End {
        let drop_after = (run.fault == Fault::Drop).then_some(delay);
        let result = catch_unwind(AssertUnwindSafe(|| match self {
            Host::Run => Some(event_loop.run(program(run.clone(), seed))),
            Host::Steps => run_by_steps(event_loop, run, seed, drop_after),
            #[cfg(feature = "smol")]
            Host::Smol => smol::block_on(finish_or_drop(drop_after, tinyield::to_smol(program(run.clone(), seed)))),
            #[cfg(feature = "smol")]
            Host::SmolThread => {
                let run = run.clone();
                smol::block_on(finish_or_drop(drop_after, tinyield::to_smol_with(move || program(run, seed))))
            }
            #[cfg(feature = "async-std")]
            Host::AsyncStd => {
                let future = finish_or_drop(drop_after, tinyield::to_async_std(program(run.clone(), seed)));
                async_std::task::block_on(future)
            }
            #[cfg(feature = "async-std")]
            Host::AsyncStdThread => {
                let run = run.clone();
                let future = tinyield::to_async_std_with(move || program(run, seed));
                async_std::task::block_on(finish_or_drop(drop_after, future))
            }
            #[cfg(feature = "tokio")]
            Host::Tokio => {
                tokio_runtime().block_on(finish_or_drop(drop_after, tinyield::to_tokio(program(run.clone(), seed))))
            }
            #[cfg(feature = "tokio")]
            Host::TokioThread => {
                let run = run.clone();
                let future = tinyield::to_tokio_with(move || program(run, seed));
                tokio_runtime().block_on(finish_or_drop(drop_after, future))
            }
        }));
        match result {
            Ok(Some(Ok(()))) => End::Completed,
            Ok(Some(Err(error))) => End::Failed(error),
            Ok(None) => End::Dropped,
            Err(payload) => End::Panicked(payload.downcast().map_or_else(|_| "?".to_string(), |text| *text)),
        }
    }
}

#[cfg(feature = "tokio")]
fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// Runs the program step by step. Drops it after `drop_after`, and then returns `None`.
fn run_by_steps(
    event_loop: &mut Loop,
    run: &Arc<Run>,
    seed: u64,
    drop_after: Option<Duration>,
) -> Option<Result<(), LoopError>> {
    let start = Instant::now();
    let mut runtime = event_loop.runtime(program(run.clone(), seed));
    loop {
        if drop_after.is_some_and(|limit| start.elapsed() >= limit) {
            return None;
        }
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => idle.wait(),
            Step::Done(result) => return Some(result),
        }
    }
}

/// Awaits the future. Drops it after `drop_after`, and then returns `None`.
#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
async fn finish_or_drop<F>(drop_after: Option<Duration>, future: F) -> Option<Result<(), LoopError>>
where
    F: Future<Output = Result<(), LoopError>>,
{
    let limit = async move {
        smol::Timer::after(drop_after.unwrap_or(HANG_LIMIT * 2)).await;
        None
    };
    smol::future::or(async { Some(future.await) }, limit).await
}

/// The loops of the hosts that run a `Loop`.
struct Loops {
    plain: Loop,
    /// With a watchdog and a recorder.
    observed: Loop,
    alarms: Arc<Alarms>,
}

impl Loops {
    fn new() -> Loops {
        let alarms = Arc::<Alarms>::default();
        Loops { plain: Loop::new(), observed: alarms.observed_loop(), alarms }
    }
}

/// Does one run with one fault, and checks its end.
///
/// # Errors
///
/// A description of the failed check.
fn run_once(loops: &mut Loops, timer_thread: &TimerThread, seed: u64, measure: &mut Measure) -> Result<(), String> {
    let random = Random::new(seed);
    let host = random.one_of(HOSTS);
    let fault = loop {
        let fault = random.one_of(Fault::ALL);
        if host.supports(fault) {
            break fault;
        }
    };
    let run = Run::new(fault, random.below(100), timer_thread.clone());
    let delay = random.micros(2_000);
    let is_observed = random.below(2) == 0;
    loops.alarms.begin_run();
    let event_loop = if is_observed { &mut loops.observed } else { &mut loops.plain };
    if fault == Fault::Stop {
        let handle = event_loop.stop_handle();
        timer_thread.run_later(delay, move || handle.stop());
    }
    let end = host.run(event_loop, &run, random.next(), delay);
    if fault == Fault::Stop {
        // A late stop would stop the next run of the same loop.
        *event_loop = if is_observed { loops.alarms.observed_loop() } else { Loop::new() };
    }
    let effect = fault.check_end(&run, end).and_then(|effect| run.check_nothing_left().map(|()| effect));
    measure.count(fault, effect.as_ref().is_ok_and(|effect| *effect), &run);
    effect.map(drop).map_err(|failure| format!("{fault:?}, run by {host:?}: {failure}"))
}

/// The duration, the seed and the first run.
fn parse_arguments() -> Result<(Duration, u64, u64), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let text = arguments.next().unwrap_or_else(|| "5s".to_string());
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("invalid duration {text:?}: write it as 90s, 30m or 2h").into()),
    };
    let seed = match arguments.next() {
        Some(seed) => seed.parse()?,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64,
    };
    let first = arguments.next().map_or(Ok(0), |first| first.parse())?;
    Ok((Duration::from_secs(number.parse::<u64>()? * seconds), seed, first))
}

/// Does not print injected panics.
fn silence_injected_panics() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(PANIC_MESSAGE) {
            default_hook(info);
        }
    }));
}

/// Ends the process if a run hangs.
fn start_watchdog(current: Arc<AtomicU64>, seed: u64) {
    thread::spawn(move || {
        loop {
            let before = current.load(SeqCst);
            thread::sleep(HANG_LIMIT);
            if current.load(SeqCst) == before {
                eprintln!("run {before} of seed {seed} hangs");
                std::process::exit(2);
            }
        }
    });
}

fn main() -> Result<(), Box<dyn Error>> {
    let (duration, seed, first) = parse_arguments()?;
    println!("{} s with seed {seed}, from run {first} on", duration.as_secs());
    silence_injected_panics();
    let current = Arc::new(AtomicU64::new(first));
    start_watchdog(current.clone(), seed);

    let timer_thread = TimerThread::new();
    let mut measure = Measure::new(duration);
    let mut loops = Loops::new();
    while measure.record_progress() {
        let run = current.load(SeqCst);
        // Hashes the seed, so that neighboring seeds share no runs.
        let run_seed = Random::new(seed).next().wrapping_add(run);
        if let Err(failure) = run_once(&mut loops, &timer_thread, run_seed, &mut measure) {
            measure.print_summary();
            return Err(format!("run {run} of seed {seed}: {failure}").into());
        }
        current.store(run + 1, SeqCst);
    }
    measure.print_summary();
    measure.check_flat()?;
    loops.alarms.check_none_false()?;
    println!("all checks passed");
    Ok(())
}
