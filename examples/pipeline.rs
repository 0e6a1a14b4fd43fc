//! Threads and coroutines in one pipeline, whose slowest part sets the pace of all others.
//!
//! ```text
//! 3 threads produce --> room for 8 --> 4 coroutines transform --> room for 4 --> 1 thread consumes, slowly
//! ```
#![feature(coroutines)]

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use tinyield::channel::{Receiver, RemoteReceiver, RemoteSender, Sender, bounded};
use tinyield::{Coro, Loop, LoopError, coro, sleep};

const PRODUCERS: usize = 3;
const EACH_PRODUCES: usize = 100;
const ROOM_BEFORE: usize = 8;
const WORKERS: usize = 4;
const ROOM_AFTER: usize = 4;

/// More can never be on the way: one with each thread and coroutine, and what there is room for.
const ROOM_IN_ALL: usize = PRODUCERS + ROOM_BEFORE + WORKERS + ROOM_AFTER + 1;

/// How many numbers are on the way, from a producer's hands into the consumer's.
#[derive(Default)]
struct OnTheWay {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Produced {
    fullest: usize,
    held: Duration,
}

/// Blocks while there is no room.
fn produce(producer: usize, sender: &RemoteSender<usize>, on_the_way: &OnTheWay) -> Produced {
    let mut produced = Produced { fullest: 0, held: Duration::ZERO };
    for number in 0..EACH_PRODUCES {
        on_the_way.most.fetch_max(on_the_way.now.fetch_add(1, SeqCst) + 1, SeqCst);
        let start = Instant::now();
        if sender.send(producer * EACH_PRODUCES + number).is_err() {
            break; // the loop has failed, and tells why
        }
        produced.held += start.elapsed();
        produced.fullest = produced.fullest.max(sender.len());
    }
    produced
}

/// Yields while there is nothing to do, or no room for what was done.
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

/// Blocks while there is nothing to do. Ends with the last sender.
fn consume(receiver: &RemoteReceiver<(usize, usize)>, on_the_way: &OnTheWay) -> Vec<(usize, usize)> {
    let slowly = |pair| {
        thread::sleep(Duration::from_millis(5));
        on_the_way.now.fetch_sub(1, SeqCst);
        pair
    };
    receiver.iter().map(slowly).collect()
}

fn main() -> Result<(), LoopError> {
    let start = Instant::now();
    let on_the_way = &OnTheWay::default();
    let (sender, input) = bounded(ROOM_BEFORE);
    let (output, receiver) = bounded(ROOM_AFTER);
    let (senders, consumers_end) = ([(); PRODUCERS].map(|()| sender.remote()), receiver.remote());
    let workers: Vec<_> = (0..WORKERS).map(|_| transform(input.clone(), output.clone())).collect();
    // A channel ends with the last handle of a side: none is to stay behind here.
    drop((sender, input, output, receiver));

    let (produced, transformed, mut consumed) = thread::scope(|scope| {
        let producers: Vec<_> = senders
            .into_iter()
            .enumerate()
            .map(|(producer, sender)| scope.spawn(move || produce(producer, &sender, on_the_way)))
            .collect();
        let consumer = scope.spawn(move || consume(&consumers_end, on_the_way));
        let transformed = Loop::new().run(workers)?;
        let produced: Vec<_> = producers.into_iter().map(|thread| thread.join().unwrap()).collect();
        Ok::<_, LoopError>((produced, transformed, consumer.join().unwrap()))
    })?;
    let took = start.elapsed();

    for (producer, Produced { held, .. }) in produced.iter().enumerate() {
        println!("producer {producer} was held for {:.1} s of {:.1} s", held.as_secs_f64(), took.as_secs_f64());
    }
    let fullest = produced.iter().map(|produced| produced.fullest).max().unwrap_or_default();
    println!("the first channel held at most {fullest} numbers, of {ROOM_BEFORE}");
    let most = on_the_way.most.load(SeqCst);
    println!("at most {most} numbers were on the way, of {ROOM_IN_ALL}");
    println!("the coroutines transformed {transformed:?}; {} came out", consumed.len());

    let count = PRODUCERS * EACH_PRODUCES;
    assert_eq!(fullest, ROOM_BEFORE, "it was full, and never more than that");
    assert!(most <= ROOM_IN_ALL);
    assert_eq!(on_the_way.now.load(SeqCst), 0);
    assert_eq!(transformed.iter().sum::<usize>(), count);
    consumed.sort_unstable();
    assert!(consumed.into_iter().eq((0..count).map(|number| (number, number * number))));
    println!("nothing was lost, and nothing came twice");
    Ok(())
}
