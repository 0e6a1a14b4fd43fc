//! Compares each primitive with a naive model, over random operations with cancellations and timeouts among them.
#![feature(coroutines)]

mod common;
#[path = "common/random.rs"]
mod random;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use common::LONG;
use proptest::collection::vec;
use proptest::prelude::*;
use random::with_fixed_seed;
use tinyield::channel::{self, RecvError, SendError, Sender};
use tinyield::{
    Barrier, Coro, Event, Lock, Loop, RemoteEvent, Runtime, Semaphore, Step, Wait, as_completed, co, coro, race, spawn,
    timeout,
};

/// Starts the coroutines that it receives.
#[coro]
fn nursery(starts: channel::Receiver<Coro<()>>) -> Coro<()> {
    while let Ok(coro) = yield starts.recv() {
        yield spawn(coro);
    }
}

/// The results of coroutines by id, in the order in which they ended. `None` is a timeout.
type Results<G> = Rc<RefCell<Vec<(usize, Option<G>)>>>;

/// A loop that a test steps. Its coroutines wait for something, may be cancelled, and store their results.
struct World<'a, G> {
    runtime: Runtime<'a, ()>,
    starts: Sender<Coro<()>>,
    cancels: BTreeMap<usize, Event>,
    results: Results<G>,
    next: usize,
}

impl<'a, G: 'static> World<'a, G> {
    fn new(event_loop: &'a mut Loop) -> World<'a, G> {
        let (starts, started) = channel::unbounded();
        let runtime = event_loop.runtime(nursery(started));
        World { runtime, starts, cancels: BTreeMap::new(), results: Rc::default(), next: 0 }
    }

    /// Starts a coroutine that waits, under the next id.
    fn start(&mut self, wait: impl Wait<Output = G> + 'static) -> usize {
        self.start_coro(co! { Some(yield wait) })
    }

    /// Starts a coroutine that waits with a timeout of zero, under the next id.
    fn start_with_zero_timeout(&mut self, wait: impl Wait<Output = G> + 'static) -> usize {
        let wait = timeout(wait, Duration::ZERO);
        self.start_coro(co! { (yield wait).ok() })
    }

    fn start_coro(&mut self, wait: Coro<Option<G>>) -> usize {
        let id = self.next;
        self.next += 1;
        let (cancel, results) = (Event::new(), self.results.clone());
        self.cancels.insert(id, cancel.clone());
        let waiter = co! {
            let first = yield race([
                co! { Some(yield wait) },
                co! {
                    yield cancel.wait();
                    None
                },
            ]);
            if let Some(result) = first {
                results.borrow_mut().push((id, result));
            }
        };
        self.starts.try_send(waiter).unwrap();
        id
    }

    fn cancel(&self, id: usize) {
        self.cancels[&id].set();
    }

    /// Steps until the loop has nothing to do but wait for the test.
    fn settle(&mut self) {
        loop {
            match self.runtime.step() {
                Step::Ran => {}
                Step::Idle(idle) if idle.deadline().is_some_and(|at| at < std::time::Instant::now() + LONG) => {
                    idle.wait()
                }
                Step::Idle(_) => return,
                Step::Done(result) => panic!("the nursery has ended: {result:?}"),
            }
        }
    }

    fn take_results(&self) -> Vec<(usize, Option<G>)> {
        self.results.take()
    }
}

/// Picks an element of `list`, if there is one.
fn pick<T: Copy>(list: impl IntoIterator<Item = T>, index: usize) -> Option<T> {
    let list: Vec<T> = list.into_iter().collect();
    (!list.is_empty()).then(|| list[index % list.len()])
}

#[derive(Clone, Copy, Debug)]
enum SemaphoreOp {
    Acquire,
    AcquireWithZeroTimeout,
    Try,
    Release(usize),
    Cancel(usize),
}

fn semaphore_ops() -> impl Strategy<Value = Vec<(SemaphoreOp, bool)>> {
    use SemaphoreOp::*;
    let op = prop_oneof![
        4 => Just(Acquire),
        1 => Just(AcquireWithZeroTimeout),
        1 => Just(Try),
        3 => any::<usize>().prop_map(Release),
        2 => any::<usize>().prop_map(Cancel),
    ];
    vec((op, any::<bool>()), 0..60)
}

/// Used for a semaphore and for a lock, which is a semaphore of one permit.
fn compare_with_model<G: 'static, W: Wait<Output = G> + 'static>(
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
            SemaphoreOp::AcquireWithZeroTimeout => {
                let id = world.start_with_zero_timeout(acquire());
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
        held.extend(world.take_results().into_iter().filter_map(|(id, permit)| Some((id, permit?))));
        assert_eq!(held.iter().map(|(id, _)| *id).collect::<Vec<_>>(), holders);
        assert_eq!(statistics(), (free, queue.len()));
    }
}

