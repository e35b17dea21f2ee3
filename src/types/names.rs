//! Topic names and topic-partitions.
//!
//! A name is checked once, here: it becomes a folder name and an object key, so nothing else may.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Kafka's bound: the folder `<topic>-<partition>` must fit a file name of 255 bytes.
const MAX_LENGTH: usize = 249;

/// A legal topic name: 1 to 249 of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// Why a text is no topic name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    /// Empty, `.` or `..`.
    #[error("topic name `{0}` is reserved: a name is 1 to 249 of a-z A-Z 0-9 . _ - and neither `.` nor `..`")]
    Reserved(String),
    /// Longer than 249 bytes.
    #[error("topic name of {0} bytes is too long: at most 249")]
    TooLong(usize),
    /// A character outside the legal set.
    #[error("topic name {0:?} has a character outside a-z A-Z 0-9 . _ -")]
    IllegalCharacter(String),
}

impl TopicName {
    /// Checks and keeps a name.
    ///
    /// # Errors
    /// `InvalidTopicName` says which rule is broken.
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        if name.is_empty() || name == "." || name == ".." {
            return Err(InvalidTopicName::Reserved(name.to_owned()));
        }
        if name.len() > MAX_LENGTH {
            return Err(InvalidTopicName::TooLong(name.len()));
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(InvalidTopicName::IllegalCharacter(name.to_owned()));
        }
        Ok(TopicName(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Topics of the broker's own (`__consumer_offsets`, …) that clients may read but not create or delete.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(self.as_str(), "__consumer_offsets" | "__transaction_state")
    }
}

impl TryFrom<String> for TopicName {
    type Error = InvalidTopicName;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        TopicName::new(&name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> String {
        name.as_str().to_owned()
    }
}

impl FromStr for TopicName {
    type Err = InvalidTopicName;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        TopicName::new(name)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// One partition of a topic; prints as Kafka's folder name `<topic>-<partition>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's index, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// A partition of a topic.
    #[must_use]
    pub fn new(topic: TopicName, partition: i32) -> Self {
        TopicPartition { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for bad in ["", ".", "..", "a/b", "a\0", "a b", "ü", &"x".repeat(250)] {
            assert!(TopicName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "...", "A.b_c-9", &"x".repeat(249)] {
            assert!(TopicName::new(good).is_ok(), "{good:?}");
        }
    }
}
