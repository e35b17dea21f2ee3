//! A segment object: the log bytes as they stand in the `.log`, then a footer with all that a reader needs, then a trailer.
//!
//! ```text
//! [batches …][footer][trailer]                                       all numbers big-endian
//!
//! footer   uuid 16 bytes, base i64, end i64, leader epoch i32, log bytes u64, largest timestamp i64
//!          u32 count, of epochs:   (epoch i32, start offset i64)     the chain up to `end`
//!          u32 count, of chunks:   (bytes u32, crc-32c u32, base offset i64)
//!          u32 count, of sections: (kind u16, length u32, bytes)
//! trailer  footer length u32, version u16, flags u16 = 0, crc-32c u32, magic "ESKERSEG"
//! ```
//! Chunks lie one after the other and hold whole batches; the chunk CRCs cover every log byte, the trailer's CRC
//! covers the footer and the trailer's first eight bytes, and the manifest row repeats it: so a flipped byte anywhere is
//! found, from the manifest down.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use uuid::Uuid;

use crate::batch::{self, BadBatch, BatchHead};
use crate::index::IndexBuilder;
use crate::layout::SegmentName;
use crate::lineage::{self, EpochStart};

/// The bytes of the trailer.
pub const TRAILER_BYTES: usize = 20;
const MAGIC: &[u8; 8] = b"ESKERSEG";
const VERSION: u16 = 1;

const OFFSET_INDEX: u16 = 1;
const TIME_INDEX: u16 = 2;
const ABORTED_TRANSACTIONS: u16 = 3;
const PRODUCER_SNAPSHOT: u16 = 4;

/// A run of whole batches that is read and checked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its first byte in the object.
    pub position: u64,
    /// Its length.
    pub bytes: u32,
    /// CRC-32C of its bytes.
    pub crc: u32,
    /// The offset of its first record.
    pub base: i64,
}

/// What stands behind the log bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The object's name says the same; a copy under another name is found.
    pub name: SegmentName,
    /// The offset after the last record.
    pub end: i64,
    /// The length of the batches.
    pub log_bytes: u64,
    /// The largest timestamp of all records, −1 if they have none.
    pub max_timestamp: i64,
    /// The leader-epoch chain up to `end`, for a follower that starts from here.
    pub epochs: Vec<EpochStart>,
    /// All chunks, by position.
    pub chunks: Vec<Chunk>,
    /// Kafka's offset index of the object's bytes.
    pub offset_index: Bytes,
    /// Kafka's time index of the object's bytes.
    pub time_index: Bytes,
    /// Kafka's aborted-transaction index.
    pub aborted_transactions: Bytes,
    /// The producers' state at `end`, in Kafka's snapshot form.
    pub producer_snapshot: Bytes,
}

/// Why bytes are no segment object, or not the one that was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadObject {
    /// Too short, or no trailer at its end.
    #[error("no segment trailer at the end")]
    Trailer,
    /// Written by a newer version.
    #[error("segment version {0} is newer than 1")]
    Version(u16),
    /// The footer's checksum does not match.
    #[error("the footer has a wrong CRC")]
    FooterCrc,
    /// The checksum matches, but the content contradicts itself.
    #[error("the footer's {0} is inconsistent")]
    Content(&'static str),
    /// A chunk's checksum does not match, or bytes are missing.
    #[error("the chunk at byte {position} has a wrong length or CRC")]
    Chunk {
        /// Its first byte in the object.
        position: u64,
    },
}

/// How an object is cut and indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectOptions {
    /// A chunk is closed before it outgrows this; a batch that is larger is a chunk of its own.
    pub chunk_bytes: u32,
    /// An index entry about every so many bytes.
    pub index_interval_bytes: u64,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        ObjectOptions { chunk_bytes: 2 << 20, index_interval_bytes: 4096 }
    }
}

/// Follows the batches of an object as they pass by, and makes its footer.
#[derive(Clone, Debug)]
pub struct ObjectBuilder {
    name: SegmentName,
    options: ObjectOptions,
    end: i64,
    log_bytes: u64,
    epochs: Vec<EpochStart>,
    chunks: Vec<Chunk>,
    index: IndexBuilder,
}

