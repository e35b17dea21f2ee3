//! Kafka's APIs, one file per API key: decode, call the broker, encode. Kafka's error codes are chosen here alone.

mod service;

pub use service::{Answer, Client, Gate, Service};
