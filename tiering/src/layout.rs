//! The keys of everything in the bucket; nothing else makes or takes apart a key.
//!
//! ```text
//! esker-cluster                                                      the one cluster that may write here (`owner`)
//! <cluster id>/cluster/incarnation/<number, 20 digits>               one for each restore
//! <cluster id>/cluster/metadata/<generation, 20 digits>              topics, configs, users, ACLs, quotas (`backup`)
//! <cluster id>/cluster/groups/<broker>/<generation, 20 digits>       which parts hold the groups that it coordinates
//! <cluster id>/cluster/group-parts/<broker>/<SHA-256>                committed offsets of some groups
//! <cluster id>/cluster/cuts/<number, 20 digits>                      where all partitions and groups stood at one moment
//! <cluster id>/cluster/cut-parts/<broker>/<SHA-256>                  committed offsets of some groups at that moment
//! <cluster id>/cluster/restored-cuts/<number, 20 digits>             the cut that the cluster was restored to
//! <cluster id>/topics/<topic name>/<topic id>/<partition>/
//!     segments/<base offset, 20 digits>-<leader epoch>-<uuid>.seg    the batches, then a footer
//!     manifest/<generation, 20 digits>.parquet                       immutable, one row per segment
//!     manifest/archive/<first>-<last>-<uuid>.parquet                 older rows, named by the head
//!     manifest/above/<generation, 20 digits>                         the boundary: only generations above it count
//!     manifest/deleted                                               the tombstone of a deleted topic's partition
//! ```
//! A `tier.store.url` may put a prefix before all of it. Twenty digits make the order of names the order of
//! numbers, and `above`, `archive` and `deleted` sort behind every generation: one LIST after a known generation shows all that
//! is newer, the boundary and the tombstone.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// The key of the object that says whose store it is.
pub const OWNER: &str = "esker-cluster";

/// A name that may not become a part of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} can't be a part of an object key: 1 to 249 of a-z A-Z 0-9 . _ - and neither `.` nor `..`")]
pub struct InvalidKeyPart {
    /// The name.
    pub part: String,
}

/// The folder of one partition in the bucket. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionFolder {
    path: Arc<str>,
}

impl PartitionFolder {
    /// The folder of a partition; the topic's id makes a re-created topic another one.
    ///
    /// # Errors
    /// `InvalidKeyPart` for a cluster id, topic or topic id that could leave its folder.
    pub fn new(
        cluster_id: &str,
        topic: &str,
        topic_id: &str,
        partition: i32,
    ) -> Result<PartitionFolder, InvalidKeyPart> {
        for part in [cluster_id, topic, topic_id] {
            check_part(part)?;
        }
        Ok(PartitionFolder { path: format!("{cluster_id}/topics/{topic}/{topic_id}/{partition}").into() })
    }

    /// The folder of folders of topics.
    #[must_use]
    pub fn topics_of(cluster_id: &str) -> String {
        format!("{cluster_id}/topics/")
    }

    /// The folder of the lives of a cluster.
    #[must_use]
    pub fn incarnations_of(cluster_id: &str) -> String {
        format!("{cluster_id}/cluster/incarnation/")
    }

    /// The folder of the backups of a cluster's metadata.
    #[must_use]
    pub fn metadata_backups_of(cluster_id: &str) -> String {
        format!("{cluster_id}/cluster/metadata/")
    }

    /// The folder of folders of the backups of groups' offsets, one for each broker.
    #[must_use]
    pub fn group_backups_of(cluster_id: &str) -> String {
        format!("{cluster_id}/cluster/groups/")
    }

    /// The folder of a broker's parts of the backups of groups' offsets.
    #[must_use]
    pub fn group_parts_of(cluster_id: &str, broker: &str) -> String {
        format!("{cluster_id}/cluster/group-parts/{broker}/")
    }

    /// The folder of folders of the backups of transactional ids, one for each broker.
    #[must_use]
    pub fn transaction_backups_of(cluster_id: &str) -> String {
        format!("{cluster_id}/cluster/transactions/")
    }

    /// The folder of the cuts of a cluster.
    #[must_use]
    pub fn cuts_of(cluster_id: &str) -> String {
        format!("{cluster_id}/cluster/cuts/")
    }

    /// The folder of folders of the parts of cuts, one for each broker.
    #[must_use]
    pub fn all_cut_parts_of(cluster_id: &str) -> String {
        format!("{cluster_id}/cluster/cut-parts/")
    }

    /// The folder of a broker's parts of cuts.
    #[must_use]
    pub fn cut_parts_of(cluster_id: &str, broker: &str) -> String {
        format!("{cluster_id}/cluster/cut-parts/{broker}/")
    }

    /// The cut that a cluster is restored to: it stays where newer cuts push the one out that it is a copy of.
    #[must_use]
    pub fn restored_cut(cluster_id: &str, number: u64) -> String {
        format!("{cluster_id}/cluster/restored-cuts/{number:020}")
    }

