//! Access control entries as the cluster keeps them (KIP-11, KIP-290). What they decide is `security`'s matter.
//!
//! The numbers are Kafka's, on the wire and in its metadata records.

use serde::{Deserialize, Serialize};

/// The only resource of kind `Cluster`.
pub const CLUSTER_NAME: &str = "kafka-cluster";

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(i8)]
        pub enum $name { $($(#[$variant_doc])* $variant = $number,)* }

        impl $name {
            /// All of them, by number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// Kafka's number.
            #[must_use]
            pub const fn number(self) -> i8 {
                self as i8
            }

            /// By Kafka's number; unknown and "any" are none.
            #[must_use]
            pub fn from_number(number: i8) -> Option<$name> {
                $name::ALL.iter().copied().find(|it| it.number() == number)
            }
        }
    };
}

numbered! {
    /// What is protected.
    ResourceKind {
        /// A topic, by name.
        Topic = 2,
        /// A consumer group, by its id.
        Group = 3,
        /// The cluster as a whole; its name is [`CLUSTER_NAME`].
        Cluster = 4,
        /// A transactional id.
        TransactionalId = 5,
        /// A delegation token (kept, never asked for: tokens are not served).
        DelegationToken = 6,
        /// A user whose tokens are created or described (kept, never asked for).
        User = 7,
    }
}

numbered! {
    /// How a pattern's name names resources.
    PatternType {
        /// The name itself; `*` is every name.
        Literal = 3,
        /// Every name that begins with it.
        Prefixed = 4,
    }
}

numbered! {
    /// What is done with a resource.
    AclOperation {
        /// Everything.
        All = 2,
        /// Read.
        Read = 3,
        /// Write.
        Write = 4,
        /// Create.
        Create = 5,
        /// Delete.
        Delete = 6,
        /// Alter.
        Alter = 7,
        /// Describe; allowed also by read, write, delete and alter.
        Describe = 8,
        /// What brokers do among themselves.
        ClusterAction = 9,
        /// Describe configs; allowed also by alter configs.
        DescribeConfigs = 10,
        /// Alter configs.
        AlterConfigs = 11,
        /// Idempotent writes (KIP-98).
        IdempotentWrite = 12,
        /// Create delegation tokens.
        CreateTokens = 13,
        /// Describe delegation tokens.
        DescribeTokens = 14,
        /// Two-phase commit (KIP-939).
        TwoPhaseCommit = 15,
    }
}

numbered! {
    /// Whether an entry forbids or allows. One that forbids wins.
    AclPermission {
        /// Forbids.
        Deny = 2,
        /// Allows.
        Allow = 3,
    }
}

/// One entry: who, from where, may or may not do what with which resources. Ordered by resource, as it is described.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclBinding {
    /// What kind of resource.
    pub kind: ResourceKind,
    /// Which ones.
    pub name: String,
    /// How `name` names them.
    pub pattern: PatternType,
    /// Who: `User:name`, or `User:*` for everybody.
    pub principal: String,
    /// From where: an address, or `*`.
    pub host: String,
    /// What.
    pub operation: AclOperation,
    /// Whether it may be done.
    pub permission: AclPermission,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change here is a change of what lies in metadata logs.
    #[test]
    fn a_binding_has_these_bytes() {
        let binding = AclBinding {
            kind: ResourceKind::TransactionalId,
            name: "pay-".into(),
            pattern: PatternType::Prefixed,
            principal: "User:CN=a,O=b".into(),
            host: "*".into(),
            operation: AclOperation::TwoPhaseCommit,
            permission: AclPermission::Deny,
        };
        let text = r#"{"kind":"TransactionalId","name":"pay-","pattern":"Prefixed","principal":"User:CN=a,O=b","host":"*","operation":"TwoPhaseCommit","permission":"Deny"}"#;
        assert_eq!(serde_json::to_string(&binding).unwrap(), text);
        assert_eq!(serde_json::from_str::<AclBinding>(text).unwrap(), binding);
    }

    #[test]
    fn numbers_are_kafkas_and_any_is_none_of_them() {
        for kind in ResourceKind::ALL {
            assert_eq!(ResourceKind::from_number(kind.number()), Some(*kind));
        }
        assert_eq!(AclOperation::TwoPhaseCommit.number(), 15);
        assert_eq!(AclOperation::ALL.len(), 14);
        for unknown in [-1, 0, 1] {
            assert_eq!(ResourceKind::from_number(unknown), None);
            assert_eq!(PatternType::from_number(unknown), None);
            assert_eq!(AclOperation::from_number(unknown), None);
            assert_eq!(AclPermission::from_number(unknown), None);
        }
    }
}
