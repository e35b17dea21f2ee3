//! Which cut a cluster comes back to: the newest that is whole, that is, of which the tier of every partition holds all.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tiering::backup;
use tiering::layout::PartitionFolder;
use tiering::manifest::Manifest;
use tiering::publish::{PublishError, Publisher};
use tiering::store::{SharedStore, StoreError};

use crate::broker::{CutBackup, CutMark, CutTopic};
use crate::cli::report::{Output, say};
use crate::cli::times;

/// Partitions that are looked at side by side.
const AT_ONCE: usize = 16;
/// So many of what a cut lacks are named.
const NAMED: usize = 20;

/// Up to where a cluster comes back.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The newest moment that all of it is in the store of: no transaction is half there, and no group ahead of its records.
    Cut,
    /// Each partition up to its own end in the store, at no common point.
    End,
}

/// The cut that a cluster comes back to.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Its number.
    pub(super) number: u64,
    pub(super) cut: CutBackup,
    /// The offsets between it and the tier's end, by topic's id.
    beyond: BTreeMap<String, i64>,
}

impl Chosen {
    /// One that a restore which broke off has begun with.
    ///
    /// # Errors
    /// When its copy is damaged or gone, or the store fails.
    pub(super) async fn of_before(store: &SharedStore, cluster_id: &str, number: u64) -> Result<Chosen> {
        let cut = CutBackup::kept(&**store, cluster_id, number).await;
        let cut = cut.with_context(|| format!("the topics that are back were restored to cut {number}"))?;
        Ok(Chosen { number, cut, beyond: BTreeMap::new() })
    }

    /// Where a topic's partitions end; none for one that is younger than the cut.
    pub(super) fn marks(&self, topic_id: &str) -> &[CutMark] {
        self.cut.topics.get(topic_id).map_or(&[], |topic| &topic.marks)
    }

    /// The offsets of a topic that the tier holds above the cut; `None` for a topic that is not in it.
    pub(super) fn beyond(&self, topic_id: &str) -> Option<i64> {
        self.cut.topics.contains_key(topic_id).then(|| self.beyond.get(topic_id).copied().unwrap_or(0))
    }

    /// What comes back beside the cut, since it is younger: topics, or the last partitions of one.
    pub(super) fn outside<'a>(&self, topics: impl Iterator<Item = (&'a str, &'a str, i32)>) -> Vec<String> {
        let mut outside = Vec::new();
        for (name, id, partitions) in topics {
            let marks = i32::try_from(self.marks(id).len()).unwrap_or(i32::MAX);
            match marks {
                0 => outside.push(name.to_owned()),
                marks => outside.extend((marks..partitions).map(|partition| format!("{name}-{partition}"))),
            }
        }
        outside
    }

    /// Says what it is.
    pub(super) fn tell(&self, output: Output, outside: &[String]) -> Value {
        let (number, taken) = (self.number, times::tell(self.cut.taken_ms));
        let beyond: i64 = self.beyond.values().sum();
        say(output, &format!("cut {number}, taken at {taken}: the cluster comes back as it was then"));
        if beyond > 0 {
            say(
                output,
                &format!(
                    "{beyond} offsets in the store are younger than the cut, and do not come back; with --to end they would, \
                     each partition up to its own end, at no common point"
                ),
            );
        }
        if !outside.is_empty() {
            let outside = outside.join(", ");
            say(
                output,
                &format!("outside the cut, since they are younger, and back to their own ends: {outside}"),
            );
        }
        json!({
            "number": number,
            "taken": taken,
            "taken_ms": self.cut.taken_ms,
            "offsets_beyond": beyond,
            "outside": outside,
        })
    }
}

