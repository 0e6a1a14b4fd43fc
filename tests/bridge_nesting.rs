//! Bridges inside of bridges: what crosses them, and a cancellation in each of the eight nestings while work is running.
#![feature(coroutines)]
#![cfg(all(feature = "smol", feature = "async-std"))]

mod common;

use std::fmt::Debug;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

use common::{Gate, OnDrop, forever, ms, names, text_of};
use tinyield::{
    Coro, Error, Loop, LoopError, TimedOut, catch, co, coro, from_async_std, from_async_std_with, from_smol, shield,
    sleep, timeout, to_async_std, to_async_std_with, to_smol, to_smol_with,
};

/// Counts the layers of a nesting, and the work in the innermost one, that have begun and not ended.
#[derive(Clone, Default)]
struct Work {
    alive: Arc<AtomicUsize>,
    cleaned: Arc<AtomicUsize>,
    deepest: Gate,
}

impl Work {
    fn layer(&self) -> OnDrop<impl FnMut() + Send + use<>> {
        let alive = self.alive.clone();
        alive.fetch_add(1, SeqCst);
        OnDrop(move || {
            alive.fetch_sub(1, SeqCst);
        })
    }

    /// A coroutine that waits for ever. When it is cancelled, its cleanup waits, too.
    fn coroutine(&self) -> Coro<()> {
        let work = self.clone();
        co! {
            let _layer = work.layer();
            work.deepest.open();
            let error = (yield catch(forever())).unwrap_err();
            yield shield(sleep(ms(2)));
            work.cleaned.fetch_add(1, SeqCst);
            Err(error)?;
        }
    }

    /// A future that waits for ever.
    fn future(&self) -> impl Future<Output = ()> + Send + use<> {
        let work = self.clone();
        async move {
            let layer = work.layer();
            work.deepest.open();
            pending::<()>().await;
            drop(layer);
        }
    }

    /// A layer around `inner`.
    fn around<T, F: Future<Output = Result<T, LoopError>>>(
        &self,
        inner: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<T, LoopError>> {
        let layer = self.layer();
        let inner = inner();
        async move {
            let _layer = layer;
            inner.await
        }
    }

    fn has_ended(&self, cleaned: usize) {
        assert_eq!(self.alive.load(SeqCst), 0, "layers that are still there");
        assert_eq!(self.cleaned.load(SeqCst), cleaned);
    }
}

/// Polls `future` until its innermost work has begun, then drops it.
async fn drop_half_way<F: Future<Output: Debug>>(future: F, work: &Work) {
    let mut future = Box::pin(future);
    let mut deepest = work.deepest.clone();
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Pin::new(&mut deepest).poll(context)
    })
    .await;
    assert!(work.alive.load(SeqCst) > 0);
    drop(future);
}

/// Runs `main` until its innermost work has begun, then stops the loop by an error.
fn fail_half_way<T: 'static>(main: Coro<T>, work: &Work) {
    let deepest = work.deepest.clone();
    let failing = co! { deepest.await; Err("half-way")?; };
    let error = Loop::new().run((main, failing)).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "half-way");
    assert!(error.others().is_empty(), "{error:?}");
}

// The eight nestings.

#[test]
fn cancelling_tinyield_in_smol() {
    let work = Work::default();
    smol::block_on(drop_half_way(to_smol(work.coroutine()), &work));
    work.has_ended(1);
    let work = Work::default();
    let theirs = work.clone();
    smol::block_on(drop_half_way(to_smol_with(move || theirs.coroutine()), &work));
    work.has_ended(1);
}

#[test]
fn cancelling_tinyield_in_async_std() {
    let work = Work::default();
    async_std::task::block_on(drop_half_way(to_async_std(work.coroutine()), &work));
    work.has_ended(1);
    let work = Work::default();
    let theirs = work.clone();
    async_std::task::block_on(drop_half_way(to_async_std_with(move || theirs.coroutine()), &work));
    work.has_ended(1);
}

#[test]
fn cancelling_smol_in_tinyield() {
    let work = Work::default();
    fail_half_way(from_smol(work.future()), &work);
    work.has_ended(0);
}

#[test]
fn cancelling_async_std_in_tinyield() {
    let work = Work::default();
    fail_half_way(from_async_std(work.future()), &work);
    work.has_ended(0);
}

#[test]
fn cancelling_smol_in_tinyield_in_smol() {
    let work = Work::default();
    let both = (from_smol(work.future()), work.coroutine());
    smol::block_on(drop_half_way(to_smol(both), &work));
    work.has_ended(1);
}

#[test]
fn cancelling_async_std_in_tinyield_in_async_std() {
    let work = Work::default();
    let both = (from_async_std(work.future()), work.coroutine());
    async_std::task::block_on(drop_half_way(to_async_std(both), &work));
    // The coroutine has begun, but the future may not be on its thread yet.
    work.has_ended(1);
}

#[test]
fn cancelling_async_std_in_tinyield_in_smol() {
    let work = Work::default();
    smol::block_on(drop_half_way(to_smol(from_async_std(work.future())), &work));
    work.has_ended(0);
}

#[test]
fn cancelling_smol_in_tinyield_in_async_std() {
    let work = Work::default();
    async_std::task::block_on(drop_half_way(to_async_std(from_smol(work.future())), &work));
    work.has_ended(0);
}

// Deeper nestings.

