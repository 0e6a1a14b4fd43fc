//! The workloads of a soak: coroutines that use every feature, with fault points everywhere.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::thread::sleep as block;
use std::time::{Duration, Instant};

use tinyield::channel::bounded;
use tinyield::{
    Barrier, Coro, Error, Event, Lock, Loop, Semaphore, Step, ThreadPool, as_completed, catch, co, coro, from_future,
    isolate, race, run_in_thread, shield, sleep, sleep_until, spawn, thread, timeout,
};

use crate::fault::{Fault, InjectedError};
use crate::run::{Run, Value, World};

/// Longer than a run may take. A coroutine that really waits for this long makes the soak hang, which is reported.
const LONG: Duration = Duration::from_secs(3600);

type Workload = fn(World) -> Coro<()>;

/// All workloads, by name.
const WORKLOADS: &[(&str, Workload)] = &[
    ("gather", gather),
    ("diamond", diamond),
    ("background", background),
    ("sleeps", sleeps),
    ("events", events),
    ("semaphore", semaphore),
    ("lock", lock),
    ("barrier", barrier),
    ("channel", channel),
    ("remote channel", remote_channel),
    ("remotely closed channel", remotely_closed_channel),
    ("as completed", completed),
    ("pool", pool),
    ("races", races),
    ("timeouts", timeouts),
    ("domains", domains),
    ("slow cleanup", slow_cleanup),
    ("futures", futures),
    ("loops", loops),
    #[cfg(feature = "smol")]
    ("smol", smol_futures),
    #[cfg(feature = "async-std")]
    ("async-std", async_std_futures),
    #[cfg(feature = "tokio")]
    ("tokio", tokio_futures),
];

/// Three to six workloads at the same time, chosen by the seed, and the fault, if it is a workload of its own.
pub fn program(run: Arc<Run>, seed: u64) -> Coro<()> {
    let fault = run.fault;
    let world = World::new(run, seed);
    let mut workloads: Vec<_> = (0..3 + world.random.below(4))
        .map(|_| {
            let (name, workload) = world.random.one_of(WORKLOADS);
            workload(world.clone()).named(name)
        })
        .collect();
    match fault {
        Fault::Deadlock => workloads.push(co! { yield Event::new().wait(); }),
        Fault::LateThread => workloads.push(late_thread(world.clone())),
        Fault::CancelledClosure => workloads.push(cancelled_closures(world.clone())),
        Fault::LateWaker => workloads.push(late_wakers(world.clone())),
        _ => {}
    }
    co! {
        if fault == Fault::Timeout {
            if (yield timeout(workloads, world.random.micros(2_000))).is_err() {
                world.run.record_effect();
            }
        } else {
            yield workloads;
        }
    }
    .named("program")
}

/// Takes `turns` turns and returns a value.
#[coro]
fn work(world: World, turns: u64) -> Coro<Value> {
    let held = world.run.start_coroutine();
    for _ in 0..turns {
        yield;
        world.run.pass_fault_point()?;
    }
    held
}

/// Blocks a thread for a moment.
fn blocking(run: &Arc<Run>, micros: u64) -> Result<Value, Error> {
    let _running = run.start_closure();
    run.pass_fault_point()?;
    block(Duration::from_micros(micros));
    thread::checkpoint()?;
    Ok(run.new_value())
}

/// Never ends by itself. Waits behind a shield while it cleans up.
#[coro]
fn cleans_up_slowly(world: World) -> Coro<Value> {
    let held = world.run.start_coroutine();
    if let Err(cancelled) = yield catch(sleep(LONG)) {
        let value = held.clone();
        yield shield(co! { let _value = value; yield sleep(Duration::from_micros(50)); });
        Err(cancelled)?;
    }
    held
}

#[coro]
fn gather(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let many: Vec<_> = (0..world.random.below(20)).map(|turns| work(world.clone(), turns)).collect();
    let count = many.len();
    let (values, [_, _], _) =
        yield (many, [work(world.clone(), 1), work(world.clone(), 2)], Some(work(world.clone(), 3)));
    world.run.check(values.len() == count, "a gather lost a part");
}

#[coro]
fn diamond(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let base = work(world.clone(), world.random.below(5)).shared();
    let side = |turns| {
        let (base, world) = (base.clone(), world.clone());
        co! { (yield base, yield work(world, turns)) }
    };
    let sides = [side(1), side(2)];
    yield sides;
    yield &base;
}

#[coro]
fn background(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let handles = yield spawn([work(world.clone(), 3), work(world.clone(), world.random.below(10))]);
    drop(yield spawn(work(world.clone(), world.random.below(30))));
    world.run.pass_fault_point()?;
    yield handles;
}

