//! Threads that are tasks: jobs run one after the other in the one thread of the simulation, each after a while that the
//! seed chooses.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

use crate::env::blocking::{Job, run_one};
use crate::env::{Background, BlockingPool, Clock, Here, Rng, Threads};

/// Pools whose threads are tasks of the current runtime. Each job takes up to `slowest`.
#[derive(Clone)]
pub struct TaskThreads {
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    slowest: Duration,
    slowness: Arc<AtomicU32>,
}

impl TaskThreads {
    /// Threads on this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, slowest: Duration) -> TaskThreads {
        TaskThreads { clock, rng, slowest, slowness: Arc::new(AtomicU32::new(1)) }
    }

    /// The same, whose jobs take as many times longer as this says.
    #[must_use]
    pub fn slowed_by(self, slowness: Arc<AtomicU32>) -> TaskThreads {
        TaskThreads { slowness, ..self }
    }

    async fn work(self, jobs: Arc<Mutex<mpsc::UnboundedReceiver<Job>>>) {
        loop {
            let Some(job) = jobs.lock().await.recv().await else { return };
            let micros = u64::try_from(self.slowest.as_micros()).unwrap_or(u64::MAX).max(1);
            let slowness = self.slowness.load(Ordering::SeqCst);
            self.clock.sleep(Duration::from_micros(self.rng.next_u64() % micros) * slowness).await;
            run_one(job);
        }
    }
}

impl Threads for TaskThreads {
    fn pool(&self, _name: &str, threads: usize) -> BlockingPool {
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads.max(1) {
            tokio::spawn(self.clone().work(receiver.clone()));
        }
        // The tasks end with the runtime, and then nobody waits any more.
        let (rng, slowness) = (self.rng.clone(), self.slowness.clone());
        let here = move |_| {
            let may = slowness.load(Ordering::SeqCst) == 1 && rng.next_u64().is_multiple_of(2);
            may.then(Here::free)
        };
        BlockingPool::over(move |job| drop(sender.send(job)), here)
    }

    fn background_pool(&self, name: &str, threads: usize) -> BlockingPool {
        self.pool(name, threads)
    }

    fn background(&self, _name: &str) -> io::Result<Background> {
        Ok(Background::here())
    }
}
