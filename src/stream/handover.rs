//! The state that the coroutine of a stream and its readers share: the values that are offered, and the readers that wait for a
//! value.
//!
//! A reader in line is *granted* the oldest offered value, and takes it in the next turn of its task. If the reader gives up before
//! that, the value is offered again, before all younger values. So readers find the *end* only when no value is free, and no reader
//! of another task can give a value back.

mod state;

use std::cell::{Cell, RefCell};

pub(super) use self::state::{Got, OfferPlace, ReaderPlace};
use self::state::{NotServed, Offer, Reader, State};
use crate::iterations;
use crate::scheduler::{Claimant, OnFailure, TaskRef, Waiter};

pub(super) struct Handover<T> {
    state: RefCell<State<T>>,
    /// How many emitters there are. A wait of `emit` that has not begun counts as one, because it may still offer its value.
    emitters: Cell<usize>,
    /// The stream was dropped or closed: no reader will come.
    is_closed: Cell<bool>,
    /// The coroutine has ended with an error, so the readers need not wait for other emitters.
    has_failed: Cell<bool>,
}

impl<T> Handover<T> {
    pub(super) fn new() -> Handover<T> {
        Handover {
            state: RefCell::new(State::new()),
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

    /// Closes the stream, because no further reader will come. The waits of `emit` fail, the oldest offer first. Readers in line
    /// find the end.
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
            iterations::count();
            // `fail` may wake the host of a loop. The host is user code, and may withdraw other offers. So each offer is looked up again.
            let waiter = self.state.borrow_mut().offer_mut(place).and_then(|offer| offer.waiter.take());
            if let Some(waiter) = waiter {
                waiter.fail();
            }
        }
    }

    /// Drops the values that were given back. No reader is left, and an emitter may keep this state for long.
    pub(super) fn drop_given_back(&self) {
        loop {
            let mut state = self.state.borrow_mut();
            let Some((_, place)) = state.given_back.pop_first() else { return };
            let offer = state.remove_offer(place);
            drop(state);
            // The destructor of the value is user code.
            drop(offer);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Whether the readers need not wait for further offers.
    fn has_ended(&self) -> bool {
        self.emitters.get() == 0 || self.is_closed() || self.has_failed.get()
    }

    /// Serves the readers in line with the free offers. If no further offers will come, the remaining readers find the end.
    #[inline(never)]
    fn serve(&self) {
        loop {
            iterations::count();
            let mut state = self.state.borrow_mut();
            let Some(claimant) = state.first_waiting() else { return };
            let (served, emitter) = match state.grant(claimant) {
                None if self.has_ended() && state.has_no_claim_of_others(claimant) => {
                    (state.serve_first(Reader::End), None)
                }
                granted => granted.unwrap_or_default(),
            };
            drop(state);
            let Some(Reader::Waiting(reader)) = served else { return };
            reader.settle();
            if let Some(emitter) = emitter {
                emitter.settle();
            }
        }
    }

    // Offers.

    pub(super) fn add_offer(&self, value: T, task: &TaskRef) -> OfferPlace {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let number = state.next;
        state.next += 1;
        // A shortcut for `serve`: this is the only free offer, and one reader waits.
        if state.sole_offer.is_none()
            && !state.has_free()
            && let Some(reader @ Reader::Waiting(_)) = &mut state.sole
        {
            let place = OfferPlace::Sole(number);
            state.sole_offer = Some(Offer { value, waiter: None, number, was_granted: true });
            if let Reader::Waiting(waiter) = reader {
                let granted = Reader::Granted(place, Claimant::new(waiter.task()));
                if let Reader::Waiting(waiter) = std::mem::replace(reader, granted) {
                    drop(guard);
                    waiter.settle();
                }
            }
            return place;
        }
        let waiter = Some(Waiter::new(task));
        let offer = Offer { value, waiter, number, was_granted: false };
        let key = state.offers.push_back(offer);
        drop(guard);
        self.serve();
        OfferPlace::Queue(key)
    }

    /// Whether a reader was granted the value. It may have given the value back.
    pub(super) fn was_granted(&self, offer: OfferPlace) -> bool {
        self.state.borrow().offer(offer).is_none_or(|offer| offer.was_granted)
    }

    /// Withdraws the offer of a coroutine that gives up. A value that a reader was granted stays, even if that reader has given it
    /// back.
    pub(super) fn withdraw(&self, place: OfferPlace) {
        let mut state = self.state.borrow_mut();
        let Some(offer) = state.offer_mut(place) else { return };
        let waiter = offer.waiter.take();
        let withdrawn = if offer.was_granted { None } else { state.remove_offer(place) };
        drop(state);
        if let Some(waiter) = waiter {
            waiter.give_up();
        }
        // Dropping the value runs user code.
        drop(withdrawn);
    }

    // Readers.

    pub(super) fn add_reader(&self, task: &TaskRef) -> ReaderPlace {
        let mut state = self.state.borrow_mut();
        let reader = Reader::Waiting(Waiter::new(task));
        let place = if state.sole.is_none() && state.readers.len() == 0 {
            state.sole = Some(reader);
            ReaderPlace::Sole
        } else {
            ReaderPlace::Queue(state.readers.push_back(reader))
        };
        let may_be_served = state.has_free() || self.has_ended();
        drop(state);
        if may_be_served {
            self.serve();
        }
        place
    }

    pub(super) fn is_served(&self, place: ReaderPlace) -> bool {
        !matches!(self.state.borrow().reader(place), Some(Reader::Waiting(_)))
    }

    /// Whether this reader has found that there are no more values.
    pub(super) fn is_at_end(&self, place: ReaderPlace) -> bool {
        matches!(self.state.borrow().reader(place), Some(Reader::End))
    }

    #[inline]
    pub(super) fn take(&self, place: ReaderPlace) -> Got<T> {
        let mut state = self.state.borrow_mut();
        let taken = match (place, &state.sole) {
            (ReaderPlace::Sole, Some(Reader::Granted(OfferPlace::Sole(_), _))) => {
                state.sole = None;
                state.sole_offer.take()
            }
            _ => match state.take_slow(place) {
                Ok(taken) => taken,
                Err(NotServed) => return Got::Nothing,
            },
        };
        drop(state);
        let Some(Offer { value, .. }) = taken else { return Got::End };
        if self.has_ended() {
            // This may have been the last granted value that could come back to other readers.
            self.serve();
        }
        Got::Value(value)
    }

    /// Removes a reader that gives up.
    pub(super) fn leave(&self, place: ReaderPlace) {
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
        // The next reader in line may get a value that came back, or find the end.
        self.serve();
    }
}

impl<T> OnFailure for Handover<T> {
    fn task_failed(&self) {
        self.has_failed.set(true);
        self.serve();
    }
}
