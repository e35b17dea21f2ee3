//! A led log in memory.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;

use super::super::*;
use crate::lineage::EpochStart;
use crate::testing::{MemorySegment, batches};

const RECORDS: i64 = 10;

/// A leader's log that has its own records from some offset on, in closed segments of ten batches.
pub(super) struct Led {
    epoch: i32,
    chain: Vec<EpochStart>,
    from: i64,
    closed: Mutex<Vec<LocalSegment>>,
    log_start: AtomicI64,
}

impl Led {
    pub(super) fn new(epoch: i32, chain: &[(i32, i64)]) -> Led {
        let chain: Vec<EpochStart> =
            chain.iter().map(|&(epoch, start)| EpochStart { epoch, start }).collect();
        let from = chain.last().map_or(0, |last| last.start);
        Led { epoch, chain, from, closed: Mutex::default(), log_start: AtomicI64::new(0) }
    }

    pub(super) fn grow(&self, segments: usize) {
        self.grow_at(segments, 0);
    }

    /// Of records of some time.
    pub(super) fn grow_at(&self, segments: usize, max_timestamp: i64) {
        let mut closed = self.closed.lock().unwrap();
        for _ in 0..segments {
            let base = closed.last().map_or(self.from, |segment| segment.end);
            let bytes = self.bytes_of(base).len() as u64;
            closed.push(LocalSegment { base, end: base + RECORDS, bytes, max_timestamp });
        }
    }

    fn bytes_of(&self, base: i64) -> Bytes {
        batches(base, RECORDS as usize, 1, self.epoch, 50)
    }
}

#[async_trait]
impl LeaderLog for Led {
    async fn local(&self) -> Option<Local> {
        let log_start = self.log_start.load(Relaxed);
        let mut closed = self.closed.lock().unwrap().clone();
        let end = closed.last().map_or(self.from, |segment| segment.end);
        closed.retain(|segment| segment.end > log_start);
        Some(Local {
            epoch: self.epoch,
            log_start,
            local_start: self.from.max(log_start),
            high_watermark: end,
            last_stable: end,
            chain: self.chain.clone(),
            closed,
            open_bytes: 0,
            everywhere_from: None,
        })
    }
    async fn open(&self, segment: &LocalSegment) -> std::io::Result<LocalCopy> {
        Ok(LocalCopy {
            source: Box::new(MemorySegment(self.bytes_of(segment.base))),
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::new(),
        })
    }
    async fn advance_log_start(&self, to: i64) -> std::io::Result<()> {
        self.log_start.store(to, Relaxed);
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
