//! The state that the coroutines of a program share, and a check of it after the run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tinyield::{AbortHandle, Event, Semaphore, Shared, StopHandle};

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
        }
    }

    fn log(&self, line: String) {
        self.log.borrow_mut().push(line);
    }

    /// What a run has left behind although it is over, in words. Empty if all is well.
    pub fn leftovers(&self) -> String {
        let shared = self.shared.take();
        drop(shared);
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
    /// The index of the statement where it is.
    pub at: Cell<usize>,
    pub end: Cell<&'static str>,
    world: World,
}

impl Life {
    pub fn begin(id: usize, world: &World) -> Life {
        world.log(format!("c{id} begins"));
        Life { id, at: Cell::new(0), end: Cell::new("stops"), world: world.clone() }
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
