//! Futures of tokio inside loops, wherever the loop runs. Loops inside of tokio are in `bridges.rs`.
#![feature(coroutines)]
#![cfg(feature = "tokio")]

mod common;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{Counter, Gate, LONG, ms, names, panic_of};
use tinyield::{
    Coro, Deadlock, Loop, Panic, Step, catch, co, coro, from_future, from_tokio, isolate, now, run_in_loop, shield,
    sleep, spawn, timeout, to_tokio, to_tokio_with,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::mpsc;

/// Polls `future` once, with a waker that does nothing. Enters no runtime.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn add_one(x: i32) -> i32 {
    tokio::time::sleep(ms(1)).await;
    x + 1
}

/// A client and a server that send each other some bytes.
async fn talk() -> [u8; 4] {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.write_all(&bytes.map(|byte| byte + 1)).await.unwrap();
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[1, 2, 3, 4]).await.unwrap();
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).await.unwrap();
    server.await.unwrap();
    bytes
}

#[test]
fn tokio_future_gives_its_output_to_a_coroutine() {
    assert_eq!(Loop::new().run((from_tokio(add_one(3)), from_tokio(add_one(4)))).unwrap(), (4, 5));
}

#[test]
fn sockets_and_tasks_work_outside_of_a_runtime() {
    assert_eq!(Loop::new().run(timeout(from_tokio(talk()), LONG)).unwrap(), Ok([2, 3, 4, 5]));
}

#[test]
fn sockets_and_tasks_work_by_plain_await_inside_of_a_runtime() {
    let main = || co! { talk().await };
    assert_eq!(current_thread().block_on(to_tokio(main())).unwrap(), [2, 3, 4, 5]);
    assert_eq!(current_thread().block_on(to_tokio_with(main)).unwrap(), [2, 3, 4, 5]);
    let threads = Runtime::new().unwrap();
    assert_eq!(threads.block_on(threads.spawn(to_tokio_with(main))).unwrap().unwrap(), [2, 3, 4, 5]);
}

#[test]
fn future_is_polled_on_the_thread_of_the_loop_and_need_not_be_send() {
    let here = thread::current().id();
    let not_send = Rc::new(());
    let main = from_tokio(async move {
        for _ in 0..3 {
            tokio::time::sleep(ms(1)).await;
            assert_eq!(thread::current().id(), here);
        }
        Rc::strong_count(&not_send)
    });
    assert_eq!(Loop::new().run(main).unwrap(), 1);
}

#[test]
fn futures_of_a_run_share_a_runtime_and_the_next_run_has_another() {
    let id = || async { Handle::current().id() };
    let mut event_loop = Loop::new();
    let (one, two) = event_loop.run((from_tokio(id()), from_tokio(id()))).unwrap();
    assert_eq!(one, two);
    assert_ne!(event_loop.run(from_tokio(id())).unwrap(), one);
    assert!(Handle::try_current().is_err());
}

#[test]
fn runtime_around_the_loop_is_used_if_it_advances_by_itself() {
    let threads = Runtime::new().unwrap();
    let _entered = threads.enter();
    let main = from_tokio(async { (Handle::current().id(), talk().await) });
    assert_eq!(Loop::new().run(main).unwrap(), (threads.handle().id(), [2, 3, 4, 5]));
}

#[test]
fn hosted_loop_uses_the_runtime_of_its_host() {
    let runtime = current_thread();
    let id = || from_tokio(async { Handle::current().id() });
    assert_eq!(runtime.block_on(to_tokio(id())).unwrap(), runtime.handle().id());
    assert_eq!(runtime.block_on(to_tokio_with(id)).unwrap(), runtime.handle().id());
}

#[test]
fn runtime_of_one_thread_that_was_only_entered_is_not_waited_for() {
    let runtime = current_thread();
    let _entered = runtime.enter();
    assert_eq!(Loop::new().run(from_tokio(talk())).unwrap(), [2, 3, 4, 5]);
}

