//! Committed offsets in the backup: a line for each group.

use serde::{Deserialize, Serialize};

use super::parts::{Line, PartError, PartWriter};
use crate::coordinator::Coordinators;
use crate::coordinator::group::{FetchOffsets, ListGroups};

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

impl Line for GroupBackup {
    fn name(&self) -> &str {
        &self.group
    }

    fn entries(&self) -> usize {
        self.offsets.len()
    }
}

/// The groups of a partition.
pub(super) async fn write(
    coordinators: &Coordinators,
    writer: &mut PartWriter<'_>,
    partition: i32,
    epoch: i32,
) -> Result<(), PartError> {
    let listed = coordinators.ask(partition, ListGroups::default()).await?;
    let mut names: Vec<_> = listed.into_iter().map(|listed| listed.group).collect();
    names.sort();
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
        writer.add(partition, epoch, &group).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use tiering::backup;
    use tiering::layout::PartitionFolder;
    use tiering::store::{MemoryStore, MeteredStore, Store};

    use super::super::parts::{Kept, PartBackup, PartsBackup, remove_unnamed};
    use super::super::{BackupError, read};
    use super::*;
    use crate::types::DirectoryId;

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
    ) -> PartsBackup {
        write_in((broker, Some(directory(1))), store, epoch, part_bytes, groups).await
    }

    /// The same in a log directory.
    async fn write_in(
        (broker, directory): (&str, Option<DirectoryId>),
        store: &dyn Store,
        epoch: i32,
        part_bytes: usize,
        groups: &[GroupBackup],
    ) -> PartsBackup {
        let folder = format!("{}{broker}/", PartitionFolder::group_backups_of("c"));
        let last = read::<PartsBackup>(store, folder.clone()).await.unwrap().map(|(_, last)| last);
        let mut writer = PartWriter {
            part_bytes,
            ..PartWriter::new(store, Kept::Groups, "c", (broker, directory), last.as_ref())
        };
        for group in groups {
            writer.add(0, epoch, group).await.unwrap();
            assert!(writer.lines.len() < part_bytes, "no more than a part is held");
        }
        writer.close(0, epoch, writer.parts.is_empty()).await.unwrap();
        let now = writer.finish(1);
        let body = Bytes::from(serde_json::to_vec(&now).unwrap());
        backup::write(store, &folder, &body).await.unwrap();
        remove_unnamed(store, Kept::Groups, "c", broker).await.unwrap();
        now
    }

    async fn all(store: &dyn Store) -> Vec<GroupBackup> {
        all_of(store, 1).await
    }

    /// What comes back of a life with this log directory.
    async fn all_of(store: &dyn Store, life: u8) -> Vec<GroupBackup> {
        let newest =
            PartsBackup::newest(store, Kept::Groups, "c", &BTreeSet::from([directory(life)])).await.unwrap();
        let mut all: Vec<GroupBackup> = Vec::new();
        for part in &newest.parts {
            all.extend(part.read(store).await.unwrap());
        }
        assert_eq!(newest.names(), all.len() as u64);
        assert_eq!(newest.entries(), all.iter().map(|group| group.offsets.len() as u64).sum::<u64>());
        all
    }

    #[test]
    fn the_words_of_a_backup_stay() {
        let index: PartsBackup = serde_json::from_str(INDEX).unwrap();
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
        let last = read::<PartsBackup>(&store, folder.clone()).await.unwrap().unwrap().1;
        // The next round of the former coordinator: in its midst the partition moves away.
        let mut writer = PartWriter {
            part_bytes: 10,
            ..PartWriter::new(&store, Kept::Groups, "c", ("1", Some(directory(1))), Some(&last))
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
        remove_unnamed(&store, Kept::Groups, "c", "1").await.unwrap();
        assert_eq!(all(&store).await, [group("g", 40), group("another", 90)]);
        // The new coordinator has written: what the former one keeps counts no longer.
        write(&store, "2", 5, 1000, &[group("g", 50)]).await;
        assert_eq!(all(&store).await, [group("g", 50), group("another", 90)]);
        // A topic of fewer partitions keeps none of those that it has no more.
        assert_eq!(
            PartWriter::new(&store, Kept::Groups, "c", ("1", None), Some(&now)).finish(1).parts,
            last.parts
        );
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
        assert!(
            matches!(written.parts[0].read::<GroupBackup>(&store).await, Err(BackupError::Part(found)) if found == key)
        );
        store.delete(&key).await.unwrap();
        assert!(matches!(written.parts[0].read::<GroupBackup>(&store).await, Err(BackupError::Part(_))));
    }
}
