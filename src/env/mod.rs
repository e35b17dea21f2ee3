//! The seams to the world: time, randomness, disk, network and threads, as traits with a real implementation.
//!
//! Nothing outside this room calls the clock, a random source, a file or a socket directly
//! (`clippy.toml` bans the calls and names the replacement), so that a whole cluster can run in one
//! thread under a seed.

mod blocking;
mod clock;
pub mod defect;
mod disk;
mod limits;
pub mod metrics;
mod net;
pub mod pem;
mod pkcs8;
mod rng;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod traces;
mod watch;

use std::sync::Arc;

pub use blocking::{Background, BlockingPool, Here, PoolClosed, RealThreads, Threads};
pub use clock::{Clock, MonoTime, RealClock, TimedOut, timeout};
pub use disk::{Disk, DiskEntry, DiskFile, FileSpan, OpenMode, RealDisk, SharedDisk};
pub use limits::raise_open_files;
pub use net::{Net, RealNet, send_file};
pub use rng::{RealRng, Rng};
pub use traces::{LogLine, Span, Traces};
pub use watch::WatchedFiles;

use self::metrics::Metrics;

/// The seams together, and what is told of the process; cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Monotonic and wall time, and sleeping.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Files and folders.
    pub disk: SharedDisk,
    /// Sockets.
    pub net: Arc<dyn Net>,
    /// Threads for what blocks.
    pub threads: Arc<dyn Threads>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What a collector of traces and logs is told.
    pub traces: Arc<Traces>,
}

impl Env {
    /// Tells a collector of background work that has ended, if there is one: a trace of its own.
    pub fn work_done(
        &self,
        name: &str,
        begun: MonoTime,
        begun_ms: i64,
        attributes: Vec<(&'static str, String)>,
        error: Option<String>,
    ) {
        if !self.traces.is_on() {
            return;
        }
        let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
        self.rng.fill(&mut trace_id);
        self.rng.fill(&mut span_id);
        self.traces.span(Span {
            trace_id,
            span_id,
            parent: None,
            name: name.to_owned(),
            begin_ns: begun_ms.cast_unsigned().saturating_mul(1_000_000),
            duration: self.clock.now().since(begun),
            attributes,
            error,
        });
    }

    /// The machine's own clock, randomness, disk, network and threads.
    #[must_use]
    pub fn real() -> Env {
        Env {
            clock: Arc::new(RealClock::new()),
            rng: Arc::new(RealRng),
            disk: Arc::new(RealDisk),
            net: Arc::new(RealNet),
            threads: Arc::new(RealThreads),
            metrics: Arc::default(),
            traces: Arc::default(),
        }
    }
}
