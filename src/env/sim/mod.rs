//! Simulated seams: a clock that only moves when told, one that moves when nobody has anything to do, a seeded
//! generator, a disk in memory that can fail, threads that are tasks, an ear for what is logged.

mod clock;
mod disk;
mod gate;
mod net;
mod rng;
mod tasks;
mod told;
mod virtual_time;

pub use clock::ManualClock;
pub use disk::{DiskCall, Fault, SimDisk};
pub use gate::HangingDisk;
pub use net::NoNet;
pub use rng::SeededRng;
pub use tasks::TaskThreads;
pub use told::Told;
pub use virtual_time::VirtualClock;
