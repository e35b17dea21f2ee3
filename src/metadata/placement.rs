//! Placing the replicas of new partitions: spread over racks, balanced over brokers, the same for the same seed.

use std::collections::{BTreeMap, BTreeSet};

use super::image::{BrokerState, Image};
use crate::types::BrokerId;

/// Why replicas cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Kafka's INVALID_PARTITIONS.
    #[error("the number of partitions is {0}; accepted is 1 or more")]
    InvalidPartitions(i32),
    /// Kafka's INVALID_REPLICATION_FACTOR.
    #[error(
        "the replication factor is {wanted}; accepted is 1 to {available}, the number of live brokers that are not cordoned"
    )]
    InvalidReplicationFactor {
        /// What was asked for.
        wanted: i32,
        /// Brokers that are alive and not cordoned.
        available: usize,
    },
}

/// Replicas for each of `partitions` new partitions, in preferred order, from the brokers that are alive and not cordoned.
///
/// The replicas of a partition are on as many racks as there are; over the partitions of one call each broker of an
/// evenly racked cluster holds the same number of replicas, give or take one, and leaders are spread too. `seed`
/// (drawn by the caller) decides who comes first, so that small topics do not pile up on the lowest ids.
///
/// # Errors
/// `PlacementError` when the counts make no sense or there are too few live brokers.
pub fn assign_replicas(
    image: &Image,
    partitions: i32,
    replication_factor: i32,
    seed: u64,
) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    let mut brokers: Vec<(BrokerId, Option<&str>)> = image
        .brokers
        .values()
        .filter(|b| b.state == BrokerState::Active && !image.is_cordoned(b.id))
        .map(|b| (b.id, b.rack.as_deref()))
        .collect();
    let count = match usize::try_from(partitions) {
        Ok(count) if count > 0 => count,
        _ => return Err(PlacementError::InvalidPartitions(partitions)),
    };
    let factor = match usize::try_from(replication_factor) {
        Ok(factor) if factor > 0 && factor <= brokers.len() => factor,
        _ => {
            return Err(PlacementError::InvalidReplicationFactor {
                wanted: replication_factor,
                available: brokers.len(),
            });
        }
    };
    shuffle(&mut brokers, seed);

    let mut replicas_of: BTreeMap<BrokerId, usize> = BTreeMap::new();
    let mut leaders_of: BTreeMap<BrokerId, usize> = BTreeMap::new();
    let mut assignment = Vec::with_capacity(count);
    for partition in 0..count {
        // A rotating start breaks ties differently for each partition.
        brokers.rotate_left(usize::from(partition > 0));
        let mut chosen: Vec<BrokerId> = Vec::with_capacity(factor);
        let mut racks: BTreeSet<Option<&str>> = BTreeSet::new();
        while chosen.len() < factor {
            let free = || brokers.iter().filter(|(id, _)| !chosen.contains(id));
            let on_new_rack = free().any(|(_, rack)| !racks.contains(rack));
            let next = free()
                .filter(|(_, rack)| !on_new_rack || !racks.contains(rack))
                .min_by_key(|(id, _)| replicas_of.get(id).copied().unwrap_or(0));
            // `factor` is at most the number of brokers, so there is always one left.
            let Some(&(id, rack)) = next else { break };
            chosen.push(id);
            racks.insert(rack);
            *replicas_of.entry(id).or_default() += 1;
        }
        let leads = |id: &BrokerId| leaders_of.get(id).copied().unwrap_or(0);
        if let Some(first) = (0..chosen.len()).min_by_key(|i| leads(&chosen[*i])) {
            chosen[..=first].rotate_right(1);
            *leaders_of.entry(chosen[0]).or_default() += 1;
        }
        assignment.push(chosen);
    }
    Ok(assignment)
}

/// Fisher and Yates with splitmix64.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for i in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        items.swap(i, (z % (i as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::metadata::image::BrokerInfo;
    use crate::types::{BrokerEpoch, Incarnation};

    fn cluster(racks: &[Option<&str>]) -> Image {
        let mut image = Image::default();
        for (id, rack) in (1..).zip(racks) {
            let info = BrokerInfo {
                id: BrokerId(id),
                epoch: BrokerEpoch(0),
                incarnation: Incarnation::ZERO,
                endpoints: Vec::new(),
                peer_address: String::new(),
                rack: rack.map(str::to_owned),
                directories: Vec::new(),
                machine: String::new(),
                state: BrokerState::Active,
            };
            image.brokers.insert(BrokerId(id), Arc::new(info));
        }
        image
    }

    #[test]
    fn a_partition_has_a_replica_on_every_rack_it_can_reach() {
        let image = cluster(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("c"), Some("c")]);
        for replicas in assign_replicas(&image, 60, 3, 7).unwrap() {
            let racks: BTreeSet<_> = replicas.iter().map(|b| &image.brokers[b].rack).collect();
            assert_eq!(racks.len(), 3, "{replicas:?}");
        }
    }

    #[test]
    fn too_few_live_brokers_and_senseless_counts_are_refused() {
        let mut image = cluster(&[None, None, None]);
        Arc::make_mut(image.brokers.get_mut(&BrokerId(2)).unwrap()).state = BrokerState::Fenced;
        assert_eq!(
            assign_replicas(&image, 1, 3, 0),
            Err(PlacementError::InvalidReplicationFactor { wanted: 3, available: 2 })
        );
        assert!(assign_replicas(&image, 1, 0, 0).is_err());
        assert_eq!(assign_replicas(&image, 0, 1, 0), Err(PlacementError::InvalidPartitions(0)));
    }

    proptest! {
        #[test]
        fn replicas_differ_and_brokers_are_loaded_evenly(
            brokers in 1usize..8, partitions in 1i32..50, factor in 1i32..5, seed: u64,
        ) {
            prop_assume!(factor as usize <= brokers);
            let image = cluster(&vec![None; brokers]);
            let assignment = assign_replicas(&image, partitions, factor, seed).unwrap();
            prop_assert_eq!(&assignment, &assign_replicas(&image, partitions, factor, seed).unwrap());
            let mut load = vec![0usize; brokers];
            let mut leads = vec![0usize; brokers];
            for replicas in &assignment {
                prop_assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), factor as usize);
                leads[replicas[0].0 as usize - 1] += 1;
                for broker in replicas {
                    load[broker.0 as usize - 1] += 1;
                }
            }
            prop_assert!(load.iter().max().unwrap() - load.iter().min().unwrap() <= 1, "{:?}", load);
            prop_assert!(leads.iter().max().unwrap() - leads.iter().min().unwrap() <= 2, "{:?}", leads);
        }
    }
}