impl ObjectBuilder {
    /// Starts an object at its name's base offset.
    #[must_use]
    pub fn new(name: SegmentName, options: ObjectOptions) -> Self {
        ObjectBuilder {
            name,
            options,
            end: name.base,
            log_bytes: 0,
            epochs: Vec::new(),
            chunks: Vec::new(),
            index: IndexBuilder::new(name.base, options.index_interval_bytes),
        }
    }

    /// Notes the next batch. `bytes` is exactly the batch that `head` describes. A broken local segment is found here,
    /// before it becomes the only copy.
    ///
    /// # Errors
    /// `BadBatch` for a wrong CRC, or an offset that does not follow.
    pub fn push(&mut self, head: &BatchHead, bytes: &[u8]) -> Result<(), BadBatch> {
        if head.base != self.end {
            return Err(BadBatch::Order { base: head.base, end: head.end, expected: self.end });
        }
        batch::check_crc(bytes, head.base)?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match self.chunks.last_mut() {
            Some(chunk) if chunk.bytes.saturating_add(length) <= self.options.chunk_bytes => {
                chunk.bytes += length;
                chunk.crc = crc32c::crc32c_append(chunk.crc, bytes);
            }
            _ => self.chunks.push(Chunk {
                position: self.log_bytes,
                bytes: length,
                crc: crc32c::crc32c(bytes),
                base: head.base,
            }),
        }
        if self.epochs.last().is_none_or(|last| last.epoch != head.leader_epoch) {
            self.epochs.push(EpochStart { epoch: head.leader_epoch, start: head.base });
        }
        self.index.add(self.log_bytes, u64::from(length), head.end - 1, head.max_timestamp);
        self.log_bytes += u64::from(length);
        self.end = head.end;
        Ok(())
    }

    /// Moves the start, before the first batch.
    pub fn start_at(&mut self, base: i64) {
        assert!(self.log_bytes == 0, "an object that has batches keeps its start");
        let name = SegmentName { base, ..self.name };
        *self = ObjectBuilder::new(name, self.options);
    }

    /// The object's name.
    #[must_use]
    pub fn name(&self) -> SegmentName {
        self.name
    }

    /// The offset after the last batch so far.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The bytes so far.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// The epochs of the batches so far.
    #[must_use]
    pub fn epochs(&self) -> &[EpochStart] {
        &self.epochs
    }

    /// The footer of what has passed by. `chain` is the log's epoch chain.
    #[must_use]
    pub fn finish(
        self,
        chain: &[EpochStart],
        aborted_transactions: Bytes,
        producer_snapshot: Bytes,
    ) -> Footer {
        let (offset_index, time_index, max_timestamp) = self.index.finish();
        Footer {
            name: self.name,
            end: self.end,
            log_bytes: self.log_bytes,
            max_timestamp,
            epochs: chain.iter().filter(|entry| entry.start < self.end).copied().collect(),
            chunks: self.chunks,
            offset_index,
            time_index,
            aborted_transactions,
            producer_snapshot,
        }
    }
}

impl Footer {
    /// Footer and trailer, and the CRC that the manifest row repeats.
    #[must_use]
    pub fn encode(&self) -> (Bytes, u32) {
        let mut out = BytesMut::new();
        out.put_slice(self.name.uuid.as_bytes());
        out.put_i64(self.name.base);
        out.put_i64(self.end);
        out.put_i32(self.name.leader_epoch);
        out.put_u64(self.log_bytes);
        out.put_i64(self.max_timestamp);
        out.put_u32(count(self.epochs.len()));
        for entry in &self.epochs {
            out.put_i32(entry.epoch);
            out.put_i64(entry.start);
        }
        out.put_u32(count(self.chunks.len()));
        for chunk in &self.chunks {
            out.put_u32(chunk.bytes);
            out.put_u32(chunk.crc);
            out.put_i64(chunk.base);
        }
        let sections = [
            (OFFSET_INDEX, &self.offset_index),
            (TIME_INDEX, &self.time_index),
            (ABORTED_TRANSACTIONS, &self.aborted_transactions),
            (PRODUCER_SNAPSHOT, &self.producer_snapshot),
        ];
        out.put_u32(count(sections.len()));
        for (kind, bytes) in sections {
            out.put_u16(kind);
            out.put_u32(count(bytes.len()));
            out.put_slice(bytes);
        }
        out.put_u32(count(out.len()));
        out.put_u16(VERSION);
        out.put_u16(0);
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out.put_slice(MAGIC);
        (out.freeze(), crc)
    }

