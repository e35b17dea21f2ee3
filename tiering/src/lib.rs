//! The cold tier: closed segments as self-describing objects in an S3-compatible store, and numbered manifests beside them.
//!
//! A segment's life is `plan → upload → verify → publish → delete locally → unpublish → delete the object`:
//! [`plan`] decides (pure), [`offload`] carries it out with [`upload`], [`publish`] and [`gc`]; [`read`] serves.
//! The bytes of every persistent form are in [`layout`] (keys), [`object`] (segments) and [`manifest`].
//!
//! The crate knows no broker: offsets are `i64`, leader epochs `i32`, ends are exclusive; time, ids and
//! randomness come as arguments, sleeping as a [`store::Sleeper`].

#![forbid(unsafe_code)]

pub mod backup;
pub mod batch;
pub mod cache;
pub mod export;
pub mod gc;
pub mod index;
pub mod inspect;
pub mod layout;
pub mod lineage;
pub mod manifest;
pub mod object;
pub mod offload;
pub mod owner;
pub mod plan;
pub mod publish;
pub mod read;
pub mod rebuild;
pub mod repair;
pub mod store;
pub mod upload;
pub mod verify;

#[cfg(test)]
mod model;
#[cfg(test)]
mod testing;
