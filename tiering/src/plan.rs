//! What to do next with a partition's segments: a pure function of the local log, what is known of the tier, the
//! policy and the time.
//!
//! ```text
//!            log start        local start      tier end       high watermark   log end
//!  expired ......|== tier only ====|== both ========|== local only ====|.......|
//! ```
//! The order of the rules is the order of safety: what needs no store comes first, so that an outage of the store delays
//! neither retention nor the room it makes.

use uuid::Uuid;

use crate::layout::SegmentName;
use crate::lineage::EpochStart;
use crate::manifest::{Manifest, Segment};
use crate::publish::Head;

/// A closed segment of the local log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalSegment {
    /// The offset of its first record.
    pub base: i64,
    /// The offset after its last.
    pub end: i64,
    /// The length of its `.log`.
    pub bytes: u64,
    /// The largest timestamp of its records, −1 if they have none.
    pub max_timestamp: i64,
}

/// The leader's log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The epoch of the leadership that plans.
    pub epoch: i32,
    /// What lies before is gone for good.
    pub log_start: i64,
    /// The first offset that is on the local disk.
    pub local_start: i64,
    /// Only what lies before is committed.
    pub high_watermark: i64,
    /// No open transaction lies before.
    pub last_stable: i64,
    /// The epoch chain from the log start on.
    pub chain: Vec<EpochStart>,
    /// The closed segments, by offset.
    pub closed: Vec<LocalSegment>,
    /// The length of the open segment.
    pub open_bytes: u64,
}

/// A topic's settings, resolved: `None` is "no bound".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// New segments go to the tier (`remote.storage.enable` without `remote.log.copy.disable`).
    pub copy: bool,
    /// `retention.ms`.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`.
    pub retention_bytes: Option<u64>,
    /// `local.retention.ms`, −2 resolved to the total one.
    pub local_retention_ms: Option<i64>,
    /// `local.retention.bytes`, −2 resolved to the total one.
    pub local_retention_bytes: Option<u64>,
    /// How long an unpublished object stays for readers of older generations.
    pub grace_ms: i64,
    /// At most so many uploads go into one generation.
    pub segments_per_generation: usize,
    /// So many generations stay behind the head.
    pub keep_generations: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            copy: true,
            retention_ms: None,
            retention_bytes: None,
            local_retention_ms: None,
            local_retention_bytes: None,
            grace_ms: 60_000,
            segments_per_generation: 16,
            keep_generations: 8,
        }
    }
}

/// What a leader knows of the tier, and what it has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tier {
    /// The newest generation that was seen; `None` until it was looked for.
    pub head: Option<Head>,
    /// Verified uploads that no generation names yet, by offset, continuing the tier.
    pub pending: Vec<Segment>,
    /// Live objects up to here were looked at after they were published.
    pub checked_end: Option<i64>,
    /// A published object that was not there, or of another length: its base offset.
    pub lost: Option<i64>,
    /// Removed segments whose objects were deleted.
    pub deleted: Vec<Uuid>,
    /// Own uploads that will never be published.
    pub abandoned: Vec<SegmentName>,
    /// Objects of earlier leaders were swept under this epoch.
    pub swept: bool,
}

impl Tier {
    /// The newest manifest, when there is one.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.head.as_ref()?.manifest.as_ref()
    }
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for the newest generation.
    FindHead,
    /// Total retention: raise the log start.
    AdvanceLogStart {
        /// To here.
        to: i64,
    },
    /// Local retention: remove local segments.
    DeleteLocal {
        /// Those that end at or below this offset.
        below: i64,
    },
    /// Upload a local segment, from this offset on.
    Upload {
        /// Where the tier will continue.
        from: i64,
        /// The local segment that holds it.
        segment: LocalSegment,
    },
    /// Publish the generation after the head.
    Publish,
    /// Look at objects that were published.
    Check {
        /// The segments, by offset.
        segments: Vec<Segment>,
    },
    /// Delete objects whose grace period is over.
    DeleteObjects {
        /// Their names.
        names: Vec<SegmentName>,
    },
    /// Remove old generations.
    RemoveGenerations {
        /// The boundary so far.
        from: u64,
        /// The boundary to come.
        to: u64,
    },
    /// Look for orphans.
    Sweep,
    /// Nothing to do for now.
    Idle,
}

const CHECKS_AT_ONCE: usize = 64;