    /// Reads footer and trailer from the end of an object; `tail` may start anywhere before the footer.
    ///
    /// # Errors
    /// `BadObject`; `Trailer` also when `tail` is too short: [`footer_bytes`] tells how much is needed.
    pub fn decode(tail: &Bytes) -> Result<Footer, BadObject> {
        let needed = footer_bytes(tail)?;
        let start = tail.len().checked_sub(needed).ok_or(BadObject::Trailer)?;
        let footer_end = tail.len() - TRAILER_BYTES;
        let stored = tail.slice(footer_end + 8..).get_u32();
        if crc32c::crc32c(&tail[start..footer_end + 8]) != stored {
            return Err(BadObject::FooterCrc);
        }
        let version = tail.slice(footer_end + 4..).get_u16();
        if version != VERSION {
            return Err(BadObject::Version(version));
        }
        let footer = Footer::decode_content(tail.slice(start..footer_end))?;
        footer.check()?;
        Ok(footer)
    }

    fn decode_content(mut from: Bytes) -> Result<Footer, BadObject> {
        let header = take(&mut from, 52)?;
        let mut fields = header.slice(16..);
        let uuid = Uuid::from_slice(&header[..16]).map_err(|_| BadObject::Content("uuid"))?;
        let (base, end, leader_epoch) = (fields.get_i64(), fields.get_i64(), fields.get_i32());
        let (log_bytes, max_timestamp) = (fields.get_u64(), fields.get_i64());
        let mut list = list(&mut from, 12)?;
        let mut epochs = Vec::with_capacity(list.len() / 12);
        while list.has_remaining() {
            epochs.push(EpochStart { epoch: list.get_i32(), start: list.get_i64() });
        }
        let mut list = self::list(&mut from, 16)?;
        let mut chunks = Vec::with_capacity(list.len() / 16);
        let mut position = 0;
        while list.has_remaining() {
            let (bytes, crc, base) = (list.get_u32(), list.get_u32(), list.get_i64());
            chunks.push(Chunk { position, bytes, crc, base });
            position += u64::from(bytes);
        }
        let mut footer = Footer {
            name: SegmentName { base, leader_epoch, uuid },
            end,
            log_bytes,
            max_timestamp,
            epochs,
            chunks,
            offset_index: Bytes::new(),
            time_index: Bytes::new(),
            aborted_transactions: Bytes::new(),
            producer_snapshot: Bytes::new(),
        };
        for _ in 0..take(&mut from, 4)?.get_u32() {
            let mut head = take(&mut from, 6)?;
            let (kind, length) = (head.get_u16(), head.get_u32());
            let bytes = take(&mut from, length as usize)?;
            match kind {
                OFFSET_INDEX => footer.offset_index = bytes,
                TIME_INDEX => footer.time_index = bytes,
                ABORTED_TRANSACTIONS => footer.aborted_transactions = bytes,
                PRODUCER_SNAPSHOT => footer.producer_snapshot = bytes,
                // A later version may add sections that this one does not need.
                _ => {}
            }
        }
        if from.has_remaining() { Err(BadObject::Content("length")) } else { Ok(footer) }
    }

    fn check(&self) -> Result<(), BadObject> {
        let covered: u64 = self.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum();
        if covered != self.log_bytes {
            return Err(BadObject::Content("chunk table"));
        }
        let ordered = self.chunks.is_sorted_by(|a, b| a.base < b.base);
        let first = self.chunks.first().map_or(self.name.base, |chunk| chunk.base);
        let last = self.chunks.last().map_or(i64::MIN, |chunk| chunk.base);
        if !ordered || first != self.name.base || last >= self.end {
            return Err(BadObject::Content("offset range"));
        }
        if !self.epochs.is_sorted_by(|a, b| a.epoch < b.epoch && a.start <= b.start) {
            return Err(BadObject::Content("epoch chain"));
        }
        Ok(())
    }

