//! Client quotas as the cluster keeps them (KIP-13, KIP-546, KIP-599, KIP-612). How they are enforced is `security`'s
//! matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name, or whoever has no quota of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntityName {
    /// Whoever has no quota of its own.
    Default,
    /// This one.
    Named(String),
}

/// Whom a quota is for: a user, a client id, both together, or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaEntity {
    /// The user part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<EntityName>,
    /// The client id part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<EntityName>,
    /// The address; alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<EntityName>,
}

/// A quota's value: above zero and finite. Stored as text, since JSON numbers do not come back bit by bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuotaValue(f64);

// Never NaN.
impl Eq for QuotaValue {}

impl QuotaValue {
    /// A value above zero, and finite.
    #[must_use]
    pub fn new(value: f64) -> Option<QuotaValue> {
        (value.is_finite() && value > 0.0).then_some(QuotaValue(value))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Serialize for QuotaValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for QuotaValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<QuotaValue, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value = text.parse().ok().and_then(QuotaValue::new);
        value.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no quota")))
    }
}

/// A quota that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QuotaKey {
    /// `producer_byte_rate`: bytes a second that a client may produce.
    #[serde(rename = "producer_byte_rate")]
    ProducerByteRate,
    /// `consumer_byte_rate`: bytes a second that a client may fetch.
    #[serde(rename = "consumer_byte_rate")]
    ConsumerByteRate,
    /// `request_percentage`: per cent of one thread's time.
    #[serde(rename = "request_percentage")]
    RequestPercentage,
    /// `controller_mutation_rate`: partitions a second that may be created, deleted or grown.
    #[serde(rename = "controller_mutation_rate")]
    ControllerMutationRate,
    /// `connection_creation_rate`: connections a second from one address.
    #[serde(rename = "connection_creation_rate")]
    ConnectionCreationRate,
}

impl QuotaKey {
    /// All of them.
    pub const ALL: [QuotaKey; 5] = [
        QuotaKey::ProducerByteRate,
        QuotaKey::ConsumerByteRate,
        QuotaKey::RequestPercentage,
        QuotaKey::ControllerMutationRate,
        QuotaKey::ConnectionCreationRate,
    ];

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            QuotaKey::ProducerByteRate => "producer_byte_rate",
            QuotaKey::ConsumerByteRate => "consumer_byte_rate",
            QuotaKey::RequestPercentage => "request_percentage",
            QuotaKey::ControllerMutationRate => "controller_mutation_rate",
            QuotaKey::ConnectionCreationRate => "connection_creation_rate",
        }
    }

    /// By Kafka's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<QuotaKey> {
        QuotaKey::ALL.into_iter().find(|key| key.name() == name)
    }

    /// Whether it is set on addresses, not on users and client ids.
    #[must_use]
    pub fn is_of_addresses(self) -> bool {
        self == QuotaKey::ConnectionCreationRate
    }

    /// Whether only whole numbers make sense of it.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(
            self,
            QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate | QuotaKey::ConnectionCreationRate
        )
    }
}

/// The quotas of one entity.
pub type Quotas = BTreeMap<QuotaKey, QuotaValue>;

/// A change of one entity's quotas: `Some` sets, `None` removes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaChange {
    /// Whose.
    pub entity: QuotaEntity,
    /// What becomes of each quota that is named.
    pub changes: BTreeMap<QuotaKey, Option<QuotaValue>>,
}

/// JSON has only text as keys: a list of pairs.
pub(super) mod as_pairs {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{QuotaEntity, Quotas};

    type All = Arc<BTreeMap<QuotaEntity, Quotas>>;

    pub fn serialize<S: Serializer>(all: &All, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(all.iter())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<All, D::Error> {
        let pairs = Vec::<(QuotaEntity, Quotas)>::deserialize(deserializer)?;
        Ok(Arc::new(pairs.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A change here is a change of what lies in metadata logs.
    #[test]
    fn a_change_has_these_bytes() {
        let change = QuotaChange {
            entity: QuotaEntity {
                user: Some(EntityName::Named("a".into())),
                client_id: Some(EntityName::Default),
                ip: None,
            },
            changes: BTreeMap::from([
                (QuotaKey::ProducerByteRate, QuotaValue::new(1024.0)),
                (QuotaKey::RequestPercentage, None),
            ]),
        };
        let text = r#"{"entity":{"user":{"Named":"a"},"client_id":"Default"},"changes":{"producer_byte_rate":"1024","request_percentage":null}}"#;
        assert_eq!(serde_json::to_string(&change).unwrap(), text);
        assert_eq!(serde_json::from_str::<QuotaChange>(text).unwrap(), change);
    }

    #[test]
    fn names_are_kafkas() {
        for key in QuotaKey::ALL {
            assert_eq!(QuotaKey::from_name(key.name()), Some(key));
            assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{}\"", key.name()));
        }
    }

    proptest! {
        #[test]
        fn a_value_comes_back_bit_by_bit(bits in any::<u64>()) {
            if let Some(value) = QuotaValue::new(f64::from_bits(bits)) {
                let text = serde_json::to_string(&value).unwrap();
                prop_assert_eq!(serde_json::from_str::<QuotaValue>(&text).unwrap(), value);
            }
        }
    }
}
