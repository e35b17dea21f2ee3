//! Serves batches from the cold tier: manifest → footer → chunks → whole batches, each step checked by its CRC.
//!
//! Only segments on the leader's epoch chain are served. A copy that is missing or broken is an error that names
//! the object and the range of offsets, and that a client may retry; nothing unchecked is ever returned. A chunk is asked of
//! the other brokers before the store, where there are any ([`ChunkPeers`]).

mod cursors;
mod indexes;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::cursors::Cursors;
pub use self::indexes::IndexCounts;
use self::indexes::Indexes;
use crate::batch;
use crate::cache::{ChunkCache, ChunkId};
use crate::index::{self, AbortedTransaction};
use crate::layout::{PartitionFolder, SegmentName};
use crate::lineage::EpochStart;
use crate::manifest::{Archive, Manifest, Segment};
use crate::object::{self, Chunk, Footer};
use crate::publish::{PublishError, Publisher};
use crate::store::{SharedStore, StoreError};
use crate::upload;

/// Why there are no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The tier does not hold the offset, or holds it only in another lineage.
    #[error("offset {offset} is not in the tier")]
    NotInTier {
        /// The offset.
        offset: i64,
    },
    /// A segment's object is gone although the manifest names it. Retriable: it may be repaired.
    #[error("{key}, which holds offsets {base}..{end}, is missing")]
    Missing {
        /// The object.
        key: String,
        /// Its first offset.
        base: i64,
        /// The offset after its last.
        end: i64,
    },
    /// An object does not pass its checks. Retriable: it may be repaired.
    #[error("{key} is corrupt in offsets {base}..{end}: {reason}")]
    Corrupt {
        /// The object.
        key: String,
        /// The first offset that is affected.
        base: i64,
        /// The offset after the last one that is.
        end: i64,
        /// What was found.
        reason: String,
    },
    /// The manifest can't be read. Retriable.
    #[error("the manifest of {folder}: {reason}")]
    Manifest {
        /// The partition's folder.
        folder: String,
        /// What was found.
        reason: String,
    },
    /// The store. Retriable, unless it refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reader is being shut down.
    #[error("the reader of the cold tier has stopped")]
    Stopped,
}

/// Batches from the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierSlice {
    /// Whole batches in order; the first holds the offset that was asked for.
    pub batches: Vec<Bytes>,
    /// The offset after them.
    pub next: i64,
}

/// Bounds of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes that may be on their way from the store at once.
    pub in_flight_bytes: u32,
    /// Footers in memory (`tier.index.cache.bytes`).
    pub index_bytes: u64,
    /// Manifests in memory.
    pub manifest_bytes: u64,
    /// How far a sequential reader is run ahead of, at most.
    pub read_ahead_bytes: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        ReadLimits {
            in_flight_bytes: 64 << 20,
            index_bytes: 64 << 20,
            manifest_bytes: 32 << 20,
            read_ahead_bytes: 16 << 20,
        }
    }
}

/// A chunk that somebody needs, with all that tells whether bytes are it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedChunk {
    /// The partition.
    pub folder: PartitionFolder,
    /// Which chunk of which object.
    pub id: ChunkId,
    /// Where it lies, its length and its checksum.
    pub chunk: Chunk,
    /// The offset after its last record.
    pub end: i64,
}

/// The other brokers, who may have a chunk, or fetch it at this moment. What they give is checked here; every call is bounded
/// in time by the implementation, and `None` means that the store is asked.
#[async_trait]
pub trait ChunkPeers: Send + Sync + std::fmt::Debug + 'static {
    /// Asks before the store: of several brokers that need a chunk at once, one gets `None`.
    async fn find(&self, wanted: &WantedChunk) -> Option<Bytes>;
    /// Asks when the store has lost the chunk: any copy will do.
    async fn rescue(&self, wanted: &WantedChunk) -> Option<Bytes>;
}

