//! A leader after an unclean election, where the tier's head has a log start above all that the leader has.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use super::super::*;
use crate::lineage::EpochStart;
use crate::publish::Publisher;
use crate::store::{MemoryStore, SharedStore, Store as _};
use crate::testing::{MemorySegment, batches};

const RECORDS: i64 = 100;
const GRACE_MS: i64 = 60_000;
/// More than any of these needs: a loop that brings nothing forward takes them all.
const STEPS: usize = 100;

/// A log of closed segments of a hundred records; what leaders do to it stays for the next one.
#[derive(Clone)]
struct Records {
    log_start: i64,
    end: i64,
    chain: Vec<EpochStart>,
}

impl Records {
    fn bytes_of(&self, base: i64) -> Bytes {
        let epoch = self.chain.iter().rev().find(|entry| entry.start <= base).map_or(0, |entry| entry.epoch);
        batches(base, RECORDS as usize, 1, epoch, 5)
    }
}

struct Led {
    epoch: i32,
    copy: Mutex<Records>,
}

impl Led {
    /// The next leadership of the same records.
    fn elected(copy: &Records, epoch: i32) -> Led {
        let mut copy = copy.clone();
        copy.chain.push(EpochStart { epoch, start: copy.end });
        Led { epoch, copy: Mutex::new(copy) }
    }

    fn grow_to(&self, end: i64) {
        self.copy.lock().unwrap().end = end;
    }

    fn copy(&self) -> Records {
        self.copy.lock().unwrap().clone()
    }
}

#[async_trait]
impl LeaderLog for Led {
    async fn local(&self) -> Option<Local> {
        let copy = self.copy();
        let closed =
            (0..copy.end / RECORDS).map(|i| i * RECORDS).filter(|base| base + RECORDS > copy.log_start);
        let bytes = |base| copy.bytes_of(base).len() as u64;
        let closed = closed.map(|base| LocalSegment {
            base,
            end: base + RECORDS,
            bytes: bytes(base),
            max_timestamp: 0,
        });
        let closed: Vec<LocalSegment> = closed.collect();
        Some(Local {
            epoch: self.epoch,
            log_start: copy.log_start,
            local_start: copy.log_start / RECORDS * RECORDS,
            high_watermark: copy.end,
            last_stable: copy.end,
            chain: copy.chain,
            closed,
            open_bytes: 0,
            everywhere_from: None,
        })
    }
    async fn open(&self, segment: &LocalSegment) -> std::io::Result<LocalCopy> {
        Ok(LocalCopy {
            source: Box::new(MemorySegment(self.copy().bytes_of(segment.base))),
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::new(),
        })
    }
    async fn advance_log_start(&self, to: i64) -> std::io::Result<()> {
        let mut copy = self.copy.lock().unwrap();
        copy.log_start = copy.log_start.max(to.min(copy.end));
        Ok(())
    }
    async fn owns_store(&self) -> std::io::Result<bool> {
        Ok(true)
    }
    async fn everywhere_from(&self) -> Option<i64> {
        None
    }
    async fn delete_local(&self, _: i64) -> std::io::Result<()> {
        Ok(())
    }
    async fn set_tier(&self, _: i64, _: u64) {}
}

/// The time, and how many ids were drawn.
struct Seams(Mutex<(i64, u128)>);

impl Ambient for Seams {
    fn wall_ms(&self) -> i64 {
        self.0.lock().unwrap().0
    }
    fn mono_ms(&self) -> i64 {
        self.wall_ms()
    }
    fn uuid(&self) -> Uuid {
        let mut seams = self.0.lock().unwrap();
        seams.1 += 1;
        Uuid::from_u128(seams.1)
    }
}

fn folder() -> PartitionFolder {
    PartitionFolder::new("c", "t", "i", 0).unwrap()
}

struct Rig {
    store: SharedStore,
    seams: Seams,
}

impl Rig {
    /// A leader of epoch 1 has had ten segments in the tier, has been told to delete all its records, and has died.
    async fn new() -> (Rig, Records) {
        let rig = Rig { store: Arc::new(MemoryStore::new()), seams: Seams(Mutex::new((1_000_000, 0))) };
        let nothing = Records { log_start: 0, end: 0, chain: Vec::new() };
        let first = Led::elected(&nothing, 1);
        // What the other one has.
        first.grow_to(500);
        let behind = first.copy();
        first.grow_to(1_000);
        let mut offloader = rig.offloader(&first);
        rig.until_idle(&mut offloader, &first).await;
        first.advance_log_start(1_000).await.unwrap();
        rig.until_idle(&mut offloader, &first).await;
        assert_eq!(rig.head().await.log_start, 1_000);
        (rig, behind)
    }

