//! The data of a [`Handover`](super::Handover): the values that a stream offers, the readers that wait for a value, which reader
//! was granted which value, and which values were given back.

use std::collections::BTreeMap;

use crate::scheduler::{Claimant, Claims, Key, WaitQueue, Waiter};

pub(super) struct State<T> {
    /// An offer that was granted at once. It is kept outside of the queue, because a queue costs more, and most streams have only
    /// one offer at a time.
    pub(super) sole_offer: Option<Offer<T>>,
    /// Entries in line were never granted. Entries aside are granted, or were given back. Each entry in line is younger than all
    /// entries aside.
    pub(super) offers: WaitQueue<Offer<T>>,
    /// The places of the offers whose readers gave up after the grant, by the number of the offer.
    pub(super) given_back: BTreeMap<u64, OfferPlace>,
    /// The number of the next offer.
    pub(super) next: u64,
    /// One claim for each granted offer, except for the offer of the sole reader.
    pub(super) claims: Claims,
    /// The reader that came while no other was in line. It is kept outside of the queue, because a queue costs more, and most
    /// streams have only one reader at a time. This reader is served before the others.
    pub(super) sole: Option<Reader>,
    /// Entries in line wait. Entries aside have been granted an offer, or have found the end.
    pub(super) readers: WaitQueue<Reader>,
}

/// Where a reader is kept.
#[derive(Clone, Copy)]
pub(in crate::stream) enum ReaderPlace {
    Sole,
    Queue(Key),
}

/// Where an offer is kept.
#[derive(Clone, Copy)]
pub(in crate::stream) enum OfferPlace {
    /// With the number of the offer: later, the sole offer may be another one.
    Sole(u64),
    Queue(Key),
}

pub(super) struct Offer<T> {
    pub(super) value: T,
    /// Present while a coroutine waits until a reader is granted the value.
    pub(super) waiter: Option<Waiter>,
    /// Its place in the order in which values were offered.
    pub(super) number: u64,
    /// It is granted, or was granted to a reader that gave it back.
    pub(super) was_granted: bool,
}

pub(super) enum Reader {
    Waiting(Waiter),
    /// The reader was granted this offer.
    Granted(OfferPlace, Claimant),
    /// There are no more values.
    End,
}

/// The result when a reader takes its value.
pub(in crate::stream) enum Got<T> {
    Value(T),
    End,
    /// It still waits.
    Nothing,
}

/// The reader that was granted an offer, and the coroutine that waits until the offer is granted.
pub(super) type Granted = (Option<Reader>, Option<Waiter>);

/// The reader still waits.
pub(super) struct NotServed;

impl<T> State<T> {
    pub(super) fn new() -> State<T> {
        State {
            sole_offer: None,
            offers: WaitQueue::default(),
            given_back: BTreeMap::new(),
            next: 0,
            claims: Claims::default(),
            sole: None,
            readers: WaitQueue::default(),
        }
    }

    pub(super) fn offer(&self, place: OfferPlace) -> Option<&Offer<T>> {
        match place {
            OfferPlace::Sole(number) => self.sole_offer.as_ref().filter(|offer| offer.number == number),
            OfferPlace::Queue(key) => self.offers.get(key),
        }
    }

    pub(super) fn offer_mut(&mut self, place: OfferPlace) -> Option<&mut Offer<T>> {
        match place {
            OfferPlace::Sole(number) => self.sole_offer.as_mut().filter(|offer| offer.number == number),
            OfferPlace::Queue(key) => self.offers.get_mut(key),
        }
    }

    pub(super) fn remove_offer(&mut self, place: OfferPlace) -> Option<Offer<T>> {
        match place {
            OfferPlace::Sole(number) => self.sole_offer.take_if(|offer| offer.number == number),
            OfferPlace::Queue(key) => self.offers.remove(key),
        }
    }

    pub(super) fn reader(&self, place: ReaderPlace) -> Option<&Reader> {
        match place {
            ReaderPlace::Sole => self.sole.as_ref(),
            ReaderPlace::Queue(key) => self.readers.get(key),
        }
    }

    pub(super) fn remove_reader(&mut self, place: ReaderPlace) -> Option<Reader> {
        match place {
            ReaderPlace::Sole => self.sole.take(),
            ReaderPlace::Queue(key) => {
                let reader = self.readers.remove(key);
                if let Some(Reader::Granted(_, claimant)) = &reader {
                    self.claims.remove(*claimant);
                }
                reader
            }
        }
    }

    pub(super) fn has_sole_waiting(&self) -> bool {
        matches!(self.sole, Some(Reader::Waiting(_)))
    }

    /// The task of the first reader that waits.
    pub(super) fn first_waiting(&self) -> Option<Claimant> {
        let first = match &self.sole {
            Some(sole @ Reader::Waiting(_)) => sole,
            _ => self.readers.front()?,
        };
        if let Reader::Waiting(waiter) = first { Some(Claimant::new(waiter.task())) } else { None }
    }

    /// Replaces the first reader that waits by `served`, and returns it.
    pub(super) fn serve_first(&mut self, served: Reader) -> Option<Reader> {
        let first = match &mut self.sole {
            Some(sole @ Reader::Waiting(_)) => sole,
            _ => self.readers.advance()?,
        };
        Some(std::mem::replace(first, served))
    }

    /// Whether there is a free offer: one that is not granted.
    pub(super) fn has_free(&self) -> bool {
        self.offers.len() != 0 || !self.given_back.is_empty()
    }

    /// Grants the oldest free offer to the first reader that waits. Offers that were given back are older than offers that were
    /// never granted. `None` if no offer is free.
    pub(super) fn grant(&mut self, claimant: Claimant) -> Option<Granted> {
        let place = match self.given_back.pop_first() {
            Some((_, place)) => place,
            None => {
                let key = self.offers.first_key()?;
                self.offers.advance();
                OfferPlace::Queue(key)
            }
        };
        let offer = self.offer_mut(place)?;
        offer.was_granted = true;
        let emitter = offer.waiter.take();
        if !self.has_sole_waiting() {
            self.claims.add(claimant);
        }
        Some((self.serve_first(Reader::Granted(place, claimant)), emitter))
    }

    /// Takes the offer that was granted to a reader. `None` if the reader has found the end.
    #[inline(never)]
    pub(super) fn take_slow(&mut self, place: ReaderPlace) -> Result<Option<Offer<T>>, NotServed> {
        if let Some(Reader::Waiting(_)) = self.reader(place) {
            return Err(NotServed);
        }
        let Some(Reader::Granted(offer, _)) = self.remove_reader(place) else { return Ok(None) };
        Ok(self.remove_offer(offer))
    }

    /// Frees the offer that was granted to a reader that gives up.
    pub(super) fn give_back(&mut self, place: OfferPlace) {
        if let Some(offer) = self.offer(place) {
            self.given_back.insert(offer.number, place);
        }
    }

    /// Whether all granted offers are granted to this task, so that no other task can give one back.
    pub(super) fn has_no_claim_of_others(&self, task: Claimant) -> bool {
        let is_of_other = |reader: &Reader| matches!(reader, Reader::Granted(_, claimant) if *claimant != task);
        !self.sole.as_ref().is_some_and(is_of_other) && self.claims.are_all_by(task)
    }
}
