//! Where replicas should be, with as few moves as it takes. Pure.
//!
//! [`plan`] spreads them over a set of brokers, as evenly as it goes:
//!
//! 1. What stands on a broker of the set stays.
//! 2. What stands elsewhere moves to the broker with the fewest replicas, in a rack that the partition is not in yet where
//!    there is one.
//! 3. While one broker has two replicas more than another, one moves over, unless that would put two replicas of a partition
//!    into one rack that were in two.
//!
//! [`empty`] takes one broker's replicas away as step 2 does, and leaves everything else where it is.
//!
//! A replica keeps its place in the order, so the preferred leader changes only with its broker.

use std::collections::{BTreeMap, BTreeSet};

/// A partition's replicas, in preferred order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The brokers.
    pub replicas: Vec<i32>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{topic}-{partition} has {replicas} replicas, and {brokers} brokers are left for them")]
pub struct TooFew {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// How many replicas it has.
    pub replicas: usize,
    /// How many brokers may have them.
    pub brokers: usize,
}

/// What changes: each partition that gets other replicas, with them. `brokers` are the set, each with its rack.
///
/// # Errors
/// `TooFew` for a partition with more replicas than there are brokers.
pub fn plan(placed: &[Placed], brokers: &BTreeMap<i32, Option<String>>) -> Result<Vec<Placed>, TooFew> {
    let mut now = placed.to_vec();
    let mut load = load_of(&now, brokers);
    move_away(&mut now, &mut load, brokers, |id| !brokers.contains_key(&id))?;
    while let Some((index, at, to)) = next_move(&now, &load, brokers) {
        let from = std::mem::replace(&mut now[index].replicas[at], to);
        load.entry(from).and_modify(|count| *count -= 1);
        load.entry(to).and_modify(|count| *count += 1);
    }
    Ok(changed(now, placed))
}

/// What changes so that `leaving` holds nothing: it is replaced by one of `brokers`, in each partition that it holds.
///
/// # Errors
/// `TooFew` for a partition that stands on all of them already.
pub fn empty(
    leaving: i32,
    placed: &[Placed],
    brokers: &BTreeMap<i32, Option<String>>,
) -> Result<Vec<Placed>, TooFew> {
    let mut now = placed.to_vec();
    let others: BTreeMap<_, _> =
        brokers.iter().filter(|(id, _)| **id != leaving).map(|(id, rack)| (*id, rack.clone())).collect();
    let mut load = load_of(&now, &others);
    move_away(&mut now, &mut load, &others, |id| id == leaving)?;
    Ok(changed(now, placed))
}

fn changed(now: Vec<Placed>, placed: &[Placed]) -> Vec<Placed> {
    now.into_iter().zip(placed).filter(|(new, old)| new != *old).map(|(new, _)| new).collect()
}

/// How many replicas each of the brokers has.
fn load_of(placed: &[Placed], brokers: &BTreeMap<i32, Option<String>>) -> BTreeMap<i32, usize> {
    let mut load: BTreeMap<i32, usize> = brokers.keys().map(|id| (*id, 0)).collect();
    for replica in placed.iter().flat_map(|partition| &partition.replicas) {
        load.entry(*replica).and_modify(|count| *count += 1);
    }
    load
}

/// Moves the replicas of brokers that leave to those of `brokers` that have the fewest, in free racks where there are some.
fn move_away(
    now: &mut [Placed],
    load: &mut BTreeMap<i32, usize>,
    brokers: &BTreeMap<i32, Option<String>>,
    leaves: impl Fn(i32) -> bool,
) -> Result<(), TooFew> {
    for partition in now {
        for at in 0..partition.replicas.len() {
            if !leaves(partition.replicas[at]) {
                continue;
            }
            let kept: Vec<i32> = partition.replicas.iter().copied().filter(|id| !leaves(*id)).collect();
            let racks: BTreeSet<&Option<String>> = kept.iter().filter_map(|id| brokers.get(id)).collect();
            let free = brokers.iter().filter(|(id, _)| !kept.contains(id));
            let best =
                free.min_by_key(|(id, rack)| (rack.is_some() && racks.contains(rack), load[*id], **id));
            let Some((id, _)) = best else {
                return Err(TooFew {
                    topic: partition.topic.clone(),
                    partition: partition.partition,
                    replicas: partition.replicas.len(),
                    brokers: brokers.len(),
                });
            };
            partition.replicas[at] = *id;
            load.entry(*id).and_modify(|count| *count += 1);
        }
    }
    Ok(())
}

