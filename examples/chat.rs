//! A chat server: what one client says is sent to all others. On Ctrl-C every client is told goodbye before the server ends.
//!
//! `cargo run --example chat -- 127.0.0.1:7000` serves until Ctrl-C; connect with `nc 127.0.0.1 7000`. Without arguments it lets a few
//! clients talk to each other, stops, and prints what they have read.

#![feature(coroutines)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use smol::Async;
use smol::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tinyield::channel::{self, Receiver, Sender};
use tinyield::{Coro, Event, Loop, LoopError, co, coro, finally, isolate, race, spawn};

/// How many messages a client may be behind, before it misses some.
const BACKLOG: usize = 64;
const GOODBYE: Duration = Duration::from_secs(1);

/// All clients, by number.
#[derive(Clone, Default)]
struct Room {
    clients: Rc<RefCell<BTreeMap<usize, Sender<Rc<str>>>>>,
}

impl Room {
    /// Sends a message to all but one. No client makes the others wait.
    fn send(&self, from: usize, message: &str) {
        let message: Rc<str> = message.into();
        for (&number, client) in &*self.clients.borrow() {
            if number != from {
                drop(client.try_send(message.clone()));
            }
        }
    }
}

#[coro]
fn read(room: Room, number: usize, stream: Rc<Async<TcpStream>>) -> Coro<()> {
    let mut reader = BufReader::new(&*stream);
    let mut line = String::new();
    while reader.read_line(&mut line).await? > 0 {
        room.send(number, &format!("client {number}: {line}"));
        line.clear();
    }
}

#[coro]
fn write(messages: Receiver<Rc<str>>, stream: Rc<Async<TcpStream>>) -> Coro<()> {
    while let Ok(message) = yield messages.recv() {
        (&*stream).write_all(message.as_bytes()).await?;
    }
}

/// Serves one client, until it leaves or the server stops.
#[coro]
fn serve_client(room: Room, number: usize, stream: Async<TcpStream>, stop: Event) -> Coro<()> {
    let stream = Rc::new(stream);
    let (sender, messages) = channel::bounded(BACKLOG);
    room.clients.borrow_mut().insert(number, sender);
    room.send(number, &format!("client {number} joins\n"));
    let leaving = room.clone();
    let talking = race((read(room, number, stream.clone()), write(messages, stream.clone()), stop.wait()));
    let leave = move || {
        leaving.clients.borrow_mut().remove(&number);
        leaving.send(number, &format!("client {number} leaves\n"));
    };
    yield finally(talking, leave);
    (&*stream).write_all(b"server: goodbye\n").await?;
}

#[coro]
fn accept(listener: Rc<Async<TcpListener>>) -> Coro<Async<TcpStream>> {
    listener.accept().await?.0
}

/// Serves clients until the server is to stop. They get their goodbye, and have ended when this ends.
#[coro]
fn serve(listener: Async<TcpListener>, stop: Event) -> Coro<()> {
    let (room, listener) = (Room::default(), Rc::new(listener));
    let mut clients = Vec::new();
    for number in 1.. {
        let next = race((stop.wait().map(|()| None), accept(listener.clone()).map(Some)));
        let Some(stream) = yield next else { break };
        let client = serve_client(room.clone(), number, stream, stop.clone());
        // A client that fails, or a bug in its handler, does not stop the others. One that does not read is cut off.
        let (stop, number) = (stop.clone(), number);
        clients.push(
            yield spawn(co! {
                let limited = co! { yield stop.wait(); yield tinyield::sleep(GOODBYE); };
                if let Err(error) = yield isolate(race((client, limited))).catch_unwind() {
                    eprintln!("client {number}: {error}");
                }
            }),
        );
    }
    yield clients;
}

/// Says something, and reads until the server says goodbye.
#[coro]
fn talk(address: SocketAddr, words: &'static str, heard_all: Event, expected: usize) -> Coro<Vec<String>> {
    let stream = Async::<TcpStream>::connect(address).await?;
    (&stream).write_all(words.as_bytes()).await?;
    let mut reader = BufReader::new(&stream);
    let (mut lines, mut spoken) = (Vec::new(), 0);
    let mut line = String::new();
    while reader.read_line(&mut line).await? > 0 {
        lines.push(line.trim_end().to_string());
        spoken += usize::from(line.contains(": hello"));
        if spoken == expected {
            heard_all.set();
        }
        line.clear();
    }
    lines
}

/// Three clients talk. When the first of them has heard the others, the server stops.
#[coro]
fn demonstration() -> Coro<()> {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
    let address = listener.get_ref().local_addr()?;
    let stop = Event::new();
    let server = yield spawn(serve(listener, stop.clone()));
    let early = yield spawn(talk(address, "", stop.clone(), 2));
    yield tinyield::sleep(Duration::from_millis(50));
    let others = ["hello from Ada\n", "hello from Bob\n"].map(|words| talk(address, words, Event::new(), 9));
    let (read, others) = yield (early, others);
    yield server;
    println!("the first client has read:");
    read.iter().for_each(|line| println!("  {line}"));
    for lines in others.iter().chain([&read]) {
        assert_eq!(lines.last().map(String::as_str), Some("server: goodbye"), "each client sees the end");
    }
}

fn main() -> Result<(), LoopError> {
    let Some(address) = std::env::args().nth(1) else { return Loop::new().run(demonstration()) };
    let stop = Event::new();
    let remote = stop.remote();
    ctrlc::set_handler(move || remote.set()).expect("no other handler is set");
    Loop::new().run(co! {
        let address: SocketAddr = address.parse()?;
        yield serve(Async::<TcpListener>::bind(address)?, stop)
    })
}
