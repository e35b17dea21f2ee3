//! Security of client listeners: who a client is.

mod principal;

pub use principal::Principal;
