//! What the planner does next, case by case.

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
        everywhere_from: None,
    }
}

fn tier(live: &[(i64, i64)]) -> Tier {
    let live: Vec<Segment> = live.iter().map(|&(base, end)| segment(base, end)).collect();
    let checked_end = live.last().map(|s| s.end);
    let writer = Writer { epoch: 1, uuid: Uuid::nil() };
    let manifest = Manifest { generation: 3, writer, log_start: 0, live, ..Manifest::default() };
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
    // Once; the next generation leaves it out, which comes by itself where no segment asks for one.
    tier.deleted.push(name.uuid);
    assert_eq!(next_action(&local, &tier, &forever(), 1000 + grace), Action::Idle);
    let off = Policy { copy: false, ..forever() };
    assert_eq!(next_action(&local, &tier, &off, 1000 + grace), Action::Publish);
}

#[test]
fn what_retention_has_taken_waits_for_another_generation_and_what_somebody_has_deleted_does_not() {
    let patient = Policy { expiry_ms: 100, ..forever() };
    let mut local = local(&[(10, 20)], 20);
    local.log_start = 10;
    let mut tier = tier(&[(0, 10), (10, 20)]);
    assert_eq!(next_action(&local, &tier, &patient, 0), Action::Publish, "nobody knows who raised it");
    tier.expires(5, 1000);
    tier.expires(10, 1050);
    assert_eq!(next_action(&local, &tier, &patient, 1099), Action::Idle);
    assert_eq!(next_action(&local, &tier, &patient, 1100), Action::Publish);
    assert_eq!(next_action(&local, &tier, &Policy { copy: false, ..patient }, 1050), Action::Publish);
    assert_eq!(next_action(&local, &tier, &Policy { awaited: true, ..patient }, 1050), Action::Publish);
    local.log_start = 12;
    assert_eq!(next_action(&local, &tier, &patient, 1050), Action::Publish, "DeleteRecords");
}

