//! A loop and a channel give back the memory that a burst of work needed.

use std::cell::Cell;
use std::time::Duration;

use tinyield::channel::{Receiver, Sender, unbounded};
use tinyield::{Coro, Event, Loop, co, from_future, race, spawn, timeout};

use crate::allocations;
use crate::common::{FOREVER, wakes_itself};

/// The bytes that stay allocated after `burst` and a hundred ordinary operations. Another coroutine keeps the loop running.
fn kept_after(burst: impl FnOnce() -> Coro<()> + 'static) -> isize {
    let main = co! {
        let end = Event::new();
        let ends = end.clone();
        yield spawn(co! { let _ = yield timeout(end.wait(), FOREVER); });
        yield;
        yield;
        let before = allocations::live();
        yield burst();
        for _ in 0..100 {
            yield co! { yield; };
            let _ = yield timeout(co! {}, FOREVER);
            yield from_future(async {});
        }
        let kept = allocations::live() - before;
        ends.set();
        kept
    };
    Loop::new().run(main).unwrap()
}

const BURST: usize = 100_000;

#[test]
fn a_loop_keeps_little_of_the_memory_of_a_burst() {
    type Burst = fn() -> Coro<()>;
    let bursts: [(&str, Burst); 5] = [
        ("coroutines", || co! { yield (0..BURST).map(|_| co! { yield; yield; }).collect::<Vec<_>>(); }),
        ("scopes", || {
            co! { yield (0..BURST).map(|_| race([co! { yield; yield; }, co! { yield Event::new().wait(); }])).collect::<Vec<_>>(); }
        }),
        ("foreign futures", || {
            co! { yield (0..BURST).map(|_| from_future(wakes_itself(2))).collect::<Vec<_>>(); }
        }),
        ("cancellations", || {
            co! {
                let waits: Vec<_> = (0..BURST).map(|_| co! { yield Event::new().wait(); }).collect();
                let _ = yield timeout(waits, Duration::ZERO);
            }
        }),
        ("messages", || {
            let (sender, receiver) = unbounded::<usize>();
            CHANNEL.set(Some((sender.clone(), receiver.clone())));
            co! {
                (0..BURST).for_each(|number| sender.try_send(number).unwrap());
                while receiver.try_recv().is_ok() {}
            }
        }),
    ];
    for (what, burst) in bursts {
        let kept = kept_after(burst);
        assert!(kept < 100_000, "{kept} bytes after a burst of {what}");
    }
}

/// After the burst, one task is ready in each round.
#[test]
fn a_loop_with_one_task_keeps_little_of_the_memory_of_a_burst() {
    let main = co! {
        yield;
        let before = allocations::live();
        yield (0..BURST).map(|_| co! {}).collect::<Vec<_>>();
        for _ in 0..10 { yield; }
        allocations::live() - before
    };
    let kept = Loop::new().run(main).unwrap();
    assert!(kept < 100_000, "{kept} bytes");
}

thread_local! {
    /// A channel that outlives the burst of its messages.
    static CHANNEL: Cell<Option<(Sender<usize>, Receiver<usize>)>> = const { Cell::new(None) };
}
