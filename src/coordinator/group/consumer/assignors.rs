//! Who shall have which partitions: the assignors of the server side, `uniform` and `range` (KIP-848).
//!
//! Both give each partition of a subscribed topic to exactly one of its subscribers, and the same input always the same
//! output. `uniform` makes members' numbers of partitions as equal as their subscriptions let it and takes as little away
//! as it can; `range` gives each subscriber of a topic one stretch of it, so that topics of the same size are split alike.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::consumer_record::Partitions;
use crate::types::TopicId;

/// Passes over all topics while numbers are evened out.
const MAX_PASSES: usize = 16;

/// An assignor, as members and `group.consumer.assignors` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// `uniform`
    Uniform,
    /// `range`
    Range,
}

impl Assignor {
    /// All of them, in Kafka's order of preference.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The assignor of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|a| a.name() == name)
    }

    /// What each member shall have, in the order of `members`.
    pub(super) fn assign(
        self,
        members: &[Subscriber<'_>],
        sizes: &BTreeMap<TopicId, i32>,
    ) -> Vec<Partitions> {
        match self {
            Assignor::Uniform => uniform(members, sizes),
            Assignor::Range => range(members, sizes),
        }
    }
}

/// A member as an assignor sees it.
#[derive(Debug, Clone)]
pub(super) struct Subscriber<'a> {
    pub(super) id: &'a str,
    pub(super) instance_id: Option<&'a str>,
    /// Topics that exist and that it is subscribed to.
    pub(super) topics: BTreeSet<TopicId>,
    /// What it shall have until now.
    pub(super) target: &'a Partitions,
}

fn range(members: &[Subscriber<'_>], sizes: &BTreeMap<TopicId, i32>) -> Vec<Partitions> {
    // Static members first: they keep their place when they come back under another member id.
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|i| (members[*i].instance_id.is_none(), members[*i].instance_id, members[*i].id));
    let mut given = vec![Partitions::new(); members.len()];
    for (topic, size) in sizes {
        let subscribers: Vec<usize> =
            order.iter().copied().filter(|i| members[*i].topics.contains(topic)).collect();
        let Ok(count) = i32::try_from(subscribers.len()) else { continue };
        if count == 0 {
            continue;
        }
        let (each, extra) = (size / count, size % count);
        let mut next = 0;
        for (place, member) in (0..).zip(subscribers) {
            let end = next + each + i32::from(place < extra);
            if next < end {
                given[member].insert(*topic, (next..end).collect());
            }
            next = end;
        }
    }
    given
}

fn uniform(members: &[Subscriber<'_>], sizes: &BTreeMap<TopicId, i32>) -> Vec<Partitions> {
    let Some(first) = members.first() else { return Vec::new() };
    let mut work = Uniform::keep(members, sizes);
    if members.iter().all(|m| m.topics == first.topics) {
        work.cap();
    }
    work.give_the_rest();
    work.even_out();
    work.given
}

struct Uniform<'a> {
    sizes: &'a BTreeMap<TopicId, i32>,
    given: Vec<Partitions>,
    loads: Vec<usize>,
    /// Members by topic.
    subscribers: BTreeMap<TopicId, Vec<usize>>,
    taken: BTreeSet<(TopicId, i32)>,
}

impl<'a> Uniform<'a> {
    /// What members have and may keep.
    fn keep(members: &[Subscriber<'_>], sizes: &'a BTreeMap<TopicId, i32>) -> Uniform<'a> {
        let mut work = Uniform {
            sizes,
            given: vec![Partitions::new(); members.len()],
            loads: vec![0; members.len()],
            subscribers: BTreeMap::new(),
            taken: BTreeSet::new(),
        };
        for (i, member) in members.iter().enumerate() {
            for topic in &member.topics {
                work.subscribers.entry(*topic).or_default().push(i);
            }
            for (topic, partitions) in member.target {
                let Some(size) = sizes.get(topic).filter(|_| member.topics.contains(topic)) else { continue };
                for partition in partitions.iter().filter(|p| (0..*size).contains(p)) {
                    if work.taken.insert((*topic, *partition)) {
                        work.put(i, *topic, *partition);
                    }
                }
            }
        }
        work
    }

    fn put(&mut self, member: usize, topic: TopicId, partition: i32) {
        self.given[member].entry(topic).or_default().insert(partition);
        self.loads[member] += 1;
    }

