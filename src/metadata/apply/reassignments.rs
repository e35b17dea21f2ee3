//! Reassignment of a partition's replicas (KIP-455): add, catch up, switch, remove; cancel.
//!
//! While it is under way the replicas are the original ones, in their order, and then the added ones. It completes in
//! the very command that brings the last added replica into the ISR ([`complete`] is part of every settling), so that no
//! image shows a switch half made. Nobody is dropped who is the last to hold what is committed.

use super::{Rules, elections};
use crate::env::defect::{Defect, planted};
use crate::metadata::command::{CommandError, CommandReply};
use crate::metadata::image::{Image, Partition, Reassignment, ReplicaState};
use crate::types::{BrokerId, TopicId};

/// More than anybody needs, and few enough for a partition's record to stay small.
const MAX_REPLICAS: usize = 100;

/// Switches to the target when all added replicas are in sync and those that stay are enough: at least min ISR of them,
/// or as many as were in sync before.
pub(super) fn complete(rules: &Rules<'_>, partition: &mut Partition) {
    let Some(Reassignment { target, adding }) = &partition.reassignment else { return };
    let staying = partition.isr.iter().filter(|member| target.contains(member)).count();
    let enough = rules.min_insync_replicas.min(target.len()).min(partition.isr.len());
    let is_in_sync = |added| partition.isr.contains(added) || planted(Defect::SwitchWithoutAdded);
    if staying == 0 || staying < enough || !adding.iter().all(is_in_sync) {
        return;
    }
    let target = target.clone();
    set_replicas(partition, &target);
    partition.reassignment = None;
}

/// These replicas and no others, in this order; roles of the others end.
fn set_replicas(partition: &mut Partition, replicas: &[BrokerId]) {
    partition.replicas = replicas
        .iter()
        .map(|&broker| {
            let known = partition.replicas.iter().find(|replica| replica.broker == broker);
            known.cloned().unwrap_or(ReplicaState { broker, directory: None })
        })
        .collect();
    let isr = std::mem::take(&mut partition.isr);
    partition.isr = replicas.iter().copied().filter(|broker| isr.contains(broker)).collect();
    partition.elr.retain(|member| replicas.contains(member));
    partition.last_known_leader = partition.last_known_leader.filter(|leader| replicas.contains(leader));
}

impl Image {
    pub(super) fn reassign(
        &mut self,
        topic: TopicId,
        partition: i32,
        target: Option<&[BrokerId]>,
    ) -> Result<CommandReply, CommandError> {
        let (found, index, before) = self.known_partition(topic, partition)?;
        let rules = Rules::new(&self.brokers, self.broker_configs.get(&None), found);
        let added_before = before.adding();
        let present = || before.replicas.iter().map(|replica| replica.broker);
        let original: Vec<BrokerId> = present().filter(|broker| !added_before.contains(broker)).collect();
        let target = match target {
            Some(target) => {
                check_target(&rules, target)?;
                target.to_vec()
            }
            None if before.reassignment.is_none() => {
                return Err(CommandError::NoReassignment(topic, partition));
            }
            None => original.clone(),
        };
        let adding: Vec<BrokerId> =
            target.iter().copied().filter(|broker| !original.contains(broker)).collect();
        let is_change = !adding.is_empty() || target.len() < original.len();
        let members: Vec<BrokerId> =
            if is_change { original.iter().chain(&adding).copied().collect() } else { target.clone() };
        let mut after = before.clone();
        set_replicas(&mut after, &members);
        let holders = best_holders(before);
        if !holders.is_empty() && !holders.iter().any(|holder| members.contains(holder)) {
            return Err(CommandError::InvalidReplicas(format!(
                "replicas {:?} would leave {}-{partition} without one that has all committed records",
                members.iter().map(|broker| broker.0).collect::<Vec<_>>(),
                found.name
            )));
        }
        after.reassignment = is_change.then_some(Reassignment { target, adding });
        let after = elections::settle(&rules, before, after, |_| {});
        self.edit_partition(topic, index, |_, _| Some(after));
        Ok(CommandReply::Done)
    }
}

/// Who has all that is committed: the ISR; without one the ELR; without that the last known leader, at best.
fn best_holders(partition: &Partition) -> Vec<BrokerId> {
    if !partition.isr.is_empty() {
        partition.isr.clone()
    } else if !partition.elr.is_empty() {
        partition.elr.clone()
    } else {
        partition.last_known_leader.into_iter().collect()
    }
}

fn check_target(rules: &Rules<'_>, target: &[BrokerId]) -> Result<(), CommandError> {
    if target.is_empty() || target.len() > MAX_REPLICAS {
        return Err(CommandError::InvalidReplicas(format!(
            "a partition has 1 to {MAX_REPLICAS} replicas, not {}",
            target.len()
        )));
    }
    for (index, broker) in target.iter().enumerate() {
        if target[..index].contains(broker) {
            return Err(CommandError::InvalidReplicas(format!("broker {broker} is named twice")));
        }
        if !rules.brokers.contains_key(broker) {
            return Err(CommandError::InvalidReplicas(format!("broker {broker} is not registered")));
        }
    }
    Ok(())
}
