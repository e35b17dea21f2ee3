//! Brings the producers' state back: from the last good snapshot, and the batches after it.

use std::path::Path;

use super::error::LogError;
use super::files::{SNAPSHOT, segment_path};
use super::producer_snapshot;
use super::producer_state::ProducerState;
use super::scan::BatchReader;
use super::segment::Segment;
use crate::env::SharedDisk;
use crate::types::Offset;

/// How far before a snapshot we look for the older batches that it has no room for.
const REMEMBER_BYTES: u64 = 1 << 20;

/// The producers at `at`, and the offset from which they were replayed. Snapshots that `at` or the first segment rules
/// out are removed.
pub(super) fn load(
    disk: &SharedDisk,
    dir: &Path,
    segments: &[Segment],
    mut snapshots: Vec<Offset>,
    at: Offset,
    now_ms: i64,
) -> Result<(ProducerState, Offset), LogError> {
    let first = segments.first().map_or(at, |segment| segment.base);
    snapshots.sort_unstable();
    let mut state = ProducerState::default();
    let mut from = None;
    for snapshot in snapshots.into_iter().rev() {
        let path = segment_path(dir, snapshot, SNAPSHOT);
        if snapshot > at || snapshot < first {
            disk.remove_file(&path).map_err(LogError::io("remove", &path))?;
            continue;
        }
        if from.is_some() {
            continue;
        }
        let bytes = disk.read(&path).map_err(LogError::io("read", &path))?;
        match producer_snapshot::decode(&bytes, now_ms) {
            Ok(found) => {
                state = found;
                from = Some(snapshot);
            }
            Err(e) => tracing::warn!(path = %path.display(), "{e}: replaying the log instead"),
        }
    }
    if let Some(from) = from
        && !state.producers.is_empty()
    {
        remember_older(segments, from, &mut state)?;
    }
    let from = from.unwrap_or(first);
    for (i, segment) in segments.iter().enumerate() {
        let end = segments.get(i + 1).map_or(at, |next| next.base);
        if end > from {
            replay(segment, from, &mut state, now_ms)?;
        }
    }
    Ok((state, from))
}

/// Applies the batches of a segment from an offset on.
fn replay(segment: &Segment, from: Offset, state: &mut ProducerState, now_ms: i64) -> Result<(), LogError> {
    let path = segment.file.path();
    let io = || LogError::io("replay", path);
    let corrupt = |position, offset, detail: String| LogError::Corrupt {
        path: path.to_owned(),
        position,
        offset,
        detail,
    };
    let file = segment.file.get().map_err(io())?;
    let start = segment.position_before(from).map_err(io())?;
    let mut reader = BatchReader::new(&*file, start, segment.size);
    while let Some(next) = reader.next().map_err(io())? {
        let (position, batch) = next.map_err(|e| corrupt(start, from, e.to_string()))?;
        if batch.header.base_offset >= from {
            batch.check_crc().map_err(|e| corrupt(position, batch.header.base_offset, e.to_string()))?;
            state.apply(&batch, now_ms);
        }
    }
    Ok(())
}

/// Gives the producers of a snapshot the batches that it had no room for, as far as they are near: a retry of any request
/// that was in flight at the stop must be recognised.
fn remember_older(segments: &[Segment], snapshot: Offset, state: &mut ProducerState) -> Result<(), LogError> {
    let before = &segments[..segments.partition_point(|segment| segment.base < snapshot)];
    let mut left = REMEMBER_BYTES;
    let mut first = before.len();
    while first > 0 && left > 0 {
        first -= 1;
        left = left.saturating_sub(before[first].size);
    }
    for (i, segment) in before[first..].iter().enumerate() {
        let io = || LogError::io("read", segment.file.path());
        let skip = if i == 0 { segment.size.saturating_sub(REMEMBER_BYTES) } else { 0 };
        let start = segment.index.position_near(skip).map_err(io())?;
        let file = segment.file.get().map_err(io())?;
        let mut reader = BatchReader::new(&*file, start, segment.size);
        while let Some(Ok((_, batch))) = reader.next().map_err(io())? {
            if batch.header.base_offset >= snapshot {
                return Ok(());
            }
            state.remember_older(&batch.header);
        }
    }
    Ok(())
}
