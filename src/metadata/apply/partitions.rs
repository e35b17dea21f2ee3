//! `AlterPartition`: a leader's proposal of a new ISR (KIP-497, KIP-841, KIP-903).

use super::elections;
use crate::env::defect::{Defect, planted};
use crate::metadata::command::{AlterPartition, CommandError, CommandReply, IsrMember};
use crate::metadata::image::{Image, Partition};
use crate::types::{BrokerId, LeaderEpoch, TopicId};

use super::Rules;

impl Image {
    pub(super) fn alter_partition(
        &mut self,
        proposal: &AlterPartition,
    ) -> Result<CommandReply, CommandError> {
        let (topic, index, before) = self.known_partition(proposal.topic, proposal.partition)?;
        let rules = Rules::new(&self.brokers, self.broker_configs.get(&None), topic);
        if proposal.leader_epoch != before.leader_epoch || before.leader != Some(proposal.leader.broker) {
            return Err(CommandError::FencedLeaderEpoch {
                proposed: proposal.leader_epoch,
                current: before.leader_epoch,
            });
        }
        self.broker_with_epoch(proposal.leader.broker, proposal.leader.epoch)?;
        let isr = check_shape(before, proposal)?;
        if proposal.partition_epoch != before.partition_epoch {
            // A retry whose first try was applied asks for what is there.
            if proposal.partition_epoch.next() == before.partition_epoch && isr == before.isr {
                return Ok(CommandReply::Done);
            }
            return Err(CommandError::StalePartitionEpoch {
                proposed: proposal.partition_epoch,
                current: before.partition_epoch,
            });
        }
        for member in &proposal.isr {
            check_member(&rules, before, *member)?;
        }
        let mut after = before.clone();
        // Who leaves had everything below the high watermark when it left, and below min ISR that does not move.
        after.elr.extend(before.isr.iter().filter(|b| !isr.contains(b)));
        after.elr.retain(|member| !proposal.lost.contains(member));
        after.isr = isr;
        let after = elections::settle(&rules, before, after, |_| {});
        self.edit_partition(proposal.topic, index, |_, _| Some(after));
        Ok(CommandReply::Done)
    }
}

impl Image {
    /// A leader steps down after a failed write.
    pub(super) fn resign(
        &mut self,
        (topic, partition): (TopicId, i32),
        leader: IsrMember,
        leader_epoch: LeaderEpoch,
        in_turn: bool,
    ) -> Result<CommandReply, CommandError> {
        let (topic, index, before) = self.known_partition(topic, partition)?;
        let rules = Rules::new(&self.brokers, self.broker_configs.get(&None), topic);
        if leader_epoch != before.leader_epoch || before.leader != Some(leader.broker) {
            let current = before.leader_epoch;
            return Err(CommandError::FencedLeaderEpoch { proposed: leader_epoch, current });
        }
        self.broker_with_epoch(leader.broker, leader.epoch)?;
        let mut after = before.clone();
        // Round, beginning behind the one that resigns: two that cannot lead would else hand it to and fro, and a third one
        // would never be asked.
        let in_order: Vec<BrokerId> = before.replicas.iter().map(|r| r.broker).collect();
        let place = in_order.iter().position(|b| *b == leader.broker).filter(|_| in_turn).unwrap_or(0);
        let others = in_order[place..].iter().chain(&in_order[..place]).copied();
        let next = others
            .filter(|b| *b != leader.broker)
            .find(|b| before.isr.contains(b) && elections::is_electable(&rules, before, *b));
        after.leader = Some(next.unwrap_or(leader.broker));
        after.leader_epoch = before.leader_epoch.next();
        let after = elections::settle(&rules, before, after, |_| {});
        let topic = topic.id;
        self.edit_partition(topic, index, |_, _| Some(after));
        Ok(CommandReply::Done)
    }
}

/// The proposed ISR in assigned order; refuses one without its leader, with strangers or with doubles.
fn check_shape(partition: &Partition, proposal: &AlterPartition) -> Result<Vec<BrokerId>, CommandError> {
    let isr: Vec<BrokerId> = partition
        .replicas
        .iter()
        .map(|r| r.broker)
        .filter(|b| proposal.isr.iter().any(|member| member.broker == *b))
        .collect();
    if isr.len() != proposal.isr.len() {
        return Err(CommandError::Invalid(format!(
            "the proposed ISR {:?} is not a set of replicas",
            proposal.isr.iter().map(|m| m.broker.0).collect::<Vec<_>>()
        )));
    }
    if !isr.contains(&proposal.leader.broker) {
        return Err(CommandError::Invalid(format!(
            "the proposed ISR lacks its leader {}",
            proposal.leader.broker
        )));
    }
    Ok(isr)
}

fn check_member(rules: &Rules<'_>, partition: &Partition, member: IsrMember) -> Result<(), CommandError> {
    let known = rules
        .brokers
        .get(&member.broker)
        .is_some_and(|b| b.epoch == member.epoch || planted(Defect::FormerLifeMayJoin));
    let electable =
        elections::is_electable(rules, partition, member.broker) || planted(Defect::FencedMayJoin);
    if known && electable { Ok(()) } else { Err(CommandError::IneligibleReplica(member.broker)) }
}
