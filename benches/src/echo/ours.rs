//! smol's sockets, awaited in coroutines.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use tinyield::{Coro, Loop, co, coro, spawn};

use super::wires::{ByAsyncIo, Wire};
use super::{CONNECTIONS, TRIPS, WARM_UP, connections, message, per_trip};
use crate::harness::Measured;

/// Inside one `block_on`, as the manual recommends.
pub fn in_block_on() -> Measured {
    async_io::block_on(async { alone() })
}

pub fn alone() -> Measured {
    let main = co! {
        let warm = Rc::new(Cell::new(None));
        let mut clients = vec![];
        for (i, (client_end, server_end)) in connections().into_iter().enumerate() {
            yield spawn(server(ByAsyncIo::adopt(server_end)));
            clients.push(client(ByAsyncIo::adopt(client_end), i, Rc::clone(&warm)));
        }
        assert_eq!((yield clients).len(), CONNECTIONS);
        per_trip(warm.get().expect("a client has warmed up"))
    };
    Loop::new().run(main).expect("no error")
}

#[coro]
fn server(wire: ByAsyncIo) -> Coro<()> {
    wire.serve().await;
}

/// The first client that has warmed up starts the clock.
#[coro]
fn client(wire: ByAsyncIo, number: usize, warm: Rc<Cell<Option<Instant>>>) -> Coro<()> {
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