/// Reads any partition of one store; clones share caches and budgets.
#[derive(Clone, Debug)]
pub struct Reader {
    store: SharedStore,
    chunks: ChunkCache,
    footers: Indexes<Uuid, Footer>,
    manifests: Indexes<PartitionFolder, Manifest>,
    archives: Indexes<Uuid, Vec<Segment>>,
    in_flight: Arc<Semaphore>,
    limits: ReadLimits,
    cursors: Arc<Mutex<Cursors>>,
    peers: Arc<OnceLock<Arc<dyn ChunkPeers>>>,
}

impl Reader {
    /// A reader over a store and a chunk cache.
    #[must_use]
    pub fn new(store: SharedStore, chunks: ChunkCache, limits: ReadLimits) -> Reader {
        Reader {
            store,
            chunks,
            footers: Indexes::new(limits.index_bytes, Footer::memory_bytes),
            archives: Indexes::new(limits.manifest_bytes / 2, |rows: &Vec<Segment>| rows_bytes(rows)),
            manifests: Indexes::new(
                limits.manifest_bytes - limits.manifest_bytes / 2,
                Manifest::memory_bytes,
            ),
            in_flight: Arc::new(Semaphore::new(limits.in_flight_bytes as usize)),
            limits,
            cursors: Arc::default(),
            peers: Arc::default(),
        }
    }

    /// From now on these are asked before the store; only the first call counts.
    pub fn set_peers(&self, peers: Arc<dyn ChunkPeers>) {
        if self.peers.set(peers).is_err() {
            tracing::debug!("the reader has its peers already");
        }
    }

    /// Its bounds.
    #[must_use]
    pub fn limits(&self) -> &ReadLimits {
        &self.limits
    }

    /// The chunk cache.
    #[must_use]
    pub fn chunks(&self) -> &ChunkCache {
        &self.chunks
    }

    /// What was looked up in memory, by kind (`footer`, `manifest`, `archive`).
    #[must_use]
    pub fn index_counts(&self) -> [(&'static str, IndexCounts); 3] {
        let (footers, manifests) = (self.footers.counts(), self.manifests.counts());
        [("footer", footers), ("manifest", manifests), ("archive", self.archives.counts())]
    }

    /// A generation not older than `at_least`: from the cache, or the head from the store, asked once for all who wait.
    ///
    /// # Errors
    /// `Manifest` when there is none or it is broken, `Store`.
    pub async fn manifest(
        &self,
        folder: &PartitionFolder,
        at_least: u64,
    ) -> Result<Arc<Manifest>, ReadError> {
        if let Some(manifest) = self.manifests.get(folder).await {
            if manifest.generation >= at_least {
                self.manifests.count_hit();
                return Ok(manifest);
            }
            self.manifests.invalidate(folder).await;
        }
        let find = async {
            let failed = |reason: String| ReadError::Manifest { folder: folder.to_string(), reason };
            let head = match Publisher::new(self.store.clone(), folder.clone()).find_head(at_least).await {
                Ok(head) => head,
                Err(PublishError::Store(error)) => return Err(ReadError::Store(error)),
                Err(error) => return Err(failed(error.to_string())),
            };
            head.manifest.map(Arc::new).ok_or_else(|| failed("there is none".to_owned()))
        };
        self.manifests.get_or_load(folder.clone(), find).await
    }

    /// Looks for a newer generation than the cached one, because that did not have what was asked for.
    ///
    /// # Errors
    /// As `manifest`.
    pub async fn refreshed_manifest(&self, folder: &PartitionFolder) -> Result<Arc<Manifest>, ReadError> {
        let known = self.manifests.get(folder).await.map_or(0, |manifest| manifest.generation);
        self.manifests.invalidate(folder).await;
        self.manifest(folder, known).await
    }

    /// Takes a manifest that the caller has just published.
    pub async fn note_manifest(&self, folder: &PartitionFolder, manifest: Arc<Manifest>) {
        self.manifests.insert(folder.clone(), manifest).await;
    }

    /// Whole batches from the one that holds `offset` on: at most `max_bytes`, but at least one batch.
    ///
    /// # Errors
    /// `ReadError`.
    pub async fn read(
        &self,
        folder: &PartitionFolder,
        manifest: &Manifest,
        chain: &[EpochStart],
        offset: i64,
        max_bytes: usize,
    ) -> Result<TierSlice, ReadError> {
        let mut slice = TierSlice { batches: Vec::new(), next: offset };
        let mut left = max_bytes;
        let (most, room) = (self.limits.read_ahead_bytes, self.chunks.ahead_bytes());
        let cursor = self.lock_cursors().begin(folder, offset, most, room);
        let ahead = cursor.ahead;
        'lists: for list in lists(manifest, offset) {
            let rows = match self.rows(folder, list).await {
                Ok(rows) => rows,
                Err(_) if !slice.batches.is_empty() => break,
                Err(error) => return Err(error),
            };
            let first = rows.partition_point(|segment| segment.end <= slice.next);
            for (index, segment) in rows.iter().enumerate().skip(first) {
                let limit = segment.agreed_end(chain);
                let in_it = segment.base() <= slice.next && slice.next < limit;
                if !in_it || (left == 0 && !slice.batches.is_empty()) {
                    break 'lists;
                }
                let following = rows.get(index + 1);
                let reading = Reading { folder, chain, segment, limit, following, ahead };
                match self.read_segment(&reading, &mut slice, &mut left).await {
                    Ok(true) => {}
                    Ok(false) => break 'lists,
                    // What is there is right; the next read meets the error.
                    Err(_) if !slice.batches.is_empty() => break 'lists,
                    Err(error) => return Err(error),
                }
            }
        }
        if slice.batches.is_empty() {
            return Err(ReadError::NotInTier { offset });
        }
        let bytes = slice.batches.iter().map(|batches| batches.len() as u64).sum();
        self.lock_cursors().note(folder, slice.next, bytes, cursor);
        Ok(slice)
    }

