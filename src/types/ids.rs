//! Identities of brokers, topics, directories and producers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// Kafka's "none" on the wire.
            pub const NONE: $name = $name(-1);
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map($name)
            }
        }
    };
}

number_id! {
    /// A broker's node id (`node.id`), stable over restarts.
    BrokerId(i32)
}
number_id! {
    /// Given to a broker by each registration; fences everything a former life may still send (KIP-903).
    BrokerEpoch(i64)
}
number_id! {
    /// An idempotent or transactional producer (KIP-98).
    ProducerId(i64)
}
number_id! {
    /// Fences older instances of the same producer id (KIP-98).
    ProducerEpoch(i16)
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Kafka's "no id": all zeroes.
            pub const ZERO: $name = $name(Uuid::nil());

            /// The sixteen bytes as they stand on the wire.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the sixteen bytes of the wire.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                $name(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            /// Kafka's form: URL-safe base64 without padding.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.0.as_bytes());
                f.write_str(&text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidUuid;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                use base64::Engine as _;
                base64::engine::general_purpose::URL_SAFE_NO_PAD
                    .decode(text)
                    .ok()
                    .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
                    .map($name::from_bytes)
                    .ok_or_else(|| InvalidUuid(text.to_owned()))
            }
        }
    };
}

/// A text that is not Kafka's 22-character base64 form of a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a UUID in Kafka's form (22 characters of URL-safe base64)")]
pub struct InvalidUuid(pub String);

uuid_id! {
    /// A topic's identity: a topic that is deleted and created again has a new one (KIP-516).
    TopicId
}
uuid_id! {
    /// A log directory's identity: a wiped disk has a new one (KIP-858).
    DirectoryId
}

impl DirectoryId {
    /// Stands for the directory of a replica of which it is not known any more (Kafka's LOST): a directory of its broker was missing
    /// when that registered, and which one holds the replica was never told.
    pub const LOST: DirectoryId = DirectoryId(Uuid::from_u128(1));
}

uuid_id! {
    /// One life of a broker process; drawn at start.
    Incarnation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_prints_and_parses_in_kafkas_form() {
        let id = TopicId::from_bytes([7; 16]);
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(id.to_string().parse::<TopicId>(), Ok(id));
        assert!("short".parse::<TopicId>().is_err());
    }
}
