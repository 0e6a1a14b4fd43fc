//! Each primitive against a naive model of it, with random cancellations and limits among the operations.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use common::LONG;
use proptest::collection::vec;
use proptest::prelude::*;
use tinyield::channel::{self, RecvError, SendError, Sender};
use tinyield::{
    Barrier, Coro, Event, Lock, Loop, Runtime, Semaphore, Step, Wait, as_completed, co, coro, race, spawn, timeout,
};

/// Starts what comes through the channel.
#[coro]
fn nursery(starts: channel::Receiver<Coro<()>>) -> Coro<()> {
    while let Ok(coro) = yield starts.recv() {
        yield spawn(coro);
    }
}

/// Who got what, in order; `None` is a limit that ran out.
type Got<G> = Rc<RefCell<Vec<(usize, Option<G>)>>>;

/// A loop that is stepped by a test, with coroutines that wait in it, may be cancelled, and say what they got.
struct World<'a, G> {
    runtime: Runtime<'a, ()>,
    starts: Sender<Coro<()>>,
    cancels: BTreeMap<usize, Event>,
    got: Got<G>,
    next: usize,
}

impl<'a, G: 'static> World<'a, G> {
    fn new(event_loop: &'a mut Loop) -> World<'a, G> {
        let (starts, started) = channel::unbounded();
        let runtime = event_loop.runtime(nursery(started));
        World { runtime, starts, cancels: BTreeMap::new(), got: Rc::default(), next: 0 }
    }

    /// Somebody begins to wait, under the next number.
    fn start(&mut self, wait: impl Wait<Output = G> + 'static) -> usize {
        self.start_coro(co! { Some(yield wait) })
    }

    /// Somebody begins to wait, with no time to do so.
    fn start_hasty(&mut self, wait: impl Wait<Output = G> + 'static) -> usize {
        let hasty = timeout(wait, Duration::ZERO);
        self.start_coro(co! { (yield hasty).ok() })
    }

    fn start_coro(&mut self, wait: Coro<Option<G>>) -> usize {
        let id = self.next;
        self.next += 1;
        let (cancel, got) = (Event::new(), self.got.clone());
        self.cancels.insert(id, cancel.clone());
        let waiter = co! {
            let first = yield race([
                co! { Some(yield wait) },
                co! {
                    yield cancel.wait();
                    None
                },
            ]);
            if let Some(what) = first {
                got.borrow_mut().push((id, what));
            }
        };
        self.starts.try_send(waiter).unwrap();
        id
    }

    fn cancel(&self, id: usize) {
        self.cancels[&id].set();
    }

    /// Until nothing moves any more.
    fn settle(&mut self) {
        loop {
            match self.runtime.step() {
                Step::Ran => {}
                Step::Idle(idle) if idle.deadline().is_some_and(|at| at < std::time::Instant::now() + LONG) => {
                    idle.wait()
                }
                Step::Idle(_) => return,
                Step::Done(result) => panic!("the nursery waits for more: {result:?}"),
            }
        }
    }

    fn take_got(&self) -> Vec<(usize, Option<G>)> {
        self.got.take()
    }
}

/// Some element of it.
fn pick<T: Copy>(list: impl IntoIterator<Item = T>, index: usize) -> Option<T> {
    let list: Vec<T> = list.into_iter().collect();
    (!list.is_empty()).then(|| list[index % list.len()])
}

#[derive(Clone, Copy, Debug)]
enum SemaphoreOp {
    Acquire,
    AcquireHastily,
    Try,
    Release(usize),
    Cancel(usize),
}

fn semaphore_ops() -> impl Strategy<Value = Vec<(SemaphoreOp, bool)>> {
    use SemaphoreOp::*;
    let op = prop_oneof![
        4 => Just(Acquire),
        1 => Just(AcquireHastily),
        1 => Just(Try),
        3 => any::<usize>().prop_map(Release),
        2 => any::<usize>().prop_map(Cancel),
    ];
    vec((op, any::<bool>()), 0..60)
}

