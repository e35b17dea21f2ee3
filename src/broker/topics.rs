//! Topics: creating, growing, deleting, and their configs.
//!
//! The rules of a topic's configs live in [`LogConfig`]; here they are checked before a command is proposed, so that
//! nothing reaches the metadata log that a broker could not open.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Broker;
use super::config::{DEFINITIONS, Kind};
use super::config_entry::{ConfigEntry, ConfigSource};
use super::tier::{RESTORE_CONFIGS, Restored, check_topic};
use crate::log::LogConfig;
use crate::metadata::{Command, CommandError, CreateTopic, Image, SubmitError, Topic, assign_replicas};
use crate::types::{BrokerId, LeaderEpoch, TopicId, TopicName};

/// The longest that the creation of a topic waits for its partitions to be open.
const OPENING: Duration = Duration::from_secs(1);

/// Configs that only topics have (KIP-73).
const THROTTLED: [(&str, &str); 2] = [
    (
        "follower.replication.throttled.replicas",
        "Kept for Kafka's tools, which set it together with the leaders'; it is the leaders that keep to theirs.",
    ),
    (
        "leader.replication.throttled.replicas",
        "Replicas, as `partition:broker` or `*`, to which leaders send no faster than leader.replication.throttled.rate.",
    ),
];

/// Configs of Kafka's topics that mean nothing here, with what Kafka takes for them: kept and shown.
const UNUSED: [(&str, Unused); 4] = [
    ("file.delete.delay.ms", Unused::AtLeast(0)),
    ("internal.segment.bytes", Unused::AtLeast(-2_147_483_648)),
    ("preallocate", Unused::Flag),
    ("segment.jitter.ms", Unused::AtLeast(0)),
];

#[derive(Clone, Copy)]
enum Unused {
    AtLeast(i64),
    Flag,
}

const MIN_ISR: &str = "min.insync.replicas";

/// A count above this is refused before anything is computed (tests/README.md, hostile input 28).
const MAX_PARTITIONS_PER_REQUEST: i32 = 10_000;

/// A topic that somebody wants.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions; `None`: `num.partitions`.
    pub partitions: Option<i32>,
    /// How many replicas each; `None`: `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Replicas by hand, instead of the two counts.
    pub assignment: Option<Vec<Vec<BrokerId>>>,
    /// Configs by Kafka's names.
    pub configs: BTreeMap<String, String>,
}

/// Why a topic was not created, changed or deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A topic of that name exists.
    #[error("topic {0} exists already")]
    Exists(TopicName),
    /// No such topic.
    #[error("there is no topic {0}")]
    Unknown(String),
    /// The number of partitions makes no sense.
    #[error("{0}")]
    InvalidPartitions(String),
    /// The number of replicas makes no sense for the brokers there are.
    #[error("{0}")]
    InvalidReplicationFactor(String),
    /// The assignment by hand makes no sense.
    #[error("{0}")]
    InvalidAssignment(String),
    /// A config is refused.
    #[error("{0}")]
    InvalidConfig(String),
    /// The name differs from that of another topic in `.` and `_` only.
    #[error("topic {0} collides with existing topics: {1}")]
    Collides(TopicName, TopicName),
    /// Topics of the broker's own are not for clients to change.
    #[error("topic {0} belongs to the broker itself")]
    Internal(TopicName),
    /// `delete.topic.enable` is off.
    #[error("deleting topics is switched off (delete.topic.enable=false)")]
    DeletionDisabled,
    /// The metadata quorum gave no answer in time.
    #[error("the metadata quorum did not answer: {0}")]
    Unavailable(String),
}

impl From<SubmitError> for TopicError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rejected(CommandError::TopicExists(name)) => TopicError::Exists(name),
            SubmitError::Rejected(CommandError::UnknownTopic(id)) => TopicError::Unknown(id.to_string()),
            SubmitError::Rejected(CommandError::UnknownBroker(id)) => {
                TopicError::InvalidAssignment(format!("broker {id} is not registered"))
            }
            SubmitError::Rejected(error @ CommandError::InvalidReplicas(_)) => {
                TopicError::InvalidAssignment(error.to_string())
            }
            SubmitError::Rejected(other) => TopicError::InvalidConfig(other.to_string()),
            other => TopicError::Unavailable(other.to_string()),
        }
    }
}

