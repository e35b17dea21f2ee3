//! Elections, and what every change of a partition has in common.
//!
//! After each command a partition is *settled*: the ISR holds only electable brokers, so it has a leader exactly when
//! its ISR is not empty; the ELR is empty when |ISR| ≥ min ISR; a change of leader has raised the leader epoch and any
//! change the partition epoch.
//!
//! The order of an election: assigned order among the ISR; else among the ELR; else, with both
//! empty, the last known leader. Electing anybody else takes an `ElectUnclean` with what the candidates' logs hold.

use super::{Rules, reassignments};
use crate::env::defect::{Defect, planted};
use crate::metadata::command::{CommandError, CommandReply, UncleanCandidate};
use crate::metadata::image::{BrokerState, Image, Partition, UncleanElection};
use crate::types::{BrokerId, Offset, PartitionEpoch, TopicId};

/// Whether the broker may lead the partition as far as liveness goes: active, and the directory that is recorded for
/// the replica is online.
pub(super) fn is_electable(rules: &Rules<'_>, partition: &Partition, id: BrokerId) -> bool {
    let Some(broker) = rules.brokers.get(&id) else { return false };
    let Some(replica) = partition.replicas.iter().find(|r| r.broker == id) else { return false };
    broker.state == BrokerState::Active
        && (replica.directory.is_none_or(|directory| broker.directories.contains(&directory))
            || planted(Defect::WipeUnnoticed))
}

/// Whether a member that leaves the ISR may stay eligible (KIP-966).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Its log is whole: it joins or stays in the ELR when the ISR is below min ISR.
    WithItsLog,
    /// Its log may have lost a tail: it leaves the ELR too. It stays the last known leader.
    WithoutItsTail,
    /// Its log is gone: it is not even the last known leader.
    Empty,
}

/// Takes a broker out of the partition's roles; `None` when it held none.
pub(super) fn leave(
    rules: &Rules<'_>,
    before: &Partition,
    broker: BrokerId,
    how: Leaving,
) -> Option<Partition> {
    let mut after = before.clone();
    after.isr.retain(|member| *member != broker);
    match how {
        Leaving::WithItsLog => {
            if before.isr.contains(&broker) {
                after.elr.push(broker);
            }
        }
        Leaving::WithoutItsTail | Leaving::Empty => after.elr.retain(|member| *member != broker),
    }
    let settled = settle(rules, before, after, |partition| {
        if how == Leaving::Empty && partition.last_known_leader == Some(broker) {
            partition.last_known_leader = None;
        }
    });
    (settled != *before).then_some(settled)
}

/// Elects where there is no leader; `None` when nothing changes.
pub(super) fn elect(rules: &Rules<'_>, before: &Partition) -> Option<Partition> {
    if before.leader.is_some() {
        return None;
    }
    let settled = settle(rules, before, before.clone(), |_| {});
    (settled != *before).then_some(settled)
}

/// Makes a changed partition consistent: ELR, leader, epochs. `correct` has a last word on the last known leader
/// before an election looks at it.
pub(super) fn settle(
    rules: &Rules<'_>,
    before: &Partition,
    mut after: Partition,
    correct: impl FnOnce(&mut Partition),
) -> Partition {
    reassignments::complete(rules, &mut after);
    let min_isr = rules.min_isr(&after);
    keep_elr(&mut after, min_isr);
    if after.leader.is_some_and(|leader| !after.isr.contains(&leader)) {
        after.last_known_leader = after.leader.take();
    }
    correct(&mut after);
    if after.leader.is_none() {
        choose(rules, &mut after, min_isr);
    }
    seal(before, after)
}

/// Raises the epochs of what has changed.
fn seal(before: &Partition, mut after: Partition) -> Partition {
    if after.leader.is_some() {
        after.last_known_leader = None;
    }
    let is_new = after.leader != before.leader && !planted(Defect::EpochGoesOn);
    if is_new && after.leader_epoch == before.leader_epoch {
        after.leader_epoch = before.leader_epoch.next();
    }
    if after != *before {
        after.partition_epoch = before.partition_epoch.next();
    }
    after
}

/// In assigned order, without members of the ISR, and empty when |ISR| ≥ min ISR.
fn keep_elr(partition: &mut Partition, min_isr: usize) {
    if partition.isr.len() >= min_isr && !planted(Defect::ElrStays) {
        partition.elr.clear();
        return;
    }
    partition.elr = partition
        .replicas
        .iter()
        .map(|r| r.broker)
        .filter(|b| partition.elr.contains(b) && !partition.isr.contains(b))
        .collect();
}

