//! Replication: `isr/` holds the pure state machines of leader and follower; around them sessions over `transport`.

pub mod frames;
pub mod isr;
