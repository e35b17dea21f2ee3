//! Which segments have outlived their topic's retention. Nothing is deleted here.

use super::Log;
use super::segment::Segment;
use crate::types::Offset;

impl Log {
    /// Up to where `retention.ms` and `retention.bytes` let data go: a segment's end, at most the high watermark. Give it
    /// to `advance_log_start`. The log start if nothing goes, or if the topic keeps data by key only.
    #[must_use]
    pub fn expired_by_retention(&self, now_ms: i64, high_watermark: Offset) -> Offset {
        if !self.config.cleanup.delete {
            return self.log_start;
        }
        let keep = (self.config.retention_ms(), self.config.retention_bytes());
        let expired = self.expired(now_ms, high_watermark, keep.0, keep.1);
        // Where a tier is being given up the log may begin below the local start: that alone makes nothing expire.
        if expired > self.local_start() { expired.max(self.log_start) } else { self.log_start }
    }

    /// Up to where `local.retention.ms` and `local.retention.bytes` let local segments go that the tier has: a closed
    /// segment's end, at most the tier's. Where there is little room on the disk (`is_low`) all of them go; without a time
    /// none goes for its age. Give it to `delete_segments_below`.
    #[must_use]
    pub fn expired_by_local_retention(&self, now_ms: Option<i64>, tier_end: Offset, is_low: bool) -> Offset {
        let end = tier_end.min(self.active().base);
        let keep_bytes = if is_low { Some(0) } else { self.config.local_retention_bytes() };
        let keep_ms = self.config.local_retention_ms().filter(|_| now_ms.is_some());
        self.expired(now_ms.unwrap_or(0), end, keep_ms, keep_bytes)
    }

    fn expired(&self, now_ms: i64, end: Offset, keep_ms: Option<i64>, keep_bytes: Option<u64>) -> Offset {
        let mut left = self.size_bytes();
        let mut expired = self.local_start();
        for (i, segment) in self.segments.iter().enumerate() {
            let segment_end = self.segment_end(i);
            let too_old = keep_ms.is_some_and(|keep| now_ms.saturating_sub(newest(segment)) > keep);
            let too_much = keep_bytes.is_some_and(|keep| left.saturating_sub(segment.size) >= keep);
            if segment_end > end || segment.size == 0 || !(too_old || too_much) {
                break;
            }
            left -= segment.size;
            expired = segment_end;
        }
        expired
    }
}

/// The segment's largest timestamp; without any, since when it is known.
fn newest(segment: &Segment) -> i64 {
    if segment.max_timestamp >= 0 { segment.max_timestamp } else { segment.since_ms }
}
