//! Which partitions go back to their preferred leaders (`auto.leader.rebalance.enable`).

use std::collections::BTreeMap;

use super::config::LeaderBalance;
use super::image::{Image, Partition};
use crate::types::{BrokerId, TopicId};

/// The partitions of every broker of whose preferred partitions more than the allowed share is led elsewhere, as far
/// as the preferred leader is in sync. Partitions whose replicas are being changed stay as they are.
pub(super) fn partitions_to_move(image: &Image, balance: LeaderBalance) -> Vec<(TopicId, i32)> {
    let mut preferred: BTreeMap<BrokerId, (u64, Vec<(TopicId, i32)>)> = BTreeMap::new();
    for topic in image.topics.values() {
        for (index, partition) in (0i32..).zip(&topic.partitions) {
            let Some(first) = partition.replicas.first().map(|replica| replica.broker) else { continue };
            let (count, elsewhere) = preferred.entry(first).or_default();
            *count += 1;
            if partition.leader != Some(first) {
                elsewhere.push((topic.id, index));
            }
        }
    }
    let imbalanced = preferred
        .into_values()
        .filter(|(count, elsewhere)| elsewhere.len() as u64 * 100 > count * u64::from(balance.percentage));
    imbalanced.flat_map(|(_, elsewhere)| elsewhere).filter(|at| is_movable(image, *at)).collect()
}

fn is_movable(image: &Image, (topic, index): (TopicId, i32)) -> bool {
    let partition = image.topic_by_id(topic).and_then(|t| t.partitions.get(usize::try_from(index).ok()?));
    partition.is_some_and(|partition| {
        partition.reassignment.is_none()
            && partition.leader.is_some()
            && preferred_in_sync(partition).is_some_and(|broker| image.is_active(broker))
    })
}

fn preferred_in_sync(partition: &Partition) -> Option<BrokerId> {
    partition.replicas.first().map(|replica| replica.broker).filter(|first| partition.isr.contains(first))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metadata::Command;
    use crate::metadata::apply::rig::{Rig, broker, topic_id};

    fn balance(percentage: u32) -> LeaderBalance {
        LeaderBalance { interval: Duration::from_secs(300), percentage }
    }

    #[test]
    fn a_partition_goes_back_to_its_preferred_leader_once_that_is_in_sync() {
        let mut rig = Rig::new(3);
        rig.topic(&[1, 2, 3], &[]);
        assert_eq!(partitions_to_move(&rig.image, balance(10)), vec![]);
        rig.fence(1);
        assert_eq!(rig.partition().leader, Some(broker(2)));
        assert_eq!(partitions_to_move(&rig.image, balance(10)), vec![], "it is away");
        rig.return_killed(1);
        rig.unfence(1);
        assert_eq!(partitions_to_move(&rig.image, balance(10)), vec![], "it has not caught up");
        rig.alter(&[1, 2, 3]).unwrap();
        assert_eq!(partitions_to_move(&rig.image, balance(100)), vec![], "100 % may be led elsewhere");
        let partitions = partitions_to_move(&rig.image, balance(10));
        assert_eq!(partitions, vec![(topic_id(1), 0)]);
        rig.ok(Command::ElectPreferred { partitions });
        assert_eq!(rig.partition().leader, Some(broker(1)));
        assert_eq!(partitions_to_move(&rig.image, balance(0)), vec![]);
    }
}
