//! The metadata quorum of the simulation: elections from ISR and ELR, fencing, registrations, proposals.

use std::collections::{BTreeMap, BTreeSet};

use super::{MIN_ISR, NODES};
use crate::metadata::IsrMember;
use crate::replication::isr::leader::{PartitionView, ReplicaView};
use crate::types::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch};

/// The truth of the metadata quorum; every change is kept, so that images can lag.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) leader: Option<BrokerId>,
    pub(super) leader_epoch: i32,
    pub(super) partition_epoch: i32,
    pub(super) isr: Vec<BrokerId>,
    pub(super) elr: Vec<BrokerId>,
    pub(super) epochs: BTreeMap<BrokerId, i64>,
    pub(super) active: BTreeSet<BrokerId>,
}

impl Truth {
    pub(super) fn view(&self) -> PartitionView {
        PartitionView {
            leader_epoch: LeaderEpoch(self.leader_epoch),
            partition_epoch: PartitionEpoch(self.partition_epoch),
            isr: self.isr.clone(),
            elr: self.elr.clone(),
            min_isr: MIN_ISR,
            replicas: (1..=NODES)
                .map(|id| ReplicaView {
                    broker: BrokerId(id),
                    epoch: BrokerEpoch(self.epochs[&BrokerId(id)]),
                    active: self.active.contains(&BrokerId(id)),
                })
                .collect(),
        }
    }

    fn set_isr(&mut self, isr: Vec<BrokerId>) {
        if isr.len() < MIN_ISR {
            let gone: Vec<_> =
                self.isr.iter().chain(&self.elr).copied().filter(|b| !isr.contains(b)).collect();
            self.elr = gone.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        } else {
            self.elr.clear();
        }
        self.isr = isr;
    }

    fn elect(&mut self) {
        let from = |set: &[BrokerId]| set.iter().copied().find(|b| self.active.contains(b));
        let (leader, isr) = match (from(&self.isr), from(&self.elr)) {
            (Some(leader), _) => (Some(leader), self.isr.clone()),
            (None, Some(leader)) if self.isr.is_empty() => (Some(leader), vec![leader]),
            _ => (None, self.isr.clone()),
        };
        self.leader = leader;
        self.leader_epoch += 1;
        if isr != self.isr {
            self.set_isr(isr);
        }
    }

    /// The broker leaves the ISR where it can; the last member stays.
    pub(super) fn fence(&mut self, broker: BrokerId) {
        self.active.remove(&broker);
        let rest: Vec<_> = self.isr.iter().copied().filter(|b| *b != broker).collect();
        if !rest.is_empty() {
            self.set_isr(rest);
        }
        if self.leader == Some(broker) {
            self.elect();
        }
        self.partition_epoch += 1;
    }

    pub(super) fn register(&mut self, broker: BrokerId, lost_bytes: bool) {
        *self.epochs.get_mut(&broker).expect("a known broker") += 100;
        self.active.remove(&broker);
        if lost_bytes {
            let rest: Vec<_> = self.isr.iter().copied().filter(|b| *b != broker).collect();
            self.set_isr(rest);
            self.elr.retain(|b| *b != broker);
        }
        if self.leader == Some(broker) {
            self.elect();
        }
        self.partition_epoch += 1;
    }

    pub(super) fn unfence(&mut self, broker: BrokerId) {
        self.active.insert(broker);
        if self.leader.is_none() {
            self.elect();
        }
        self.partition_epoch += 1;
    }

    pub(super) fn alter(&mut self, proposal: &Proposal) -> bool {
        let legal = self.leader == Some(proposal.from)
            && self.leader_epoch == proposal.leader_epoch
            && self.partition_epoch == proposal.partition_epoch.0
            && proposal
                .isr
                .iter()
                .all(|m| self.epochs[&m.broker] == m.epoch.0 && self.active.contains(&m.broker));
        if legal {
            self.set_isr(proposal.isr.iter().map(|m| m.broker).collect());
            self.elr.retain(|b| !proposal.lost.contains(b));
            self.partition_epoch += 1;
        }
        legal
    }
}

#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) from: BrokerId,
    pub(super) leader_epoch: i32,
    pub(super) attempt: u64,
    pub(super) partition_epoch: PartitionEpoch,
    pub(super) isr: Vec<IsrMember>,
    pub(super) lost: Vec<BrokerId>,
    pub(super) reply_lost: bool,
}