fn choose(rules: &Rules<'_>, partition: &mut Partition, min_isr: usize) {
    let first = |among: &[BrokerId]| {
        let in_order = partition.replicas.iter().map(|r| r.broker);
        in_order.into_iter().find(|b| among.contains(b) && is_electable(rules, partition, *b))
    };
    if let Some(leader) = first(&partition.isr) {
        partition.leader = Some(leader);
    } else if let Some(leader) = first(&partition.elr) {
        partition.leader = Some(leader);
        partition.isr = vec![leader];
        keep_elr(partition, min_isr);
    } else if partition.isr.is_empty()
        && partition.elr.is_empty()
        && let Some(leader) = partition.last_known_leader.filter(|b| is_electable(rules, partition, *b))
    {
        lead_unclean(partition, leader, None);
    }
}

/// An election that may lose records: recorded with its epoch, so that followers may truncate below their high
/// watermark towards it. Everybody else's claim is void.
fn lead_unclean(partition: &mut Partition, leader: BrokerId, log_end: Option<Offset>) {
    partition.leader = Some(leader);
    partition.isr = vec![leader];
    partition.elr.clear();
    partition.leader_epoch = partition.leader_epoch.next();
    partition.unclean = Some(UncleanElection { leader_epoch: partition.leader_epoch, log_end });
}

impl Image {
    /// Partitions without a leader whose topic allows an unclean election, in the image's order. Whoever drives the
    /// cluster asks their live replicas for the ends of their logs and proposes `ElectUnclean`.
    #[must_use]
    pub fn awaiting_unclean_election(&self) -> Vec<(TopicId, i32)> {
        let defaults = self.broker_configs.get(&None);
        let mut waiting = Vec::new();
        for topic in self.topics.values() {
            let rules = Rules::new(&self.brokers, defaults, topic);
            if rules.unclean_elections {
                waiting.extend((0i32..).zip(&topic.partitions).filter_map(|(index, partition)| {
                    let mut replicas = partition.replicas.iter().map(|r| r.broker);
                    (partition.leader.is_none() && replicas.any(|b| is_electable(&rules, partition, b)))
                        .then_some((topic.id, index))
                }));
            }
        }
        waiting
    }

    pub(super) fn elect_unclean(
        &mut self,
        topic: TopicId,
        partition: i32,
        partition_epoch: PartitionEpoch,
        candidates: &[UncleanCandidate],
    ) -> Result<CommandReply, CommandError> {
        let (found, index, before) = self.known_partition(topic, partition)?;
        let rules = Rules::new(&self.brokers, self.broker_configs.get(&None), found);
        if before.partition_epoch != partition_epoch {
            return Err(CommandError::StalePartitionEpoch {
                proposed: partition_epoch,
                current: before.partition_epoch,
            });
        }
        if !rules.unclean_elections && !planted(Defect::UncleanWithoutLeave) {
            return Err(CommandError::Invalid(format!(
                "topic {} does not allow unclean elections",
                found.name
            )));
        }
        if before.leader.is_some() {
            return Err(CommandError::Invalid(format!("{}-{partition} has a leader", found.name)));
        }
        // In assigned order, the first of the largest.
        let mut best: Option<&UncleanCandidate> = None;
        for replica in &before.replicas {
            let id = replica.broker;
            let live = rules.brokers.get(&id).map(|b| b.epoch);
            let candidate = candidates.iter().find(|c| c.member.broker == id && Some(c.member.epoch) == live);
            if let Some(candidate) = candidate.filter(|_| is_electable(&rules, before, id))
                && best.is_none_or(|b| (b.last_epoch, b.log_end) < (candidate.last_epoch, candidate.log_end))
            {
                best = Some(candidate);
            }
        }
        let best = best.ok_or_else(|| {
            CommandError::Invalid(format!("no candidate for {}-{partition} is alive", found.name))
        })?;
        let mut after = before.clone();
        lead_unclean(&mut after, best.member.broker, Some(best.log_end));
        let after = seal(before, after);
        self.edit_partition(topic, index, |_, _| Some(after));
        Ok(CommandReply::Done)
    }

    pub(super) fn elect_preferred(
        &mut self,
        partitions: &[(TopicId, i32)],
    ) -> Result<CommandReply, CommandError> {
        for &(topic, partition) in partitions {
            // A topic that is gone, or a preferred leader that left the ISR since: nothing to do.
            let Ok((_, index, _)) = self.known_partition(topic, partition) else { continue };
            self.edit_partition(topic, index, |rules, before| {
                let preferred = before.replicas.first()?.broker;
                let moves = before.leader.is_some_and(|leader| leader != preferred)
                    && before.isr.contains(&preferred)
                    && is_electable(rules, before, preferred);
                moves.then(|| seal(before, Partition { leader: Some(preferred), ..before.clone() }))
            });
        }
        Ok(CommandReply::Done)
    }
}
