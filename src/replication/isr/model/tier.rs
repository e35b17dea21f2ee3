//! A tier below the model's logs: leaders publish what is committed, anybody lets go of what is in it, records are deleted from the
//! front. What a broker no longer has itself stays in its array, so that it can be compared.

use super::setups::Setup;
use super::state::*;
use crate::replication::isr::TierPosition;
use crate::types::{BrokerId, LeaderEpoch, Offset};

/// What lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(super) rows: Vec<Entry>,
    /// The leader epoch of the last who published, or was about to.
    epoch: LeaderEpoch,
}

impl Store {
    pub(super) fn empty() -> Store {
        Store { rows: Vec::new(), epoch: LeaderEpoch(0) }
    }

    /// One row more is one generation more: more of them would only add states.
    fn position(&self) -> TierPosition {
        TierPosition { end: Offset(self.rows.len() as i64), generation: self.rows.len() as u64 }
    }
}

pub(super) fn index(offset: Offset) -> usize {
    usize::try_from(offset.0).expect("an offset is not negative")
}

impl Node {
    pub(super) fn raise_log_start(&mut self, to: Offset) {
        self.log_start = self.log_start.max(to);
        self.local_start = self.local_start.max(to);
    }

    /// The log was dropped and begins at its end.
    fn dropped(&mut self) {
        let end = self.end();
        self.local_start = end;
        if let Role::Follower(follower) = &mut self.role {
            follower.restarted_at(end);
        }
    }

    /// A tier that ends above this log is another lineage's.
    pub(super) fn forget_tier_above(&mut self, end: Offset) {
        self.tier = self.tier.filter(|tier| tier.end <= end);
    }
}

impl World {
    /// What may happen to the tier next, by a broker that is alive.
    pub(super) fn actions_of_the_tier(&self, setup: &Setup, id: BrokerId, out: &mut Vec<Action>) {
        let (left, node) = (&self.left, &self.nodes[&id]);
        if let Role::Leader(leader) = &node.role {
            let may_publish = leader.leader_epoch() >= self.store.epoch;
            if setup.is_tiered() && may_publish && node.tier != Some(self.store.position()) {
                out.push(Action::Look(id.0));
            }
            let end = self.publishes_to(setup, node);
            if left.publishes > 0 && may_publish && end > self.store.rows.len() {
                out.push(Action::Publish(id.0));
            }
            if left.deletes > 0 {
                let targets = node.log_start.0 + 1..=leader.high_watermark().0;
                out.extend(targets.map(|to| Action::DeleteRecords(id.0, to)));
            }
        }
        if left.let_goes > 0 && self.lets_go_to(setup, node) > node.local_start {
            out.push(Action::LetGo(id.0));
        }
    }

    fn publishes_to(&self, setup: &Setup, node: &Node) -> usize {
        let all = setup.planted == Some(Planted::PublishesAll);
        index(if all { node.end() } else { node.high_watermark() })
    }

    fn lets_go_to(&self, setup: &Setup, node: &Node) -> Offset {
        if setup.planted == Some(Planted::LetsGoOfAll) {
            return node.high_watermark();
        }
        node.tier.map_or(Offset(0), |tier| tier.end.min(node.end()))
    }

    /// A leader reads the head, and fences whoever led before.
    pub(super) fn look(&mut self, id: BrokerId) {
        let position = self.store.position();
        let node = self.nodes.get_mut(&id).expect("a known broker");
        let Role::Leader(leader) = &node.role else { return };
        self.store.epoch = leader.leader_epoch();
        node.tier = Some(position);
    }

    pub(super) fn publish(&mut self, setup: &Setup, id: BrokerId) {
        self.left.publishes -= 1;
        let node = &self.nodes[&id];
        let (there, to) = (self.store.rows.len(), self.publishes_to(setup, node));
        // What it no longer has itself is in the tier already, or nobody has it.
        if index(node.local_start) > there.max(index(node.log_start)) {
            self.violation.get_or_insert(Violation::Hole);
            return;
        }
        self.store.rows.extend_from_slice(&node.log[there..to]);
        self.look(id);
    }

    /// Local retention.
    pub(super) fn let_go(&mut self, setup: &Setup, id: BrokerId) {
        self.left.let_goes -= 1;
        let to = self.lets_go_to(setup, &self.nodes[&id]);
        self.nodes.get_mut(&id).expect("a known broker").local_start = to;
    }

    pub(super) fn delete_records(&mut self, id: BrokerId, to: Offset) {
        self.left.deletes -= 1;
        self.deleted = self.deleted.max(to);
        self.nodes.get_mut(&id).expect("a known broker").raise_log_start(to);
    }

    /// What the tier's state brings to an empty log.
    pub(super) fn install(&mut self, id: BrokerId, tier: TierPosition) {
        let rows = self.store.rows[..index(tier.end)].to_vec();
        let node = self.nodes.get_mut(&id).expect("a known broker");
        node.log = rows;
        node.tier = Some(tier);
        node.dropped();
    }

    /// A log that begins where the leader's does: nobody has what lies below any more.
    pub(super) fn begin_at(&mut self, id: BrokerId, start: Offset) {
        // Whoever said so may have lost its disk since.
        let gone = (0..index(start)).map(|offset| self.committed[&offset]).collect();
        let node = self.nodes.get_mut(&id).expect("a known broker");
        node.log = gone;
        node.log_start = start;
        node.forget_tier_above(Offset(0));
        node.dropped();
    }

    pub(super) fn check_tier(&mut self) {
        let cold = Offset(self.store.rows.len() as i64);
        for node in self.nodes.values() {
            if node.log_start > self.deleted {
                self.violation.get_or_insert(Violation::Undeleted);
            }
            if node.local_start > cold.max(node.log_start) || node.end() < node.local_start {
                self.violation.get_or_insert(Violation::Hole);
            }
        }
        let told = self.acknowledged.iter().chain(&self.committed);
        if told
            .into_iter()
            .any(|(offset, entry)| self.store.rows.get(*offset).is_some_and(|row| row != entry))
        {
            self.violation.get_or_insert(Violation::Cold);
        }
    }
}
