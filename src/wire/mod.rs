//! (being built)

pub mod record_batch;