/// The semaphore, and the lock, which is one of a single permit.
fn against_the_model<G: 'static, W: Wait<Output = G> + 'static>(
    permits: usize,
    ops: &[(SemaphoreOp, bool)],
    acquire: impl Fn() -> W,
    try_acquire: impl Fn() -> Option<G>,
    statistics: impl Fn() -> (usize, usize),
) {
    let mut event_loop = Loop::new();
    let mut world = World::new(&mut event_loop);
    let mut held: Vec<(usize, G)> = Vec::new();
    let (mut free, mut queue, mut holders) = (permits, VecDeque::new(), Vec::new());
    for &(op, _) in ops {
        match op {
            SemaphoreOp::Acquire => {
                let id = world.start(acquire());
                if free > 0 {
                    free -= 1;
                    holders.push(id);
                } else {
                    queue.push_back(id);
                }
            }
            SemaphoreOp::AcquireHastily => {
                let id = world.start_hasty(acquire());
                if free > 0 {
                    free -= 1;
                    holders.push(id);
                }
            }
            SemaphoreOp::Try => {
                let permit = try_acquire();
                assert_eq!(permit.is_some(), free > 0);
                if let Some(permit) = permit {
                    free -= 1;
                    world.next += 1;
                    holders.push(world.next - 1);
                    held.push((world.next - 1, permit));
                }
            }
            SemaphoreOp::Release(index) => {
                if let Some(id) = pick(holders.iter().copied(), index) {
                    holders.retain(|holder| *holder != id);
                    match queue.pop_front() {
                        Some(next) => holders.push(next),
                        None => free += 1,
                    }
                    held.retain(|(holder, _)| *holder != id);
                }
            }
            SemaphoreOp::Cancel(index) => {
                if let Some(id) = pick(queue.iter().copied(), index) {
                    queue.retain(|waiting| *waiting != id);
                    world.cancel(id);
                }
            }
        }
        world.settle();
        held.extend(world.take_got().into_iter().filter_map(|(id, permit)| Some((id, permit?))));
        assert_eq!(held.iter().map(|(id, _)| *id).collect::<Vec<_>>(), holders);
        assert_eq!(statistics(), (free, queue.len()));
    }
}

/// The same, with several operations before anything moves: no permit is lost, and nobody waits in vain.
fn in_bursts<G: 'static, W: Wait<Output = G> + 'static>(
    permits: usize,
    ops: &[(SemaphoreOp, bool)],
    acquire: impl Fn() -> W,
    try_acquire: impl Fn() -> Option<G>,
    statistics: impl Fn() -> (usize, usize),
) {
    let mut event_loop = Loop::new();
    let mut world = World::new(&mut event_loop);
    let mut held: Vec<G> = Vec::new();
    let mut started = Vec::new();
    for &(op, settle) in ops {
        match op {
            SemaphoreOp::Acquire => started.push(world.start(acquire())),
            SemaphoreOp::AcquireHastily => started.push(world.start_hasty(acquire())),
            SemaphoreOp::Try => held.extend(try_acquire()),
            SemaphoreOp::Release(index) if !held.is_empty() => drop(held.swap_remove(index % held.len())),
            SemaphoreOp::Cancel(index) => {
                if let Some(id) = pick(started.iter().copied(), index) {
                    world.cancel(id);
                }
            }
            SemaphoreOp::Release(_) => {}
        }
        if settle {
            world.settle();
            held.extend(world.take_got().into_iter().filter_map(|(_, permit)| permit));
            let (free, waiting) = statistics();
            assert_eq!(free + held.len(), permits);
            assert!(free == 0 || waiting == 0);
        }
    }
    for id in started {
        world.cancel(id);
    }
    world.settle();
    held.clear();
    world.take_got();
    assert_eq!(statistics(), (permits, 0));
}

