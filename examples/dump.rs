//! A server that prints what each of its coroutines waits for, when it receives the signal SIGUSR1.
//!
//! ```text
//! cargo run --example dump                        # a self-test: a server, its clients, and a signal
//! cargo run --example dump -- listen 127.0.0.1:8080
//! kill -USR1 $(pgrep -x dump)
//! ```
#![feature(coroutines)]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use smol::io::{AsyncBufReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use tinyield::{Coro, Dump, Loop, Stall, View, coro, isolate, spawn};

#[cfg(unix)]
use signal_hook::{consts::SIGUSR1, iterator::Signals};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi\n";

#[coro]
fn serve(listener: TcpListener) -> Coro<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        yield spawn(isolated(stream, peer));
    }
}

#[coro]
fn isolated(stream: TcpStream, peer: SocketAddr) -> Coro<()> {
    if let Err(error) = yield isolate(connection(stream)) {
        eprintln!("{peer}: {error}");
    }
}

/// Answers each request. A request ends with an empty line.
#[coro]
fn connection(stream: TcpStream) -> Coro<()> {
    let mut reader = smol::io::BufReader::new(stream.clone());
    let mut writer = stream;
    let mut line = String::new();
    while reader.read_line(&mut line).await? > 0 {
        if line == "\r\n" {
            writer.write_all(ANSWER.as_bytes()).await?;
        }
        line.clear();
    }
}

/// Calls `report` with a dump for each signal. A signal handler must not take a dump, but a thread may.
#[cfg(unix)]
fn dump_at_signals(
    view: View,
    mut report: impl FnMut(Result<Dump, Stall>, Duration) + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::new([SIGUSR1])?;
    thread::spawn(move || {
        for _ in &mut signals {
            let start = Instant::now();
            let dump = view.dump(Duration::from_secs(1));
            report(dump, start.elapsed());
        }
    });
    Ok(())
}

#[cfg(unix)]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => self_test(),
        ["listen", address] => {
            let mut event_loop = Loop::new();
            dump_at_signals(event_loop.view(), |dump, took| match dump {
                Ok(dump) => eprintln!("{dump}\n(taken in {took:?})"),
                Err(stall) => eprintln!("{stall}"),
            })?;
            let listener = smol::block_on(TcpListener::bind(address))?;
            println!("listening on http://{}", listener.local_addr()?);
            Ok(event_loop.run(serve(listener).named("server"))?)
        }
        _ => Err("usage: dump [listen ADDRESS]".into()),
    }
}

#[cfg(not(unix))]
fn main() {
    println!("there is no SIGUSR1 on this system");
}

/// Three clients keep their connections open, and the process sends the signal to itself.
#[cfg(unix)]
fn self_test() -> Result<(), Box<dyn Error>> {
    let listener = smol::block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let mut event_loop = Loop::new();
    let (view, stop) = (event_loop.view(), event_loop.stop_handle());
    let (sender, dumps) = mpsc::channel();
    dump_at_signals(view, move |dump, _| sender.send(dump).expect("the main thread waits"))?;

    let clients = thread::spawn(move || {
        let connect = || -> std::io::Result<_> {
            let mut stream = StdTcpStream::connect(address)?;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
            let mut reader = BufReader::new(stream);
            let mut answer = vec![0; ANSWER.len()];
            reader.read_exact(&mut answer)?;
            assert_eq!(answer, ANSWER.as_bytes());
            Ok(reader)
        };
        let connections: Vec<_> = (0..3).map(|_| connect().expect("the server answers")).collect();
        signal_hook::low_level::raise(SIGUSR1).expect("a signal can be raised");
        let dump = dumps.recv().expect("the signal is handled").expect("nothing holds the loop up");
        println!("{dump}");
        let text = dump.to_string();
        assert!(text.contains("`server` waits") && text.contains("3 x `connection` wait"), "{text}");
        for mut connection in connections {
            connection.get_mut().shutdown(std::net::Shutdown::Write).expect("the connection is open");
            assert_eq!(connection.read_line(&mut String::new()).expect("the server closes it"), 0);
        }
        stop.stop();
    });
    let error = event_loop.run(serve(listener).named("server")).expect_err("it runs until it is stopped");
    clients.join().expect("the clients do not panic");
    if error.is_stopped() { Ok(()) } else { Err(error.into()) }
}
