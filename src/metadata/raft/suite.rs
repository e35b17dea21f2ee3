//! openraft's own storage suite, and what a damaged or foreign store does.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

use futures::poll;
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine as _};
use openraft::testing::{StoreBuilder, Suite, log_id};
use openraft::{
    LogId, LogState, OptionalSend, RaftLogReader, RaftSnapshotBuilder as _, SnapshotMeta, StorageError,
    StoredMembership, Vote,
};

use super::store::StoredSnapshot;
use super::*;
use crate::env::sim::SimDisk;
use crate::env::{BlockingPool, Disk as _, OpenMode, RealDisk, SharedDisk};

struct InTempDir;

impl StoreBuilder<TypeConfig, Purged, Machine, tempfile::TempDir> for InTempDir {
    async fn build(&self) -> Result<(tempfile::TempDir, Purged, Machine), StorageError<u64>> {
        let dir = tempfile::tempdir().unwrap();
        let opened = open(dir.path(), 1).await.unwrap();
        let (machine, _) = Machine::new(opened.store.clone(), opened.snapshot).unwrap();
        Ok((dir, Purged(opened.store), machine))
    }
}

/// The suite purges without having made a snapshot, for which our store would wait for ever: this one makes it first.
struct Purged(LogStore);

impl RaftLogReader<TypeConfig> for Purged {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<openraft::Entry<TypeConfig>>, StorageError<u64>> {
        self.0.try_get_log_entries(range).await
    }
}

impl RaftLogStorage<TypeConfig> for Purged {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<u64>> {
        self.0.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.0.get_log_reader().await
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        self.0.save_vote(vote).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        self.0.read_vote().await
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Result<(), StorageError<u64>> {
        self.0.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        self.0.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, done: LogFlushed<TypeConfig>) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = openraft::Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.0.append(entries, done).await
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        self.0.truncate(log_id).await
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        self.0.save_snapshot(&snapshot_up_to(log_id.index)).await?;
        self.0.purge(log_id).await
    }
}

fn snapshot_up_to(index: u64) -> StoredSnapshot {
    let meta = SnapshotMeta {
        last_log_id: Some(log_id::<u64>(1, 0, index)),
        last_membership: StoredMembership::default(),
        snapshot_id: index.to_string(),
    };
    let bytes = codec::encode(b"snapshot", &machine::Contents::default()).unwrap();
    StoredSnapshot { meta, bytes: Arc::new(bytes) }
}

async fn open(dir: &Path, node: i32) -> Result<Opened, StoreError> {
    open_on(Arc::new(RealDisk), dir, node).await
}

async fn open_on(disk: SharedDisk, dir: &Path, node: i32) -> Result<Opened, StoreError> {
    LogStore::open(disk, dir, BrokerId(node), 77, BlockingPool::new("raft-log", 1)).await
}

/// Installs it as openraft's worker does.
async fn install(machine: &mut Machine, snapshot: &StoredSnapshot) -> Result<(), StorageError<u64>> {
    let bytes = Box::new(Cursor::new(snapshot.bytes.to_vec()));
    machine.install_snapshot(&snapshot.meta, bytes).await
}

#[test]
fn the_store_passes_openrafts_suite() {
    Suite::test_all(InTempDir).unwrap();
}

#[tokio::test]
async fn a_store_of_another_node_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1).await.unwrap());
    assert!(matches!(
        open(dir.path(), 2).await,
        Err(StoreError::OtherNode { found: BrokerId(1), expected: BrokerId(2), .. })
    ));
}

#[tokio::test]
async fn a_store_keeps_its_identity_and_a_new_one_draws_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let drawn = |identity| {
        let writer = BlockingPool::new("raft-log", 1);
        LogStore::open(Arc::new(RealDisk), dir.path(), BrokerId(1), identity, writer)
    };
    assert_eq!(drawn(5).await.unwrap().identity, 5);
    assert_eq!(drawn(6).await.unwrap().identity, 5);
    RealDisk.remove_dir_all(dir.path()).unwrap();
    assert_eq!(drawn(6).await.unwrap().identity, 6);
    assert_eq!(node(BrokerId(3), 6), Some(6 << 32 | 3));
    assert_eq!(broker(6 << 32 | 3), Some(BrokerId(3)));
    assert_eq!(node(BrokerId(-1), 6), None);
}

