//! Without tasks: a boxed future that its parent polls inline.

use std::pin::Pin;

use super::Peer;

#[derive(Clone, Copy)]
pub struct Boxed;

impl Peer for Boxed {
    type Handle<T: 'static> = Pin<Box<dyn Future<Output = T>>>;

    fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        futures_lite::future::block_on(main(Self))
    }

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Self::Handle<T> {
        Box::pin(task)
    }

    fn detach(&self, _: impl Future<Output = ()> + 'static) {
        unreachable!("no task polls it");
    }
}