#[test]
fn a_log_start_that_somebody_waits_for_is_published_before_anything_goes_up() {
    let awaited = Policy { awaited: true, local_retention_bytes: Some(0), ..forever() };
    let mut local = local(&[(0, 10), (10, 20), (20, 30)], 30);
    let mut tier = Tier { pending: vec![segment(10, 20)], ..tier(&[(0, 10)]) };
    assert_eq!(next_action(&local, &tier, &awaited, 0), Action::Idle, "the manifest carries what there is");
    local.log_start = 5;
    assert_eq!(next_action(&local, &tier, &awaited, 0), Action::Publish);
    let alone = next_action(&local, &tier, &forever(), 0);
    assert!(matches!(alone, Action::Upload { from: 20, .. }), "unasked it goes with the uploads: {alone:?}");
    let Some(Head { manifest: Some(manifest), .. }) = &mut tier.head else { unreachable!() };
    manifest.log_start = 5;
    assert_eq!(next_action(&local, &tier, &awaited, 0), Action::Idle);
    // What is in no manifest can't come back from one.
    local.log_start = 25;
    tier.head = Some(Head::default());
    assert_eq!(next_action(&local, &tier, &awaited, 0), Action::Idle);
    // A tier that is given up waits for the replicas all the same.
    let given_up = Policy { discard: true, ..awaited };
    let whole = super::tests::tier(&[(0, 10)]);
    assert_eq!(next_action(&local, &whole, &given_up, 0), Action::Idle);
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
fn a_lost_object_goes_up_again_while_its_records_are_local_and_the_rows_stay_until_then() {
    let rows = [(0, 10), (10, 20), (20, 30)];
    let mut lost = Tier { lost: Some(10), checked_end: Some(10), ..tier(&rows) };
    let next = |local: &Local, lost: &Tier| next_action(local, lost, &forever(), 0);
    assert_eq!(next(&local(&[(20, 30)], 30), &lost), Action::Idle, "its records are not local");
    let part = local(&[(15, 30)], 30);
    assert_eq!(next(&part, &lost), Action::Rewrite { from: 15, segment: closed(15, 30) });
    let rewritten = Tier { rewritten: vec![segment(15, 30)], ..lost.clone() };
    assert_eq!(next(&part, &rewritten), Action::Publish, "what is local of it");
    // This replica's segments end elsewhere: all rows that a new one reaches into go up again.
    let local = local(&[(5, 25), (25, 30), (30, 40)], 40);
    assert_eq!(next(&local, &lost), Action::Rewrite { from: 10, segment: closed(5, 25) });
    lost.rewritten.push(segment(10, 25));
    assert!(lost.complete_rewrite(&local.chain).is_empty());
    assert_eq!(next(&local, &lost), Action::Rewrite { from: 25, segment: closed(25, 30) });
    lost.rewritten.push(segment(25, 30));
    assert_eq!(lost.complete_rewrite(&local.chain).len(), 2);
    assert_eq!(next(&local, &lost), Action::Publish);
    // The same bounds: the one object.
    let mut lost = Tier { lost: Some(10), ..tier(&rows) };
    lost.rewritten.push(segment(10, 20));
    assert_eq!(next(&local, &lost), Action::Publish);
}

#[test]
fn while_records_are_in_no_tier_of_the_leader_nothing_is_deleted() {
    let removed = crate::manifest::Removed { segment: segment(10, 20), since_ms: 0 };
    let mut gone = Tier { swept: false, ..tier(&[(0, 10)]) };
    if let Some(Head { manifest: Some(manifest), .. }) = &mut gone.head {
        manifest.removed.push(removed);
    }
    let later = forever().grace_ms;
    let (short, whole) = (local(&[(20, 30)], 30), local(&[(0, 10), (10, 20)], 10));
    assert_eq!(gap(&short, &gone), Some((10, 20)));
    assert_eq!(next_action(&short, &gone, &forever(), later), Action::Idle);
    assert_eq!(gap(&whole, &gone), None);
    let deletes = next_action(&whole, &gone, &forever(), later);
    assert!(matches!(deletes, Action::DeleteObjects { .. }), "{deletes:?}");
    // What is gone for good is no gap.
    let expired = Local { log_start: 20, ..short };
    assert_eq!(gap(&expired, &gone), None);
}

#[test]
fn a_tier_that_is_given_up_raises_the_log_start_then_unpublishes_then_deletes() {
    let policy = Policy { discard: true, ..forever() };
    let mut local = local(&[(10, 20), (20, 30)], 30);
    let mut tier = tier(&[(0, 10), (10, 20)]);
    assert_eq!(next_action(&local, &tier, &policy, 0), Action::Idle, "a replica has not said what it has");
    local.everywhere_from = Some(20);
    assert_eq!(next_action(&local, &tier, &policy, 0), Action::AdvanceLogStart { to: 20 });
    local.everywhere_from = Some(0);
    assert_eq!(next_action(&local, &tier, &policy, 0), Action::AdvanceLogStart { to: 10 });
    local.log_start = 10;
    assert_eq!(next_action(&local, &tier, &policy, 0), Action::Publish);
    let Some(Head { manifest: Some(manifest), .. }) = &mut tier.head else { unreachable!() };
    let removed = manifest.live.drain(..).map(|segment| crate::manifest::Removed { segment, since_ms: 0 });
    manifest.removed = removed.collect();
    tier.checked_end = None;
    assert_eq!(next_action(&local, &tier, &policy, 0), Action::Idle, "nothing more goes up");
    let grace_over = next_action(&local, &tier, &policy, policy.grace_ms);
    assert!(matches!(grace_over, Action::DeleteObjects { names } if names.len() == 2));
}

#[test]
fn generations_go_together_and_only_when_they_are_superseded_for_long() {
    let mut tier = tier(&[(0, 10)]);
    let policy = Policy { keep_generations: 2, remove_generations: 5, ..forever() };
    let local = local(&[(0, 10)], 10);
    if let Some(Head { manifest: Some(manifest), .. }) = &mut tier.head {
        manifest.generation = 20;
    }
    for removable in [0, 4] {
        tier.removable = removable;
        assert_eq!(next_action(&local, &tier, &policy, 0), Action::Idle, "{removable}");
    }
    for (removable, to) in [(5, 5), (18, 18), (20, 18)] {
        tier.removable = removable;
        let action = next_action(&local, &tier, &policy, 0);
        assert_eq!(action, Action::RemoveGenerations { from: 0, to });
    }
}

#[test]
fn only_a_leader_that_has_published_sweeps() {
    let local = local(&[(0, 10)], 10);
    let tier = Tier { swept: false, ..tier(&[(0, 10)]) };
    assert_eq!(next_action(&local, &tier, &forever(), 0), Action::Sweep);
    let later = Local { epoch: 2, ..local };
    assert_eq!(next_action(&later, &tier, &forever(), 0), Action::Idle);
}
