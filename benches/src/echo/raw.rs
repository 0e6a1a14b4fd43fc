//! Boxed coroutines, one for each end of a connection. epoll reports which of them to resume.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::ops::{Coroutine, CoroutineState};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use rustix::event::epoll;

use super::{BYTES, CONNECTIONS, TRIPS, WARM_UP, connections, message, per_trip};
use crate::harness::Measured;

/// A coroutine that yields until its socket is readable.
type Task = Pin<Box<dyn Coroutine<(), Yield = (), Return = ()>>>;

pub fn echo() -> Measured {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
    let mut tasks: Vec<Task> = vec![];
    let mut add = |stream: TcpStream, task: &dyn Fn(TcpStream) -> Task| {
        stream.set_nonblocking(true).expect("a socket");
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &stream, epoll::EventData::new_u64(tasks.len() as u64), flags).expect("a socket");
        tasks.push(task(stream));
    };
    let warm = Rc::new(Cell::new(None));
    let finished = Rc::new(Cell::new(0));
    for (i, (client_end, server_end)) in connections().into_iter().enumerate() {
        add(client_end, &|stream| client(stream, i, Rc::clone(&warm), Rc::clone(&finished)));
        add(server_end, &server);
    }
    for task in &mut tasks {
        assert_eq!(task.as_mut().resume(()), CoroutineState::Yielded(()));
    }
    let mut space = [MaybeUninit::uninit(); 2 * CONNECTIONS];
    while finished.get() < CONNECTIONS {
        let (events, _) = epoll::wait(&epoll, &mut space[..], None).expect("events");
        for event in events {
            let task = &mut tasks[event.data.u64() as usize];
            let _ = task.as_mut().resume(());
        }
    }
    per_trip(warm.get().expect("a client has warmed up"))
}

/// The first client that has warmed up starts the clock.
fn client(mut stream: TcpStream, number: usize, warm: Rc<Cell<Option<Instant>>>, finished: Rc<Cell<usize>>) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            let message = message(number);
            let mut back = vec![0; BYTES];
            for trip in 0..WARM_UP + TRIPS {
                if trip == WARM_UP && warm.get().is_none() {
                    warm.set(Some(Instant::now()));
                }
                stream.write_all(&message).expect("room for a message");
                let mut read = 0;
                while read < BYTES {
                    yield;
                    read += read_some(&mut stream, &mut back[read..]);
                }
                assert_eq!(back, message);
            }
            finished.update(|finished| finished + 1);
            // A late event may resume this task once more.
            loop {
                yield;
            }
        },
    )
}

fn server(mut stream: TcpStream) -> Task {
    Box::pin(
        #[coroutine]
        static move || {
            let mut space = vec![0; BYTES];
            loop {
                yield;
                let read = read_some(&mut stream, &mut space);
                stream.write_all(&space[..read]).expect("room for a message");
            }
        },
    )
}

/// Reads the bytes that have arrived. After a stale event, there may be none.
fn read_some(stream: &mut TcpStream, space: &mut [u8]) -> usize {
    match stream.read(space) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}
