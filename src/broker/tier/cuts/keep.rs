//! Which cuts stay in the store, as whoever takes them knows it.
//!
//! A cut is whole once the tier of each partition has passed its mark: then it can be restored. The newest whole one stays with all later ones,
//! which wait for the tier. Too many that wait are thinned out evenly. One whose records an unclean election or a restore has put others in
//! place of will never be whole, and goes. A part goes a round after the last cut that names it, so that a leader who is being replaced
//! takes nothing from under its successor's first cut.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tiering::backup;
use tiering::layout::PartitionFolder;
use tiering::store::{Store, StoreError};

use super::super::backup::{BackupError, CutBackup, CutMark};
use super::PartitionMark;

/// Cuts that are kept at most, the whole one among them.
const MOST_KEPT: usize = 24;

/// Where partitions stand now, by topic id and partition.
pub(super) type Present = BTreeMap<String, BTreeMap<i32, PartitionMark>>;

/// The cuts that are in the store.
#[derive(Debug, Default)]
pub(super) struct KeptCuts {
    /// By number.
    cuts: BTreeMap<u64, CutBackup>,
    /// Numbers of objects that cannot be read.
    damaged: BTreeSet<u64>,
    /// The newest whole one.
    whole: Option<u64>,
    /// Parts that are there, or may be.
    parts: BTreeSet<String>,
    /// Those of them that no cut named a round ago.
    unnamed: BTreeSet<String>,
}

/// How far the tier is with a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    Waits,
    /// Other records are where it ends.
    Lost,
}

impl KeptCuts {
    /// What the store has.
    pub(super) async fn load(store: &dyn Store, cluster_id: &str) -> Result<KeptCuts, BackupError> {
        let folder = PartitionFolder::cuts_of(cluster_id);
        let mut kept = KeptCuts::default();
        for number in backup::generations(store, &folder).await? {
            let body = match backup::read(store, &folder, number).await {
                Err(StoreError::NotFound { .. }) => continue,
                body => body?,
            };
            match body.map(|body| serde_json::from_slice(&body)) {
                Some(Ok(cut)) => {
                    kept.cuts.insert(number, cut);
                }
                Some(Err(_)) | None => {
                    tracing::warn!(number, "a cut cannot be read");
                    kept.damaged.insert(number);
                }
            }
        }
        let parts = store.list(&PartitionFolder::all_cut_parts_of(cluster_id), None).await?;
        kept.parts = parts.into_iter().map(|listed| listed.key).collect();
        Ok(kept)
    }

    /// When the newest whole one was taken; where none is whole yet, the oldest one that waits.
    pub(super) fn whole_ms(&self) -> Option<i64> {
        let whole = self.whole.and_then(|number| self.cuts.get(&number));
        whole.or_else(|| self.cuts.values().next()).map(|cut| cut.taken_ms)
    }

    /// Whether the newest one says the same.
    pub(super) fn says_as(&self, cut: &CutBackup) -> bool {
        let ends = |cut: &CutBackup| -> BTreeMap<String, Vec<(i64, i32)>> {
            let marks = |marks: &[CutMark]| marks.iter().map(|mark| (mark.offset, mark.epoch)).collect();
            cut.topics.iter().map(|(id, topic)| (id.clone(), marks(&topic.marks))).collect()
        };
        self.cuts
            .last_key_value()
            .is_some_and(|(_, last)| last.groups == cut.groups && ends(last) == ends(cut))
    }

    /// The parts of a cut that are not known to be there.
    pub(super) fn missing_parts(&self, cut: &CutBackup) -> BTreeSet<String> {
        let named = self.named();
        objects(cut).filter(|key| !named.contains(key)).cloned().collect()
    }

    fn named(&self) -> BTreeSet<&String> {
        self.cuts.values().flat_map(objects).collect()
    }

    /// Parts are about to be written.
    pub(super) fn may_have_parts(&mut self, parts: &BTreeSet<String>) {
        self.parts.extend(parts.iter().cloned());
    }

    /// Writes a cut, whose parts are there.
    pub(super) async fn add(&mut self, store: &dyn Store, cut: CutBackup) -> Result<u64, BackupError> {
        let number = self.cuts.keys().chain(&self.damaged).max().map_or(1, |last| last + 1);
        let folder = PartitionFolder::cuts_of(&cut.cluster_id);
        let words = |error| BackupError::Content { folder: folder.clone(), generation: number, error };
        let body = serde_json::to_vec(&cut).map_err(words)?;
        backup::create(store, &folder, number, &Bytes::from(body)).await?;
        self.cuts.insert(number, cut);
        Ok(number)
    }

    /// Finds the newest whole cut, by where the partitions stand now.
    pub(super) fn judge(&mut self, now: &Present) {
        let mut lost = Vec::new();
        for (number, cut) in self.cuts.iter().rev() {
            if Some(*number) == self.whole {
                break;
            }
            match state(cut, now) {
                State::Whole => {
                    self.whole = Some(*number);
                    break;
                }
                State::Waits => {}
                State::Lost => lost.push(*number),
            }
        }
        for number in lost {
            tracing::warn!(number, "a cut will never be whole: other records are where it ends");
            self.damaged.insert(number);
            self.cuts.remove(&number);
        }
    }

