//! A little language of coroutines.
//!
//! A program has a main coroutine, some shared ones, two events and two semaphores, and a way to be driven. Its
//! statements are the operations of tinyield whose interplay is worth a test: gather, spawn, share, sleep, events,
//! permits, timeouts, races, streams, domains, shields, cleanups, catching, raising, panicking and stopping.

mod bytes;
mod print;
mod shrink;

/// The number of events, the permits of each semaphore, and the number of shared coroutines of a program.
pub const EVENTS: usize = 2;
pub const PERMITS: [usize; 2] = [1, 2];
pub const SHARED: usize = 3;

#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub grouping: Grouping,
    pub drive: Drive,
    pub main: Body,
    pub shared: Vec<Body>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grouping {
    Auto,
    Never,
    Always,
}

/// How the loop is run, and what happens to it from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drive {
    /// By `Loop::run`, where waiting for nothing is a deadlock.
    Run,
    /// Step by step. If the loop is idle without a deadline, it is stopped. If it is idle again, it is dropped.
    Step,
    /// Step by step, and stopped when the log has this number of lines.
    StopAt(usize),
    /// Step by step, and dropped when the log has this number of lines.
    DropAt(usize),
}

/// One coroutine. It is started at most once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    pub id: usize,
    pub statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Yields a wait, and logs its output.
    Wait {
        wait: Wait,
        catch: bool,
    },
    /// Races a permit of this semaphore against this event and a sleep.
    RaceLeaves {
        semaphore: usize,
        event: usize,
        limit: Limit,
        catch: bool,
    },
    /// Acquires a permit of this semaphore, and keeps the permit.
    Hold(usize),
    /// Releases the permit that the coroutine has held longest, if it holds any.
    Release,
    /// Starts a coroutine in the background, and keeps the handle.
    Spawn(Body),
    /// Makes a stream of a coroutine, and keeps it.
    Open(Body),
    /// Drops the stream that [`Part::Next`] would read.
    Close,
    /// Leaves the oldest stream of the coroutine to all coroutines of the program.
    Leave,
    /// Races the next value of the stream that [`Part::Next`] would read against this event and a sleep. Does nothing if there
    /// is no stream.
    RaceNext {
        event: usize,
        limit: Limit,
        catch: bool,
    },
    SpawnShared(usize),
    Set(usize),
    Clear(usize),
    Raise,
    /// Raises the error that the coroutine caught last, if it caught any.
    RaiseCaught,
    Panic,
    /// Calls the oldest abort handle of the program that was not called yet, if there is one.
    Abort,
    /// Requests a stop of the loop.
    Stop,
    /// Ends the coroutine.
    Return,
    /// Yields a turn this number of times in a row, and catches the errors.
    Swallow(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    One(Part),
    /// A gather. The flag says whether the part is caught.
    All(Vec<(Part, bool)>),
    Shield(Body),
    ShieldLeaf(Leaf),
}

/// A wait that may be part of a gather.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Turn,
    Run(Body),
    Shared(usize),
    /// The oldest handle that the coroutine keeps, or a turn if it keeps none.
    Join,
    Leaf(Leaf),
    Acquire(usize),
    Timeout(Body, Limit),
    TimeoutLeaf(Leaf, Limit),
    /// The abort handle of this work is the newest of the program.
    Abortable(Body),
    Race(Vec<Body>),
    Isolate(Body, Grouping),
    /// A domain that contains panics, too.
    Contain(Body),
    Shield(Body),
    /// Work, and its cleanup.
    Finally(Box<[Body; 2]>),
    /// The opening, the use, and the closing.
    Bracket(Box<[Body; 3]>),
    /// The next value of the oldest stream that the coroutine keeps. If it keeps none: of the oldest stream that was left to all. If there
    /// is no stream: a turn.
    Next,
    /// Gives a value, or is a turn if the coroutine is not that of a stream.
    Emit,
}

/// A wait that starts no coroutine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaf {
    Sleep(Limit),
    Event(usize),
    EventTimeout(usize, Limit),
}

/// A duration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Zero,
    Ticks(usize),
    Never,
}

impl Program {
    /// Gives each coroutine its number: the main one first, and each before those that it starts.
    fn number(&mut self) {
        let mut next = 0;
        let mut bodies: Vec<&mut Body> = vec![&mut self.main];
        bodies.extend(&mut self.shared);
        for body in bodies {
            number(body, &mut next);
        }
    }
}

fn number(body: &mut Body, next: &mut usize) {
    body.id = *next;
    *next += 1;
    for statement in &mut body.statements {
        for inner in statement.bodies() {
            number(inner, next);
        }
    }
}

impl Statement {
    /// The coroutines that the statement starts.
    fn bodies(&mut self) -> Vec<&mut Body> {
        match self {
            Statement::Spawn(body) | Statement::Open(body) => vec![body],
            Statement::Wait { wait, .. } => match wait {
                Wait::One(part) => part.bodies(),
                Wait::All(parts) => parts.iter_mut().flat_map(|(part, _)| part.bodies()).collect(),
                Wait::Shield(body) => vec![body],
                Wait::ShieldLeaf(_) => vec![],
            },
            _ => vec![],
        }
    }
}

impl Part {
    fn bodies(&mut self) -> Vec<&mut Body> {
        match self {
            Part::Run(body)
            | Part::Timeout(body, _)
            | Part::Isolate(body, _)
            | Part::Contain(body)
            | Part::Abortable(body)
            | Part::Shield(body) => vec![body],
            Part::Race(bodies) => bodies.iter_mut().collect(),
            Part::Finally(bodies) => bodies.iter_mut().collect(),
            Part::Bracket(bodies) => bodies.iter_mut().collect(),
            _ => vec![],
        }
    }
}