#[test]
fn run_inside_of_block_on_panics_instead_of_blocking_the_runtime_for_ever() {
    let message = panic_of(|| current_thread().block_on(async { Loop::new().run(from_tokio(add_one(1))) }));
    assert!(message.contains("Cannot start a runtime from within a runtime"), "{message}");
    assert!(message.contains("await `to_tokio(..)` instead"), "{message}");
}

#[test]
fn tasks_of_the_runtime_advance_beside_a_busy_loop() {
    let main = co! {
        let finished = Rc::new(Cell::new(false));
        let sees = finished.clone();
        let busy = co! {
            while !sees.get() {
                yield;
            }
        };
        let waits = co! {
            let value = yield from_tokio(async { tokio::spawn(add_one(1)).await.unwrap() });
            finished.set(true);
            value
        };
        (yield (busy, waits)).1
    };
    assert_eq!(Loop::new().run(main).unwrap(), 2);
}

#[test]
fn timers_of_the_loop_fire_while_it_waits_in_the_runtime() {
    let main = co! {
        let rest = yield spawn(from_tokio(pending::<()>()));
        for _ in 0..5 {
            yield sleep(ms(1));
        }
        assert!(!rest.is_finished());
        Err::<(), _>("slept")?;
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "slept");
}

#[cfg(feature = "smol")]
#[test]
fn future_of_tokio_may_begin_while_the_loop_waits_in_the_reactor_of_smol() {
    let main = co! {
        let rest = yield spawn(tinyield::from_smol(async { smol::Timer::never().await }));
        yield sleep(ms(1));
        let bytes = yield from_tokio(talk());
        assert!(!rest.is_finished());
        Err::<(), _>(format!("{bytes:?}"))?;
    };
    assert_eq!(Loop::new().run(main).unwrap_err().to_string(), "[2, 3, 4, 5]");
}

#[test]
fn loop_that_is_stepped_has_a_runtime_with_its_own_thread() {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(from_tokio(talk()));
    let bytes = loop {
        match runtime.step() {
            Step::Ran => {}
            Step::Idle(idle) => idle.wait(),
            Step::Done(result) => break result.unwrap(),
        }
    };
    assert_eq!(bytes, [2, 3, 4, 5]);
}