impl Broker {
    /// The log configuration of a topic: its own configs over the broker's defaults.
    ///
    /// # Errors
    /// `InvalidConfig` names the config and what is accepted.
    pub fn log_config(&self, configs: &BTreeMap<String, String>) -> Result<LogConfig, TopicError> {
        LogConfig::from_properties(&self.live().log_defaults, configs)
            .map_err(|e| TopicError::InvalidConfig(e.to_string()))
    }

    /// Creates a topic, or with `validate_only` says what it would be.
    ///
    /// # Errors
    /// `TopicError` names what is wrong with the request.
    pub async fn create_topic(&self, new: NewTopic, validate_only: bool) -> Result<Arc<Topic>, TopicError> {
        let image = self.image();
        if image.topics.contains_key(&new.name) {
            return Err(TopicError::Exists(new.name));
        }
        if let Some(other) = image.colliding_topic(&new.name) {
            return Err(TopicError::Collides(new.name, other.clone()));
        }
        self.check_configs(None, &new.configs)?;
        let assignment = self.assignment(&image, &new)?;
        let restored = Restored::of(&new.configs).map_err(TopicError::InvalidConfig)?;
        if restored.is_none() {
            let replicas = assignment.iter().map(Vec::len).min().unwrap_or(0);
            check_min_isr(new.configs.get(MIN_ISR), replicas)?;
        }
        let command = CreateTopic {
            name: new.name.clone(),
            id: restored.map_or_else(|| TopicId(self.env.rng.uuid()), |restored| restored.id),
            assignment,
            configs: new.configs,
            first_epoch: restored.map_or(LeaderEpoch(0), |restored| restored.first_epoch),
        };
        if validate_only {
            return tried(&image, &Command::CreateTopic(command))?
                .topics
                .get(&new.name)
                .cloned()
                .ok_or_else(|| TopicError::Unknown(new.name.to_string()));
        }
        if let Some(restored) = restored.filter(|restored| restored.producer_ids_below > 0) {
            let below = restored.producer_ids_below;
            self.metadata.submit(Command::ReserveProducerIds { below }).await?;
        }
        self.metadata.submit(Command::CreateTopic(command)).await?;
        self.until_open(&new.name).await;
        self.image().topics.get(&new.name).cloned().ok_or_else(|| TopicError::Unknown(new.name.to_string()))
    }