#[derive(Clone, Copy, Debug)]
enum EventOp {
    Wait,
    WaitLong,
    WaitHastily,
    WaitTwice,
    Set { remote: bool },
    Clear { remote: bool },
    SetAndClear { remote: bool },
    Cancel(usize),
}

fn event_ops() -> impl Strategy<Value = Vec<EventOp>> {
    use EventOp::*;
    let op = prop_oneof![
        2 => Just(Wait),
        2 => Just(WaitLong),
        1 => Just(WaitHastily),
        1 => Just(WaitTwice),
        1 => any::<bool>().prop_map(|remote| Set { remote }),
        2 => any::<bool>().prop_map(|remote| Clear { remote }),
        1 => any::<bool>().prop_map(|remote| SetAndClear { remote }),
        2 => any::<usize>().prop_map(Cancel),
    ];
    vec(op, 0..60)
}

#[derive(Clone, Copy, Debug)]
enum ChannelOp {
    Send,
    SendHastily,
    TrySend,
    Recv,
    RecvHastily,
    TryRecv,
    CancelSend(usize),
    CancelRecv(usize),
    Close,
}

fn channel_ops() -> impl Strategy<Value = Vec<ChannelOp>> {
    use ChannelOp::*;
    let op = prop_oneof![
        20 => Just(Send),
        5 => Just(SendHastily),
        5 => Just(TrySend),
        20 => Just(Recv),
        5 => Just(RecvHastily),
        5 => Just(TryRecv),
        10 => any::<usize>().prop_map(CancelSend),
        10 => any::<usize>().prop_map(CancelRecv),
        1 => Just(Close),
    ];
    vec(op, 0..60)
}

