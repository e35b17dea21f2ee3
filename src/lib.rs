//! Esker: a Kafka-compatible broker with two tiers.
//!
//! The rooms, top to bottom, are described in `ARCHITECTURE.md`; each may use only rooms declared above it.

#![forbid(unsafe_code)]

pub mod types;

pub mod env;

pub mod wire;

pub mod log;

pub mod transport;

pub mod metadata;

pub mod replication;

pub mod coordinator;

pub mod security;

pub mod broker;

pub mod api;

pub mod server;

pub mod admin;

pub mod cli;

#[cfg(test)]
mod simulation;
