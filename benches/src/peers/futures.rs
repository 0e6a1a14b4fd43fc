//! `futures`: a `LocalPool`. It has no timers.

use futures::executor::LocalSpawner;
use futures::future::RemoteHandle;
use futures::task::LocalSpawnExt;

use super::Peer;

#[derive(Clone)]
pub struct LocalPool(LocalSpawner);

impl Peer for LocalPool {
    type Handle<T: 'static> = RemoteHandle<T>;

    fn run<T: 'static, F: Future<Output = T> + 'static>(main: impl FnOnce(Self) -> F) -> T {
        let mut pool = futures::executor::LocalPool::new();
        let main = main(Self(pool.spawner()));
        let main = pool.spawner().spawn_local_with_handle(main).expect("the pool is there");
        pool.run_until(main)
    }

    fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> RemoteHandle<T> {
        self.0.spawn_local_with_handle(task).expect("the pool is there")
    }

    fn detach(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn_local(task).expect("the pool is there");
    }
}
