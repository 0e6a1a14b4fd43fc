//! An async-std program that has loops in it, whose coroutines have async-std's futures in them.
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
        // A task of async-std's, on its threads.
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = task::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&bytes.map(|byte| byte.to_ascii_uppercase())).await
        });

        // A loop on this thread, next to it.
        let (text, answer) = to_async_std(work(address.to_string())).await?;
        println!("{text:?}, {answer:?}");
        assert_eq!((text.as_str(), answer.as_str()), ("written by a coroutine", "HELLO"));
        server.await?;

        // A loop on a thread of its own is a future that async-std can spawn; what it runs need not be `Send`.
        let length = task::spawn(to_async_std_with(|| length(Rc::from("not Send")))).await?;
        assert_eq!(length, 8);

        // Both directions in one another.
        let nested = task::spawn(to_async_std_with(nested)).await?;
        assert_eq!(nested, 42);
        println!("a loop in async-std in a loop in async-std says {nested}");

        // A loop's error is an error here, with the coroutines that waited on it.
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

/// Async-std's futures may be awaited in place, on the loop's own thread.
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

/// Or async-std runs them, on a thread: they are coroutines then, to be gathered, or given a time limit.
#[coro]
fn hello(address: String) -> Coro<String> {
    let talk = async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"hello").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    (yield timeout(from_async_std(talk).raise(), Duration::from_secs(60)))?
}

#[coro]
fn length(text: Rc<str>) -> Coro<usize> {
    yield sleep(Duration::from_millis(1));
    text.len()
}

#[coro]
fn nested() -> Coro<u32> {
    // Built on its thread, the future may hold a loop, which is not `Send` either.
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
