//! The composition of a broker: partitions, the fetch purgatory, retention, and the driver of the cold tier.

pub mod config;
