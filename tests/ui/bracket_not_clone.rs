#![feature(coroutines)]
use std::fs::File;
use std::rc::Rc;
use tinyield::{Coro, bracket, co, run_in_thread};

fn opened_twice() -> Coro<()> {
    bracket(run_in_thread(|| File::open("log")), |_file| co! {}, |_file| co! {})
}

fn opened_once() -> Coro<()> {
    let open = co! { Rc::new((yield run_in_thread(|| File::open("log")))?) };
    bracket(open, |_file| co! {}, |_file| co! {})
}

fn of_any_clone<T: Clone + 'static>(open: Coro<T>) -> Coro<()> {
    bracket(open, |_value| co! {}, |_value| co! {})
}

fn main() {}