    /// Reads on within a segment, before `limit`; true when its end was reached.
    async fn read_segment(
        &self,
        reading: &Reading<'_>,
        slice: &mut TierSlice,
        left: &mut usize,
    ) -> Result<bool, ReadError> {
        let &Reading { folder, segment, limit, .. } = reading;
        let footer = self.footer(folder, segment).await?;
        let Some(first) = footer.chunk_of(slice.next) else { return Ok(true) };
        // What this read takes and, behind it, what a sequential reader will want next: on its way together.
        let start = index::position_of(&footer.offset_index, segment.base(), slice.next);
        let skip =
            start.saturating_sub(footer.chunks[first].position).min(u64::from(footer.chunks[first].bytes));
        let run = Run { now: skip.saturating_add(*left as u64), ahead: reading.ahead };
        let rest = self.prefetch(folder, segment, &footer, first, run);
        if let Some(following) = reading
            .following
            .filter(|next| rest.now + rest.ahead > 0 && next.agreed_end(reading.chain) > next.base())
        {
            self.prefetch_segment(folder, following, rest);
        }
        for number in first..footer.chunks.len() {
            let bytes = self.chunk(folder, segment, &footer, number).await?;
            let batches = bytes.slice(if number == first { skip as usize } else { 0 }..);
            let at_least_one = slice.batches.is_empty();
            let taken = batch::slice_from(&batches, slice.next, limit, *left, at_least_one)
                .map_err(|error| corrupt(folder, segment, &footer, number, &error))?;
            let Some((taken, next)) = taken else { return Ok(false) };
            let chunk_end = footer.chunks.get(number + 1).map_or(segment.end, |next| next.base.min(limit));
            *left = left.saturating_sub(taken.len());
            slice.batches.push(own_if_small(taken, bytes.len()));
            slice.next = next;
            if next >= limit {
                return Ok(next == segment.end);
            }
            if next < chunk_end || *left == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The first batch, at or after `from`, whose largest timestamp reaches `timestamp`; `None` when the tier has none.
    /// Records inside it are the caller's to search: batches may be compressed.
    ///
    /// # Errors
    /// `ReadError`.
    pub async fn first_batch_reaching(
        &self,
        folder: &PartitionFolder,
        manifest: &Manifest,
        chain: &[EpochStart],
        timestamp: i64,
        from: i64,
    ) -> Result<Option<Bytes>, ReadError> {
        for list in lists(manifest, from) {
            if list.archive.is_some_and(|archive| archive.max_timestamp < timestamp) {
                continue;
            }
            let rows = self.rows(folder, list).await?;
            let later = rows.iter().filter(|s| s.end > from && s.max_timestamp >= timestamp);
            match self.first_in(folder, later, chain, timestamp, from).await? {
                Search::Found(batch) => return Ok(Some(batch)),
                Search::LeftTheChain => return Ok(None),
                Search::Nothing => {}
            }
        }
        Ok(None)
    }

    /// The same within some segments.
    async fn first_in(
        &self,
        folder: &PartitionFolder,
        segments: impl Iterator<Item = &Segment>,
        chain: &[EpochStart],
        timestamp: i64,
        from: i64,
    ) -> Result<Search, ReadError> {
        for segment in segments {
            let limit = segment.agreed_end(chain);
            if limit <= from.max(segment.base()) {
                return Ok(Search::LeftTheChain);
            }
            let footer = self.footer(folder, segment).await?;
            let start = index::offset_before_time(&footer.time_index, segment.base(), timestamp);
            let Some(first) = footer.chunk_of(start.max(from).max(segment.base())) else { continue };
            for number in first..footer.chunks.len() {
                let bytes = self.chunk(folder, segment, &footer, number).await?;
                let mut position = 0;
                while let Some(head) = batch::head(&bytes[position..])
                    .map_err(|error| corrupt(folder, segment, &footer, number, &error))?
                {
                    let next = position + head.bytes;
                    if head.base >= limit {
                        return Ok(Search::LeftTheChain);
                    }
                    if head.end > from && head.max_timestamp >= timestamp {
                        return Ok(Search::Found(bytes.slice(position..next)));
                    }
                    position = next;
                }
            }
        }
        Ok(Search::Nothing)
    }

    /// The aborted transactions that overlap `from..to`, from the segment that holds `from` on and every later one until an
    /// entry shows that the search is complete; false when it must go on in the local log.
    ///
    /// # Errors
    /// `ReadError`.
    pub async fn aborted_transactions(
        &self,
        folder: &PartitionFolder,
        manifest: &Manifest,
        chain: &[EpochStart],
        from: i64,
        to: i64,
    ) -> Result<(Vec<AbortedTransaction>, bool), ReadError> {
        let mut found = Vec::new();
        for list in lists(manifest, from) {
            let rows = self.rows(folder, list).await?;
            for segment in rows.iter().filter(|segment| segment.end > from) {
                let limit = segment.agreed_end(chain);
                if limit <= segment.base() {
                    return Ok((found, false));
                }
                let footer = self.footer(folder, segment).await?;
                for aborted in index::aborted_transactions(&footer.aborted_transactions) {
                    // A marker below the object is in one before it, whose footer tells of it: an object that begins in the
                    // middle of a local segment lists all of that one's. Clients count each entry. A marker past the
                    // divergence was not of this lineage.
                    if aborted.last_offset < segment.base() || aborted.last_offset >= limit {
                        continue;
                    }
                    if aborted.last_offset >= from && aborted.first_offset < to {
                        found.push(aborted);
                    }
                    if aborted.last_stable_offset >= to {
                        return Ok((found, true));
                    }
                }
            }
        }
        Ok((found, false))
    }

    /// The segments of a list that count: of the head, or of an archive's file, which is read once.
    ///
    /// # Errors
    /// `Manifest` when the file is missing or broken, `Store`.
    async fn rows<'a>(&self, folder: &PartitionFolder, list: List<'a>) -> Result<Rows<'a>, ReadError> {
        let Some(archive) = list.archive else { return Ok(Rows::OfHead(list.live)) };
        let load = async {
            let failed = |reason: String| ReadError::Manifest { folder: folder.to_string(), reason };
            let key = folder.archive(&archive.name);
            let bytes = match self.store.get(&key).await {
                Err(StoreError::NotFound { key }) => return Err(failed(format!("{key} is missing"))),
                bytes => bytes?,
            };
            archive.decode(&bytes).map(Arc::new).map_err(|error| failed(format!("{key}: {error}")))
        };
        let rows = self.archives.get_or_load(archive.uuid(), load).await?;
        let counting = rows.len() - archive.counting(&rows).len();
        Ok(Rows::OfArchive(rows, counting))
    }

