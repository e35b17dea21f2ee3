//! Elections that an operator asks for (KIP-460): preferred leaders, and unclean ones where the topic allows them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Broker;
use crate::env::timeout;
use crate::metadata::{Command, Image, Partition};
use crate::types::{TopicId, TopicName, TopicPartition};

/// Partitions of one command.
const BATCH: usize = 1000;

/// Which election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first of the replicas leads, if it is in sync.
    Preferred,
    /// Somebody leads although nobody is in sync. Records may be lost; the topic must allow it.
    Unclean,
}

/// Why there was no election, or none that helped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    /// No such topic or partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// The preferred replica leads already, or for an unclean election: somebody leads.
    #[error("the leader needs no election")]
    NotNeeded,
    /// The preferred replica is not in sync or not alive.
    #[error("the preferred replica is not in sync")]
    PreferredNotAvailable,
    /// Nobody could be elected.
    #[error("{0}")]
    NobodyEligible(String),
    /// The metadata quorum gave no answer in time.
    #[error("the metadata quorum did not answer: {0}")]
    Unavailable(String),
}

/// Each partition's outcome, in the order of the request.
pub type Elected = Vec<(TopicPartition, Result<(), ElectionError>)>;

impl Broker {
    /// Elects leaders of some partitions, or of all: then those that need no election are left out of the answer.
    pub async fn elect_leaders(
        &self,
        election: Election,
        wanted: Option<Vec<TopicPartition>>,
        limit: Duration,
    ) -> Elected {
        let image = self.image();
        let all = wanted.is_none();
        let wanted = wanted.unwrap_or_else(|| every_partition(&image));
        let mut outcomes: BTreeMap<usize, ElectionError> = BTreeMap::new();
        let mut electable: BTreeMap<usize, (TopicId, i32)> = BTreeMap::new();
        for (place, partition) in wanted.iter().enumerate() {
            match self.judge(&image, election, partition) {
                Ok(id) => drop(electable.insert(place, (id, partition.partition))),
                Err(error) => drop(outcomes.insert(place, error)),
            }
        }
        match election {
            Election::Preferred => {
                let ids: Vec<_> = electable.values().copied().collect();
                for some in ids.chunks(BATCH) {
                    let command = Command::ElectPreferred { partitions: some.to_vec() };
                    if let Err(error) = self.metadata.submit(command).await {
                        let some: BTreeSet<_> = some.iter().collect();
                        let lost = electable.iter().filter(|(_, id)| some.contains(id));
                        outcomes
                            .extend(lost.map(|(p, _)| (*p, ElectionError::Unavailable(error.to_string()))));
                    }
                }
            }
            // The metadata leader asks the replicas for their logs' ends and elects, each second.
            Election::Unclean => {
                let mut images = self.metadata.subscribe();
                let all_led = images.wait_for(|image| {
                    electable.keys().all(|place| {
                        find(image, &wanted[*place]).is_none_or(|partition| partition.leader.is_some())
                    })
                });
                // Who has a leader by then is seen below.
                let _ = timeout(&*self.env.clock, limit, all_led).await;
            }
        }
        let image = self.image();
        let results = wanted.into_iter().enumerate().map(|(place, partition)| {
            let outcome = match outcomes.remove(&place) {
                Some(error) => Err(error),
                None => outcome(&image, election, &partition),
            };
            (partition, outcome)
        });
        results.filter(|(_, outcome)| !all || *outcome != Err(ElectionError::NotNeeded)).collect()
    }

    /// Whether the partition needs this election and may have it.
    fn judge(
        &self,
        image: &Image,
        election: Election,
        at: &TopicPartition,
    ) -> Result<TopicId, ElectionError> {
        let topic = image.topics.get(&at.topic).ok_or(ElectionError::UnknownPartition)?;
        let partition = find(image, at).ok_or(ElectionError::UnknownPartition)?;
        match election {
            Election::Preferred => {
                let preferred = partition.replicas.first().map(|replica| replica.broker);
                if partition.leader == preferred {
                    return Err(ElectionError::NotNeeded);
                }
                let in_sync = preferred.is_some_and(|b| partition.isr.contains(&b) && image.is_active(b));
                if !in_sync {
                    return Err(ElectionError::PreferredNotAvailable);
                }
            }
            Election::Unclean => {
                if partition.leader.is_some() {
                    return Err(ElectionError::NotNeeded);
                }
                if !image.awaiting_unclean_election().contains(&(topic.id, at.partition)) {
                    return Err(ElectionError::NobodyEligible(
                        "no replica is alive, or the topic does not allow it: set \
                         unclean.leader.election.enable=true on the topic first"
                            .to_owned(),
                    ));
                }
            }
        }
        Ok(topic.id)
    }
}

fn outcome(image: &Image, election: Election, at: &TopicPartition) -> Result<(), ElectionError> {
    let partition = find(image, at).ok_or(ElectionError::UnknownPartition)?;
    let elected = match election {
        Election::Preferred => partition.leader == partition.replicas.first().map(|replica| replica.broker),
        Election::Unclean => partition.leader.is_some(),
    };
    match election {
        _ if elected => Ok(()),
        Election::Preferred => Err(ElectionError::PreferredNotAvailable),
        Election::Unclean => {
            Err(ElectionError::NobodyEligible("no replica has told the end of its log yet".to_owned()))
        }
    }
}

fn find<'a>(image: &'a Image, at: &TopicPartition) -> Option<&'a Partition> {
    image.partition(&at.topic, at.partition)
}

fn every_partition(image: &Image) -> Vec<TopicPartition> {
    let of = |name: &TopicName, count: usize| {
        let name = name.clone();
        (0i32..).take(count).map(move |index| TopicPartition::new(name.clone(), index))
    };
    image.topics.values().flat_map(|topic| of(&topic.name, topic.partitions.len())).collect()
}
