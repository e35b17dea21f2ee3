//! The seam to threads: pools for calls that block (files, fsync), so that no reactor thread does, and a runtime of its
//! own for slow work. In a simulation both are tasks of the one thread that there is.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// A job of a pool.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The seam to threads.
pub trait Threads: Send + Sync + 'static {
    /// A pool of `threads` threads (at least one) that run blocking jobs.
    fn pool(&self, name: &str, threads: usize) -> BlockingPool;

    /// The same, of threads that the others go before.
    fn background_pool(&self, name: &str, threads: usize) -> BlockingPool;

    /// A runtime beside the caller's, so that what runs there takes no thread from this one.
    ///
    /// # Errors
    /// What the operating system says.
    fn background(&self, name: &str) -> io::Result<Background>;
}

/// Threads of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealThreads;

impl Threads for RealThreads {
    fn pool(&self, name: &str, threads: usize) -> BlockingPool {
        BlockingPool::new(name, threads)
    }

    fn background_pool(&self, name: &str, threads: usize) -> BlockingPool {
        BlockingPool::in_background(name, threads)
    }

    fn background(&self, name: &str) -> io::Result<Background> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .on_thread_start(super::limits::run_in_background)
            .enable_all()
            .build()?;
        Ok(Background { handle: runtime.handle().clone(), own: Mutex::new(Some(runtime)) })
    }
}

/// A runtime for work in the background; it ends when this is dropped.
pub struct Background {
    handle: Handle,
    own: Mutex<Option<Runtime>>,
}

impl Background {
    /// The caller's own runtime: nothing runs beside anything.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn here() -> Background {
        Background { handle: Handle::current(), own: Mutex::new(None) }
    }

    /// Where to start tasks.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends it without waiting for its tasks.
    pub fn shutdown(&self) {
        if let Some(runtime) = self.own.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // A runtime must not be dropped where blocking is forbidden.
        self.shutdown();
    }
}

/// Runs blocking jobs in the order they came.
///
/// The queue is bounded by its callers: each request in flight has at most one job, and requests in flight
/// are bounded by the memory budget.
#[derive(Clone)]
pub struct BlockingPool {
    submit: Arc<dyn Fn(Job) + Send + Sync>,
}

/// The pool ended, or the job panicked, before there was an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk threads have ended, or the job panicked")]
pub struct PoolClosed;

impl BlockingPool {
    /// Starts `threads` threads (at least one) called `name-0`, `name-1`, …; they end when the last clone is dropped.
    /// A broker takes its pools from [`Threads`] instead.
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
        // The receivers live as long as this sender: sending fails only while the process ends.
        BlockingPool::over(move |job| drop(sender.send(job)))
    }

    /// A pool whose jobs are given to `submit`.
    pub(super) fn over(submit: impl Fn(Job) + Send + Sync + 'static) -> BlockingPool {
        BlockingPool { submit: Arc::new(submit) }
    }

    /// Runs a job without waiting for it.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        (self.submit)(Box::new(job));
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
            Ok(job) => run_one(job),
            Err(_) => return,
        }
    }
}

/// A panic in one job must not take the thread from the others.
pub(super) fn run_one(job: Job) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
        tracing::error!("a blocking job panicked");
    }
}
