//! A soak: everything at once, for as long as one likes, with a fault in almost every run, a run taking a few milliseconds.
//!
//! ```text
//! cargo run --release --example soak -- 30m          # s, m or h; 5 seconds if it is not said
//! cargo run --release --example soak -- 30m 7        # with this seed
//! cargo run --release --example soak -- 10s 7 1234   # from this run of it on
//! ```
//!
//! After each run, whatever became of it, nothing of it is left: values, coroutines, permits, threads at work. And in the
//! long run, memory stays flat. It ends with another code than 0 at the first thing that is not so.
#![feature(coroutines)]

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

use fault::{End, Fault, PANICKED};
use load::program;
use measure::Measure;
use run::{Elsewhere, Random, Run};

/// Longer than any run takes, by far.
const HANGS: Duration = Duration::from_secs(60);

/// Who runs the loop.
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
];

impl Host {
    /// A stop handle is a `Loop`'s; a `run` cannot be dropped; and a deadlock is one where nobody else has the thread.
    fn can_have(self, fault: Fault) -> bool {
        match fault {
            Fault::Stop => matches!(self, Host::Run | Host::Steps),
            Fault::Drop => self != Host::Run,
            Fault::Deadlock => self == Host::Run,
            _ => true,
        }
    }

    /// Runs the program. `stop` is after how long it is stopped, or dropped, if that is its fault; `seed` is what it does.
    fn run(self, event_loop: &mut Loop, run: &Arc<Run>, seed: u64, stop: Duration) -> End {
        let dropped = run.fault == Fault::Drop;
        let result = catch_unwind(AssertUnwindSafe(|| match self {
            Host::Run => Some(event_loop.run(program(run.clone(), seed))),
            Host::Steps => steps(event_loop, run, seed, dropped.then(|| Instant::now() + stop)),
            #[cfg(feature = "smol")]
            Host::Smol => smol::block_on(or_dropped(dropped, stop, tinyield::to_smol(program(run.clone(), seed)))),
            #[cfg(feature = "smol")]
            Host::SmolThread => {
                let run = run.clone();
                smol::block_on(or_dropped(dropped, stop, tinyield::to_smol_with(move || program(run, seed))))
            }
            #[cfg(feature = "async-std")]
            Host::AsyncStd => {
                let future = or_dropped(dropped, stop, tinyield::to_async_std(program(run.clone(), seed)));
                async_std::task::block_on(future)
            }
            #[cfg(feature = "async-std")]
            Host::AsyncStdThread => {
                let run = run.clone();
                let future = tinyield::to_async_std_with(move || program(run, seed));
                async_std::task::block_on(or_dropped(dropped, stop, future))
            }
        }));
        match result {
            Ok(Some(Ok(()))) => End::Well,
            Ok(Some(Err(error))) => End::Failed(error),
            Ok(None) => End::Dropped,
            Err(payload) => End::Panicked(payload.downcast().map_or_else(|_| "?".to_string(), |text| *text)),
        }
    }
}

/// By hand. If it is late, it is dropped.
fn steps(event_loop: &mut Loop, run: &Arc<Run>, seed: u64, late: Option<Instant>) -> Option<Result<(), LoopError>> {
    let mut runtime = event_loop.runtime(program(run.clone(), seed));
    loop {
        if late.is_some_and(|late| Instant::now() >= late) {
            return None;
        }
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => idle.wait(),
            Step::Done(result) => return Some(result),
        }
    }
}

/// The loop as a future, which is dropped if it is late.
#[cfg(any(feature = "smol", feature = "async-std"))]
async fn or_dropped<F>(dropped: bool, stop: Duration, future: F) -> Option<Result<(), LoopError>>
where
    F: Future<Output = Result<(), LoopError>>,
{
    let late = async move {
        smol::Timer::after(if dropped { stop } else { HANGS * 2 }).await;
        None
    };
    smol::future::or(async { Some(future.await) }, late).await
}

/// One run, with one fault. Whether that had an effect; or what is wrong.
fn one(event_loop: &mut Loop, elsewhere: &Elsewhere, seed: u64, measure: &mut Measure) -> Result<(), String> {
    let random = Random::new(seed);
    let host = random.one_of(HOSTS);
    let fault = loop {
        let fault = random.one_of(Fault::ALL);
        if host.can_have(fault) {
            break fault;
        }
    };
    let run = Run::new(fault, random.below(100), elsewhere.clone());
    let stop = random.micros(2_000);
    if fault == Fault::Stop {
        let handle = event_loop.stop_handle();
        elsewhere.later(stop, move || handle.stop());
    }
    let end = host.run(event_loop, &run, random.next(), stop);
    if fault == Fault::Stop {
        // It may be told only now, and would stop the next run.
        *event_loop = Loop::new();
    }
    let effect = fault.judge(&run, end).and_then(|effect| run.balanced().map(|()| effect));
    measure.count(fault, effect.as_ref().is_ok_and(|effect| *effect), &run);
    effect.map(drop).map_err(|what| format!("{fault:?}, run by {host:?}: {what}"))
}

/// How long, from which seed, and from which run on.
fn arguments() -> Result<(Duration, u64, u64), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let text = arguments.next().unwrap_or_else(|| "5s".to_string());
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("{text:?} is no time: it takes 90s, 30m, or 2h").into()),
    };
    let seed = match arguments.next() {
        Some(seed) => seed.parse()?,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64,
    };
    let first = arguments.next().map_or(Ok(0), |first| first.parse())?;
    Ok((Duration::from_secs(number.parse::<u64>()? * seconds), seed, first))
}

/// The panics on purpose are not printed.
fn quiet() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(PANICKED) {
            before(info);
        }
    }));
}

/// A run that never ends is a finding, too.
fn watch(current: Arc<AtomicU64>, seed: u64) {
    thread::spawn(move || {
        loop {
            let before = current.load(SeqCst);
            thread::sleep(HANGS);
            if current.load(SeqCst) == before {
                eprintln!("run {before} of seed {seed} hangs");
                std::process::exit(2);
            }
        }
    });
}

fn main() -> Result<(), Box<dyn Error>> {
    let (duration, seed, first) = arguments()?;
    println!("{} s with seed {seed}, from run {first} on", duration.as_secs());
    quiet();
    let current = Arc::new(AtomicU64::new(first));
    watch(current.clone(), seed);

    let elsewhere = Elsewhere::new();
    let mut measure = Measure::new(duration);
    let mut event_loop = Loop::new();
    while measure.goes_on() {
        let run = current.load(SeqCst);
        // Neighbouring seeds have nothing in common.
        let own = Random::new(seed).next().wrapping_add(run);
        if let Err(what) = one(&mut event_loop, &elsewhere, own, &mut measure) {
            measure.summary();
            return Err(format!("run {run} of seed {seed}: {what}").into());
        }
        current.store(run + 1, SeqCst);
    }
    measure.summary();
    measure.flat()?;
    println!("all is well");
    Ok(())
}