/// A move that makes the load more even: from the fullest broker that has one, to the emptiest that can take it.
fn next_move(
    now: &[Placed],
    load: &BTreeMap<i32, usize>,
    brokers: &BTreeMap<i32, Option<String>>,
) -> Option<(usize, usize, i32)> {
    let mut by_load: Vec<(usize, i32)> = load.iter().map(|(id, count)| (*count, *id)).collect();
    by_load.sort_unstable();
    for (full, from) in by_load.iter().rev() {
        for (empty, to) in &by_load {
            if empty + 2 > *full {
                break;
            }
            for (index, partition) in now.iter().enumerate() {
                let Some(at) = partition.replicas.iter().position(|id| id == from) else { continue };
                let others = || partition.replicas.iter().filter(|id| *id != from);
                let worse = brokers[to].is_some()
                    && brokers[to] != brokers[from]
                    && others().any(|id| brokers.get(id) == Some(&brokers[to]))
                    && !others().any(|id| brokers.get(id) == Some(&brokers[from]));
                if !partition.replicas.contains(to) && !worse {
                    return Some((index, at, *to));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placed(rows: &[&[i32]]) -> Vec<Placed> {
        let row = |(at, replicas): (usize, &&[i32])| Placed {
            topic: "t".into(),
            partition: i32::try_from(at).unwrap(),
            replicas: replicas.to_vec(),
        };
        rows.iter().enumerate().map(row).collect()
    }

    fn brokers(racks: &[(i32, &str)]) -> BTreeMap<i32, Option<String>> {
        racks.iter().map(|(id, rack)| (*id, (!rack.is_empty()).then(|| (*rack).to_owned()))).collect()
    }

    #[test]
    fn a_new_broker_takes_its_share() {
        let before = placed(&[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2], &[1, 2, 3]]);
        let changed = plan(&before, &brokers(&[(1, ""), (2, ""), (3, ""), (4, "")])).unwrap();
        let moved = changed.iter().filter(|p| p.replicas.contains(&4)).count();
        assert_eq!((changed.len(), moved), (3, 3), "{changed:?}");
    }

    #[test]
    fn a_broker_that_leaves_is_emptied_and_nothing_else_moves() {
        let before = placed(&[&[1, 2], &[2, 4], &[4, 1], &[3, 1]]);
        let changed = plan(&before, &brokers(&[(1, ""), (2, ""), (3, "")])).unwrap();
        assert_eq!(changed.iter().map(|p| p.partition).collect::<Vec<_>>(), [1, 2]);
        assert!(changed.iter().all(|p| !p.replicas.contains(&4)));
        assert_eq!(changed[0].replicas[0], 2, "the leader stays where it is");
    }

    #[test]
    fn a_broker_is_emptied_and_what_is_uneven_stays_so() {
        let before = placed(&[&[1, 2], &[1, 4], &[1, 2], &[9, 4]]);
        let changed = empty(4, &before, &brokers(&[(1, ""), (2, ""), (3, ""), (4, "")])).unwrap();
        assert_eq!(changed.iter().map(|p| &p.replicas[..]).collect::<Vec<_>>(), [[1, 3], [9, 3]]);
        let refused = empty(2, &placed(&[&[1, 2, 3]]), &brokers(&[(1, ""), (2, ""), (3, "")])).unwrap_err();
        assert_eq!(refused.to_string(), "t-0 has 3 replicas, and 2 brokers are left for them");
    }

    #[test]
    fn the_free_rack_comes_before_the_emptier_broker() {
        let set = brokers(&[(1, "a"), (2, "b"), (3, "b"), (4, "c")]);
        let changed = empty(1, &placed(&[&[1, 2], &[4, 3], &[4, 2]]), &set).unwrap();
        assert_eq!(changed, placed(&[&[4, 2]]), "3 holds fewer than 4 and shares the rack of 2");
    }

    #[test]
    fn replicas_stay_in_different_racks() {
        let before = placed(&[&[1, 2, 3], &[1, 2, 3]]);
        let set = brokers(&[(1, "a"), (2, "b"), (4, "c"), (5, "a")]);
        for changed in plan(&before, &set).unwrap() {
            let racks: BTreeSet<_> = changed.replicas.iter().map(|id| set[id].clone()).collect();
            assert_eq!(racks.len(), 3, "{changed:?}");
        }
    }

    #[test]
    fn too_few_brokers_are_told_before_anything_moves() {
        let refused = plan(&placed(&[&[1, 2, 3]]), &brokers(&[(1, ""), (2, "")])).unwrap_err();
        assert_eq!(refused.to_string(), "t-0 has 3 replicas, and 2 brokers are left for them");
    }

    #[test]
    fn what_is_even_stays() {
        let before = placed(&[&[1, 2, 3], &[2, 3, 1]]);
        assert_eq!(plan(&before, &brokers(&[(1, ""), (2, ""), (3, "")])).unwrap(), []);
    }

    fn layouts() -> impl Strategy<Value = (Vec<Placed>, BTreeMap<i32, Option<String>>)> {
        let rack = prop_oneof![Just(None), (0..3_u8).prop_map(|rack| Some(rack.to_string()))];
        let set = prop::collection::btree_map(0..8_i32, rack, 3..7);
        let replicas = prop::sample::subsequence((0..10_i32).collect::<Vec<_>>(), 1..=3).prop_shuffle();
        (prop::collection::vec(replicas, 0..20), set).prop_map(|(rows, set)| {
            let rows: Vec<&[i32]> = rows.iter().map(Vec::as_slice).collect();
            (placed(&rows), set)
        })
    }

    proptest! {
        #[test]
        fn every_plan_is_sound((before, set) in layouts()) {
            let changed = plan(&before, &set).unwrap();
            let mut after = before.clone();
            for new in &changed {
                let at = usize::try_from(new.partition).unwrap();
                prop_assert_ne!(&after[at], new);
                after[at] = new.clone();
            }
            for (new, old) in after.iter().zip(&before) {
                prop_assert_eq!(new.replicas.len(), old.replicas.len());
                prop_assert!(new.replicas.iter().all(|id| set.contains_key(id)));
                let different: BTreeSet<_> = new.replicas.iter().collect();
                prop_assert_eq!(different.len(), new.replicas.len());
            }
            // Whoever is emptied alone is the only one that changes, and only where it was.
            if let Some(leaving) = set.keys().next().copied() {
                let held = before.iter().filter(|p| p.replicas.contains(&leaving));
                if let Ok(moves) = empty(leaving, &before, &set) {
                    prop_assert_eq!(moves.len(), held.count());
                    for new in &moves {
                        let old = &before[usize::try_from(new.partition).unwrap()].replicas;
                        let other: Vec<_> = old.iter().zip(&new.replicas).filter(|(a, b)| a != b).collect();
                        prop_assert_eq!(other.len(), 1);
                        prop_assert_eq!(*other[0].0, leaving);
                        prop_assert!(!old.contains(other[0].1));
                    }
                }
            }
            // A second plan on top of it has nothing to do.
            prop_assert_eq!(plan(&after, &set).unwrap(), Vec::new());
            if set.values().all(Option::is_none) {
                let load = |id: &i32| after.iter().filter(|p| p.replicas.contains(id)).count();
                let loads: Vec<usize> = set.keys().map(load).collect();
                let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
                prop_assert!(spread <= 1, "{loads:?}");
            }
        }
    }
}
