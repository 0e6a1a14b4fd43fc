//! A client retries its requests, and doubles the pause after each failure. The service, on loopback, fails three times.
//!
//! `main` runs it with pauses of milliseconds. The tests, `cargo test --example retry`, run the same code in simulated time, with
//! pauses of hours.
#![feature(coroutines)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tinyield::{Coro, Loop, coro, isolate, run_in_thread, sleep, timeout};

#[derive(Clone, Copy)]
struct Backoff {
    /// The pause after the first failure. Each further pause is twice as long as the one before.
    first: Duration,
    longest: Duration,
    attempts: u32,
    /// How long one attempt may take.
    limit: Duration,
}

/// Calls `attempt` and runs the coroutine that it returns, until such a coroutine gives a value. Raises the last error when all
/// attempts have failed.
#[coro]
fn retry<T: 'static>(backoff: Backoff, attempt: impl Fn() -> Coro<T> + 'static) -> Coro<T> {
    let mut pause = backoff.first;
    for number in 1.. {
        let error: Box<dyn std::error::Error + Send + Sync> = match yield timeout(isolate(attempt()), backoff.limit) {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) => error.into(),
            Err(timed_out) => timed_out.into(),
        };
        if number == backoff.attempts {
            Err(error)?;
        }
        yield sleep(pause);
        pause = backoff.longest.min(2 * pause);
    }
    unreachable!("the last attempt returns or raises")
}

/// Sends a request to the service, on a thread.
fn ask(address: SocketAddr) -> Coro<String> {
    let request = move || -> std::io::Result<String> {
        let mut answer = String::new();
        TcpStream::connect(address)?.read_to_string(&mut answer)?;
        if answer.is_empty() { Err(std::io::Error::other("the service hung up")) } else { Ok(answer) }
    };
    run_in_thread(request).raise()
}

/// A service that hangs up on its first clients, and answers the next one.
struct Service {
    address: SocketAddr,
    thread: std::thread::JoinHandle<std::io::Result<()>>,
}

impl Service {
    fn start(failures: usize) -> std::io::Result<Service> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let thread = std::thread::spawn(move || {
            for _ in 0..failures {
                drop(listener.accept()?);
            }
            listener.accept()?.0.write_all(b"at last")
        });
        Ok(Service { address, thread })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Service::start(3)?;
    let address = service.address;
    let backoff = Backoff {
        first: Duration::from_millis(5),
        longest: Duration::from_millis(15),
        attempts: 5,
        limit: Duration::from_secs(5),
    };
    let attempt = move || {
        println!("asking");
        ask(address)
    };
    println!("the answer: {}", Loop::new().run(retry(backoff, attempt))?);
    service.thread.join().expect("the service does not panic")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tinyield::{Simulation, TimedOut, co, now};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const BACKOFF: Backoff = Backoff { first: HOUR, longest: Duration::from_secs(5 * 3600), attempts: 6, limit: HOUR };

    /// Makes attempts. The first `failures` of them fail.
    fn flaky(failures: u32) -> impl Fn() -> Coro<u32> {
        let calls = Rc::new(Cell::new(0));
        move || {
            calls.set(calls.get() + 1);
            let call = calls.get();
            co! {
                if call <= failures {
                    Err(format!("failure {call}"))?;
                }
                call
            }
        }
    }

    #[test]
    fn each_pause_is_twice_as_long_up_to_the_longest() {
        let test = co! {
            let start = yield now();
            let calls = yield retry(BACKOFF, flaky(5));
            (calls, (yield now()) - start)
        };
        let result = Loop::builder().simulated(0).build().run(test).unwrap();
        assert_eq!(result, (6, (1 + 2 + 4 + 5 + 5) * HOUR));
    }

    #[test]
    fn the_last_error_is_raised_when_all_attempts_fail() {
        let error = Loop::builder().simulated(0).build().run(retry(BACKOFF, flaky(100))).unwrap_err();
        assert_eq!(error.to_string(), "failure 6");
    }

    #[test]
    fn an_attempt_that_hangs_is_given_up() {
        let error = Loop::builder().simulated(0).build().run(retry(BACKOFF, || sleeps_for(30))).unwrap_err();
        assert!(error.error().downcast_ref::<TimedOut>().is_some());
    }

    #[coro]
    fn sleeps_for(days: u32) -> Coro<()> {
        yield sleep(days * 24 * HOUR);
    }

    #[test]
    fn two_clients_succeed_in_every_order() {
        Simulation::new().check(|| (retry(BACKOFF, flaky(2)), retry(BACKOFF, flaky(3))));
    }

    /// The clock stands still while a thread talks to the service, and jumps during the pauses.
    #[test]
    fn the_service_on_loopback_is_asked_with_pauses_of_hours() {
        let service = Service::start(3).unwrap();
        let address = service.address;
        let test = co! {
            let start = yield now();
            let answer = yield retry(BACKOFF, move || ask(address));
            (answer, (yield now()) - start)
        };
        let result = Loop::builder().simulated(0).build().run(test).unwrap();
        assert_eq!(result, ("at last".to_string(), (1 + 2 + 4) * HOUR));
        service.thread.join().unwrap().unwrap();
    }
}
