//! Makes a damaged object good whose records have left the local disk: the same records under a new name, chunk by chunk from
//! whoever still has them right: the caches, the replicas' logs, or the store itself.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::layout::{PartitionFolder, SegmentName};
use crate::manifest::Segment;
use crate::object::Footer;
use crate::read::{ReadError, Reader};
use crate::store::Store;
use crate::upload::{self, Progress, SegmentSource, UploadError, UploadOptions, UploadRequest};

/// Why an object stays damaged.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A part of it is right nowhere.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new object could not be written.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl RebuildError {
    /// Whether the same may succeed later, when the store answers again: nothing is known to be lost.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let of_reading = |error: &ReadError| match error {
            ReadError::Store(error) => error.is_retriable(),
            ReadError::Stopped => true,
            _ => false,
        };
        match self {
            RebuildError::Read(error) => of_reading(error),
            RebuildError::Upload(UploadError::Store(error)) => error.is_retriable(),
            RebuildError::Upload(UploadError::Local(error)) => {
                error.get_ref().and_then(|inner| inner.downcast_ref()).is_some_and(of_reading)
            }
            RebuildError::Upload(_) => false,
        }
    }
}

/// The log bytes of a published segment, each chunk checked.
struct FromChunks<'a> {
    reader: &'a Reader,
    folder: &'a PartitionFolder,
    segment: &'a Segment,
    footer: Arc<Footer>,
}

#[async_trait]
impl SegmentSource for FromChunks<'_> {
    fn bytes(&self) -> u64 {
        self.footer.log_bytes
    }

    async fn read(&self, position: u64, bytes: usize) -> std::io::Result<Bytes> {
        let end = self.bytes().min(position.saturating_add(bytes as u64));
        let mut at = position;
        let mut found = BytesMut::new();
        while at < end {
            let after = self.footer.chunks.partition_point(|chunk| chunk.position <= at);
            let number = after.checked_sub(1).ok_or(std::io::ErrorKind::UnexpectedEof)?;
            let chunk = self.reader.chunk(self.folder, self.segment, &self.footer, number).await;
            let chunk = chunk.map_err(std::io::Error::other)?;
            let skip = usize::try_from(at - self.footer.chunks[number].position).unwrap_or(usize::MAX);
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let rest =
                chunk.get(skip..).filter(|rest| !rest.is_empty()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
            let taken = &rest[..rest.len().min(left)];
            found.extend_from_slice(taken);
            at += taken.len() as u64;
        }
        Ok(found.freeze())
    }
}