    /// The segments of one of the manifest's lists (see [`Manifest::lists`]): a million of them never are in memory at once.
    ///
    /// # Errors
    /// As `manifest`.
    pub async fn segments(
        &self,
        folder: &PartitionFolder,
        manifest: &Manifest,
        list: usize,
    ) -> Result<Vec<Segment>, ReadError> {
        match lists(manifest, i64::MIN).nth(list) {
            Some(list) => Ok(self.rows(folder, list).await?.to_vec()),
            None => Ok(Vec::new()),
        }
    }

    /// The last segments that count, at most so many, in order.
    ///
    /// # Errors
    /// As `manifest`.
    pub async fn last_segments(
        &self,
        folder: &PartitionFolder,
        manifest: &Manifest,
        at_most: usize,
    ) -> Result<Vec<Segment>, ReadError> {
        let mut last = VecDeque::new();
        for list in (0..manifest.lists()).rev() {
            for segment in self.segments(folder, manifest, list).await?.into_iter().rev() {
                if last.len() == at_most {
                    return Ok(last.into());
                }
                last.push_front(segment);
            }
        }
        Ok(last.into())
    }

    /// Whether a manifest names an object, and counts it.
    ///
    /// # Errors
    /// As `manifest`.
    pub async fn is_named(
        &self,
        folder: &PartitionFolder,
        manifest: &Manifest,
        name: &SegmentName,
    ) -> Result<bool, ReadError> {
        let Some(list) = lists(manifest, name.base).next() else { return Ok(false) };
        Ok(self.rows(folder, list).await?.iter().any(|segment| segment.name == *name))
    }

