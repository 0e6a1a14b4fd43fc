//! A loop per core, each with a socket of its own on the same port. Linux spreads the connections over the sockets.
//!
//! `cargo run --release --example shards` serves a number of clients and prints how many each loop has served.

#![feature(coroutines)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;

use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt, copy};
use socket2::{Domain, Socket, Type};
use tinyield::{Coro, Loop, LoopError, as_completed, co, coro, isolate, race, run_in_loop, spawn};

const CLIENTS: usize = 200;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Serves connections until it is cancelled, on a loop of its own.
#[coro]
fn shard(listener: TcpListener, served: Arc<AtomicUsize>) -> Coro<()> {
    let listener = Async::new(listener)?;
    loop {
        let (stream, _peer) = listener.accept().await?;
        served.fetch_add(1, Relaxed);
        yield spawn(serve(stream));
    }
}

/// A connection that breaks does not stop the others.
#[coro]
fn serve(stream: Async<TcpStream>) -> Coro<()> {
    if let Err(error) = yield isolate(echo(stream)) {
        eprintln!("a connection failed: {error}");
    }
}

#[coro]
fn echo(stream: Async<TcpStream>) -> Coro<()> {
    copy(&stream, &mut &stream).await?;
}

#[coro]
fn client(address: SocketAddr, number: usize) -> Coro<()> {
    let mut stream = Async::<TcpStream>::connect(address).await?;
    let message = format!("hello {number}");
    stream.write_all(message.as_bytes()).await?;
    stream.get_ref().shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert_eq!(answer, message);
}

#[coro]
fn all_clients(address: SocketAddr) -> Coro<()> {
    for next in yield as_completed((0..CLIENTS).map(move |number| client(address, number))).limit(32) {
        yield next;
    }
}

fn main() -> Result<(), LoopError> {
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    let served: Vec<_> = (0..cores).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let counts = served.clone();
    let main = co! {
        let first = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = first.local_addr()?;
        let mut listeners = vec![first];
        // On a system on which sockets cannot share a port, only one socket can have it.
        while cfg!(unix) && listeners.len() < cores {
            listeners.push(listen(address)?);
        }
        let loops = listeners.into_iter().zip(counts);
        let loops: Vec<_> = loops.map(|(listener, count)| run_in_loop(move || shard(listener, count))).collect();
        // When all clients have their answers, the race is decided. It cancels the loops. When the `yield` returns, the loops have ended.
        yield race((co! { yield loops; }, all_clients(address)));
    };
    Loop::new().run(main)?;
    for (number, count) in served.iter().enumerate() {
        println!("loop {number} served {} clients", count.load(Relaxed));
    }
    assert_eq!(served.iter().map(|count| count.load(Relaxed)).sum::<usize>(), CLIENTS);
    Ok(())
}
