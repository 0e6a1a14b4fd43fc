//! Bodies of coroutines that misbehave when they are dropped, among them coroutines that no macro made.

use std::cell::RefCell;
use std::ops::{Coroutine, CoroutineState};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Loop, Shared, catch, co, sleep};

use crate::common::{Alive, Counter, OnDrop, Token, forget, ms, panic_of, simulated};

/// A coroutine that completes in its second turn. Its destructor, which runs before the loop records the end, calls
/// `on_drop` with the last `Resume`.
struct CallsOnDrop<F: FnMut(Resume) + Unpin> {
    resume: Option<Resume>,
    value: Option<Token>,
    on_drop: F,
}

impl<F: FnMut(Resume) + Unpin> Coroutine<Resume> for CallsOnDrop<F> {
    type Yield = Suspend;
    type Return = Outcome<Token>;

    fn resume(self: Pin<&mut Self>, resume: Resume) -> CoroutineState<Suspend, Outcome<Token>> {
        let this = self.get_mut();
        match this.resume.replace(resume) {
            None => CoroutineState::Yielded(Suspend),
            Some(_) => CoroutineState::Complete(Outcome::value(this.value.take().unwrap())),
        }
    }
}

impl<F: FnMut(Resume) + Unpin> Drop for CallsOnDrop<F> {
    fn drop(&mut self) {
        if let Some(resume) = self.resume.take() {
            (self.on_drop)(resume);
        }
    }
}

#[test]
fn completed_body_waits_for_its_own_coroutine_while_it_is_dropped() {
    let alive = Alive::new();
    let handle = Rc::<RefCell<Option<Shared<Token>>>>::default();
    let (own, dropped) = (handle.clone(), Counter::new());
    let counts = dropped.clone();
    let on_drop = move |resume: Resume| {
        counts.up();
        let shared = own.take().unwrap();
        // It cannot be started again, and its value is not there yet.
        assert!(simulated().run(co! { (yield catch(shared)).is_err() }).unwrap());
        let mut wait = resume.begin(co! { 1 });
        assert!(!matches!(wait.poll(&resume), Poll::Ready(Ok(_))));
        forget(wait);
        drop(resume.begin(sleep(ms(0))));
        forget(resume.begin(sleep(ms(0))));
        assert!(!matches!(resume.poll_future(pin!(std::future::pending::<()>()).as_mut()), Poll::Ready(Ok(()))));
        drop(resume);
    };
    let coro = Coro::from_coroutine(CallsOnDrop { resume: None, value: Some(alive.token()), on_drop });
    let shared = coro.shared();
    *handle.borrow_mut() = Some(shared.clone());
    let main = co! {
        let token = yield shared;
        yield sleep(ms(2));
        token
    };
    let token = simulated().run(main).unwrap();
    assert_eq!((dropped.get(), alive.get()), (1, 1));
    drop(token);
    assert_eq!(alive.get(), 0);
}

#[test]
fn value_is_dropped_when_the_completed_body_panics_while_it_is_dropped() {
    let alive = Alive::new();
    let captured = alive.token();
    let on_drop = move |_| {
        let _captured = &captured;
        panic!("the body")
    };
    let coro = Coro::from_coroutine(CallsOnDrop { resume: None, value: Some(alive.token()), on_drop });
    let held = alive.token();
    let main = co! { let _held = held; yield coro };
    assert_eq!(panic_of(|| Loop::new().run(main).map(drop)), "the body");
    assert_eq!(alive.get(), 0);
}

#[test]
fn body_that_panics_while_it_is_dropped_is_dropped_once() {
    let alive = Alive::new();
    let bomb = || (OnDrop(|| panic!("the body")), alive.token());
    // Cancelled before it begins.
    let held = bomb();
    let never = co! { drop(held); };
    let main = co! { yield; yield (co! { Err("stop")?; }, never); };
    assert_eq!(panic_of(|| Loop::new().run(main)), "the body");
    assert_eq!(alive.get(), 0);
    // Dropped because it ignores its cancellation.
    let held = bomb();
    let deaf: Coro<()> = Coro::from_coroutine(
        #[coroutine]
        static move |_: Resume| {
            let _held = held;
            loop {
                yield Suspend;
            }
        },
    );
    assert_eq!(panic_of(|| Loop::new().run((deaf, co! { yield; Err("stop")?; }))), "the body");
    assert_eq!(alive.get(), 0);
    // Never started.
    let held = bomb();
    let coro = co! { drop(held); };
    assert_eq!(panic_of(|| drop(coro)), "the body");
    assert_eq!(alive.get(), 0);
}