#[tokio::test]
async fn a_vote_survives_a_restart_and_bit_rot_is_found_before_the_node_votes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), 1).await.unwrap().store;
    let vote = Vote::new(7_654_321, 1);
    store.save_vote(&vote).await.unwrap();
    drop(store);
    let mut store = open(dir.path(), 1).await.unwrap().store;
    assert_eq!(store.read_vote().await.unwrap(), Some(vote));
    drop(store);

    // One bit of every copy of the value.
    let path = dir.path().join("metadata.redb");
    let bytes = RealDisk.read(&path).unwrap();
    let file = RealDisk.open(&path, OpenMode::ReadWrite).unwrap();
    let needle = b"7654321";
    for at in (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)) {
        file.write_all_at(b"6", at as u64).unwrap();
    }
    drop(file);
    match open(dir.path(), 1).await {
        Err(StoreError::Damaged { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a damaged store was opened"),
    }
}

#[tokio::test]
async fn a_node_that_ends_while_it_installs_a_snapshot_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path(), 1).await.unwrap();
    let mut store = opened.store.clone();
    let (mut machine, _) = Machine::new(opened.store, opened.snapshot).unwrap();
    let vote = Vote::new(5, 1);
    store.save_vote(&vote).await.unwrap();
    // openraft asks for the purge as soon as it has queued the snapshot for its worker.
    let mut purging = store.clone();
    let mut purge = Box::pin(async move { purging.purge(log_id(1, 0, 10)).await });
    let polled = poll!(&mut purge);
    // All that was queued is written, then the node is gone; the worker has come to nothing.
    store.close().await.unwrap();
    assert!(install(&mut machine, &snapshot_up_to(10)).await.is_err());
    drop(machine);
    if polled.is_pending() {
        assert!(purge.await.is_err(), "nothing is purged that no snapshot replaces");
    }
    drop(store);

    let Opened { mut store, snapshot, .. } = open(dir.path(), 1).await.unwrap();
    assert_eq!(store.read_vote().await.unwrap(), Some(vote));
    assert!(snapshot.is_none());
    let state = store.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (None, None));
    let (mut machine, _) = Machine::new(store.clone(), snapshot).unwrap();
    let wanted = snapshot_up_to(10);
    let (purged, installed) = futures::join!(store.purge(log_id(1, 0, 10)), install(&mut machine, &wanted));
    purged.unwrap();
    installed.unwrap();
    store.close().await.unwrap();
    drop((store, machine));
    let mut opened = open(dir.path(), 1).await.unwrap();
    assert_eq!(opened.store.get_log_state().await.unwrap().last_purged_log_id, Some(log_id(1, 0, 10)));
    assert_eq!(opened.snapshot.unwrap().meta, wanted.meta);
}

#[tokio::test]
async fn wherever_an_install_is_cut_off_the_store_opens() {
    let dir = Path::new("/metadata");
    for calls in 0.. {
        let disk = SimDisk::new();
        let Opened { mut store, .. } = open_on(Arc::new(disk.clone()), dir, 1).await.unwrap();
        let (mut machine, _) = Machine::new(store.clone(), None).unwrap();
        install(&mut machine, &snapshot_up_to(3)).await.unwrap();
        store.purge(log_id(1, 0, 3)).await.unwrap();
        disk.die_after(calls);
        let (snapshot, purging) = (snapshot_up_to(10), store.clone());
        let worker = async move {
            let outcome = install(&mut machine, &snapshot).await;
            drop(machine);
            outcome
        };
        let core = async move {
            let mut store = purging;
            store.purge(log_id(1, 0, 10)).await
        };
        let (purged, installed) = futures::join!(core, worker);
        let _ = store.close().await;
        drop(store);
        let whole = disk.revive();
        let mut opened = open_on(Arc::new(disk), dir, 1).await.unwrap_or_else(|e| panic!("{calls}: {e}"));
        let end = opened.snapshot.and_then(|s| s.meta.last_log_id).unwrap().index;
        let purged_up_to = opened.store.get_log_state().await.unwrap().last_purged_log_id.unwrap().index;
        assert!(purged_up_to <= end, "{calls}");
        assert!(installed.is_err() || end == 10, "{calls}");
        assert!(purged.is_err() || purged_up_to == 10, "{calls}");
        if whole {
            return;
        }
    }
}

#[tokio::test]
async fn a_snapshot_built_before_another_was_installed_does_not_replace_it() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = open(dir.path(), 1).await.unwrap();
    let (mut machine, _) = Machine::new(store.clone(), None).unwrap();
    install(&mut machine, &snapshot_up_to(3)).await.unwrap();
    let mut builder = machine.get_snapshot_builder().await;
    install(&mut machine, &snapshot_up_to(10)).await.unwrap();
    store.purge(log_id(1, 0, 10)).await.unwrap();
    // It says well, and is not stored.
    assert_eq!(builder.build_snapshot().await.unwrap().meta.last_log_id, Some(log_id(1, 0, 3)));
    store.close().await.unwrap();
    drop((store, machine, builder));
    let opened = open(dir.path(), 1).await.unwrap();
    assert_eq!(opened.snapshot.unwrap().meta, snapshot_up_to(10).meta);
}