    /// Waits a moment until the partitions of a new topic that this broker leads are open: whoever is told of a leader may
    /// ask it at once, and not every client asks twice (kafka-go).
    async fn until_open(&self, name: &TopicName) {
        let deadline = self.env.clock.now() + OPENING;
        while self.env.clock.now() < deadline {
            let image = self.image();
            let Some(topic) = image.topics.get(name) else { return };
            let mut ours =
                (0..).zip(&topic.partitions).filter(|(_, p)| p.leader == Some(self.config.node_id));
            let all_open = ours.all(|(index, partition)| {
                let place = crate::types::TopicPartition::new(name.clone(), index);
                self.replicas.replica(&place).is_some_and(|replica| {
                    let at = replica.positions();
                    at.leads() && at.leader_epoch == partition.leader_epoch
                })
            });
            if all_open {
                return;
            }
            self.env.clock.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Creates a topic that a client asked for by name only, with the broker's defaults; internal topics get their own
    /// settings. One that exists already is success.
    ///
    /// # Errors
    /// As [`Broker::create_topic`].
    pub async fn auto_create(&self, name: &TopicName) -> Result<Arc<Topic>, TopicError> {
        let new = if name.is_internal() {
            self.internal_topic(name)
        } else {
            NewTopic {
                name: name.clone(),
                partitions: None,
                replication_factor: None,
                assignment: None,
                configs: BTreeMap::new(),
            }
        };
        match self.create_topic(new, false).await {
            Err(TopicError::Exists(_)) => {
                self.image().topics.get(name).cloned().ok_or_else(|| TopicError::Unknown(name.to_string()))
            }
            other => other,
        }
    }

    fn internal_topic(&self, name: &TopicName) -> NewTopic {
        let image = self.image();
        let live = image.brokers.keys().filter(|id| image.is_active(**id)).count().max(1);
        let [factor, partitions, segment_bytes, min_isr] = if name.as_str() == super::TRANSACTIONS_TOPIC {
            [
                "transaction.state.log.replication.factor",
                "transaction.state.log.num.partitions",
                "transaction.state.log.segment.bytes",
                "transaction.state.log.min.isr",
            ]
        } else {
            [
                "offsets.topic.replication.factor",
                "offsets.topic.num.partitions",
                "offsets.topic.segment.bytes",
                "min.insync.replicas",
            ]
        };
        // A lone broker can hold one replica; Kafka would refuse, developers would be stuck.
        let wanted = self.config.size(factor).min(live.max(self.config.voters.len()));
        let mut configs = BTreeMap::from([
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("compression.type".to_owned(), "producer".to_owned()),
            ("segment.bytes".to_owned(), self.config.number(segment_bytes).to_string()),
            ("remote.storage.enable".to_owned(), "false".to_owned()),
        ]);
        if name.as_str() == super::TRANSACTIONS_TOPIC {
            let min_isr = self.config.size(min_isr).min(wanted);
            configs.insert("min.insync.replicas".to_owned(), min_isr.to_string());
            configs.insert("unclean.leader.election.enable".to_owned(), "false".to_owned());
        }
        NewTopic {
            name: name.clone(),
            partitions: Some(i32::try_from(self.config.number(partitions)).unwrap_or(50)),
            replication_factor: Some(i16::try_from(wanted).unwrap_or(3)),
            assignment: None,
            configs,
        }
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// Unknown, internal, switched off, or the quorum is away.
    pub async fn delete_topic(&self, id: TopicId) -> Result<(), TopicError> {
        if !self.config.is_on("delete.topic.enable") {
            return Err(TopicError::DeletionDisabled);
        }
        let image = self.image();
        let topic = image.topic_by_id(id).ok_or_else(|| TopicError::Unknown(id.to_string()))?;
        if topic.name.is_internal() {
            return Err(TopicError::Internal(topic.name.clone()));
        }
        // Once tiered, perhaps still in the store: whoever cleans up finds out.
        let cold = self.config.properties.get("tier.store.url").is_some()
            && (topic.configs.contains_key("remote.storage.enable")
                || self.log_config(&topic.configs).is_ok_and(|config| config.remote_storage_enable));
        self.metadata.submit(Command::DeleteTopic { id, cold }).await?;
        Ok(())
    }

    /// Grows a topic to `count` partitions.
    ///
    /// # Errors
    /// `InvalidPartitions` unless `count` is above what there is; `InvalidAssignment` when it does not fit.
    pub async fn create_partitions(
        &self,
        name: &TopicName,
        count: i32,
        assignment: Option<Vec<Vec<BrokerId>>>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let image = self.image();
        let topic = image.topics.get(name).ok_or_else(|| TopicError::Unknown(name.to_string()))?;
        let from = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if count <= from || count > from.saturating_add(MAX_PARTITIONS_PER_REQUEST) {
            return Err(TopicError::InvalidPartitions(format!(
                "topic {name} has {from} partitions; the new count must be above that and at most \
                 {MAX_PARTITIONS_PER_REQUEST} more, not {count}"
            )));
        }
        let added = usize::try_from(count - from).unwrap_or(0);
        let factor = topic.partitions.first().map_or(1, |p| p.replicas.len());
        let assignment = match assignment {
            Some(by_hand) => {
                check_assignment(&image, &by_hand)?;
                if by_hand.len() != added {
                    return Err(TopicError::InvalidAssignment(format!(
                        "{added} partitions are added but {} are assigned",
                        by_hand.len()
                    )));
                }
                by_hand
            }
            None => self.place(&image, added, factor)?,
        };
        let command = Command::CreatePartitions { id: topic.id, from, assignment };
        if validate_only {
            tried(&image, &command)?;
        } else {
            self.metadata.submit(command).await?;
        }
        Ok(())
    }

    /// Changes a topic's configs: `Some` sets, `None` returns to the default.
    ///
    /// # Errors
    /// `InvalidConfig` names the config and what is accepted.
    pub async fn alter_topic_config(
        &self,
        name: &TopicName,
        changes: BTreeMap<String, Option<String>>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let image = self.image();
        let topic = image.topics.get(name).ok_or_else(|| TopicError::Unknown(name.to_string()))?;
        let mut configs = topic.configs.clone();
        for (key, value) in &changes {
            match value {
                Some(value) => configs.insert(key.clone(), value.clone()),
                None => configs.remove(key),
            };
        }
        self.check_configs(Some(&topic.configs), &configs)?;
        if let Some(changed) = changes.get(MIN_ISR) {
            check_min_isr(
                changed.as_ref(),
                topic.partitions.iter().map(|p| p.replicas.len()).min().unwrap_or(0),
            )?;
        }
        if !validate_only {
            self.metadata.submit(Command::AlterTopicConfig { id: topic.id, changes }).await?;
        }
        Ok(())
    }

    /// Every config of a topic with its value and source, sorted by name.
    #[must_use]
    pub fn topic_config(&self, topic: &Topic) -> Vec<ConfigEntry> {
        let mut entries: Vec<ConfigEntry> = DEFINITIONS
            .iter()
            .filter_map(|d| {
                let name = d.topic_config?;
                let own = topic.configs.get(name).map(|value| (Some(value.clone()), ConfigSource::Topic));
                let defaults = self.broker_values(d.name);
                Some(ConfigEntry::with_defaults(name, d.kind, d.doc, own, d.name, defaults))
            })
            .collect();
        for (name, doc) in THROTTLED {
            let mut values = Vec::new();
            values.extend(topic.configs.get(name).map(|own| (Some(own.clone()), ConfigSource::Topic)));
            values.push((Some(String::new()), ConfigSource::Default));
            entries.push(ConfigEntry::new(name, Kind::List, doc, values));
        }
        // What has no use here, and what earlier programs took without knowing it.
        for (name, value) in &topic.configs {
            if !entries.iter().any(|e| e.name == *name) {
                let doc = "Kept as it was set; Esker does not use it.";
                let values = vec![(Some(value.clone()), ConfigSource::Topic)];
                entries.push(ConfigEntry::new(name, Kind::Text, doc, values));
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    fn check_configs(
        &self,
        before: Option<&BTreeMap<String, String>>,
        configs: &BTreeMap<String, String>,
    ) -> Result<(), TopicError> {
        check_names(before, configs)?;
        let parsed = self.log_config(configs)?;
        // What holds now was checked when it was set; if it can't be read any more, any change is for the better.
        let before = before.and_then(|before| self.log_config(before).ok());
        let deletes = self.config.is_on("tier.delete.on.disable");
        check_topic(before.as_ref(), &parsed, configs, deletes).map_err(TopicError::InvalidConfig)?;
        if parsed.remote_storage_enable && self.config.properties.get("tier.store.url").is_none() {
            return Err(TopicError::InvalidConfig(
                "remote.storage.enable=true needs a store: set tier.store.url on the brokers".to_owned(),
            ));
        }
        Ok(())
    }

    fn assignment(&self, image: &Image, new: &NewTopic) -> Result<Vec<Vec<BrokerId>>, TopicError> {
        if let Some(by_hand) = &new.assignment {
            check_assignment(image, by_hand)?;
            return Ok(by_hand.clone());
        }
        let partitions = new
            .partitions
            .unwrap_or_else(|| i32::try_from(self.live().config.number("num.partitions")).unwrap_or(1));
        if !(1..=MAX_PARTITIONS_PER_REQUEST).contains(&partitions) {
            return Err(TopicError::InvalidPartitions(format!(
                "the number of partitions must be from 1 to {MAX_PARTITIONS_PER_REQUEST}, not {partitions}"
            )));
        }
        let factor = new
            .replication_factor
            .map_or_else(|| self.live().config.number("default.replication.factor"), i64::from);
        let factor = usize::try_from(factor).ok().filter(|f| *f > 0).ok_or_else(|| {
            TopicError::InvalidReplicationFactor(format!(
                "the replication factor must be at least 1, not {factor}"
            ))
        })?;
        self.place(image, usize::try_from(partitions).unwrap_or(0), factor)
    }

    fn place(
        &self,
        image: &Image,
        partitions: usize,
        factor: usize,
    ) -> Result<Vec<Vec<BrokerId>>, TopicError> {
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        assign_replicas(image, count(partitions), count(factor), self.env.rng.next_u64())
            .map_err(|e| TopicError::InvalidReplicationFactor(e.to_string()))
    }
}

/// What an image would become by a command.
fn tried(image: &Image, command: &Command) -> Result<Image, TopicError> {
    let mut copy = Image::clone(image);
    let next = copy.version + 1;
    copy.apply(next, command).map_err(|e| TopicError::from(SubmitError::Rejected(e)))?;
    Ok(copy)
}

/// Whether topics have a config of that name, be it one that has no use here.
#[must_use]
pub fn is_topic_config(name: &str) -> bool {
    DEFINITIONS.iter().any(|definition| definition.topic_config == Some(name))
        || THROTTLED.iter().any(|(known, _)| *known == name)
        || UNUSED.iter().any(|(known, _)| *known == name)
        || RESTORE_CONFIGS.contains(&name)
}

/// Refuses what topics do not have; what is there stays, whichever program has taken it, and can go.
fn check_names(
    before: Option<&BTreeMap<String, String>>,
    configs: &BTreeMap<String, String>,
) -> Result<(), TopicError> {
    configs
        .iter()
        .filter(|(name, value)| before.and_then(|before| before.get(*name)) != Some(*value))
        .try_for_each(|(name, value)| check_name(name, value))
}

/// Refuses a config that topics do not have, as Kafka does: a slip of the pen would stay without effect for ever.
fn check_name(name: &str, value: &str) -> Result<(), TopicError> {
    if !is_topic_config(name) {
        return Err(TopicError::InvalidConfig(format!("topics have no config {name}")));
    }
    if THROTTLED.iter().any(|(known, _)| *known == name) && !names_replicas(value) {
        return Err(TopicError::InvalidConfig(format!(
            "topic config `{name}` = `{value}`: `*` or a list of partition:broker is accepted"
        )));
    }
    let Some((_, kind)) = UNUSED.iter().find(|(known, _)| *known == name) else { return Ok(()) };
    let (fits, accepted) = match kind {
        Unused::AtLeast(least) => (
            value.trim().parse::<i64>().is_ok_and(|number| number >= *least),
            format!("a whole number from {least} is accepted"),
        ),
        Unused::Flag => (
            ["true", "false"].contains(&value.trim().to_ascii_lowercase().as_str()),
            "one of true, false is accepted".to_owned(),
        ),
    };
    if fits {
        return Ok(());
    }
    Err(TopicError::InvalidConfig(format!("topic config `{name}` = `{value}`: {accepted}")))
}

/// `*`, or a list of `partition:broker`, which may be empty.
fn names_replicas(list: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let list = list.trim();
    list.is_empty()
        || list == "*"
        || list.split(',').all(|item| {
            item.trim()
                .split_once(':')
                .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
        })
}

/// Refuses a topic's own `min.insync.replicas` above its number of replicas: the promise could never be kept.
fn check_min_isr(min_isr: Option<&String>, replicas: usize) -> Result<(), TopicError> {
    match min_isr.and_then(|value| value.parse::<usize>().ok()) {
        Some(min_isr) if min_isr > replicas => Err(TopicError::InvalidConfig(format!(
            "min.insync.replicas is {min_isr}; the topic has {replicas} replicas, so many can never be in sync"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn check_assignment(image: &Image, assignment: &[Vec<BrokerId>]) -> Result<(), TopicError> {
    let first = assignment.first().map_or(0, Vec::len);
    if first == 0 || assignment.len() > usize::try_from(MAX_PARTITIONS_PER_REQUEST).unwrap_or(usize::MAX) {
        return Err(TopicError::InvalidAssignment("an assignment needs partitions and replicas".to_owned()));
    }
    for (index, replicas) in assignment.iter().enumerate() {
        if replicas.len() != first {
            return Err(TopicError::InvalidAssignment(format!(
                "partition {index} has {} replicas, partition 0 has {first}",
                replicas.len()
            )));
        }
        for (i, broker) in replicas.iter().enumerate() {
            if !image.brokers.contains_key(broker) {
                return Err(TopicError::InvalidAssignment(format!("broker {broker} is not registered")));
            }
            if replicas[..i].contains(broker) {
                return Err(TopicError::InvalidAssignment(format!(
                    "partition {index} names broker {broker} twice"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a topic of Kafka 4.3.1 has (`LogConfig.configNames`).
    const KAFKA: [&str; 33] = [
        "cleanup.policy",
        "compression.gzip.level",
        "compression.lz4.level",
        "compression.type",
        "compression.zstd.level",
        "delete.retention.ms",
        "file.delete.delay.ms",
        "flush.messages",
        "flush.ms",
        "follower.replication.throttled.replicas",
        "index.interval.bytes",
        "internal.segment.bytes",
        "leader.replication.throttled.replicas",
        "local.retention.bytes",
        "local.retention.ms",
        "max.compaction.lag.ms",
        "max.message.bytes",
        "message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms",
        "message.timestamp.type",
        "min.cleanable.dirty.ratio",
        "min.compaction.lag.ms",
        "min.insync.replicas",
        "preallocate",
        "remote.log.copy.disable",
        "remote.log.delete.on.disable",
        "remote.storage.enable",
        "retention.bytes",
        "retention.ms",
        "segment.bytes",
        "segment.index.bytes",
        "segment.jitter.ms",
        "segment.ms",
    ];

    #[test]
    fn every_config_of_kafkas_topics_is_known_and_no_other_but_the_tiers() {
        for name in KAFKA.into_iter().chain(["unclean.leader.election.enable"]) {
            assert!(is_topic_config(name), "{name}");
        }
        for name in ["tier.max.lag.ms", "tier.disk.full.policy", "tier.restore.leader.epoch"] {
            assert!(is_topic_config(name), "{name}");
        }
        for name in ["", "retention.years", "Retention.ms", "log.retention.ms", "message.format.version"] {
            assert!(!is_topic_config(name), "{name}");
        }
    }

    #[test]
    fn an_unknown_config_that_an_earlier_program_took_stays_and_can_go() {
        let configs = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let before = configs(&[("retention.years", "1"), ("preallocate", "x")]);
        let check = |after: &[(&str, &str)]| check_names(Some(&before), &configs(after));
        assert_eq!(check(&[("retention.years", "1"), ("preallocate", "x"), ("retention.ms", "1")]), Ok(()));
        assert_eq!(check(&[]), Ok(()));
        assert!(check(&[("retention.years", "2")]).is_err() && check(&[("retention.months", "1")]).is_err());
        assert!(check_names(None, &before).is_err());
    }

    #[test]
    fn what_has_no_use_here_is_checked_all_the_same() {
        for (name, value) in
            UNUSED.map(|(name, _)| (name, "x")).into_iter().chain(THROTTLED.map(|(name, _)| (name, "1")))
        {
            assert!(check_name(name, value).is_err(), "{name}");
        }
        assert!(
            check_name("segment.jitter.ms", "0").is_ok() && check_name("segment.jitter.ms", "-1").is_err()
        );
        assert!(check_name("preallocate", "TRUE").is_ok());
        for list in ["", "*", "0:1", "0:1, 12:3"] {
            assert!(names_replicas(list), "{list}");
        }
        for list in ["0", "0:", ":1", "*,0:1", "0:1,", "-1:1", "0:1:2"] {
            assert!(!names_replicas(list), "{list}");
        }
    }
}
