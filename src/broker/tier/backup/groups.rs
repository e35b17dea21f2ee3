//! Backups of committed offsets, in parts: however many groups a broker coordinates, one part of them is in memory at a time.
//!
//! ```text
//! <cluster>/cluster/groups/<broker>/<generation>        {"parts":[…]}: for each partition of __consumer_offsets its parts
//! <cluster>/cluster/group-parts/<broker>/<SHA-256>      a line of JSON for each group, by name
//! ```
//! A part is named by its content, so what has not changed since the last backup is not written again. Of several brokers'
//! backups of a partition that of the higher leader epoch counts. A broker that coordinates a partition no longer keeps its
//! last parts of it: until the new coordinator has written its own, they are all there is.
//! A restored cluster counts its leader epochs anew: what an earlier life has written, in log directories that the cluster
//! has no more, counts only where this life has written nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tiering::backup;
use tiering::layout::PartitionFolder;
use tiering::store::{Store, StoreError};

use super::{BackupError, read};
use crate::broker::OFFSETS_TOPIC;
use crate::coordinator::group::{FetchOffsets, ListGroups};
use crate::coordinator::{CoordinatorError, Coordinators};
use crate::metadata::Image;
use crate::types::{DirectoryId, TopicName};

/// A part is closed once it is this long; a single group may be longer.
const PART_BYTES: usize = 4 << 20;

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedBackup {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next record that the group wants.
    pub offset: i64,
    /// The client's text.
    pub metadata: String,
}

/// A group's offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupBackup {
    /// The group.
    pub group: String,
    /// What is committed.
    pub offsets: Vec<CommittedBackup>,
}

/// Some groups of one partition of `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartBackup {
    /// The partition.
    pub partition: i32,
    /// Its leader epoch: of two brokers' backups the higher one counts.
    pub epoch: i32,
    /// How many groups.
    pub groups: u64,
    /// How many committed offsets.
    pub offsets: u64,
    /// The object's key; none for a partition without groups.
    pub object: Option<String>,
    /// A log directory of the broker that wrote it: it tells one life of the cluster from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryId>,
}

/// Where the groups of one broker are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsBackup {
    /// By partition, then by the names of the groups.
    pub parts: Vec<PartBackup>,
}

impl GroupsBackup {
    /// The parts of a cluster: of each partition those of whoever coordinated it last, in the life of the cluster that has these
    /// log `directories` (of [`super::MetadataBackup`]) or, where that has written nothing, in an earlier one.
    ///
    /// # Errors
    /// As for the metadata's backup.
    pub async fn newest(
        store: &dyn Store,
        cluster_id: &str,
        directories: &BTreeSet<DirectoryId>,
    ) -> Result<GroupsBackup, BackupError> {
        let folder = PartitionFolder::group_backups_of(cluster_id);
        let mut newest: BTreeMap<i32, Vec<PartBackup>> = BTreeMap::new();
        for broker in store.list_folders(&folder).await? {
            let Some((_, found)) = read::<GroupsBackup>(store, format!("{folder}{broker}/")).await? else {
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
        Ok(GroupsBackup { parts: newest.into_values().flatten().collect() })
    }

    /// How many groups there are.
    #[must_use]
    pub fn groups(&self) -> u64 {
        self.parts.iter().map(|part| part.groups).sum()
    }

    /// How many committed offsets there are.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        self.parts.iter().map(|part| part.offsets).sum()
    }
}

impl PartBackup {
    /// Its groups.
    ///
    /// # Errors
    /// `Part` when it is damaged or gone, `Content`, `Store`.
    pub async fn read(&self, store: &dyn Store) -> Result<Vec<GroupBackup>, BackupError> {
        let Some(key) = &self.object else { return Ok(Vec::new()) };
        let body = match backup::read_part(store, key).await {
            Ok(Some(body)) => body,
            Ok(None) | Err(StoreError::NotFound { .. }) => return Err(BackupError::Part(key.clone())),
            Err(error) => return Err(error.into()),
        };
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let groups: Result<Vec<GroupBackup>, _> = lines.map(serde_json::from_slice).collect();
        groups.map_err(|error| BackupError::Content { folder: key.clone(), generation: 0, error })
    }
}

/// Why the groups are not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The groups are not there (yet).
    #[error(transparent)]
    Groups(#[from] CoordinatorError),
}

/// Writes the parts that have changed.
pub(super) struct PartWriter<'a> {
    store: &'a dyn Store,
    folder: String,
    directory: Option<DirectoryId>,
    /// Objects that the last backup names.
    there: BTreeSet<String>,
    /// The last backup's parts, by partition.
    last: BTreeMap<i32, Vec<PartBackup>>,
    part_bytes: usize,
    parts: Vec<PartBackup>,
    lines: Vec<u8>,
    groups: u64,
    offsets: u64,
}

