//! Writes a segment object and reads back what must be right before anybody relies on it.
//!
//! Small objects are one PUT, larger ones go in parts; either way the log bytes are read once, piece by piece, and the memory
//! held is one part. Each upload has a fresh uuid, so nothing is ever overwritten; what fails midway is an orphan of this
//! writer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::batch::{self, BadBatch};
use crate::layout::{PartitionFolder, SegmentName};
use crate::lineage::{self, EpochStart};
use crate::manifest::Segment;
use crate::object::{BadObject, Footer, ObjectBuilder, ObjectOptions};
use crate::store::{PartUpload, Pieces, Store, StoreError, total_bytes};

/// The bytes of a closed local segment.
#[async_trait]
pub trait SegmentSource: Send + Sync {
    /// The length of the `.log` in bytes.
    fn bytes(&self) -> u64;
    /// Bytes from a position on: as many as asked, unless the segment ends before.
    async fn read(&self, position: u64, bytes: usize) -> std::io::Result<Bytes>;
}

/// What to upload, and under which name.
#[derive(Clone, Debug)]
pub struct UploadRequest {
    /// Where the object goes.
    pub folder: PartitionFolder,
    /// The object's name. Its base is where the tier ends, also inside the local segment; if that is inside a batch
    /// (the log start can be), the object starts with this batch and is named after it.
    pub name: SegmentName,
    /// The end of the local segment.
    pub end: i64,
    /// The log's epoch chain.
    pub chain: Vec<EpochStart>,
    /// Kafka's aborted-transaction index of the segment.
    pub aborted_transactions: Bytes,
    /// The producers' state at `end`, in Kafka's snapshot form.
    pub producer_snapshot: Bytes,
}

/// How objects are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadOptions {
    /// Chunks and indexes.
    pub object: ObjectOptions,
    /// Larger objects go in parts.
    pub single_put_bytes: u64,
    /// The least size of a part: at least 5 MiB for S3.
    pub part_bytes: usize,
}

impl Default for UploadOptions {
    fn default() -> Self {
        UploadOptions { object: ObjectOptions::default(), single_put_bytes: 64 << 20, part_bytes: 16 << 20 }
    }
}

/// Why there is no verified object.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The local file can't be read.
    #[error("reading the local segment: {0}")]
    Local(#[source] std::io::Error),
    /// The local segment is broken: it must be repaired from a replica, not uploaded.
    #[error("the local segment at {offset} is broken: {error}")]
    Broken {
        /// Where.
        offset: i64,
        /// What.
        error: BadBatch,
    },
    /// The local segment ends before, or after, the end that was planned, or its epochs are not the log's.
    #[error("the local segment covers {base}..{found}, not ..{planned}, or is of another lineage")]
    Range {
        /// The object's base.
        base: i64,
        /// The end that was found.
        found: i64,
        /// The end that was planned.
        planned: i64,
    },
    /// The object that was read back is not the one that was written.
    #[error("{key} does not read back as it was written: {reason}")]
    Verify {
        /// The object.
        key: String,
        /// The difference.
        reason: String,
    },
}

/// Bytes that uploads have read and sent; the watchdog of the driver and the metrics look at it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

const READ_BYTES: usize = 1 << 20;

/// Uploads a segment in one go. The object counts for nothing before [`verify`] and a publish.
///
/// # Errors
/// `UploadError`; what was written under the name is an orphan then.
pub async fn upload(
    store: &dyn Store,
    request: &UploadRequest,
    source: &dyn SegmentSource,
    options: &UploadOptions,
    progress: &Progress,
) -> Result<Segment, UploadError> {
    let mut transfer = Transfer::new(request.clone(), options);
    let outcome = transfer.run(store, source, progress).await;
    if outcome.is_err() {
        transfer.give_up().await;
    }
    outcome
}

/// The store's side of an upload in parts; only ever used by whoever has the transfer to himself.
type Parts = Mutex<Box<dyn PartUpload>>;

