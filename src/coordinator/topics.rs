//! The topics of the cluster, as the group coordinator sees them: names, identities and numbers of partitions.
//!
//! The broker gives a new catalog whenever topics come, go or grow; a request brings the newest one to its shard, so that
//! the shard's decisions follow from its events alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::types::{TopicId, TopicName};

/// One topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogTopic {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
}

/// All topics at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TopicCatalog {
    version: u64,
    by_name: BTreeMap<TopicName, CatalogTopic>,
    names: HashMap<TopicId, TopicName>,
}

impl TopicCatalog {
    /// A catalog; a later one has a higher version, the first one at least 1.
    #[must_use]
    pub fn new(version: u64, topics: impl IntoIterator<Item = (TopicName, CatalogTopic)>) -> TopicCatalog {
        let by_name: BTreeMap<TopicName, CatalogTopic> = topics.into_iter().collect();
        let names = by_name.iter().map(|(name, topic)| (topic.id, name.clone())).collect();
        TopicCatalog { version, by_name, names }
    }

    /// Goes up whenever the topics change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The topic of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CatalogTopic> {
        self.by_name.get(&TopicName::new(name).ok()?).copied()
    }

    /// The name of a topic.
    #[must_use]
    pub fn name(&self, id: TopicId) -> Option<&TopicName> {
        self.names.get(&id)
    }

    /// How many partitions a topic has; none if there is no such topic.
    #[must_use]
    pub fn partitions(&self, id: TopicId) -> i32 {
        self.names.get(&id).and_then(|name| self.by_name.get(name)).map_or(0, |topic| topic.partitions)
    }

    /// All topics, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicName, CatalogTopic)> {
        self.by_name.iter().map(|(name, topic)| (name, *topic))
    }

    /// Whether these are the same topics.
    #[must_use]
    pub fn has_same_topics(&self, topics: impl ExactSizeIterator<Item = (TopicName, CatalogTopic)>) -> bool {
        topics.len() == self.by_name.len()
            && topics.zip(&self.by_name).all(|((name, topic), (n, t))| name == *n && topic == *t)
    }
}

/// Which topics a client may be shown.
#[derive(Clone)]
pub struct TopicFilter(Arc<dyn Fn(&TopicName) -> bool + Send + Sync>);

impl TopicFilter {
    /// Those for which it says so.
    #[must_use]
    pub fn new(may_see: impl Fn(&TopicName) -> bool + Send + Sync + 'static) -> TopicFilter {
        TopicFilter(Arc::new(may_see))
    }

    /// Whether the client may be shown the topic.
    #[must_use]
    pub fn shows(&self, topic: &TopicName) -> bool {
        (self.0)(topic)
    }
}

impl Default for TopicFilter {
    /// All of them.
    fn default() -> TopicFilter {
        TopicFilter::new(|_| true)
    }
}

impl Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TopicFilter")
    }
}