    /// The number of the chunk that holds an offset, if the object does.
    #[must_use]
    pub fn chunk_of(&self, offset: i64) -> Option<usize> {
        if offset < self.name.base || offset >= self.end {
            return None;
        }
        self.chunks.partition_point(|chunk| chunk.base <= offset).checked_sub(1)
    }

    /// The epochs of this object's own records.
    #[must_use]
    pub fn own_epochs(&self) -> Vec<EpochStart> {
        lineage::slice(&self.epochs, self.name.base, self.end)
    }

    /// About the memory it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let sections = self.offset_index.len()
            + self.time_index.len()
            + self.aborted_transactions.len()
            + self.producer_snapshot.len();
        size_of::<Footer>() + sections + self.epochs.len() * 16 + self.chunks.len() * size_of::<Chunk>()
    }
}

/// The length of footer and trailer, from the last bytes of an object.
///
/// # Errors
/// `Trailer` when no trailer is there.
pub fn footer_bytes(tail: &[u8]) -> Result<usize, BadObject> {
    let trailer = tail.last_chunk::<TRAILER_BYTES>().ok_or(BadObject::Trailer)?;
    if !trailer.ends_with(MAGIC) {
        return Err(BadObject::Trailer);
    }
    let mut fields = trailer.as_slice();
    Ok(fields.get_u32() as usize + TRAILER_BYTES)
}

/// Checks a chunk's bytes.
///
/// # Errors
/// `Chunk` when bytes are missing or changed.
pub fn check_chunk(chunk: &Chunk, bytes: &[u8]) -> Result<(), BadObject> {
    if bytes.len() != chunk.bytes as usize || crc32c::crc32c(bytes) != chunk.crc {
        return Err(BadObject::Chunk { position: chunk.position });
    }
    Ok(())
}

/// A footer and its trailer as a chunk of its own, from what a manifest row says of it: it can be kept and asked for like the others.
#[must_use]
pub fn footer_as_chunk(base: i64, log_bytes: u64, footer_bytes: u32, crc: u32) -> Chunk {
    // The row repeats the trailer's CRC, behind which only that number and the magic stand.
    let whole = crc32c::crc32c_append(crc, &crc.to_be_bytes());
    Chunk { position: log_bytes, bytes: footer_bytes, crc: crc32c::crc32c_append(whole, MAGIC), base }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("a footer lists the parts of one segment, of at most 2 GiB")
}

fn take(from: &mut Bytes, bytes: usize) -> Result<Bytes, BadObject> {
    if bytes > from.len() { Err(BadObject::Content("length")) } else { Ok(from.split_to(bytes)) }
}

