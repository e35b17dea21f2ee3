//! Appends: by the leader, who checks what clients send and gives offsets; by a follower, who takes what the leader wrote.
//!
//! A group of batches is written with one vectored write: new headers beside the bodies as they came.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use super::error::{LogError, Rejected};
use super::producer_state::{ProducerBatch, Sequence, coordinator_epoch};
use super::segment::Segment;
use super::transaction_guard::{LeaderBatch, Origin, Verification};
use super::txn_index::AbortedTransaction;
use super::{Health, Log, LogConfig};
use crate::env::defect::{Defect, planted};
use crate::types::{Decision, LeaderEpoch, Offset};
use crate::wire::record_batch::{
    Batch, BatchError, BatchHeader, BatchIter, Compression, HEADER_BYTES, NO_TIMESTAMP, TimestampType,
};

/// Bound on the decompressed records of one batch, where a config makes us look at them.
const RECORDS_LIMIT_BYTES: usize = 64 << 20;

/// An accepted append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// First offset.
    pub base: Offset,
    /// Last offset (inclusive).
    pub last: Offset,
    /// The epoch it was appended under; for a follower that of the last batch.
    pub epoch: LeaderEpoch,
    /// Largest timestamp.
    pub max_timestamp: i64,
    /// The broker's time, if the topic has LogAppendTime.
    pub log_append_time: Option<i64>,
    /// It was there already: acknowledged with its old offset, nothing was written.
    pub duplicate: bool,
    /// The bytes as written: patched headers and untouched bodies. Empty for a duplicate.
    pub chunks: Vec<Bytes>,
}

/// What has been accepted and waits for the write.
#[derive(Default)]
struct Group {
    chunks: Vec<Bytes>,
    headers: Vec<BatchHeader>,
    bytes: u64,
    aborted: Vec<AbortedTransaction>,
}

