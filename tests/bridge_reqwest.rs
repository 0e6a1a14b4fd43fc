//! A crate that needs tokio, in both kinds of loops: reqwest, with a server on axum in the same runtime.
//!
//! All of it runs on one thread. `strace -f -c -e trace=futex` of this program shows that no wake-up crosses threads.
#![feature(coroutines)]
#![cfg(feature = "tokio")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use reqwest::Client;
use tinyield::{Coro, Loop, as_completed, coro, from_tokio, to_tokio};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

const REQUESTS: usize = 1_000;
const AT_ONCE: usize = 16;

/// The requests that the server has received.
#[derive(Default)]
struct Served {
    requests: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

/// Starts a server that answers a number with its square, in the runtime that polls this.
async fn serve(served: Arc<Served>) -> SocketAddr {
    let square = async move |Path(number): Path<usize>| {
        served.requests.fetch_add(1, SeqCst);
        served.most_running.fetch_max(served.running.fetch_add(1, SeqCst) + 1, SeqCst);
        tokio::task::yield_now().await;
        served.running.fetch_sub(1, SeqCst);
        (number * number).to_string()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/square/{number}", get(square));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn get_square(client: Client, url: String) -> reqwest::Result<String> {
    client.get(url).send().await?.error_for_status()?.text().await
}

/// Awaits a future of reqwest.
type Fetch = fn(Client, String) -> Coro<String>;

#[coro]
fn by_plain_await(client: Client, url: String) -> Coro<String> {
    get_square(client, url).await?
}

fn by_from_tokio(client: Client, url: String) -> Coro<String> {
    from_tokio(get_square(client, url)).raise()
}

#[coro]
fn get_all(fetch: Fetch) -> Coro<()> {
    let served = Arc::<Served>::default();
    let address = yield from_tokio(serve(served.clone()));
    let client = Client::new();
    let requests = (0..REQUESTS)
        .map(move |number| numbered(number, fetch(client.clone(), format!("http://{address}/square/{number}"))));
    let mut answered = vec![false; REQUESTS];
    for next in yield as_completed(requests).limit(AT_ONCE) {
        let (number, square) = yield next;
        assert_eq!(square, (number * number).to_string());
        assert!(!std::mem::replace(&mut answered[number], true));
    }
    assert!(answered.iter().all(|answered| *answered));
    assert_eq!(served.requests.load(SeqCst), REQUESTS);
    assert!((2..=AT_ONCE).contains(&served.most_running.load(SeqCst)));
}

#[coro]
fn numbered(number: usize, fetch: Coro<String>) -> Coro<(usize, String)> {
    (number, yield fetch)
}

#[test]
fn thousand_requests_in_a_loop_that_drives_its_runtime() {
    Loop::new().run(get_all(by_from_tokio)).unwrap();
}

#[test]
fn thousand_requests_by_plain_await_in_a_loop_inside_of_tokio() {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(to_tokio(get_all(by_plain_await))).unwrap();
}
