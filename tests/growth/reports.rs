//! How the cost of the search for cycles, of a dump, and of the report of a deadlock grows.

use tinyield::{Coro, Event, Loop, as_completed, co, coro, dump, spawn, timeout};

use crate::common::{FOREVER, to_end, to_idle};
use crate::{assert_linear, look_at, run};

/// Steps until nothing is ready, sets the event, and steps to the end.
fn step_with_a_pause<T: 'static>(main: Coro<T>, event: &Event) {
    let mut event_loop = Loop::new();
    let mut runtime = event_loop.runtime(main);
    let _idle = to_idle(&mut runtime);
    event.set();
    to_end(&mut runtime).1.unwrap();
}

#[test]
fn the_search_for_cycles_of_a_stepped_loop_is_linear_in_a_chain_of_handles() {
    assert_linear(|count| {
        let end = Event::new();
        let ends = end.clone();
        let mut chain = co! { yield end.wait(); };
        for _ in 0..count {
            let inner = chain;
            chain = co! {
                let handle = yield spawn(inner);
                yield handle;
            };
        }
        step_with_a_pause(chain, &ends);
    });
    assert_linear(|count| {
        let end = Event::new();
        let ends = end.clone();
        let mut chain = co! { yield end.wait(); };
        for _ in 0..count {
            let inner = chain;
            chain = co! {
                for next in yield as_completed([inner]) {
                    yield next;
                }
            };
        }
        step_with_a_pause(chain, &ends);
    });
}

#[test]
fn the_search_for_cycles_of_a_stepped_loop_is_linear_in_the_items_of_one_as_completed() {
    assert_linear(|count| {
        let event = Event::new();
        let sets = event.clone();
        let main = co! {
            let waits = || {
                let event = event.clone();
                co! { yield event.wait(); }
            };
            let items: Vec<_> = (yield as_completed((0..count).map(|_| waits()))).collect();
            yield items.into_iter().map(|item| co! { yield item; }).collect::<Vec<_>>();
        };
        step_with_a_pause(main, &sets);
    });
}

/// Each level leaves a coroutine behind in its scope, so the scope stays open.
#[coro]
fn open_scopes(depth: usize) -> Coro<()> {
    yield spawn(co! { yield Event::new().wait(); });
    if depth > 0 {
        let _ = yield timeout(open_scopes(depth - 1), FOREVER);
    }
}

#[test]
fn a_dump_and_the_report_of_a_deadlock_with_many_open_scopes_are_linear() {
    assert_linear(|count| {
        let main = co! {
            yield open_scopes(count);
            let dump = yield dump();
            assert!(dump.tasks().len() > count);
        };
        look_at(&run(main).unwrap_err());
    });
}