    /// Starts to bring chunks into memory, from `first` on; what is left of the wanted bytes when the segment ends.
    fn prefetch(
        &self,
        folder: &PartitionFolder,
        segment: &Segment,
        footer: &Footer,
        first: usize,
        mut run: Run,
    ) -> Run {
        for (number, chunk) in footer.chunks.iter().enumerate().skip(first) {
            let id = ChunkId { object: segment.name.uuid, number: number as u32 };
            let fetch = self.fetch_chunk(folder, segment, footer, number);
            if run.now > 0 {
                run.now = run.now.saturating_sub(u64::from(chunk.bytes));
                self.chunks.prepare(id, *chunk, fetch);
            } else if run.ahead > u64::from(chunk.bytes) / 2 && self.chunks.read_ahead(id, *chunk, fetch) {
                run.ahead = run.ahead.saturating_sub(u64::from(chunk.bytes));
            } else {
                return Run::default();
            }
        }
        run
    }

    /// Reads ahead into the next segment: its footer first, if it is not known.
    fn prefetch_segment(&self, folder: &PartitionFolder, segment: &Segment, run: Run) {
        let (reader, folder, segment) = (self.clone(), folder.clone(), segment.clone());
        self.chunks.spawn(async move {
            match reader.footer(&folder, &segment).await {
                Ok(footer) => {
                    reader.prefetch(&folder, &segment, &footer, 0, run);
                }
                // Whoever reads it meets the error, and says so.
                Err(error) => tracing::debug!(%error, "a segment was not read ahead"),
            }
        });
    }