    fn take(&mut self, member: usize, topic: TopicId, partition: i32) {
        if let Some(partitions) = self.given[member].get_mut(&topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.given[member].remove(&topic);
            }
        }
        self.loads[member] -= 1;
    }

    /// All are subscribed to the same: nobody keeps more than his share. Those who have most keep one more than others
    /// where it does not come out even.
    fn cap(&mut self) {
        let total: usize = self.subscribers.keys().map(|t| usize::try_from(self.sizes[t]).unwrap_or(0)).sum();
        let (share, mut extra) = (total / self.loads.len(), total % self.loads.len());
        for member in 0..self.loads.len() {
            if self.loads[member] <= share {
                continue;
            }
            let mut quota = share;
            if extra > 0 {
                extra -= 1;
                quota += 1;
            }
            while self.loads[member] > quota {
                let last = self.given[member].last_key_value().and_then(|(t, p)| Some((*t, *p.last()?)));
                let Some((topic, partition)) = last else { break };
                self.take(member, topic, partition);
                self.taken.remove(&(topic, partition));
            }
        }
    }

    /// Each partition that nobody has goes to the subscriber with the fewest; topics with few subscribers first.
    fn give_the_rest(&mut self) {
        let mut topics: Vec<TopicId> = self.subscribers.keys().copied().collect();
        topics.sort_by_key(|t| (self.subscribers[t].len(), *t));
        for topic in topics {
            let subscribers = self.subscribers[&topic].clone();
            let mut by_load: BTreeSet<(usize, usize)> =
                subscribers.iter().map(|m| (self.loads[*m], *m)).collect();
            for partition in 0..self.sizes[&topic] {
                if self.taken.contains(&(topic, partition)) {
                    continue;
                }
                let Some((load, member)) = by_load.pop_first() else { break };
                self.put(member, topic, partition);
                self.taken.insert((topic, partition));
                by_load.insert((load + 1, member));
            }
        }
    }

    /// Moves partitions from members with more to subscribers of their topic with at least two fewer. Each move makes
    /// the numbers more equal, so that it ends.
    fn even_out(&mut self) {
        for _ in 0..MAX_PASSES {
            let mut moved = false;
            for (topic, subscribers) in std::mem::take(&mut self.subscribers) {
                while let Some((from, to)) = self.uneven(topic, &subscribers) {
                    let Some(partition) = self.given[from].get(&topic).and_then(|p| p.last().copied()) else {
                        break;
                    };
                    self.take(from, topic, partition);
                    self.put(to, topic, partition);
                    moved = true;
                }
                self.subscribers.insert(topic, subscribers);
            }
            if !moved {
                return;
            }
        }
    }

    fn uneven(&self, topic: TopicId, subscribers: &[usize]) -> Option<(usize, usize)> {
        let has = |m: &&usize| self.given[**m].contains_key(&topic);
        let most = subscribers.iter().filter(has).max_by_key(|m| self.loads[**m])?;
        let fewest = subscribers.iter().min_by_key(|m| self.loads[**m])?;
        (self.loads[*most] > self.loads[*fewest] + 1).then_some((*most, *fewest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(n: u8) -> TopicId {
        TopicId::from_bytes([n; 16])
    }

    /// Members' topics, a former target, and the topics' sizes.
    #[derive(Debug, Clone)]
    struct Case {
        members: Vec<(Option<String>, BTreeSet<TopicId>, Partitions)>,
        sizes: BTreeMap<TopicId, i32>,
    }

    impl Case {
        fn assign(&self, assignor: Assignor) -> Vec<Partitions> {
            let ids: Vec<String> = (0..self.members.len()).map(|i| format!("m{i}")).collect();
            let members: Vec<Subscriber<'_>> = self
                .members
                .iter()
                .zip(&ids)
                .map(|((instance, topics, target), id)| Subscriber {
                    id,
                    instance_id: instance.as_deref(),
                    topics: topics.clone(),
                    target,
                })
                .collect();
            assignor.assign(&members, &self.sizes)
        }
    }

    fn cases() -> impl Strategy<Value = Case> {
        let sizes = prop::collection::btree_map((1..5u8).prop_map(topic), 1..9i32, 1..4);
        sizes.prop_flat_map(|sizes| {
            let topics: Vec<TopicId> = sizes.keys().copied().collect();
            let some = prop::collection::btree_set(prop::sample::select(topics.clone()), 0..=topics.len());
            let partitions = prop::collection::btree_set(0..12i32, 1..6);
            let target = prop::collection::btree_map((1..6u8).prop_map(topic), partitions, 0..3);
            let member = (prop::option::of("[a-c]"), some, target);
            prop::collection::vec(member, 1..7)
                .prop_map(move |members| Case { members, sizes: sizes.clone() })
        })
    }

    /// Each partition of a subscribed topic has exactly one owner, who is subscribed to it.
    fn complete(case: &Case, given: &[Partitions]) {
        let mut owners: BTreeMap<(TopicId, i32), usize> = BTreeMap::new();
        for (i, partitions) in given.iter().enumerate() {
            for (topic, of_topic) in partitions {
                assert!(case.members[i].1.contains(topic), "not subscribed");
                for partition in of_topic {
                    assert!(owners.insert((*topic, *partition), i).is_none(), "two owners");
                }
            }
        }
        for (topic, size) in &case.sizes {
            let is_read = case.members.iter().any(|m| m.1.contains(topic));
            for partition in 0..*size {
                assert_eq!(owners.remove(&(*topic, partition)).is_some(), is_read, "{topic:?}-{partition}");
            }
        }
        assert!(owners.is_empty(), "partitions that do not exist: {owners:?}");
    }

    fn load(partitions: &Partitions) -> usize {
        partitions.values().map(BTreeSet::len).sum()
    }

    proptest! {
        #[test]
        fn each_partition_goes_to_one_subscriber(case in cases()) {
            for assignor in Assignor::ALL {
                let given = case.assign(assignor);
                complete(&case, &given);
                prop_assert_eq!(&given, &case.assign(assignor));
            }
        }

        #[test]
        fn uniform_is_even_where_all_are_subscribed_alike_and_moves_nothing_twice(case in cases()) {
            let topics: BTreeSet<TopicId> = case.sizes.keys().copied().collect();
            let members = case.members.iter().map(|(i, _, t)| (i.clone(), topics.clone(), t.clone())).collect();
            let mut case = Case { members, ..case };
            let given = case.assign(Assignor::Uniform);
            let loads: Vec<usize> = given.iter().map(load).collect();
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{:?}", loads);
            for (member, partitions) in case.members.iter_mut().zip(&given) {
                member.2.clone_from(partitions);
            }
            prop_assert_eq!(case.assign(Assignor::Uniform), given);
        }

        #[test]
        fn uniform_leaves_nobody_two_behind_whom_a_move_would_help(case in cases()) {
            let given = case.assign(Assignor::Uniform);
            for (from, partitions) in given.iter().enumerate() {
                for topic in partitions.keys() {
                    for (to, member) in case.members.iter().enumerate() {
                        let helps = member.1.contains(topic) && load(&given[from]) > load(&given[to]) + 1;
                        prop_assert!(!helps, "{from} could give {to} a partition: {given:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_third_member_takes_only_its_share() {
        let all: BTreeSet<TopicId> = [topic(1)].into();
        let had = |p: std::ops::Range<i32>| Partitions::from([(topic(1), p.collect())]);
        let members = vec![
            (None, all.clone(), had(0..3)),
            (None, all.clone(), had(3..6)),
            (None, all, Partitions::new()),
        ];
        let given = Case { members, sizes: [(topic(1), 6)].into() }.assign(Assignor::Uniform);
        assert_eq!(given[0], had(0..2));
        assert_eq!(given[1], had(3..5));
        assert_eq!(load(&given[2]), 2);
    }

    #[test]
    fn range_splits_topics_of_one_size_alike_and_puts_static_members_first() {
        let both: BTreeSet<TopicId> = [topic(1), topic(2)].into();
        let none = Partitions::new();
        let members =
            vec![(None, both.clone(), none.clone()), (Some("a".to_owned()), both.clone(), none.clone())];
        let given = Case { members, sizes: [(topic(1), 3), (topic(2), 3)].into() }.assign(Assignor::Range);
        assert_eq!(given[1], Partitions::from([(topic(1), [0, 1].into()), (topic(2), [0, 1].into())]));
        assert_eq!(given[0], Partitions::from([(topic(1), [2].into()), (topic(2), [2].into())]));
    }
}
