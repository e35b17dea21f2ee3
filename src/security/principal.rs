//! Who a client is.

use std::fmt;
use std::sync::Arc;

/// A principal in Kafka's form `User:name`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// A user by name.
    #[must_use]
    pub fn user(name: &str) -> Principal {
        Principal(name.into())
    }

    /// Who does not say who he is.
    #[must_use]
    pub fn anonymous() -> Principal {
        Principal::user("ANONYMOUS")
    }

    /// The name, without `User:`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User:{}", self.0)
    }
}
