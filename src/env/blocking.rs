//! A small pool of threads for calls that block (files, fsync), so that no reactor thread does.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run blocking jobs in the order they came.
///
/// The queue is bounded by its callers: each request in flight has at most one job, and requests in flight
/// are bounded by the memory budget.
#[derive(Clone)]
pub struct BlockingPool {
    sender: Arc<Sender<Job>>,
}

/// The pool ended, or the job panicked, before there was an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk threads have ended, or the job panicked")]
pub struct PoolClosed;

impl BlockingPool {
    /// Starts `threads` threads (at least one) called `name-0`, `name-1`, …; they end when the last clone is dropped.
    ///
    /// # Panics
    /// When the operating system grants no thread at start.
    #[must_use]
    pub fn new(name: &str, threads: usize) -> BlockingPool {
        BlockingPool::start(name, threads, || {})
    }

    /// The same, of threads that the others go before.
    ///
    /// # Panics
    /// As `new`.
    #[must_use]
    pub fn in_background(name: &str, threads: usize) -> BlockingPool {
        BlockingPool::start(name, threads, super::limits::run_in_background)
    }

    #[allow(clippy::disallowed_methods)]
    fn start(name: &str, threads: usize, prepare: fn()) -> BlockingPool {
        let (sender, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for i in 0..threads.max(1) {
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{i}"))
                .spawn(move || {
                    prepare();
                    work(&receiver);
                })
                .expect("a thread can be started when the process starts");
        }
        BlockingPool { sender: Arc::new(sender) }
    }

    /// Runs a job without waiting for it.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        // The receivers live as long as this sender: sending fails only while the process ends.
        let _ = self.sender.send(Box::new(job));
    }

    /// Runs a job and waits for its answer.
    ///
    /// # Errors
    /// `PoolClosed` when the job panicked or the process is ending.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolClosed> {
        let (answer, receiver) = oneshot::channel();
        self.spawn(move || {
            let _ = answer.send(job());
        });
        receiver.await.map_err(|_| PoolClosed)
    }
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = receiver.lock().recv();
        match job {
            Ok(job) => {
                // A panic in one job must not take the thread from the others.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                    tracing::error!("a blocking job panicked");
                }
            }
            Err(_) => return,
        }
    }
}
