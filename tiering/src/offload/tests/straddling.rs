//! Replicas end their segments at different offsets, so an object may begin below a leader's first local segment and end inside it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use super::super::*;
use super::lives::{Still, folder, offloader, served};
use crate::lineage::EpochStart;
use crate::store::{MemoryStore, SharedStore};
use crate::testing::{MemorySegment, batches};

const CHAIN: [EpochStart; 1] = [EpochStart { epoch: 3, start: 0 }];

/// A leader's log of records that all have the same epoch.
struct Led {
    epoch: i32,
    state: Mutex<State>,
}

#[derive(Debug, PartialEq, Eq)]
struct State {
    local_start: i64,
    closed: Vec<LocalSegment>,
    /// As the followers were told.
    tier_end: i64,
}

fn log_bytes(segment: &LocalSegment) -> Bytes {
    batches(segment.base, (segment.end - segment.base) as usize, 1, 3, 50)
}

impl Led {
    fn new(epoch: i32, bounds: &[i64]) -> Led {
        let closed: Vec<LocalSegment> = bounds
            .windows(2)
            .map(|ends| LocalSegment { base: ends[0], end: ends[1], bytes: 100, max_timestamp: 0 })
            .collect();
        Led { epoch, state: Mutex::new(State { local_start: bounds[0], closed, tier_end: 0 }) }
    }
}

#[async_trait]
impl LeaderLog for Led {
    async fn local(&self) -> Option<Local> {
        let state = self.state.lock().unwrap();
        let end = state.closed.last().map_or(state.local_start, |segment| segment.end);
        Some(Local {
            epoch: self.epoch,
            log_start: 0,
            local_start: state.local_start,
            high_watermark: end,
            last_stable: end,
            chain: CHAIN.to_vec(),
            closed: state.closed.clone(),
            open_bytes: 0,
            everywhere_from: None,
        })
    }
    async fn open(&self, segment: &LocalSegment) -> std::io::Result<LocalCopy> {
        Ok(LocalCopy {
            source: Box::new(MemorySegment(log_bytes(segment))),
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::new(),
        })
    }
    async fn advance_log_start(&self, _: i64) -> std::io::Result<()> {
        Ok(())
    }
    async fn owns_store(&self) -> std::io::Result<bool> {
        Ok(true)
    }
    async fn everywhere_from(&self) -> Option<i64> {
        None
    }
    async fn delete_local(&self, below: i64) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.closed.retain(|segment| segment.end > below);
        state.local_start = state.local_start.max(below);
        Ok(())
    }
    async fn set_tier(&self, end: i64, _: u64) {
        self.state.lock().unwrap().tier_end = end;
    }
}

/// Steps until nothing is left to do; the lost objects that are not local, which nobody else has either, and how far the tier was
/// told to reach while they were asked.
async fn lost_until_idle(offloader: &mut Offloader, log: &Led, ambient: &Still) -> Vec<(i64, i64)> {
    let policy = Policy { local_retention_bytes: Some(0), ..Policy::default() };
    let mut lost = Vec::new();
    for _ in 0..100 {
        match offloader.step(log, &policy, ambient).await {
            Ok(Action::Idle) => return lost,
            Ok(_) => {}
            Err(OffloadError::Lost { .. }) => {
                if let Some(base) = offloader.take_lost_elsewhere() {
                    lost.push((base, log.state.lock().unwrap().tier_end));
                    offloader.pass_over(base);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it never comes to rest");
}

#[tokio::test]
async fn a_lost_object_that_begins_below_the_local_start_holds_nothing_up_and_its_local_part_is_kept() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let ambient = Still(Mutex::new(0));
    let (old, mut of_old) = (Led::new(3, &[0, 10, 20, 30]), offloader(&store, 3));
    assert_eq!(lost_until_idle(&mut of_old, &old, &ambient).await, []);
    assert_eq!(served(&store).await, [(0, 10, 3), (10, 20, 3), (20, 30, 3)]);
    let lost = folder().segment(&of_old.manifest().unwrap().live[1].name);
    store.delete(&lost).await.unwrap();

    let (new, mut of_new) = (Led::new(4, &[15, 25, 35, 45]), offloader(&store, 4));
    let distant = lost_until_idle(&mut of_new, &new, &ambient).await;
    assert_eq!(distant, [(10, 10)], "of what is not local others are asked, before any of them deletes it");
    assert_eq!(
        served(&store).await,
        [(0, 10, 3), (10, 15, 3), (15, 25, 4), (25, 35, 4), (35, 45, 4)],
        "what is local of it has gone up again"
    );
    let rest = State { local_start: 45, closed: Vec::new(), tier_end: 45 };
    assert_eq!(
        *new.state.lock().unwrap(),
        rest,
        "all may go, and a replica without anything begins at the end"
    );
    let removed = &of_new.manifest().unwrap().removed;
    assert_eq!(removed.iter().map(|gone| gone.segment.base()).collect::<Vec<_>>(), [20, 30]);
}
