//! The seams to the world: time, randomness, disk and network, as traits with a real implementation.
//!
//! Nothing outside this room calls the clock, a random source, a file or a socket directly
//! (`clippy.toml` bans the calls and names the replacement), so that a whole cluster can run in one
//! thread under a seed.

mod blocking;
mod clock;
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

pub use blocking::{BlockingPool, PoolClosed};
pub use clock::{Clock, MonoTime, RealClock, TimedOut, timeout};
pub use disk::{Disk, DiskEntry, DiskFile, FileSpan, OpenMode, RealDisk, SharedDisk};
pub use limits::raise_open_files;
pub use net::{Net, RealNet, send_file};
pub use rng::{RealRng, Rng};
pub use traces::{LogLine, Span, Traces};
pub use watch::WatchedFiles;

use self::metrics::Metrics;

/// The four seams together, and what is told of the process; cheap to clone.
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
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What a collector of traces and logs is told.
    pub traces: Arc<Traces>,
}

impl Env {
    /// The machine's own clock, randomness, disk and network.
    #[must_use]
    pub fn real() -> Env {
        Env {
            clock: Arc::new(RealClock::new()),
            rng: Arc::new(RealRng),
            disk: Arc::new(RealDisk),
            net: Arc::new(RealNet),
            metrics: Arc::default(),
            traces: Arc::default(),
        }
    }
}