    /// The footer of a segment, checked against its row.
    ///
    /// # Errors
    /// `ReadError`.
    pub async fn footer(
        &self,
        folder: &PartitionFolder,
        segment: &Segment,
    ) -> Result<Arc<Footer>, ReadError> {
        let load = async {
            let wanted = WantedChunk {
                folder: folder.clone(),
                id: ChunkId::footer(segment.name.uuid),
                chunk: object::footer_as_chunk(
                    segment.base(),
                    segment.log_bytes,
                    segment.footer_bytes,
                    segment.crc,
                ),
                end: segment.end,
            };
            let (chunk, fetch) = (wanted.chunk, self.fetch(wanted, segment));
            let tail = self.chunks.get_footer(segment.name.uuid, chunk, fetch).await?;
            let footer = upload::read_footer(segment, &tail).map_err(|error| ReadError::Corrupt {
                key: folder.segment(&segment.name),
                base: segment.base(),
                end: segment.end,
                reason: error.to_string(),
            })?;
            Ok(Arc::new(footer))
        };
        self.footers.get_or_load(segment.name.uuid, load).await
    }

    async fn permits(&self, bytes: u64) -> Result<tokio::sync::OwnedSemaphorePermit, ReadError> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.limits.in_flight_bytes);
        self.in_flight.clone().acquire_many_owned(permits).await.map_err(|_| ReadError::Stopped)
    }

    pub(crate) async fn chunk(
        &self,
        folder: &PartitionFolder,
        segment: &Segment,
        footer: &Footer,
        number: usize,
    ) -> Result<Bytes, ReadError> {
        let id = ChunkId { object: segment.name.uuid, number: number as u32 };
        let fetch = self.fetch_chunk(folder, segment, footer, number);
        self.chunks.get(id, footer.chunks[number], fetch).await
    }

    /// A chunk that the footer names.
    fn fetch_chunk(
        &self,
        folder: &PartitionFolder,
        segment: &Segment,
        footer: &Footer,
        number: usize,
    ) -> impl Future<Output = Result<Bytes, ReadError>> + Send + 'static + use<> {
        let end = footer.chunks.get(number + 1).map_or(segment.end, |next| next.base);
        let id = ChunkId { object: segment.name.uuid, number: number as u32 };
        let wanted = WantedChunk { folder: folder.clone(), id, chunk: footer.chunks[number], end };
        self.fetch(wanted, segment)
    }

    /// From a peer, or by one ranged GET; checked. A footer is asked of the peers only when the store has lost it.
    fn fetch(
        &self,
        wanted: WantedChunk,
        segment: &Segment,
    ) -> impl Future<Output = Result<Bytes, ReadError>> + Send + 'static + use<> {
        let (reader, segment) = (self.clone(), segment.clone());
        async move {
            let peers = reader.peers.get().cloned();
            if let Some(peers) = &peers
                && !wanted.id.is_footer()
                && let Some(bytes) = peers.find(&wanted).await
                && reader.is_right(&wanted, &bytes)
            {
                return Ok(bytes);
            }
            match reader.fetch_from_store(&wanted, &segment).await {
                Err(lost @ (ReadError::Missing { .. } | ReadError::Corrupt { .. })) => {
                    let Some(peers) = peers else { return Err(lost) };
                    match peers.rescue(&wanted).await {
                        Some(bytes) if reader.is_right(&wanted, &bytes) => {
                            tracing::warn!(%lost, "a peer's copy serves instead");
                            Ok(bytes)
                        }
                        _ => Err(lost),
                    }
                }
                fetched => fetched,
            }
        }
    }

    /// Whether what a peer gave is the chunk.
    fn is_right(&self, wanted: &WantedChunk, bytes: &[u8]) -> bool {
        match object::check_chunk(&wanted.chunk, bytes) {
            Ok(()) => {
                if !wanted.id.is_footer() {
                    self.chunks.count_peer_hit();
                }
                true
            }
            Err(error) => {
                tracing::warn!(folder = %wanted.folder, %error, "a peer's copy is not the chunk");
                false
            }
        }
    }

    /// One ranged GET; a wrong answer is asked for once more, since it may have been broken on the way.
    async fn fetch_from_store(&self, wanted: &WantedChunk, segment: &Segment) -> Result<Bytes, ReadError> {
        let chunk = wanted.chunk;
        let key = wanted.folder.segment(&segment.name);
        let range = chunk.position..chunk.position + u64::from(chunk.bytes);
        let mut attempt = 1;
        loop {
            let _permits = self.permits(u64::from(chunk.bytes)).await?;
            let got = self.store.get_range(&key, range.clone()).await;
            let bytes = got.map_err(|error| missing(&wanted.folder, segment, error))?;
            match object::check_chunk(&chunk, &bytes) {
                Ok(()) => return Ok(bytes),
                Err(error) if attempt == 2 => {
                    let reason = error.to_string();
                    return Err(ReadError::Corrupt { key, base: chunk.base, end: wanted.end, reason });
                }
                Err(error) => tracing::warn!(%key, %error, "a chunk came broken: asked once more"),
            }
            attempt += 1;
        }
    }

    fn lock_cursors(&self) -> std::sync::MutexGuard<'_, Cursors> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one read knows of the segment that it is in.
