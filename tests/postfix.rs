//! A program without any prefix `yield`. If rustc removes the prefix form (rust-lang/rust#148313), programs in the postfix form still
//! compile.
// Each form is written out as users write it, even if clippy has a shorter form.
#![allow(clippy::manual_unwrap_or_default, clippy::manual_unwrap_or)]
#![feature(coroutines)]
#![deny(warnings)]

use std::rc::Rc;
use std::time::Duration;

use tinyield::channel::{Receiver, Sender, bounded};
use tinyield::{
    Barrier, Coro, Event, JoinHandle, Lock, Loop, Semaphore, Shared, ThreadPool, TimedOut, as_completed, catch, co,
    coro, from_future, isolate, race, run_in_thread, shield, sleep, spawn, timeout,
};

#[coro]
fn one() -> Coro<i32> {
    ().yield;
    1
}

#[coro]
fn parse(text: &'static str) -> Coro<i32> {
    one().yield;
    text.parse::<i32>()?
}

#[coro]
fn control_flow(handle: JoinHandle<Option<i32>>) -> Coro<i32> {
    let mut sum = match handle.yield {
        Some(number) => number,
        None => 0,
    };
    while one().yield + sum < 5 {
        sum += 1;
    }
    if one().yield == 1 && sum > 2 {
        return sum * one().yield;
    }
    let text = format!("{} {}", one().yield, vec![one().yield].len());
    assert_eq!(text.len(), parse("3").yield as usize);
    sum
}

struct Account(i32);

impl Account {
    #[coro]
    fn balance(self: Rc<Self>) -> Coro<i32> {
        sleep(Duration::ZERO).yield;
        self.0 + one().yield
    }
}

#[coro]
fn produce(sender: Sender<i32>) -> Coro<()> {
    for number in 0..4 {
        sender.send(number).yield?;
    }
}

#[coro]
fn consume(receiver: Receiver<i32>) -> Coro<i32> {
    let mut sum = 0;
    while let Ok(number) = receiver.recv().yield {
        sum += number;
    }
    sum
}

#[coro]
fn synchronizes(event: Event, semaphore: Semaphore, lock: Lock, barrier: Barrier) -> Coro<()> {
    event.set();
    event.wait().yield;
    assert!(event.wait_timeout(Duration::MAX).yield);
    drop(semaphore.acquire().yield);
    drop(lock.acquire().yield);
    barrier.wait().yield;
}

#[test]
fn each_kind_of_wait_can_be_postfix() {
    let main = co! {
        let shared: Shared<i32> = parse("2").shared();
        let (two, again, list, array) =
            (shared.clone(), shared, vec![one(), parse("5")], [one()]).yield;
        assert_eq!((two, again, list, array), (2, 2, vec![1, 5], [1]));

        let handle = spawn(co! { Some(one().yield) }).yield;
        assert_eq!(control_flow(handle).yield, 4);
        assert_eq!(Rc::new(Account(5)).balance().yield, 6);

        let (sender, receiver) = bounded(1);
        assert_eq!((produce(sender), consume(receiver)).yield, ((), 6));
        synchronizes(Event::new(), Semaphore::new(1), Lock::new(()), Barrier::new(1)).yield;

        assert_eq!(timeout(one(), Duration::MAX).yield?, 1);
        assert_eq!(timeout(Event::new().wait(), Duration::ZERO).yield, Err(TimedOut));
        assert_eq!(race([one(), parse("1")]).yield, 1);
        assert_eq!(isolate(parse("x")).yield.map_err(|error| error.to_string()), Err("invalid digit found in string".into()));
        assert_eq!(shield(one()).yield + catch(one()).yield?, 2);
        let mut sum = 0;
        for next in as_completed([one(), parse("7")]).yield {
            sum += next.yield;
        }
        assert_eq!(sum, 8);

        assert_eq!(run_in_thread(|| 1).yield + ThreadPool::new(1).run_in_thread(|| 2).yield, 3);
        from_future(std::future::ready(9)).yield + std::future::ready(1).await
    };
    assert_eq!(Loop::new().run(main).unwrap(), 10);
}

#[test]
fn this_file_has_no_prefix_yield() {
    let code = include_str!("postfix.rs").lines().filter(|line| !line.starts_with("//!"));
    let keyword = "yield";
    for line in code {
        let prefixes = line.match_indices(keyword).filter(|&(at, _)| {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            !line[..at].ends_with(|c| c == '.' || is_word(c)) && !line[at + keyword.len()..].starts_with(is_word)
        });
        assert_eq!(prefixes.filter(|_| !line.contains("let keyword")).count(), 0, "{line}");
    }
}
