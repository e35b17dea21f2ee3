//! Backups of what coordinators keep, in parts: however many names a broker coordinates, one part of them is in memory at a time.
//!
//! ```text
//! <cluster>/cluster/groups/<broker>/<generation>        {"parts":[…]}: for each partition of __consumer_offsets its parts
//! <cluster>/cluster/group-parts/<broker>/<SHA-256>      a line of JSON for each group, by name
//! <cluster>/cluster/transactions/…, transaction-parts/… the same of __transaction_state: a line for each transactional id
//! ```
//! A part is named by its content, so what has not changed since the last backup is not written again. Of several brokers'
//! backups of a partition that of the higher leader epoch counts. A broker that coordinates a partition no longer keeps its
//! last parts of it: until the new coordinator has written its own, they are all there is.
//! A restored cluster counts its leader epochs anew: what an earlier life has written, in log directories that the cluster
//! has no more, counts only where this life has written nothing. A program from before there were transactional ids in it
//! does not look into their folders.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tiering::backup;
use tiering::layout::PartitionFolder;
use tiering::store::{Store, StoreError};

use super::{BackupError, groups, read, transactions};
use crate::broker::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::coordinator::txn::TransactionCoordinators;
use crate::coordinator::{CoordinatorError, Coordinators};
use crate::metadata::Image;
use crate::types::{DirectoryId, TopicName};

/// A part is closed once it is this long; a single line may be longer.
pub(super) const PART_BYTES: usize = 4 << 20;

/// So much waits in memory to be written later; what is more is written at once.
const MOST_LATER_BYTES: usize = 64 << 20;

/// Whose state it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The offsets of groups.
    Groups,
    /// Transactional ids.
    Transactions,
}

impl Kept {
    fn folders(self, cluster_id: &str) -> String {
        match self {
            Kept::Groups => PartitionFolder::group_backups_of(cluster_id),
            Kept::Transactions => PartitionFolder::transaction_backups_of(cluster_id),
        }
    }

    /// The folder of a broker's generations.
    pub(super) fn folder(self, cluster_id: &str, broker: &str) -> String {
        format!("{}{broker}/", self.folders(cluster_id))
    }

    fn parts(self, cluster_id: &str, broker: &str) -> String {
        match self {
            Kept::Groups => PartitionFolder::group_parts_of(cluster_id, broker),
            Kept::Transactions => PartitionFolder::transaction_parts_of(cluster_id, broker),
        }
    }

    fn topic(self) -> &'static str {
        match self {
            Kept::Groups => OFFSETS_TOPIC,
            Kept::Transactions => TRANSACTIONS_TOPIC,
        }
    }
}

/// A line of a part.
pub(super) trait Line: Serialize {
    /// Whose.
    fn name(&self) -> &str;
    /// What the line holds several of.
    fn entries(&self) -> usize;
}

/// Some names of one partition of a coordinators' topic. The words are those of groups, which were there first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartBackup {
    /// The partition.
    pub partition: i32,
    /// Its leader epoch: of two brokers' backups the higher one counts.
    pub epoch: i32,
    /// How many groups, or transactional ids.
    #[serde(rename = "groups")]
    pub names: u64,
    /// How many committed offsets, or partitions in transactions.
    #[serde(rename = "offsets")]
    pub entries: u64,
    /// The object's key; none for a partition without names.
    pub object: Option<String>,
    /// A log directory of the broker that wrote it: it tells one life of the cluster from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryId>,
}

/// Where the names of one broker are, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartsBackup {
    /// By partition, then by name.
    pub parts: Vec<PartBackup>,
}

impl PartsBackup {
    /// The parts of a cluster: of each partition those of whoever coordinated it last, in the life of the cluster that has these
    /// log `directories` (of [`super::MetadataBackup`]) or, where that has written nothing, in an earlier one.
    ///
    /// # Errors
    /// As for the metadata's backup.
    pub async fn newest(
        store: &dyn Store,
        kept: Kept,
        cluster_id: &str,
        directories: &BTreeSet<DirectoryId>,
    ) -> Result<PartsBackup, BackupError> {
        let folder = kept.folders(cluster_id);
        let mut newest: BTreeMap<i32, Vec<PartBackup>> = BTreeMap::new();
        for broker in store.list_folders(&folder).await? {
            let Some((_, found)) = read::<PartsBackup>(store, kept.folder(cluster_id, &broker)).await? else {
                continue;
            };
            let mut of_broker: BTreeMap<i32, Vec<PartBackup>> = BTreeMap::new();
            for part in found.parts {
                of_broker.entry(part.partition).or_default().push(part);
            }
            for (partition, parts) in of_broker {
                let of_this_life =
                    |part: &PartBackup| part.directory.is_some_and(|id| directories.contains(&id));
                let rank = |parts: &[PartBackup]| parts.first().map(|part| (of_this_life(part), part.epoch));
                if newest.get(&partition).is_none_or(|known| rank(known) < rank(&parts)) {
                    newest.insert(partition, parts);
                }
            }
        }
        Ok(PartsBackup { parts: newest.into_values().flatten().collect() })
    }

