//! Which topics a classic group of consumers reads, from what its members say of themselves.
//!
//! Only the protocol type `consumer` is understood; its metadata begins with a version (i16) and an array of topic
//! names, in all versions.

use std::collections::BTreeSet;

use bytes::{Buf as _, Bytes};

use super::state::{Group, Phase};
use crate::types::TopicName;

/// What a group is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subscriptions {
    /// These topics.
    To(BTreeSet<String>),
    /// It reads topics, but which ones cannot be told.
    Unknown,
    /// It is no group of consumers.
    Others,
}

impl Subscriptions {
    /// Whether the group may be subscribed to a topic.
    pub(super) fn has(&self, topic: &TopicName) -> bool {
        match self {
            Subscriptions::To(topics) => topics.contains(topic.as_str()),
            Subscriptions::Unknown => true,
            Subscriptions::Others => false,
        }
    }
}

impl Group {
    pub(super) fn is_of_consumers(&self) -> bool {
        self.consumer.is_some() || self.protocol_type.as_deref() == Some("consumer")
    }

    pub(super) fn subscriptions(&self) -> Subscriptions {
        if let Some(consumer) = &self.consumer {
            return Subscriptions::To(consumer.subscribed_topics().into_iter().map(str::to_owned).collect());
        }
        if !self.is_of_consumers() {
            return Subscriptions::Others;
        }
        if self.phase == Phase::Empty {
            return Subscriptions::To(BTreeSet::new());
        }
        let Some(protocol) = self.protocol.as_deref() else { return Subscriptions::Unknown };
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            match topics_of(member.metadata(protocol)) {
                Some(topics) => all.extend(topics),
                None => return Subscriptions::Unknown,
            }
        }
        Subscriptions::To(all)
    }
}

fn topics_of(mut metadata: Bytes) -> Option<Vec<String>> {
    let _version = metadata.try_get_i16().ok()?;
    let count = usize::try_from(metadata.try_get_i32().ok()?).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        if metadata.remaining() < length {
            return None;
        }
        topics.push(String::from_utf8(metadata.split_to(length).to_vec()).ok()?);
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_from_the_consumers_metadata() {
        let metadata = Bytes::from_static(b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff");
        assert_eq!(topics_of(metadata), Some(vec!["a".to_owned(), "bc".to_owned()]));
    }

    #[test]
    fn what_is_no_metadata_of_a_consumer_has_no_topics() {
        for bytes in [&b""[..], b"\0\x01", b"\0\x01\x7f\xff\xff\xff", b"\0\x01\0\0\0\x01\0\x05ab"] {
            assert_eq!(topics_of(Bytes::from_static(bytes)), None);
        }
    }
}
