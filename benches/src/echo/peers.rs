//! A task for each end of a connection, with the sockets of each peer.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::wires::Wire;
use super::{CONNECTIONS, TRIPS, WARM_UP, connections, message, per_trip};
use crate::harness::{Gate, Measured};
use crate::peers::Connected;

pub fn echo<P: Connected, W: Wire>() -> Measured {
    P::run_connected(|peer| async move {
        let warm = Rc::new(Cell::new(None));
        let finished = Gate::new(CONNECTIONS);
        for (i, (client_end, server_end)) in connections().into_iter().enumerate() {
            peer.detach(W::adopt(server_end).serve());
            peer.detach(client(W::adopt(client_end), i, Rc::clone(&warm), Rc::clone(&finished)));
        }
        finished.opened().await;
        per_trip(warm.get().expect("a client has warmed up"))
    })
}

/// The first client that has warmed up starts the clock.
async fn client(mut wire: impl Wire, number: usize, warm: Rc<Cell<Option<Instant>>>, finished: Rc<Gate>) {
    let message = message(number);
    let (mut sent, mut back) = (message.clone(), message.clone());
    for trip in 0..WARM_UP + TRIPS {
        if trip == WARM_UP && warm.get().is_none() {
            warm.set(Some(Instant::now()));
        }
        (sent, back) = wire.exchange(sent, back).await;
        assert_eq!(back, message);
    }
    finished.pass();
}
