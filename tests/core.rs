#![feature(coroutines)]

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tinyield::{Coro, Loop, Shared, TimedOut, catch, co, coro, isolate, race, shield, sleep, spawn, timeout};

#[coro]
fn add_one(x: i32) -> Coro<i32> {
    yield;
    x + 1
}

#[coro]
fn add_two(x: i32) -> Coro<i32> {
    let y = yield add_one(x);
    yield add_one(y)
}

#[test]
fn basic() {
    assert_eq!(Loop::new().run(add_two(4)).unwrap(), 6);
}

#[test]
fn gather() {
    let all = co! { yield (add_one(3), add_two(3)) };
    assert_eq!(Loop::new().run(all).unwrap(), (4, 5));
    assert_eq!(Loop::new().run(vec![add_one(1), add_two(1)]).unwrap(), [2, 3]);
    assert_eq!(Loop::new().run([add_one(1), add_two(1)]).unwrap(), [2, 3]);
    assert_eq!(Loop::new().run(Vec::<Coro<()>>::new()).unwrap(), []);
}

#[test]
fn diamond_runs_once() {
    let runs = Rc::new(Cell::new(0));
    let counted = runs.clone();
    let shared: Shared<i32> = co! { yield; counted.set(counted.get() + 1); 7 }.shared();
    let again = shared.clone();
    let sum = co! { let (a, b) = yield (&shared, shared.clone()); a + b + yield &shared };
    assert_eq!(Loop::new().run(sum).unwrap(), 21);
    assert_eq!(Loop::new().run(again).unwrap(), 7);
    assert_eq!(runs.get(), 1);
}

#[test]
fn an_error_cancels_all_others_and_has_the_trace() {
    let dropped = Rc::new(Cell::new(0));
    struct Count(Rc<Cell<i32>>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    #[coro]
    fn inner() -> Coro<()> {
        yield;
        Err("kaboom")?
    }
    #[coro]
    fn middle() -> Coro<()> {
        yield inner()
    }
    #[coro]
    fn waits(count: Count) -> Coro<()> {
        yield sleep(Duration::MAX);
        drop(count);
    }
    #[coro]
    fn outer(count: Rc<Cell<i32>>) -> Coro<()> {
        yield spawn(waits(Count(count.clone())));
        yield (middle(), waits(Count(count)));
    }
    let error = Loop::new().run(outer(dropped.clone())).unwrap_err();
    assert_eq!(dropped.get(), 2);
    assert_eq!(error.to_string(), "kaboom");
    let names: Vec<_> = error.error().trace().iter().map(|f| f.name().to_string()).collect();
    assert_eq!(names, ["outer", "middle", "inner"], "{error:?}");
    assert!(error.others().is_empty());
    println!("{error:?}");
}

#[test]
fn a_chain_of_100_000() {
    #[coro]
    fn deep(n: u32) -> Coro<u32> {
        if n == 0 { 0 } else { 1 + yield deep(n - 1) }
    }
    assert_eq!(Loop::new().run(deep(100_000)).unwrap(), 100_000);
    #[coro]
    fn fails(n: u32) -> Coro<()> {
        if n == 0 {
            Err("deep")?;
        } else {
            yield fails(n - 1)
        }
    }
    assert_eq!(Loop::new().run(fails(100_000)).unwrap_err().error().trace().len(), 100_001);
    let mut chain = co! { 0u32 };
    for _ in 0..100_000 {
        let inner = chain;
        chain = co! { yield inner };
    }
    drop(chain);
    #[coro]
    fn stuck(n: u32) -> Coro<()> {
        if n == 0 { yield sleep(Duration::MAX) } else { yield stuck(n - 1) }
    }
    let mut l = Loop::new();
    let mut r = l.runtime(stuck(100_000));
    while matches!(r.step(), tinyield::Step::Ran) {}
    drop(r);
}

#[test]
fn timeouts() {
    let main = co! {
        let t = yield timeout(co! { yield sleep(Duration::MAX); 1 }, Duration::from_millis(10));
        let u = yield timeout(add_one(1), Duration::from_secs(100));
        (t, u)
    };
    let start = Instant::now();
    assert_eq!(Loop::new().run(main).unwrap(), (Err(TimedOut), Ok(2)));
    assert!(start.elapsed() >= Duration::from_millis(10));
    assert!(start.elapsed() < Duration::from_secs(50));
}

#[test]
fn isolates_races_and_shields() {
    let main = co! {
        let e = yield isolate(co! { yield (add_one(1), co!{ Err::<(), _>("inside")?; }); });
        assert_eq!(e.unwrap_err().to_string(), "inside");
        assert_eq!((yield isolate(add_one(1))).unwrap(), 2);
        let w = yield race([co! { yield sleep(Duration::MAX); 1 }, co! { 2 }]);
        assert_eq!(w, 2);
        let cleaned = Rc::new(Cell::new(false));
        let c2 = cleaned.clone();
        let polite = co! {
            if let Err(e) = yield catch(sleep(Duration::MAX)) {
                yield shield(sleep(Duration::from_millis(2)));
                c2.set(true);
                Err(e)?;
            }
        };
        assert_eq!(yield timeout(polite, Duration::from_millis(1)), Err(TimedOut));
        assert!(cleaned.get());
    };
    Loop::new().run(main).unwrap();
}

#[test]
fn deadlock_is_told() {
    let cell: Rc<std::cell::RefCell<Option<Shared<()>>>> = Rc::default();
    let c2 = cell.clone();
    let a = co! { let b = c2.borrow().clone().unwrap(); yield b; }.named("a").shared();
    let a2 = a.clone();
    let b = co! { yield a2; }.named("b").shared();
    *cell.borrow_mut() = Some(b.clone());
    let error = Loop::new().run((a, b)).unwrap_err();
    println!("{error:?}");
    assert!(error.to_string().contains("cycle"));
    cell.take();
}

#[test]
fn awaits() {
    let main = co! {
        let mut n = 0;
        std::future::poll_fn(|cx| { n += 1; if n < 3 { cx.waker().wake_by_ref(); std::task::Poll::Pending } else { std::task::Poll::Ready(()) } }).await;
        n
    };
    assert_eq!(Loop::new().run(main).unwrap(), 3);
    let error = Loop::new().run(co! { std::future::pending::<()>().await }).unwrap_err();
    println!("{error:?}");
}

#[test]
fn panics_go_on() {
    let result = std::panic::catch_unwind(|| Loop::new().run(co! { yield (add_one(1), co! { yield; panic!("boo") }); }));
    assert_eq!(*result.unwrap_err().downcast_ref::<&str>().unwrap(), "boo");
}
