//! Who a client is and what it may do: TLS on its listener, SASL, principals, ACLs, quotas, and how the first user comes to be.

pub mod audit;
pub mod authorizer;
mod first_user;
pub mod mapping;
pub mod oauth;
mod principal;
pub mod quotas;
pub mod sasl;
pub mod scram;
pub mod tls;

pub use authorizer::Authorizer;
pub use first_user::first_user;
pub use principal::Principal;
