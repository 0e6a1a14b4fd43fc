//! An HTTP/1.1 server on hyper, with coroutines as handlers. If a handler fails, the answer is 500 and the server goes on.
//!
//! ```text
//! cargo run --example http_server                                    # a self-test: a server and its clients
//! cargo run --release --example http_server -- listen 127.0.0.1:8080 # serves until Ctrl-C
//! wrk -t1 -c64 -d10s http://127.0.0.1:8080/
//! pkill -USR1 http_server                                            # prints what each coroutine waits for
//! ```
#![feature(coroutines)]

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, client, server};
use smol::channel::{self, Receiver, Sender};
use smol::net::{TcpListener, TcpStream};
use smol_hyper::rt::FuturesIo;
use tinyield::{Coro, Loop, LoopError, View, coro, from_smol, isolate, sleep, spawn};

type Answer = Response<Full<Bytes>>;
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => self_test(),
        ["listen", address] => listen(address.parse()?),
        _ => Err("usage: http_server [listen ADDRESS]".into()),
    }
}

// The handlers are ordinary coroutines.

#[coro]
fn handle(request: Request<Incoming>) -> Coro<Answer> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text("Hello, world!\n"),
        (&Method::GET, "/sum") => {
            // A handler may wait for several coroutines at the same time.
            let (one, two) = yield (fetch(1), fetch(2));
            text(format!("{}\n", one + two))
        }
        (&Method::POST, "/echo") => Response::new(Full::new(request.into_body().collect().await?.to_bytes())),
        (&Method::GET, path) if path.starts_with("/number/") => {
            let number: u64 = path["/number/".len()..].parse()?; // an error here is answered with 500
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
        yield spawn(isolated(stream, peer));
    }
}

/// Isolates a connection: if its client disconnects or sends invalid data, the others are not affected.
#[coro]
fn isolated(stream: TcpStream, peer: SocketAddr) -> Coro<()> {
    if let Err(error) = yield isolate(connection(stream)) {
        eprintln!("{peer}: {error}");
    }
}

/// Hyper runs as a foreign future on the loop's thread. It reads requests, passes each to a coroutine, and writes the answer.
#[coro]
fn connection(stream: TcpStream) -> Coro<()> {
    let (requests, incoming) = channel::bounded(1);
    let service = service_fn(move |request| ask(requests.clone(), request));
    let hyper = server::conn::http1::Builder::new().serve_connection(FuturesIo::new(stream), service);
    yield (from_smol(hyper).raise(), answer_all(incoming));
}

/// A request, and the channel for its answer.
type Job = (Request<Incoming>, Sender<Answer>);

/// The service that hyper calls for each request: passes it to the coroutine and waits for the answer.
async fn ask(requests: Sender<Job>, request: Request<Incoming>) -> std::result::Result<Answer, channel::RecvError> {
    let (sender, receiver) = channel::bounded(1);
    // The channels stay open while the connection's coroutine lives.
    let _ = requests.send((request, sender)).await;
    receiver.recv().await
}

/// Answers requests until hyper closes the connection.
#[coro]
fn answer_all(incoming: Receiver<Job>) -> Coro<()> {
    while let Ok((request, sender)) = incoming.recv().await {
        // An error in a handler cancels only the coroutines that this handler started.
        let response = match yield isolate(handle(request)) {
            Ok(response) => response,
            Err(error) => internal_error(&error),
        };
        let _ = sender.send(response).await;
    }
}

fn internal_error(error: &LoopError) -> Answer {
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
    print_dumps(event_loop.view())?;
    let listener = smol::block_on(TcpListener::bind(address))?;
    println!("listening on http://{}", listener.local_addr()?);
    ignore_stop(event_loop.run(serve(listener)))
}

/// Prints a dump for each SIGUSR1. A signal handler must not take a dump, but a thread may.
#[cfg(unix)]
fn print_dumps(view: View) -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGUSR1])?;
    thread::spawn(move || {
        for _ in &mut signals {
            let start = Instant::now();
            let dump = view.dump(Duration::from_secs(1));
            let taken = start.elapsed();
            match dump {
                Ok(dump) => eprintln!("{dump}\ntaken in {taken:?}"),
                Err(stall) => eprintln!("{stall}"),
            }
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn print_dumps(_: View) -> Result<()> {
    Ok(())
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

// The clients of the self-test.

#[coro]
fn check(address: SocketAddr) -> Coro<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = client::conn::http1::handshake(FuturesIo::new(stream)).await?;
    yield spawn(from_smol(connection).raise());
    let expected = [
        ("GET", "/", 200, "Hello, world!\n"),
        ("GET", "/sum", 200, "3\n"),
        ("POST", "/echo", 200, "the body of the request"),
        ("GET", "/number/7", 200, "7\n"),
        ("GET", "/number/seven", 500, "invalid digit found in string\n"),
        ("GET", "/nowhere", 404, "no such page\n"),
        ("GET", "/", 200, "Hello, world!\n"), // after a failure, the server and the connection still work
    ];
    for (method, path, status, body) in expected {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(Full::<Bytes>::from(if method == "POST" { "the body of the request" } else { "" }))?;
        let response = sender.send_request(request).await?;
        assert_eq!(response.status(), status, "{method} {path}");
        let received = response.into_body().collect().await?.to_bytes();
        assert_eq!(received, body, "{method} {path}");
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
    Loop::new().run(vec![check(address), check(address), check(address)])?;
    println!("3 clients got the expected answers");
    stop_handle.stop();
    server.join().expect("the server does not panic")
}
