//! A pipeline of threads and coroutines. Bounded channels slow every stage down to the slowest one.
//!
//! ```text
//! 3 producer threads --> channel of 8 --> 4 coroutines --> channel of 4 --> 1 slow consumer thread
//! ```
#![feature(coroutines)]

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use tinyield::channel::{Receiver, RemoteReceiver, RemoteSender, Sender, bounded};
use tinyield::{Coro, Loop, LoopError, coro, sleep};

const PRODUCERS: usize = 3;
const NUMBERS_PER_PRODUCER: usize = 100;
const INPUT_CAPACITY: usize = 8;
const WORKERS: usize = 4;
const OUTPUT_CAPACITY: usize = 4;

/// The most numbers that can be in the pipeline: one in each thread and coroutine, and two full channels.
const MAX_IN_FLIGHT: usize = PRODUCERS + INPUT_CAPACITY + WORKERS + OUTPUT_CAPACITY + 1;

/// Counts the numbers that are in the pipeline.
#[derive(Default)]
struct InFlight {
    now: AtomicUsize,
    max: AtomicUsize,
}

struct ProducerReport {
    max_queued: usize,
    blocked: Duration,
}

/// Blocks while the channel is full.
fn produce(producer: usize, sender: &RemoteSender<usize>, in_flight: &InFlight) -> ProducerReport {
    let mut report = ProducerReport { max_queued: 0, blocked: Duration::ZERO };
    for number in 0..NUMBERS_PER_PRODUCER {
        in_flight.max.fetch_max(in_flight.now.fetch_add(1, SeqCst) + 1, SeqCst);
        let start = Instant::now();
        if sender.send(producer * NUMBERS_PER_PRODUCER + number).is_err() {
            break; // the loop has failed; `run` returns the error
        }
        report.blocked += start.elapsed();
        report.max_queued = report.max_queued.max(sender.len());
    }
    report
}

/// Waits while its input is empty or its output is full.
#[coro]
fn transform(input: Receiver<usize>, output: Sender<(usize, usize)>) -> Coro<usize> {
    let mut transformed = 0;
    while let Ok(number) = yield input.recv() {
        yield sleep(Duration::from_millis(1));
        (yield output.send((number, number * number)))?;
        transformed += 1;
    }
    transformed
}

/// Blocks while the channel is empty. Ends when the last sender is dropped.
fn consume(receiver: &RemoteReceiver<(usize, usize)>, in_flight: &InFlight) -> Vec<(usize, usize)> {
    let consume_slowly = |pair| {
        thread::sleep(Duration::from_millis(5));
        in_flight.now.fetch_sub(1, SeqCst);
        pair
    };
    receiver.iter().map(consume_slowly).collect()
}

fn main() -> Result<(), LoopError> {
    let start = Instant::now();
    let in_flight = &InFlight::default();
    let (sender, input) = bounded(INPUT_CAPACITY);
    let (output, receiver) = bounded(OUTPUT_CAPACITY);
    let (remote_senders, remote_receiver) = ([(); PRODUCERS].map(|()| sender.remote()), receiver.remote());
    let workers: Vec<_> = (0..WORKERS).map(|_| transform(input.clone(), output.clone())).collect();
    // A channel closes when the last handle of one side is dropped, so keep none here.
    drop((sender, input, output, receiver));

    let (reports, transformed, mut consumed) = thread::scope(|scope| {
        let producers: Vec<_> = remote_senders
            .into_iter()
            .enumerate()
            .map(|(producer, sender)| scope.spawn(move || produce(producer, &sender, in_flight)))
            .collect();
        let consumer = scope.spawn(move || consume(&remote_receiver, in_flight));
        let transformed = Loop::new().run(workers)?;
        let reports: Vec<_> = producers.into_iter().map(|thread| thread.join().unwrap()).collect();
        Ok::<_, LoopError>((reports, transformed, consumer.join().unwrap()))
    })?;
    let elapsed = start.elapsed();

    for (producer, ProducerReport { blocked, .. }) in reports.iter().enumerate() {
        println!(
            "producer {producer} was blocked for {:.1} s of {:.1} s",
            blocked.as_secs_f64(),
            elapsed.as_secs_f64()
        );
    }
    let max_queued = reports.iter().map(|report| report.max_queued).max().unwrap_or_default();
    println!("the first channel held at most {max_queued} numbers; its capacity is {INPUT_CAPACITY}");
    let max_in_flight = in_flight.max.load(SeqCst);
    println!("at most {max_in_flight} numbers were in the pipeline; the limit is {MAX_IN_FLIGHT}");
    println!("the coroutines transformed {transformed:?}; {} arrived", consumed.len());

    let count = PRODUCERS * NUMBERS_PER_PRODUCER;
    assert_eq!(max_queued, INPUT_CAPACITY, "the channel was full, and never held more");
    assert!(max_in_flight <= MAX_IN_FLIGHT);
    assert_eq!(in_flight.now.load(SeqCst), 0);
    assert_eq!(transformed.iter().sum::<usize>(), count);
    consumed.sort_unstable();
    assert!(consumed.into_iter().eq((0..count).map(|number| (number, number * number))));
    println!("each number arrived exactly once");
    Ok(())
}
