//! Each peer's own timers.

use std::cell::Cell;
use std::future::pending;
use std::process;
use std::rc::Rc;
use std::time::Duration;

use super::memory::Memory;
use super::naps::{Naps, Plan};
use super::{LIMIT, LONG, LONGEST, SLEEPERS, TIMEOUTS, nap};
use crate::harness::{Gate, Measured, Stopwatch, machine};
use crate::peers::Timed;

pub fn sleeps<P: Timed>() -> Measured {
    let stopwatch = Stopwatch::start();
    P::run_timed(|peer| async move {
        let woken = Gate::new(SLEEPERS);
        for i in 0..SLEEPERS {
            let (of_task, woken) = (peer.clone(), Rc::clone(&woken));
            peer.detach(async move {
                of_task.sleep(nap(i, LONGEST)).await;
                woken.pass();
            });
        }
        woken.opened().await;
    });
    Measured { figures: vec![stopwatch.elapsed().as_secs_f64(), machine::peak_mib()], note: None }
}

pub fn naps<P: Timed>(plan: Plan) -> Measured {
    P::run_timed(move |peer| async move {
        let naps = Naps::new(plan);
        for _ in 0..plan.tasks {
            let (of_task, naps) = (peer.clone(), Rc::clone(&naps));
            peer.detach(async move {
                naps.start();
                loop {
                    let nap = naps.next();
                    of_task.sleep(nap).await;
                    naps.woken(nap);
                }
            });
        }
        pending().await
    })
}

/// Ends the process, because dropping the sleepers, or waiting for them, is not part of the measurement.
pub fn bytes<P: Timed>(sleepers: usize) -> Measured {
    let before = Memory::now();
    P::run_timed(move |peer| async move {
        let asleep = Rc::new(Cell::new(0));
        // Started a few at a time, so that the memory of a long queue does not count.
        for i in 0..sleepers {
            let (of_task, asleep) = (peer.clone(), Rc::clone(&asleep));
            peer.detach(async move {
                asleep.update(|asleep| asleep + 1);
                of_task.sleep(LONG).await;
                unreachable!("it sleeps for a long time");
            });
            if i % 100 == 0 {
                peer.turn().await;
            }
        }
        peer.sleep(Duration::from_millis(10)).await;
        assert_eq!(asleep.get(), sleepers);
        before.per_task(sleepers).print();
        process::exit(0);
    })
}

pub fn timeout<P: Timed>() -> Measured {
    P::run_timed(|peer| async move {
        let mut stopwatch = Stopwatch::start();
        for i in 0..2 * TIMEOUTS {
            if i == TIMEOUTS {
                stopwatch = Stopwatch::start();
            }
            assert_eq!(peer.timeout(LIMIT, peer.turn()).await, Some(()));
        }
        stopwatch.per(TIMEOUTS)
    })
}
