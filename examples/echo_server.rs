//! A TCP server that sends back what it receives. Each connection is a coroutine.
//!
//! ```text
//! cargo run --example echo_server                          # a self-test: a server and its clients
//! cargo run --example echo_server -- listen 127.0.0.1:7007 # serves until Ctrl-C
//! cargo run --example echo_server -- client 127.0.0.1:7007
//! ```
#![feature(coroutines)]

use std::cell::Cell;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use tinyield::{Coro, Loop, LoopError, co, coro, isolate, spawn, timeout};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => self_test(),
        ["listen", address] => listen(address.parse()?),
        ["client", address] => Ok(Loop::new().run(clients(address.parse()?))?),
        _ => Err("usage: echo_server [listen ADDRESS | client ADDRESS]".into()),
    }
}

/// Serves until Ctrl-C.
fn listen(address: SocketAddr) -> Result<()> {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    ctrlc::set_handler(move || handle.stop())?;
    let listener = smol::block_on(TcpListener::bind(address))?;
    println!("listening on {}", listener.local_addr()?);
    ignore_stop(event_loop.run(serve(listener)))
}

/// A stopped loop returns an error. For this server a stop is the normal end.
fn ignore_stop(result: std::result::Result<(), LoopError>) -> Result<()> {
    match result {
        Err(error) if error.is_stopped() => {
            println!("stopped: all connections are closed");
            Ok(())
        }
        other => Ok(other?),
    }
}

#[coro]
fn serve(listener: TcpListener) -> Coro<()> {
    let open = Rc::new(Cell::new(0));
    loop {
        let (stream, peer) = listener.accept().await?;
        yield spawn(connection(stream, peer, open.clone()));
    }
}

/// Isolates a connection: its failure does not affect the others.
#[coro]
fn connection(stream: TcpStream, peer: SocketAddr, open: Rc<Cell<usize>>) -> Coro<()> {
    open.set(open.get() + 1);
    let result = yield isolate(echo(stream));
    open.set(open.get() - 1);
    match result {
        Ok(bytes) => println!("{peer}: {bytes} bytes; {} other connections are open", open.get()),
        Err(error) => eprintln!("{peer}: {error:?}"),
    }
}

#[coro]
fn echo(mut stream: TcpStream) -> Coro<usize> {
    let mut buffer = [0; 1024];
    let mut total = 0;
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return total;
        }
        stream.write_all(&buffer[..count]).await?;
        total += count;
    }
}

/// Runs many clients at the same time.
#[coro]
fn clients(address: SocketAddr) -> Coro<()> {
    const CLIENTS: usize = 32;
    let all = (0..CLIENTS).map(|seed| client(address, seed)).collect::<Vec<_>>();
    (yield timeout(all, Duration::from_secs(60)))?;
    println!("{CLIENTS} clients got back what they sent");
}

/// Checks that the server sends back the same bytes.
#[coro]
fn client(address: SocketAddr, seed: usize) -> Coro<()> {
    let mut stream = TcpStream::connect(address).await?;
    for round in 0..20 {
        let sent: Vec<u8> = (0..1024).map(|index| (seed * 31 + round * 7 + index) as u8).collect();
        stream.write_all(&sent).await?;
        let mut received = vec![0; sent.len()];
        stream.read_exact(&mut received).await?;
        if received != sent {
            Err("the echo differs from the request")?;
        }
    }
}

/// Runs a server on another thread and clients on this one.
fn self_test() -> Result<()> {
    let listener = smol::block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = thread::spawn(move || {
        let mut event_loop = Loop::new();
        sender.send(event_loop.stop_handle())?;
        ignore_stop(event_loop.run(serve(listener)))
    });
    let stop_handle = receiver.recv()?;
    Loop::new().run(co! { yield clients(address) })?;
    stop_handle.stop();
    server.join().expect("the server does not panic")
}