    /// How many names there are.
    #[must_use]
    pub fn names(&self) -> u64 {
        self.parts.iter().map(|part| part.names).sum()
    }

    /// How many entries they have.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.parts.iter().map(|part| part.entries).sum()
    }
}

impl PartBackup {
    /// Its lines.
    ///
    /// # Errors
    /// `Part` when it is damaged or gone, `Content`, `Store`.
    pub async fn read<L: DeserializeOwned>(&self, store: &dyn Store) -> Result<Vec<L>, BackupError> {
        let Some(key) = &self.object else { return Ok(Vec::new()) };
        let body = match backup::read_part(store, key).await {
            Ok(Some(body)) => body,
            Ok(None) | Err(StoreError::NotFound { .. }) => return Err(BackupError::Part(key.clone())),
            Err(error) => return Err(error.into()),
        };
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines: Result<Vec<L>, _> = lines.map(serde_json::from_slice).collect();
        lines.map_err(|error| BackupError::Content { folder: key.clone(), generation: 0, error })
    }
}

/// Why the parts are not written.
#[derive(Debug, thiserror::Error)]
pub(in crate::broker::tier) enum PartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The coordinators are not there (yet).
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
}

/// Whom a backup asks.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Groups(&'a Coordinators),
    Transactions(&'a TransactionCoordinators),
}

impl Source<'_> {
    pub(super) fn kept(self) -> Kept {
        match self {
            Source::Groups(_) => Kept::Groups,
            Source::Transactions(_) => Kept::Transactions,
        }
    }

    fn partitions(self) -> Vec<i32> {
        match self {
            Source::Groups(from) => from.partitions(),
            Source::Transactions(from) => from.partitions(),
        }
    }
}

/// Writes the parts that have changed.
pub(super) struct PartWriter<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) kept: Kept,
    pub(super) folder: String,
    pub(super) directory: Option<DirectoryId>,
    /// Objects that the last backup names.
    pub(super) there: BTreeSet<String>,
    /// The last backup's parts, by partition.
    pub(super) last: BTreeMap<i32, Vec<PartBackup>>,
    pub(super) part_bytes: usize,
    pub(super) parts: Vec<PartBackup>,
    pub(super) lines: Vec<u8>,
    pub(super) names: u64,
    pub(super) entries: u64,
    /// What is to be written later, by whoever asks for it; without it each part is written when it is closed.
    pub(super) later: Option<Later>,
}

/// Parts that are not in the store yet.
#[derive(Debug, Default)]
pub(in crate::broker::tier) struct Later {
    /// By key; nothing of those that were written at once, because too many wait already.
    pub(in crate::broker::tier) bodies: BTreeMap<String, Option<Bytes>>,
    bytes: usize,
}