    fn offloader(&self, led: &Led) -> Offloader {
        Offloader::new(self.store.clone(), folder(), led.epoch, 0, OffloadOptions::default())
    }

    async fn until_idle(&self, offloader: &mut Offloader, led: &Led) -> Vec<Action> {
        let policy = Policy { grace_ms: GRACE_MS, ..Policy::default() };
        let mut taken = Vec::new();
        while taken.len() < STEPS {
            let action = offloader.step(led, &policy, &self.seams).await.unwrap();
            if action == Action::Idle {
                return taken;
            }
            taken.push(action);
        }
        panic!("it goes on for ever: {:?}", &taken[STEPS - 6..]);
    }

    async fn head(&self) -> Manifest {
        Publisher::new(self.store.clone(), folder()).find_head(0).await.unwrap().manifest.unwrap()
    }

    async fn objects(&self) -> usize {
        self.store.list(&folder().segments(), None).await.unwrap().len()
    }

    /// What the head serves: from where, and the ends of its segments.
    async fn served(&self) -> (i64, Vec<(i64, i64)>) {
        let head = self.head().await;
        (head.log_start, head.live.iter().map(|row| (row.base(), row.end)).collect())
    }
}

#[tokio::test]
async fn what_is_written_below_a_log_start_of_lost_records_goes_up_once_and_old_objects_go() {
    let (rig, behind) = Rig::new().await;
    let second = Led::elected(&behind, 2);
    let mut offloader = rig.offloader(&second);
    rig.until_idle(&mut offloader, &second).await;
    assert_eq!(second.copy().log_start, 500, "what was deleted before the election stays deleted");
    assert_eq!(rig.head().await.log_start, 500, "published at once");
    second.grow_to(600);
    let taken = rig.until_idle(&mut offloader, &second).await;
    let uploads = taken.iter().filter(|action| matches!(action, Action::Upload { .. })).count();
    assert_eq!((uploads, rig.served().await), (1, (500, vec![(500, 600)])), "{taken:?}");
    assert_eq!(second.copy().log_start, 500);
    rig.seams.0.lock().unwrap().0 += GRACE_MS;
    rig.until_idle(&mut offloader, &second).await;
    assert_eq!(rig.objects().await, 1, "the lost ones are deleted");
}

#[tokio::test]
async fn no_later_leadership_deletes_what_was_acknowledged_since_an_unclean_election() {
    let (rig, behind) = Rig::new().await;
    // The store is not there while the second one leads, and its log has not come to the old log start: nor has it after that.
    for end in [800, 1_200] {
        let second = Led::elected(&behind, 2);
        second.grow_to(end);
        let third = Led::elected(&second.copy(), 3);
        assert!(matches!(
            rig.head().await,
            Manifest { log_start: 1_000, writer: Writer { epoch: 1, .. }, .. }
        ));
        let store: SharedStore = Arc::new(copy_of(&rig.store).await);
        let rig = Rig { store, seams: Seams(Mutex::new((1_000_000, u128::from(u64::MAX)))) };
        rig.until_idle(&mut rig.offloader(&third), &third).await;
        assert_eq!(third.copy().log_start, 500, "of a log that ends at {end}");
        let (start, rows) = rig.served().await;
        assert_eq!((start, rows.first(), rows.last()), (500, Some(&(500, 600)), Some(&(end - 100, end))));
    }
}

async fn copy_of(store: &SharedStore) -> MemoryStore {
    let copy = MemoryStore::new();
    for object in store.list("", None).await.unwrap() {
        copy.put(&object.key, vec![store.get(&object.key).await.unwrap()]).await.unwrap();
    }
    copy
}

#[test]
fn a_log_start_counts_up_to_where_epochs_after_its_writers_begin() {
    let chain = |entries: &[(i32, i64)]| -> Vec<EpochStart> {
        entries.iter().map(|&(epoch, start)| EpochStart { epoch, start }).collect()
    };
    let head =
        Manifest { log_start: 1_000, writer: Writer { epoch: 4, uuid: Uuid::nil() }, ..Manifest::default() };
    for (entries, counts) in [
        (&[(1, 0), (4, 700), (5, 1_000)][..], 1_000),
        (&[(1, 0), (6, 2_000)], 1_000),
        (&[(4, 0)], 1_000),
        (&[], 1_000),
        (&[(1, 0), (5, 999)], 999),
        (&[(1, 0), (5, 500), (6, 2_000)], 500),
        (&[(7, 300)], 300),
    ] {
        assert_eq!(head.log_start_on(&chain(entries)), counts, "{entries:?}");
    }
}
