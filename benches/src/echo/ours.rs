//! The sockets of smol and of tokio, awaited in coroutines.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use tinyield::{Coro, Loop, coro, spawn, to_tokio};
use tokio::runtime::Builder;

use super::wires::{ByAsyncIo, ByTokio, Wire};
use super::{CONNECTIONS, TRIPS, WARM_UP, connections, message, per_trip};
use crate::harness::Measured;

/// Inside one `block_on`, as the manual recommends.
pub fn in_block_on() -> Measured {
    async_io::block_on(async { alone() })
}

pub fn alone() -> Measured {
    Loop::new().run(echo::<ByAsyncIo>()).expect("no error")
}

/// The sockets of tokio, in a loop that tokio polls.
pub fn in_tokio() -> Measured {
    let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(to_tokio(echo::<ByTokio>())).expect("no error")
}

#[coro]
fn echo<W: Wire>() -> Coro<Measured> {
    let warm = Rc::new(Cell::new(None));
    let mut clients = vec![];
    for (i, (client_end, server_end)) in connections().into_iter().enumerate() {
        yield spawn(server(W::adopt(server_end)));
        clients.push(client(W::adopt(client_end), i, Rc::clone(&warm)));
    }
    assert_eq!((yield clients).len(), CONNECTIONS);
    per_trip(warm.get().expect("a client has warmed up"))
}

#[coro]
fn server<W: Wire>(wire: W) -> Coro<()> {
    wire.serve().await;
}

/// The first client that has warmed up starts the clock.
#[coro]
fn client<W: Wire>(wire: W, number: usize, warm: Rc<Cell<Option<Instant>>>) -> Coro<()> {
    let mut wire = wire;
    let message = message(number);
    let (mut sent, mut back) = (message.clone(), message.clone());
    for trip in 0..WARM_UP + TRIPS {
        if trip == WARM_UP && warm.get().is_none() {
            warm.set(Some(Instant::now()));
        }
        (sent, back) = wire.exchange(sent, back).await;
        assert_eq!(back, message);
    }
}
