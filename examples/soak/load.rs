//! The load: coroutines that use everything there is, each of which may fail at any place.

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

use crate::fault::{Fault, Raised};
use crate::run::{Run, Value, World};

/// Longer than a run may take: who waited for this would be found.
const LONG: Duration = Duration::from_secs(3600);

type Piece = fn(World) -> Coro<()>;

/// The pieces of the load, by name.
const PIECES: &[(&str, Piece)] = &[
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
    ("closed elsewhere", closed_elsewhere),
    ("completed", completed),
    ("pool", pool),
    ("races", races),
    ("limits", limits),
    ("domains", domains),
    ("polite", polite),
    ("futures", futures),
    ("loops", loops),
    #[cfg(feature = "smol")]
    ("smol", smol_futures),
    #[cfg(feature = "async-std")]
    ("async-std", async_std_futures),
];

/// Some of the pieces at once, chosen by the seed, and the fault if it is one of these.
pub fn program(run: Arc<Run>, seed: u64) -> Coro<()> {
    let fault = run.fault;
    let world = World::new(run, seed);
    let mut pieces: Vec<_> = (0..3 + world.random.below(4))
        .map(|_| {
            let (name, piece) = world.random.one_of(PIECES);
            piece(world.clone()).named(name)
        })
        .collect();
    match fault {
        Fault::Deadlock => pieces.push(co! { yield Event::new().wait(); }),
        Fault::LateThread => pieces.push(late_thread(world.clone())),
        Fault::CancelledClosure => pieces.push(cancelled_closures(world.clone())),
        Fault::LateWaker => pieces.push(late_wakers(world.clone())),
        _ => {}
    }
    co! {
        if fault == Fault::Timeout {
            if (yield timeout(pieces, world.random.micros(2_000))).is_err() {
                world.run.fire();
            }
        } else {
            yield pieces;
        }
    }
    .named("program")
}

/// A coroutine that does something for some turns, and gives a value.
#[coro]
fn work(world: World, turns: u64) -> Coro<Value> {
    let held = world.run.begins();
    for _ in 0..turns {
        yield;
        world.run.here()?;
    }
    held
}

/// What blocks for a moment, on a thread.
fn blocking(run: &Arc<Run>, micros: u64) -> Result<Value, Error> {
    let _at_work = run.at_work();
    run.here()?;
    block(Duration::from_micros(micros));
    thread::checkpoint()?;
    Ok(run.value())
}

/// What never comes, and says goodbye when it is cancelled.
#[coro]
fn says_goodbye(world: World) -> Coro<Value> {
    let held = world.run.begins();
    if let Err(cancelled) = yield catch(sleep(LONG)) {
        let last = held.clone();
        yield shield(co! { let _last = last; yield sleep(Duration::from_micros(50)); });
        Err(cancelled)?;
    }
    held
}

#[coro]
fn gather(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let many: Vec<_> = (0..world.random.below(20)).map(|turns| work(world.clone(), turns)).collect();
    let count = many.len();
    let (values, [_, _], _) =
        yield (many, [work(world.clone(), 1), work(world.clone(), 2)], Some(work(world.clone(), 3)));
    world.run.check(values.len() == count, "a gather lost a part");
}

#[coro]
fn diamond(world: World) -> Coro<()> {
    let _held = world.run.begins();
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
    let _held = world.run.begins();
    let handles = yield spawn([work(world.clone(), 3), work(world.clone(), world.random.below(10))]);
    drop(yield spawn(work(world.clone(), world.random.below(30))));
    world.run.here()?;
    yield handles;
}

#[coro]
fn sleeps(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let before = Instant::now();
    let due = before + world.random.micros(500);
    let naps: Vec<_> = (0..10).map(|_| sleep(world.random.micros(1_000))).collect();
    yield (naps, sleep_until(due));
    world.run.check(Instant::now() >= due, "a sleep was too short");
    world.run.here()?;
}

#[coro]
fn events(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let event = Event::new();
    world.at_the_end("nobody waits for an event", {
        let event = event.clone();
        move || event.statistics().waiting == 0
    });
    let waiters: Vec<_> = (0..5).map(|_| event.wait()).collect();
    let limited = event.wait_timeout(world.random.micros(300));
    if world.random.below(2) == 0 {
        let remote = event.remote();
        world.run.elsewhere.later(world.random.micros(600), move || remote.set());
        yield (waiters, limited);
    } else {
        let (setter, by) = (event.clone(), world.clone());
        yield (waiters, limited, co! { yield work(by, 3); setter.set(); });
    }
    event.clear();
    world.run.here()?;
}

