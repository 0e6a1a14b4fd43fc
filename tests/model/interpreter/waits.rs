//! The waits of the language, as waits of tinyield.
//!
//! Waits have many types, and a program selects one of them at run time. So a wait is a tuple of options, at most one of which is `Some`.
//! The tuple waits for this one.

use std::time::Duration;

use tinyield::sync::{Acquire, EventWait, EventWaitTimeout};
use tinyield::time::{Sleep, Timeout};
use tinyield::wait::{Catch, Emit, Isolate, Next, Race, Shield};
use tinyield::{
    Abortable, Aborted, Coro, Error, JoinHandle, LoopError, Permit, Shared, TimedOut, abortable, bracket, catch,
    finally, isolate, race, shield, sleep, timeout,
};

use super::world::{Emits, Emitted, Kept, Life, World};
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
    (Option<Shield<Value>>, Option<Abortable<Coro<Value>>>, Option<Next<Emitted>>, Option<Emit<Emitted>>),
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
    (Option<Value>, Option<Result<Value, Aborted>>, Option<Option<Emitted>>, Option<()>),
);

pub type LeafWait = (Option<Sleep>, Option<EventWait>, Option<EventWaitTimeout>);
pub type LeafOutput = (Option<()>, Option<()>, Option<bool>);

/// For each part of a gather: its output, or, if the part is caught, its result.
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

pub fn part(part: &Part, life: &Life, emitter: Option<&Emits>, kept: &mut Kept) -> PartWait {
    let world = &life.world;
    let mut wait = PartWait::default();
    match part {
        Part::Turn => {}
        Part::Run(body) => wait.0 = Some(start(body, world)),
        Part::Shared(shared) => wait.1 = Some(world.shared.borrow()[*shared].clone()),
        Part::Join => wait.2 = kept.handles.pop_front(),
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
        Part::Next => wait.11.2 = kept.next(world),
        Part::Emit => wait.11.3 = emitter.map(|emitter| emitter.emit(life.value())),
        Part::Finally(bodies) => {
            let [work, cleanup] = &**bodies;
            let (cleanup, inside) = (cleanup.clone(), world.clone());
            wait.0 = Some(finally(start(work, world), move || start(&cleanup, &inside)));
        }
        Part::Bracket(bodies) => {
            let [open, work, close] = &**bodies;
            let (work, close, inside, outside) = (work.clone(), close.clone(), world.clone(), world.clone());
            let using = move |_| start(&work, &inside);
            wait.0 = Some(bracket(start(open, world), using, move |_| start(&close, &outside)));
        }
    }
    wait
}

pub fn parts(
    all: &[(Part, bool)],
    life: &Life,
    emitter: Option<&Emits>,
    kept: &mut Kept,
) -> Vec<(Option<PartWait>, Option<Catch<PartWait>>)> {
    let mut waits = Vec::new();
    for (one, catches) in all {
        let wait = part(one, life, emitter, kept);
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
