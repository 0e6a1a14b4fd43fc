//! Counters that a test shares with the coroutines it runs.

use std::cell::Cell;
use std::rc::Rc;

/// Counts events.
#[derive(Clone, Default)]
pub struct Counter(Rc<Cell<usize>>);

impl Counter {
    pub fn new() -> Counter {
        Counter::default()
    }

    pub fn get(&self) -> usize {
        self.0.get()
    }

    pub fn up(&self) {
        self.0.set(self.get() + 1);
    }

    pub fn down(&self) {
        self.0.set(self.get() - 1);
    }

    /// A value that counts up when it is dropped.
    pub fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

pub struct Guard(Counter);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.up();
    }
}

/// Counts the tokens that are alive.
#[derive(Clone, Default)]
pub struct Alive(Rc<Cell<isize>>);

impl Alive {
    pub fn new() -> Alive {
        Alive::default()
    }

    pub fn get(&self) -> isize {
        self.0.get()
    }

    pub fn token(&self) -> Token {
        self.0.set(self.0.get() + 1);
        Token(self.clone())
    }
}

pub struct Token(Alive);

impl Clone for Token {
    fn clone(&self) -> Token {
        self.0.token()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}
