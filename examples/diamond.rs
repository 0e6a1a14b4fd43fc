//! Many coroutines depend on one shared coroutine. It runs once, and each of them gets its value.
//!
//! ```text
//!            settings
//!           /   |    \
//!       page  page .. page      (1000 pages, and a late one)
//!           \   |    /
//!             site
//! ```
#![feature(coroutines)]

use std::time::{Duration, Instant};

use tinyield::{Coro, Loop, Shared, coro, sleep};

#[coro]
fn settings() -> Coro<String> {
    println!("reading the settings, once");
    yield sleep(Duration::from_millis(200));
    "Welcome to page".to_string()
}

#[coro]
fn page(number: usize, settings: Shared<String>) -> Coro<String> {
    let greeting = yield settings;
    format!("{greeting} {number}")
}

#[coro]
fn site() -> Coro<usize> {
    let settings = settings().shared();
    let pages: Vec<_> = (1..=1000).map(|number| page(number, settings.clone())).collect();
    let pages = yield pages;
    println!("{} .. {}", pages[0], pages[999]);

    // `settings` has finished; its value is still available.
    let late_page = yield page(1001, settings);
    println!("{late_page}");
    pages.len() + 1
}

fn main() -> Result<(), tinyield::LoopError> {
    let start = Instant::now();
    let pages = Loop::new().run(site())?;
    println!("{pages} pages after {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
