//! A manifest generation: what the cold tier of one partition holds, as one immutable Parquet object.
//!
//! One row per segment (`state` is `live`, or `removed` until the grace period has passed and the object is gone);
//! key-value metadata says whose it is, the generation, the writer, and the log start. Any column tool reads it.
//! Sixteen bytes before the Parquet footer, where no reader looks, hold `ESKERCRC` and a CRC-32C of all the rest: it is
//! checked before a byte is parsed.

mod codec;

use uuid::Uuid;

use crate::layout::SegmentName;
use crate::lineage::{self, EpochStart};

pub use codec::BadManifest;

/// Who wrote a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The leader's epoch: a higher one fences.
    pub epoch: i32,
    /// Fresh for each generation's content: tells our own retry from another's object.
    pub uuid: Uuid,
}

/// A published segment: a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its object's name: base offset, the uploader's epoch, uuid.
    pub name: SegmentName,
    /// The offset after its last record that counts: the object holds more if a leader was elected that lacked the rest.
    pub end: i64,
    /// The epochs of its records.
    pub epochs: Vec<EpochStart>,
    /// The largest timestamp of its records, −1 if they have none.
    pub max_timestamp: i64,
    /// The bytes of its batches.
    pub log_bytes: u64,
    /// The bytes of footer and trailer, behind the batches.
    pub footer_bytes: u32,
    /// The CRC-32C in the trailer: through the chunk table it vouches for every byte of the object.
    pub crc: u32,
}

impl Segment {
    /// The offset of its first record.
    #[must_use]
    pub fn base(&self) -> i64 {
        self.name.base
    }

    /// Up to where its records are on the chain; what follows was written by a leader that was deposed without it (an
    /// unclean election), and is not served. A segment is judged alone: where one leaves the chain, no later one returns.
    #[must_use]
    pub fn agreed_end(&self, chain: &[EpochStart]) -> i64 {
        lineage::agreed_end(chain, &self.epochs, self.base(), self.end)
    }

    /// The part before `end`.
    fn cut_at(&self, end: i64) -> Option<Segment> {
        let epochs = lineage::slice(&self.epochs, self.base(), end);
        (end > self.base()).then(|| Segment { end, epochs, ..self.clone() })
    }

    /// The object's length.
    #[must_use]
    pub fn object_bytes(&self) -> u64 {
        self.log_bytes + u64::from(self.footer_bytes)
    }
}

/// A segment that no reader may start on any more; its object goes after a grace period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// What it was.
    pub segment: Segment,
    /// When it was unpublished.
    pub since_ms: i64,
}

/// One generation.
///
/// ```text
/// log start ≤ live[0].end;   live[i].end == live[i + 1].base;   tier end == live.last().end
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Counts from 1; the highest is the truth.
    pub generation: u64,
    /// Who wrote it.
    pub writer: Writer,
    /// The partition's log start offset when it was written.
    pub log_start: i64,
    /// Segments that are served, by offset, without holes.
    pub live: Vec<Segment>,
    /// Segments whose objects are still there for readers of older generations.
    pub removed: Vec<Removed>,
}

impl Manifest {
    /// The offset after the last live segment; `None` for an empty tier.
    #[must_use]
    pub fn tier_end(&self) -> Option<i64> {
        self.live.last().map(|segment| segment.end)
    }

    /// The first offset that can be read here.
    #[must_use]
    pub fn tier_start(&self) -> Option<i64> {
        self.live.first().map(|segment| segment.base().max(self.log_start))
    }

    /// The live segment that holds an offset.
    #[must_use]
    pub fn segment_of(&self, offset: i64) -> Option<&Segment> {
        let after = self.live.partition_point(|segment| segment.base() <= offset);
        self.live[..after].last().filter(|segment| offset < segment.end)
    }

    /// The bytes of all live objects.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.live.iter().map(Segment::object_bytes).sum()
    }

    /// About the memory it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let row = |segment: &Segment| size_of::<Removed>() + segment.epochs.len() * size_of::<EpochStart>();
        let live: usize = self.live.iter().map(row).sum();
        live + self.removed.iter().map(|removed| row(&removed.segment)).sum::<usize>() + size_of::<Manifest>()
    }

    /// The live segments on the chain; the last one may be cut at the divergence.
    #[must_use]
    pub fn on_chain(&self, chain: &[EpochStart]) -> Vec<Segment> {
        let whole = self.live.partition_point(|segment| segment.agreed_end(chain) == segment.end);
        let mut segments = self.live[..whole].to_vec();
        segments.extend(self.live.get(whole).and_then(|segment| segment.cut_at(segment.agreed_end(chain))));
        segments
    }

    /// Checks the order of the rows.
    ///
    /// # Errors
    /// `BadManifest::Content` names the offset where it breaks.
    pub fn check(&self) -> Result<(), BadManifest> {
        let broken = |offset| BadManifest::Content { generation: self.generation, offset };
        for segment in &self.live {
            if segment.base() >= segment.end || segment.end <= self.log_start {
                return Err(broken(segment.base()));
            }
        }
        for pair in self.live.windows(2) {
            if pair[0].end != pair[1].base() {
                return Err(broken(pair[0].end));
            }
        }
        Ok(())
    }
}

/// How a successor differs from the generation before it.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// Verified uploads, by offset; the first continues the tier's end, after what the chain rejects is gone.
    pub add: &'a [Segment],
    /// The leader's epoch chain.
    pub chain: &'a [EpochStart],
    /// Segments from this offset on are unpublished: an object is lost, and its records go up again.
    pub cut: Option<i64>,
    /// The partition's log start: segments that end at or below it are unpublished.
    pub log_start: i64,
    /// Removed segments whose objects are gone.
    pub deleted: &'a [Uuid],
    /// The time, for the grace period.
    pub now_ms: i64,
}

/// The content of the generation after `head` (`None`: of the first one).
#[must_use]
pub fn successor(head: Option<&Manifest>, writer: Writer, changes: &Changes<'_>) -> Manifest {
    let empty = (0, Vec::new(), Vec::new());
    let (generation, mut live, mut removed) = head.map_or(empty, |head| {
        let cut = changes.cut.unwrap_or(i64::MAX);
        let mut on_chain = head.on_chain(changes.chain);
        on_chain.retain(|segment| segment.base() < cut);
        let diverged = &head.live[on_chain.len()..];
        let mut removed = head.removed.clone();
        let since_ms = changes.now_ms;
        removed.extend(diverged.iter().map(|s| Removed { segment: s.clone(), since_ms }));
        (head.generation, on_chain, removed)
    });
    let log_start = changes.log_start.max(head.map_or(i64::MIN, |head| head.log_start));
    live.extend_from_slice(changes.add);
    let expired = live.partition_point(|segment| segment.end <= log_start);
    let since_ms = changes.now_ms;
    removed.extend(live.drain(..expired).map(|segment| Removed { segment, since_ms }));
    removed.retain(|removed| !changes.deleted.contains(&removed.segment.name.uuid));
    Manifest { generation: generation + 1, writer, log_start, live, removed }
}

#[cfg(test)]
mod tests;
