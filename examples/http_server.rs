//! HTTP/1.1 by hyper, whose handlers are coroutines. One that fails answers 500, and the server lives on.
//!
//! ```text
//! cargo run --example http_server                                    # a server and a client, that check each other
//! cargo run --release --example http_server -- listen 127.0.0.1:8080 # until Ctrl-C
//! wrk -t1 -c64 -d10s http://127.0.0.1:8080/
//! ```
#![feature(coroutines)]

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, client, server};
use smol::channel::{self, Receiver, Sender};
use smol::net::{TcpListener, TcpStream};
use smol_hyper::rt::FuturesIo;
use tinyield::{Coro, Loop, LoopError, coro, from_smol, isolate, sleep, spawn};

type Answer = Response<Full<Bytes>>;
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check_itself(),
        ["listen", address] => listen(address.parse()?),
        _ => Err("usage: http_server [listen ADDRESS]".into()),
    }
}

// The handlers: ordinary coroutines.

#[coro]
fn handle(request: Request<Incoming>) -> Coro<Answer> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text("Hello, world!\n"),
        (&Method::GET, "/sum") => {
            // As any coroutine, it may wait for others, all at once.
            let (one, two) = yield (fetch(1), fetch(2));
            text(format!("{}\n", one + two))
        }
        (&Method::POST, "/echo") => Response::new(Full::new(request.into_body().collect().await?.to_bytes())),
        (&Method::GET, path) if path.starts_with("/number/") => {
            let number: u64 = path["/number/".len()..].parse()?; // not a number: 500
            text(format!("{number}\n"))
        }
        _ => {
            let mut answer = text("no such page\n");
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        }
    }
}

#[coro]
fn fetch(number: u64) -> Coro<u64> {
    yield sleep(Duration::from_millis(10));
    number
}

fn text(text: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(text.into()))
}

// The server.

#[coro]
fn serve(listener: TcpListener) -> Coro<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        yield spawn(guarded(stream, peer));
    }
}

/// A connection that fails, because its client went away or talks nonsense, is no concern of the others.
#[coro]
fn guarded(stream: TcpStream, peer: SocketAddr) -> Coro<()> {
    if let Err(error) = yield isolate(connection(stream)) {
        eprintln!("{peer}: {error}");
    }
}

/// Hyper is a guest on this thread: it reads requests and writes answers, and hands what is between to a coroutine.
#[coro]
fn connection(stream: TcpStream) -> Coro<()> {
    let (requests, incoming) = channel::bounded(1);
    let service = service_fn(move |request| ask(requests.clone(), request));
    let hyper = server::conn::http1::Builder::new().serve_connection(FuturesIo::new(stream), service);
    yield (from_smol(hyper).raise(), answer_all(incoming));
}

type Asked = (Request<Incoming>, Sender<Answer>);

/// What hyper waits for, for each request.
async fn ask(requests: Sender<Asked>, request: Request<Incoming>) -> std::result::Result<Answer, channel::RecvError> {
    let (answer, answered) = channel::bounded(1);
    // Neither fails while the connection's coroutine lives.
    let _ = requests.send((request, answer)).await;
    answered.recv().await
}

/// Answers requests until hyper has no more of them.
#[coro]
fn answer_all(incoming: Receiver<Asked>) -> Coro<()> {
    while let Ok((request, answer)) = incoming.recv().await {
        // What goes wrong in a handler, and in anything that it started, ends with it.
        let response = match yield isolate(handle(request)) {
            Ok(response) => response,
            Err(error) => failed(&error),
        };
        let _ = answer.send(response).await;
    }
}

fn failed(error: &LoopError) -> Answer {
    eprintln!("{error:?}");
    let mut answer = text(format!("{error}\n"));
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

/// Serves until Ctrl-C.
fn listen(address: SocketAddr) -> Result<()> {
    let mut event_loop = Loop::new();
    let handle = event_loop.stop_handle();
    ctrlc::set_handler(move || handle.stop())?;
    let listener = smol::block_on(TcpListener::bind(address))?;
    println!("listening on http://{}", listener.local_addr()?);
    ends_when_stopped(event_loop.run(serve(listener)))
}

/// A server stops with an error, as any loop that is cut short: being told to is the one that is meant.
fn ends_when_stopped(result: std::result::Result<(), LoopError>) -> Result<()> {
    match result {
        Err(error) if error.is_stopped() => {
            println!("told to stop: all connections are closed");
            Ok(())
        }
        other => Ok(other?),
    }
}

// A client, to check it with.

#[coro]
fn check(address: SocketAddr) -> Coro<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = client::conn::http1::handshake(FuturesIo::new(stream)).await?;
    yield spawn(from_smol(connection).raise());
    let expected = [
        ("GET", "/", 200, "Hello, world!\n"),
        ("GET", "/sum", 200, "3\n"),
        ("POST", "/echo", 200, "sent along"),
        ("GET", "/number/7", 200, "7\n"),
        ("GET", "/number/seven", 500, "invalid digit found in string\n"),
        ("GET", "/nowhere", 404, "no such page\n"),
        ("GET", "/", 200, "Hello, world!\n"), // it lives on, and so does the connection
    ];
    for (method, path, status, body) in expected {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(Full::<Bytes>::from(if method == "POST" { "sent along" } else { "" }))?;
        let response = sender.send_request(request).await?;
        assert_eq!(response.status(), status, "{method} {path}");
        let received = response.into_body().collect().await?.to_bytes();
        assert_eq!(received, body, "{method} {path}");
    }
}

/// A server on a thread, clients on this one.
fn check_itself() -> Result<()> {
    let listener = smol::block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (handles, handle) = std::sync::mpsc::channel();
    let server = thread::spawn(move || {
        let mut event_loop = Loop::new();
        handles.send(event_loop.stop_handle())?;
        ends_when_stopped(event_loop.run(serve(listener)))
    });
    let stop = handle.recv()?;
    Loop::new().run(vec![check(address), check(address), check(address)])?;
    println!("3 clients got the answers that they expected");
    stop.stop();
    server.join().expect("the server does not panic")
}
