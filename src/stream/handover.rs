//! The state of a stream: values that are offered, and readers that wait for one.
//!
//! A reader in line is *granted* the oldest value that is offered. It takes the value when its task has a turn. If it gives up before,
//! the value is offered again, before all younger ones. So readers find the *end* only when no value is left that may come back to them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::scheduler::{Claimant, Claims, Key, OnFailure, TaskRef, WaitQueue, Waiter};
use crate::work;

pub(super) struct Handover<T> {
    state: RefCell<State<T>>,
    /// How many may still offer a value: the emitters, and waits for `emit` that have not begun.
    emitters: Cell<usize>,
    /// No reader will come.
    is_closed: Cell<bool>,
    /// The coroutine has ended with an error, so that the readers need not wait for other emitters.
    has_failed: Cell<bool>,
}

struct State<T> {
    /// An offer that was granted at once. Most streams have one at a time, and a queue costs more.
    sole_offer: Option<Offer<T>>,
    /// Entries in line were never granted. Those aside are granted, or were given back. Each in line is younger than all others.
    offers: WaitQueue<Offer<T>>,
    /// Offers that were granted, but whose readers gave up, by number.
    given_back: BTreeMap<u64, OfferPlace>,
    /// The number of the next offer.
    next: u64,
    /// One for each granted offer, but for that of the sole reader.
    claims: Claims,
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

/// Where an offer is kept.
#[derive(Clone, Copy)]
pub(super) enum OfferPlace {
    /// With its number: another offer may be there later.
    Sole(u64),
    Queue(Key),
}

struct Offer<T> {
    value: T,
    /// Present while a coroutine waits until it is taken.
    waiter: Option<Waiter>,
    /// Its place in the order in which values were offered.
    number: u64,
    is_granted: bool,
}

enum Reader {
    Waiting(Waiter),
    /// Its offer.
    Granted(OfferPlace, Claimant),
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

/// The reader still waits.
struct NotServed;

impl<T> State<T> {
    fn offer(&self, place: OfferPlace) -> Option<&Offer<T>> {
        match place {
            OfferPlace::Sole(number) => self.sole_offer.as_ref().filter(|offer| offer.number == number),
            OfferPlace::Queue(key) => self.offers.get(key),
        }
    }

    fn offer_mut(&mut self, place: OfferPlace) -> Option<&mut Offer<T>> {
        match place {
            OfferPlace::Sole(number) => self.sole_offer.as_mut().filter(|offer| offer.number == number),
            OfferPlace::Queue(key) => self.offers.get_mut(key),
        }
    }

    fn remove_offer(&mut self, place: OfferPlace) -> Option<Offer<T>> {
        match place {
            OfferPlace::Sole(number) => self.sole_offer.take_if(|offer| offer.number == number),
            OfferPlace::Queue(key) => self.offers.remove(key),
        }
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
            Place::Queue(key) => {
                let reader = self.readers.remove(key);
                if let Some(Reader::Granted(_, claimant)) = &reader {
                    self.claims.remove(*claimant);
                }
                reader
            }
        }
    }

    fn has_sole_waiting(&self) -> bool {
        matches!(self.sole, Some(Reader::Waiting(_)))
    }

    /// The task of the first reader that waits.
    fn first_waiting(&self) -> Option<Claimant> {
        let first = match &self.sole {
            Some(sole @ Reader::Waiting(_)) => sole,
            _ => self.readers.front()?,
        };
        if let Reader::Waiting(waiter) = first { Some(Claimant::new(waiter.task())) } else { None }
    }

    /// The first reader that waits. It waits no longer.
    fn serve_first(&mut self, served: Reader) -> Option<Reader> {
        let first = match &mut self.sole {
            Some(sole @ Reader::Waiting(_)) => sole,
            _ => self.readers.advance()?,
        };
        Some(std::mem::replace(first, served))
    }

    /// Whether an offer is not granted.
    fn has_free(&self) -> bool {
        self.offers.len() != 0 || !self.given_back.is_empty()
    }

    /// Serves the first reader that waits with the oldest offer that is free. Those that were given back are older than those that
    /// were never granted. Returns the reader.
    fn grant(&mut self, claimant: Claimant) -> Option<Reader> {
        let place = match self.given_back.pop_first() {
            Some((_, place)) => place,
            None => {
                let key = self.offers.first_key()?;
                self.offers.advance();
                OfferPlace::Queue(key)
            }
        };
        self.offer_mut(place)?.is_granted = true;
        if !self.has_sole_waiting() {
            self.claims.add(claimant);
        }
        self.serve_first(Reader::Granted(place, claimant))
    }

    /// Takes what a reader was granted, or finds nothing at the end.
    #[inline(never)]
    fn take_slow(&mut self, place: Place) -> Result<Option<Offer<T>>, NotServed> {
        if let Some(Reader::Waiting(_)) = self.reader(place) {
            return Err(NotServed);
        }
        let Some(Reader::Granted(offer, _)) = self.remove_reader(place) else { return Ok(None) };
        Ok(self.remove_offer(offer))
    }

    /// A reader gives up: its offer is free again.
    fn give_back(&mut self, place: OfferPlace) {
        if let Some(offer) = self.offer_mut(place) {
            offer.is_granted = false;
            let number = offer.number;
            self.given_back.insert(number, place);
        }
    }