/// Writes the segment's object once more under `name`, and reads back what must be right. The row that comes back takes the
/// place of the old one.
///
/// # Errors
/// `RebuildError`; what was written under the name is an orphan then.
pub async fn rebuild(
    reader: &Reader,
    store: &dyn Store,
    folder: &PartitionFolder,
    row: &Segment,
    name: SegmentName,
    options: &UploadOptions,
) -> Result<Segment, RebuildError> {
    let footer = reader.footer(folder, row).await?;
    let request = UploadRequest {
        folder: folder.clone(),
        name,
        end: footer.end,
        chain: footer.epochs.clone(),
        aborted_transactions: footer.aborted_transactions.clone(),
        producer_snapshot: footer.producer_snapshot.clone(),
    };
    let source = FromChunks { reader, folder, segment: row, footer };
    let written = upload::upload(store, &request, &source, options, &Progress::default()).await?;
    upload::verify(store, folder, &written).await?;
    // Of the old object only this part may have counted.
    Ok(Segment { end: row.end, epochs: row.epochs.clone(), ..written })
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;
    use uuid::Uuid;

    use super::*;
    use crate::cache::{CacheLimits, ChunkCache};
    use crate::lineage::EpochStart;
    use crate::manifest::{Changes, Manifest, Writer, successor};
    use crate::object::ObjectOptions;
    use crate::read::{ChunkPeers, ReadLimits, WantedChunk};
    use crate::store::{Fault, FaultStore, Faults, MemoryStore, Operation};
    use crate::testing::{MemorySegment, batches};
    use crate::verify::{self, Depth};

    const CHAIN: [EpochStart; 1] = [EpochStart { epoch: 2, start: 0 }];

    /// Another broker that has the whole log.
    #[derive(Debug)]
    struct HasItAll(Bytes);

    #[async_trait]
    impl ChunkPeers for HasItAll {
        async fn find(&self, _: &WantedChunk) -> Option<Bytes> {
            None
        }
        async fn rescue(&self, wanted: &WantedChunk) -> Option<Bytes> {
            let at = wanted.chunk.position as usize;
            Some(self.0.slice(at..at + wanted.chunk.bytes as usize))
        }
    }

    /// All such requests fail.
    #[derive(Debug)]
    struct Down(Operation);

    impl Faults for Down {
        fn next(&self, operation: Operation, _: &str) -> Fault {
            if operation == self.0 { Fault::Fail } else { Fault::None }
        }
    }

    #[tokio::test]
    async fn a_damaged_object_is_made_good_from_a_peer_and_takes_the_old_ones_place() {
        let store = Arc::new(MemoryStore::new());
        let folder = PartitionFolder::new("c", "t", "i", 0).unwrap();
        let log = batches(0, 100, 10, 2, 100);
        let request = UploadRequest {
            folder: folder.clone(),
            name: SegmentName { base: 0, leader_epoch: 2, uuid: Uuid::from_u128(1) },
            end: 1000,
            chain: CHAIN.to_vec(),
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::from_static(b"producers"),
        };
        let options = UploadOptions {
            object: ObjectOptions { chunk_bytes: 1500, index_interval_bytes: 500 },
            ..UploadOptions::default()
        };
        let source = MemorySegment(log.clone());
        let old = upload::upload(&*store, &request, &source, &options, &Progress::default()).await.unwrap();
        let key = folder.segment(&old.name);
        let mut object = store.get(&key).await.unwrap().to_vec();
        object[4000] ^= 1;
        store.put(&key, vec![object.into()]).await.unwrap();
        let limits = CacheLimits { memory_bytes: 1 << 20, disk_bytes: 0 };
        let chunks = ChunkCache::open(limits, None, Handle::current()).await.unwrap();
        let reader = Reader::new(store.clone(), chunks, ReadLimits::default());
        let name = SegmentName { base: 0, leader_epoch: 3, uuid: Uuid::from_u128(2) };
        let alone = rebuild(&reader, &*store, &folder, &old, name, &options).await;
        assert!(!alone.unwrap_err().may_pass(), "nobody has the bytes");
        // The store is away for a while: while the chunks are read, and while the new object is written.
        for down in [Operation::Get, Operation::Put] {
            let flaky = Arc::new(FaultStore::new(store.clone(), Arc::new(Down(down))));
            let chunks = ChunkCache::open(limits, None, Handle::current()).await.unwrap();
            let reader = Reader::new(flaky.clone(), chunks, ReadLimits::default());
            reader.set_peers(Arc::new(HasItAll(log.clone())));
            let failed = rebuild(&reader, &*flaky, &folder, &old, name, &options).await;
            assert!(failed.unwrap_err().may_pass(), "{down:?}");
        }
        reader.set_peers(Arc::new(HasItAll(log)));
        let new = rebuild(&reader, &*store, &folder, &old, name, &options).await.unwrap();
        assert_eq!((new.name, new.end, new.log_bytes), (name, old.end, old.log_bytes));
        assert!(verify::segment(&*store, &folder, &new, Depth::Bytes).await.unwrap().is_ok());
        let writer = Writer { epoch: 3, uuid: Uuid::nil() };
        let head = Manifest { generation: 1, writer, live: vec![old.clone()], ..Manifest::default() };
        let replace = (old.name, new.clone());
        let changes = Changes {
            add: &[],
            chain: &CHAIN,
            discard: false,
            rewrite: &[],
            archive: None,
            unpacked: None,
            log_start: 0,
            deleted: &[],
            replace: Some(&replace),
            now_ms: 7,
        };
        let next = successor(Some(&head), writer, &changes);
        assert_eq!(next.live, [new]);
        assert_eq!(next.removed.iter().map(|gone| &gone.segment).collect::<Vec<_>>(), [&old]);
    }
}
