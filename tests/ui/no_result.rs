#![feature(coroutines)]
use tinyield::{Coro, Loop, co, coro};

#[coro]
fn last() -> Coro<()> {
    yield;
    Ok(())
}

#[coro]
fn in_branches(text: String) -> Coro<u32> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 9 {
        return Ok(0);
    }
    match text.parse::<u32>() {
        Ok(number) => Ok(number),
        Err(error) => Err(error),
    }
}

type Answer = Result<u32, String>;

// These are values.
#[coro]
fn of_an_alias() -> Coro<Answer> {
    if true {
        return Err("late".to_string());
    }
    Ok(1)
}

#[coro]
fn of_a_closure(texts: Vec<String>) -> Coro<u32> {
    let parse = |text: &String| -> Result<u32, std::num::ParseIntError> {
        if text.is_empty() {
            return Ok(0);
        }
        Ok(text.parse()?)
    };
    fn check(number: u32) -> Result<u32, String> {
        return Ok(number);
    }
    let number = match texts.iter().map(parse).next() {
        Some(number) => number,
        None => Ok(1),
    };
    check(number?)?
}

fn main() {
    let block = co! { Ok::<u32, String>(1) };
    let _: Result<u32, String> = Loop::new().run(block).unwrap();
}
