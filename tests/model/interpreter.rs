//! Runs programs on tinyield, and logs what can be seen.
//!
//! Each statement of the language is the operation of tinyield with the same name. The loop is a simulated one, so a tick takes no
//! real time, and no run depends on the speed of the machine.

mod describe;
mod waits;
mod world;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tinyield::{Coro, Error, Loop, LoopError, Step, catch, co, race, shield, sleep, spawn, stream};

use super::Observed;
use super::program::{Body, Drive, Program, Statement, Wait};

use describe::{describe, describe_all, describe_leaf, describe_next, describe_result, loop_error_text};
use waits::{duration, grouping, leaf, part, parts};
use world::{Emits, Kept, Life, World};

/// A coroutine's value is its number.
type Value = usize;

/// A run that takes more steps is dropped.
const MAX_STEPS: usize = 100_000;

pub fn run(program: &Program, seed: u64) -> Observed {
    let grouping = grouping(program.grouping);
    let mut event_loop = Loop::builder().grouping(grouping).simulated(seed).panic_trace(false).build();
    let world = World::new(event_loop.stop_handle());
    for body in &program.shared {
        let shared = start(body, &world).shared();
        world.shared.borrow_mut().push(shared);
    }
    let main = start(&program.main, &world);
    let result = match program.drive {
        Drive::Run => catch_unwind(AssertUnwindSafe(|| Some(event_loop.run(main)))),
        _ => catch_unwind(AssertUnwindSafe(|| run_steps(program.drive, &mut event_loop, main, &world))),
    };
    let result = match result {
        Err(payload) if payload.is::<FirstPanic>() => "panic".to_string(),
        Err(_) => "a later panic".to_string(),
        Ok(None) => "dropped".to_string(),
        Ok(Some(Ok(value))) => format!("value c{value}"),
        Ok(Some(Err(error))) => loop_error_text(&error),
    };
    Observed { result: result + &world.leftovers(), log: world.log.take(), ..Observed::default() }
}

/// Runs the loop step by step. `None` if the runtime was dropped before the end.
fn run_steps(
    drive: Drive,
    event_loop: &mut Loop,
    main: Coro<Value>,
    world: &World,
) -> Option<Result<Value, LoopError>> {
    let mut runtime = event_loop.runtime(main);
    let mut is_stopped = false;
    for _ in 0..MAX_STEPS {
        match drive {
            Drive::StopAt(line) if !is_stopped && world.log.borrow().len() >= line => {
                is_stopped = true;
                world.stop.stop();
            }
            Drive::DropAt(line) if world.log.borrow().len() >= line => break,
            _ => {}
        }
        match runtime.step() {
            Step::Ran => {}
            Step::Done(result) => return Some(result),
            Step::Idle(_) if is_stopped => break,
            Step::Idle(_) => {
                is_stopped = true;
                world.stop.stop();
            }
        }
    }
    // The drop runs the work behind shields to its end.
    drop(runtime);
    None
}

/// The payload of the first panic, which has to come out of the run.
struct FirstPanic;

/// The payload of later panics. They are forgotten, so it owns no memory.
struct LaterPanic;

/// The coroutine that runs `body`.
fn start(body: &Body, world: &World) -> Coro<Value> {
    coroutine(body, world, None, |value| value)
}

