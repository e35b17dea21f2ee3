//! openraft's own storage suite, and what a damaged or foreign store does.

use std::path::Path;
use std::sync::Arc;

use openraft::storage::RaftLogStorage as _;
use openraft::testing::{StoreBuilder, Suite};
use openraft::{StorageError, Vote};

use super::*;
use crate::env::{BlockingPool, Disk as _, OpenMode, RealDisk};

struct InTempDir;

impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for InTempDir {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<u64>> {
        let dir = tempfile::tempdir().unwrap();
        let opened = open(dir.path(), 1).await.unwrap();
        let (machine, _) = Machine::new(opened.store.clone(), opened.snapshot).unwrap();
        Ok((dir, opened.store, machine))
    }
}

async fn open(dir: &Path, node: i32) -> Result<Opened, StoreError> {
    LogStore::open(Arc::new(RealDisk), dir, BrokerId(node), 77, BlockingPool::new("raft-log", 1)).await
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
