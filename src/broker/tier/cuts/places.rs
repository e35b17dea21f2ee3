//! Who leads what takes part in a cut, and whether all of them have answered.

use std::collections::{BTreeMap, BTreeSet};

use super::super::backup::{CutBackup, CutMark, CutTopic, PartsBackup};
use super::super::topic_rules::{COPY_DISABLE, flag};
use super::PartitionMark;
use crate::broker::config::InForce;
use crate::broker::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::log::LogConfig;
use crate::metadata::{Image, Topic};
use crate::types::{BrokerId, TopicId, TopicName};

/// Leader and leader epoch by partition.
type Led = Vec<(Option<BrokerId>, i32)>;

/// Who spoke for a partition, and under which leader epoch.
type Speaker = (BrokerId, i32);

/// Leaders and coordinators of a cluster at one version of its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The coordinators of transactions; empty without their topic.
    pub(super) transactions: Led,
    /// The coordinators of groups.
    pub(super) groups: Led,
    /// The topics whose partitions end in a cut.
    pub(super) topics: BTreeMap<TopicId, (TopicName, Led)>,
}

/// What the brokers have said, each with its id.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) groups: Vec<(BrokerId, PartsBackup)>,
    pub(super) marks: Vec<(BrokerId, Vec<PartitionMark>)>,
}

fn led(topic: &Topic) -> Led {
    topic.partitions.iter().map(|p| (p.leader, p.leader_epoch.0)).collect()
}

impl Places {
    /// By an image and what is in force with it. A topic of which nothing more is copied ends where its tier does, in a cut or not, and no cut
    /// would ever be whole with it.
    pub(super) fn of(image: &Image, in_force: &InForce) -> Places {
        let coordinators = |name: &str| {
            let name = TopicName::new(name).ok();
            name.and_then(|name| image.topics.get(&name)).map(|topic| led(topic)).unwrap_or_default()
        };
        let by_default = in_force.config.is_on("tier.copy.disable");
        let takes_part = |topic: &Topic| {
            let config = LogConfig::as_far_as_understood(&in_force.log_defaults, &topic.configs);
            let copies = !flag(&topic.configs, COPY_DISABLE).unwrap_or(by_default);
            config.is_tiered() && copies && !topic.name.is_internal()
        };
        let topics = image.topics.values().filter(|topic| takes_part(topic));
        Places {
            transactions: coordinators(TRANSACTIONS_TOPIC),
            groups: coordinators(OFFSETS_TOPIC),
            topics: topics.map(|topic| (topic.id, (topic.name.clone(), led(topic)))).collect(),
        }
    }

    /// Whether each coordinator of transactions was among these, once and as the one it was at the beginning.
    ///
    /// # Errors
    /// Which one is missing.
    pub(super) fn all_hold(&self, told: &[(BrokerId, Vec<(i32, i32)>)]) -> Result<(), String> {
        let told =
            told.iter().flat_map(|(broker, held)| held.iter().map(move |(p, epoch)| (*p, (*broker, *epoch))));
        each_once(&self.transactions, told, TRANSACTIONS_TOPIC)
    }

    /// The cut that the answers give.
    ///
    /// # Errors
    /// Whose answer is missing, or is not of who led at the beginning.
    pub(super) fn cut(&self, cluster_id: &str, taken_ms: i64, answers: Answers) -> Result<CutBackup, String> {
        // A partition's groups may be several parts.
        let of_groups: BTreeSet<_> = answers
            .groups
            .iter()
            .flat_map(|(broker, parts)| {
                parts.parts.iter().map(move |part| (part.partition, (*broker, part.epoch)))
            })
            .collect();
        each_once(&self.groups, of_groups.into_iter(), OFFSETS_TOPIC)?;
        let mut marks: BTreeMap<TopicId, BTreeMap<i32, CutMark>> = BTreeMap::new();
        let mut places: BTreeMap<TopicId, Vec<(i32, Speaker)>> = BTreeMap::new();
        for (broker, told) in &answers.marks {
            for one in told {
                places.entry(one.topic).or_default().push((one.partition, (*broker, one.leader_epoch)));
                marks.entry(one.topic).or_default().insert(one.partition, one.mark);
            }
        }
        let mut topics = BTreeMap::new();
        for (id, (name, led)) in &self.topics {
            each_once(led, places.remove(id).unwrap_or_default().into_iter(), name.as_str())?;
            let marks = marks.remove(id).unwrap_or_default().into_values().collect();
            topics.insert(id.to_string(), CutTopic { name: name.to_string(), marks });
        }
        let mut parts: Vec<_> = answers.groups.into_iter().flat_map(|(_, parts)| parts.parts).collect();
        parts.sort_by_key(|part| part.partition);
        let groups = PartsBackup { parts };
        Ok(CutBackup { cluster_id: cluster_id.to_owned(), taken_ms, topics, groups })
    }
}