/// The next action.
#[must_use]
pub fn next_action(local: &Local, tier: &Tier, policy: &Policy, now_ms: i64) -> Action {
    let Some(head) = &tier.head else { return Action::FindHead };
    if local.chain.is_empty() {
        // Nothing was ever appended, or the chain is not known: no statement about lineage is possible.
        return Action::Idle;
    }
    let live: &[Segment] =
        &head.manifest.as_ref().map(|manifest| manifest.on_chain(&local.chain)).unwrap_or_default();
    let expired = expired_to(local, live, policy, now_ms);
    if expired > local.log_start {
        return Action::AdvanceLogStart { to: expired };
    }
    if let Some(checked_end) = tier.checked_end {
        let on_chain = live.last().map_or(i64::MIN, |segment| segment.end);
        let below = local_delete_below(local, checked_end.min(on_chain), policy, now_ms);
        if let Some(below) = below {
            return Action::DeleteLocal { below };
        }
    }
    if tier.lost.is_some_and(|lost| local.local_start <= lost) {
        return Action::Publish;
    }
    if policy.copy && tier.pending.len() < policy.segments_per_generation {
        let from = continues_at(local, live, &tier.pending);
        if let Some(&segment) = local.closed.iter().find(|s| s.base <= from && from < s.end)
            && segment.end <= local.high_watermark.min(local.last_stable)
        {
            return Action::Upload { from, segment };
        }
    }
    let diverged = head.manifest.as_ref().is_some_and(|manifest| manifest.live[..] != *live);
    let expired = live.first().is_some_and(|segment| segment.end <= local.log_start);
    if !tier.pending.is_empty() || diverged || expired || !tier.deleted.is_empty() {
        return Action::Publish;
    }
    let unchecked = tier.checked_end.map_or(live, |end| &live[live.partition_point(|s| s.end <= end)..]);
    if !unchecked.is_empty() && tier.lost.is_none() {
        let segments = unchecked.iter().take(CHECKS_AT_ONCE).cloned().collect();
        return Action::Check { segments };
    }
    let Some(manifest) = &head.manifest else { return Action::Idle };
    let due = manifest.removed.iter().filter(|removed| removed.since_ms + policy.grace_ms <= now_ms);
    let names: Vec<SegmentName> = due.map(|removed| removed.segment.name).collect();
    if !names.is_empty() {
        return Action::DeleteObjects { names };
    }
    if manifest.generation > head.boundary + 2 * policy.keep_generations {
        let to = manifest.generation - policy.keep_generations;
        return Action::RemoveGenerations { from: head.boundary, to };
    }
    let ours = manifest.writer.epoch == local.epoch;
    if ours && (!tier.swept || !tier.abandoned.is_empty()) {
        return Action::Sweep;
    }
    Action::Idle
}

/// Where the next upload starts: after what is uploaded, but not before the log start.
#[must_use]
pub fn continues_at(local: &Local, live: &[Segment], pending: &[Segment]) -> i64 {
    let end = pending.last().or(live.last()).map_or(i64::MIN, |segment| segment.end);
    end.max(local.log_start)
}

/// The log start that total retention asks for, over both tiers; the current one when nothing expires.
#[must_use]
pub fn expired_to(local: &Local, live: &[Segment], policy: &Policy, now_ms: i64) -> i64 {
    // What lies in both tiers counts once; the tier's share of a segment that straddles the local start counts as nothing,
    // which can only delay.
    let tier_only = live.iter().filter(|s| s.base() < local.local_start).map(|s| LocalSegment {
        base: s.base(),
        end: s.end.min(local.local_start),
        bytes: if s.end <= local.local_start { s.log_bytes } else { 0 },
        max_timestamp: s.max_timestamp,
    });
    let units: Vec<LocalSegment> =
        tier_only.chain(local.closed.iter().copied()).filter(|unit| unit.end > local.log_start).collect();
    let mut total: u64 = units.iter().map(|unit| unit.bytes).sum::<u64>() + local.open_bytes;
    let mut to = local.log_start;
    for unit in units {
        let rest = total - unit.bytes;
        let by_size = policy.retention_bytes.is_some_and(|limit| rest >= limit);
        if unit.end > local.high_watermark || !(by_size || by_time(&unit, policy.retention_ms, now_ms)) {
            break;
        }
        total = rest;
        to = unit.end;
    }
    to
}

