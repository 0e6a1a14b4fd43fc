//! The state of a stream: values that are offered, and readers that wait for one.
//!
//! A reader in line is *granted* the oldest value that is offered. It takes the value when its task has a turn. If it gives up before,
//! the value is offered again, before all younger ones.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::scheduler::{Key, TaskRef, WaitQueue, Waiter};

pub(super) struct Handover<T> {
    state: RefCell<State<T>>,
    emitters: Cell<usize>,
    /// No reader will come.
    is_closed: Cell<bool>,
}

struct State<T> {
    /// The oldest first. Those at the front that are gone are removed.
    offers: VecDeque<Offer<T>>,
    /// The number of the offer at the front.
    first: u64,
    /// The reader that came while no other was in line. Most streams have one at a time, and a queue costs more. It is before the
    /// others.
    sole: Option<Reader>,
    /// Entries in line wait. Those aside have been granted an offer, or found the end.
    readers: WaitQueue<Reader>,
}

/// Where a reader is kept.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Sole,
    Queue(Key),
}

struct Offer<T> {
    /// `None` once it was taken or withdrawn.
    value: Option<T>,
    /// Present while a coroutine waits until it is taken.
    waiter: Option<Waiter>,
    is_granted: bool,
}

enum Reader {
    Waiting(Waiter),
    /// The number of its offer.
    Granted(u64),
    /// There are no more values.
    End,
}

/// What a reader that no longer waits has got.
pub(super) enum Got<T> {
    Value(T),
    End,
    /// It still waits.
    Nothing,
}

impl<T> State<T> {
    fn offer(&mut self, number: u64) -> Option<&mut Offer<T>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.offers.get_mut(index).filter(|offer| offer.value.is_some())
    }

    fn take(&mut self, number: u64) -> Option<(T, Option<Waiter>)> {
        let taken = if number == self.first {
            let offer = self.offers.pop_front()?;
            self.first += 1;
            (offer.value?, offer.waiter)
        } else {
            let offer = self.offer(number)?;
            (offer.value.take()?, offer.waiter.take())
        };
        while self.offers.front().is_some_and(|offer| offer.value.is_none()) {
            self.offers.pop_front();
            self.first += 1;
        }
        Some(taken)
    }

    fn reader(&self, place: Place) -> Option<&Reader> {
        match place {
            Place::Sole => self.sole.as_ref(),
            Place::Queue(key) => self.readers.get(key),
        }
    }

    fn remove_reader(&mut self, place: Place) -> Option<Reader> {
        match place {
            Place::Sole => self.sole.take(),
            Place::Queue(key) => self.readers.remove(key),
        }
    }

    /// The first reader that waits. It waits no longer.
    fn serve_first(&mut self, served: Reader) -> Option<Reader> {
        let first = match &mut self.sole {
            Some(sole @ Reader::Waiting(_)) => sole,
            _ => self.readers.advance()?,
        };
        Some(std::mem::replace(first, served))
    }

    fn has_sole_waiting(&self) -> bool {
        matches!(self.sole, Some(Reader::Waiting(_)))
    }

    /// Grants the oldest offer that is free.
    fn grant(&mut self) -> Option<u64> {
        let index = self.offers.iter().position(|offer| offer.value.is_some() && !offer.is_granted)?;
        self.offers[index].is_granted = true;
        Some(self.first + index as u64)
    }
}

impl<T> Handover<T> {
    pub(super) fn new() -> Handover<T> {
        let state = State { offers: VecDeque::new(), first: 0, sole: None, readers: WaitQueue::default() };
        Handover { state: RefCell::new(state), emitters: Cell::new(0), is_closed: Cell::new(false) }
    }

    pub(super) fn add_emitter(&self) {
        self.emitters.set(self.emitters.get() + 1);
    }

    pub(super) fn remove_emitter(&self) {
        self.emitters.set(self.emitters.get() - 1);
        if self.emitters.get() == 0 {
            self.serve();
        }
    }

