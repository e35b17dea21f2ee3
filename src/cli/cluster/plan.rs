//! Where the replicas of a broker go that is to hold nothing any more. Pure: a picture of the cluster in, moves out.

use std::collections::{BTreeMap, BTreeSet};

/// A broker that may take replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// A partition and its replicas in preferred order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Partitions with their new replicas.
    pub moves: Vec<Placed>,
    /// Partitions that no broker can take over: all of them hold a replica already.
    pub stuck: Vec<Placed>,
}

/// Replaces `leaving` in every partition that it holds.
///
/// The replacement is on a rack that the other replicas are not on, if there is one, and of those the broker with the
/// fewest replicas, so that what moves is spread. It takes the place of `leaving` in the order: leaders stay as evenly
/// spread as they were.
pub fn drain(leaving: i32, candidates: &[Candidate], partitions: &[Placed]) -> Plan {
    let mut load: BTreeMap<i32, usize> = BTreeMap::new();
    for broker in partitions.iter().flat_map(|p| &p.replicas) {
        *load.entry(*broker).or_default() += 1;
    }
    let rack = |id: i32| candidates.iter().find(|c| c.id == id).and_then(|c| c.rack.as_deref());
    let mut plan = Plan::default();
    for placed in partitions.iter().filter(|p| p.replicas.contains(&leaving)) {
        let others: Vec<i32> = placed.replicas.iter().copied().filter(|id| *id != leaving).collect();
        let racks: BTreeSet<&str> = others.iter().filter_map(|id| rack(*id)).collect();
        let free = candidates.iter().filter(|c| c.id != leaving && !others.contains(&c.id));
        let best = free.min_by_key(|c| {
            let is_shared = c.rack.as_deref().is_some_and(|rack| racks.contains(rack));
            (is_shared, load.get(&c.id).copied().unwrap_or(0), c.id)
        });
        let Some(best) = best else {
            plan.stuck.push(placed.clone());
            continue;
        };
        *load.entry(best.id).or_default() += 1;
        let replicas = placed.replicas.iter().map(|id| if *id == leaving { best.id } else { *id });
        plan.moves.push(Placed { replicas: replicas.collect(), ..placed.clone() });
    }
    plan
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(racks: &[&str]) -> Vec<Candidate> {
        (1..).zip(racks).map(|(id, rack)| Candidate { id, rack: Some((*rack).to_owned()) }).collect()
    }

    fn placed(partition: i32, replicas: &[i32]) -> Placed {
        Placed { topic: "t".to_owned(), partition, replicas: replicas.to_vec() }
    }

    #[test]
    fn the_free_rack_comes_before_the_emptier_broker() {
        let brokers = candidates(&["a", "b", "b", "c"]);
        let plan = drain(1, &brokers, &[placed(0, &[1, 2]), placed(1, &[4, 3])]);
        assert_eq!(plan.moves, [placed(0, &[4, 2])], "3 holds as many as 4 and shares the rack of 2");
        assert_eq!(plan.stuck, []);
    }

    #[test]
    fn a_partition_that_is_everywhere_is_stuck_and_named() {
        let brokers = candidates(&["a", "b", "c"]);
        let plan = drain(2, &brokers, &[placed(0, &[1, 2, 3]), placed(1, &[2, 1])]);
        assert_eq!(plan.stuck, [placed(0, &[1, 2, 3])]);
        assert_eq!(plan.moves, [placed(1, &[3, 1])]);
    }

    proptest! {
        #[test]
        fn every_partition_keeps_its_number_of_replicas_and_loses_the_broker(
            sets in proptest::collection::vec(proptest::sample::subsequence(vec![1, 2, 3, 4, 5, 6], 1..=6).prop_shuffle(), 0..60),
            racks in proptest::collection::vec(0..3u8, 6),
            leaving in 1..=6i32,
        ) {
            let brokers: Vec<Candidate> =
                (1..).zip(&racks).map(|(id, rack)| Candidate { id, rack: Some(rack.to_string()) }).collect();
            let partitions: Vec<Placed> = (0..).zip(&sets).map(|(i, set)| placed(i, set)).collect();
            let plan = drain(leaving, &brokers, &partitions);
            let held = partitions.iter().filter(|p| p.replicas.contains(&leaving)).count();
            prop_assert_eq!(plan.moves.len() + plan.stuck.len(), held);
            prop_assert!(plan.stuck.iter().all(|p| p.replicas.len() == 6));
            let mut taken: BTreeMap<i32, usize> = BTreeMap::new();
            for moved in &plan.moves {
                let before = &partitions[usize::try_from(moved.partition).unwrap()].replicas;
                let distinct: BTreeSet<i32> = moved.replicas.iter().copied().collect();
                prop_assert_eq!(distinct.len(), before.len());
                let changed: Vec<_> = before.iter().zip(&moved.replicas).filter(|(a, b)| a != b).collect();
                prop_assert_eq!(changed.len(), 1, "only one replica moves");
                prop_assert_eq!(*changed[0].0, leaving);
                *taken.entry(*changed[0].1).or_default() += 1;
            }
        }
    }
}