impl<'a> PartWriter<'a> {
    pub(super) fn new(
        store: &'a dyn Store,
        kept: Kept,
        cluster_id: &str,
        (broker, directory): (&str, Option<DirectoryId>),
        last: Option<&PartsBackup>,
    ) -> PartWriter<'a> {
        let mut by_partition: BTreeMap<i32, Vec<PartBackup>> = BTreeMap::new();
        for part in last.into_iter().flat_map(|last| &last.parts) {
            by_partition.entry(part.partition).or_default().push(part.clone());
        }
        let named = last.into_iter().flat_map(|last| &last.parts);
        PartWriter {
            store,
            kept,
            folder: kept.parts(cluster_id, broker),
            directory,
            there: named.filter_map(|part| part.object.clone()).collect(),
            last: by_partition,
            part_bytes: PART_BYTES,
            parts: Vec::new(),
            lines: Vec::new(),
            names: 0,
            entries: 0,
            later: None,
        }
    }

    /// All that this broker coordinates. A partition that is loading fails the backup: a hole would be a wrong answer.
    pub(super) async fn write(mut self, source: Source<'_>, image: &Image) -> Result<PartsBackup, PartError> {
        let partitions = self.write_all(source, image).await?;
        Ok(partitions.map(|partitions| self.finish(partitions)).unwrap_or_default())
    }

    /// The same; how many partitions there are, if there is the topic.
    pub(super) async fn write_all(
        &mut self,
        source: Source<'_>,
        image: &Image,
    ) -> Result<Option<i32>, PartError> {
        let topic = TopicName::new(self.kept.topic()).ok().and_then(|name| image.topics.get(&name));
        let Some(topic) = topic else { return Ok(None) };
        let mut partitions = source.partitions();
        partitions.sort_unstable();
        for partition in partitions {
            let state = usize::try_from(partition).ok().and_then(|p| topic.partitions.get(p));
            let epoch = state.map_or(-1, |state| state.leader_epoch.0);
            match self.write_partition(source, partition, epoch).await {
                Ok(()) => {}
                // It moves away at this moment; its new coordinator writes it.
                Err(PartError::Coordinator(CoordinatorError::NotCoordinator)) => {
                    self.drop_partition(partition);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)))
    }

    async fn write_partition(
        &mut self,
        source: Source<'_>,
        partition: i32,
        epoch: i32,
    ) -> Result<(), PartError> {
        let before = self.parts.len();
        match source {
            Source::Groups(from) => groups::write(from, self, partition, epoch).await?,
            Source::Transactions(from) => transactions::write(from, self, partition, epoch).await?,
        }
        self.close(partition, epoch, self.parts.len() == before).await?;
        Ok(())
    }

    /// Forgets what was written of a partition in this round: it is not all of it.
    pub(super) fn drop_partition(&mut self, partition: i32) {
        self.parts.retain(|part| part.partition != partition);
        (self.names, self.entries) = (0, 0);
        self.lines.clear();
    }

    /// The list of parts, by partition: of those that were not written now (there are `partitions` in all) the last ones.
    pub(super) fn finish(mut self, partitions: i32) -> PartsBackup {
        let written: BTreeSet<i32> = self.parts.iter().map(|part| part.partition).collect();
        let last = std::mem::take(&mut self.last);
        let kept =
            last.into_iter().filter(|(partition, _)| !written.contains(partition) && *partition < partitions);
        self.parts.extend(kept.flat_map(|(_, parts)| parts));
        self.parts.sort_by_key(|part| part.partition);
        PartsBackup { parts: self.parts }
    }

    pub(super) async fn add(
        &mut self,
        partition: i32,
        epoch: i32,
        line: &impl Line,
    ) -> Result<(), StoreError> {
        match serde_json::to_writer(&mut self.lines, line) {
            Ok(()) => self.lines.push(b'\n'),
            Err(error) => {
                tracing::error!(name = line.name(), %error, "a line of a backup cannot be put into words");
                return Ok(());
            }
        }
        self.names += 1;
        self.entries += line.entries() as u64;
        if self.lines.len() >= self.part_bytes { self.close(partition, epoch, false).await } else { Ok(()) }
    }

    /// Writes what has come together as a part; `empty`: also when that is nothing.
    pub(super) async fn close(&mut self, partition: i32, epoch: i32, empty: bool) -> Result<(), StoreError> {
        let (names, entries) = (std::mem::take(&mut self.names), std::mem::take(&mut self.entries));
        let body = Bytes::from(std::mem::take(&mut self.lines));
        let part = PartBackup { partition, epoch, names, entries, object: None, directory: self.directory };
        if body.is_empty() {
            if empty {
                self.parts.push(part);
            }
            return Ok(());
        }
        let name: String = digest(&SHA256, &body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("{}{name}", self.folder);
        match &mut self.later {
            Some(later) if later.bytes + body.len() <= MOST_LATER_BYTES => {
                later.bytes += body.len();
                later.bodies.insert(key.clone(), Some(body));
            }
            later => {
                if !self.there.contains(&key) {
                    backup::write_part(self.store, &key, &body).await?;
                }
                if let Some(later) = later {
                    later.bodies.insert(key.clone(), None);
                }
            }
        }
        self.parts.push(PartBackup { object: Some(key), ..part });
        Ok(())
    }
}

/// Removes a broker's parts that no generation names which is kept.
pub(super) async fn remove_unnamed(
    store: &dyn Store,
    kept: Kept,
    cluster_id: &str,
    broker: &str,
) -> Result<(), BackupError> {
    let folder = kept.folder(cluster_id, broker);
    let mut named = BTreeSet::new();
    for body in backup::kept(store, &folder).await? {
        match serde_json::from_slice::<PartsBackup>(&body) {
            Ok(index) => named.extend(index.parts.into_iter().filter_map(|part| part.object)),
            // Whoever wrote it may still want its parts.
            Err(error) => return Err(BackupError::Content { folder, generation: 0, error }),
        }
    }
    for object in store.list(&kept.parts(cluster_id, broker), None).await? {
        if !named.contains(&object.key) {
            store.delete(&object.key).await?;
        }
    }
    Ok(())
}
