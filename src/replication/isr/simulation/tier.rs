//! A tier below the simulated logs: leaders publish what is committed, anybody drops what is in it, records are deleted from
//! the front. What a node no longer has itself stays in its array, so that it can be compared.

use rand::Rng as _;

use super::{Entry, Role, World};
use crate::replication::isr::TierPosition;
use crate::types::{BrokerId, Offset};

/// What lies in the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) rows: Vec<Entry>,
    generation: u64,
    /// The leader epoch of the last who published, or was about to.
    epoch: i32,
}

impl Store {
    fn position(&self) -> TierPosition {
        TierPosition { end: Offset(self.rows.len() as i64), generation: self.generation }
    }
}

impl World {
    pub(super) fn something_of_the_tier(&mut self, broker: BrokerId) {
        match self.rng.random_range(0..10) {
            0..3 => self.publish(broker),
            3 => self.look(broker),
            4..7 => self.let_go(broker),
            _ => self.delete_records(broker),
        }
    }

    /// A new leader reads the head, and fences whoever led before.
    pub(super) fn look(&mut self, broker: BrokerId) {
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        let Role::Leader(leader) = &node.role else { return };
        if leader.leader_epoch().0 >= self.store.epoch {
            self.store.epoch = leader.leader_epoch().0;
            node.tier = Some(self.store.position());
        }
    }

    fn publish(&mut self, broker: BrokerId) {
        self.look(broker);
        let node = &self.nodes[&broker];
        let Role::Leader(leader) = &node.role else { return };
        let (committed, there) = (index(leader.high_watermark()), self.store.rows.len());
        if leader.leader_epoch().0 < self.store.epoch || committed <= there {
            return;
        }
        let to = self.rng.random_range(there + 1..=committed);
        let rows: Vec<Entry> = node.log[there..to].to_vec();
        self.say(|| format!("{broker} publishes {there}..{to}"));
        self.store.rows.extend(rows);
        self.store.generation += 1;
        self.look(broker);
    }

    /// Local retention.
    fn let_go(&mut self, broker: BrokerId) {
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        let Some(tier) = node.tier.filter(|_| node.alive) else { return };
        let most = tier.end.min(node.end());
        if most > node.local_start {
            let to = Offset(self.rng.random_range(node.local_start.0..=most.0));
            node.local_start = to;
            self.say(|| format!("{broker} lets go of all below {to}"));
        }
    }

    fn delete_records(&mut self, broker: BrokerId) {
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        let Role::Leader(leader) = &node.role else { return };
        let most = leader.high_watermark();
        if most > node.log_start {
            let all = self.rng.random_bool(0.5);
            let to = if all { most } else { Offset(self.rng.random_range(node.log_start.0..=most.0)) };
            node.raise_log_start(to);
            self.say(|| format!("{broker} begins at {to}"));
        }
    }

    /// What the tier's state brings to an empty log.
    pub(super) fn install(&mut self, broker: BrokerId, tier: TierPosition) {
        let rows = self.store.rows[..index(tier.end)].to_vec();
        self.say(|| format!("{broker} begins at the tier's end, {}", tier.end));
        self.worth.installed += 1;
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        node.log = rows;
        node.local_start = tier.end;
        node.tier = Some(tier);
        node.dropped();
    }

    /// A log that begins where the leader's does: nobody has what lies below any more.
    pub(super) fn begin_at(&mut self, broker: BrokerId, leader: BrokerId, start: Offset) {
        let gone = self.nodes[&leader].log[..index(start)].to_vec();
        self.say(|| format!("{broker} starts anew at {start}"));
        self.worth.reset += 1;
        let node = self.nodes.get_mut(&broker).expect("a known broker");
        node.log = gone;
        node.raise_log_start(start);
        node.local_start = start;
        node.dropped();
    }

    pub(super) fn check_tier(&self) -> Result<(), String> {
        for (&offset, entry) in &self.acknowledged {
            if self.store.rows.get(offset).is_some_and(|row| row != entry) {
                return Err(format!(
                    "the tier holds {:?} at {offset}, not {entry:?}",
                    self.store.rows[offset]
                ));
            }
        }
        for (broker, node) in &self.nodes {
            let cold = self.store.rows.len().max(index(node.log_start));
            if index(node.local_start) > cold {
                return Err(format!("{broker} begins at {}: what lies below is nowhere", node.local_start));
            }
            if node.end() < node.local_start {
                return Err(format!(
                    "{broker} ends at {} below its local start {}",
                    node.end(),
                    node.local_start
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn index(offset: Offset) -> usize {
    usize::try_from(offset.0).expect("an offset is not negative")
}
