//! Kafka's small text files: a version, a count, one line per entry; and `partition.metadata`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::epoch_cache::EpochEntry;
use crate::types::{LeaderEpoch, Offset, TopicId, TopicName, TopicPartition};

/// The chain of leader epochs of one log.
pub(super) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// The topic id of one log.
pub(super) const PARTITION_METADATA: &str = "partition.metadata";
/// Flushed ends of a directory's logs.
pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// High watermarks of a directory's logs.
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Log starts of a directory's logs.
pub(super) const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// Ends of what compaction has looked at in a directory's logs.
pub(super) const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";

const VERSION: &str = "0";

/// What is wrong with a text file, and in which line (from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {expected}")]
pub(super) struct TextError {
    line: usize,
    expected: &'static str,
}

fn lines(text: &[u8], fields: usize) -> Result<Vec<Vec<&str>>, TextError> {
    let text = std::str::from_utf8(text).map_err(|_| TextError { line: 1, expected: "text in UTF-8" })?;
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some(VERSION) {
        return Err(TextError { line: 1, expected: "version 0" });
    }
    let count: usize = lines
        .next()
        .and_then(|line| line.trim().parse().ok())
        .ok_or(TextError { line: 2, expected: "the number of entries" })?;
    let mut entries = Vec::new();
    for (i, line) in lines.enumerate() {
        let entry: Vec<&str> = line.split_whitespace().collect();
        if entry.len() != fields {
            return Err(TextError { line: i + 3, expected: "an entry with the right number of fields" });
        }
        entries.push(entry);
    }
    if entries.len() == count {
        Ok(entries)
    } else {
        Err(TextError { line: 2, expected: "as many entries as the file has" })
    }
}

/// `epoch start` per line.
pub(super) fn encode_epochs(entries: &[EpochEntry]) -> Vec<u8> {
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        let _ = writeln!(text, "{} {}", entry.epoch, entry.start);
    }
    text.into_bytes()
}

pub(super) fn decode_epochs(text: &[u8]) -> Result<Vec<EpochEntry>, TextError> {
    let wrong = |i: usize| TextError { line: i + 3, expected: "an epoch and an offset that rise" };
    let mut entries: Vec<EpochEntry> = Vec::new();
    for (i, fields) in lines(text, 2)?.iter().enumerate() {
        let (Ok(epoch), Ok(start)) = (fields[0].parse(), fields[1].parse()) else {
            return Err(wrong(i));
        };
        let entry = EpochEntry { epoch: LeaderEpoch(epoch), start: Offset(start) };
        let rises = entries.last().is_none_or(|last| last.epoch < entry.epoch && last.start < entry.start);
        if !rises || epoch < 0 || start < 0 {
            return Err(wrong(i));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// `topic partition offset` per line.
pub(super) fn encode_offsets<'a>(
    offsets: impl ExactSizeIterator<Item = (&'a TopicPartition, Offset)>,
) -> Vec<u8> {
    let mut text = format!("{VERSION}\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        let _ = writeln!(text, "{} {} {offset}", partition.topic, partition.partition);
    }
    text.into_bytes()
}

/// The same with all lines twice: Kafka's format has no checksum, and its reader takes the later of two lines. For log starts: one that is
/// too high would be taken up by every replica as soon as this one leads, and what lies below it would be gone.
pub(super) fn encode_offsets_twice<'a>(
    offsets: impl ExactSizeIterator<Item = (&'a TopicPartition, Offset)>,
) -> Vec<u8> {
    let once: Vec<_> = offsets.collect();
    let twice: Vec<_> = once.iter().chain(&once).copied().collect();
    encode_offsets(twice.into_iter())
}

/// Of lines that are there twice both must say the same.
pub(super) fn decode_offsets(text: &[u8]) -> Result<BTreeMap<TopicPartition, Offset>, TextError> {
    let mut offsets = BTreeMap::new();
    let lines = lines(text, 3)?;
    let half = lines.len() / 2;
    let twice =
        half > 0 && lines.len().is_multiple_of(2) && (0..half).all(|i| lines[i][..2] == lines[half + i][..2]);
    for (i, fields) in lines.iter().enumerate() {
        let (Ok(topic), Ok(partition), Ok(offset)) =
            (TopicName::new(fields[0]), fields[1].parse::<i32>(), fields[2].parse::<i64>())
        else {
            return Err(TextError { line: i + 3, expected: "a topic, a partition and an offset" });
        };
        let before = offsets.insert(TopicPartition::new(topic, partition), Offset(offset));
        if before.is_some_and(|before| !twice || before != Offset(offset)) {
            return Err(TextError { line: i + 3, expected: "what the other line of this partition says" });
        }
    }
    Ok(offsets)
}

/// `version: 0`, `topic_id: …`, and where the tier's store was asked after an unclean election `tier_epoch: …`, a line that Kafka does
/// not read.
pub(super) fn encode_partition_metadata(topic_id: TopicId, tier_epoch: LeaderEpoch) -> Vec<u8> {
    let mut text = format!("version: 0\ntopic_id: {topic_id}\n");
    if tier_epoch > LeaderEpoch::NONE {
        let _ = writeln!(text, "tier_epoch: {tier_epoch}");
    }
    text.into_bytes()
}

pub(super) fn decode_partition_metadata(text: &[u8]) -> Result<(TopicId, LeaderEpoch), TextError> {
    let text = std::str::from_utf8(text).map_err(|_| TextError { line: 1, expected: "text in UTF-8" })?;
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("version: 0") {
        return Err(TextError { line: 1, expected: "version: 0" });
    }
    let id = lines
        .next()
        .and_then(|line| line.strip_prefix("topic_id:"))
        .and_then(|id| id.trim().parse().ok())
        .ok_or(TextError { line: 2, expected: "topic_id: and 22 characters of base64" })?;
    // What is not understood is as if it were not there: the store is asked once more.
    let tier_epoch = lines.find_map(|line| line.strip_prefix("tier_epoch:")?.trim().parse().ok());
    Ok((id, tier_epoch.map_or(LeaderEpoch::NONE, LeaderEpoch)))
}
