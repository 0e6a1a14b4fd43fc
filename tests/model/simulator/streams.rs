//! Streams: values that are offered, and readers that wait for one.

use super::Simulator;
use super::state::{Awaited, Failure, Offer, Reader, ScopeKind, Stream, StreamId, TaskId, Waiter, Work};
use crate::model::program::Body;

impl<'a> Simulator<'a> {
    pub(super) fn open_stream(&mut self, body: &'a Body) -> StreamId {
        let (offers, readers) = (Vec::new(), Vec::new());
        self.streams.push(Stream { body, task: None, has_emitter: true, holders: 1, offers, readers });
        self.streams.len() - 1
    }

    /// The stream that `task` would read.
    pub(super) fn front_stream(&self, task: TaskId) -> Option<StreamId> {
        self.tasks[task].streams.front().or(self.left_streams.front()).copied()
    }

    /// Begins to wait for the next value. The coroutine starts with the first reader.
    pub(super) fn read(&mut self, waiter: Waiter, stream: StreamId) {
        if self.streams[stream].task.is_none() {
            let home = self.scope_for_shared(self.tasks[waiter.0].scope);
            let scope = self.add_scope(ScopeKind::Shared, Some(home), None);
            let task = self.start(Work::Body(self.streams[stream].body), scope, true);
            self.tasks[task].emits = Some(stream);
            self.streams[stream].task = Some(task);
        }
        self.streams[stream].readers.push(Reader { waiter, is_served: false });
        self.serve(stream);
    }

    pub(super) fn emit(&mut self, waiter: Waiter, stream: StreamId) {
        let value = format!("{}.{}", self.name(waiter.0), self.tasks[waiter.0].at);
        self.part(waiter).awaited = Awaited::Offered(stream);
        self.streams[stream].offers.push(Offer { value, emitter: Some(waiter), reader: None });
        self.serve(stream);
    }

    /// Grants the oldest values to the readers that have waited longest. If there will be no more values, they find the end.
    fn serve(&mut self, stream: StreamId) {
        while let Some(reader) = self.streams[stream].readers.iter().position(|reader| !reader.is_served) {
            let Stream { has_emitter, offers, readers, .. } = &mut self.streams[stream];
            let waiter = readers[reader].waiter;
            let emitter = match offers.iter_mut().find(|offer| offer.reader.is_none()) {
                Some(offer) => {
                    offer.reader = Some(waiter);
                    offer.emitter.take()
                }
                None if !*has_emitter => None,
                None => return,
            };
            readers[reader].is_served = true;
            self.settle(waiter);
            if let Some(emitter) = emitter {
                self.settle(emitter);
            }
        }
    }

    /// The output for a reader that was served. Takes the value out of the stream.
    pub(super) fn take_value(&mut self, waiter: Waiter, stream: StreamId) -> Result<Option<String>, Failure> {
        let failure = self.error_of_stream(waiter, stream);
        let Stream { offers, readers, .. } = &mut self.streams[stream];
        readers.retain(|reader| reader.waiter != waiter);
        let Some(index) = offers.iter().position(|offer| offer.reader == Some(waiter)) else {
            return failure.map_or(Ok(None), Err);
        };
        Ok(Some(offers.remove(index).value))
    }

    /// The error of the coroutine, for a reader that has found the end.
    pub(super) fn error_of_stream(&self, waiter: Waiter, stream: StreamId) -> Option<Failure> {
        let Stream { task, offers, readers, .. } = &self.streams[stream];
        let is_served = readers.iter().any(|reader| reader.waiter == waiter && reader.is_served);
        let has_value = offers.iter().any(|offer| offer.reader == Some(waiter));
        if is_served && !has_value { self.tasks[(*task)?].error.clone() } else { None }
    }

    /// A reader gives up. A value that was granted to it goes to the next reader.
    pub(super) fn leave(&mut self, waiter: Waiter, stream: StreamId) {
        let Stream { offers, readers, .. } = &mut self.streams[stream];
        readers.retain(|reader| reader.waiter != waiter);
        for offer in offers.iter_mut().filter(|offer| offer.reader == Some(waiter)) {
            offer.reader = None;
        }
        self.serve(stream);
        self.drop_holder(stream);
    }

    /// A task that emits gives up. If a reader was granted its value, the value stays.
    pub(super) fn withdraw(&mut self, waiter: Waiter, stream: StreamId) {
        self.streams[stream].offers.retain(|offer| offer.emitter != Some(waiter));
    }

    /// A handle of the stream, or a wait for its value, is gone. When the last of these is gone, the coroutine is cancelled.
    pub(super) fn drop_holder(&mut self, stream: StreamId) {
        self.streams[stream].holders -= 1;
        if self.streams[stream].holders > 0 {
            return;
        }
        for index in 0..self.streams[stream].offers.len() {
            if let Some(emitter) = self.streams[stream].offers[index].emitter.take() {
                // Its value will not be taken, which resumes the task.
                self.enqueue(emitter.0);
            }
        }
        let Some(task) = self.streams[stream].task else { return };
        if !self.tasks[task].has_ended {
            self.cancel(self.tasks[task].scope, "dropped");
        }
    }

    /// The body of a task is dropped. If it is that of a stream, the stream gets no more values.
    pub(super) fn drop_emitter(&mut self, task: TaskId) {
        if let Some(stream) = self.tasks[task].emits.take() {
            self.streams[stream].has_emitter = false;
            self.serve(stream);
        }
    }
}