#[coro]
fn sleeps(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let before = Instant::now();
    let due = before + world.random.micros(500);
    let naps: Vec<_> = (0..10).map(|_| sleep(world.random.micros(1_000))).collect();
    yield (naps, sleep_until(due));
    world.run.check(Instant::now() >= due, "a sleep was too short");
    world.run.pass_fault_point()?;
}

#[coro]
fn events(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let event = Event::new();
    world.check_at_end("a coroutine still waits for an event", {
        let event = event.clone();
        move || event.statistics().waiting == 0
    });
    let waiters: Vec<_> = (0..5).map(|_| event.wait()).collect();
    let waiter_with_timeout = event.wait_timeout(world.random.micros(300));
    if world.random.below(2) == 0 {
        let remote = event.remote();
        world.run.timer_thread.run_later(world.random.micros(600), move || remote.set());
        yield (waiters, waiter_with_timeout);
    } else {
        let (setter, world) = (event.clone(), world.clone());
        yield (waiters, waiter_with_timeout, co! { yield work(world, 3); setter.set(); });
    }
    event.clear();
    world.run.pass_fault_point()?;
}

#[coro]
fn semaphore(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let permits = Semaphore::new(3);
    world.check_at_end("a permit was lost, or a coroutine still waits for one", {
        let permits = permits.clone();
        move || permits.available() == 3 && permits.statistics().waiting == 0
    });
    let many: Vec<_> = (0..12)
        .map(|turns| {
            let (world, permits) = (world.clone(), permits.clone());
            co! {
                // Every third of them may time out.
                let limit = if turns % 3 == 0 { world.random.micros(100) } else { LONG };
                if let Ok(_permit) = yield timeout(permits.acquire(), limit) {
                    yield work(world, turns % 4);
                }
            }
        })
        .collect();
    yield many;
}

#[coro]
fn lock(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let count = Lock::new(0);
    world.check_at_end("the lock is still held", {
        let count = count.clone();
        move || !count.is_locked()
    });
    let many: Vec<_> = (0..8)
        .map(|turns| {
            let (world, count) = (world.clone(), count.clone());
            co! {
                let mut guard = yield count.acquire();
                let before = *guard;
                yield work(world, turns % 3);
                *guard = before + 1;
            }
        })
        .collect();
    yield many;
    world.run.check(*(yield count.acquire()) == 8, "two coroutines held the lock at the same time");
}

#[coro]
fn barrier(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let gate = Barrier::new(4);
    world.check_at_end("a coroutine still waits at the barrier", {
        let gate = gate.clone();
        move || gate.statistics().waiting == 0
    });
    let many: Vec<_> = (0..4)
        .map(|turns| {
            let (world, gate) = (world.clone(), gate.clone());
            co! {
                yield work(world.clone(), turns);
                let first = yield gate.wait();
                world.run.pass_fault_point()?;
                first + yield gate.wait()
            }
        })
        .collect();
    let sum: usize = (yield many).iter().sum();
    world.run.check(sum == 2 * (1 + 2 + 3), "a barrier returned wrong arrival indices");
}

#[coro]
fn channel(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let (sender, receiver) = bounded(2);
    let producers: Vec<_> = (0..3)
        .map(|_| {
            let (world, sender) = (world.clone(), sender.clone());
            co! {
                for _ in 0..5 {
                    world.run.pass_fault_point()?;
                    (yield sender.send(world.run.new_value()))?;
                }
            }
        })
        .collect();
    drop(sender);
    let consumer = co! {
        let mut received = 0;
        while let Ok(_value) = yield receiver.recv() {
            received += 1;
        }
        received
    };
    let (_, received) = yield (producers, consumer);
    world.run.check(received == 15, "a channel lost a message");
}

/// Messages go from a thread, through a coroutine, to a thread.
#[coro]
fn remote_channel(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let (local_sender, input) = bounded(2);
    let (output, local_receiver) = bounded(2);
    let (sender, receiver) = (local_sender.remote(), local_receiver.remote());
    // A channel closes when the last handle of one side is dropped, so keep none here.
    drop((local_sender, local_receiver));
    let (run, worker_run) = (world.run.clone(), world.run.clone());
    let producer = run_in_thread(move || {
        let _running = run.start_closure();
        // Ends early if all receivers are dropped.
        (0..10).take_while(|_| sender.send(run.new_value()).is_ok()).count()
    });
    let worker = co! {
        while let Ok(value) = yield input.recv() {
            worker_run.pass_fault_point()?;
            (yield output.send(value))?;
        }
    };
    let run = world.run.clone();
    let consumer = run_in_thread(move || {
        let _running = run.start_closure();
        receiver.iter().count()
    });
    let (sent, (), received) = yield (producer, worker, consumer);
    world.run.check((sent, received) == (10, 10), "a message was lost between threads");
}

