//! The state that the coroutines of a program share, and a check of it after the run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tinyield::wait::Next;
use tinyield::{AbortHandle, Emitter, Event, JoinHandle, Semaphore, Shared, StopHandle, Stream};

use super::Value;
use crate::model::program::{EVENTS, PERMITS};

#[derive(Clone)]
pub struct World {
    pub log: Rc<RefCell<Vec<String>>>,
    pub events: Vec<Event>,
    pub semaphores: Vec<Semaphore>,
    pub shared: Rc<RefCell<Vec<Shared<Value>>>>,
    pub stop: StopHandle,
    pub has_panicked: Rc<Cell<bool>>,
    /// The handles that were not called yet, the oldest first.
    pub abort_handles: Rc<RefCell<VecDeque<AbortHandle>>>,
    /// The streams that coroutines have left to all others, the oldest first.
    pub streams: Rc<RefCell<VecDeque<Stream<Emitted>>>>,
}

/// A value of a stream: the number of the coroutine that gave it, and the index of the statement.
pub type Emitted = (Value, usize);
pub type Emits = Emitter<Emitted>;

/// The handles and the streams that a coroutine keeps.
#[derive(Default)]
pub struct Kept {
    pub handles: VecDeque<JoinHandle<Value>>,
    pub streams: VecDeque<Stream<Emitted>>,
}

impl Kept {
    /// The wait for the next value of the oldest stream.
    pub fn next(&self, world: &World) -> Option<Next<Emitted>> {
        let left = world.streams.borrow();
        self.streams.front().or(left.front()).map(Stream::next)
    }

    pub fn take_stream(&mut self, world: &World) -> Option<Stream<Emitted>> {
        self.streams.pop_front().or_else(|| world.streams.borrow_mut().pop_front())
    }
}

impl World {
    pub fn new(stop: StopHandle) -> World {
        World {
            log: Rc::default(),
            events: (0..EVENTS).map(|_| Event::new()).collect(),
            semaphores: PERMITS.map(Semaphore::new).into(),
            shared: Rc::default(),
            stop,
            has_panicked: Rc::default(),
            abort_handles: Rc::default(),
            streams: Rc::default(),
        }
    }

    fn log(&self, line: String) {
        self.log.borrow_mut().push(line);
    }

    /// Describes everything that a run has left behind at its end. Empty if there is nothing.
    pub fn leftovers(&self) -> String {
        let (shared, streams) = (self.shared.take(), self.streams.take());
        drop((shared, streams));
        let mut text = String::new();
        if Rc::strong_count(&self.log) > 1 {
            text += "; a coroutine was not dropped";
        }
        if self.events.iter().any(|event| event.statistics().waiting > 0) {
            text += "; an event still has a waiter";
        }
        if self.semaphores.iter().zip(PERMITS).any(|(semaphore, permits)| semaphore.available() < permits) {
            text += "; a permit was not released";
        }
        if self.semaphores.iter().any(|semaphore| semaphore.statistics().waiting > 0) {
            text += "; a semaphore still has a waiter";
        }
        text
    }
}

/// A local variable of a coroutine that logs when the coroutine begins and how it ends.
pub struct Life {
    id: usize,
    /// The index of the current statement.
    pub at: Cell<usize>,
    pub end: Cell<&'static str>,
    pub world: World,
}

impl Life {
    pub fn begin(id: usize, world: &World) -> Life {
        world.log(format!("c{id} begins"));
        Life { id, at: Cell::new(0), end: Cell::new("stops"), world: world.clone() }
    }

    /// The value that the coroutine gives to its stream at the current statement.
    pub fn value(&self) -> Emitted {
        (self.id, self.at.get())
    }

    pub fn log(&self, what: &str) {
        self.world.log(format!("c{}.{} {what}", self.id, self.at.get()));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.log(self.end.get());
    }
}
