//! A cluster that was taken for lost and was restored elsewhere: until its brokers look for a later life they may go on publishing.
//! What they publish then is under epochs that the restored leaders' chain does not have behind the tier's end.

use std::sync::{Arc, Mutex};

use super::super::*;
use super::led::Led;
use crate::publish::Publisher;
use crate::store::{Fault, FaultStore, Faults, MemoryStore, Operation, SharedStore};

pub(super) struct Still(pub(super) Mutex<u128>);

impl Ambient for Still {
    fn wall_ms(&self) -> i64 {
        1_000_000
    }
    fn mono_ms(&self) -> i64 {
        1_000_000
    }
    fn uuid(&self) -> Uuid {
        let mut next = self.0.lock().unwrap();
        *next += 1;
        Uuid::from_u128(*next)
    }
}

pub(super) fn folder() -> PartitionFolder {
    PartitionFolder::new("c", "t", "i", 0).unwrap()
}

pub(super) fn offloader(store: &SharedStore, epoch: i32) -> Offloader {
    Offloader::new(store.clone(), folder(), epoch, 0, OffloadOptions::default())
}

async fn until_idle(offloader: &mut Offloader, log: &Led, ambient: &Still) -> Result<(), OffloadError> {
    while offloader.step(log, &Policy::default(), ambient).await? != Action::Idle {}
    Ok(())
}

/// Base, end and epoch of every segment that the head manifest serves.
pub(super) async fn served(store: &SharedStore) -> Vec<(i64, i64, i32)> {
    let head = Publisher::new(store.clone(), folder()).find_head(0).await.unwrap().manifest.unwrap();
    head.live.iter().map(|row| (row.base(), row.end, row.name.leader_epoch)).collect()
}

#[tokio::test]
async fn what_an_old_cluster_publishes_after_a_restore_is_not_served_once_the_restored_leader_has_published()
{
    let store: SharedStore = Arc::new(MemoryStore::new());
    let ambient = Still(Mutex::new(0));
    let (old, mut of_old) = (Led::new(3, &[(3, 0)]), offloader(&store, 3));
    old.grow(3);
    until_idle(&mut of_old, &old, &ambient).await.unwrap();
    let at_restore = [(0, 10, 3), (10, 20, 3), (20, 30, 3)];
    assert_eq!(served(&store).await, at_restore);

    // The restored leader begins at the tier's end, far above the old epochs; the old one does not know of it yet.
    let (new, mut of_new) = (Led::new(1003, &[(3, 0), (1003, 30)]), offloader(&store, 1003));
    new.grow(1);
    old.grow(2);
    until_idle(&mut of_old, &old, &ambient).await.unwrap();
    let astray = served(&store).await;
    assert_eq!(astray[3..], [(30, 40, 3), (40, 50, 3)], "the control: nothing has stopped it so far");

    until_idle(&mut of_new, &new, &ambient).await.unwrap();
    assert_eq!(served(&store).await, [&at_restore[..], &[(30, 40, 1003)]].concat());
    old.grow(1);
    let fenced = until_idle(&mut of_old, &old, &ambient).await.unwrap_err();
    assert!(matches!(fenced, OffloadError::Fenced { epoch: 1003 }), "{fenced:?}");
    new.grow(1);
    until_idle(&mut of_new, &new, &ambient).await.unwrap();
    assert_eq!(served(&store).await, [&at_restore[..], &[(30, 40, 1003), (40, 50, 1003)]].concat());
}

/// A clock that a test sets.
struct Told(std::sync::atomic::AtomicI64);

impl Ambient for Told {
    fn wall_ms(&self) -> i64 {
        1_000_000
    }
    fn mono_ms(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(7)
    }
}

/// The next manifest is written, and nobody hears of it.
#[derive(Debug)]
struct Unheard(std::sync::atomic::AtomicBool);

impl Faults for Unheard {
    fn next(&self, operation: Operation, key: &str) -> Fault {
        let is_manifest = operation == Operation::PutIfAbsent && key.contains("/manifest/");
        match is_manifest && self.0.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => Fault::LoseReply,
            false => Fault::None,
        }
    }
}

/// Another leader may have published since the first try, which had its effect.
#[tokio::test]
async fn what_a_publish_knows_of_it_knows_since_its_first_try() {
    let faults = Arc::new(Unheard(true.into()));
    let store: SharedStore = Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), faults));
    let (log, mut offloader, clock) = (Led::new(3, &[(3, 0)]), offloader(&store, 3), Told(5_000.into()));
    log.grow(1);
    let policy = Policy::default();
    let failed = async {
        loop {
            if let Err(error) = offloader.step(&log, &policy, &clock).await {
                return error;
            }
        }
    };
    assert!(matches!(failed.await, OffloadError::Store(_)));
    clock.0.store(900_000, std::sync::atomic::Ordering::Relaxed);
    while offloader.step(&log, &policy, &clock).await.unwrap() != Action::Idle {}
    assert_eq!(served(&store).await, [(0, 10, 3)]);
    assert_eq!(offloader.known_ms, Some(5_000));
}