/// A channel, the simple way.
#[derive(Default)]
struct Model {
    capacity: usize,
    buffer: VecDeque<usize>,
    senders: VecDeque<usize>,
    receivers: VecDeque<usize>,
    closed: bool,
    /// Who got what.
    got: Vec<(usize, Option<Answer>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Sent(Result<(), usize>),
    Received(Result<usize, ()>),
}

impl Model {
    fn serve(&mut self) {
        loop {
            if !self.buffer.is_empty() && !self.receivers.is_empty() {
                let (id, message) = (self.receivers.pop_front().unwrap(), self.buffer.pop_front().unwrap());
                self.got.push((id, Some(Answer::Received(Ok(message)))));
            } else if self.buffer.len() < self.capacity && !self.senders.is_empty() && !self.closed {
                let id = self.senders.pop_front().unwrap();
                self.buffer.push_back(id);
                self.got.push((id, Some(Answer::Sent(Ok(())))));
            } else {
                break;
            }
        }
        if self.closed {
            let receivers = std::mem::take(&mut self.receivers);
            self.got.extend(receivers.into_iter().map(|id| (id, Some(Answer::Received(Err(()))))));
            let senders = std::mem::take(&mut self.senders);
            self.got.extend(senders.into_iter().map(|id| (id, Some(Answer::Sent(Err(id))))));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn semaphore(permits in 1_usize..4, ops in semaphore_ops()) {
        let semaphore = Semaphore::new(permits);
        let statistics = || (semaphore.available(), semaphore.statistics().waiting);
        against_the_model(permits, &ops, || semaphore.acquire(), || semaphore.try_acquire(), statistics);
        prop_assert_eq!(statistics(), (permits, 0));
        in_bursts(permits, &ops, || semaphore.acquire(), || semaphore.try_acquire(), statistics);
    }

    #[test]
    fn lock(ops in semaphore_ops()) {
        let lock = Lock::new(0);
        let statistics = || (usize::from(!lock.is_locked()), lock.statistics().waiting);
        against_the_model(1, &ops, || lock.acquire(), || lock.try_acquire(), statistics);
        prop_assert_eq!(statistics(), (1, 0));
        in_bursts(1, &ops, || lock.acquire(), || lock.try_acquire(), statistics);
    }

    #[test]
    fn event(has_remote: bool, ops in event_ops()) {
        let event = Event::new();
        let remote = has_remote.then(|| event.remote());
        let mut event_loop = Loop::new();
        let mut world = World::<bool>::new(&mut event_loop);
        let (mut is_set, mut waiting, mut expected) = (false, Vec::<usize>::new(), Vec::new());
        let from_outside = |act: &(dyn Fn(&tinyield::RemoteEvent) + Sync), here: &dyn Fn(), outside: bool| {
            match &remote {
                Some(remote) if outside => {
                    std::thread::scope(|scope| { scope.spawn(|| act(remote)); });
                }
                _ => here(),
            }
        };
        for op in ops {
            match op {
                EventOp::Wait | EventOp::WaitLong | EventOp::WaitTwice | EventOp::WaitHastily => {
                    // Each is a coroutine of its own, so that all take as many turns.
                    let (wait, long, hasty) = (event.wait(), event.wait_timeout(LONG * 60), event.wait_timeout(Duration::ZERO));
                    let id = match op {
                        EventOp::Wait => world.start(co! { yield wait; true }),
                        EventOp::WaitLong => world.start(co! { yield long }),
                        EventOp::WaitTwice => world.start(co! { (yield (wait, long)).1 }),
                        _ => world.start(co! { yield hasty }),
                    };
                    if is_set {
                        expected.push((id, Some(true)));
                    } else if matches!(op, EventOp::WaitHastily) {
                        expected.push((id, Some(false)));
                    } else {
                        waiting.push(id);
                    }
                }
                EventOp::Set { remote } => {
                    from_outside(&|remote| remote.set(), &|| event.set(), remote);
                    is_set = true;
                    expected.extend(waiting.drain(..).map(|id| (id, Some(true))));
                }
                EventOp::Clear { remote } => {
                    from_outside(&|remote| remote.clear(), &|| event.clear(), remote);
                    is_set = false;
                }
                EventOp::SetAndClear { remote } => {
                    from_outside(&|remote| { remote.set(); remote.clear(); }, &|| { event.set(); event.clear(); }, remote);
                    is_set = false;
                    expected.extend(waiting.drain(..).map(|id| (id, Some(true))));
                }
                EventOp::Cancel(index) => {
                    if let Some(id) = pick(waiting.iter().copied(), index) {
                        waiting.retain(|other| *other != id);
                        world.cancel(id);
                    }
                }
            }
            prop_assert_eq!(event.is_set(), is_set);
            world.settle();
            prop_assert_eq!(world.take_got(), std::mem::take(&mut expected));
        }
        drop(world);
        prop_assert_eq!(event.statistics().waiting, 0);
    }

    #[test]
    fn barrier(parties in 1_usize..5, ops in vec(prop_oneof![3 => Just(None), 1 => any::<usize>().prop_map(Some)], 0..60)) {
        let barrier = Barrier::new(parties);
        let mut event_loop = Loop::new();
        let mut world = World::new(&mut event_loop);
        let mut waiting = Vec::new();
        for op in ops {
            let mut expected = Vec::new();
            match op {
                None => {
                    waiting.push(world.start(barrier.wait()));
                    if waiting.len() == parties {
                        expected = waiting.drain(..).enumerate().map(|(index, id)| (id, Some(index))).collect();
                    }
                }
                Some(index) => {
                    if let Some(id) = pick(waiting.iter().copied(), index) {
                        waiting.retain(|other| *other != id);
                        world.cancel(id);
                    }
                }
            }
            world.settle();
            let mut got = world.take_got();
            got.sort_unstable();
            prop_assert_eq!(got, expected);
            prop_assert_eq!(barrier.statistics().waiting, waiting.len());
        }
    }

    #[test]
    fn channel(capacity in 1_usize..4, has_remote: bool, ops in channel_ops()) {
        let (sender, receiver) = channel::bounded(capacity);
        let remotes = has_remote.then(|| (sender.remote(), receiver.remote()));
        let mut event_loop = Loop::new();
        let mut world = World::new(&mut event_loop);
        let mut model = Model { capacity, ..Model::default() };
        let hasty = |result: &Model, id: usize| !result.got.iter().any(|(other, _)| *other == id);
        for op in ops {
            let id = world.next;
            let sends = || {
                let send = sender.send(id);
                co! { Answer::Sent((yield send).map_err(SendError::into_inner)) }
            };
            let receives = || {
                let recv = receiver.recv();
                co! { Answer::Received((yield recv).map_err(|RecvError| ())) }
            };
            match op {
                ChannelOp::Send => {
                    world.start(sends());
                    model.senders.push_back(id);
                }
                ChannelOp::SendHastily => {
                    world.start_hasty(sends());
                    model.senders.push_back(id);
                    model.serve();
                    if hasty(&model, id) {
                        model.senders.retain(|other| *other != id);
                        model.got.push((id, None));
                    }
                }
                ChannelOp::TrySend => {
                    world.next += 1;
                    let room = !model.closed && model.buffer.len() < capacity && model.senders.is_empty();
                    prop_assert_eq!(sender.try_send(id).is_ok(), room);
                    if room {
                        model.buffer.push_back(id);
                    }
                }
                ChannelOp::Recv => {
                    world.start(receives());
                    model.receivers.push_back(id);
                }
                ChannelOp::RecvHastily => {
                    world.start_hasty(receives());
                    model.receivers.push_back(id);
                    model.serve();
                    if hasty(&model, id) {
                        model.receivers.retain(|other| *other != id);
                        model.got.push((id, None));
                    }
                }
                ChannelOp::TryRecv => prop_assert_eq!(receiver.try_recv().ok(), model.buffer.pop_front()),
                ChannelOp::CancelSend(index) => {
                    if let Some(id) = pick(model.senders.iter().copied(), index) {
                        model.senders.retain(|other| *other != id);
                        world.cancel(id);
                    }
                }
                ChannelOp::CancelRecv(index) => {
                    if let Some(id) = pick(model.receivers.iter().copied(), index) {
                        model.receivers.retain(|other| *other != id);
                        world.cancel(id);
                    }
                }
                ChannelOp::Close => {
                    prop_assert_eq!(receiver.close(), !model.closed);
                    model.closed = true;
                }
            }
            model.serve();
            world.settle();
            let (mut got, mut expected) = (world.take_got(), std::mem::take(&mut model.got));
            got.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(got, expected);
            prop_assert_eq!(receiver.len(), model.buffer.len());
            let statistics = receiver.statistics();
            prop_assert_eq!(statistics.waiting_senders, model.senders.len());
            prop_assert_eq!(statistics.waiting_receivers, model.receivers.len());
        }
        drop(remotes);
    }

    #[test]
    fn completions(turns in vec((0_usize..6, any::<bool>()), 0..20)) {
        let coros: Vec<Coro<(usize, usize)>> = turns.iter().enumerate().map(|(index, &(turns, _))| co! {
            for _ in 0..turns {
                yield;
            }
            (turns, index)
        }).collect();
        let wanted: Vec<bool> = turns.iter().map(|(_, wanted)| *wanted).collect();
        let mut expected: Vec<(usize, usize)> = turns.iter().enumerate().map(|(index, &(turns, _))| (turns, index)).collect();
        expected.sort_unstable();
        let expected: Vec<_> = expected.into_iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(value, _)| value).collect();
        let main = co! {
            let items = (yield as_completed(coros)).zip(wanted).filter(|(_, wanted)| *wanted).map(|(item, _)| item);
            yield items.collect::<Vec<_>>()
        };
        prop_assert_eq!(Loop::new().run(main).unwrap(), expected);
    }
}
