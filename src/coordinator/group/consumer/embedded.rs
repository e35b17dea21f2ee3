//! What clients of the classic protocol say to each other through the group: their subscription, in the metadata of a
//! JoinGroup, and their assignment, in a SyncGroup. A version (16 bits), then the fields of that version; of a version
//! that is newer than we know, the fields that we know.

use std::collections::BTreeSet;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::coordinator::consumer_record::Partitions;
use crate::coordinator::topics::TopicCatalog;
use crate::wire::messages::consumer_assignment::{ConsumerProtocolAssignment, TopicPartition};
use crate::wire::messages::consumer_subscription::ConsumerProtocolSubscription;
use crate::wire::{Decoder, Limits, Message, StrBytes};

/// What a client of the classic protocol subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) topics: BTreeSet<String>,
    /// What it still has; of topics that exist.
    pub(super) owned: Partitions,
    pub(super) rack_id: Option<String>,
}

/// The version that a client speaks.
pub(super) fn version(metadata: &Bytes) -> Option<i16> {
    metadata.clone().try_get_i16().ok().filter(|v| *v >= 0)
}

fn read<M: Message>(mut bytes: Bytes) -> Option<M> {
    let version = bytes.try_get_i16().ok().filter(|v| *v >= 0)?;
    let limits = Limits::for_frame(bytes.len());
    M::read(&mut Decoder::new(bytes, &limits), version.min(M::VERSIONS.1)).ok()
}

/// Reads a subscription; `None` if it is none.
pub(super) fn subscription(metadata: &Bytes, catalog: &TopicCatalog) -> Option<Subscription> {
    let read: ConsumerProtocolSubscription = read(metadata.clone())?;
    let owned = read.owned_partitions.iter().map(|t| (t.topic.as_str(), t.partitions.as_slice()));
    Some(Subscription {
        topics: read.topics.iter().map(|t| t.as_str().to_owned()).collect(),
        owned: by_id(owned, catalog),
        rack_id: read.rack_id.map(|r| r.as_str().to_owned()).filter(|r| !r.is_empty()),
    })
}

/// Reads an assignment, of topics that exist; an empty one gives nothing. `None` if it is none.
pub(super) fn assignment(bytes: &Bytes, catalog: &TopicCatalog) -> Option<Partitions> {
    if bytes.is_empty() {
        return Some(Partitions::new());
    }
    let read: ConsumerProtocolAssignment = read(bytes.clone())?;
    let assigned = read.assigned_partitions.iter().map(|t| (t.topic.as_str(), t.partitions.as_slice()));
    Some(by_id(assigned, catalog))
}

fn by_id<'a>(topics: impl Iterator<Item = (&'a str, &'a [i32])>, catalog: &TopicCatalog) -> Partitions {
    let mut partitions = Partitions::new();
    for (topic, of_topic) in topics {
        if let Some(topic) = catalog.get(topic) {
            let exist = of_topic.iter().copied().filter(|p| (0..topic.partitions).contains(p));
            partitions.entry(topic.id).or_default().extend(exist);
        }
    }
    partitions.retain(|_, p| !p.is_empty());
    partitions
}

/// Writes an assignment in the version that a client speaks.
pub(super) fn write_assignment(partitions: &Partitions, version: i16, catalog: &TopicCatalog) -> Bytes {
    let version = version.clamp(0, ConsumerProtocolAssignment::VERSIONS.1);
    let named = partitions.iter().filter_map(|(id, partitions)| Some((catalog.name(*id)?, partitions)));
    let message = ConsumerProtocolAssignment {
        assigned_partitions: named
            .map(|(name, partitions)| TopicPartition {
                topic: StrBytes::from(name.as_str()),
                partitions: partitions.iter().copied().collect(),
            })
            .collect(),
        user_data: None,
    };
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    bytes.put(message.to_bytes(version).unwrap_or_default());
    bytes.freeze()
}

#[cfg(test)]
pub(super) fn write_subscription(topics: &[&str], owned: &[(&str, &[i32])]) -> Bytes {
    use crate::wire::messages::consumer_subscription::TopicPartition;
    let message = ConsumerProtocolSubscription {
        topics: topics.iter().map(|t| StrBytes::from(*t)).collect(),
        owned_partitions: owned
            .iter()
            .map(|(t, p)| TopicPartition { topic: StrBytes::from(*t), partitions: p.to_vec() })
            .collect(),
        ..ConsumerProtocolSubscription::default()
    };
    let mut bytes = BytesMut::new();
    bytes.put_i16(3);
    bytes.put(message.to_bytes(3).unwrap());
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::topics::CatalogTopic;
    use crate::types::{TopicId, TopicName};

    fn catalog() -> TopicCatalog {
        let topic = CatalogTopic { id: TopicId::from_bytes([7; 16]), partitions: 4 };
        TopicCatalog::new(1, [(TopicName::new("t").unwrap(), topic)])
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let partitions = Partitions::from([(TopicId::from_bytes([7; 16]), [1, 3].into())]);
        for version in 0..=5 {
            let bytes = write_assignment(&partitions, version, &catalog());
            assert_eq!(bytes[..2], version.min(3).to_be_bytes());
            assert_eq!(assignment(&bytes, &catalog()), Some(partitions.clone()));
        }
        assert_eq!(assignment(&Bytes::new(), &catalog()), Some(Partitions::new()));
    }

    #[test]
    fn a_subscription_of_a_newer_version_is_read_as_far_as_it_is_known() {
        let mut bytes = write_subscription(&["t", "gone"], &[("t", &[0, 9]), ("gone", &[0])]).to_vec();
        bytes[1] = 9;
        bytes.extend(b"what comes later");
        let read = subscription(&bytes.into(), &catalog()).unwrap();
        assert_eq!(read.topics, ["gone".to_owned(), "t".to_owned()].into());
        assert_eq!(read.owned, Partitions::from([(TopicId::from_bytes([7; 16]), [0].into())]));
    }

    #[test]
    fn what_is_no_subscription_is_none() {
        for bytes in [&b""[..], b"\0", b"\0\x01\x7f\xff\xff\xff", b"\xff\xff\0\0\0\0"] {
            assert_eq!(subscription(&Bytes::from_static(bytes), &catalog()), None);
        }
    }
}