impl<'a> PartWriter<'a> {
    pub(super) fn new(
        store: &'a dyn Store,
        cluster_id: &str,
        (broker, directory): (&str, Option<DirectoryId>),
        last: Option<&GroupsBackup>,
    ) -> PartWriter<'a> {
        let mut by_partition: BTreeMap<i32, Vec<PartBackup>> = BTreeMap::new();
        for part in last.into_iter().flat_map(|last| &last.parts) {
            by_partition.entry(part.partition).or_default().push(part.clone());
        }
        let named = last.into_iter().flat_map(|last| &last.parts);
        PartWriter {
            store,
            folder: PartitionFolder::group_parts_of(cluster_id, broker),
            directory,
            there: named.filter_map(|part| part.object.clone()).collect(),
            last: by_partition,
            part_bytes: PART_BYTES,
            parts: Vec::new(),
            lines: Vec::new(),
            groups: 0,
            offsets: 0,
        }
    }

    /// All groups that this broker coordinates. One that is loading fails the backup: a hole would be a wrong answer.
    pub(super) async fn write(
        mut self,
        coordinators: &Coordinators,
        image: &Image,
    ) -> Result<GroupsBackup, PartError> {
        let topic = TopicName::new(OFFSETS_TOPIC).ok().and_then(|name| image.topics.get(&name));
        let Some(topic) = topic else { return Ok(GroupsBackup::default()) };
        let mut partitions = coordinators.partitions();
        partitions.sort_unstable();
        for partition in partitions {
            let state = usize::try_from(partition).ok().and_then(|p| topic.partitions.get(p));
            let epoch = state.map_or(-1, |state| state.leader_epoch.0);
            match self.write_partition(coordinators, partition, epoch).await {
                Ok(()) => {}
                // It moves away at this moment; its new coordinator writes it.
                Err(PartError::Groups(CoordinatorError::NotCoordinator)) => self.drop_partition(partition),
                Err(error) => return Err(error),
            }
        }
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        Ok(self.finish(partitions))
    }

    async fn write_partition(
        &mut self,
        coordinators: &Coordinators,
        partition: i32,
        epoch: i32,
    ) -> Result<(), PartError> {
        let listed = coordinators.ask(partition, ListGroups::default()).await?;
        let mut names: Vec<_> = listed.into_iter().map(|listed| listed.group).collect();
        names.sort();
        let before = self.parts.len();
        for group in names {
            let question = FetchOffsets {
                group: group.clone(),
                partitions: None,
                member: (None, -1),
                require_stable: false,
            };
            let fetched = coordinators.ask(partition, question).await?;
            let offsets = fetched.into_iter().filter_map(|fetched| {
                let committed = fetched.committed?;
                Some(CommittedBackup {
                    topic: fetched.topic.to_string(),
                    partition: fetched.partition,
                    offset: committed.offset.0,
                    metadata: committed.metadata.to_string(),
                })
            });
            let group = GroupBackup { group: group.to_string(), offsets: offsets.collect() };
            self.add(partition, epoch, &group).await?;
        }
        self.close(partition, epoch, self.parts.len() == before).await?;
        Ok(())
    }

    /// Forgets what was written of a partition in this round: it is not all of it.
    fn drop_partition(&mut self, partition: i32) {
        self.parts.retain(|part| part.partition != partition);
        (self.groups, self.offsets) = (0, 0);
        self.lines.clear();
    }

    /// The list of parts, by partition: of those that were not written now (there are `partitions` in all) the last ones.
    fn finish(mut self, partitions: i32) -> GroupsBackup {
        let written: BTreeSet<i32> = self.parts.iter().map(|part| part.partition).collect();
        let last = std::mem::take(&mut self.last);
        let kept =
            last.into_iter().filter(|(partition, _)| !written.contains(partition) && *partition < partitions);
        self.parts.extend(kept.flat_map(|(_, parts)| parts));
        self.parts.sort_by_key(|part| part.partition);
        GroupsBackup { parts: self.parts }
    }

    async fn add(&mut self, partition: i32, epoch: i32, group: &GroupBackup) -> Result<(), StoreError> {
        match serde_json::to_writer(&mut self.lines, group) {
            Ok(()) => self.lines.push(b'\n'),
            Err(error) => {
                tracing::error!(group = group.group, %error, "a group cannot be put into words");
                return Ok(());
            }
        }
        self.groups += 1;
        self.offsets += group.offsets.len() as u64;
        if self.lines.len() >= self.part_bytes { self.close(partition, epoch, false).await } else { Ok(()) }
    }

    /// Writes what has come together as a part; `empty`: also when that is nothing.
    async fn close(&mut self, partition: i32, epoch: i32, empty: bool) -> Result<(), StoreError> {
        let (groups, offsets) = (std::mem::take(&mut self.groups), std::mem::take(&mut self.offsets));
        let body = Bytes::from(std::mem::take(&mut self.lines));
        let part = PartBackup { partition, epoch, groups, offsets, object: None, directory: self.directory };
        if body.is_empty() {
            if empty {
                self.parts.push(part);
            }
            return Ok(());
        }
        let name: String = digest(&SHA256, &body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("{}{name}", self.folder);
        if !self.there.contains(&key) {
            backup::write_part(self.store, &key, &body).await?;
        }
        self.parts.push(PartBackup { object: Some(key), ..part });
        Ok(())
    }
}