/// Performs several operations before the loop takes a step. No permit is lost, and no coroutine waits while one is free.
fn check_bursts<G: 'static, W: Wait<Output = G> + 'static>(
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
            SemaphoreOp::AcquireWithZeroTimeout => started.push(world.start_with_zero_timeout(acquire())),
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
            held.extend(world.take_results().into_iter().filter_map(|(_, permit)| permit));
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
    world.take_results();
    assert_eq!(statistics(), (permits, 0));
}

#[derive(Clone, Copy, Debug)]
enum EventOp {
    Wait,
    WaitLong,
    WaitWithZeroLimit,
    WaitTwice,
    Set {
        remote: bool,
    },
    Clear {
        remote: bool,
    },
    SetAndClear {
        remote: bool,
    },
    /// Makes a remote handle if there is none. Otherwise drops it.
    ToggleRemote,
    Cancel(usize),
}

fn event_ops() -> impl Strategy<Value = Vec<EventOp>> {
    use EventOp::*;
    let op = prop_oneof![
        2 => Just(Wait),
        2 => Just(WaitLong),
        1 => Just(WaitWithZeroLimit),
        1 => Just(WaitTwice),
        1 => any::<bool>().prop_map(|remote| Set { remote }),
        2 => any::<bool>().prop_map(|remote| Clear { remote }),
        1 => any::<bool>().prop_map(|remote| SetAndClear { remote }),
        1 => Just(ToggleRemote),
        2 => any::<usize>().prop_map(Cancel),
    ];
    vec(op, 0..60)
}

#[derive(Clone, Copy, Debug)]
enum ChannelOp {
    Send,
    SendWithZeroTimeout,
    TrySend,
    Recv,
    RecvWithZeroTimeout,
    TryRecv,
    CancelSend(usize),
    CancelRecv(usize),
    Close,
}

fn channel_ops() -> impl Strategy<Value = Vec<ChannelOp>> {
    use ChannelOp::*;
    let op = prop_oneof![
        20 => Just(Send),
        5 => Just(SendWithZeroTimeout),
        5 => Just(TrySend),
        20 => Just(Recv),
        5 => Just(RecvWithZeroTimeout),
        5 => Just(TryRecv),
        10 => any::<usize>().prop_map(CancelSend),
        10 => any::<usize>().prop_map(CancelRecv),
        1 => Just(Close),
    ];
    vec(op, 0..60)
}

/// The model of a channel.
#[derive(Default)]
struct Model {
    capacity: usize,
    buffer: VecDeque<usize>,
    senders: VecDeque<usize>,
    receivers: VecDeque<usize>,
    closed: bool,
    /// The results of coroutines by id.
    results: Vec<(usize, Option<Answer>)>,
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
                self.results.push((id, Some(Answer::Received(Ok(message)))));
            } else if self.buffer.len() < self.capacity && !self.senders.is_empty() && !self.closed {
                let id = self.senders.pop_front().unwrap();
                self.buffer.push_back(id);
                self.results.push((id, Some(Answer::Sent(Ok(())))));
            } else {
                break;
            }
        }
        if self.closed {
            let receivers = std::mem::take(&mut self.receivers);
            self.results.extend(receivers.into_iter().map(|id| (id, Some(Answer::Received(Err(()))))));
            let senders = std::mem::take(&mut self.senders);
            self.results.extend(senders.into_iter().map(|id| (id, Some(Answer::Sent(Err(id))))));
        }
    }
}