#[test]
fn cancelling_tinyield_in_a_foreign_future_in_tinyield() {
    let work = Work::default();
    let theirs = work.clone();
    fail_half_way(from_smol(async move { theirs.around(|| to_smol(theirs.coroutine())).await }), &work);
    work.has_ended(1);
    let work = Work::default();
    let theirs = work.clone();
    let nested = move || async move { theirs.around(|| to_async_std(theirs.coroutine())).await };
    fail_half_way(from_async_std_with(nested), &work);
    work.has_ended(1);
}

#[test]
fn cancelling_all_of_them_in_one_another() {
    let work = Work::default();
    let theirs = work.clone();
    let inner = move || {
        let work = theirs.clone();
        from_async_std_with(move || async move {
            let deep = work.clone();
            let main = co! { yield (from_smol(deep.future()), deep.coroutine()); };
            work.around(|| to_async_std(main)).await
        })
    };
    smol::block_on(drop_half_way(to_smol_with(move || co! { (yield from_smol(to_smol(inner()))).map(|_| ()) }), &work));
    work.has_ended(1);
}

#[test]
fn a_timeout_around_a_nested_loop_gives_its_outcome_when_all_has_ended() {
    let work = Work::default();
    let theirs = work.clone();
    let main = co! {
        let nested = from_smol(to_smol(theirs.coroutine()));
        let late = yield timeout(co! { (yield nested).is_ok() }, ms(5));
        theirs.has_ended(1);
        late
    };
    assert_eq!(Loop::new().run(main).unwrap(), Err(TimedOut));
}

// Values, errors with their traces, and panics, both ways.

#[coro]
fn failing() -> Coro<i32> {
    yield sleep(ms(1));
    Err("deep down")?
}

#[test]
fn values_cross_every_bridge() {
    let main = co! {
        let one = (yield from_smol(to_smol(co! { yield sleep(ms(1)); 1 })))?;
        let two = (yield from_async_std_with(|| to_async_std(co! { yield sleep(ms(1)); 2 })))?;
        let three = (yield from_smol(to_async_std_with(|| co! { 3 })))?;
        let four = (yield from_async_std(to_smol_with(|| co! { 4 })))?;
        [one, two, three, four]
    };
    assert_eq!(smol::block_on(to_smol(main)).unwrap(), [1, 2, 3, 4]);
    let in_tinyield =
        from_async_std_with(|| to_async_std(from_async_std_with(|| to_async_std(from_async_std(async { 5 })))));
    let value = async_std::task::block_on(to_async_std(in_tinyield)).unwrap().unwrap().unwrap();
    assert_eq!(value, 5);
    let value = smol::block_on(to_smol(from_smol(to_smol(from_smol(to_smol(from_smol(async { 6 }))))))).unwrap();
    assert_eq!(value.unwrap().unwrap(), 6);
}

#[test]
fn an_error_crosses_with_the_coroutines_of_all_the_loops() {
    fn check(error: LoopError) {
        assert_eq!(error.to_string(), "deep down");
        let names = names(error.error());
        assert_eq!((names[0], *names.last().unwrap()), ("outer", "failing"), "{error:?}");
    }
    let in_smol = co! { (yield from_smol(to_smol(failing())))? }.named("outer");
    check(smol::block_on(to_smol(in_smol)).unwrap_err());
    let raised = co! { yield from_smol(to_smol(failing())).raise() }.named("outer");
    check(Loop::new().run(raised).unwrap_err());
    let in_async_std = co! { (yield from_async_std_with(|| to_async_std(failing())))? }.named("outer");
    check(async_std::task::block_on(to_async_std(in_async_std)).unwrap_err());
    let on_threads = || co! { (yield from_async_std(to_smol_with(failing)))? }.named("outer");
    check(smol::block_on(to_async_std_with(on_threads)).unwrap_err());
    // A `LoopError` is raised like any other error.
    let theirs = async {
        to_smol(failing()).await.map_err(Error::from)?;
        Ok::<(), Error>(())
    };
    let back = co! { (yield from_smol(theirs))?; }.named("outer");
    check(Loop::new().run(back).unwrap_err());
}

#[test]
fn a_panic_crosses_with_its_payload() {
    fn panicking() -> Coro<()> {
        co! { yield; panic!("deep down") }
    }
    fn check(run: impl FnOnce()) {
        assert_eq!(text_of(catch_unwind(AssertUnwindSafe(run)).unwrap_err()), "deep down");
    }
    check(|| drop(smol::block_on(to_smol(from_smol(to_smol(panicking()))))));
    check(|| drop(smol::block_on(to_smol(from_async_std_with(|| to_async_std(panicking()))))));
    check(|| drop(async_std::task::block_on(to_async_std(from_async_std_with(|| to_async_std(panicking()))))));
    check(|| drop(async_std::task::block_on(to_async_std_with(|| from_smol(to_smol_with(panicking))))));
    check(|| drop(Loop::new().run(from_async_std(to_smol_with(panicking)))));
}

#[test]
fn loops_of_one_thread_next_to_each_other_in_one_host_wake_each_other() {
    let (ping, pong) = (Gate::new(), Gate::new());
    let (open_ping, open_pong) = (ping.clone(), pong.clone());
    let one = to_smol(co! { ping.await; open_pong.open(); });
    let two = to_async_std(co! { open_ping.open(); pong.await; });
    let (mut one, mut two) = (pin!(one), pin!(two));
    let mut left = 2;
    smol::block_on(poll_fn(|context| {
        for hosted in [one.as_mut() as Pin<&mut dyn Future<Output = _>>, two.as_mut()] {
            if left > 0 && hosted.poll(context).is_ready() {
                left -= 1;
            }
        }
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    }));
}
