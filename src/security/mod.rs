//! Who a client is: TLS on its listener, SASL, principals.
//!
//! **The first user.** Users live in the metadata (`Image::users`) as salted credentials; there are none in a new
//! cluster. A broker may be given one bootstrap user (`security.bootstrap.user`, `sasl::Bootstrap`). It authenticates
//! like any user, but only while the image holds no user at all, and its principal (`Principal::is_bootstrap`) may do
//! one thing: describe and alter SCRAM credentials. `api` admits nothing else for it, and asks `Bootstrap::still_open`
//! again before each such request. So `esker user add` is an ordinary client call (`AlterUserScramCredentials`, all
//! credentials of the user in one request) over an ordinary listener: the first time with the bootstrap password, later
//! as a user. Once one user exists the password is worth nothing on every broker whose image has seen that user; a
//! broker that lags can do no more than propose a further user, and only until its image has caught up.

mod principal;
pub mod sasl;
pub mod scram;
pub mod tls;

pub use principal::{Principal, Proof};
