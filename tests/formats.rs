//! What `{:?}` and `{}` print of the public types.
#![feature(coroutines)]

mod common;

use std::cell::RefCell;
use std::error::Error as StdError;
use std::rc::Rc;

use common::{LONG, forever, ms};
use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::channel::{RecvError, SendError, TryRecvError, bounded};
use tinyield::{
    Aborted, Barrier, Cancelled, Coro, Error, Event, Lock, Loop, Recorder, Semaphore, Simulation, Step, ThreadPool,
    TimedOut, abortable, as_completed, catch, co, dump, interval, isolate, now, race, settled, shield, spawn, stream,
    timeout,
};

fn debug(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

#[test]
fn debug_of_a_coroutine_shows_its_name_and_state() {
    let coro = co! { yield; }.named("porter");
    assert_eq!(debug(&coro), r#"Coro { name: "porter" }"#);
    let shared = coro.shared();
    assert_eq!(debug(&shared), r#"Shared { task: Task { name: "porter", state: "not started" } }"#);
    let clerk = |state: &str| format!(r#"Shared {{ task: Task {{ name: "clerk", state: "{state}" }} }}"#);
    let itself = Rc::new(RefCell::new(None));
    let seen = itself.clone();
    let shared = co! { yield; debug(seen.borrow().as_ref().unwrap()) }.named("clerk").shared();
    *itself.borrow_mut() = Some(shared.clone());
    let starts = co! { drop(yield spawn(shared)); };
    let watched = itself.clone();
    // Its turn comes after `starts` has started the clerk, and before the first turn of the clerk.
    let watches = co! {
        let started = debug(watched.borrow().as_ref().unwrap());
        yield;
        (started, debug(watched.borrow().as_ref().unwrap()))
    };
    let ((), (started, waiting)) = Loop::new().run((starts, watches)).unwrap();
    let shared = itself.take().unwrap();
    assert_eq!(started, clerk("started"));
    assert_eq!(waiting, clerk("waiting"));
    assert_eq!(debug(&shared), clerk("finished"));
    assert_eq!(Loop::new().run(&shared).unwrap(), clerk("running"));
    let handle = Loop::new().run(spawn(co! {}.named("porter"))).unwrap();
    assert_eq!(debug(&handle), r#"JoinHandle { task: Task { name: "porter", state: "finished" } }"#);
    let failed = co! { Err("oh no")?; }.named("porter").shared();
    assert!(Loop::new().run(&failed).is_err());
    assert_eq!(debug(&failed), r#"Shared { task: Task { name: "porter", state: "over" } }"#);
}

#[test]
fn debug_of_a_wait_shows_what_it_waits_for() {
    let coro = || co! {}.named("porter");
    let task = r#"Task { name: "porter", state: "not started" }"#;
    assert_eq!(debug(&timeout(coro(), ms(1))), format!("Timeout {{ task: {task}, limit: 1ms }}"));
    assert_eq!(debug(&race([coro()])), r#"Race { runners: [Coro { name: "porter" }] }"#);
    assert_eq!(debug(&isolate(coro())), format!("Isolate {{ task: {task}, grouping: Auto }}"));
    assert_eq!(debug(&shield(coro())), format!("Shield {{ task: {task} }}"));
    assert_eq!(debug(&catch(coro())), r#"Catch { wait: Coro { name: "porter" } }"#);
    assert_eq!(debug(&as_completed([coro()])), r#"StartAsCompleted { coros: [Coro { name: "porter" }] }"#);

    let event = Event::new();
    let unset = "Event { is_set: false, waiting: 0, remotes: 0 }";
    assert_eq!(debug(&event.wait()), format!("EventWait {{ event: {unset} }}"));
    assert_eq!(debug(&event.wait_timeout(ms(1))), format!("EventWaitTimeout {{ event: {unset}, limit: 1ms }}"));
    assert_eq!(debug(&event.remote()), "RemoteEvent { is_set: false, .. }");
    let barrier = Barrier::new(2);
    assert_eq!(debug(&barrier.wait()), format!("BarrierWait {{ barrier: {barrier:?} }}"));
    let semaphore = Semaphore::new(2);
    assert_eq!(debug(&semaphore.acquire()), format!("Acquire {{ semaphore: {semaphore:?} }}"));
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(debug(&permit), format!("Permit {{ semaphore: {semaphore:?} }}"));
    let lock = Lock::new("tools");
    assert_eq!(debug(&lock), "Lock { holder: None, waiting: 0, .. }");
    assert_eq!(debug(&lock.acquire()), "AcquireLock { .. }");
    let guard = lock.try_acquire().unwrap();
    assert_eq!(guard.to_string(), "tools");
    let (sender, receiver) = bounded::<u8>(1);
    assert_eq!(debug(&sender.send(1)), format!("Send {{ sender: {sender:?} }}"));
    assert_eq!(debug(&receiver.recv()), format!("Recv {{ receiver: {receiver:?} }}"));
    assert_eq!(debug(&sender.remote()), "RemoteSender { messages: 0, capacity: Some(1), is_closed: false }");
    assert_eq!(debug(&receiver.remote()), "RemoteReceiver { messages: 0, capacity: Some(1), is_closed: false }");
    assert_eq!(debug(&ThreadPool::new(3)), "ThreadPool { max: 3, threads: 0, waiting: 0 }");
}

#[test]
fn debug_of_a_wait_for_the_clock_the_loop_or_a_stream_names_it() {
    let coro = || co! {}.named("porter");
    let task = r#"Task { name: "porter", state: "not started" }"#;
    let (work, handle) = abortable(coro());
    assert_eq!(debug(&work), format!("Abortable {{ task: {task} }}"));
    assert_eq!(debug(&handle), "AbortHandle { is_aborted: false, .. }");
    let remote = handle.remote();
    assert_eq!(debug(&remote), "RemoteAbortHandle { is_aborted: false }");
    handle.abort();
    assert_eq!(debug(&handle), "AbortHandle { is_aborted: true, .. }");
    assert_eq!(Aborted.to_string(), "aborted");

    let ticks = interval(ms(5));
    assert_eq!(debug(&ticks), "Interval { period: 5ms }");
    assert_eq!(debug(&ticks.tick()), "Tick { period: 5ms }");
    assert_eq!([debug(&now()), debug(&settled())], ["Now { .. }", "Settled { .. }"]);
    assert_eq!(debug(&dump()), "TakeDump { .. }");

    let numbers = stream(|out| {
        assert_eq!([debug(&out), debug(&out.emit(1))], ["Emitter { .. }", "Emit { .. }"]);
        co! { yield out.emit(1); }.named("porter")
    });
    assert_eq!(debug(&numbers), format!("Stream {{ task: {task} }}"));
    assert_eq!(debug(&numbers.next()), format!("Next {{ stream: {task} }}"));

    let event = Event::new();
    assert_eq!(debug(&race((event.wait(), event.wait()))), "Race { leaves: 2 }");
    assert_eq!(debug(&race(vec![event.wait()])), "Race { leaves: 1 }");
    assert!(debug(&event.wait().map(|()| 1)).starts_with("Map { wait: EventWait {"));
    assert_eq!(debug(&as_completed([coro()]).limit(3)), "StartLimited { limit: 3, .. }");
}

#[test]
fn debug_of_the_tools_that_look_into_a_loop_names_them() {
    let mut event_loop = Loop::builder().watchdog(ms(50), |_| {}).build();
    assert!(debug(&event_loop).contains("Watchdog { limit: 50ms, .. }"), "{event_loop:?}");
    assert_eq!(debug(&event_loop.view()), "View { .. }");
    assert!(debug(&Recorder::last(10)).starts_with("Recorder { recorded: Recorded { coroutines: 0,"));
    assert_eq!(debug(&Simulation::default()), debug(&Simulation::new()));
    assert!(debug(&Simulation::new()).starts_with("Simulation { grouping: Auto"));
}

#[test]
fn debug_of_as_completed_shows_how_many_have_completed() {
    let main = co! {
        let mut completed = yield as_completed([co! { 1 }, co! { yield; yield; 2 }]);
        let first = completed.next().unwrap();
        let before = (debug(&completed), debug(&first));
        yield first;
        (before, debug(&completed))
    };
    let ((before, next), after) = Loop::new().run(main).unwrap();
    assert_eq!(before, "AsCompleted { completed: 0, asked_for: 1, count: 2 }");
    assert_eq!(next, "NextCompleted { index: 0, .. }");
    assert_eq!(after, "AsCompleted { completed: 1, asked_for: 1, count: 2 }");
}

#[test]
fn debug_of_loops_and_of_the_types_of_by_hand() {
    let mut event_loop = Loop::new();
    let stop = event_loop.stop_handle();
    assert_eq!(debug(&stop), "StopHandle { stop: Stop { .. } }");
    let mut runtime = event_loop.runtime(forever());
    assert!(debug(&runtime).starts_with("Runtime"), "{runtime:?}");
    let idle = loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => break idle,
            Step::Done(_) => panic!("it is over"),
        }
    };
    assert_eq!(debug(&idle), "Idle { deadline: None, .. }");
    drop((idle, runtime));

    let coro: Coro<String> = Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| {
            if false {
                resume = yield Suspend;
            }
            Outcome::value(debug(&resume))
        },
    )
    .named("porter");
    assert_eq!(Loop::new().run(coro).unwrap(), r#"Resume { coroutine: "porter" }"#);
    assert_eq!(debug(&Outcome::value(1)), "Outcome(Ok(1))");
}

#[cfg(feature = "smol")]
#[test]
fn debug_of_a_loop_in_smol_shows_its_state() {
    use std::task::{Context, Waker};

    fn stages<F: Future + Unpin + std::fmt::Debug>(mut future: F) -> [String; 3] {
        let unstarted = debug(&future);
        let polled = std::pin::Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        let running = debug(&future);
        smol::block_on(&mut future);
        [unstarted, running, debug(&future)]
    }

    let names = |name: &str| ["Unstarted", "Running", "Over"].map(|state| format!("{name}({state})"));
    assert_eq!(stages(tinyield::to_smol(co! { yield tinyield::sleep(ms(1)); })), names("ToSmol"));
    assert_eq!(stages(tinyield::to_smol_with(|| co! { yield tinyield::sleep(ms(50)); })), names("ToSmolWith"));
}

#[test]
fn cancellations_and_timeouts_print_their_reason() {
    assert_eq!(TimedOut.to_string(), "timed out");
    let seen: Rc<RefCell<Option<Cancelled>>> = Rc::default();
    let by = seen.clone();
    let told = co! {
        let error = (yield catch(forever())).unwrap_err();
        *by.borrow_mut() = error.as_cancelled().cloned();
        Err(error)?;
    };
    assert_eq!(Loop::new().run(timeout(told, ms(0))).unwrap(), Err(TimedOut));
    let cancelled = seen.take().unwrap();
    assert_eq!(debug(&cancelled), "Cancelled(TimedOut)");
    assert_eq!(cancelled.to_string(), "cancelled: timed out");
}

#[test]
fn a_boxed_error_prints_like_the_error() {
    let error = || Error::msg("oh no");
    let location = |text: String| text.contains("raised at tests");
    let (plain, send, sync): (Box<dyn StdError>, Box<dyn StdError + Send>, Box<dyn StdError + Send + Sync>) =
        (error().into(), error().into(), error().into());
    assert_eq!([plain.to_string(), send.to_string(), sync.to_string()], ["oh no"; 3]);
    assert!(location(debug(&plain)) && location(debug(&send)) && location(debug(&sync)));
}

#[test]
fn channel_errors_print_their_reason_and_return_the_message() {
    let (sender, receiver) = bounded(1);
    assert_eq!(sender.capacity(), Some(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.try_send("first").unwrap();
    let full = sender.try_send("second").unwrap_err();
    assert!(full.is_full() && !full.is_closed());
    assert_eq!((full.to_string(), debug(&full)), ("sending into a full channel".into(), "Full(..)".into()));
    assert_eq!(full.into_inner(), "second");

    sender.close();
    let closed = sender.try_send("second").unwrap_err();
    assert!(closed.is_closed() && !closed.is_full());
    assert_eq!((closed.to_string(), debug(&closed)), ("sending into a closed channel".into(), "Closed(..)".into()));
    assert_eq!(closed.into_inner(), "second");
    let closed = Loop::new().run(sender.send("second")).unwrap().unwrap_err();
    assert_eq!((closed.to_string(), debug(&closed)), ("sending into a closed channel".into(), "SendError(..)".into()));
    assert_eq!(closed, SendError("second"));
    assert_eq!(closed.into_inner(), "second");

    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["first"]);
    assert!(sender.is_empty());
    let over = receiver.try_recv().unwrap_err();
    assert!(over.is_closed() && !over.is_empty());
    assert!(TryRecvError::Empty.is_empty() && !TryRecvError::Empty.is_closed());
    assert_eq!(over.to_string(), "receiving from an empty and closed channel");
    assert_eq!(TryRecvError::Empty.to_string(), "receiving from an empty channel");
    let over = Loop::new().run(timeout(receiver.recv(), LONG)).unwrap().unwrap().unwrap_err();
    assert_eq!(over, RecvError);
    assert_eq!(over.to_string(), "receiving from an empty and closed channel");
}