    /// No reader will come: coroutines that wait to be read fail. Readers in line find the end.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.serve();
        loop {
            let mut state = self.state.borrow_mut();
            let waiter = state.offers.iter_mut().find_map(|offer| offer.waiter.take());
            drop(state);
            match waiter {
                Some(waiter) => waiter.fail(),
                None => return,
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Whether no more values will be offered.
    fn has_ended(&self) -> bool {
        self.emitters.get() == 0 || self.is_closed()
    }

    /// Serves the readers in line, as far as there are offers, or if there will be none.
    fn serve(&self) {
        loop {
            let mut state = self.state.borrow_mut();
            if !state.has_sole_waiting() && state.readers.len() == 0 {
                return;
            }
            let served = match state.grant() {
                Some(number) => Reader::Granted(number),
                None if self.has_ended() => Reader::End,
                None => return,
            };
            let reader = state.serve_first(served);
            drop(state);
            if let Some(Reader::Waiting(waiter)) = reader {
                waiter.settle();
            }
        }
    }

    // Offers, by number.

    pub(super) fn add_offer(&self, value: T, task: &TaskRef) -> u64 {
        let mut state = self.state.borrow_mut();
        let number = state.first + state.offers.len() as u64;
        // As `serve` would, if it is the only offer and a reader waits for it.
        let is_granted = state.offers.is_empty() && state.has_sole_waiting();
        state.offers.push_back(Offer { value: Some(value), waiter: Some(Waiter::new(task)), is_granted });
        if !is_granted {
            drop(state);
            self.serve();
        } else if let Some(Reader::Waiting(waiter)) = state.sole.replace(Reader::Granted(number)) {
            drop(state);
            waiter.settle();
        }
        number
    }

    pub(super) fn is_taken(&self, number: u64) -> bool {
        self.state.borrow_mut().offer(number).is_none()
    }

    /// The coroutine that offers gives up. A value that a reader has been granted stays.
    pub(super) fn withdraw(&self, number: u64) {
        let mut state = self.state.borrow_mut();
        let Some(offer) = state.offer(number) else { return };
        let (value, waiter) = if offer.is_granted {
            (None, offer.waiter.take())
        } else {
            state.take(number).map_or((None, None), |(value, waiter)| (Some(value), waiter))
        };
        drop(state);
        if let Some(waiter) = waiter {
            waiter.give_up();
        }
        // The value is the user's.
        drop(value);
    }

    // Readers.

    pub(super) fn add_reader(&self, task: &TaskRef) -> Place {
        let mut state = self.state.borrow_mut();
        let reader = Reader::Waiting(Waiter::new(task));
        let place = if state.sole.is_none() && state.readers.len() == 0 {
            state.sole = Some(reader);
            Place::Sole
        } else {
            Place::Queue(state.readers.push_back(reader))
        };
        let may_be_served = !state.offers.is_empty() || self.has_ended();
        drop(state);
        if may_be_served {
            self.serve();
        }
        place
    }

    pub(super) fn is_served(&self, place: Place) -> bool {
        !matches!(self.state.borrow().reader(place), Some(Reader::Waiting(_)))
    }

    /// Whether this reader has found that there are no more values.
    pub(super) fn is_at_end(&self, place: Place) -> bool {
        matches!(self.state.borrow().reader(place), Some(Reader::End))
    }

    pub(super) fn take(&self, place: Place) -> Got<T> {
        let mut state = self.state.borrow_mut();
        let number = match state.reader(place) {
            Some(Reader::Waiting(_)) => return Got::Nothing,
            Some(Reader::Granted(number)) => Some(*number),
            Some(Reader::End) | None => None,
        };
        state.remove_reader(place);
        let Some((value, waiter)) = number.and_then(|number| state.take(number)) else { return Got::End };
        drop(state);
        if let Some(waiter) = waiter {
            waiter.settle();
        }
        Got::Value(value)
    }

    /// A reader gives up.
    pub(super) fn leave(&self, place: Place) {
        let mut state = self.state.borrow_mut();
        match state.remove_reader(place) {
            Some(Reader::Waiting(waiter)) => {
                drop(state);
                waiter.give_up();
            }
            Some(Reader::Granted(number)) => {
                state.offer(number).into_iter().for_each(|offer| offer.is_granted = false);
                drop(state);
                self.serve();
            }
            Some(Reader::End) | None => {}
        }
    }
}
