//! For tests: what compaction leaves of a coordinator's log, by the rules of a log cleaner.
//!
//! Below a point that lies at or below the first open transaction, of each key the last record stays; what was aborted goes.
//! Tombstones, and markers of transactions that have nothing left, stay or go. Whatever is left, a replay of it must give
//! the same memory: else compaction could not bound the replay.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::shard::{Entry, Shard};
use crate::types::ProducerId;

/// One run of the cleaner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cleaning {
    /// So many parts in 256 of the log are looked at.
    pub(super) share: u8,
    /// Tombstones are still young, and stay.
    pub(super) keeps_tombstones: bool,
    /// A planted defect: the first record of a key stays, not the last.
    pub(super) keeps_the_first: bool,
}

impl Cleaning {
    pub(super) fn new(share: u8, keeps_tombstones: bool) -> Cleaning {
        Cleaning { share, keeps_tombstones, keeps_the_first: false }
    }

    pub(super) fn clean<S: Shard>(self, log: &[Entry<S::Record>]) -> Vec<Entry<S::Record>>
    where
        S::Record: Clone,
    {
        let outcomes = outcomes(log);
        let end = log.len() * usize::from(self.share) / 255;
        let end = (0..end).find(|at| is_open(log, &outcomes, *at)).unwrap_or(end);
        let counts = |at: usize| outcomes.get(&at).is_none_or(|commit| *commit);
        let keyed = (0..end).filter(|at| counts(*at)).filter_map(|at| Some((at, key::<S>(&log[at])?.0)));
        let mut kept: HashMap<Bytes, usize> = HashMap::new();
        for (at, key) in keyed {
            if self.keeps_the_first {
                kept.entry(key).or_insert(at);
            } else {
                kept.insert(key, at);
            }
        }
        let stays = |at: usize| match key::<S>(&log[at]) {
            Some((_, is_tombstone)) if is_tombstone && !self.keeps_tombstones => false,
            Some((key, _)) => kept.get(&key) == Some(&at),
            None => true,
        };
        let mut cleaned: Vec<Entry<S::Record>> = Vec::new();
        let mut has_something: HashSet<ProducerId> = HashSet::new();
        for (at, entry) in log.iter().enumerate() {
            let stays = at >= end || stays(at);
            match entry {
                Entry::InTransaction(producer, _) if stays => {
                    has_something.insert(producer.id);
                }
                Entry::Marker(marker) => {
                    let ends_something = has_something.remove(&marker.producer.id);
                    if at < end && !ends_something && !self.keeps_tombstones {
                        continue;
                    }
                }
                _ => {}
            }
            if stays {
                cleaned.push(entry.clone());
            }
        }
        cleaned
    }
}

/// Of each record in a transaction that has ended, whether it was committed.
fn outcomes<R>(log: &[Entry<R>]) -> HashMap<usize, bool> {
    let mut open: HashMap<ProducerId, Vec<usize>> = HashMap::new();
    let mut outcomes = HashMap::new();
    for (at, entry) in log.iter().enumerate() {
        match entry {
            Entry::InTransaction(producer, _) => open.entry(producer.id).or_default().push(at),
            Entry::Marker(marker) => {
                let ended = open.remove(&marker.producer.id).unwrap_or_default();
                outcomes.extend(ended.into_iter().map(|at| (at, marker.commit)));
            }
            Entry::Record(_) => {}
        }
    }
    outcomes
}

fn is_open<R>(log: &[Entry<R>], outcomes: &HashMap<usize, bool>, at: usize) -> bool {
    matches!(log[at], Entry::InTransaction(..)) && !outcomes.contains_key(&at)
}

/// The key, and whether it is of a tombstone; none for a marker.
fn key<S: Shard>(entry: &Entry<S::Record>) -> Option<(Bytes, bool)> {
    let (Entry::Record(record) | Entry::InTransaction(_, record)) = entry else { return None };
    let (key, value) = S::encode(record).expect("what was decided can be written down");
    Some((key, value.is_none()))
}
