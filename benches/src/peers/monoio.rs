//! monoio, with io_uring if the kernel supports it.

use std::cell::{OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use monoio::task::JoinHandle;
use monoio::{FusionDriver, RuntimeBuilder};

use super::{Connected, Peer, Timed};

#[derive(Clone)]
pub struct Monoio(Rc<Deferred>);

/// A monoio task that wakes itself goes to the front of the queue and starves the others. To let
/// them run, a task leaves its waker here, and a task behind the others wakes it.
#[derive(Default)]
struct Deferred {
    wakers: RefCell<Vec<Waker>>,
    turner: OnceCell<Waker>,
}

impl Monoio {
    /// Must be called inside the runtime.
    pub fn new() -> Self {
        let deferred = Rc::<Deferred>::default();
        let of_turner = Rc::clone(&deferred);
        monoio::spawn(poll_fn(move |context| {
            of_turner.turner.get_or_init(|| context.waker().clone());
            of_turner.wakers.borrow_mut().drain(..).for_each(Waker::wake);
            Poll::<()>::Pending
        }));
        Self(deferred)
    }
}

impl Peer for Monoio {
    type Handle<T: 'static> = JoinHandle<T>;

    fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        let mut runtime = RuntimeBuilder::<FusionDriver>::new().build().expect("a runtime");
        runtime.block_on(async { monoio::spawn(main(Self::new())).await })
    }

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        monoio::spawn(task)
    }

    fn detach(&self, task: impl Future<Output = ()> + 'static) {
        monoio::spawn(task);
    }

    fn turn(&self) -> impl Future<Output = ()> {
        let deferred = Rc::clone(&self.0);
        let mut left = false;
        poll_fn(move |context| {
            if left {
                return Poll::Ready(());
            }
            left = true;
            let mut wakers = deferred.wakers.borrow_mut();
            if wakers.is_empty()
                && let Some(turner) = deferred.turner.get()
            {
                turner.wake_by_ref();
            }
            wakers.push(context.waker().clone());
            Poll::Pending
        })
    }
}

impl Timed for Monoio {
    fn run_timed<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        let mut runtime = RuntimeBuilder::<FusionDriver>::new().enable_timer().build().expect("a runtime");
        runtime.block_on(async { monoio::spawn(main(Self::new())).await })
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
        monoio::time::sleep(time)
    }

    async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        monoio::time::timeout(limit, future).await.ok()
    }
}

impl Connected for Monoio {
    fn run_connected<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        Self::run(main)
    }
}