    /// Removes what need not stay: cuts before the newest whole one, too many that wait, parts that no cut names.
    pub(super) async fn tidy(&mut self, store: &dyn Store, cluster_id: &str) -> Result<(), StoreError> {
        let folder = PartitionFolder::cuts_of(cluster_id);
        let mut gone: Vec<u64> = self.too_many();
        // Without a whole one they may be all that there is of a life before.
        if let Some(whole) = self.whole {
            gone.extend(self.cuts.range(..whole).map(|(number, _)| *number));
            gone.extend(self.damaged.range(..whole));
        }
        for number in gone {
            backup::remove(store, &folder, number).await?;
            self.cuts.remove(&number);
            self.damaged.remove(&number);
        }
        let named = self.named();
        let unnamed: BTreeSet<String> =
            self.parts.iter().filter(|part| !named.contains(part)).cloned().collect();
        for part in unnamed.intersection(&self.unnamed) {
            store.delete(part).await?;
            self.parts.remove(part);
        }
        self.unnamed = unnamed.difference(&self.unnamed).cloned().collect();
        Ok(())
    }

    /// Of the cuts that wait those that are one too many: never the oldest, which will be whole first, nor the newest, and of the others
    /// the one whose neighbours are nearest to each other.
    fn too_many(&self) -> Vec<u64> {
        let first = self.whole.map_or(0, |whole| whole + 1);
        let waits = self.cuts.range(first..);
        let mut waits: Vec<(u64, i64)> = waits.map(|(number, cut)| (*number, cut.taken_ms)).collect();
        let mut gone = Vec::new();
        while waits.len() >= MOST_KEPT {
            let gap = |at: &usize| waits[at + 1].1.saturating_sub(waits[at - 1].1);
            let Some(at) = (1..waits.len() - 1).min_by_key(gap) else { break };
            gone.push(waits.remove(at).0);
        }
        gone
    }
}

fn objects(cut: &CutBackup) -> impl Iterator<Item = &String> {
    cut.groups.parts.iter().filter_map(|part| part.object.as_ref())
}

/// A topic that is gone, or takes part no more, holds no cut back; one of which nothing is left says nothing.
fn state(cut: &CutBackup, now: &Present) -> State {
    let known = cut.topics.iter().filter_map(|(id, topic)| Some((topic, now.get(id)?)));
    let (mut any, mut waits) = (cut.topics.is_empty(), false);
    for (topic, now) in known {
        for (partition, mark) in (0..).zip(&topic.marks) {
            let Some(now) = now.get(&partition) else { continue };
            any = true;
            if now.mark.offset >= mark.offset
                && epoch_before(now, mark.offset).is_some_and(|e| e != mark.epoch)
            {
                return State::Lost;
            }
            waits |= now.mark.tier_end < mark.offset && mark.offset > 0;
        }
    }
    if any && !waits { State::Whole } else { State::Waits }
}

/// The leader epoch of the record before an offset, where it is told.
fn epoch_before(now: &PartitionMark, offset: i64) -> Option<i32> {
    let before = now.epochs.iter().take_while(|(_, start)| *start < offset);
    before.last().map(|(epoch, _)| *epoch)
}

#[cfg(test)]
mod tests {
    use tiering::store::MemoryStore;

    use super::super::super::backup::{CutTopic, PartBackup, PartsBackup};
    use super::*;
    use crate::types::TopicId;

    const ID: &str = "t";

    /// A cut at this offset of one partition, taken then, with a part of this name.
    fn cut(offset: i64, taken_ms: i64, part: &str) -> CutBackup {
        let mark = CutMark { offset, epoch: 2, tier_end: 0 };
        let object = Some(PartitionFolder::cut_parts_of("c", "1") + part);
        let part = PartBackup { partition: 0, epoch: 1, names: 1, entries: 1, object, directory: None };
        CutBackup {
            cluster_id: "c".into(),
            taken_ms,
            topics: BTreeMap::from([(ID.into(), CutTopic { name: "t".into(), marks: vec![mark] })]),
            groups: PartsBackup { parts: vec![part] },
        }
    }

    /// The partition ends here, its tier there, and its records are of these epochs.
    fn present(offset: i64, tier_end: i64, epochs: &[(i32, i64)]) -> Present {
        let mark = CutMark { offset, epoch: 2, tier_end };
        let epochs = epochs.to_vec();
        let topic = TopicId::from_bytes([1; 16]);
        let one = PartitionMark { topic, partition: 0, leader_epoch: 2, mark, epochs };
        BTreeMap::from([(ID.to_owned(), BTreeMap::from([(0, one)]))])
    }

    async fn numbers(store: &dyn Store) -> Vec<u64> {
        backup::generations(store, &PartitionFolder::cuts_of("c")).await.unwrap()
    }

    async fn parts(store: &dyn Store) -> usize {
        store.list(&PartitionFolder::all_cut_parts_of("c"), None).await.unwrap().len()
    }