fn list(from: &mut Bytes, entry_bytes: usize) -> Result<Bytes, BadObject> {
    let entries = take(from, 4)?.get_u32() as usize;
    take(from, entries.checked_mul(entry_bytes).ok_or(BadObject::Content("length"))?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::batch;

    fn name(base: i64) -> SegmentName {
        SegmentName { base, leader_epoch: 5, uuid: Uuid::from_u128(0x1234) }
    }

    fn object(batches: &[Bytes], options: ObjectOptions) -> (Bytes, Footer) {
        let base = batch::head(&batches[0]).unwrap().unwrap().base;
        let mut builder = ObjectBuilder::new(name(base), options);
        let mut bytes = BytesMut::new();
        for b in batches {
            builder.push(&batch::head(b).unwrap().unwrap(), b).unwrap();
            bytes.put_slice(b);
        }
        let chain = builder.epochs().to_vec();
        let footer = builder.finish(&chain, Bytes::from_static(b"aborted"), Bytes::from_static(b"snapshot"));
        bytes.put_slice(&footer.encode().0);
        (bytes.freeze(), footer)
    }

    fn three_batches() -> Vec<Bytes> {
        vec![batch(10, 5, 1, 100, b"first"), batch(15, 5, 1, 300, &[7; 200]), batch(20, 1, 4, 200, b"third")]
    }

    const SMALL: ObjectOptions = ObjectOptions { chunk_bytes: 150, index_interval_bytes: 50 };

    #[test]
    fn an_object_has_its_golden_bytes() {
        let (bytes, footer) = object(&three_batches()[..1], SMALL);
        let hex: String = footer.encode().0.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        assert_eq!(crc32c::crc32c(&bytes), 0x81f2_61de);
    }

    const GOLDEN: &str = "00000000000000000000000000001234000000000000000a000000000000000f00000005000000000000004200000000000000640000000100000001000000000000000a0000000100000042abcfb10e000000000000000a0000000400010000000000020000000c00000000000000640000000400030000000761626f72746564000400000008736e617073686f740000008f00010000162ba96745534b4552534547";

    #[test]
    fn chunks_hold_whole_batches_and_a_large_batch_is_a_chunk_of_its_own() {
        let (bytes, footer) = object(&three_batches(), SMALL);
        let bases: Vec<_> = footer.chunks.iter().map(|c| (c.base, c.bytes)).collect();
        assert_eq!(bases, [(10, 66), (15, 261), (20, 66)]);
        for chunk in &footer.chunks {
            let start = chunk.position as usize;
            check_chunk(chunk, &bytes[start..start + chunk.bytes as usize]).unwrap();
        }
        assert_eq!(
            [9, 10, 14, 15, 20, 21].map(|o| footer.chunk_of(o)),
            [None, Some(0), Some(0), Some(1), Some(2), None]
        );
        assert_eq!(footer.max_timestamp, 300);
        assert_eq!(footer.own_epochs(), footer.epochs);
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let (bytes, footer) = object(&three_batches(), SMALL);
        for position in 0..bytes.len() {
            for bit in [0x01, 0x80] {
                let mut bad = bytes.to_vec();
                bad[position] ^= bit;
                let bad = Bytes::from(bad);
                let found = Footer::decode(&bad).is_err()
                    || footer.chunks.iter().any(|c| {
                        let start = c.position as usize;
                        check_chunk(c, &bad[start..start + c.bytes as usize]).is_err()
                    });
                assert!(found, "byte {position}");
            }
        }
    }

    #[test]
    fn every_truncated_object_is_found() {
        let (bytes, _) = object(&three_batches(), SMALL);
        for length in 0..bytes.len() {
            assert!(Footer::decode(&bytes.slice(..length)).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_broken_or_misplaced_batch_does_not_get_in() {
        let mut builder = ObjectBuilder::new(name(10), SMALL);
        let wrong_place = batch(11, 1, 0, 0, b"x");
        let head = batch::head(&wrong_place).unwrap().unwrap();
        assert!(matches!(builder.push(&head, &wrong_place), Err(BadBatch::Order { expected: 10, .. })));
        let mut flipped = batch(10, 1, 0, 0, b"x").to_vec();
        flipped[61] ^= 1;
        let head = batch::head(&flipped).unwrap().unwrap();
        assert_eq!(builder.push(&head, &flipped), Err(BadBatch::Crc { base: 10 }));
    }

    proptest! {
        #[test]
        fn a_footer_that_was_written_is_read_again(
            sizes in proptest::collection::vec((1..50i32, 0..400usize, 0..3i32, 0..1000i64), 1..40),
            chunk_bytes in 1..2000u32,
            base in 0..1_000_000i64,
        ) {
            let (mut offset, mut epoch) = (base, 0);
            let mut batches = Vec::new();
            for (records, payload, epoch_step, timestamp) in sizes {
                epoch += epoch_step;
                batches.push(batch(offset, records, epoch, timestamp, &vec![1; payload]));
                offset += i64::from(records);
            }
            let (bytes, footer) = object(&batches, ObjectOptions { chunk_bytes, index_interval_bytes: 100 });
            prop_assert_eq!(Footer::decode(&bytes).unwrap(), footer.clone());
            prop_assert_eq!(footer.end, offset);
            for batch_bytes in &batches {
                let head = batch::head(batch_bytes).unwrap().unwrap();
                let chunk = &footer.chunks[footer.chunk_of(head.base).unwrap()];
                let start = chunk.position as usize;
                let chunk_bytes = bytes.slice(start..start + chunk.bytes as usize);
                let slice = batch::slice_from(&chunk_bytes, head.base, i64::MAX, 1, true).unwrap().unwrap();
                prop_assert_eq!(slice, (batch_bytes.clone(), head.end));
            }
        }
    }
}
