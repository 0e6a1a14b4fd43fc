//! The same with the macros of tokio and of `futures`, and with smol's `or`. All look at the event first.

use event_listener::{Event, listener};
use futures::{StreamExt, select_biased};
use futures_lite::future;
use tokio::sync::Notify;

use super::MESSAGES;
use crate::harness::{Measured, Stopwatch};
use crate::peers::Peer;

/// Runs once to warm up, and once with the clock. `channel` makes the function that sends, and the future that receives.
fn timed<P, S, R>(channel: impl Fn() -> (S, R) + 'static) -> Measured
where
    P: Peer,
    S: Fn(u64) + 'static,
    R: Future<Output = u64> + 'static,
{
    P::run(move |peer| async move {
        let mut measured = None;
        for _ in 0..2 {
            let stopwatch = Stopwatch::start();
            let (send, receiving) = channel();
            let receiving = peer.spawn(receiving);
            let of_sender = peer.clone();
            peer.detach(async move {
                for i in 0..MESSAGES {
                    send(i);
                    of_sender.turn().await;
                }
            });
            assert_eq!(receiving.await, MESSAGES * (MESSAGES - 1) / 2);
            measured = Some(stopwatch.per(MESSAGES));
        }
        measured.expect("it ran twice")
    })
}

const OPEN: &str = "the receiver is there";

pub fn or<P: Peer>() -> Measured {
    timed::<P, _, _>(|| {
        let (sender, receiver) = async_channel::unbounded();
        let stop = Event::new();
        let receiving = async move {
            let mut sum = 0;
            loop {
                listener!(stop => listener);
                let stopped = async {
                    listener.await;
                    None
                };
                match future::or(stopped, async { receiver.recv().await.ok() }).await {
                    Some(message) => sum += message,
                    None => break sum,
                }
            }
        };
        (move |i| sender.try_send(i).expect(OPEN), receiving)
    })
}

pub fn tokio_select<P: Peer>() -> Measured {
    timed::<P, _, _>(|| {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let stop = Notify::new();
        let receiving = async move {
            let mut sum = 0;
            loop {
                let next = tokio::select! {
                    biased;
                    () = stop.notified() => None,
                    message = receiver.recv() => message,
                };
                match next {
                    Some(message) => sum += message,
                    None => break sum,
                }
            }
        };
        (move |i| sender.send(i).expect(OPEN), receiving)
    })
}

/// `futures` has no event. A second channel takes its place.
pub fn futures_select<P: Peer>() -> Measured {
    timed::<P, _, _>(|| {
        let (sender, mut receiver) = futures::channel::mpsc::unbounded();
        let (stop, mut stopped) = futures::channel::mpsc::unbounded::<()>();
        let receiving = async move {
            let _stop = stop;
            let mut sum = 0;
            loop {
                let next = select_biased! {
                    _ = stopped.next() => None,
                    message = receiver.next() => message,
                };
                match next {
                    Some(message) => sum += message,
                    None => break sum,
                }
            }
        };
        (move |i| sender.unbounded_send(i).expect(OPEN), receiving)
    })
}
