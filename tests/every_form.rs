//! Every form in which a coroutine can be written, with types inferred through each `yield`.
//!
//! `ci/editor` checks this file with rust-analyzer, which must not report an error. So there is no `.yield` in a `#[coro]` function:
//! see `postfix.rs`.
// Each form is written out as users write it, even if clippy has a shorter form.
#![allow(
    clippy::multiple_bound_locations,
    clippy::manual_unwrap_or_default,
    clippy::manual_unwrap_or,
    clippy::useless_vec
)]
#![feature(coroutines)]
#![deny(warnings)]

use std::fmt::Display;
use std::rc::Rc;
use std::task::Poll;

use tinyield::by_hand::{Outcome, Resume, Suspend};
use tinyield::{Coro, Event, JoinHandle, Loop, Shared, as_completed, catch, co, coro, isolate, race, shield, spawn};

#[coro]
fn no_yield() -> Coro<()> {}

#[coro]
fn bare_yield() -> Coro<i32> {
    yield;
    1
}

#[coro]
fn raises(text: &'static str) -> Coro<i32> {
    let number = text.parse::<i32>()?;
    if number < 0 {
        return Err("negative")?;
    }
    return number + (yield bare_yield()) - 1;
}

#[coro]
fn result() -> Coro<Result<i32, String>> {
    yield;
    Ok(2)
}

#[coro]
fn patterns((left, right): (i32, i32), [first, ..]: [i32; 2], mut sum: i32, _: i32) -> Coro<i32> {
    yield;
    sum += left + right + first;
    sum
}

#[coro]
fn generic<T: Display + Clone + 'static, const N: usize>(value: T) -> Coro<[String; N]>
where
    T: PartialEq,
{
    yield;
    std::array::from_fn(|_| value.to_string())
}

#[coro]
fn opaque(wait: impl tinyield::Wait<Output = i32> + 'static) -> Coro<i32> {
    yield wait
}

#[coro]
fn control_flow(handle: JoinHandle<Option<i32>>, events: Vec<Event>) -> Coro<i32> {
    let mut sum = 0;
    for event in events {
        event.set();
        yield event.wait();
        sum += 1;
    }
    let found = match (yield handle) {
        Some(number) => number,
        None => 0,
    };
    while sum < 10 {
        sum += yield bare_yield();
    }
    let last = loop {
        if (yield bare_yield()) == 1 {
            break 5;
        }
    };
    sum + found + last
}

#[coro]
fn macros() -> Coro<String> {
    assert_eq!(yield bare_yield(), 1);
    let list = vec![yield bare_yield(), yield bare_yield()];
    format!("{} {}", list.len(), yield bare_yield())
}

#[coro]
fn futures() -> Coro<u8> {
    let text = String::from("borrowed");
    let length = async { text.len() }.await;
    std::future::ready(length as u8).await
}

struct Account {
    balance: i32,
}

trait Job {
    fn run(self: Rc<Self>, factor: i32) -> Coro<i32>;
}

impl Account {
    #[coro]
    fn balance(self: Rc<Self>) -> Coro<i32> {
        yield;
        self.balance
    }

    #[coro]
    fn into_balance(self) -> Coro<i32> {
        yield;
        self.balance
    }
}

impl Job for Account {
    #[coro]
    fn run(self: Rc<Self>, factor: i32) -> Coro<i32> {
        factor * yield self.balance()
    }
}

fn block(text: String) -> Coro<usize> {
    co! {
        yield;
        text.len()
    }
}

fn postfix_block(number: Shared<i32>) -> Coro<i32> {
    co! {
        let one = bare_yield().yield;
        one + number.yield + raises("3").yield
    }
}

fn by_hand() -> Coro<i32> {
    Coro::from_coroutine(
        #[coroutine]
        static move |mut resume: Resume| -> Outcome<i32> {
            let mut wait = resume.begin(bare_yield());
            loop {
                match wait.poll(&resume) {
                    Poll::Ready(result) => break Outcome::value(result? + 1),
                    Poll::Pending => resume = yield Suspend,
                }
            }
        },
    )
}

#[test]
fn every_form_gives_its_value() {
    let main = co! {
        yield no_yield();
        let number = yield raises("7");
        let two = (yield result())?;
        let ten = yield patterns((1, 2), [3, 0], 4, 0);
        let [left, right]: [String; 2] = yield generic::<_, 2>('x');
        let through = yield opaque(bare_yield());
        let handle = yield spawn(co! { Some(20) });
        let counted = yield control_flow(handle, vec![Event::new()]);
        let text = yield macros();
        let account = Rc::new(Account { balance: 50 });
        let (own, job, value) =
            yield (account.clone().balance(), account.run(2), Account { balance: 3 }.into_balance());
        let length = yield block("four".to_string());
        let postfix = yield postfix_block(co! { 6 }.shared());
        let hand = yield by_hand();
        (
            (number, two, ten, left + &right, through, counted),
            (text, yield futures(), own, job, value),
            (length, postfix, hand),
        )
    };
    let expected = ((7, 2, 10, "xx".to_string(), 1, 35), ("2 1".to_string(), 8, 50, 100, 3), (4, 10, 2));
    assert_eq!(Loop::new().run(main).unwrap(), expected);
}

#[test]
fn every_way_to_wait_for_several_gives_its_value() {
    let main = co! {
        let (one, list, array) = yield (bare_yield(), vec![raises("1"), raises("2")], [bare_yield()]);
        let option = yield Some(bare_yield());
        let first = yield race([bare_yield()]);
        let caught = (yield catch(bare_yield())).unwrap_or(0);
        let isolated = (yield isolate(raises("no number"))).unwrap_or(0);
        let shielded = yield shield(bare_yield());
        let mut sum = 0;
        for next in yield as_completed([raises("1"), raises("2")]) {
            sum += yield next;
        }
        (one, list, array, option, first, caught, isolated, shielded, sum)
    };
    assert_eq!(Loop::new().run(main).unwrap(), (1, vec![1, 2], [1], Some(1), 1, 1, 0, 1, 3));
}