/// Another thread closes channels by remote handles of the side that waits here.
#[coro]
fn remotely_closed_channel(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let (sender, _full) = bounded(1);
    let (_empty, receiver) = bounded::<Value>(1);
    world.run.check(sender.try_send(world.run.new_value()).is_ok(), "a new channel was full");
    let (senders, receivers) = (sender.remote(), receiver.remote());
    world.run.timer_thread.run_later(world.random.micros(300), move || {
        senders.close();
        receivers.close();
    });
    let results = yield timeout((sender.send(world.run.new_value()), receiver.recv()), LONG);
    world.run.check(matches!(results, Ok((Err(_), Err(_)))), "a waiter did not notice that the channel was closed");
}

#[coro]
fn completed(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let some = yield as_completed((0..6).map(|turns| work(world.clone(), turns * 7 % 5)));
    for next in some.take(4) {
        yield next;
        world.run.pass_fault_point()?;
    }
}

#[coro]
fn pool(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let pool = ThreadPool::new(2);
    let (run, other) = (world.run.clone(), world.run.clone());
    let many = pool.map(move |micros| blocking(&run, micros), 0..6);
    let (values, _) = yield (many, run_in_thread(move || blocking(&other, 50)).raise());
    for value in values {
        value?;
    }
}

#[coro]
fn races(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let winner = {
        let world = world.clone();
        co! {
            // The spawned coroutine runs on if this one wins.
            drop(yield spawn(work(world.clone(), 5)));
            yield work(world, 3)
        }
    };
    yield race([cleans_up_slowly(world.clone()), winner, work(world.clone(), world.random.below(6))]);
    world.run.pass_fault_point()?;
}

#[coro]
fn timeouts(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    for _ in 0..3 {
        let wait = (cleans_up_slowly(world.clone()), work(world.clone(), 50));
        let result = yield timeout(wait, world.random.micros(300));
        world.run.check(result.is_err(), "an endless wait did not time out");
    }
    let result = yield timeout(work(world.clone(), 3), LONG);
    world.run.check(result.is_ok(), "a short wait timed out");
    world.run.pass_fault_point()?;
}

#[coro]
fn domains(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let result = yield isolate(work(world.clone(), 5));
    drop(result?);
    let inner = world.clone();
    let failing = co! {
        drop(yield spawn(cleans_up_slowly(inner.clone())));
        yield work(inner, 2);
        Err("an isolated failure")?;
    };
    let error = (yield isolate(failing)).expect_err("`failing` always fails");
    if error.to_string() != "an isolated failure" {
        Err(error)?;
    }
    world.run.pass_fault_point()?;
}

/// Two coroutines clean up at the same time, while others run.
#[coro]
fn slow_cleanup(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let shielded = shield((work(world.clone(), 4), sleep(world.random.micros(200))));
    let endless = timeout([cleans_up_slowly(world.clone()), cleans_up_slowly(world.clone())], world.random.micros(400));
    let (_, result, _) = yield (shielded, endless, work(world.clone(), 10));
    world.run.check(result.is_err(), "an endless wait did not time out");
}

/// A future that is ready at its second poll. It wakes itself at once, or another thread wakes it after `delay`.
async fn ready_at_second_poll(world: World, delay: Option<Duration>) -> Result<Value, InjectedError> {
    let held = world.run.new_value();
    let due = delay.map(|delay| Instant::now() + delay);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        if polls > 1 && due.is_none_or(|due| Instant::now() >= due) {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        match delay {
            None => waker.wake(),
            Some(delay) => world.run.timer_thread.run_later(delay, move || waker.wake()),
        }
        Poll::Pending
    })
    .await;
    world.run.pass_fault_point()?;
    Ok(held)
}

#[coro]
fn futures(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    ready_at_second_poll(world.clone(), None).await?;
    let delay = Some(world.random.micros(500));
    yield (from_future(ready_at_second_poll(world.clone(), delay)).raise(), work(world.clone(), 5));
}

/// Runs a loop inside the loop, then steps another and drops it unfinished.
#[coro]
fn loops(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    Loop::new().run((work(world.clone(), 5), sleep(world.random.micros(100))))?;
    let mut event_loop = Loop::new();
    // No fault points in this loop: its errors would be dropped with it.
    let mut runtime = event_loop.runtime([cleans_up_slowly(world.clone()), cleans_up_slowly(world.clone())]);
    for _ in 0..world.random.below(10) {
        match runtime.step() {
            Step::Ran => yield,
            Step::Idle(_) => break,
            Step::Done(_) => world.run.check(false, "an endless wait ended"),
        }
    }
}

