//! A smol program that runs a loop next to its own tasks. The coroutines use smol's files, sockets and processes.
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
        let ticks = Rc::new(Cell::new(0));
        let ticker = executor.spawn(tick(ticks.clone()));

        // The loop is one more future on smol's thread. Its error carries the coroutines that waited on it.
        let report = to_smol(survey()).await?;
        println!("{report:?}");
        assert_eq!(report.file, "written by a coroutine");
        assert_eq!(report.socket, "SHOUTED");
        assert_eq!(report.process, "printed by a process");

        // Smol's own task ran at the same time.
        println!("{} ticks", ticks.get());
        assert!(ticks.get() > 0);
        ticker.cancel().await;

        // If the loop fails, its error is the output of the future. The program goes on.
        let error = to_smol(co! { yield read(PathBuf::from("/no/such/file")) }).await.unwrap_err();
        println!("as expected: {error:?}");
        assert!(error.error().downcast_ref::<io::Error>().is_some());
        Ok(())
    }))
}

/// One of smol's own tasks.
async fn tick(ticks: Rc<Cell<u32>>) {
    loop {
        ticks.set(ticks.get() + 1);
        Timer::after(Duration::from_millis(1)).await;
    }
}

#[derive(Debug)]
struct Report {
    file: String,
    socket: String,
    process: String,
}

/// Does three things at the same time, and takes as long as the slowest.
#[coro]
fn survey() -> Coro<Report> {
    let path = std::env::temp_dir().join(format!("tinyield-smol-app-{}", std::process::id()));
    let (file, socket, process) = yield (round_trip(path), shout("shouted"), echo("printed by a process"));
    Report { file, socket, process }
}

/// Awaits smol's futures in place.
#[coro]
fn round_trip(path: PathBuf) -> Coro<String> {
    fs::write(&path, "written by a coroutine").await?;
    yield sleep(Duration::from_millis(5)); // a wait of tinyield itself
    let text = yield read(path.clone());
    fs::remove_file(&path).await?;
    text
}

#[coro]
fn read(path: PathBuf) -> Coro<String> {
    fs::read_to_string(path).await?
}

/// Makes coroutines of smol's futures. As coroutines, they can be gathered, shared, raced or get a timeout.
#[coro]
fn shout(text: &'static str) -> Coro<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = from_smol(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut received = String::new();
        stream.read_to_string(&mut received).await?;
        stream.write_all(received.to_uppercase().as_bytes()).await
    });
    let ((), answer) = yield (server.raise(), from_smol(ask(address, text)).raise());
    answer
}

async fn ask(address: SocketAddr, text: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[coro]
fn echo(text: &'static str) -> Coro<String> {
    let output = yield from_smol(Command::new("echo").arg(text).output()).raise();
    first_line(&output.stdout)?
}

fn first_line(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes)?;
    text.lines().next().map(str::to_string).ok_or_else(|| tinyield::Error::msg("the process printed nothing"))
}
