//! Segments out of the bucket, as files of Kafka's own log format; every byte is checked on the way.

use bytes::{Bytes, BytesMut};

use crate::batch;
use crate::layout::PartitionFolder;
use crate::manifest::{Manifest, Segment};
use crate::object::{self, Footer};
use crate::read::ReadError;
use crate::store::{Store, StoreError};
use crate::upload;

/// All segments of a generation, archived ones too.
///
/// # Errors
/// `Manifest` for an archive that is missing or broken, `Store`.
pub async fn rows(
    store: &dyn Store,
    folder: &PartitionFolder,
    head: &Manifest,
) -> Result<Vec<Segment>, ReadError> {
    let mut all = Vec::new();
    for archive in &head.archives {
        let key = folder.archive(&archive.name);
        let failed = |reason: String| ReadError::Manifest { folder: folder.to_string(), reason };
        let bytes = match store.get(&key).await {
            Err(StoreError::NotFound { key }) => return Err(failed(format!("{key} is missing"))),
            bytes => bytes?,
        };
        let rows = archive.decode(&bytes).map_err(|error| failed(format!("{key}: {error}")))?;
        all.extend_from_slice(archive.counting(&rows));
    }
    all.extend_from_slice(&head.live);
    Ok(all)
}

/// The footer of the last segment: the epoch chain and the producers at the tier's end.
///
/// # Errors
/// As `rows`, and `Missing`, `Corrupt`.
pub async fn last_footer(
    store: &dyn Store,
    folder: &PartitionFolder,
    head: &Manifest,
) -> Result<Option<Footer>, ReadError> {
    let rows = rows(store, folder, head).await?;
    let Some(row) = rows.last() else { return Ok(None) };
    let key = folder.segment(&row.name);
    let tail = match store.get_range(&key, row.log_bytes..row.object_bytes()).await {
        Err(StoreError::NotFound { key }) => {
            return Err(ReadError::Missing { key, base: row.base(), end: row.end });
        }
        tail => tail?,
    };
    let footer = upload::read_footer(row, &tail);
    footer.map(Some).map_err(|error| ReadError::Corrupt {
        key,
        base: row.base(),
        end: row.end,
        reason: error.to_string(),
    })
}

/// One segment's files, by their extension. The batches are those that count; the indexes, where all do.
///
/// # Errors
/// `Missing`, `Corrupt`, `Store`.
pub async fn segment(
    store: &dyn Store,
    folder: &PartitionFolder,
    row: &Segment,
) -> Result<Vec<(&'static str, Bytes)>, ReadError> {
    let key = folder.segment(&row.name);
    let corrupt =
        |reason: String| ReadError::Corrupt { key: key.clone(), base: row.base(), end: row.end, reason };
    let missing = |error| match error {
        StoreError::NotFound { .. } => {
            ReadError::Missing { key: key.clone(), base: row.base(), end: row.end }
        }
        other => ReadError::Store(other),
    };
    let tail = store.get_range(&key, row.log_bytes..row.object_bytes()).await.map_err(missing)?;
    let footer = upload::read_footer(row, &tail).map_err(|error| corrupt(error.to_string()))?;
    let mut log = BytesMut::new();
    for chunk in &footer.chunks {
        let range = chunk.position..chunk.position + u64::from(chunk.bytes);
        let bytes = store.get_range(&key, range).await.map_err(missing)?;
        object::check_chunk(chunk, &bytes).map_err(|error| corrupt(error.to_string()))?;
        log.extend_from_slice(&bytes);
    }
    let log = log.freeze();
    let counting = batch::slice_from(&log, row.base(), row.end, usize::MAX, true)
        .map_err(|error| corrupt(error.to_string()))?;
    let mut files = vec![("log", counting.map_or_else(Bytes::new, |(bytes, _)| bytes))];
    if footer.end == row.end {
        // Indexes of a segment that was cut at a divergence speak of what does not count; Kafka makes new ones.
        files.push(("index", footer.offset_index));
        files.push(("timeindex", footer.time_index));
        files.push(("txnindex", footer.aborted_transactions));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::layout::SegmentName;
    use crate::lineage::EpochStart;
    use crate::store::MemoryStore;
    use crate::testing::{MemorySegment, batches};
    use crate::upload::{Progress, UploadOptions, UploadRequest, upload};

    #[tokio::test]
    async fn an_exported_segment_is_the_log_that_went_up_and_a_cut_one_its_beginning() {
        let (store, log) = (MemoryStore::new(), batches(0, 10, 10, 2, 100));
        let folder = PartitionFolder::new("c", "t", "i", 0).unwrap();
        let request = UploadRequest {
            folder: folder.clone(),
            name: SegmentName { base: 0, leader_epoch: 2, uuid: Uuid::from_u128(1) },
            end: 100,
            chain: vec![EpochStart { epoch: 2, start: 0 }],
            aborted_transactions: Bytes::from_static(b"aborted"),
            producer_snapshot: Bytes::new(),
        };
        let source = MemorySegment(log.clone());
        let row =
            upload(&store, &request, &source, &UploadOptions::default(), &Progress::default()).await.unwrap();
        let files = segment(&store, &folder, &row).await.unwrap();
        assert_eq!(files[0], ("log", log.clone()));
        assert_eq!(files[3], ("txnindex", Bytes::from_static(b"aborted")));
        let cut = Segment { end: 50, ..row.clone() };
        let files = segment(&store, &folder, &cut).await.unwrap();
        assert_eq!(files, [("log", log.slice(..log.len() / 2))]);
        store.delete(&folder.segment(&row.name)).await.unwrap();
        assert!(matches!(segment(&store, &folder, &row).await, Err(ReadError::Missing { .. })));
    }
}