/// Uses smol's timers and sockets in the loop, and a loop in smol in the loop.
#[cfg(feature = "smol")]
#[coro]
fn smol_futures(world: World) -> Coro<()> {
    use smol::Timer;
    use smol::net::UdpSocket;
    use tinyield::{from_smol, to_smol};

    let _held = world.run.start_coroutine();
    let held = world.run.new_value();
    let echo = from_smol(async move {
        let _held = held;
        let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
        one.send_to(b"hello", other.local_addr()?).await?;
        other.recv_from(&mut [0; 8]).await
    });
    let timer = from_smol(Timer::after(world.random.micros(300)));
    let inner = to_smol((work(world.clone(), 5), sleep(world.random.micros(100))));
    let ((length, _), _, _) = yield (echo.raise(), timer, from_smol(inner).raise());
    world.run.check(length == 5, "a packet was truncated");
    // A cancelled timer.
    let result = yield timeout(from_smol(Timer::after(LONG)), world.random.micros(200));
    world.run.check(result.is_err(), "a timer fired early");
    world.run.pass_fault_point()?;
}

/// Uses async-std's futures on its own threads, and a loop in async-std in the loop.
#[cfg(feature = "async-std")]
#[coro]
fn async_std_futures(world: World) -> Coro<()> {
    use async_std::task;
    use tinyield::{from_async_std, from_async_std_with, to_async_std};

    let _held = world.run.start_coroutine();
    let (run, seed, delay) = (world.run.clone(), world.random.next(), world.random.micros(300));
    let inner = from_async_std_with(move || to_async_std(work(World::new(run, seed), 5)));
    yield (from_async_std(task::sleep(delay)), inner.raise());
    let result = yield timeout(from_async_std(task::sleep(LONG)), world.random.micros(200));
    world.run.check(result.is_err(), "a sleep was too short");
    world.run.pass_fault_point()?;
}

/// The loop joins a closure that does not check for cancellation.
#[coro]
fn late_thread(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let (run, delay) = (world.run.clone(), world.random.micros(4_000));
    let late = run_in_thread(move || {
        let _running = run.start_closure();
        block(delay);
        run.new_value()
    });
    if (yield timeout(late, Duration::from_micros(500))).is_err() {
        world.run.record_effect();
    }
}

/// Two closures run and see their cancellation. Two wait for a thread and never start.
#[coro]
fn cancelled_closures(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let pool = ThreadPool::new(2);
    let closures: Vec<_> = (0..4)
        .map(|_| {
            let run = world.run.clone();
            pool.run_in_thread(move || {
                let _running = run.start_closure();
                while thread::checkpoint().is_ok() {
                    block(Duration::from_micros(20));
                }
                run.new_value()
            })
        })
        .collect();
    if (yield timeout(closures, world.random.micros(1_000))).is_err() {
        world.run.record_effect();
    }
}

/// Other threads use its wakers and remote handles after it has ended.
#[coro]
fn late_wakers(world: World) -> Coro<()> {
    let _held = world.run.start_coroutine();
    let (event, (sender, receiver)) = (Event::new(), bounded(1));
    let (inner, remote, sender) = (world.clone(), event.remote(), sender.remote());
    let delay = world.random.micros(10_000);
    world.run.timer_thread.run_later(delay, move || {
        remote.set();
        let _ = sender.send(()); // the receiver may be gone
    });
    let never_ready = from_future(poll_fn(move |context| {
        for _ in 0..3 {
            let waker = context.waker().clone();
            inner.run.timer_thread.run_later(inner.random.micros(10_000), move || waker.wake());
        }
        Poll::<()>::Pending
    }));
    let held = world.run.new_value();
    let sleeper = co! { let _held = held; yield sleep(LONG); };
    if (yield timeout((never_ready, event.wait(), receiver.recv(), sleeper), delay / 8)).is_err() {
        world.run.record_effect();
    }
}

/// Uses tokio's timers, sockets and tasks in the loop, and a loop in tokio in the loop.
#[cfg(feature = "tokio")]
#[coro]
fn tokio_futures(world: World) -> Coro<()> {
    use tinyield::{from_tokio, to_tokio};
    use tokio::net::UdpSocket;
    use tokio::time::sleep as timer;

    let _held = world.run.start_coroutine();
    let held = world.run.new_value();
    let echo = from_tokio(async move {
        let _held = held;
        let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
        let address = other.local_addr()?;
        let sent = tokio::spawn(async move { one.send_to(b"hello", address).await });
        let (length, _) = other.recv_from(&mut [0; 8]).await?;
        sent.await.map_err(std::io::Error::other)?.map(|sent| (sent, length))
    });
    let delay = world.random.micros(300);
    let inner = to_tokio((work(world.clone(), 5), sleep(world.random.micros(100))));
    let (lengths, (), _) =
        yield (echo.raise(), from_tokio(async move { timer(delay).await }), from_tokio(inner).raise());
    world.run.check(lengths == (5, 5), "a packet was truncated");
    // A cancelled timer.
    let result = yield timeout(from_tokio(async { timer(LONG).await }), world.random.micros(200));
    world.run.check(result.is_err(), "a timer fired early");
    world.run.pass_fault_point()?;
}