/// Up to where local retention removes local segments, never past `tier_end`; also on followers, with the tier end that
/// the leader has told them.
#[must_use]
pub fn local_delete_below(local: &Local, tier_end: i64, policy: &Policy, now_ms: i64) -> Option<i64> {
    let mut total: u64 = local.closed.iter().map(|s| s.bytes).sum::<u64>() + local.open_bytes;
    let mut below = None;
    for segment in &local.closed {
        let rest = total - segment.bytes;
        let by_size = policy.local_retention_bytes.is_some_and(|limit| rest >= limit);
        let goes = by_size || by_time(segment, policy.local_retention_ms, now_ms);
        if segment.end > tier_end || segment.end > local.high_watermark || !goes {
            break;
        }
        total = rest;
        below = Some(segment.end);
    }
    below
}

fn by_time(segment: &LocalSegment, retention_ms: Option<i64>, now_ms: i64) -> bool {
    let age = now_ms.saturating_sub(segment.max_timestamp);
    segment.max_timestamp >= 0 && retention_ms.is_some_and(|retention| age > retention)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Writer;

    fn segment(base: i64, end: i64) -> Segment {
        Segment {
            name: SegmentName { base, leader_epoch: 1, uuid: Uuid::from_u128(base as u128 + 1) },
            end,
            epochs: vec![EpochStart { epoch: 1, start: base }],
            max_timestamp: end,
            log_bytes: 100,
            footer_bytes: 10,
            crc: 0,
        }
    }

    fn closed(base: i64, end: i64) -> LocalSegment {
        LocalSegment { base, end, bytes: 100, max_timestamp: end }
    }

    fn local(closed_segments: &[(i64, i64)], high_watermark: i64) -> Local {
        Local {
            epoch: 1,
            log_start: 0,
            local_start: closed_segments.first().map_or(0, |s| s.0),
            high_watermark,
            last_stable: high_watermark,
            chain: vec![EpochStart { epoch: 1, start: 0 }],
            closed: closed_segments.iter().map(|&(base, end)| closed(base, end)).collect(),
            open_bytes: 50,
        }
    }

    fn tier(live: &[(i64, i64)]) -> Tier {
        let live: Vec<Segment> = live.iter().map(|&(base, end)| segment(base, end)).collect();
        let checked_end = live.last().map(|s| s.end);
        let writer = Writer { epoch: 1, uuid: Uuid::nil() };
        let manifest = Manifest { generation: 3, writer, log_start: 0, live, removed: Vec::new() };
        let head = Some(Head { manifest: Some(manifest), boundary: 0 });
        Tier { head, checked_end, swept: true, ..Tier::default() }
    }

    fn forever() -> Policy {
        Policy::default()
    }

    #[test]
    fn nothing_happens_before_the_head_is_known() {
        assert_eq!(next_action(&local(&[(0, 10)], 10), &Tier::default(), &forever(), 0), Action::FindHead);
    }

    #[test]
    fn only_closed_segments_below_the_high_watermark_and_the_last_stable_offset_go_up() {
        let upload = Action::Upload { from: 10, segment: closed(10, 20) };
        let tier = tier(&[(0, 10)]);
        let at = |high_watermark, last_stable| {
            let local = Local { last_stable, ..local(&[(0, 10), (10, 20)], high_watermark) };
            next_action(&local, &tier, &forever(), 0)
        };
        assert_eq!(at(20, 20), upload);
        assert_eq!(at(19, 19), Action::Idle);
        assert_eq!(at(20, 15), Action::Idle);
    }

    #[test]
    fn an_upload_continues_inside_a_local_segment() {
        let action = next_action(&local(&[(5, 25)], 30), &tier(&[(0, 10)]), &forever(), 0);
        assert_eq!(action, Action::Upload { from: 10, segment: closed(5, 25) });
    }

    #[test]
    fn uploads_are_published_together_up_to_a_bound() {
        let local = local(&[(0, 10), (10, 20), (20, 30)], 30);
        let mut tier = Tier { pending: vec![segment(10, 20)], ..tier(&[(0, 10)]) };
        assert!(matches!(next_action(&local, &tier, &forever(), 0), Action::Upload { from: 20, .. }));
        let one = Policy { segments_per_generation: 1, ..forever() };
        assert_eq!(next_action(&local, &tier, &one, 0), Action::Publish);
        tier.pending.push(segment(20, 30));
        assert_eq!(next_action(&local, &tier, &forever(), 0), Action::Publish);
    }

    #[test]
    fn local_segments_go_only_when_published_checked_and_due() {
        let local = local(&[(0, 10), (10, 20)], 20);
        let policy = Policy { local_retention_bytes: Some(0), ..forever() };
        let mut tier = tier(&[(0, 10), (10, 20)]);
        assert_eq!(next_action(&local, &tier, &policy, 0), Action::DeleteLocal { below: 20 });
        tier.checked_end = Some(10);
        assert_eq!(next_action(&local, &tier, &policy, 0), Action::DeleteLocal { below: 10 });
        tier.checked_end = None;
        assert!(matches!(next_action(&local, &tier, &policy, 0), Action::Check { .. }));
        tier.checked_end = Some(20);
        assert_eq!(next_action(&local, &tier, &forever(), 0), Action::Idle, "local retention is not due");
        let by_time = Policy { local_retention_ms: Some(100), ..forever() };
        assert_eq!(next_action(&local, &tier, &by_time, 111), Action::DeleteLocal { below: 10 });
    }

    #[test]
    fn total_retention_counts_both_tiers_once() {
        // 100 bytes in the tier only, 200 in both, 50 open.
        let local = local(&[(10, 20), (20, 30)], 30);
        let tier = tier(&[(0, 10), (10, 20), (20, 30)]);
        let keep = |bytes| Policy { retention_bytes: Some(bytes), ..forever() };
        assert_eq!(next_action(&local, &tier, &keep(251), 0), Action::Idle);
        assert_eq!(next_action(&local, &tier, &keep(250), 0), Action::AdvanceLogStart { to: 10 });
        let by_time = Policy { retention_ms: Some(5), ..forever() };
        assert_eq!(next_action(&local, &tier, &by_time, 16), Action::AdvanceLogStart { to: 10 });
        assert_eq!(next_action(&local, &tier, &by_time, 1000), Action::AdvanceLogStart { to: 30 });
    }

    #[test]
    fn nothing_above_the_high_watermark_expires_or_is_deleted_locally() {
        let local = local(&[(0, 10), (10, 20)], 15);
        let policy = Policy { retention_ms: Some(0), copy: false, ..forever() };
        let tier = tier(&[]);
        assert_eq!(next_action(&local, &tier, &policy, 1000), Action::AdvanceLogStart { to: 10 });
        assert_eq!(
            local_delete_below(&local, 100, &Policy { local_retention_ms: Some(0), ..forever() }, 1000),
            Some(10)
        );
    }

    #[test]
    fn what_the_log_start_has_passed_is_unpublished_and_deleted_after_the_grace_period() {
        let mut local = local(&[(10, 20)], 20);
        local.log_start = 10;
        let mut tier = tier(&[(0, 10), (10, 20)]);
        assert_eq!(next_action(&local, &tier, &forever(), 0), Action::Publish);
        let Some(Head { manifest: Some(manifest), .. }) = &mut tier.head else { unreachable!() };
        let segment = manifest.live.remove(0);
        let name = segment.name;
        manifest.removed.push(crate::manifest::Removed { segment, since_ms: 1000 });
        let grace = forever().grace_ms;
        assert_eq!(next_action(&local, &tier, &forever(), 999 + grace), Action::Idle);
        let delete = Action::DeleteObjects { names: vec![name] };
        assert_eq!(next_action(&local, &tier, &forever(), 1000 + grace), delete);
    }

    #[test]
    fn another_leaders_tail_is_unpublished_and_the_tier_continues_where_it_began() {
        let mut local = local(&[(0, 12)], 12);
        local.chain = vec![EpochStart { epoch: 1, start: 0 }, EpochStart { epoch: 2, start: 11 }];
        let tier = tier(&[(0, 10), (10, 20)]);
        let action = next_action(&local, &tier, &forever(), 0);
        assert_eq!(action, Action::Upload { from: 11, segment: closed(0, 12) });
        assert_eq!(next_action(&local, &tier, &Policy { copy: false, ..forever() }, 0), Action::Publish);
    }

    #[test]
    fn a_lost_object_is_cut_off_only_while_its_records_are_local() {
        let lost = Tier { lost: Some(10), checked_end: Some(10), ..tier(&[(0, 10), (10, 20)]) };
        assert_eq!(next_action(&local(&[(5, 20)], 20), &lost, &forever(), 0), Action::Publish);
        assert_eq!(next_action(&local(&[(15, 20)], 20), &lost, &forever(), 0), Action::Idle);
    }

    #[test]
    fn only_a_leader_that_has_published_sweeps() {
        let local = local(&[(0, 10)], 10);
        let tier = Tier { swept: false, ..tier(&[(0, 10)]) };
        assert_eq!(next_action(&local, &tier, &forever(), 0), Action::Sweep);
        let later = Local { epoch: 2, ..local };
        assert_eq!(next_action(&later, &tier, &forever(), 0), Action::Idle);
    }
}
