//! Simulated seams: a clock that only moves when told, a seeded generator, a disk in memory that can fail.

mod clock;
mod disk;
mod net;
mod rng;

pub use clock::ManualClock;
pub use disk::{DiskCall, Fault, SimDisk};
pub use net::NoNet;
pub use rng::SeededRng;
