//! The follower's rules and the known traps (tests/README.md), one sentence each.

use super::*;

fn chain() -> EpochCache {
    EpochCache::new(vec![
        EpochEntry { epoch: LeaderEpoch(1), start: Offset(0) },
        EpochEntry { epoch: LeaderEpoch(3), start: Offset(50) },
        EpochEntry { epoch: LeaderEpoch(5), start: Offset(80) },
    ])
}

fn log() -> LogView<'static> {
    LogView {
        log_start: Offset(0),
        log_end: Offset(100),
        last_epoch: LeaderEpoch(5),
        chain: Box::leak(Box::new(chain())),
    }
}

fn opening(high_watermark: i64, unclean: Option<i32>) -> Follower {
    let mut follower = Follower::new(LeaderEpoch(7), unclean.map(LeaderEpoch), Offset(high_watermark));
    follower.opening(1);
    follower
}

fn diverged(epoch: i32, end: i64) -> OpenAnswer {
    OpenAnswer::Diverged { epoch: LeaderEpoch(epoch), end: Offset(end) }
}

#[test]
fn a_divergent_tail_is_cut_by_epoch_and_not_to_the_high_watermark() {
    // KIP-101: the high watermark is 60, yet everything up to 90 is the leader's too.
    assert_eq!(opening(60, None).answer(1, &diverged(5, 90), &log()), Step::Truncate { to: Offset(90) });
}

#[test]
fn a_leader_without_the_followers_epoch_makes_it_cut_to_its_own_end_of_the_older_one() {
    // KIP-279: the leader's largest epoch ≤ 5 is 4, which this log has never seen; its own largest ≤ 4 is 3.
    assert_eq!(opening(60, None).answer(1, &diverged(4, 95), &log()), Step::Truncate { to: Offset(80) });
}

#[test]
fn a_copy_whose_epochs_all_lie_below_the_leaders_log_start_begins_anew_there() {
    // Records up to 90 were deleted after elections that this copy has slept through: no epoch of it is left at the leader.
    let step = opening(60, None).answer(1, &diverged(-1, 90), &log());
    assert_eq!(step, Step::Reset { log_start: Offset(90), chain: Vec::new() });
    let step = opening(60, None).answer(1, &diverged(-1, 100), &log());
    assert_eq!(step, Step::Reset { log_start: Offset(100), chain: Vec::new() }, "also where it ends there");
    let corrupt = Corrupt { epoch: LeaderEpoch::NONE, to: Offset(90), high_watermark: Offset(95) };
    assert_eq!(opening(95, None).answer(1, &diverged(-1, 90), &log()), Step::Corrupt(corrupt));
    // A leader whose log is empty.
    assert_eq!(opening(0, None).answer(1, &diverged(-1, 0), &log()), Step::Truncate { to: Offset(0) });
}

#[test]
fn truncation_never_goes_below_the_followers_high_watermark() {
    let step = opening(90, None).answer(1, &diverged(3, 70), &log());
    let corrupt = Corrupt { epoch: LeaderEpoch(3), to: Offset(70), high_watermark: Offset(90) };
    assert_eq!(step, Step::Corrupt(corrupt));
}

#[test]
fn an_unclean_election_excuses_it_once_for_bytes_from_before() {
    let mut follower = opening(90, Some(6));
    assert_eq!(follower.answer(1, &diverged(3, 70), &log()), Step::Truncate { to: Offset(70) });
    assert_eq!(follower.high_watermark(), Offset(70));
    let later = LogView { last_epoch: LeaderEpoch(6), ..log() };
    assert!(matches!(opening(90, Some(6)).answer(1, &diverged(3, 70), &later), Step::Corrupt(_)));
}

#[test]
fn answers_of_an_old_session_are_ignored() {
    let mut follower = opening(60, None);
    follower.opening(2);
    assert_eq!(follower.answer(1, &diverged(3, 70), &log()), Step::Ignore);
    assert_eq!(follower.answer(2, &OpenAnswer::Accepted, &log()), Step::Stream);
    assert_eq!(follower.frame(1, Offset(100), Offset(100)), Frame::Ignore);
}

#[test]
fn a_frame_is_taken_only_at_the_log_end() {
    let mut follower = opening(60, None);
    follower.answer(1, &OpenAnswer::Accepted, &log());
    assert_eq!(follower.frame(1, Offset(100), Offset(100)), Frame::Take);
    assert_eq!(follower.frame(1, Offset(120), Offset(110)), Frame::Reopen);
    assert_eq!(follower.frame(1, Offset(110), Offset(110)), Frame::Ignore, "the session is over");
    assert!(!follower.is_open());
}

#[test]
fn the_followers_high_watermark_is_at_most_its_own_end_and_never_goes_back() {
    let mut follower = opening(60, None);
    follower.answer(1, &OpenAnswer::Accepted, &log());
    let leader = |high_watermark, log_start| LeaderPositions {
        high_watermark: Offset(high_watermark),
        log_start: Offset(log_start),
        tier: None,
    };
    assert_eq!(follower.positions(1, &leader(120, 10), Offset(100)), Some(Offset(10)));
    assert_eq!(follower.high_watermark(), Offset(100));
    // A newly elected leader may know less than this copy.
    assert_eq!(follower.positions(1, &leader(90, 110), Offset(100)), Some(Offset(100)));
    assert_eq!(follower.high_watermark(), Offset(100));
    assert_eq!(follower.positions(9, &leader(120, 10), Offset(100)), None);
}

#[test]
fn a_tier_that_covers_the_gap_is_installed_and_a_stale_offer_is_not() {
    let tier = |end| TierPosition { end: Offset(end), generation: 4 };
    let offer = |end| OpenAnswer::Tiered { local_start: Offset(110), tier: tier(end) };
    let mut follower = opening(60, None);
    let step = follower.answer(1, &offer(120), &log());
    assert_eq!(step, Step::InstallTier { local_start: Offset(110), tier: tier(120) });
    assert_eq!(follower.high_watermark(), Offset(60), "not before it is installed");
    follower.restarted_at(Offset(120));
    assert_eq!(follower.high_watermark(), Offset(120), "what the tier covers is committed");
    assert_eq!(opening(60, None).answer(1, &offer(90), &log()), Step::WaitForImage);
}

#[test]
fn a_reset_drops_the_log_only_when_the_log_start_is_above_it() {
    let reset =
        |log_start| OpenAnswer::Reset { log_start: Offset(log_start), chain: chain().entries().to_vec() };
    let step = opening(60, None).answer(1, &reset(150), &log());
    assert_eq!(step, Step::Reset { log_start: Offset(150), chain: chain().entries().to_vec() });
    assert_eq!(opening(60, None).answer(1, &reset(100), &log()), Step::WaitForImage);
}

#[test]
fn fenced_and_unknown_epochs_wait_for_the_image() {
    for answer in
        [OpenAnswer::Fenced, OpenAnswer::UnknownEpoch, OpenAnswer::NotLeader, OpenAnswer::NotReplica]
    {
        let mut follower = opening(60, None);
        assert_eq!(follower.answer(1, &answer, &log()), Step::WaitForImage);
        assert!(!follower.is_open());
    }
}