#[coro]
fn semaphore(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let permits = Semaphore::new(3);
    world.at_the_end("all permits are back", {
        let permits = permits.clone();
        move || permits.available() == 3 && permits.statistics().waiting == 0
    });
    let many: Vec<_> = (0..12)
        .map(|turns| {
            let (world, permits) = (world.clone(), permits.clone());
            co! {
                // Every third of them may give up.
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
    let _held = world.run.begins();
    let count = Lock::new(0);
    world.at_the_end("nobody has the lock", {
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
    world.run.check(*(yield count.acquire()) == 8, "two had the lock at once");
}

#[coro]
fn barrier(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let gate = Barrier::new(4);
    world.at_the_end("nobody waits at the barrier", {
        let gate = gate.clone();
        move || gate.statistics().waiting == 0
    });
    let many: Vec<_> = (0..4)
        .map(|turns| {
            let (world, gate) = (world.clone(), gate.clone());
            co! {
                yield work(world.clone(), turns);
                let first = yield gate.wait();
                world.run.here()?;
                first + yield gate.wait()
            }
        })
        .collect();
    let places: usize = (yield many).iter().sum();
    world.run.check(places == 2 * (1 + 2 + 3), "a barrier let somebody through as somebody else");
}

#[coro]
fn channel(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let (sender, receiver) = bounded(2);
    let producers: Vec<_> = (0..3)
        .map(|_| {
            let (world, sender) = (world.clone(), sender.clone());
            co! {
                for _ in 0..5 {
                    world.run.here()?;
                    (yield sender.send(world.run.value()))?;
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

/// From a thread, through a coroutine, to a thread.
#[coro]
fn remote_channel(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let (local_sender, input) = bounded(2);
    let (output, local_receiver) = bounded(2);
    let (sender, receiver) = (local_sender.remote(), local_receiver.remote());
    // A channel ends with the last handle of a side: none is to stay behind here.
    drop((local_sender, local_receiver));
    let (run, by) = (world.run.clone(), world.clone());
    let producer = run_in_thread(move || {
        let _at_work = run.at_work();
        // It ends when nobody will receive.
        (0..10).take_while(|_| sender.send(run.value()).is_ok()).count()
    });
    let worker = co! {
        while let Ok(value) = yield input.recv() {
            by.run.here()?;
            (yield output.send(value))?;
        }
    };
    let run = world.run.clone();
    let consumer = run_in_thread(move || {
        let _at_work = run.at_work();
        receiver.iter().count()
    });
    let (sent, (), received) = yield (producer, worker, consumer);
    world.run.check((sent, received) == (10, 10), "a message was lost between threads");
}

/// Another thread closes channels, by ends of the side that waits here.
#[coro]
fn closed_elsewhere(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let (sender, _full) = bounded(1);
    let (_empty, receiver) = bounded::<Value>(1);
    world.run.check(sender.try_send(world.run.value()).is_ok(), "a new channel had no room");
    let (senders, receivers) = (sender.remote(), receiver.remote());
    world.run.elsewhere.later(world.random.micros(300), move || {
        senders.close();
        receivers.close();
    });
    let told = yield timeout((sender.send(world.run.value()), receiver.recv()), LONG);
    world.run.check(matches!(told, Ok((Err(_), Err(_)))), "who waited was not told that the channel was closed");
}

#[coro]
fn completed(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let some = yield as_completed((0..6).map(|turns| work(world.clone(), turns * 7 % 5)));
    for next in some.take(4) {
        yield next;
        world.run.here()?;
    }
}

#[coro]
fn pool(world: World) -> Coro<()> {
    let _held = world.run.begins();
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
    let _held = world.run.begins();
    let winner = {
        let world = world.clone();
        co! {
            // It goes on, whoever has won.
            drop(yield spawn(work(world.clone(), 5)));
            yield work(world, 3)
        }
    };
    yield race([says_goodbye(world.clone()), winner, work(world.clone(), world.random.below(6))]);
    world.run.here()?;
}

#[coro]
fn limits(world: World) -> Coro<()> {
    let _held = world.run.begins();
    for _ in 0..3 {
        let wait = (says_goodbye(world.clone()), work(world.clone(), 50));
        let late = yield timeout(wait, world.random.micros(300));
        world.run.check(late.is_err(), "what never comes was in time");
    }
    let early = yield timeout(work(world.clone(), 3), LONG);
    world.run.check(early.is_ok(), "what comes at once was late");
    world.run.here()?;
}

#[coro]
fn domains(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let well = yield isolate(work(world.clone(), 5));
    drop(well?);
    let inner = world.clone();
    let fails = co! {
        drop(yield spawn(says_goodbye(inner.clone())));
        yield work(inner, 2);
        Err("a failure of its own")?;
    };
    let error = (yield isolate(fails)).expect_err("it always fails");
    if error.to_string() != "a failure of its own" {
        Err(error)?;
    }
    world.run.here()?;
}

/// Two that clean up at once, while others go on.
#[coro]
fn polite(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let shielded = shield((work(world.clone(), 4), sleep(world.random.micros(200))));
    let two = timeout([says_goodbye(world.clone()), says_goodbye(world.clone())], world.random.micros(400));
    let (_, two, _) = yield (shielded, two, work(world.clone(), 10));
    world.run.check(two.is_err(), "what never comes was in time");
}

/// Ready at the second time that it is polled; woken at once, or from another thread.
async fn second_time(world: World, delay: Option<Duration>) -> Result<Value, Raised> {
    let held = world.run.value();
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
            Some(delay) => world.run.elsewhere.later(delay, move || waker.wake()),
        }
        Poll::Pending
    })
    .await;
    world.run.here()?;
    Ok(held)
}

#[coro]
fn futures(world: World) -> Coro<()> {
    let _held = world.run.begins();
    second_time(world.clone(), None).await?;
    let delay = Some(world.random.micros(500));
    yield (from_future(second_time(world.clone(), delay)).raise(), work(world.clone(), 5));
}

/// Loops in loops: one that is run, and one that is stepped and dropped half-way.
#[coro]
fn loops(world: World) -> Coro<()> {
    let _held = world.run.begins();
    Loop::new().run((work(world.clone(), 5), sleep(world.random.micros(100))))?;
    let mut event_loop = Loop::new();
    // Nothing in it fails: nobody would hear of that.
    let mut runtime = event_loop.runtime([says_goodbye(world.clone()), says_goodbye(world.clone())]);
    for _ in 0..world.random.below(10) {
        match runtime.step() {
            Step::Ran => yield,
            Step::Idle(_) => break,
            Step::Done(_) => world.run.check(false, "what never comes came"),
        }
    }
}

/// Smol's timers and sockets in the loop; and a loop in smol in the loop.
#[cfg(feature = "smol")]
#[coro]
fn smol_futures(world: World) -> Coro<()> {
    use smol::Timer;
    use smol::net::UdpSocket;
    use tinyield::{from_smol, to_smol};

    let _held = world.run.begins();
    let held = world.run.value();
    let echo = from_smol(async move {
        let _held = held;
        let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
        one.send_to(b"hello", other.local_addr()?).await?;
        other.recv_from(&mut [0; 8]).await
    });
    let timer = from_smol(Timer::after(world.random.micros(300)));
    let inner = to_smol((work(world.clone(), 5), sleep(world.random.micros(100))));
    let ((length, _), _, _) = yield (echo.raise(), timer, from_smol(inner).raise());
    world.run.check(length == 5, "a packet was cut");
    // And one that is cancelled.
    let late = yield timeout(from_smol(Timer::after(LONG)), world.random.micros(200));
    world.run.check(late.is_err(), "a timer was early");
    world.run.here()?;
}

/// Async-std's futures, on its own threads; and a loop in async-std in the loop.
#[cfg(feature = "async-std")]
#[coro]
fn async_std_futures(world: World) -> Coro<()> {
    use async_std::task;
    use tinyield::{from_async_std, from_async_std_with, to_async_std};

    let _held = world.run.begins();
    let (run, seed, delay) = (world.run.clone(), world.random.next(), world.random.micros(300));
    let inner = from_async_std_with(move || to_async_std(work(World::new(run, seed), 5)));
    yield (from_async_std(task::sleep(delay)), inner.raise());
    let late = yield timeout(from_async_std(task::sleep(LONG)), world.random.micros(200));
    world.run.check(late.is_err(), "a sleep was too short");
    world.run.here()?;
}

/// A closure that does not look is waited for all the same.
#[coro]
fn late_thread(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let (run, delay) = (world.run.clone(), world.random.micros(4_000));
    let late = run_in_thread(move || {
        let _at_work = run.at_work();
        block(delay);
        run.value()
    });
    if (yield timeout(late, Duration::from_micros(500))).is_err() {
        world.run.fire();
    }
}

/// Two have a thread, and are told; two wait for one, and never begin.
#[coro]
fn cancelled_closures(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let pool = ThreadPool::new(2);
    let closures: Vec<_> = (0..4)
        .map(|_| {
            let run = world.run.clone();
            pool.run_in_thread(move || {
                let _at_work = run.at_work();
                while thread::checkpoint().is_ok() {
                    block(Duration::from_micros(20));
                }
                run.value()
            })
        })
        .collect();
    if (yield timeout(closures, world.random.micros(1_000))).is_err() {
        world.run.fire();
    }
}

/// Its wakers and its remote handles are used when it is over.
#[coro]
fn late_wakers(world: World) -> Coro<()> {
    let _held = world.run.begins();
    let (event, (sender, receiver)) = (Event::new(), bounded(1));
    let (by, remote, sender) = (world.clone(), event.remote(), sender.remote());
    let delay = world.random.micros(10_000);
    world.run.elsewhere.later(delay, move || {
        remote.set();
        let _ = sender.send(()); // the receiver may be gone
    });
    let never = from_future(poll_fn(move |context| {
        for _ in 0..3 {
            let waker = context.waker().clone();
            by.run.elsewhere.later(by.random.micros(10_000), move || waker.wake());
        }
        Poll::<()>::Pending
    }));
    let held = world.run.value();
    let late = timeout((never, event.wait(), receiver.recv(), co! { let _held = held; yield sleep(LONG); }), delay / 8);
    if (yield late).is_err() {
        world.run.fire();
    }
}
