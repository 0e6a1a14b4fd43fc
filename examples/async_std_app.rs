//! An async-std program that runs loops. The coroutines of these loops await async-std's futures.
//!
//! ```text
//! cargo run --features async-std --example async_std_app
//! ```
#![feature(coroutines)]

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use async_std::net::{TcpListener, TcpStream};
use async_std::prelude::*;
use async_std::{fs, task};
use tinyield::{Coro, coro, from_async_std, from_async_std_with, sleep, timeout, to_async_std, to_async_std_with};

fn main() -> Result<(), Box<dyn Error>> {
    task::block_on(async {
        // A task on async-std's own threads.
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = task::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&bytes.map(|byte| byte.to_ascii_uppercase())).await
        });

        // A loop on this thread, at the same time.
        let (text, answer) = to_async_std(work(address.to_string())).await?;
        println!("{text:?}, {answer:?}");
        assert_eq!((text.as_str(), answer.as_str()), ("written by a coroutine", "HELLO"));
        server.await?;

        // A loop on its own thread is a `Send` future, so async-std can spawn it. The coroutines in it need not be `Send`.
        let length = task::spawn(to_async_std_with(|| length(Rc::from("not Send")))).await?;
        assert_eq!(length, 8);

        // Both directions, nested.
        let nested = task::spawn(to_async_std_with(nested)).await?;
        assert_eq!(nested, 42);
        println!("a loop in async-std in a loop in async-std returned {nested}");

        // An error in a loop is the output of its future, with the coroutines that waited on it.
        let missing = to_async_std(read(PathBuf::from("/no/such/file"))).await.unwrap_err();
        println!("as expected: {missing:?}");
        assert!(missing.error().downcast_ref::<io::Error>().is_some());
        Ok(())
    })
}

#[coro]
fn work(address: String) -> Coro<(String, String)> {
    let path = std::env::temp_dir().join(format!("tinyield-async-std-app-{}", std::process::id()));
    yield (round_trip(path), hello(address))
}

/// Awaits async-std's futures in place, on the loop's own thread.
#[coro]
fn round_trip(path: PathBuf) -> Coro<String> {
    fs::write(&path, "written by a coroutine").await?;
    let text = yield read(path.clone());
    fs::remove_file(&path).await?;
    text
}

#[coro]
fn read(path: PathBuf) -> Coro<String> {
    fs::read_to_string(path).await?
}

/// Lets async-std run a future on a thread. As a coroutine, the future can be gathered or get a timeout.
#[coro]
fn hello(address: String) -> Coro<String> {
    let exchange = async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"hello").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    (yield timeout(from_async_std(exchange).raise(), Duration::from_secs(60)))?
}

#[coro]
fn length(text: Rc<str>) -> Coro<usize> {
    yield sleep(Duration::from_millis(1));
    text.len()
}

#[coro]
fn nested() -> Coro<u32> {
    // The future is built on its thread, so it may hold a loop, which is not `Send`.
    let inner = from_async_std_with(|| async {
        task::sleep(Duration::from_millis(1)).await;
        to_async_std(answer()).await
    });
    (yield inner)?
}

#[coro]
fn answer() -> Coro<u32> {
    yield sleep(Duration::from_millis(1));
    42
}