fn exclusive(parts: &mut Parts) -> &mut dyn PartUpload {
    &mut **parts.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// An upload that goes on where it stopped: what the store has taken, part by part, is not sent again.
pub struct Transfer {
    request: UploadRequest,
    options: UploadOptions,
    scan: Scan,
    /// Read, and not yet taken by the store.
    held: Pieces,
    parts: Option<Parts>,
    /// Parts that the store has.
    sent: usize,
    /// All was read: the row, once the object is there.
    row: Option<Segment>,
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer")
            .field("name", &self.name())
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl Transfer {
    /// An upload that has not begun.
    #[must_use]
    pub fn new(request: UploadRequest, options: &UploadOptions) -> Transfer {
        let scan = Scan::new(&request, options.object);
        Transfer { request, options: *options, scan, held: Vec::new(), parts: None, sent: 0, row: None }
    }

    /// The name of the object; its base may move to the start of a batch while the first one is read.
    #[must_use]
    pub fn name(&self) -> SegmentName {
        self.row.as_ref().map_or_else(|| self.scan.builder.name(), |row| row.name)
    }

    /// What it uploads.
    #[must_use]
    pub fn request(&self) -> &UploadRequest {
        &self.request
    }

    /// Whether the store has parts that a further run would not send again.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        self.sent > 0 && self.parts.is_some()
    }

    /// Sends what is left.
    ///
    /// # Errors
    /// `UploadError`. After `Store` it may be run again; what was sent stays sent if [`Transfer::can_go_on`].
    pub async fn run(
        &mut self,
        store: &dyn Store,
        source: &dyn SegmentSource,
        progress: &Progress,
    ) -> Result<Segment, UploadError> {
        if source.bytes() <= self.options.single_put_bytes {
            return self.run_whole(store, source, progress).await;
        }
        while self.row.is_none() {
            while self.held_bytes() < self.options.part_bytes {
                let Some(piece) = self.scan.next(source).await? else {
                    let (footer, row) = self.scan.finish(&self.request)?;
                    self.held.push(footer);
                    self.row = Some(row);
                    break;
                };
                self.held.push(piece);
            }
            if self.row.is_none() {
                self.send(store, progress).await?;
            }
        }
        if !self.held.is_empty() {
            self.send(store, progress).await?;
        }
        if let Some(parts) = &mut self.parts
            && let Err(error) = exclusive(parts).complete().await
        {
            // Whether it is there now, only a new upload or a look tells: the id is used up.
            self.parts = None;
            return Err(error.into());
        }
        self.row.clone().ok_or(UploadError::Range {
            base: self.request.name.base,
            found: self.scan.builder.end(),
            planned: self.request.end,
        })
    }

    async fn run_whole(
        &mut self,
        store: &dyn Store,
        source: &dyn SegmentSource,
        progress: &Progress,
    ) -> Result<Segment, UploadError> {
        while let Some(piece) = self.scan.next(source).await? {
            self.held.push(piece);
        }
        let (footer, row) = self.scan.finish(&self.request)?;
        let key = self.request.folder.segment(&row.name);
        let mut pieces = std::mem::take(&mut self.held);
        pieces.push(footer);
        let bytes = total_bytes(&pieces);
        self.row = Some(row.clone());
        store.put(&key, pieces).await?;
        progress.add(bytes);
        Ok(row)
    }

    fn held_bytes(&self) -> usize {
        self.held.iter().map(Bytes::len).sum()
    }

    /// Sends what is held as the next part.
    async fn send(&mut self, store: &dyn Store, progress: &Progress) -> Result<(), UploadError> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let name = self.row.as_ref().map_or_else(|| self.scan.builder.name(), |row| row.name);
                let begun = store.begin_multipart(&self.request.folder.segment(&name)).await?;
                self.parts.insert(Mutex::new(begun))
            }
        };
        exclusive(parts).put_part(self.sent, self.held.clone()).await?;
        progress.add(total_bytes(&self.held));
        self.held.clear();
        self.sent += 1;
        Ok(())
    }

    /// Tells the store to forget the parts. What it can't reach, the bucket's rule for incomplete uploads removes.
    pub async fn give_up(mut self) {
        if let Some(parts) = &mut self.parts
            && let Err(error) = exclusive(parts).abort().await
        {
            tracing::debug!(name = %self.name(), %error, "a failed upload was not given up cleanly");
        }
    }
}

/// Walks a local segment batch by batch from the object's base on.
struct Scan {
    builder: ObjectBuilder,
    base: i64,
    position: u64,
    rest: BytesMut,
}

