//! How the cost and the memory of `as_completed` with a limit grow with its items.

use std::cell::Cell;
use std::rc::Rc;

use tinyield::{as_completed, catch, co, isolate};

use crate::common::forever;
use crate::{allocations, assert_keeps_the_same, assert_linear, run};

#[test]
fn items_that_end_after_an_item_that_is_kept_leave_no_memory_behind() {
    assert_keeps_the_same(|count, kept| {
        co! {
            let mut items = yield as_completed((0..count).map(|_| co! {})).limit(2);
            let first = items.next();
            for next in items { yield next; }
            kept.set(allocations::live());
            drop(first);
        }
    });
}

#[test]
fn the_cost_of_items_with_a_limit_that_fail_together_is_linear() {
    assert_linear(|count| {
        let kept: Rc<Cell<Option<Vec<_>>>> = Rc::default();
        let keeps = kept.clone();
        let main = co! {
            let failed = yield isolate(co! {
                let mut items = yield as_completed((0..count).map(|_| co! { yield; yield; Err("inside")?; })).limit(3);
                let all: Vec<_> = (0..count).map(|_| items.next().unwrap()).collect();
                keeps.set(Some(all));
                yield forever();
            });
            assert!(failed.is_err());
            let all = kept.take().unwrap().into_iter().map(|next| co! { yield catch(next) }).collect::<Vec<_>>();
            assert!((yield all).iter().all(Result::is_err));
        };
        run(main).unwrap();
    });
}
