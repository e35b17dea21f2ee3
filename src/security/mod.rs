//! Who a client is: TLS on its listener, SASL, principals, and how the first user comes to be.

mod first_user;
mod principal;
pub mod sasl;
pub mod scram;
pub mod tls;

pub use first_user::first_user;
pub use principal::Principal;