/// The newest whole cut; `None` where the store has none at all, as of an earlier program.
///
/// `topics` are the ids of those that come back, and how many of their partitions have something in the tier. One that was deleted since
/// the cut is not missed, nor one of which nothing is left that the cut knows to have been in the tier.
///
/// # Errors
/// What the store answers; with cuts of which none is whole, what the newest lacks.
pub(super) async fn newest_whole(
    store: &SharedStore,
    cluster_id: &str,
    topics: &BTreeMap<&str, usize>,
    output: Output,
) -> Result<Option<Chosen>> {
    let (cuts, unreadable) = all(store, cluster_id, output).await?;
    let mut looks: Vec<Look> = cuts.iter().map(|_| Look::default()).collect();
    let mut partitions: BTreeMap<(&str, usize), &CutTopic> = BTreeMap::new();
    for (id, topic) in cuts.iter().flat_map(|(_, cut)| &cut.topics) {
        let was_there = || topic.marks.iter().any(|mark| mark.tier_end > 0);
        if topics.get(id.as_str()).is_some_and(|in_tier| *in_tier > 0 || !was_there()) {
            partitions.extend((0..topic.marks.len()).map(|partition| ((id.as_str(), partition), topic)));
        }
    }
    let heads = partitions.into_iter().map(async |((id, partition), topic)| {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let folder = PartitionFolder::new(cluster_id, &topic.name, id, number)?;
        let head = match Publisher::new(store.clone(), folder).find_head(0).await {
            Ok(head) => Ok(head.manifest),
            Err(PublishError::Store(error)) => return Err(error.into()),
            Err(error) => Err(error.to_string()),
        };
        Ok::<_, anyhow::Error>((id, partition, topic.name.as_str(), head))
    });
    let mut heads = stream::iter(heads).buffered(AT_ONCE);
    while let Some((id, partition, name, head)) = heads.try_next().await? {
        for (look, (_, cut)) in looks.iter_mut().zip(&cuts) {
            let mark = cut.topics.get(id).and_then(|topic| topic.marks.get(partition));
            let Some(mark) = mark else { continue };
            match &head {
                Ok(manifest) => look.at(mark, manifest.as_ref(), (id, name, partition)),
                Err(why) => look.lacks.push(format!("{name}-{partition}: {why}")),
            }
        }
    }
    drop(heads);
    let newest = looks.first().map(|look| look.words());
    let found = cuts.into_iter().zip(looks).find(|(_, look)| look.lacks.is_empty());
    match (found, newest) {
        (Some(((number, cut), look)), _) => Ok(Some(Chosen { number, cut, beyond: look.beyond })),
        (None, Some(lacks)) => bail!("no cut in the store is whole; the newest lacks {lacks}. {INSTEAD}"),
        (None, None) => {
            ensure!(unreadable == 0, "none of the {unreadable} cuts in the store can be read. {INSTEAD}");
            Ok(None)
        }
    }
}

const INSTEAD: &str =
    "With --to end each partition comes back up to its own end, at no common point; nothing was changed";

