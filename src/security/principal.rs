//! Whom a connection speaks for.

use std::fmt;
use std::sync::Arc;

/// How a principal was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// Not at all: a listener without authentication.
    None,
    /// By a TLS client certificate.
    Certificate,
    /// By SASL, against a credential of the metadata.
    Password,
    /// By SASL, with the broker's bootstrap password.
    Bootstrap,
}

/// A user, in Kafka's writing `User:<name>`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    name: Arc<str>,
    proof: Proof,
}

impl Principal {
    /// Who does not say who he is: `User:ANONYMOUS`.
    #[must_use]
    pub fn anonymous() -> Principal {
        Principal::proven("ANONYMOUS", Proof::None)
    }

    /// A user of the metadata, proven by his password.
    #[must_use]
    pub fn user(name: &str) -> Principal {
        Principal::proven(name, Proof::Password)
    }

    pub(super) fn proven(name: &str, proof: Proof) -> Principal {
        Principal { name: name.into(), proof }
    }

    /// The name without `User:`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it was proven.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Whether it may only set up the first user.
    #[must_use]
    pub fn is_bootstrap(&self) -> bool {
        self.proof == Proof::Bootstrap
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User:{}", self.name)
    }
}