impl Scan {
    fn new(request: &UploadRequest, options: ObjectOptions) -> Scan {
        Scan {
            builder: ObjectBuilder::new(request.name, options),
            base: request.name.base,
            position: 0,
            rest: BytesMut::new(),
        }
    }

    /// The next run of whole batches; `None` at the end.
    async fn next(&mut self, source: &dyn SegmentSource) -> Result<Option<Bytes>, UploadError> {
        loop {
            let wanted = batch::announced_bytes(&self.rest).unwrap_or(0).max(READ_BYTES);
            let read = source.read(self.position, wanted - self.rest.len().min(wanted)).await;
            let read = read.map_err(UploadError::Local)?;
            self.position += read.len() as u64;
            self.rest.extend_from_slice(&read);
            let whole = self.take_whole()?;
            if !whole.is_empty() {
                return Ok(Some(whole));
            }
            if read.is_empty() {
                // What is left is no whole batch: `finish` finds the end missing.
                return Ok(None);
            }
        }
    }

    fn take_whole(&mut self) -> Result<Bytes, UploadError> {
        let (mut skip, mut end) = (0, 0);
        let at = self.builder.end();
        let broken = |error| UploadError::Broken { offset: at, error };
        while let Some(head) = batch::head(&self.rest[end..]).map_err(broken)? {
            let next = end + head.bytes;
            if head.end <= self.base {
                skip = next;
            } else {
                if self.builder.log_bytes() == 0 && head.base < self.base {
                    self.base = head.base;
                    self.builder.start_at(head.base);
                }
                self.builder.push(&head, &self.rest[end..next]).map_err(broken)?;
            }
            end = next;
        }
        let mut taken = self.rest.split_to(end).freeze();
        Ok(taken.split_off(skip))
    }

    fn finish(&self, request: &UploadRequest) -> Result<(Bytes, Segment), UploadError> {
        let (base, found) = (self.base, self.builder.end());
        let epochs = self.builder.epochs().to_vec();
        let on_chain = lineage::agreed_end(&request.chain, &epochs, base, found) == found;
        if found != request.end || found <= base || !self.rest.is_empty() || !on_chain {
            return Err(UploadError::Range { base, found, planned: request.end });
        }
        let aborted = request.aborted_transactions.clone();
        let footer = self.builder.clone().finish(&request.chain, aborted, request.producer_snapshot.clone());
        let (bytes, crc) = footer.encode();
        let segment = Segment {
            name: footer.name,
            end: footer.end,
            epochs,
            max_timestamp: footer.max_timestamp,
            log_bytes: footer.log_bytes,
            footer_bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            crc,
        };
        Ok((bytes, segment))
    }
}

/// Reads back the length and the footer: with the store's own checksum of the PUT, the object is what was written.
///
/// # Errors
/// `Verify` when it differs, `Store`.
pub async fn verify(
    store: &dyn Store,
    folder: &PartitionFolder,
    segment: &Segment,
) -> Result<(), UploadError> {
    let key = folder.segment(&segment.name);
    let differs = |reason: String| UploadError::Verify { key: key.clone(), reason };
    let found = match store.head(&key).await {
        Ok(found) => found,
        Err(StoreError::NotFound { .. }) => return Err(differs("it is not there".to_owned())),
        Err(error) => return Err(error.into()),
    };
    if found != segment.object_bytes() {
        return Err(differs(format!("{found} bytes instead of {}", segment.object_bytes())));
    }
    let tail = store.get_range(&key, segment.log_bytes..segment.object_bytes()).await?;
    read_footer(segment, &tail).map(|_| ()).map_err(|error| differs(error.to_string()))
}

/// Decodes the footer of the object that a row describes.
///
/// # Errors
/// `BadObject` when it is broken, or whole but of another object.
pub fn read_footer(segment: &Segment, tail: &Bytes) -> Result<Footer, BadObject> {
    let footer = Footer::decode(tail)?;
    let stored = tail.len().checked_sub(12).and_then(|at| tail[at..].first_chunk()).copied();
    let same = footer.name == segment.name
        && footer.end >= segment.end
        && footer.log_bytes == segment.log_bytes
        && stored.map(u32::from_be_bytes) == Some(segment.crc);
    if same { Ok(footer) } else { Err(BadObject::Content("identity")) }
}

#[cfg(test)]
mod tests;