/// The cuts that can be read, newest first, and how many can't.
async fn all(
    store: &SharedStore,
    cluster_id: &str,
    output: Output,
) -> Result<(Vec<(u64, CutBackup)>, usize)> {
    let folder = PartitionFolder::cuts_of(cluster_id);
    let (mut cuts, mut unreadable) = (Vec::new(), 0);
    for number in backup::generations(&**store, &folder).await?.into_iter().rev() {
        let body = match backup::read(&**store, &folder, number).await {
            Ok(body) => body,
            // Pushed out by a newer one since the listing.
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let read =
            body.context("it is damaged").and_then(|body| Ok(serde_json::from_slice::<CutBackup>(&body)?));
        match read {
            Ok(cut) if cut.cluster_id == cluster_id => cuts.push((number, cut)),
            Ok(cut) => {
                say(output, &format!("cut {number} is passed over: it is of cluster {}", cut.cluster_id));
                unreadable += 1;
            }
            Err(error) => {
                say(output, &format!("cut {number} is passed over: {error}"));
                unreadable += 1;
            }
        }
    }
    Ok((cuts, unreadable))
}

/// What the tier holds of a cut.
#[derive(Debug, Default)]
struct Look {
    lacks: Vec<String>,
    beyond: BTreeMap<String, i64>,
}

impl Look {
    fn at(
        &mut self,
        mark: &CutMark,
        manifest: Option<&Manifest>,
        (id, name, partition): (&str, &str, usize),
    ) {
        if let Some(why) = lack(mark, manifest) {
            self.lacks.push(format!("{name}-{partition}: {why}"));
        }
        let end = manifest.and_then(Manifest::tier_end).unwrap_or(0);
        let start = manifest.map_or(0, |manifest| manifest.log_start);
        let beyond = (end - mark.offset.max(start)).max(0);
        *self.beyond.entry(id.to_owned()).or_default() += beyond;
    }

    fn words(&self) -> String {
        let mut words = self.lacks.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
        if self.lacks.len() > NAMED {
            words.push_str(&format!("; and {} more", self.lacks.len() - NAMED));
        }
        words
    }
}

/// What a partition's tier lacks of a cut.
fn lack(mark: &CutMark, manifest: Option<&Manifest>) -> Option<String> {
    let (offset, epoch) = (mark.offset, mark.epoch);
    if offset <= 0 {
        return None;
    }
    let Some(manifest) = manifest else { return Some(format!("it has nothing, the cut is at {offset}")) };
    if offset <= manifest.log_start {
        return None; // expired since
    }
    let end = manifest.tier_end().unwrap_or(manifest.log_start);
    if end < offset {
        return Some(format!("it ends at {end}, the cut is at {offset}"));
    }
    match manifest.epoch_before(offset) {
        Some(found) if found == epoch => None,
        Some(found) => Some(format!("the record before {offset} is of epoch {found}, not {epoch}")),
        None => Some(format!("it does not hold the record before {offset}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tiering::layout::{ArchiveName, SegmentName};
    use tiering::lineage::EpochStart;
    use tiering::manifest::{Archive, Segment, Writer};
    use tiering::store::MemoryStore;
    use uuid::Uuid;

    use super::*;
    use crate::broker::PartsBackup;

    fn mark(offset: i64, epoch: i32) -> CutMark {
        CutMark { offset, epoch, tier_end: 10 }
    }

    fn row(base: i64, end: i64, epochs: &[(i32, i64)]) -> Segment {
        Segment {
            name: SegmentName {
                base,
                leader_epoch: epochs[0].0,
                uuid: Uuid::from_u128(base.cast_unsigned().into()),
            },
            end,
            epochs: epochs.iter().map(|&(epoch, start)| EpochStart { epoch, start }).collect(),
            max_timestamp: 0,
            log_bytes: 1,
            footer_bytes: 1,
            crc: 0,
        }
    }

    /// Offsets 20..100: of epoch 2 below 70, of epoch 5 from there on; what lies below 30 has expired.
    fn manifest() -> Manifest {
        Manifest {
            generation: 1,
            writer: Writer { epoch: 5, uuid: Uuid::from_u128(1) },
            log_start: 30,
            live: vec![row(20, 60, &[(2, 20)]), row(60, 100, &[(2, 60), (5, 70)])],
            ..Manifest::default()
        }
    }

    #[test]
    fn a_partition_has_all_of_a_cut_if_its_tier_goes_as_far_in_the_same_lineage() {
        let lacks = |mark: CutMark| lack(&mark, Some(&manifest()));
        for whole in [mark(0, -1), mark(60, 2), mark(70, 2), mark(71, 5), mark(100, 5), mark(31, 2)] {
            assert_eq!(lacks(whole), None, "{whole:?}");
        }
        assert_eq!(lacks(mark(30, 77)), None, "expired since, whatever it was");
        assert_eq!(lacks(mark(101, 5)).unwrap(), "it ends at 100, the cut is at 101");
        assert_eq!(lacks(mark(70, 5)).unwrap(), "the record before 70 is of epoch 2, not 5");
        assert_eq!(lacks(mark(71, 2)).unwrap(), "the record before 71 is of epoch 5, not 2");
        let rows = manifest().live;
        let name = ArchiveName::new(20, 100, 5, Uuid::from_u128(9));
        let archives = vec![Archive::of(name, &rows, 0).unwrap()];
        let archived = Manifest { archives, live: Vec::new(), ..manifest() };
        for (offset, epoch) in [(60, 2), (70, 2), (70, 5), (71, 2), (71, 5), (100, 5), (101, 5)] {
            let mark = mark(offset, epoch);
            assert_eq!(lack(&mark, Some(&archived)), lacks(mark), "{mark:?} in an archive");
        }
        assert_eq!(lack(&mark(0, -1), None), None);
        assert_eq!(lack(&mark(1, 0), None).unwrap(), "it has nothing, the cut is at 1");
        let later = Manifest { live: vec![row(60, 100, &[(5, 60)])], ..manifest() };
        assert_eq!(lack(&mark(60, 2), Some(&later)).unwrap(), "it does not hold the record before 60");
        let empty = Manifest { live: Vec::new(), ..manifest() };
        assert_eq!(lack(&mark(30, 2), Some(&empty)), None);
        assert_eq!(lack(&mark(31, 2), Some(&empty)).unwrap(), "it ends at 30, the cut is at 31");
    }

    struct Bucket(SharedStore);

    impl Bucket {
        async fn new() -> Bucket {
            let bucket = Bucket(Arc::new(MemoryStore::new()));
            for topic in ["a", "b"] {
                let folder = PartitionFolder::new("c", topic, &format!("id-{topic}"), 0).unwrap();
                Publisher::new(bucket.0.clone(), folder).publish(&manifest()).await.unwrap();
            }
            bucket
        }

        async fn add(&self, marks: &[(&str, CutMark)]) -> u64 {
            let topic = |name: &str, mark| CutTopic { name: name.to_owned(), marks: vec![mark] };
            let topics = marks.iter().map(|(name, mark)| (format!("id-{name}"), topic(name, *mark)));
            let groups = PartsBackup::default();
            let cut = CutBackup { cluster_id: "c".into(), taken_ms: 0, topics: topics.collect(), groups };
            self.add_bytes(serde_json::to_vec(&cut).unwrap().into()).await
        }

        async fn add_bytes(&self, body: Bytes) -> u64 {
            backup::write(&*self.0, &PartitionFolder::cuts_of("c"), &body).await.unwrap()
        }

        async fn newest(&self, topics: &[(&str, usize)]) -> Result<Option<Chosen>> {
            newest_whole(&self.0, "c", &topics.iter().copied().collect(), Output::Json).await
        }
    }

    const BOTH: [(&str, usize); 2] = [("id-a", 1), ("id-b", 1)];

    #[tokio::test]
    async fn the_newest_whole_cut_is_taken_and_says_how_much_is_younger() {
        let bucket = Bucket::new().await;
        assert!(bucket.newest(&BOTH).await.unwrap().is_none(), "of an earlier program");
        let first = bucket.add(&[("a", mark(70, 2)), ("b", mark(80, 5))]).await;
        let second = bucket.add(&[("a", mark(90, 5)), ("b", mark(101, 5))]).await;
        let chosen = bucket.newest(&BOTH).await.unwrap().unwrap();
        assert_eq!((chosen.number, first, second), (1, 1, 2), "the second one is not in the tier yet");
        assert_eq!(["id-a", "id-b", "id-x"].map(|id| chosen.beyond(id)), [Some(30), Some(20), None]);
        assert_eq!(chosen.tell(Output::Json, &[])["offsets_beyond"], 50);
        // A topic that was deleted since is missed by nobody, nor one whose last objects went with its tombstone.
        let third = bucket.add(&[("a", mark(90, 5)), ("gone", mark(500, 5))]).await;
        assert_eq!(bucket.newest(&[("id-a", 1), ("id-gone", 0)]).await.unwrap().unwrap().number, third);
        assert_eq!(bucket.newest(&[("id-a", 1)]).await.unwrap().unwrap().number, third);
        let never = CutMark { tier_end: -1, ..mark(500, 5) };
        bucket.add(&[("a", mark(90, 5)), ("hot", never)]).await;
        let chosen = bucket.newest(&[("id-a", 1), ("id-hot", 0)]).await.unwrap().unwrap();
        assert_eq!(chosen.number, third, "what never went up is lost, and was there");
    }

    #[tokio::test]
    async fn a_damaged_cut_is_passed_over_and_where_none_is_whole_it_is_said_what_they_lack() {
        let bucket = Bucket::new().await;
        let whole = bucket.add(&[("a", mark(70, 2))]).await;
        bucket.add_bytes(Bytes::from_static(b"{}")).await;
        let damaged = bucket.add(&[("a", mark(80, 5))]).await;
        let key = format!("c/cluster/cuts/{damaged:020}");
        bucket.0.put(&key, vec![Bytes::from_static(b"ESKRBKUP, not quite")]).await.unwrap();
        assert_eq!(bucket.newest(&BOTH).await.unwrap().unwrap().number, whole);
        for _ in 0..3 {
            bucket.add(&[("a", mark(101, 5)), ("b", mark(80, 2))]).await;
        }
        let error = bucket.newest(&BOTH).await.unwrap_err().to_string();
        for part in ["a-0: it ends at 100", "b-0: the record before 80 is of epoch 5, not 2", "--to end"] {
            assert!(error.contains(part), "{error}");
        }
        for _ in 0..3 {
            bucket.add_bytes(Bytes::from_static(b"{}")).await;
        }
        let error = bucket.newest(&BOTH).await.unwrap_err().to_string();
        assert!(error.contains("none of the 3 cuts") && error.contains("--to end"), "{error}");
    }

    #[tokio::test]
    async fn what_is_younger_than_the_cut_is_named() {
        let bucket = Bucket::new().await;
        bucket.add(&[("a", mark(70, 2))]).await;
        let chosen = bucket.newest(&BOTH).await.unwrap().unwrap();
        let topics = [("a", "id-a", 3), ("b", "id-b", 2)].into_iter();
        assert_eq!(chosen.outside(topics), ["a-1", "a-2", "b"]);
        chosen.cut.keep(&*bucket.0, chosen.number).await.unwrap();
        chosen.cut.keep(&*bucket.0, chosen.number).await.unwrap();
        let again = Chosen::of_before(&bucket.0, "c", chosen.number).await.unwrap();
        assert_eq!((again.number, again.cut), (chosen.number, chosen.cut.clone()));
        let other = CutBackup { taken_ms: 1, ..chosen.cut };
        assert!(other.keep(&*bucket.0, chosen.number).await.is_err(), "another one of that number");
        assert!(Chosen::of_before(&bucket.0, "c", 99).await.is_err());
    }
}