/// As [`start`]. The coroutine gives the values of a stream to `emitter`, and passes its own value to `finish`.
fn coroutine<T: 'static>(body: &Body, world: &World, emitter: Option<Emits>, finish: fn(Value) -> T) -> Coro<T> {
    let (body, world) = (body.clone(), world.clone());
    let name = format!("c{}", body.id);
    let coro = co! {
        // Later declarations are dropped first.
        let emitter = emitter;
        let life = Life::begin(body.id, &world);
        let mut permits = VecDeque::new();
        let mut kept = Kept::default();
        let mut caught = None::<Error>;
        for (at, statement) in body.statements.iter().enumerate() {
            life.at.set(at);
            match statement {
                Statement::Wait { wait: Wait::One(one), catch: false } => {
                    let output = yield part(one, &life, emitter.as_ref(), &mut kept);
                    life.log(&describe(&output, &mut caught));
                }
                Statement::Wait { wait: Wait::One(one), catch: true } => {
                    let output = yield catch(part(one, &life, emitter.as_ref(), &mut kept));
                    life.log(&describe_result(&output, &mut caught, describe));
                }
                Statement::Wait { wait: Wait::All(all), catch: false } => {
                    let output = yield parts(all, &life, emitter.as_ref(), &mut kept);
                    life.log(&describe_all(&output, &mut caught));
                }
                Statement::Wait { wait: Wait::All(all), catch: true } => {
                    let output = yield catch(parts(all, &life, emitter.as_ref(), &mut kept));
                    life.log(&describe_result(&output, &mut caught, describe_all));
                }
                Statement::Wait { wait: Wait::Shield(inner), catch: false } => {
                    let value = yield shield(start(inner, &world));
                    life.log(&format!("gets c{value}"));
                }
                Statement::Wait { wait: Wait::Shield(inner), catch: true } => {
                    let output = yield catch(shield(start(inner, &world)));
                    life.log(&describe_result(&output, &mut caught, |value, _| format!("gets c{value}")));
                }
                Statement::Wait { wait: Wait::ShieldLeaf(inner), catch: false } => {
                    let output = yield shield(leaf(*inner, &world));
                    life.log(&describe_leaf(&output));
                }
                Statement::Wait { wait: Wait::ShieldLeaf(inner), catch: true } => {
                    let output = yield catch(shield(leaf(*inner, &world)));
                    life.log(&describe_result(&output, &mut caught, |output, _| describe_leaf(output)));
                }
                Statement::RaceLeaves { semaphore, event, limit, catch: catches } => {
                    let sleep = sleep(duration(*limit));
                    let waits = (
                        world.semaphores[*semaphore].acquire().map(|permit| (0, Some(permit))),
                        world.events[*event].wait().map(|()| (1, None)),
                        sleep.map(|()| (2, None)),
                    );
                    let output = if *catches { yield catch(race(waits)) } else { Ok(yield race(waits)) };
                    life.log(&describe_result(&output, &mut caught, |(index, _), _| format!("wins {index}")));
                }
                Statement::RaceNext { event, limit, catch: catches } => {
                    if let Some(next) = kept.next(&world) {
                        let sleep = sleep(duration(*limit));
                        let waits = (
                            next.map(|value| (0, Some(value))),
                            world.events[*event].wait().map(|()| (1, None)),
                            sleep.map(|()| (2, None)),
                        );
                        let output = if *catches { yield catch(race(waits)) } else { Ok(yield race(waits)) };
                        life.log(&describe_result(&output, &mut caught, |(index, next), _| match next {
                            Some(next) => format!("wins {index} and {}", describe_next(next.as_ref())),
                            None => format!("wins {index}"),
                        }));
                    }
                }
                Statement::Open(inner) => {
                    let world = world.clone();
                    kept.streams.push_back(stream(move |out| coroutine(inner, &world, Some(out), drop)));
                }
                Statement::Close => drop(kept.take_stream(&world)),
                Statement::Leave => {
                    let left = kept.streams.pop_front();
                    world.streams.borrow_mut().extend(left);
                }
                Statement::Hold(semaphore) => {
                    permits.push_back(yield world.semaphores[*semaphore].acquire());
                    life.log("gets a permit");
                }
                Statement::Release => drop(permits.pop_front()),
                Statement::Spawn(inner) => {
                    kept.handles.push_back(yield spawn(start(inner, &world)));
                    life.log("gets a handle");
                }
                Statement::SpawnShared(shared) => {
                    let shared = world.shared.borrow()[*shared].clone();
                    yield spawn(shared);
                    life.log("gets a handle");
                }
                Statement::Set(event) => world.events[*event].set(),
                Statement::Clear(event) => world.events[*event].clear(),
                Statement::Raise => {
                    life.end.set("raises");
                    Err(format!("e{}.{at}", body.id))?;
                }
                Statement::RaiseCaught => {
                    if let Some(error) = caught.take() {
                        life.end.set("raises");
                        Err(error)?;
                    }
                }
                Statement::Panic => {
                    life.end.set("panics");
                    // As `panic!`, but without the message on the standard error.
                    resume_unwind(if world.has_panicked.replace(true) { Box::new(LaterPanic) } else { Box::new(FirstPanic) });
                }
                Statement::Abort => {
                    let oldest = world.abort_handles.borrow_mut().pop_front();
                    if let Some(handle) = oldest {
                        handle.abort();
                    }
                }
                Statement::Stop => world.stop.stop(),
                Statement::Return => break,
                Statement::Swallow(times) => {
                    for _ in 0..*times {
                        let turn = yield catch(());
                        drop(turn);
                    }
                    life.log("goes on");
                }
            }
        }
        life.end.set("ends");
        finish(body.id)
    };
    coro.named(name)
}
