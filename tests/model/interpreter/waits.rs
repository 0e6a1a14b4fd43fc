//! The waits of the language, as waits of tinyield.
//!
//! They are of many types, and a program decides which one it is. So a wait is a tuple of options of which at most one
//! is `Some`, and waits for that one.

use std::collections::VecDeque;
use std::time::Duration;

use tinyield::sync::{Acquire, EventWait, EventWaitTimeout};
use tinyield::time::{Sleep, Timeout};
use tinyield::wait::{Catch, Isolate, Race, Shield};
use tinyield::{
    Abortable, Aborted, Coro, Error, JoinHandle, LoopError, Permit, Shared, TimedOut, abortable, catch, isolate, race,
    shield, sleep, timeout,
};

use super::world::World;
use super::{Value, start};
use crate::model::program::{Grouping, Leaf, Limit, Part};

pub type PartWait = (
    Option<Coro<Value>>,
    Option<Shared<Value>>,
    Option<JoinHandle<Value>>,
    Option<Sleep>,
    Option<EventWait>,
    Option<EventWaitTimeout>,
    Option<Acquire>,
    Option<Timeout<Value>>,
    Option<Timeout<LeafOutput>>,
    Option<Race<Value>>,
    Option<Isolate<Value>>,
    (Option<Shield<Value>>, Option<Abortable<Coro<Value>>>),
);

pub type PartOutput = (
    Option<Value>,
    Option<Value>,
    Option<Value>,
    Option<()>,
    Option<()>,
    Option<bool>,
    Option<Permit>,
    Option<Result<Value, TimedOut>>,
    Option<Result<LeafOutput, TimedOut>>,
    Option<Value>,
    Option<Result<Value, LoopError>>,
    (Option<Value>, Option<Result<Value, Aborted>>),
);

pub type LeafWait = (Option<Sleep>, Option<EventWait>, Option<EventWaitTimeout>);
pub type LeafOutput = (Option<()>, Option<()>, Option<bool>);

/// An output of a gather is that of the part, or that of the caught part.
pub type PartsOutput = Vec<(Option<PartOutput>, Option<Result<PartOutput, Error>>)>;

pub fn leaf(leaf: Leaf, world: &World) -> LeafWait {
    let mut wait = LeafWait::default();
    match leaf {
        Leaf::Sleep(limit) => wait.0 = Some(sleep(duration(limit))),
        Leaf::Event(event) => wait.1 = Some(world.events[event].wait()),
        Leaf::EventTimeout(event, limit) => wait.2 = Some(world.events[event].wait_timeout(duration(limit))),
    }
    wait
}

pub fn part(part: &Part, world: &World, handles: &mut VecDeque<JoinHandle<Value>>) -> PartWait {
    let mut wait = PartWait::default();
    match part {
        Part::Turn => {}
        Part::Run(body) => wait.0 = Some(start(body, world)),
        Part::Shared(shared) => wait.1 = Some(world.shared.borrow()[*shared].clone()),
        Part::Join => wait.2 = handles.pop_front(),
        Part::Leaf(inner) => (wait.3, wait.4, wait.5) = leaf(*inner, world),
        Part::Acquire(semaphore) => wait.6 = Some(world.semaphores[*semaphore].acquire()),
        Part::Timeout(body, limit) => wait.7 = Some(timeout(start(body, world), duration(*limit))),
        Part::TimeoutLeaf(inner, limit) => {
            let inner = leaf(*inner, world);
            wait.8 = Some(timeout(inner, duration(*limit)));
        }
        Part::Race(bodies) => wait.9 = Some(race(bodies.iter().map(|body| start(body, world)).collect::<Vec<_>>())),
        Part::Isolate(body, inner) => wait.10 = Some(isolate(start(body, world)).grouping(grouping(*inner))),
        Part::Contain(body) => wait.10 = Some(isolate(start(body, world)).catch_unwind()),
        Part::Abortable(body) => {
            let (abortable, handle) = abortable(start(body, world));
            world.abort_handles.borrow_mut().push_back(handle);
            wait.11.1 = Some(abortable);
        }
        Part::Shield(body) => wait.11.0 = Some(shield(start(body, world))),
    }
    wait
}

pub fn parts(
    all: &[(Part, bool)],
    world: &World,
    handles: &mut VecDeque<JoinHandle<Value>>,
) -> Vec<(Option<PartWait>, Option<Catch<PartWait>>)> {
    let mut waits = Vec::new();
    for (one, catches) in all {
        let wait = part(one, world, handles);
        waits.push(if *catches { (None, Some(catch(wait))) } else { (Some(wait), None) });
    }
    waits
}

pub fn duration(limit: Limit) -> Duration {
    const TICK: Duration = Duration::from_secs(3600);
    match limit {
        Limit::Zero => Duration::ZERO,
        Limit::Ticks(ticks) => TICK * u32::try_from(ticks).expect("programs are short"),
        Limit::Never => Duration::MAX,
    }
}

pub fn grouping(grouping: Grouping) -> tinyield::Grouping {
    match grouping {
        Grouping::Auto => tinyield::Grouping::Auto,
        Grouping::Never => tinyield::Grouping::Never,
        Grouping::Always => tinyield::Grouping::Always,
    }
}