    /// The folder of a broker's parts of the backups of transactional ids.
    #[must_use]
    pub fn transaction_parts_of(cluster_id: &str, broker: &str) -> String {
        format!("{cluster_id}/cluster/transaction-parts/{broker}/")
    }

    /// `<cluster id>/topics/<topic>/<topic id>/<partition>`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The topic's id and the partition's index.
    #[must_use]
    pub fn topic_partition(&self) -> (&str, i32) {
        let mut parts = self.path.rsplit('/');
        let partition = parts.next().and_then(|number| number.parse().ok());
        // Made by `new` alone, from these parts.
        (parts.next().unwrap_or_default(), partition.unwrap_or(-1))
    }

    /// The folder of segment objects.
    #[must_use]
    pub fn segments(&self) -> String {
        format!("{}/segments/", self.path)
    }

    /// The folder of manifest generations, and of the boundary.
    #[must_use]
    pub fn manifests(&self) -> String {
        format!("{}/manifest/", self.path)
    }

    /// A segment object's key.
    #[must_use]
    pub fn segment(&self, name: &SegmentName) -> String {
        format!("{}/segments/{name}", self.path)
    }

    /// A generation's key.
    #[must_use]
    pub fn manifest(&self, generation: u64) -> String {
        format!("{}/manifest/{generation:020}.parquet", self.path)
    }

    /// The folder of archives.
    #[must_use]
    pub fn archives(&self) -> String {
        format!("{}/manifest/archive/", self.path)
    }

    /// An archive's key.
    #[must_use]
    pub fn archive(&self, name: &ArchiveName) -> String {
        format!("{}/manifest/archive/{name}", self.path)
    }

    /// The key that says that the topic was deleted.
    #[must_use]
    pub fn tombstone(&self) -> String {
        format!("{}/manifest/deleted", self.path)
    }

    /// The key that raises the boundary to a generation.
    #[must_use]
    pub fn boundary(&self, generation: u64) -> String {
        format!("{}/manifest/above/{generation:020}", self.path)
    }
}

impl fmt::Display for PartitionFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

fn check_part(part: &str) -> Result<(), InvalidKeyPart> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if part.is_empty() || part.len() > 249 || part == "." || part == ".." || !part.bytes().all(legal) {
        return Err(InvalidKeyPart { part: part.to_owned() });
    }
    Ok(())
}

/// A segment object's name; retries never reuse one, since each upload has a fresh uuid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The offset of the first record.
    pub base: i64,
    /// The epoch of the leader that uploaded it.
    pub leader_epoch: i32,
    /// Unique to the upload.
    pub uuid: Uuid,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{}-{}.seg", self.base, self.leader_epoch, self.uuid.simple())
    }
}

impl SegmentName {
    /// Takes a name apart; `None` for a foreign one.
    #[must_use]
    pub fn parse(name: &str) -> Option<SegmentName> {
        let (base, rest) = name.strip_suffix(".seg")?.split_once('-')?;
        let (epoch, uuid) = rest.rsplit_once('-')?;
        Some(SegmentName {
            base: i64::try_from(twenty_digits(base)?).ok()?,
            leader_epoch: epoch.parse().ok()?,
            uuid: Uuid::try_parse(uuid).ok()?,
        })
    }
}

/// An archive's name. The first four bytes of its uuid are the epoch of the leader that wrote it, so that a later leader
/// can tell an orphan from a file that is about to be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveName {
    /// The first offset of its first segment.
    pub first: i64,
    /// The last offset of its last segment.
    pub last: i64,
    /// Unique to the file.
    pub uuid: Uuid,
}

impl ArchiveName {
    /// A name with the writer's epoch in a fresh uuid.
    #[must_use]
    pub fn new(first: i64, end: i64, leader_epoch: i32, fresh: Uuid) -> ArchiveName {
        let mut bytes = *fresh.as_bytes();
        bytes[..4].copy_from_slice(&leader_epoch.to_be_bytes());
        ArchiveName { first, last: end - 1, uuid: Uuid::from_bytes(bytes) }
    }

    /// The epoch of the leader that wrote it.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        let bytes = self.uuid.as_bytes();
        i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Takes a name apart; `None` for a foreign one.
    #[must_use]
    pub fn parse(name: &str) -> Option<ArchiveName> {
        let mut parts = name.strip_suffix(".parquet")?.split('-');
        let mut offset = || i64::try_from(twenty_digits(parts.next()?)?).ok();
        let (first, last) = (offset()?, offset()?);
        let uuid = Uuid::try_parse(parts.next()?).ok()?;
        parts.next().is_none().then_some(ArchiveName { first, last, uuid })
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:020}-{}.parquet", self.first, self.last, self.uuid.simple())
    }
}