    /// Whether no offer is left that may come back to other tasks than this one.
    fn has_no_claim_of_others(&self, task: Claimant) -> bool {
        let is_of_other = |reader: &Reader| matches!(reader, Reader::Granted(_, claimant) if *claimant != task);
        !self.sole.as_ref().is_some_and(is_of_other) && self.claims.are_all_by(task)
    }
}

impl<T> Handover<T> {
    pub(super) fn new() -> Handover<T> {
        let state = State {
            sole_offer: None,
            offers: WaitQueue::default(),
            given_back: BTreeMap::new(),
            next: 0,
            claims: Claims::default(),
            sole: None,
            readers: WaitQueue::default(),
        };
        Handover {
            state: RefCell::new(state),
            emitters: Cell::new(0),
            is_closed: Cell::new(false),
            has_failed: Cell::new(false),
        }
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

    /// No reader will come: coroutines that wait to be read fail, the oldest offer first. Readers in line find the end.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.serve();
        let state = self.state.borrow();
        let queued = state.offers.keys().map(OfferPlace::Queue);
        let places = queued.chain(state.sole_offer.as_ref().map(|offer| OfferPlace::Sole(offer.number)));
        let mut offers: Vec<_> = places.filter_map(|place| Some((state.offer(place)?.number, place))).collect();
        drop(state);
        offers.sort_unstable_by_key(|(number, _)| *number);
        for (_, place) in offers {
            work::count();
            // One that fails may withdraw others.
            let waiter = self.state.borrow_mut().offer_mut(place).and_then(|offer| offer.waiter.take());
            if let Some(waiter) = waiter {
                waiter.fail();
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Whether readers need not wait for offers that are still to come.
    fn has_ended(&self) -> bool {
        self.emitters.get() == 0 || self.is_closed() || self.has_failed.get()
    }

    /// Serves the readers in line, as far as there are offers, or if there will be none.
    #[inline(never)]
    fn serve(&self) {
        loop {
            work::count();
            let mut state = self.state.borrow_mut();
            let Some(claimant) = state.first_waiting() else { return };
            let served = match state.grant(claimant) {
                None if self.has_ended() && state.has_no_claim_of_others(claimant) => state.serve_first(Reader::End),
                served => served,
            };
            drop(state);
            let Some(Reader::Waiting(waiter)) = served else { return };
            waiter.settle();
        }
    }

    // Offers.

    pub(super) fn add_offer(&self, value: T, task: &TaskRef) -> OfferPlace {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let number = state.next;
        state.next += 1;
        let mut offer = Offer { value, waiter: Some(Waiter::new(task)), number, is_granted: false };
        // As `serve` would, if it is the only free offer and one reader waits for it.
        if state.sole_offer.is_none()
            && !state.has_free()
            && let Some(reader @ Reader::Waiting(_)) = &mut state.sole
        {
            let place = OfferPlace::Sole(number);
            offer.is_granted = true;
            state.sole_offer = Some(offer);
            if let Reader::Waiting(waiter) = reader {
                let granted = Reader::Granted(place, Claimant::new(waiter.task()));
                if let Reader::Waiting(waiter) = std::mem::replace(reader, granted) {
                    drop(guard);
                    waiter.settle();
                }
            }
            return place;
        }
        let key = state.offers.push_back(offer);
        drop(guard);
        self.serve();
        OfferPlace::Queue(key)
    }

    pub(super) fn is_taken(&self, offer: OfferPlace) -> bool {
        self.state.borrow().offer(offer).is_none()
    }

    /// The coroutine that offers gives up. A value that a reader has been granted stays.
    pub(super) fn withdraw(&self, place: OfferPlace) {
        let mut state = self.state.borrow_mut();
        let Some(offer) = state.offer_mut(place) else { return };
        let waiter = offer.waiter.take();
        let withdrawn = if offer.is_granted { None } else { state.remove_offer(place) };
        if let Some(offer) = &withdrawn {
            state.given_back.remove(&offer.number);
        }
        drop(state);
        if let Some(waiter) = waiter {
            waiter.give_up();
        }
        // The value is the user's.
        drop(withdrawn);
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
        let may_be_served = state.has_free() || self.has_ended();
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

    #[inline]
    pub(super) fn take(&self, place: Place) -> Got<T> {
        let mut state = self.state.borrow_mut();
        let taken = match (place, &state.sole) {
            (Place::Sole, Some(Reader::Granted(OfferPlace::Sole(_), _))) => {
                state.sole = None;
                state.sole_offer.take()
            }
            _ => match state.take_slow(place) {
                Ok(taken) => taken,
                Err(NotServed) => return Got::Nothing,
            },
        };
        drop(state);
        let Some(Offer { value, waiter, .. }) = taken else { return Got::End };
        if let Some(waiter) = waiter {
            waiter.settle();
        }
        if self.has_ended() {
            // It may have been the last value that could come back to the others.
            self.serve();
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
            Some(Reader::Granted(offer, _)) => {
                state.give_back(offer);
                drop(state);
            }
            Some(Reader::End) | None => return,
        }
        // The next in line may be served by what came back, or find the end that this one could not find.
        self.serve();
    }
}

impl<T> OnFailure for Handover<T> {
    fn task_failed(&self) {
        self.has_failed.set(true);
        self.serve();
    }
}
