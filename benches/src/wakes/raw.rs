//! Boxed futures, polled when they are in a queue. Their wakers put them there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use super::{RALLIES, answer, by_futures, by_tokio, serve, wake_self};
use crate::harness::{Lap, Measured, per_op};

type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// The indices of the tasks that are to be polled.
    static READY: RefCell<VecDeque<usize>> = const { RefCell::new(VecDeque::new()) };
}

/// The index of a task.
struct Index(usize);

impl Wake for Index {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        READY.with_borrow_mut(|ready| ready.push_back(self.0));
    }
}

/// Polls all tasks until nothing is ready.
fn run(tasks: impl IntoIterator<Item = Task>) {
    let with_waker = |(index, task): (usize, Task)| (Some(task), Waker::from(Arc::new(Index(index))));
    let mut tasks: Vec<_> = tasks.into_iter().enumerate().map(with_waker).collect();
    READY.with_borrow_mut(|ready| ready.extend(0..tasks.len()));
    while let Some(index) = READY.with_borrow_mut(VecDeque::pop_front) {
        let (task, waker) = &mut tasks[index];
        if let Some(future) = task
            && future.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
        {
            *task = None;
        }
    }
}

pub fn self_wake(tasks: usize, wakes: u64) -> Measured {
    let lap = Lap::new(tasks, wakes);
    run((0..tasks).map(|_| Box::pin(task(Rc::clone(&lap))) as Task));
    lap.per_yield()
}

async fn task(lap: Rc<Lap>) {
    for _ in 0..lap.start() {
        wake_self().await;
    }
    lap.before_last();
    wake_self().await;
    lap.end();
}

pub fn ping_pong() -> Measured {
    per_op(2 * RALLIES, || {
        let (ping, pinged) = async_channel::bounded(1);
        let (pong, ponged) = async_channel::bounded(1);
        let serving = async { assert_eq!(serve(ping, ponged).await, RALLIES) };
        run([Box::pin(serving) as Task, Box::pin(answer(pong, pinged)) as Task]);
    })
}

pub fn oneshot() -> Measured {
    per_op(2 * RALLIES, || {
        let (first, served) = futures::channel::oneshot::channel();
        let serving = async { assert_eq!(by_futures::serve(first).await, RALLIES) };
        run([Box::pin(serving) as Task, Box::pin(by_futures::answer(served)) as Task]);
    })
}

pub fn oneshot_of_tokio() -> Measured {
    per_op(2 * RALLIES, || {
        let (first, served) = tokio::sync::oneshot::channel();
        let serving = async { assert_eq!(by_tokio::serve(first).await, RALLIES) };
        run([Box::pin(serving) as Task, Box::pin(by_tokio::answer(served)) as Task]);
    })
}