    async fn add(kept: &mut KeptCuts, store: &dyn Store, cut: CutBackup) -> u64 {
        let missing = kept.missing_parts(&cut);
        kept.may_have_parts(&missing);
        for key in &missing {
            backup::write_part(store, key, &Bytes::from_static(b"x")).await.unwrap();
        }
        kept.add(store, cut).await.unwrap()
    }

    #[tokio::test]
    async fn the_newest_whole_cut_stays_with_all_later_ones_and_what_they_name() {
        let store = MemoryStore::new();
        let mut kept = KeptCuts::load(&store, "c").await.unwrap();
        for (number, part) in (1..=4).zip(["a", "b", "b", "c"]) {
            assert_eq!(
                add(&mut kept, &store, cut(number * 10, number, part)).await,
                u64::try_from(number).unwrap()
            );
        }
        let epochs = [(2, 0)];
        kept.judge(&present(40, 9, &epochs));
        kept.tidy(&store, "c").await.unwrap();
        assert_eq!((kept.whole, kept.whole_ms(), numbers(&store).await), (None, Some(1), vec![1, 2, 3, 4]));
        kept.judge(&present(40, 25, &epochs));
        kept.tidy(&store, "c").await.unwrap();
        assert_eq!((kept.whole, kept.whole_ms(), numbers(&store).await), (Some(2), Some(2), vec![2, 3, 4]));
        assert_eq!(parts(&store).await, 3, "the part of the first one goes a round later");
        kept.tidy(&store, "c").await.unwrap();
        assert_eq!(parts(&store).await, 2);
        // The next leader of the quorum finds the same.
        let mut next = KeptCuts::load(&store, "c").await.unwrap();
        next.judge(&present(40, 40, &epochs));
        next.tidy(&store, "c").await.unwrap();
        assert_eq!((next.whole, numbers(&store).await), (Some(4), vec![4]));
        next.tidy(&store, "c").await.unwrap();
        assert_eq!(parts(&store).await, 1);
        assert!(next.says_as(&cut(40, 99, "c")));
        assert!(!next.says_as(&cut(41, 99, "c")) && !next.says_as(&cut(40, 99, "d")));
        assert_eq!(add(&mut next, &store, cut(41, 99, "c")).await, 5);
    }

    #[tokio::test]
    async fn cuts_that_wait_for_long_are_thinned_out_and_the_oldest_of_them_stays() {
        let store = MemoryStore::new();
        let mut kept = KeptCuts::default();
        for number in 1..=100 {
            add(&mut kept, &store, cut(number * 10, number, "a")).await;
            kept.judge(&present(number * 10, 10, &[(2, 0)]));
            kept.tidy(&store, "c").await.unwrap();
        }
        let left = numbers(&store).await;
        assert_eq!(left.len(), MOST_KEPT);
        assert_eq!((left[0], left[1], left[MOST_KEPT - 1]), (1, 2, 100));
        let widest = left[1..].windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest <= Some(16), "{left:?}");
    }

    #[tokio::test]
    async fn a_cut_of_another_lineage_is_never_whole_and_does_not_push_out_one_that_is() {
        let store = MemoryStore::new();
        let mut kept = KeptCuts::default();
        for (number, offset) in [(1, 10), (2, 30)] {
            add(&mut kept, &store, cut(offset, number, "a")).await;
        }
        // What lay above 20 was lost, and others have been written since.
        kept.judge(&present(50, 50, &[(2, 0), (3, 20)]));
        kept.tidy(&store, "c").await.unwrap();
        assert_eq!((kept.whole, kept.cuts.len()), (Some(1), 1));
        add(&mut kept, &store, cut(50, 3, "a")).await;
        assert_eq!(numbers(&store).await, [1, 2, 3]);
        // A topic that is gone holds nothing back; where all are gone nothing is known.
        assert_eq!(state(&cut(10, 1, "a"), &BTreeMap::new()), State::Waits);
        assert_eq!(state(&cut(10, 1, "a"), &present(50, 50, &[])), State::Whole, "its epochs are not told");
        assert_eq!(state(&cut(0, 1, "a"), &present(0, -1, &[])), State::Whole, "an empty log");
        assert_eq!(state(&cut(50, 1, "a"), &present(20, 20, &[(2, 0)])), State::Waits);
    }

    #[tokio::test]
    async fn a_cut_that_cannot_be_read_is_passed_over_and_goes_with_the_others() {
        let store = MemoryStore::new();
        let mut kept = KeptCuts::default();
        add(&mut kept, &store, cut(10, 1, "a")).await;
        store.put(&format!("{}{:020}", PartitionFolder::cuts_of("c"), 2), vec![Bytes::new()]).await.unwrap();
        let mut next = KeptCuts::load(&store, "c").await.unwrap();
        assert_eq!(add(&mut next, &store, cut(20, 3, "a")).await, 3);
        next.judge(&present(20, 20, &[(2, 0)]));
        next.tidy(&store, "c").await.unwrap();
        assert_eq!(numbers(&store).await, [3]);
    }
}
