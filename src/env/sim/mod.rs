//! Simulated seams: a clock that only moves when told, a seeded generator, a disk in memory that can fail.

mod clock;
mod net;
mod rng;

pub use clock::ManualClock;
pub use net::NoNet;
pub use rng::SeededRng;