struct Reading<'a> {
    folder: &'a PartitionFolder,
    chain: &'a [EpochStart],
    segment: &'a Segment,
    /// Up to where it is on the chain.
    limit: i64,
    following: Option<&'a Segment>,
    /// Bytes to run ahead.
    ahead: u64,
}

/// A small part of a chunk is copied: an answer that waits for its client may hold a few times as much memory as it is long,
/// and not whole chunks for it.
fn own_if_small(taken: Bytes, chunk_bytes: usize) -> Bytes {
    if taken.len() < chunk_bytes / 4 { Bytes::copy_from_slice(&taken) } else { taken }
}

/// Bytes that are wanted from a place on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    /// That this read takes.
    now: u64,
    /// That a sequential reader will want next.
    ahead: u64,
}

enum Search {
    Found(Bytes),
    Nothing,
    LeftTheChain,
}

/// A list of segments: an archive's, or those in the head.
#[derive(Clone, Copy)]
struct List<'a> {
    archive: Option<&'a Archive>,
    live: &'a [Segment],
}

/// The lists that hold offsets from `from` on, in order.
fn lists(manifest: &Manifest, from: i64) -> impl Iterator<Item = List<'_>> {
    let first = manifest.archives.partition_point(|archive| archive.end() <= from);
    let archives =
        manifest.archives[first..].iter().map(|archive| List { archive: Some(archive), live: &[] });
    archives.chain(std::iter::once(List { archive: None, live: &manifest.live }))
}

enum Rows<'a> {
    OfHead(&'a [Segment]),
    /// All rows of the file, and how many of the first do not count.
    OfArchive(Arc<Vec<Segment>>, usize),
}

impl std::ops::Deref for Rows<'_> {
    type Target = [Segment];

    fn deref(&self) -> &[Segment] {
        match self {
            Rows::OfHead(rows) => rows,
            Rows::OfArchive(rows, skipped) => &rows[*skipped..],
        }
    }
}

fn rows_bytes(rows: &[Segment]) -> usize {
    rows.iter().map(|row| size_of::<Segment>() + row.epochs.len() * size_of::<EpochStart>()).sum()
}

fn missing(folder: &PartitionFolder, segment: &Segment, error: StoreError) -> ReadError {
    match error {
        StoreError::NotFound { .. } => {
            ReadError::Missing { key: folder.segment(&segment.name), base: segment.base(), end: segment.end }
        }
        other => ReadError::Store(other),
    }
}

fn corrupt(
    folder: &PartitionFolder,
    segment: &Segment,
    footer: &Footer,
    number: usize,
    error: &batch::BadBatch,
) -> ReadError {
    ReadError::Corrupt {
        key: folder.segment(&segment.name),
        base: footer.chunks[number].base,
        end: footer.chunks.get(number + 1).map_or(segment.end, |next| next.base),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