/// Removes a broker's parts that no generation names which is kept.
pub(super) async fn remove_unnamed(
    store: &dyn Store,
    cluster_id: &str,
    broker: &str,
) -> Result<(), BackupError> {
    let folder = format!("{}{broker}/", PartitionFolder::group_backups_of(cluster_id));
    let mut named = BTreeSet::new();
    for body in backup::kept(store, &folder).await? {
        match serde_json::from_slice::<GroupsBackup>(&body) {
            Ok(kept) => named.extend(kept.parts.into_iter().filter_map(|part| part.object)),
            // Whoever wrote it may still want its parts.
            Err(error) => return Err(BackupError::Content { folder, generation: 0, error }),
        }
    }
    for object in store.list(&PartitionFolder::group_parts_of(cluster_id, broker), None).await? {
        if !named.contains(&object.key) {
            store.delete(&object.key).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tiering::store::{MemoryStore, MeteredStore};

    use super::*;

    const INDEX: &str = r#"{"parts":[{"partition":3,"epoch":7,"groups":1,"offsets":1,"object":"k"},{"partition":4,"epoch":7,"groups":0,"offsets":0,"object":null}]}"#;
    const OF_LIFE: &str = r#"{"partition":3,"epoch":7,"groups":1,"offsets":1,"object":"k","directory":"07070707-0707-0707-0707-070707070707"}"#;
    const GROUP: &str = r#"{"group":"g","offsets":[{"topic":"t","partition":1,"offset":9,"metadata":"m"}]}"#;

    fn group(name: &str, offset: i64) -> GroupBackup {
        let metadata = String::new();
        let offsets = vec![CommittedBackup { topic: "t".into(), partition: 0, offset, metadata }];
        GroupBackup { group: name.to_owned(), offsets }
    }

    fn directory(number: u8) -> DirectoryId {
        DirectoryId::from_bytes([number; 16])
    }

    /// A backup of these groups of one partition, as a broker with such small parts writes it.
    async fn write(
        store: &dyn Store,
        broker: &str,
        epoch: i32,
        part_bytes: usize,
        groups: &[GroupBackup],
    ) -> GroupsBackup {
        write_in((broker, Some(directory(1))), store, epoch, part_bytes, groups).await
    }

    /// The same in a log directory.
    async fn write_in(
        (broker, directory): (&str, Option<DirectoryId>),
        store: &dyn Store,
        epoch: i32,
        part_bytes: usize,
        groups: &[GroupBackup],
    ) -> GroupsBackup {
        let folder = format!("{}{broker}/", PartitionFolder::group_backups_of("c"));
        let last = read::<GroupsBackup>(store, folder.clone()).await.unwrap().map(|(_, last)| last);
        let mut writer =
            PartWriter { part_bytes, ..PartWriter::new(store, "c", (broker, directory), last.as_ref()) };
        for group in groups {
            writer.add(0, epoch, group).await.unwrap();
            assert!(writer.lines.len() < part_bytes, "no more than a part is held");
        }
        writer.close(0, epoch, writer.parts.is_empty()).await.unwrap();
        let now = writer.finish(1);
        let body = Bytes::from(serde_json::to_vec(&now).unwrap());
        backup::write(store, &folder, &body).await.unwrap();
        remove_unnamed(store, "c", broker).await.unwrap();
        now
    }

    async fn all(store: &dyn Store) -> Vec<GroupBackup> {
        all_of(store, 1).await
    }

    /// What comes back of a life with this log directory.
    async fn all_of(store: &dyn Store, life: u8) -> Vec<GroupBackup> {
        let newest = GroupsBackup::newest(store, "c", &BTreeSet::from([directory(life)])).await.unwrap();
        let mut all = Vec::new();
        for part in &newest.parts {
            all.extend(part.read(store).await.unwrap());
        }
        assert_eq!(newest.groups(), all.len() as u64);
        assert_eq!(newest.offsets(), all.iter().map(|group| group.offsets.len() as u64).sum::<u64>());
        all
    }

    #[test]
    fn the_words_of_a_backup_stay() {
        let index: GroupsBackup = serde_json::from_str(INDEX).unwrap();
        assert_eq!(serde_json::to_string(&index).unwrap(), INDEX);
        let part: PartBackup = serde_json::from_str(OF_LIFE).unwrap();
        assert_eq!(part.directory, Some(directory(7)));
        assert_eq!(serde_json::to_string(&part).unwrap(), OF_LIFE);
        let group: GroupBackup = serde_json::from_str(GROUP).unwrap();
        assert_eq!(serde_json::to_string(&group).unwrap(), GROUP);
    }

    #[tokio::test]
    async fn very_many_groups_go_in_parts_and_come_back() {
        let store = MemoryStore::new();
        let groups: Vec<GroupBackup> = (0..5000).map(|n| group(&format!("group-{n:05}"), n)).collect();
        let written = write(&store, "1", 3, 10_000, &groups).await;
        assert!(written.parts.len() > 30, "{} parts", written.parts.len());
        assert_eq!(all(&store).await, groups);
    }

    #[tokio::test]
    async fn what_has_not_changed_is_not_written_again_and_what_is_named_no_more_goes() {
        let memory = MemoryStore::new();
        let store = MeteredStore::new(std::sync::Arc::new(memory.clone()));
        let requests = store.requests();
        let mut groups: Vec<GroupBackup> = (0..1000).map(|n| group(&format!("group-{n:05}"), n)).collect();
        let parts = write(&store, "1", 3, 10_000, &groups).await.parts.len() as u64;
        let first = requests.counts().puts;
        assert_eq!(first, parts + 1);
        // Numbers of one length, so that the other parts stay as they are.
        groups[500] = group("group-00500", 501);
        write(&store, "1", 3, 10_000, &groups).await;
        assert_eq!(requests.counts().puts, first + 2, "one part and the list of parts");
        assert_eq!(all(&store).await, groups);
        for offset in 510..520 {
            groups[500] = group("group-00500", offset);
            write(&store, "1", 3, 10_000, &groups).await;
        }
        let there = memory.list(&PartitionFolder::group_parts_of("c", "1"), None).await.unwrap().len() as u64;
        assert_eq!(there, parts + 2, "of the changed part those of the generations that are kept");
    }

    #[tokio::test]
    async fn of_two_brokers_that_had_a_partition_the_later_coordinator_counts() {
        let store = MemoryStore::new();
        for (broker, epoch, offset) in [("1", 4, 40), ("2", 7, 70), ("3", 5, 50)] {
            write(&store, broker, epoch, 1000, &[group("g", offset)]).await;
        }
        assert_eq!(all(&store).await, [group("g", 70)]);
        // A coordinator whose groups are all gone says so.
        write(&store, "3", 8, 1000, &[]).await;
        assert_eq!(all(&store).await, []);
    }

    #[tokio::test]
    async fn the_groups_of_a_partition_that_has_moved_stay_until_its_new_coordinator_has_written_them() {
        let store = MemoryStore::new();
        write(&store, "1", 4, 1000, &[group("g", 40)]).await;
        let folder = format!("{}1/", PartitionFolder::group_backups_of("c"));
        let last = read::<GroupsBackup>(&store, folder.clone()).await.unwrap().unwrap().1;
        // The next round of the former coordinator: in its midst the partition moves away.
        let mut writer = PartWriter {
            part_bytes: 10,
            ..PartWriter::new(&store, "c", ("1", Some(directory(1))), Some(&last))
        };
        writer.add(0, 4, &group("half of", 41)).await.unwrap();
        writer.part_bytes = 1000;
        writer.add(0, 4, &group("them", 41)).await.unwrap();
        writer.drop_partition(0);
        writer.add(1, 9, &group("another", 90)).await.unwrap();
        writer.close(1, 9, false).await.unwrap();
        let now = writer.finish(2);
        let body = Bytes::from(serde_json::to_vec(&now).unwrap());
        backup::write(&store, &folder, &body).await.unwrap();
        remove_unnamed(&store, "c", "1").await.unwrap();
        assert_eq!(all(&store).await, [group("g", 40), group("another", 90)]);
        // The new coordinator has written: what the former one keeps counts no longer.
        write(&store, "2", 5, 1000, &[group("g", 50)]).await;
        assert_eq!(all(&store).await, [group("g", 50), group("another", 90)]);
        // A topic of fewer partitions keeps none of those that it has no more.
        assert_eq!(PartWriter::new(&store, "c", ("1", None), Some(&now)).finish(1).parts, last.parts);
    }

    #[tokio::test]
    async fn what_an_earlier_life_has_written_under_higher_epochs_counts_only_until_this_one_has_written() {
        let store = MemoryStore::new();
        let (former, now) = (Some(directory(1)), Some(directory(2)));
        write_in(("1", former), &store, 40, 1000, &[group("g", 40)]).await;
        write_in(("2", former), &store, 70, 1000, &[group("g", 70)]).await;
        assert_eq!(all_of(&store, 2).await, [group("g", 70)], "this life has written nothing yet");
        // Restored under the same broker id, and by one that the former life did not have; epochs begin anew.
        write_in(("1", now), &store, 1, 1000, &[group("g", 80)]).await;
        assert_eq!(all_of(&store, 2).await, [group("g", 80)]);
        write_in(("3", now), &store, 2, 1000, &[group("g", 90)]).await;
        assert_eq!(all_of(&store, 2).await, [group("g", 90)], "within a life the later coordinator counts");
        assert_eq!(
            all_of(&store, 1).await,
            [group("g", 70)],
            "the control: by the epochs the former life wins"
        );
        // Also against words of a version that did not tell the lives apart.
        write_in(("4", None), &store, 100, 1000, &[group("g", 10)]).await;
        assert_eq!(all_of(&store, 2).await, [group("g", 90)]);
    }

    #[tokio::test]
    async fn a_part_that_is_damaged_or_gone_is_an_error() {
        let store = MemoryStore::new();
        let written = write(&store, "1", 1, 1000, &[group("g", 1)]).await;
        let key = written.parts[0].object.clone().unwrap();
        store.put(&key, vec![Bytes::from_static(b"x")]).await.unwrap();
        assert!(matches!(written.parts[0].read(&store).await, Err(BackupError::Part(found)) if found == key));
        store.delete(&key).await.unwrap();
        assert!(matches!(written.parts[0].read(&store).await, Err(BackupError::Part(_))));
    }
}
