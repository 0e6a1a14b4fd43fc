//! An HTTP server on axum, with coroutines as handlers. A client that goes away cancels its coroutine. If a coroutine fails, the answer is
//! 500 and the server goes on.
//!
//! A handler of axum must be a `Send` future, and a loop is not. There are two ways:
//!
//! - On one thread, in a `LocalRuntime`, each handler awaits `to_tokio` in a `SendWrapper`. Nothing crosses threads.
//! - On many threads, each handler awaits `to_tokio_with`, which runs its loop on a thread of its own. This suits few and long requests.
//!
//! ```text
//! cargo run --features tokio --example axum_server                                    # a self-test: both servers and their clients
//! cargo run --release --features tokio --example axum_server -- local 127.0.0.1:8080  # serves on one thread until Ctrl-C
//! wrk -t1 -c64 -d10s http://127.0.0.1:8080/
//! ```
//!
//! With `threads` instead of `local`, it serves on many threads. With `plain`, it serves on one thread without any coroutine,
//! for a comparison.
#![feature(coroutines)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use send_wrapper::SendWrapper;
use tinyield::{Coro, Loop, LoopError, Wait, coro, from_tokio, sleep, to_tokio, to_tokio_with};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, Semaphore, oneshot};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            self_test(Threads::One)?;
            self_test(Threads::Many)
        }
        ["local", address] => listen(address, Threads::One, None),
        ["threads", address] => listen(address, Threads::Many, None),
        ["plain", address] => listen(address, Threads::One, Some(Router::new().route("/", get(async || HELLO)))),
        _ => Err("usage: axum_server [local|threads|plain ADDRESS]".into()),
    }
}

// The pages are ordinary coroutines.

const HELLO: &str = "Hello, world!\n";

#[coro]
fn hello() -> Coro<String> {
    HELLO.into()
}

/// Waits for two coroutines at the same time.
#[coro]
fn sum() -> Coro<String> {
    let (one, two) = yield (fetch(1), fetch(2));
    format!("{}\n", one + two)
}

/// Waits for a timer of the loop, and awaits a timer of tokio in place.
#[coro]
fn fetch(number: u64) -> Coro<u64> {
    yield sleep(Duration::from_millis(5));
    tokio::time::sleep(Duration::from_millis(5)).await;
    number
}

#[coro]
fn number(text: String) -> Coro<String> {
    let number: u64 = text.parse()?; // an error here is answered with 500
    format!("{number}\n")
}

#[coro]
fn shout(text: String) -> Coro<String> {
    text.to_uppercase()
}

/// Takes too long for its clients. When it is cancelled, it adds a permit to `cancelled`.
#[coro]
fn slow(cancelled: Arc<Semaphore>) -> Coro<String> {
    struct AddOnDrop(Arc<Semaphore>);
    impl Drop for AddOnDrop {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }
    let _add = AddOnDrop(cancelled);
    yield sleep(Duration::from_secs(3600));
    "at last\n".into()
}

// The server.

/// The number of threads of the server. It decides how a handler runs its coroutine.
#[derive(Clone, Copy, Debug)]
enum Threads {
    One,
    Many,
}

impl Threads {
    /// Runs a coroutine for one request. Axum drops the future if the client goes away, and that cancels the coroutine.
    async fn answer<W>(self, build: impl FnOnce() -> W + Send + 'static) -> std::result::Result<String, Failure>
    where
        W: Wait<Output = String>,
    {
        let result = match self {
            // A `LocalRuntime` polls and drops all its tasks on its own thread. On another thread, a poll of the
            // wrapper would panic.
            Threads::One => SendWrapper::new(to_tokio(build())).await,
            Threads::Many => to_tokio_with(build).await,
        };
        result.map_err(Failure)
    }
}

struct Failure(LoopError);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("{:?}", self.0);
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", self.0)).into_response()
    }
}

fn router(threads: Threads, cancelled: Arc<Semaphore>) -> Router {
    Router::new()
        .route("/", get(move || threads.answer(hello)))
        .route("/sum", get(move || threads.answer(sum)))
        .route("/number/{text}", get(move |Path(text)| threads.answer(move || number(text))))
        .route("/shout", post(move |text| threads.answer(move || shout(text))))
        .route("/slow", get(move |State(cancelled)| threads.answer(move || slow(cancelled))))
        .with_state(cancelled)
}

/// Serves until `stop` is ready and all requests are answered.
fn serve(
    threads: Threads,
    address: &str,
    router: Router,
    started: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let serve = async {
        let listener = TcpListener::bind(address).await?;
        started(listener.local_addr()?);
        Ok(axum::serve(listener, router).with_graceful_shutdown(stop).await?)
    };
    match threads {
        Threads::One => {
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(serve)
        }
        Threads::Many => Builder::new_multi_thread().enable_all().build()?.block_on(serve),
    }
}

/// Serves until Ctrl-C.
fn listen(address: &str, threads: Threads, plain: Option<Router>) -> Result<()> {
    let stop = Arc::new(Notify::new());
    let stops = stop.clone();
    ctrlc::set_handler(move || stops.notify_one())?;
    let router = plain.unwrap_or_else(|| router(threads, Arc::new(Semaphore::new(0))));
    let started = |address| println!("listening on http://{address}");
    serve(threads, address, router, started, async move { stop.notified().await })
}

// The clients of the self-test.

#[coro]
fn check(address: SocketAddr) -> Coro<()> {
    let client = reqwest::Client::new();
    let url = |path| format!("http://{address}{path}");
    let pages = [
        ("/", 200, HELLO),
        ("/sum", 200, "3\n"),
        ("/number/7", 200, "7\n"),
        ("/number/seven", 500, "invalid digit found in string\n"),
        ("/", 200, HELLO), // after a failure, the server still works
    ];
    for (path, status, body) in pages {
        let response = yield from_tokio(client.get(url(path)).send()).raise();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(yield from_tokio(response.text()).raise(), body, "{path}");
    }
    let response = yield from_tokio(client.post(url("/shout")).body("words").send()).raise();
    assert_eq!(yield from_tokio(response.text()).raise(), "WORDS");

    // A client that gives up closes its connection.
    let gives_up = client.get(url("/slow")).timeout(Duration::from_millis(50)).send();
    assert!((yield from_tokio(gives_up)).unwrap_err().is_timeout());
}

/// Runs a server on another thread and clients on this one.
fn self_test(threads: Threads) -> Result<()> {
    const CLIENTS: usize = 3;
    let cancelled = Arc::new(Semaphore::new(0));
    let router = router(threads, cancelled.clone());
    let (started, address) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let started = |address| started.send(address).expect("the main thread waits for the address");
        serve(threads, "127.0.0.1:0", router, started, async { drop(stopped.await) })
    });
    let address = address.recv()?;
    Loop::new().run((0..CLIENTS).map(|_| check(address)).collect::<Vec<_>>())?;
    Loop::new().run(from_tokio(async move { cancelled.acquire_many(CLIENTS as u32).await.map(drop) }).raise())?;
    println!(
        "{threads:?}: {CLIENTS} clients got the expected answers, and those that gave up cancelled their coroutines"
    );
    drop(stop);
    server.join().expect("the server does not panic")
}