/// What a key under a partition's folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A segment object.
    Segment(SegmentName),
    /// A manifest generation.
    Manifest(u64),
    /// Older rows.
    Archive(ArchiveName),
    /// A boundary.
    Boundary(u64),
    /// The tombstone.
    Tombstone,
}

/// Takes a key apart: the cluster id, topic, topic id, partition and what it is; `None` for a foreign object.
#[must_use]
pub fn parse(key: &str) -> Option<(Owner<'_>, Entry)> {
    let mut parts = key.split('/');
    let cluster_id = parts.next()?;
    if parts.next()? != "topics" {
        return None;
    }
    let (topic, topic_id) = (parts.next()?, parts.next()?);
    let partition = parts.next()?.parse().ok()?;
    let owner = Owner { cluster_id, topic, topic_id, partition };
    let entry = match (parts.next()?, parts.next()?, parts.next(), parts.next()) {
        ("segments", name, None, None) => Entry::Segment(SegmentName::parse(name)?),
        ("manifest", "above", Some(digits), None) => Entry::Boundary(twenty_digits(digits)?),
        ("manifest", "archive", Some(name), None) => Entry::Archive(ArchiveName::parse(name)?),
        ("manifest", "deleted", None, None) => Entry::Tombstone,
        ("manifest", name, None, None) => Entry::Manifest(twenty_digits(name.strip_suffix(".parquet")?)?),
        _ => return None,
    };
    Some((owner, entry))
}

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner<'a> {
    /// The cluster.
    pub cluster_id: &'a str,
    /// The topic's name.
    pub topic: &'a str,
    /// The topic's id, as text.
    pub topic_id: &'a str,
    /// The partition's index.
    pub partition: i32,
}

fn twenty_digits(text: &str) -> Option<u64> {
    (text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PartitionFolder {
        PartitionFolder::new("cluster", "orders.eu", "aaaaaaaaaaaaaaaaaaaaAA", 7).unwrap()
    }

    #[test]
    fn keys_have_their_golden_form() {
        let name = SegmentName { base: 1234, leader_epoch: 5, uuid: Uuid::from_u128(0xabc) };
        assert_eq!(
            folder().segment(&name),
            "cluster/topics/orders.eu/aaaaaaaaaaaaaaaaaaaaAA/7/segments/\
             00000000000000001234-5-00000000000000000000000000000abc.seg"
        );
        assert_eq!(
            folder().manifest(12),
            "cluster/topics/orders.eu/aaaaaaaaaaaaaaaaaaaaAA/7/manifest/00000000000000000012.parquet"
        );
        assert_eq!(
            folder().boundary(9),
            "cluster/topics/orders.eu/aaaaaaaaaaaaaaaaaaaaAA/7/manifest/above/00000000000000000009"
        );
        assert_eq!(
            folder().archive(&ArchiveName { first: 5, last: 19, uuid: Uuid::from_u128(0xabc) }),
            "cluster/topics/orders.eu/aaaaaaaaaaaaaaaaaaaaAA/7/manifest/archive/\
             00000000000000000005-00000000000000000019-00000000000000000000000000000abc.parquet"
        );
    }

    #[test]
    fn a_key_that_was_made_is_taken_apart_again() {
        let name = SegmentName { base: i64::MAX, leader_epoch: -1, uuid: Uuid::from_u128(7) };
        let archive = ArchiveName::new(7, 20, 5, Uuid::from_u128(u128::MAX));
        assert_eq!((archive.leader_epoch(), archive.last), (5, 19));
        let cases = [
            (folder().segment(&name), Entry::Segment(name)),
            (folder().manifest(u64::MAX), Entry::Manifest(u64::MAX)),
            (folder().boundary(3), Entry::Boundary(3)),
            (folder().tombstone(), Entry::Tombstone),
            (folder().archive(&archive), Entry::Archive(archive)),
        ];
        for (key, entry) in cases {
            let (owner, parsed) = parse(&key).unwrap();
            assert_eq!(parsed, entry, "{key}");
            assert_eq!((owner.topic, owner.partition), ("orders.eu", 7));
            assert_eq!(folder().topic_partition(), (owner.topic_id, owner.partition));
        }
        assert_eq!(parse("cluster/topics/t/i/0/segments/notes.txt"), None);
    }

    #[test]
    fn the_boundary_and_the_tombstone_sort_behind_every_generation() {
        assert!(folder().boundary(0) > folder().manifest(u64::MAX));
        assert!(folder().tombstone() > folder().manifest(u64::MAX));
        assert!(folder().archives() > folder().manifest(u64::MAX));
    }

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "a%2f", "ü"] {
            assert!(PartitionFolder::new("c", bad, "i", 0).is_err(), "{bad:?}");
            assert!(PartitionFolder::new(bad, "t", "i", 0).is_err(), "{bad:?}");
        }
    }
}