impl Log {
    /// Appends what each client (or coordinator) sent for this partition; each item must be one batch. All that are
    /// accepted are written with one vectored write (two when a segment is closed between them).
    ///
    /// # Errors
    /// An inner error refuses one client's batch. An outer one means that nothing of the group may be acknowledged:
    /// the write failed, or the log is not writable under this epoch. The leader resigns.
    pub fn append_as_leader<B: Into<LeaderBatch>>(
        &mut self,
        items: Vec<B>,
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<Vec<Result<Appended, Rejected>>, LogError> {
        self.begin_epoch(epoch)?;
        let mut group = Group::default();
        let mut heads = BytesMut::with_capacity(HEADER_BYTES * items.len());
        let mut answers = Vec::with_capacity(items.len());
        let mut end = self.log_end();
        for item in items {
            let item = item.into();
            let decision = item.origin.decision();
            let answer = match self.accept(item, epoch, now_ms) {
                Ok((Sequence::Next, mut batch)) => {
                    let header = &mut batch.header;
                    if self.config.timestamp_type == TimestampType::LogAppendTime {
                        header.stamp_log_append_time(now_ms, &batch.bytes[HEADER_BYTES..]);
                    }
                    header.base_offset = end;
                    header.leader_epoch = epoch;
                    self.make_room(&mut group, header, now_ms, epoch)?;
                    header.write(&mut heads);
                    let chunks = [heads.split().freeze(), batch.body()];
                    group.chunks.extend_from_slice(&chunks);
                    group.bytes += batch.header.size() as u64;
                    group.headers.push(batch.header);
                    if batch.header.attributes.is_control() {
                        self.markers.add(batch.header.producer_id);
                        if let (Some(decision), Some(coordinator_epoch)) =
                            (decision, coordinator_epoch(&batch))
                        {
                            let header = &batch.header;
                            let (producer, at) = (header.producer_id, header.base_offset);
                            self.markers.carried_out(producer, coordinator_epoch, decision, at);
                        }
                    }
                    group.aborted.extend(self.producers.apply(&batch, now_ms));
                    end = batch.header.end_offset();
                    Ok(self.appended(&batch.header, chunks.into()))
                }
                Ok((Sequence::Duplicate(old), batch)) => Ok(Appended {
                    base: old.base_offset(),
                    last: old.last_offset,
                    epoch,
                    max_timestamp: old.timestamp,
                    log_append_time: self.log_append_time(old.timestamp),
                    duplicate: true,
                    chunks: Vec::new(),
                })
                .inspect(|_| drop(batch)),
                Err(rejected) => Err(rejected),
            };
            answers.push(answer);
        }
        self.write(&mut group, epoch)?;
        Ok(answers)
    }

    /// Whether the leader's append of this batch is a write into the page cache and nothing that takes longer: no fsync, no
    /// new segment, no file to open, no records to decompress.
    #[must_use]
    pub fn appends_at_once(&self, batch: &LeaderBatch, now_ms: i64) -> bool {
        let config = &self.config;
        let looks_inside = config.cleanup.compact
            || config.compression.is_some()
            || config.timestamp_before_max_ms != i64::MAX;
        let may_take_longer = match batch.origin {
            Origin::Client(_) => looks_inside,
            Origin::Coordinator => false,
            // The index of aborted transactions may begin.
            Origin::Marker { .. } => true,
        };
        let stays_in_segment = || {
            BatchHeader::parse(&batch.records).is_ok_and(|mut header| {
                header.base_offset = self.log_end();
                if config.timestamp_type == TimestampType::LogAppendTime {
                    header.max_timestamp = now_ms;
                }
                !must_roll(self.active(), 0, None, &header, config)
            })
        };
        !may_take_longer && self.only_writes() && stays_in_segment()
    }

    /// The same for what a leader sends: batches of the log's last epoch, and no markers.
    #[must_use]
    pub fn follows_at_once(&self, batches: &Bytes) -> bool {
        let Some(epoch) = self.epochs.latest().map(|last| last.epoch) else { return false };
        let (mut waiting, mut first) = (0, None);
        // A batch that begins before the log's end is opened, to see what of it is new.
        if !BatchHeader::parse(batches).is_ok_and(|header| header.base_offset == self.log_end()) {
            return false;
        }
        let mut is_short = |header: &BatchHeader| {
            let stays = !must_roll(self.active(), waiting, first, header, &self.config);
            waiting += header.size() as u64;
            first = first.or(Some(header.max_timestamp));
            stays && header.leader_epoch == epoch && !header.attributes.is_control()
        };
        self.only_writes() && BatchIter::new(batches.clone()).all(|b| b.is_ok_and(|b| is_short(&b.header)))
    }

    /// No file must be opened for an append, and nothing be synced after it.
    fn only_writes(&self) -> bool {
        let config = &self.config;
        let flushes =
            config.fsync_before_ack() || config.flush_messages < i64::MAX || self.closed_unflushed();
        !flushes && self.active().file.is_open()
    }

    /// Appends batches as the leader wrote them: offsets and epochs are the batches' own.
    ///
    /// The first batch may begin before the log end: a leader that has compacted lets a batch reach over offsets without
    /// records, and a log may start inside of a batch. See `fit_first`.
    ///
    /// # Errors
    /// `BadBatch`, `Gap` and `EpochWentBack` leave the log as it was; after any other error nothing may be acknowledged.
    pub fn append_as_follower(&mut self, batches: Bytes, now_ms: i64) -> Result<Appended, LogError> {
        self.check_health()?;
        let batches = self.fit_first(batches)?;
        let accepted = self.check_follower_batches(&batches)?;
        let (Some(first), Some(last)) = (accepted.first(), accepted.last()) else {
            let bad = BatchError::Truncated { needed: HEADER_BYTES, have: 0 };
            return Err(LogError::BadBatch { offset: self.log_end(), source: bad });
        };
        let (first, last) = (first.header, last.header);
        let max_timestamp = accepted.iter().map(|batch| batch.header.max_timestamp).max();
        for batch in &accepted {
            self.assign_epoch(batch.header.leader_epoch, batch.header.base_offset)?;
        }
        let mut group = Group::default();
        for batch in accepted {
            // An empty epoch: if this write fails, the same bytes may come again under the same one.
            self.make_room(&mut group, &batch.header, now_ms, LeaderEpoch::NONE)?;
            group.bytes += batch.bytes.len() as u64;
            group.headers.push(batch.header);
            group.aborted.extend(self.producers.apply(&batch, now_ms));
            group.chunks.push(batch.bytes);
        }
        self.write(&mut group, LeaderEpoch::NONE)?;
        Ok(Appended {
            base: first.base_offset,
            last: last.last_offset(),
            epoch: last.leader_epoch,
            max_timestamp: max_timestamp.unwrap_or(NO_TIMESTAMP),
            log_append_time: None,
            duplicate: false,
            chunks: vec![batches],
        })
    }

    /// Makes the first batch begin at the log end. What a batch says before the log end is here already, in the form it
    /// had before compaction; if nothing follows in it, an empty batch takes the place of the rest. A log without any batch,
    /// which starts inside of this one, begins with the whole batch instead.
    fn fit_first(&mut self, batches: Bytes) -> Result<Bytes, LogError> {
        let end = self.log_end();
        let bad = |source| LogError::BadBatch { offset: end, source };
        let mut rest = batches.clone();
        let first = Batch::split_from(&mut rest).map_err(bad)?;
        let header = &first.header;
        if header.base_offset >= end || header.last_offset() < end {
            return Ok(batches);
        }
        first.check_crc().map_err(bad)?;
        let mut records = first.records(RECORDS_LIMIT_BYTES).map_err(bad)?;
        let follows = records.any(|record| record.is_ok_and(|record| record.offset >= end));
        if !follows {
            let filler = Batch::filler(end, header.last_offset(), header.leader_epoch)
                .ok_or_else(|| bad(BatchError::Header("it spans too many offsets")))?;
            return Ok([filler.bytes, rest].concat().into());
        }
        if self.size_bytes() == 0 && end == self.log_start() {
            self.begin_below_start(header.base_offset)?;
        }
        Ok(batches)
    }

    fn check_follower_batches(&self, batches: &Bytes) -> Result<Vec<Batch>, LogError> {
        let mut accepted = Vec::new();
        let mut end = self.log_end();
        let mut latest = self.last_epoch();
        for batch in BatchIter::new(batches.clone()) {
            let bad = |source| LogError::BadBatch { offset: end, source };
            let batch = batch.map_err(bad)?;
            if !planted(Defect::UncheckedBytes) {
                batch.check_crc().map_err(bad)?;
            }
            let header = &batch.header;
            if header.base_offset != end {
                return Err(LogError::Gap { expected: end, got: header.base_offset });
            }
            if header.leader_epoch < latest || header.leader_epoch.0 < 0 {
                return Err(LogError::EpochWentBack { latest, got: header.leader_epoch });
            }
            if header.last_offset_delta < 0 {
                return Err(bad(BatchError::Header("the last offset lies before the first")));
            }
            end = header.end_offset();
            latest = header.leader_epoch;
            accepted.push(batch);
        }
        Ok(accepted)
    }

    fn accept(
        &self,
        item: LeaderBatch,
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Result<(Sequence, Batch), Rejected> {
        let LeaderBatch { records, origin, awaited } = item;
        let batch = validate(records, origin, &self.config, now_ms)?;
        let header = &batch.header;
        let sequence = match origin {
            Origin::Client(verification) => {
                let sequence = self.producers.check(header)?;
                if let Some(awaited) = awaited.filter(|_| !self.producers.knows(header.producer_id)) {
                    let (last, got) = (awaited - 1, header.base_sequence);
                    return Err(Rejected::OutOfOrderSequence { last, got });
                }
                if let (Sequence::Next, Verification::Guard(guard)) = (&sequence, verification)
                    && header.attributes.is_transactional()
                    && !self.producers.has_open(header.producer_id, header.producer_epoch)
                    && !self.markers.allow(guard, header.producer_id, epoch)
                {
                    return Err(Rejected::NotInTransaction);
                }
                sequence
            }
            Origin::Coordinator => Sequence::Next,
            Origin::Marker { strict, decision } => {
                let coordinator_epoch = self.producers.check_marker(&batch, strict)?;
                match decision {
                    Some(Decision { leader_epoch: got, .. }) if got != epoch => {
                        return Err(Rejected::MarkerOfOtherEpoch { current: epoch, got });
                    }
                    Some(decision) => self
                        .markers
                        .done(header.producer_id, coordinator_epoch, decision)
                        .map_or(Sequence::Next, |at| Sequence::Duplicate(ProducerBatch::marker(at, header))),
                    None => Sequence::Next,
                }
            }
        };
        let batch = match (origin, sequence) {
            (Origin::Client(_), Sequence::Next) => as_stored(batch, &self.config)?,
            _ => batch,
        };
        Ok((sequence, batch))
    }

    fn appended(&self, header: &BatchHeader, chunks: Vec<Bytes>) -> Appended {
        Appended {
            base: header.base_offset,
            last: header.last_offset(),
            epoch: header.leader_epoch,
            max_timestamp: header.max_timestamp,
            log_append_time: self.log_append_time(header.max_timestamp),
            duplicate: false,
            chunks,
        }
    }

    fn log_append_time(&self, max_timestamp: i64) -> Option<i64> {
        (self.config.timestamp_type == TimestampType::LogAppendTime).then_some(max_timestamp)
    }

    /// Closes the active segment if the batch must not go into it; what waits is written first.
    fn make_room(
        &mut self,
        group: &mut Group,
        header: &BatchHeader,
        now_ms: i64,
        epoch: LeaderEpoch,
    ) -> Result<(), LogError> {
        let waiting = group.headers.first().map(|first| first.max_timestamp);
        if must_roll(self.active(), group.bytes, waiting, header, &self.config) {
            self.write(group, epoch)?;
            let end = header.base_offset;
            debug_assert_eq!(end, self.log_end());
            self.roll_at(end, now_ms).inspect_err(|_| self.health = Health::WriteFailed(epoch))?;
        }
        Ok(())
    }

    /// Writes what waits; the log end moves only after the write has returned.
    fn write(&mut self, group: &mut Group, epoch: LeaderEpoch) -> Result<(), LogError> {
        let Some(last) = group.headers.last() else {
            return Ok(());
        };
        let end = last.end_offset();
        let written = self.write_batches(group);
        group.chunks.clear();
        group.headers.clear();
        group.aborted.clear();
        group.bytes = 0;
        match written {
            Ok(()) => {
                self.set_end(end);
                Ok(())
            }
            Err(e) => {
                self.health = Health::WriteFailed(epoch);
                Err(e)
            }
        }
    }

    fn write_batches(&mut self, group: &Group) -> Result<(), LogError> {
        let interval = self.config.index_interval_bytes;
        let segment = self.active_mut();
        let path = segment.file.shared_path();
        let slices: Vec<IoSlice<'_>> = group.chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let file = segment.file.get_to_write().map_err(LogError::io("open", &path))?;
        file.write_vectored_at(&slices, segment.size).map_err(LogError::io("append to", &path))?;
        let start = segment.size;
        let indexed = group
            .headers
            .iter()
            .try_for_each(|header| segment.add(header, interval))
            .and_then(|()| group.aborted.iter().try_for_each(|aborted| segment.txn_index.push(aborted)));
        indexed.map_err(LogError::io("add to the indexes of", &path)).inspect_err(|_| {
            // The log end stays where it was: so must the segment's.
            segment.size = start;
        })
    }
}

/// Whether `header`'s batch must go into a new segment.
fn must_roll(
    active: &Segment,
    waiting_bytes: u64,
    first_waiting_timestamp: Option<i64>,
    header: &BatchHeader,
    config: &LogConfig,
) -> bool {
    let size = active.size + waiting_bytes;
    if size == 0 {
        return false;
    }
    let first = active.first_timestamp.or(first_waiting_timestamp).filter(|first| *first >= 0);
    let first = first.unwrap_or(header.max_timestamp);
    let room = config.segment_bytes.saturating_sub(size);
    let index_full = active.index.entries.bytes() + waiting_bytes / config.index_interval_bytes.max(1) * 8
        >= config.index_bytes / 8 * 8
        || active.time_index.entries.bytes() + 12 > config.index_bytes;
    header.size() as u64 > room
        || header.max_timestamp.saturating_sub(first) > config.max_segment_ms()
        || index_full
        || i32::try_from(header.last_offset() - active.base).is_err()
        || i32::try_from(size + header.size() as u64).is_err()
}

/// The batch in the codec of `compression.type`.
fn as_stored(batch: Batch, config: &LogConfig) -> Result<Batch, Rejected> {
    let sent = batch.header.attributes.compression().map_err(Rejected::Corrupt)?;
    let Some(codec) = config.compression.filter(|codec| *codec != sent) else {
        return Ok(batch);
    };
    let stored =
        batch.recompressed(codec, config.compression_level(), RECORDS_LIMIT_BYTES).map_err(unreadable)?;
    check_size(&stored.header, config)?;
    Ok(stored)
}

fn check_size(header: &BatchHeader, config: &LogConfig) -> Result<(), Rejected> {
    let bytes = header.size();
    if bytes > config.max_message_bytes {
        return Err(Rejected::TooLarge { bytes, max_bytes: config.max_message_bytes });
    }
    if bytes as u64 > config.segment_bytes {
        return Err(Rejected::AboveSegment { bytes, max_bytes: config.segment_bytes });
    }
    Ok(())
}

fn unreadable(e: BatchError) -> Rejected {
    match e {
        BatchError::Bomb { .. } => Rejected::InvalidRecord("the records decompress to too much"),
        other => Rejected::Corrupt(other),
    }
}

/// Checks one item: exactly one sound batch within the topic's bounds.
fn validate(item: Bytes, origin: Origin, config: &LogConfig, now_ms: i64) -> Result<Batch, Rejected> {
    let from_client = matches!(origin, Origin::Client(_));
    let invalid = |rule| Err(Rejected::InvalidRecord(rule));
    let mut rest = item;
    let mut batch = match Batch::split_from(&mut rest) {
        Ok(batch) => batch,
        Err(BatchError::Magic(0 | 1)) => return invalid("only batches of magic 2 are accepted"),
        Err(e) => return Err(Rejected::Corrupt(e)),
    };
    let header = &batch.header;
    check_size(header, config)?;
    if !rest.is_empty() {
        return invalid("a request has exactly one batch per partition");
    }
    batch.check_crc().map_err(Rejected::Corrupt)?;
    if header.count <= 0 || header.last_offset_delta != header.count - 1 {
        return invalid("the count of records does not match the range of offsets");
    }
    if header.count as usize > most_records(header) {
        return invalid("more records than its bytes can hold");
    }
    if header.base_offset != Offset::ZERO {
        return invalid("a client's batch begins at offset 0");
    }
    if header.attributes.is_control() != matches!(origin, Origin::Marker { .. }) {
        return invalid("only transaction coordinators write control batches");
    }
    if header.attributes.compression().is_err() {
        return invalid("the compression type does not exist");
    }
    if from_client && header.has_producer() && (header.base_sequence < 0 || header.producer_epoch.0 < 0) {
        return invalid("a producer id comes with an epoch and a sequence number");
    }
    if header.attributes.is_transactional() && !header.has_producer() {
        return invalid("a transaction has a producer id");
    }
    if from_client {
        check_records(&mut batch, config, now_ms)?;
    }
    Ok(batch)
}

/// How many records a batch of this size can hold: a header alone must not use up offsets by the billion. A record takes
/// seven bytes at least; compressed, two records still differ in their offsets, which cost them a good part of a byte.
fn most_records(header: &BatchHeader) -> usize {
    const LEAST_RECORD_BYTES: usize = 7;
    const MOST_IN_A_COMPRESSED_BYTE: usize = 64;
    let body = header.size().saturating_sub(HEADER_BYTES);
    match header.attributes.compression() {
        Ok(Compression::None) => body / LEAST_RECORD_BYTES,
        _ => body.saturating_mul(MOST_IN_A_COMPRESSED_BYTE),
    }
}

/// Looks at the records: those of an uncompressed batch always, compressed ones only where a config is about them.
fn check_records(batch: &mut Batch, config: &LogConfig, now_ms: i64) -> Result<(), Rejected> {
    let create_time = config.timestamp_type == TimestampType::CreateTime;
    if create_time && batch.header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Rejected::InvalidRecord("a producer does not set LogAppendTime"));
    }
    let earliest = now_ms.saturating_sub(config.timestamp_before_max_ms);
    let latest = now_ms.saturating_add(config.timestamp_after_max_ms);
    let check = |timestamp: i64| {
        if create_time && timestamp != NO_TIMESTAMP && !(earliest..=latest).contains(&timestamp) {
            return Err(Rejected::InvalidTimestamp { timestamp, earliest, latest });
        }
        Ok(())
    };
    let no_key = || Err(Rejected::InvalidRecord("every record of a compacted topic has a key"));
    if batch.header.attributes.compression() == Ok(Compression::None) {
        let found = batch.walk().map_err(unreadable)?;
        check(found.min_timestamp)?;
        check(found.max_timestamp)?;
        if config.cleanup.compact && !found.all_have_keys {
            return no_key();
        }
        if create_time && batch.header.max_timestamp != found.max_timestamp {
            // Retention and look-ups by time go by what the records say.
            batch.header.max_timestamp = found.max_timestamp;
            batch.header.seal(&batch.bytes[HEADER_BYTES..]);
        }
        return Ok(());
    }
    check(batch.header.max_timestamp)?;
    let lower_bound = create_time && config.timestamp_before_max_ms != i64::MAX;
    if !config.cleanup.compact && !lower_bound {
        return Ok(());
    }
    for record in batch.records(RECORDS_LIMIT_BYTES).map_err(unreadable)? {
        let record = record.map_err(unreadable)?;
        check(record.timestamp)?;
        if config.cleanup.compact && record.key.is_none() {
            return no_key();
        }
    }
    Ok(())
}