proptest! {
    #![proptest_config(with_fixed_seed(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }))]

    #[test]
    fn a_semaphore_behaves_like_its_model(permits in 1_usize..4, ops in semaphore_ops()) {
        let semaphore = Semaphore::new(permits);
        let statistics = || (semaphore.available(), semaphore.statistics().waiting);
        compare_with_model(permits, &ops, || semaphore.acquire(), || semaphore.try_acquire(), statistics);
        prop_assert_eq!(statistics(), (permits, 0));
        check_bursts(permits, &ops, || semaphore.acquire(), || semaphore.try_acquire(), statistics);
    }

    #[test]
    fn a_lock_behaves_like_its_model(ops in semaphore_ops()) {
        let lock = Lock::new(0);
        let statistics = || (usize::from(!lock.is_locked()), lock.statistics().waiting);
        compare_with_model(1, &ops, || lock.acquire(), || lock.try_acquire(), statistics);
        prop_assert_eq!(statistics(), (1, 0));
        check_bursts(1, &ops, || lock.acquire(), || lock.try_acquire(), statistics);
    }

    #[test]
    fn an_event_behaves_like_its_model(ops in event_ops()) {
        let event = Event::new();
        let mut handle = None;
        let mut event_loop = Loop::new();
        let mut world = World::<bool>::new(&mut event_loop);
        let (mut is_set, mut waiting, mut expected) = (false, Vec::<usize>::new(), Vec::new());
        // Uses the remote handle, on another thread, if there is one and the operation asks for it.
        let act = |handle: &Option<RemoteEvent>, remote: bool, on_handle: fn(&RemoteEvent), on_event: fn(&Event)| {
            match handle {
                Some(handle) if remote => {
                    // Joined by hand: the thread sanitizer does not see how a scope waits for its threads.
                    std::thread::scope(|scope| scope.spawn(|| on_handle(handle)).join().unwrap());
                }
                _ => on_event(&event),
            }
        };
        for op in ops {
            match op {
                EventOp::Wait | EventOp::WaitLong | EventOp::WaitTwice | EventOp::WaitWithZeroLimit => {
                    // Each wait has a coroutine of its own, so that all of them take the same number of turns.
                    let (wait, long, zero) = (event.wait(), event.wait_timeout(LONG * 60), event.wait_timeout(Duration::ZERO));
                    let id = match op {
                        EventOp::Wait => world.start(co! { yield wait; true }),
                        EventOp::WaitLong => world.start(co! { yield long }),
                        EventOp::WaitTwice => world.start(co! { (yield (wait, long)).1 }),
                        _ => world.start(co! { yield zero }),
                    };
                    if is_set {
                        expected.push((id, Some(true)));
                    } else if matches!(op, EventOp::WaitWithZeroLimit) {
                        expected.push((id, Some(false)));
                    } else {
                        waiting.push(id);
                    }
                }
                EventOp::Set { remote } => {
                    act(&handle, remote, RemoteEvent::set, Event::set);
                    is_set = true;
                    expected.extend(waiting.drain(..).map(|id| (id, Some(true))));
                }
                EventOp::Clear { remote } => {
                    act(&handle, remote, RemoteEvent::clear, Event::clear);
                    is_set = false;
                }
                EventOp::SetAndClear { remote } => {
                    act(&handle, remote, |handle| { handle.set(); handle.clear(); }, |event| { event.set(); event.clear(); });
                    is_set = false;
                    expected.extend(waiting.drain(..).map(|id| (id, Some(true))));
                }
                EventOp::ToggleRemote => handle = if handle.is_some() { None } else { Some(event.remote()) },
                EventOp::Cancel(index) => {
                    if let Some(id) = pick(waiting.iter().copied(), index) {
                        waiting.retain(|other| *other != id);
                        world.cancel(id);
                    }
                }
            }
            prop_assert_eq!(event.is_set(), is_set);
            world.settle();
            prop_assert_eq!(world.take_results(), std::mem::take(&mut expected));
        }
        drop(world);
        prop_assert_eq!(event.statistics().waiting, 0);
    }

    #[test]
    fn a_barrier_behaves_like_its_model(parties in 1_usize..5, ops in vec(prop_oneof![3 => Just(None), 1 => any::<usize>().prop_map(Some)], 0..60)) {
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
            let mut results = world.take_results();
            results.sort_unstable();
            prop_assert_eq!(results, expected);
            prop_assert_eq!(barrier.statistics().waiting, waiting.len());
        }
    }

    #[test]
    fn a_channel_behaves_like_its_model(capacity in 1_usize..4, has_remote: bool, ops in channel_ops()) {
        let (sender, receiver) = channel::bounded(capacity);
        let remotes = has_remote.then(|| (sender.remote(), receiver.remote()));
        let mut event_loop = Loop::new();
        let mut world = World::new(&mut event_loop);
        let mut model = Model { capacity, ..Model::default() };
        let has_timed_out = |model: &Model, id: usize| !model.results.iter().any(|(other, _)| *other == id);
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
                ChannelOp::SendWithZeroTimeout => {
                    world.start_with_zero_timeout(sends());
                    model.senders.push_back(id);
                    model.serve();
                    if has_timed_out(&model, id) {
                        model.senders.retain(|other| *other != id);
                        model.results.push((id, None));
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
                ChannelOp::RecvWithZeroTimeout => {
                    world.start_with_zero_timeout(receives());
                    model.receivers.push_back(id);
                    model.serve();
                    if has_timed_out(&model, id) {
                        model.receivers.retain(|other| *other != id);
                        model.results.push((id, None));
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
            let (mut results, mut expected) = (world.take_results(), std::mem::take(&mut model.results));
            results.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(results, expected);
            prop_assert_eq!(receiver.len(), model.buffer.len());
            let statistics = receiver.statistics();
            prop_assert_eq!(statistics.waiting_senders, model.senders.len());
            prop_assert_eq!(statistics.waiting_receivers, model.receivers.len());
        }
        drop(remotes);
    }

    #[test]
    fn as_completed_returns_the_chosen_items_in_order_of_completion(turns in vec((0_usize..6, any::<bool>()), 0..20)) {
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
