//! Whole brokers in one thread, under one seed: three of them, with clients and an object store, started by the constructor
//! that `esker server` calls, on other seams (`broker/seams`).
//!
//! | seam | here |
//! |---|---|
//! | clock | the runtime's paused time; each broker's runs a little faster or slower, and its wall clock is hours off and jumps; a process stands still |
//! | randomness | the seed |
//! | disk | memory: torn writes, lost fsyncs, power loss, errors, full, slow and wiped disks, flipped bits |
//! | threads | tasks, with a random time for each job |
//! | peers | streams in memory: delay, jitter (what loss below QUIC looks like from above), cuts of one way or both |
//! | object store | memory: errors before and after the effect, slowness, outages, damaged answers, lost objects |
//!
//! `world` holds the brokers, `faults` is what befalls them, `scripts` what does so in a row, `clients` produces and consumes through the Kafka API as bytes, `history`
//! judges. A run has a safety phase, in which faults come and every answer is checked, and a liveness phase: everything is
//! healed, and within a bound of simulated time all replicas are in sync, every producer is answered and every consumer
//! is at the end. `tests/simulate` runs thousands of seeds.

mod clients;
mod cuts;
mod faults;
mod history;
mod outage;
mod pause;
mod scripts;
mod tests;
mod trace;
mod unclean;
mod world;
