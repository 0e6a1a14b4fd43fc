//! A smol program with tasks of its own, one of which is a loop; what the loop runs uses smol's files, sockets and processes.
//!
//! ```text
//! cargo run --example smol_app
//! ```
#![feature(coroutines)]

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use smol::process::Command;
use smol::{LocalExecutor, Timer, fs};
use tinyield::{Coro, Result, co, coro, from_smol, sleep, to_smol};

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let beats = Rc::new(Cell::new(0));
        let heart = executor.spawn(beat(beats.clone()));

        // The loop is one more future on smol's thread. Its errors come with the coroutines that waited on them.
        let report = to_smol(survey()).await?;
        println!("{report:?}");
        assert_eq!(report.file, "written by a coroutine");
        assert_eq!(report.socket, "SHOUTED");
        assert_eq!(report.process, "said by a process");

        // Smol's own task went on meanwhile.
        println!("{} heart beats", beats.get());
        assert!(beats.get() > 0);
        heart.cancel().await;

        // A loop that fails is an error here, not the end of the program.
        let error = to_smol(co! { yield read(PathBuf::from("/no/such/file")) }).await.unwrap_err();
        println!("as expected: {error:?}");
        assert!(error.error().downcast_ref::<io::Error>().is_some());
        Ok(())
    }))
}

/// A task of smol's.
async fn beat(beats: Rc<Cell<u32>>) {
    loop {
        beats.set(beats.get() + 1);
        Timer::after(Duration::from_millis(1)).await;
    }
}

#[derive(Debug)]
struct Report {
    file: String,
    socket: String,
    process: String,
}

/// Does three things at once, and takes as long as the slowest.
#[coro]
fn survey() -> Coro<Report> {
    let path = std::env::temp_dir().join(format!("tinyield-smol-app-{}", std::process::id()));
    let (file, socket, process) = yield (round_trip(path), shout("shouted"), say("said by a process"));
    Report { file, socket, process }
}

/// Futures are awaited in place ..
#[coro]
fn round_trip(path: PathBuf) -> Coro<String> {
    fs::write(&path, "written by a coroutine").await?;
    yield sleep(Duration::from_millis(5)); // .. next to tinyield's own waits
    let text = yield read(path.clone());
    fs::remove_file(&path).await?;
    text
}

#[coro]
fn read(path: PathBuf) -> Coro<String> {
    fs::read_to_string(path).await?
}

/// .. or become coroutines themselves, to be gathered, shared, raced or given a time limit.
#[coro]
fn shout(what: &'static str) -> Coro<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = from_smol(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        stream.write_all(text.to_uppercase().as_bytes()).await
    });
    let ((), answer) = yield (server.raise(), from_smol(ask(address, what)).raise());
    answer
}

async fn ask(address: SocketAddr, what: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(what.as_bytes()).await?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[coro]
fn say(what: &'static str) -> Coro<String> {
    let output = yield from_smol(Command::new("echo").arg(what).output()).raise();
    first_line(&output.stdout)?
}

fn first_line(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes)?;
    text.lines().next().map(str::to_string).ok_or_else(|| tinyield::Error::msg("a process that said nothing"))
}