#[test]
fn dropped_runtime_joins_the_thread_of_its_futures() {
    let dropped = Counter::new();
    let guard = dropped.guard();
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(from_tokio(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    while let Step::Ran = runtime.step() {}
    drop(runtime);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn stuck_future_is_a_deadlock() {
    let error = Loop::new().run(from_tokio(pending::<()>())).unwrap_err();
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
    let error = Loop::new().run(run_in_loop(|| from_tokio(pending::<()>()))).unwrap_err();
    assert!(error.error().downcast_ref::<Deadlock>().is_some());
}

#[test]
fn error_of_a_future_is_raised_with_its_trace_and_drops_the_others() {
    let dropped = Counter::new();
    let guard = dropped.guard();
    let main = co! {
        let slow = from_tokio(async move { let _guard = guard; tokio::time::sleep(LONG).await; });
        let fails = from_tokio(async { tokio::time::sleep(ms(1)).await; Err::<(), _>(io::Error::other("of tokio")) });
        yield (slow, fails.raise());
    };
    let error = Loop::new().run(main).unwrap_err();
    assert_eq!(error.to_string(), "of tokio");
    assert_eq!(names(error.error()), ["co!", "from_tokio"]);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn panic_of_a_future_leaves_the_run() {
    let main = from_tokio(async {
        tokio::time::sleep(ms(1)).await;
        panic!("in tokio")
    });
    assert_eq!(panic_of(|| Loop::new().run::<Coro<()>>(main)), "in tokio");
}

#[test]
fn cancelled_future_is_dropped_in_the_context_of_its_runtime() {
    struct Asks(Rc<Cell<Option<RuntimeFlavor>>>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.set(Handle::try_current().ok().map(|handle| handle.runtime_flavor()));
        }
    }
    let flavor = Rc::new(Cell::new(None));
    let asks = Asks(flavor.clone());
    let main = timeout(
        from_tokio(async move {
            let _asks = asks;
            pending::<()>().await;
        }),
        ms(1),
    );
    assert!(Loop::new().run(main).unwrap().is_err());
    assert_eq!(flavor.take(), Some(RuntimeFlavor::CurrentThread));
}

#[test]
fn cleanup_behind_a_shield_awaits_futures_of_tokio() {
    let cleaned = Counter::new();
    let counts = cleaned.clone();
    let main = co! {
        let work = co! {
            let error = (yield catch(from_tokio(pending::<()>()))).unwrap_err();
            yield shield(from_tokio(async move { talk().await; counts.up(); }));
            Err(error)?;
        };
        let _ = yield timeout(work, ms(1));
    };
    Loop::new().run(main).unwrap();
    assert_eq!(cleaned.get(), 1);
}

#[test]
fn loop_inside_of_tokio_ignores_the_budget_of_its_host() {
    #[coro]
    fn receive(mut messages: mpsc::UnboundedReceiver<u32>) -> Coro<u32> {
        let mut count = 0;
        while messages.recv().await.is_some() {
            count += 1;
        }
        count
    }
    const MESSAGES: u32 = 100_000;
    let (sender, receiver) = mpsc::unbounded_channel();
    for number in 0..MESSAGES {
        sender.send(number).unwrap();
    }
    drop(sender);
    let polls = Rc::new(Cell::new(0));
    let mut hosted = to_tokio(receive(receiver));
    let counts = polls.clone();
    let polled = poll_fn(move |context| {
        counts.set(counts.get() + 1);
        Pin::new(&mut hosted).poll(context)
    });
    assert_eq!(current_thread().block_on(polled).unwrap(), MESSAGES);
    assert!(polls.get() <= 2 * MESSAGES / 512, "{} polls", polls.get());
}

#[test]
fn loop_that_drives_its_runtime_ignores_the_budget_too() {
    const MESSAGES: u32 = 100_000;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let main = from_tokio(async move {
        add_one(1).await; // from here on, the runtime polls the loop
        for number in 0..MESSAGES {
            sender.send(number).unwrap();
        }
        drop(sender);
        let mut receive = pin!(async {
            let mut count = 0;
            while receiver.recv().await.is_some() {
                count += 1;
            }
            count
        });
        let mut polls = 0;
        let count = poll_fn(|context| {
            polls += 1;
            receive.as_mut().poll(context)
        });
        (count.await, polls)
    });
    assert_eq!(Loop::new().run(main).unwrap(), (MESSAGES, 1));
}

#[test]
fn poll_outside_of_a_runtime_says_what_to_do() {
    let message = panic_of(|| drop(poll_once(&mut to_tokio(co! {}))));
    assert!(message.contains("`to_tokio`") && message.contains("block_on"), "{message}");
    let message = panic_of(|| drop(poll_once(&mut to_tokio_with(|| co! {}))));
    assert!(message.contains("`to_tokio_with`") && message.contains("block_on"), "{message}");
}

#[test]
fn advice_about_a_plain_await_is_printed_except_in_a_simulation() {
    let name = "advice_about_a_plain_await_is_printed_except_in_a_simulation";
    let printed = common::in_child(name, || {
        let sleeps = || co! { tokio::time::sleep(ms(1)).await };
        panic_of(|| Loop::new().run(sleeps()));
        eprintln!("simulated:");
        panic_of(|| common::simulated().run(sleeps()));
    });
    if printed.is_empty() {
        return; // the child
    }
    let (real, simulated) = printed.split_once("simulated:").unwrap();
    let advice = "`yield from_tokio(async { .. })`";
    assert_eq!(real.matches(advice).count(), 1, "{printed}");
    assert!(!simulated.contains(advice), "{printed}");
}

#[test]
fn plain_await_outside_of_a_runtime_says_what_to_do() {
    let says_what_to_do = |message: &str| {
        assert!(message.starts_with("there is no reactor running"), "{message}");
        assert!(message.contains("`yield from_tokio(async { .. })`"), "{message}");
        assert_eq!(message.matches("block_on(to_tokio(..))").count(), 1, "{message}");
    };
    let sleeps = || co! { tokio::time::sleep(ms(1)).await };
    says_what_to_do(&panic_of(|| Loop::new().run(sleeps())));
    says_what_to_do(&panic_of(|| Loop::new().run(from_future(add_one(1)))));
    says_what_to_do(&panic_of(|| Loop::new().run(run_in_loop(sleeps))));
    // The call of a function of tokio is enough.
    says_what_to_do(&panic_of(|| Loop::new().run(co! { drop(tokio::spawn(pending::<()>())) })));
    let error = Loop::new().run(isolate(sleeps()).catch_unwind()).unwrap().unwrap_err();
    says_what_to_do(error.downcast_ref::<Panic>().unwrap().message());
}

#[test]
fn other_panics_of_tokio_keep_their_message() {
    let without_timers = Builder::new_current_thread().build().unwrap();
    let message = panic_of(|| without_timers.block_on(to_tokio(co! { tokio::time::sleep(ms(1)).await })));
    assert!(message.contains("enable_time") && !message.contains("from_tokio"), "{message}");
}

#[test]
fn waker_called_by_another_thread_wakes_a_loop_that_drives_its_runtime() {
    let gate = Gate::new();
    let opener = gate.clone();
    let main = co! {
        yield from_tokio(add_one(1)); // makes the runtime
        let opens = thread::spawn(move || opener.open());
        gate.await;
        opens.join().is_ok()
    };
    assert!(Loop::new().run(main).unwrap());
}

#[test]
fn block_on_inside_of_a_runtime_says_what_to_do() {
    let blocks = || co! { current_thread().block_on(add_one(1)) };
    assert_eq!(Loop::new().run(blocks()).unwrap(), 2);
    let message = panic_of(|| current_thread().block_on(to_tokio(blocks())));
    assert!(message.contains("await futures instead of calling `block_on`"), "{message}");
}

#[test]
fn loop_inside_of_tokio_follows_its_paused_clock() {
    const HOUR: Duration = Duration::from_secs(3600);
    #[coro]
    fn sleeps() -> Coro<Duration> {
        let start = yield now();
        yield (sleep(HOUR), sleep(2 * HOUR));
        assert!((yield timeout(pending_for_ever(), HOUR)).is_err());
        tokio::time::sleep(HOUR).await;
        (yield now()) - start
    }
    #[coro]
    fn pending_for_ever() -> Coro<()> {
        pending::<()>().await;
    }
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let polls = Cell::new(0);
    let mut hosted = to_tokio(sleeps());
    let counting = poll_fn(|context| {
        polls.set(polls.get() + 1);
        Pin::new(&mut hosted).poll(context)
    });
    let slept = runtime.block_on(counting).unwrap();
    assert!(slept >= 4 * HOUR && slept < 4 * HOUR + Duration::from_secs(1), "{slept:?}");
    assert!(polls.get() <= 20, "{} polls", polls.get());
}

#[test]
fn advancing_the_paused_clock_of_tokio_fires_timers_of_the_loop() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut hosted = to_tokio(sleep(Duration::from_secs(60)));
        assert!(poll_fn(|context| Poll::Ready(Pin::new(&mut hosted).poll(context))).await.is_pending());
        tokio::time::advance(Duration::from_secs(61)).await;
        let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut hosted).poll(context))).await;
        assert!(matches!(polled, Poll::Ready(Ok(()))));
    });
}

#[test]
fn cleanup_in_a_drop_takes_real_time_if_the_clock_of_tokio_is_paused() {
    let cleaned = Counter::new();
    let counts = cleaned.clone();
    let main = co! {
        let error = (yield catch(sleep(LONG))).unwrap_err();
        yield shield(sleep(ms(5)));
        counts.up();
        Err(error)?;
    };
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut hosted = to_tokio(main);
        assert!(poll_fn(|context| Poll::Ready(Pin::new(&mut hosted).poll(context))).await.is_pending());
        tokio::time::advance(LONG / 2).await;
        let start = Instant::now();
        drop(hosted);
        assert!((ms(5)..LONG / 2).contains(&start.elapsed()));
    });
    assert_eq!(cleaned.get(), 1);
}