fn each_once(
    led: &[(Option<BrokerId>, i32)],
    told: impl Iterator<Item = (i32, Speaker)>,
    topic: &str,
) -> Result<(), String> {
    let mut by_partition: BTreeMap<i32, Vec<Speaker>> = BTreeMap::new();
    for (partition, who) in told {
        by_partition.entry(partition).or_default().push(who);
    }
    for (partition, (leader, epoch)) in (0..).zip(led) {
        let Some(leader) = leader else { return Err(format!("{topic}-{partition} has no leader")) };
        match by_partition.get(&partition).map(Vec::as_slice) {
            Some([(who, under)]) if who == leader && under == epoch => {}
            None | Some([]) => {
                return Err(format!("broker {leader} did not speak for {topic}-{partition} (epoch {epoch})"));
            }
            Some(others) => {
                return Err(format!(
                    "{topic}-{partition} is led by broker {leader} under epoch {epoch}, and {others:?} spoke for it"
                ));
            }
        }
    }
    if by_partition.len() > led.len() {
        return Err(format!("{topic} has more partitions than were known"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::backup::PartBackup;
    use super::*;

    const ONE: BrokerId = BrokerId(1);
    const TWO: BrokerId = BrokerId(2);

    fn places() -> Places {
        let led = vec![(Some(ONE), 3), (Some(TWO), 5)];
        let topics = BTreeMap::from([(id(), (TopicName::new("t").unwrap(), led.clone()))]);
        Places { transactions: led.clone(), groups: led, topics }
    }

    fn id() -> TopicId {
        TopicId::from_bytes([1; 16])
    }

    fn mark(partition: i32, leader_epoch: i32, offset: i64) -> PartitionMark {
        let mark = CutMark { offset, epoch: 2, tier_end: 4 };
        PartitionMark { topic: id(), partition, leader_epoch, mark, epochs: Vec::new() }
    }

    fn groups(partition: i32, epoch: i32) -> PartBackup {
        PartBackup { partition, epoch, names: 1, entries: 1, object: None, directory: None }
    }

    fn answers() -> Answers {
        let parts = |parts: &[PartBackup]| PartsBackup { parts: parts.to_vec() };
        Answers {
            groups: vec![(TWO, parts(&[groups(1, 5), groups(1, 5)])), (ONE, parts(&[groups(0, 3)]))],
            marks: vec![(ONE, vec![mark(0, 3, 10)]), (TWO, vec![mark(1, 5, 20)])],
        }
    }

    #[test]
    fn a_cut_has_what_every_leader_has_said() {
        let cut = places().cut("c", 7, answers()).unwrap();
        let offsets: Vec<i64> = cut.topics[&id().to_string()].marks.iter().map(|mark| mark.offset).collect();
        assert_eq!(offsets, [10, 20]);
        let partitions: Vec<i32> = cut.groups.parts.iter().map(|part| part.partition).collect();
        assert_eq!(partitions, [0, 1, 1]);
    }

    #[test]
    fn there_is_no_cut_where_somebody_is_missing_or_another_one_speaks() {
        let refused = |change: &dyn Fn(&mut Answers)| {
            let mut answers = answers();
            change(&mut answers);
            places().cut("c", 7, answers).unwrap_err()
        };
        assert!(refused(&|a| a.marks[1].1.clear()).contains("broker 2 did not speak for t-1"));
        assert!(refused(&|a| a.marks[1].1[0].leader_epoch = 4).contains("t-1 is led by broker 2"));
        assert!(refused(&|a| a.marks[0].1.push(mark(1, 4, 20))).contains("t-1"), "a leader of before");
        assert!(refused(&|a| a.marks[0].1.push(mark(2, 1, 0))).contains("more partitions"));
        assert!(refused(&|a| a.groups[1].1.parts.clear()).contains("__consumer_offsets-0"));
        assert!(refused(&|a| a.groups[0].1.parts[0].epoch = 6).contains("__consumer_offsets-1"));
        let leaderless = Places { groups: vec![(None, 3)], ..places() };
        assert!(leaderless.cut("c", 7, answers()).unwrap_err().contains("no leader"));
    }

    #[test]
    fn a_hold_is_of_every_coordinator_under_the_epoch_that_it_began_with() {
        let held = [(ONE, vec![(0, 3)]), (TWO, vec![(1, 5)])];
        assert_eq!(places().all_hold(&held), Ok(()));
        assert!(places().all_hold(&held[..1]).is_err());
        assert!(places().all_hold(&[(ONE, vec![(0, 3), (1, 5)])]).is_err(), "another broker");
        assert!(places().all_hold(&[held[0].clone(), (TWO, vec![(1, 6)])]).is_err(), "it has moved");
    }
}
