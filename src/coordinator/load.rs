//! Loads a shard: replays its partition from the first record that is kept to the end of the log.
//!
//! Records between the high watermark and the end are replayed too: this broker leads, so they stay. The shard
//! serves once the high watermark has passed them. The next read is on its way while the last one is replayed.

use std::sync::Arc;

use bytes::Bytes;

use super::log::{PartitionLog, PartitionLogError};
use super::shard::{Entry, Marker, Producer, Shard};
use crate::types::Offset;
use crate::wire::record_batch::{Batch, BatchError, BatchIter, ControlKind};

/// A batch of the coordinator may decompress to this; ours are not compressed, but those of a Kafka cluster may be.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// Why a partition could not be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Log(#[from] PartitionLogError),
    #[error("a batch near offset {at}: {why}")]
    Corrupt { at: Offset, why: String },
    #[error("the log has nothing at offset {at}, before its end {end}")]
    Gap { at: Offset, end: Offset },
}

/// What a load went over.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) bytes: u64,
    pub(super) records: u64,
}

pub(super) async fn load<S: Shard>(
    log: &dyn PartitionLog,
    config: &Arc<S::Config>,
) -> Result<(S, Loaded), LoadError> {
    let end = log.end();
    let mut shard = S::new(config.clone(), log.leader_epoch(), end);
    let load_buffer_bytes = S::limits(config).load_buffer_bytes;
    let mut loaded = Loaded::default();
    let mut at = log.start();
    let mut read = (at < end).then(|| log.read(at, load_buffer_bytes));
    while let Some(reading) = read.take() {
        let bytes = reading.await?;
        loaded.bytes += bytes.len() as u64;
        let next = end_of(&bytes, at)?;
        if next <= at {
            return Err(LoadError::Gap { at, end });
        }
        if next < end {
            let mut reading = log.read(next, load_buffer_bytes);
            // Polled once, so that the disk works while we replay; a future that is ready at once is not lost.
            read = Some(match futures::poll!(&mut reading) {
                std::task::Poll::Ready(ready) => Box::pin(std::future::ready(ready)),
                std::task::Poll::Pending => reading,
            });
        }
        for batch in BatchIter::new(bytes) {
            let batch = batch.map_err(|e| corrupt(at, &e))?;
            loaded.records += replay(&mut shard, &batch, at)?;
            tokio::task::yield_now().await;
        }
        at = next;
    }
    log.committed(end).await?;
    Ok((shard, loaded))
}

fn corrupt(at: Offset, why: &BatchError) -> LoadError {
    LoadError::Corrupt { at, why: why.to_string() }
}

/// Where the read ends: behind its last batch. Headers only.
fn end_of(bytes: &Bytes, from: Offset) -> Result<Offset, LoadError> {
    let mut end = from;
    for batch in BatchIter::new(bytes.clone()) {
        end = batch.map_err(|e| corrupt(end, &e))?.header.end_offset();
    }
    Ok(end)
}

fn replay<S: Shard>(shard: &mut S, batch: &Batch, from: Offset) -> Result<u64, LoadError> {
    let header = &batch.header;
    let at = header.base_offset;
    batch.check_crc().map_err(|e| corrupt(at, &e))?;
    let producer = Producer { id: header.producer_id, epoch: header.producer_epoch };
    let mut count = 0;
    for record in batch.records(MAX_BATCH_BYTES).map_err(|e| corrupt(at, &e))? {
        let record = record.map_err(|e| corrupt(at, &e))?;
        if record.offset < from {
            continue;
        }
        count += 1;
        if header.attributes.is_control() {
            if let Some(kind) = record.control_kind() {
                let coordinator_epoch = record.coordinator_epoch().unwrap_or(-1);
                let commit = kind == ControlKind::Commit;
                shard.replay(&Entry::Marker(Marker { producer, commit, coordinator_epoch }));
            }
            continue;
        }
        match S::decode(record.key, record.value) {
            Ok(Some(record)) if header.attributes.is_transactional() => {
                shard.replay(&Entry::InTransaction(producer, record));
            }
            Ok(Some(record)) => shard.replay(&Entry::Record(record)),
            Ok(None) => {
                tracing::debug!(offset = %record.offset, "a record of another protocol is left alone")
            }
            Err(why) => {
                tracing::error!(offset = %record.offset, %why, "not a coordinator's record; left alone")
            }
        }
    }
    Ok(count)
}
