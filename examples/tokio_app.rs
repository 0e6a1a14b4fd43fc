//! Downloads with reqwest inside of tokio: a limit on how many run at once, a timeout for each attempt, retries, and a progress bar.
//!
//! ```text
//! cargo run --features tokio --example tokio_app                    # a self-test: downloads from a server on loopback
//! cargo run --features tokio --example tokio_app -- http://HOST/..  # downloads these (no TLS: reqwest is built without it)
//! ```
#![feature(coroutines)]

use std::cell::Cell;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Client;
use tinyield::{Coro, as_completed, coro, isolate, sleep, timeout, to_tokio};
use tokio::net::TcpListener;

const AT_ONCE: usize = 4;
const ATTEMPTS: u32 = 4;
const LIMIT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);

type BoxError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), BoxError> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    // The server of the self-test, and everything that the coroutines await, run on this thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if urls.is_empty() {
            return self_test().await;
        }
        for (url, bytes) in to_tokio(download_all(urls)).await? {
            println!("{url}: {bytes} bytes");
        }
        Ok(())
    })
}

// The downloads are ordinary coroutines.

/// Returns each URL with its number of bytes, in the order in which the downloads ended. If one of them fails in all its attempts, it
/// cancels the others.
#[coro]
fn download_all(urls: Vec<String>) -> Coro<Vec<(String, u64)>> {
    let client = Client::new();
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files after {elapsed}")?;
    let bar = ProgressBar::new(urls.len() as u64).with_style(style);
    let mut downloaded = Vec::new();
    let downloads = urls.into_iter().map(move |url| download(client.clone(), url));
    for next in yield as_completed(downloads).limit(AT_ONCE) {
        downloaded.push(yield next);
        bar.inc(1);
    }
    bar.finish_and_clear();
    downloaded
}

/// Raises the error of the last attempt.
#[coro]
fn download(client: Client, url: String) -> Coro<(String, u64)> {
    for attempt in 1.. {
        let is_last = attempt == ATTEMPTS;
        // An error or a timeout of an attempt cancels this attempt only.
        match yield timeout(isolate(fetch(client.clone(), url.clone())), LIMIT) {
            Ok(Ok(bytes)) => return (url, bytes),
            Ok(Err(error)) if is_last => Err(error)?,
            Err(timed_out) if is_last => Err(timed_out)?,
            _ => {}
        }
        yield sleep(attempt * PAUSE);
    }
    unreachable!("the last attempt returns or raises")
}

/// Awaits the futures of reqwest in place.
#[coro]
fn fetch(client: Client, url: String) -> Coro<u64> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len() as u64;
    }
    bytes
}

// The server of the self-test.

/// Counts the requests for each file, and how many run at once.
#[derive(Default)]
struct Served {
    requests: [u32; FILES],
    running: usize,
    most_running: usize,
}

const FILES: usize = 12;

/// File `n` has `n` times 100,000 bytes. For some files, the first request fails. For some other files, it hangs.
async fn file(Path(number): Path<usize>, State(served): State<Arc<Mutex<Served>>>) -> Result<Vec<u8>, StatusCode> {
    /// If a client gives up, its handler is dropped, and so is this value.
    struct Running(Arc<Mutex<Served>>);
    impl Drop for Running {
        fn drop(&mut self) {
            self.0.lock().unwrap().running -= 1;
        }
    }
    let is_first = {
        let mut served = served.lock().unwrap();
        let requests = served.requests.get_mut(number).ok_or(StatusCode::NOT_FOUND)?;
        *requests += 1;
        let is_first = *requests == 1;
        served.running += 1;
        served.most_running = served.most_running.max(served.running);
        is_first
    };
    let _running = Running(served);
    tokio::time::sleep(Duration::from_millis(5)).await;
    match number % 4 {
        1 if is_first => Err(StatusCode::SERVICE_UNAVAILABLE),
        2 if is_first => std::future::pending().await,
        _ => Ok(vec![b'x'; number * 100_000]),
    }
}

async fn serve(served: Arc<Mutex<Served>>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/file/{number}", get(file)).with_state(served);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn self_test() -> Result<(), BoxError> {
    let served = Arc::<Mutex<Served>>::default();
    let address = serve(served.clone()).await?;
    let url = |number: usize| format!("http://{address}/file/{number}");

    // A task of tokio goes on beside the loop, on the same thread.
    let ticks = Rc::new(Cell::new(0));
    let counts = ticks.clone();
    let tasks = tokio::task::LocalSet::new();
    tasks.spawn_local(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            counts.set(counts.get() + 1);
        }
    });
    let mut downloaded = tasks.run_until(to_tokio(download_all((0..FILES).map(url).collect()))).await?;
    downloaded.sort_by_key(|(_, bytes)| *bytes);
    let expected: Vec<_> = (0..FILES).map(|number| (url(number), number as u64 * 100_000)).collect();
    assert_eq!(downloaded, expected);
    assert!(ticks.get() > 0);
    {
        let served = served.lock().unwrap();
        let needs_two_attempts = |number: usize| matches!(number % 4, 1 | 2);
        let expected: [u32; FILES] = std::array::from_fn(|number| if needs_two_attempts(number) { 2 } else { 1 });
        assert_eq!(served.requests, expected);
        assert!(served.most_running <= AT_ONCE);
        println!("{FILES} files, {} requests, {} at once", served.requests.iter().sum::<u32>(), served.most_running);
    }

    // If a file cannot be downloaded, the loop fails. Its error names the coroutines that waited for it.
    let error = to_tokio(download_all(vec![url(FILES)])).await.unwrap_err();
    println!("as expected: {error:?}");
    assert!(error.to_string().contains("404 Not Found"));
    Ok(())
}
