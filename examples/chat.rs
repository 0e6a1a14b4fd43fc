//! A chat server: what one client says is sent to all others. On Ctrl-C the server sends goodbye to every client before it ends.
//!
//! `cargo run --example chat -- 127.0.0.1:7000` serves until Ctrl-C; connect with `nc 127.0.0.1 7000`. Without arguments, a few clients
//! talk to each other. Then the server stops, and the program prints the messages that the clients have read.

#![feature(coroutines)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use smol::Async;
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tinyield::channel::{self, Receiver, Sender};
use tinyield::{Coro, Event, Loop, LoopError, co, coro, finally, isolate, race, sleep, spawn};

/// How many messages a client may be behind, before it misses some.
const BACKLOG: usize = 64;
/// The longest message. A longer line is several messages.
const MAX_LINE: u64 = 4096;
/// How long a client may take to read the remaining messages when the server stops.
const GOODBYE: Duration = Duration::from_secs(1);

/// All clients, by number.
#[derive(Clone, Default)]
struct Room {
    clients: Rc<RefCell<BTreeMap<usize, Sender<Rc<str>>>>>,
}

impl Room {
    /// Sends a message to all clients but one. A slow client does not make the others wait.
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
    while (&mut reader).take(MAX_LINE).read_line(&mut line).await? > 0 {
        room.send(number, &format!("client {number}: {}\n", line.trim_end()));
        line.clear();
        // While more lines are in the buffer, the `.await` is ready at once. Without this `yield`, up to 256 lines would be read before
        // a `write` has a turn, but a channel holds only `BACKLOG` messages.
        yield;
    }
}

/// Writes messages until the channel is closed and empty. In each turn it writes all messages that are there, because several clients may
/// send at the same time.
#[coro]
fn write(messages: Receiver<Rc<str>>, stream: Rc<Async<TcpStream>>) -> Coro<()> {
    while let Ok(first) = yield messages.recv() {
        for message in iter::once(first).chain(messages.try_iter()) {
            (&*stream).write_all(message.as_bytes()).await?;
        }
    }
}

/// Serves one client, until it leaves or the server stops. Then the client gets the messages that were sent before, and
/// a goodbye.
#[coro]
fn serve_client(room: Room, number: usize, stream: Async<TcpStream>, stop: Event) -> Coro<()> {
    let stream = Rc::new(stream);
    let (sender, messages) = channel::bounded(BACKLOG);
    drop(sender.try_send(format!("server: welcome, client {number}\n").into())); // there is room for it
    room.clients.borrow_mut().insert(number, sender);
    room.send(number, &format!("client {number} joins\n"));
    let listening = race((read(room.clone(), number, stream.clone()), stop.wait()));
    let leave = move || {
        // Its sender is dropped, so `write` ends when it has written the remaining messages.
        room.clients.borrow_mut().remove(&number);
        room.send(number, &format!("client {number} leaves\n"));
    };
    yield (finally(listening, leave), write(messages, stream.clone()));
    (&*stream).write_all(b"server: goodbye\n").await?;
}

/// Serves one client. An error or a panic of this client does not affect the other clients. If the client does not read, it is disconnected
/// when the server stops.
#[coro]
fn host_client(room: Room, number: usize, stream: Async<TcpStream>, stop: Event) -> Coro<()> {
    let client = serve_client(room, number, stream, stop.clone());
    let limit = co! { yield stop.wait(); yield sleep(GOODBYE); };
    if let Err(error) = yield isolate(race((client, limit))).catch_unwind() {
        eprintln!("client {number}: {error}");
    }
}

#[coro]
fn accept(listener: Rc<Async<TcpListener>>) -> Coro<Async<TcpStream>> {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return stream,
            // This fails if too many files are open. When a client leaves, one of them is closed.
            Err(error) => eprintln!("accept: {error}"),
        }
        yield sleep(Duration::from_millis(100));
    }
}

/// Accepts clients until the server is to stop.
#[coro]
fn accept_all(listener: Async<TcpListener>, stop: Event) -> Coro<()> {
    let (room, listener) = (Room::default(), Rc::new(listener));
    for number in 1.. {
        let next = race((stop.wait().map(|()| None), accept(listener.clone()).map(Some)));
        let Some(stream) = yield next else { break };
        yield spawn(host_client(room.clone(), number, stream, stop.clone()));
    }
}

/// Serves clients until the server is to stop. When this coroutine ends, all clients have ended, because the domain waits for everything
/// that runs in it.
#[coro]
fn serve(listener: Async<TcpListener>, stop: Event) -> Coro<()> {
    (yield isolate(accept_all(listener, stop)))?
}

/// Sends `words`, and reads until the server sends goodbye. Sets the event of each text in `heard` that it receives.
#[coro]
fn talk(address: SocketAddr, words: &'static str, heard: Vec<(&'static str, Event)>) -> Coro<Vec<String>> {
    let stream = Async::<TcpStream>::connect(address).await?;
    (&stream).write_all(words.as_bytes()).await?;
    let mut reader = BufReader::new(&stream);
    let (mut lines, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line).await? > 0 {
        lines.push(line.trim_end().to_string());
        heard.iter().filter(|(words, _)| line.contains(words)).for_each(|(_, event)| event.set());
        line.clear();
    }
    lines
}

/// Three clients talk. When the first of them has received the messages of the others, the server stops.
#[coro]
fn demonstration() -> Coro<()> {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
    let address = listener.get_ref().local_addr()?;
    let (stop, welcome, ada, bob) = (Event::new(), Event::new(), Event::new(), Event::new());
    let server = yield spawn(serve(listener, stop.clone()));
    let heard = [("welcome", &welcome), ("hello from Ada", &ada), ("hello from Bob", &bob)];
    let first = yield spawn(talk(address, "", heard.map(|(words, event)| (words, event.clone())).into()));
    yield welcome.wait();
    let others = yield spawn(["hello from Ada\n", "hello from Bob\n"].map(|words| talk(address, words, Vec::new())));
    yield (ada.wait(), bob.wait());
    stop.set();
    let (read, others, ()) = yield (first, others, server);
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
