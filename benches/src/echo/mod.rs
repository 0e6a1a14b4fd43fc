//! Echo over TCP: clients and servers on one loop.

#[cfg(feature = "tinyield")]
mod ours;
mod peers;
mod raw;
mod wires;

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use crate::harness::{Contender, Measured, Workload};
use crate::peers::{AsyncStd, Compio, Monoio, Smol, SmolStatic, TokioLocalRuntime, TokioLocalSet};
use wires::{ByAsyncIo, ByAsyncStd, ByCompio, ByMonoio, ByTokio};

const CONNECTIONS: usize = 64;
const BYTES: usize = 1024;
/// The number of round trips of each client: to warm up, and measured.
const WARM_UP: u64 = 50;
const TRIPS: u64 = 500;

pub fn workloads() -> Vec<Workload> {
    vec![Workload {
        name: "echo",
        what: "64 clients repeatedly send 1 KiB and read it back; clients and servers on one thread",
        units: &["us per round trip"],
        pinned: false,
        contenders: vec![
            Contender::raw(raw::echo),
            #[cfg(feature = "tinyield")]
            Contender::ours(ours::in_block_on),
            #[cfg(feature = "tinyield")]
            Contender::ours_variant("tinyield no block_on", ours::alone),
            #[cfg(feature = "tinyield")]
            Contender::ours_variant("tinyield in tokio", ours::in_tokio),
            Contender::peer("smol", peers::echo::<Smol, ByAsyncIo>),
            Contender::peer("smol static", peers::echo::<SmolStatic, ByAsyncIo>),
            Contender::peer("tokio LocalSet", peers::echo::<TokioLocalSet, ByTokio>),
            Contender::peer("tokio LocalRuntime", peers::echo::<TokioLocalRuntime, ByTokio>),
            Contender::peer("async-std", peers::echo::<AsyncStd, ByAsyncStd>),
            Contender::peer("monoio", peers::echo::<Monoio, ByMonoio>),
            Contender::peer("compio", peers::echo::<Compio, ByCompio>),
        ],
    }]
}

/// The message of a client.
fn message(client: usize) -> Vec<u8> {
    vec![client as u8; BYTES]
}

/// Both ends of every connection, client first.
fn connections() -> Vec<(TcpStream, TcpStream)> {
    let connect = |listener: &TcpListener| {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        io::Result::Ok((client, server))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    (0..CONNECTIONS).map(|_| connect(&listener).expect("a connection")).collect()
}

/// The microseconds per round trip.
fn per_trip(begin: Instant) -> Measured {
    let trips = CONNECTIONS as u64 * TRIPS;
    Measured::one(begin.elapsed().as_secs_f64() * 1e6 / trips as f64)
}
