//! Epoch chains: which leader wrote which offsets. Data of the same lineage has the same chain over the same offsets.
//!
//! ```text
//! chain   (epoch 0 from 0) (epoch 3 from 40) (epoch 4 from 90)
//! offsets 0 ............. 40 .............. 90 ..............
//! ```

/// From this offset on, the batches carry this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochStart {
    /// The leader's epoch.
    pub epoch: i32,
    /// The first offset written under it.
    pub start: i64,
}

/// The part of a chain that covers `base..end`: the first entry starts at `base` if its epoch began before.
#[must_use]
pub fn slice(chain: &[EpochStart], base: i64, end: i64) -> Vec<EpochStart> {
    let mut part: Vec<EpochStart> = Vec::new();
    for entry in chain.iter().filter(|entry| entry.start < end) {
        let start = entry.start.max(base);
        match part.last_mut() {
            // An epoch that ended before `base`, or in which nothing was appended.
            Some(last) if last.start == start => *last = EpochStart { epoch: entry.epoch, start },
            _ => part.push(EpochStart { epoch: entry.epoch, start }),
        }
    }
    part
}

/// Up to where data with chain `data` over `base..end` is of the lineage of `chain`: `end` for all of it, `base` for
/// none. Offsets before the chain's first entry were expired from the log: nothing is known of them, and nothing
/// contradicts. Without a chain nothing is known to agree.
#[must_use]
pub fn agreed_end(chain: &[EpochStart], data: &[EpochStart], base: i64, end: i64) -> i64 {
    let Some(known_from) = chain.first().map(|entry| entry.start) else { return base };
    let from = base.max(known_from);
    if from >= end {
        return end;
    }
    let (ours, theirs) = (slice(chain, from, end), slice(data, from, end));
    let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let next = ours.get(same).into_iter().chain(theirs.get(same)).map(|entry| entry.start).min();
    next.unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(entries: &[(i32, i64)]) -> Vec<EpochStart> {
        entries.iter().map(|&(epoch, start)| EpochStart { epoch, start }).collect()
    }

    #[test]
    fn a_slice_starts_at_its_base_with_the_epoch_in_force() {
        let all = chain(&[(0, 0), (3, 40), (4, 90)]);
        assert_eq!(slice(&all, 50, 95), chain(&[(3, 50), (4, 90)]));
        assert_eq!(slice(&all, 40, 90), chain(&[(3, 40)]));
        assert_eq!(slice(&all, 0, 40), chain(&[(0, 0)]));
    }

    #[test]
    fn an_epoch_without_records_leaves_no_trace() {
        assert_eq!(slice(&chain(&[(0, 0), (1, 40), (2, 40)]), 0, 50), chain(&[(0, 0), (2, 40)]));
    }

    #[test]
    fn other_data_at_the_same_offsets_is_not_of_the_lineage() {
        let leader = chain(&[(0, 0), (3, 40)]);
        assert_eq!(agreed_end(&leader, &chain(&[(0, 10)]), 10, 40), 40);
        assert_eq!(agreed_end(&leader, &chain(&[(0, 10), (3, 40)]), 10, 60), 60);
        assert_eq!(agreed_end(&leader, &chain(&[(0, 10), (2, 45)]), 10, 60), 40, "a deposed leader's tail");
        assert_eq!(agreed_end(&leader, &chain(&[(2, 30), (3, 40)]), 30, 60), 30, "from the first record on");
        assert_eq!(agreed_end(&leader, &chain(&[(0, 10)]), 10, 41), 40, "past the divergence");
    }

    #[test]
    fn what_lies_before_the_chain_is_not_contradicted() {
        let leader = chain(&[(3, 40)]);
        assert_eq!(agreed_end(&leader, &chain(&[(0, 0)]), 0, 30), 30);
        assert_eq!(agreed_end(&leader, &chain(&[(0, 0), (3, 35)]), 0, 50), 50);
        assert_eq!(agreed_end(&[], &chain(&[(0, 0)]), 0, 30), 0);
    }
}
