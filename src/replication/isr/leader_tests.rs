//! The leader's rules and the known traps (tests/README.md), one sentence each.

use super::*;
use crate::log::EpochEntry;
use crate::types::DirectoryId;

const ME: BrokerId = BrokerId(1);
const B: BrokerId = BrokerId(2);
const C: BrokerId = BrokerId(3);

fn ms(ms: u64) -> MonoTime {
    MonoTime(1_000_000_000) + Duration::from_millis(ms)
}

fn view(partition_epoch: i32, isr: &[BrokerId], min_isr: usize) -> PartitionView {
    PartitionView {
        leader_epoch: LeaderEpoch(5),
        partition_epoch: PartitionEpoch(partition_epoch),
        isr: isr.to_vec(),
        elr: Vec::new(),
        min_isr,
        replicas: [ME, B, C]
            .map(|broker| ReplicaView { broker, epoch: BrokerEpoch(i64::from(broker.0) * 10), active: true })
            .to_vec(),
    }
}

fn leader(isr: &[BrokerId], min_isr: usize, log_end: i64, high_watermark: i64) -> Leader {
    Leader::new(
        ME,
        Settings::default(),
        &view(0, isr, min_isr),
        Offset(log_end),
        Offset(log_end),
        Offset(high_watermark),
        ms(0),
    )
}

fn request(broker: BrokerId, log_end: i64, last_epoch: i32) -> OpenRequest {
    OpenRequest {
        broker,
        leader_epoch: LeaderEpoch(5),
        broker_epoch: BrokerEpoch(i64::from(broker.0) * 10),
        directory: DirectoryId::ZERO,
        log_end: Offset(log_end),
        last_epoch: LeaderEpoch(last_epoch),
        log_start: Offset(0),
    }
}

fn chain() -> EpochCache {
    EpochCache::new(vec![
        EpochEntry { epoch: LeaderEpoch(1), start: Offset(0) },
        EpochEntry { epoch: LeaderEpoch(4), start: Offset(60) },
    ])
}

fn log(log_end: i64) -> LogView<'static> {
    LogView {
        log_start: Offset(0),
        local_start: Offset(0),
        log_end: Offset(log_end),
        tier: None,
        chain: Box::leak(Box::new(chain())),
    }
}

/// Opens a session for a follower that has epoch 4 up to `end`; the session's number is the broker's.
fn join(leader: &mut Leader, broker: BrokerId, end: i64, now: MonoTime) -> Vec<Action> {
    let log_end = leader.log_end.0;
    let (answer, actions) = leader.open(&request(broker, end, 4), broker.0 as u64, &log(log_end), now);
    assert_eq!(answer, OpenAnswer::Accepted);
    actions
}

fn ack(leader: &mut Leader, broker: BrokerId, end: i64, now: MonoTime) -> Vec<Action> {
    leader
        .handle(Event::Ack { broker, session: broker.0 as u64, end: Offset(end), log_start: Offset(0) }, now)
}

fn append(leader: &mut Leader, end: i64, now: MonoTime) -> Vec<Action> {
    leader.handle(Event::Appended { log_end: Offset(end), durable_end: Offset(end) }, now)
}

/// The reply to the last proposal.
fn reply(leader: &mut Leader, reply: ProposalReply, now: MonoTime) -> Vec<Action> {
    leader.handle(Event::Reply { attempt: leader.attempt, reply }, now)
}

fn proposed(actions: &[Action]) -> Option<Vec<BrokerId>> {
    actions.iter().find_map(|a| match a {
        Action::Propose { isr, .. } => Some(isr.iter().map(|m| m.broker).collect()),
        _ => None,
    })
}

#[test]
fn the_high_watermark_is_the_smallest_acknowledged_end_of_the_isr() {
    let mut l = leader(&[ME, B, C], 2, 100, 80);
    assert_eq!(join(&mut l, B, 100, ms(1)), []);
    assert_eq!(join(&mut l, C, 90, ms(1)), [Action::HighWatermark(Offset(90))]);
    assert_eq!(ack(&mut l, C, 100, ms(2)), [Action::HighWatermark(Offset(100))]);
    append(&mut l, 110, ms(3));
    ack(&mut l, B, 110, ms(4));
    assert_eq!(ack(&mut l, C, 105, ms(4)), [Action::HighWatermark(Offset(105))]);
    assert_eq!(ack(&mut l, C, 101, ms(5)), [], "it never goes back");
}

#[test]
fn with_fsync_before_ack_the_leaders_own_flushed_end_counts() {
    let mut l = leader(&[ME], 1, 100, 100);
    assert_eq!(l.handle(Event::Appended { log_end: Offset(110), durable_end: Offset(100) }, ms(1)), []);
    let actions = l.handle(Event::Appended { log_end: Offset(110), durable_end: Offset(110) }, ms(2));
    assert_eq!(actions, [Action::HighWatermark(Offset(110))]);
}

#[test]
fn below_min_isr_the_high_watermark_stands_still_and_acks_all_is_refused_before_and_after() {
    let mut l = leader(&[ME, B], 2, 100, 100);
    join(&mut l, B, 100, ms(1));
    append(&mut l, 110, ms(2));
    assert_eq!(l.handle(Event::Wait { ticket: 1, end: Offset(110) }, ms(2)), []);
    let actions = l.handle(Event::Image(view(1, &[ME], 2)), ms(3));
    let refused = NotEnoughReplicas { isr: 1, min_isr: 2 };
    assert!(actions.contains(&Action::Complete { ticket: 1, outcome: Err(refused) }), "{actions:?}");
    assert_eq!(l.check_min_isr(), Err(refused));
    assert_eq!(l.high_watermark(), Offset(100));
}

#[test]
fn acks_all_is_answered_when_the_high_watermark_passes_the_batch() {
    let mut l = leader(&[ME, B], 2, 100, 100);
    join(&mut l, B, 100, ms(1));
    append(&mut l, 105, ms(2));
    append(&mut l, 110, ms(2));
    l.handle(Event::Wait { ticket: 1, end: Offset(105) }, ms(2));
    l.handle(Event::Wait { ticket: 2, end: Offset(110) }, ms(2));
    let done = |ticket| Action::Complete { ticket, outcome: Ok(()) };
    assert_eq!(ack(&mut l, B, 107, ms(3)), [Action::HighWatermark(Offset(107)), done(1)]);
    l.handle(Event::Forget { ticket: 2, end: Offset(110) }, ms(3));
    assert_eq!(ack(&mut l, B, 110, ms(4)), [Action::HighWatermark(Offset(110))]);
    assert_eq!(l.handle(Event::Wait { ticket: 3, end: Offset(110) }, ms(5)), [done(3)]);
}

#[test]
fn a_member_that_is_only_proposed_counts_for_the_high_watermark() {
    // KIP-497: were it elected right after the commit, it would have to hold what was acknowledged before.
    let mut l = leader(&[ME, B], 2, 100, 100);
    join(&mut l, B, 100, ms(1));
    assert_eq!(proposed(&join(&mut l, C, 100, ms(1))), Some(vec![ME, B, C]));
    append(&mut l, 110, ms(2));
    assert_eq!(ack(&mut l, B, 110, ms(3)), [], "C has not acknowledged 110");
    assert_eq!(ack(&mut l, C, 110, ms(4)), [Action::HighWatermark(Offset(110))]);
}

#[test]
fn a_lost_reply_keeps_the_larger_set_until_the_image_shows_which() {
    let mut l = leader(&[ME, B], 2, 100, 100);
    join(&mut l, B, 100, ms(1));
    join(&mut l, C, 100, ms(1));
    reply(&mut l, ProposalReply::Unknown, ms(2));
    append(&mut l, 110, ms(3));
    assert_eq!(ack(&mut l, B, 110, ms(4)), [], "C may be in the ISR");
    // Tried again; a refusal of the second try says nothing of the first.
    assert_eq!(proposed(&l.handle(Event::Tick, ms(300))), Some(vec![ME, B, C]));
    reply(&mut l, ProposalReply::Refused, ms(301));
    assert_eq!(l.high_watermark(), Offset(100));
    l.handle(Event::SessionLost { broker: C, session: 3 }, ms(400));
    assert_eq!(l.handle(Event::Tick, ms(5000)), [], "still open");
    let actions = l.handle(Event::Image(view(1, &[ME, B], 2)), ms(5001));
    assert_eq!(actions, [Action::HighWatermark(Offset(110))]);
}

#[test]
fn a_member_that_lost_bytes_and_has_them_again_before_its_removal_is_committed_comes_back() {
    let mut l = leader(&[ME, B], 1, 100, 100);
    assert_eq!(proposed(&join(&mut l, B, 50, ms(1))), Some(vec![ME]), "it has lost bytes");
    assert_eq!(ack(&mut l, B, 100, ms(2)), [], "the removal is on its way");
    reply(&mut l, ProposalReply::Applied, ms(3));
    // Nothing is appended, so nothing more is acknowledged.
    let actions = l.handle(Event::Image(view(1, &[ME], 1)), ms(4));
    assert_eq!(proposed(&actions), Some(vec![ME, B]));
}

#[test]
fn a_member_proposed_for_removal_counts_until_the_removal_is_committed() {
    let mut l = leader(&[ME, B, C], 2, 100, 100);
    join(&mut l, B, 100, ms(1));
    join(&mut l, C, 100, ms(1));
    l.handle(Event::SessionLost { broker: C, session: 3 }, ms(10));
    append(&mut l, 110, ms(11));
    assert_eq!(ack(&mut l, B, 110, ms(12)), []);
    assert_eq!(l.handle(Event::Tick, ms(1010)), [], "down for one second, no longer");
    assert_eq!(proposed(&l.handle(Event::Tick, ms(1011))), Some(vec![ME, B]));
    assert_eq!(reply(&mut l, ProposalReply::Applied, ms(1012)), [], "the image decides");
    let actions = l.handle(Event::Image(view(1, &[ME, B], 2)), ms(1013));
    assert_eq!(actions, [Action::HighWatermark(Offset(110))]);
}

#[test]
fn a_follower_that_lags_leaves_and_one_that_has_caught_up_returns() {
    let mut l = leader(&[ME, B, C], 1, 100, 100);
    join(&mut l, B, 100, ms(0));
    join(&mut l, C, 100, ms(0));
    append(&mut l, 110, ms(0));
    ack(&mut l, B, 110, ms(1));
    assert_eq!(proposed(&l.handle(Event::Tick, ms(30_000))), None);
    assert_eq!(proposed(&l.handle(Event::Tick, ms(30_001))), Some(vec![ME, B]));
    reply(&mut l, ProposalReply::Applied, ms(30_001));
    l.handle(Event::Image(view(1, &[ME, B], 1)), ms(30_002));
    assert_eq!(l.high_watermark(), Offset(110));
    assert_eq!(proposed(&ack(&mut l, C, 109, ms(32_000))), None, "below the high watermark");
    assert_eq!(proposed(&ack(&mut l, C, 110, ms(33_000))), Some(vec![ME, B, C]));
}

#[test]
fn an_idle_partition_does_not_make_its_followers_lag() {
    let mut l = leader(&[ME, B], 1, 100, 100);
    join(&mut l, B, 100, ms(0));
    assert_eq!(l.handle(Event::Tick, ms(100_000)), []);
    assert_eq!(append(&mut l, 110, ms(100_000)), [], "caught up until this very write");
    assert_eq!(l.handle(Event::Tick, ms(120_000)), []);
    assert_eq!(proposed(&l.handle(Event::Tick, ms(130_001))), Some(vec![ME]));
}

#[test]
fn on_a_one_way_link_acknowledgements_that_bring_nothing_new_do_not_hide_the_lag() {
    let mut l = leader(&[ME, B], 1, 100, 100);
    join(&mut l, B, 100, ms(0));
    append(&mut l, 110, ms(0));
    for t in 1..=30 {
        assert_eq!(proposed(&ack(&mut l, B, 100, ms(t * 1000))), None, "{t} s");
    }
    assert_eq!(proposed(&ack(&mut l, B, 100, ms(30_002))), Some(vec![ME]));
}

#[test]
fn a_follower_one_batch_behind_a_steady_stream_is_caught_up() {
    let mut l = leader(&[ME, B], 1, 100, 100);
    join(&mut l, B, 100, ms(0));
    for t in 1..100 {
        append(&mut l, 100 + t * 10, ms(t as u64 * 1000));
        assert_eq!(proposed(&ack(&mut l, B, 90 + t * 10, ms(t as u64 * 1000 + 1))), None);
    }
}

#[test]
fn a_link_that_is_just_too_slow_does_not_flap_the_isr() {
    let mut l = leader(&[ME, B], 1, 100, 100);
    join(&mut l, B, 100, ms(0));
    let (mut now, mut end, mut epoch, mut expansions) = (0u64, 100, 0, 0);
    // Ten minutes: it lags whenever it is in, and catches up at once whenever it is out.
    while now < 600_000 {
        now += 500;
        end += 10;
        let mut actions = append(&mut l, end, ms(now));
        let inside = l.isr().contains(&B);
        actions.extend(ack(&mut l, B, if inside { 100 } else { end }, ms(now)));
        if let Some(isr) = proposed(&actions) {
            epoch += 1;
            expansions += usize::from(isr.contains(&B));
            reply(&mut l, ProposalReply::Applied, ms(now));
            l.handle(Event::Image(view(epoch, &isr, 1)), ms(now));
        }
    }
    assert!((2..=13).contains(&expansions), "{expansions} expansions in ten minutes");
}

#[test]
fn a_new_leader_starts_from_its_stored_high_watermark_and_tells_no_latest_offset_before_its_epoch_is_committed()
 {
    let mut l = leader(&[ME, B], 1, 100, 80);
    assert_eq!(l.high_watermark(), Offset(80));
    assert!(!l.latest_is_known());
    join(&mut l, B, 100, ms(1));
    assert!(l.latest_is_known());
}

#[test]
fn a_follower_joins_only_at_or_above_the_start_of_the_leaders_epoch() {
    let mut l = leader(&[ME], 2, 100, 80);
    assert_eq!(
        proposed(&join(&mut l, B, 90, ms(1))),
        None,
        "90 ≥ high watermark 80, but the epoch starts at 100"
    );
    assert_eq!(proposed(&ack(&mut l, B, 100, ms(2))), Some(vec![ME, B]));
}

#[test]
fn a_fenced_broker_is_never_proposed() {
    // KIP-841.
    let mut l = leader(&[ME], 1, 100, 100);
    let mut fenced = view(0, &[ME], 1);
    fenced.replicas[1].active = false;
    l.handle(Event::Image(fenced), ms(1));
    assert_eq!(proposed(&join(&mut l, B, 100, ms(2))), None);
    assert_eq!(proposed(&l.handle(Event::Image(view(1, &[ME], 1)), ms(3))), Some(vec![ME, B]));
}

#[test]
fn a_former_life_of_a_broker_is_fenced_and_its_session_ends() {
    // KIP-903.
    let mut l = leader(&[ME, B], 1, 100, 100);
    join(&mut l, B, 100, ms(1));
    let mut anew = view(1, &[ME, B], 1);
    anew.replicas[1].epoch = BrokerEpoch(99);
    assert_eq!(l.handle(Event::Image(anew), ms(2)), [Action::EndSession { broker: B, session: 2 }]);
    assert_eq!(l.open(&request(B, 100, 4), 7, &log(100), ms(3)).0, OpenAnswer::Fenced);
    append(&mut l, 110, ms(4));
    assert_eq!(ack(&mut l, B, 110, ms(5)), [], "a frame of the old session is ignored");
    let early = OpenRequest { broker_epoch: BrokerEpoch(100), ..request(B, 100, 4) };
    assert_eq!(l.open(&early, 8, &log(110), ms(6)).0, OpenAnswer::UnknownEpoch);
}

#[test]
fn an_open_is_answered_by_epochs_and_assignment() {
    let mut l = leader(&[ME], 1, 100, 100);
    let mut answer = |r: OpenRequest| l.open(&r, 9, &log(100), ms(1)).0;
    assert_eq!(
        answer(OpenRequest { leader_epoch: LeaderEpoch(4), ..request(B, 100, 4) }),
        OpenAnswer::Fenced
    );
    assert_eq!(
        answer(OpenRequest { leader_epoch: LeaderEpoch(6), ..request(B, 100, 4) }),
        OpenAnswer::UnknownEpoch
    );
    assert_eq!(answer(request(BrokerId(9), 100, 4)), OpenAnswer::NotReplica);
    assert_eq!(answer(request(B, 100, 4)), OpenAnswer::Accepted);
    assert_eq!(answer(request(B, 0, -1)), OpenAnswer::Accepted, "an empty log");
    let diverged = |epoch, end| OpenAnswer::Diverged { epoch: LeaderEpoch(epoch), end: Offset(end) };
    assert_eq!(answer(request(B, 101, 4)), diverged(4, 100), "longer in the same epoch");
    assert_eq!(answer(request(B, 70, 1)), diverged(1, 60), "longer in an old epoch");
    assert_eq!(answer(request(B, 80, 3)), diverged(1, 60), "an epoch that never was here");
    assert_eq!(answer(request(B, 40, 0)), diverged(-1, 0), "before all epochs");
}

#[test]
fn a_follower_below_the_local_start_is_sent_to_the_tier_or_starts_anew() {
    let mut l = leader(&[ME], 1, 100, 100);
    let tier = Some(TierPosition { end: Offset(70), generation: 3 });
    let tiered = LogView { local_start: Offset(65), tier, ..log(100) };
    let (answer, _) = l.open(&request(B, 10, 1), 1, &tiered, ms(1));
    assert_eq!(
        answer,
        OpenAnswer::Tiered { local_start: Offset(65), tier: TierPosition { end: Offset(70), generation: 3 } }
    );
    let deleted = LogView { log_start: Offset(65), local_start: Offset(65), ..log(100) };
    let (answer, _) = l.open(&request(B, 10, 1), 1, &deleted, ms(1));
    assert_eq!(answer, OpenAnswer::Reset { log_start: Offset(65), chain: chain().entries().to_vec() });
    let unknown = LogView { local_start: Offset(65), ..log(100) };
    let (answer, _) = l.open(&request(B, 10, 1), 1, &unknown, ms(1));
    assert_eq!(
        answer,
        OpenAnswer::UnknownEpoch,
        "the tier has what is missing, but its end is not known yet"
    );
}

#[test]
fn a_restarted_member_of_the_isr_whose_end_is_below_the_high_watermark_is_dropped_at_once() {
    let mut l = leader(&[ME, B, C], 2, 100, 100);
    join(&mut l, B, 100, ms(1));
    join(&mut l, C, 100, ms(1));
    l.handle(Event::SessionLost { broker: C, session: 3 }, ms(2));
    let actions = join(&mut l, C, 70, ms(3));
    assert_eq!(proposed(&actions), Some(vec![ME, B]));
    reply(&mut l, ProposalReply::Applied, ms(3));
    l.handle(Event::Image(view(1, &[ME, B], 2)), ms(4));
    assert_eq!(proposed(&ack(&mut l, C, 90, ms(5))), None);
    assert_eq!(proposed(&ack(&mut l, C, 100, ms(6))), Some(vec![ME, B, C]), "whole again");
}

#[test]
fn who_has_lost_bytes_is_proposed_to_leave_the_elr_too() {
    let lost = |actions: &[Action]| {
        actions.iter().find_map(|action| match action {
            Action::Propose { lost, .. } => Some(lost.clone()),
            _ => None,
        })
    };
    let mut l = leader(&[ME, B], 2, 100, 100);
    assert_eq!(lost(&join(&mut l, B, 70, ms(1))), Some(vec![B]));
    // One that was down when its session ended is in the ELR when it comes back.
    let mut l = leader(&[ME, B], 2, 100, 100);
    let gone = PartitionView { elr: vec![B], ..view(1, &[ME], 2) };
    l.handle(Event::Image(gone), ms(1));
    assert_eq!(lost(&join(&mut l, B, 70, ms(2))), Some(vec![B]));
    l.handle(Event::Image(view(2, &[ME], 2)), ms(3));
    assert_eq!(lost(&ack(&mut l, B, 90, ms(4))), None, "it has left");
    assert_eq!(proposed(&ack(&mut l, B, 100, ms(5))), Some(vec![ME, B]));
}

#[test]
fn a_proposal_that_was_applied_and_changed_nothing_bars_no_later_one() {
    let mut l = leader(&[ME, B], 2, 100, 100);
    l.handle(Event::Image(PartitionView { elr: vec![B], ..view(1, &[ME], 2) }), ms(1));
    assert_eq!(proposed(&join(&mut l, B, 70, ms(2))), Some(vec![ME]), "B is to leave the ELR");
    // While brokers of an earlier program are there the word of it is left out, and the ISR is what it was.
    assert_eq!(proposed(&reply(&mut l, ProposalReply::Applied, ms(3))), None);
    ack(&mut l, B, 100, ms(4));
    assert_eq!(proposed(&l.handle(Event::Tick, ms(1500))), Some(vec![ME, B]));
    assert_eq!(proposed(&reply(&mut l, ProposalReply::Applied, ms(1501))), None);
    append(&mut l, 110, ms(1502));
    assert_eq!(
        proposed(&l.handle(Event::Tick, ms(4000))),
        None,
        "what asks for another ISR waits for the image"
    );
}

#[test]
fn an_image_from_a_quorum_member_that_lags_changes_nothing() {
    let mut l = leader(&[ME, B], 2, 100, 100);
    l.handle(Event::Image(view(4, &[ME, B, C], 2)), ms(1));
    l.handle(Event::Image(view(3, &[ME], 2)), ms(2));
    assert_eq!(l.isr().len(), 3);
    let other_epoch = PartitionView { leader_epoch: LeaderEpoch(6), ..view(9, &[ME], 2) };
    l.handle(Event::Image(other_epoch), ms(3));
    assert_eq!(l.isr().len(), 3, "an image of another epoch is for another leader");
}

#[test]
fn a_leader_that_sees_its_own_removal_last_commits_nothing_without_the_others() {
    for min_isr in [1, 2] {
        let mut l = leader(&[ME, B, C], min_isr, 100, 100);
        join(&mut l, B, 100, ms(1));
        join(&mut l, C, 100, ms(1));
        l.handle(Event::SessionLost { broker: B, session: 2 }, ms(2));
        l.handle(Event::SessionLost { broker: C, session: 3 }, ms(2));
        append(&mut l, 110, ms(3));
        assert_eq!(proposed(&l.handle(Event::Tick, ms(2000))), Some(vec![ME]));
        for reply in [ProposalReply::Refused, ProposalReply::Unknown] {
            l.handle(Event::Reply { attempt: 1, reply }, ms(2001));
            assert_eq!(l.high_watermark(), Offset(100), "min ISR {min_isr}");
        }
    }
}

#[test]
fn who_has_left_the_isr_by_itself_comes_back_by_a_new_session_alone() {
    let mut l = leader(&[ME, B, C], 1, 100, 100);
    join(&mut l, B, 100, ms(1));
    join(&mut l, C, 100, ms(1));
    // B has lost its copy and said so; what it acknowledged before arrives later.
    let ended = l.handle(Event::Image(view(1, &[ME, C], 1)), ms(2));
    assert_eq!(ended, [Action::EndSession { broker: B, session: 2 }]);
    assert_eq!(ack(&mut l, B, 100, ms(3)), []);
    assert_eq!(proposed(&join(&mut l, B, 100, ms(4))), Some(vec![ME, B, C]));
    // Whom the leader itself has proposed to drop keeps its session.
    let mut l = leader(&[ME, B], 1, 100, 100);
    join(&mut l, B, 100, ms(1));
    append(&mut l, 110, ms(2));
    let lag = Settings::default().lag_max + Duration::from_secs(1);
    assert_eq!(proposed(&l.handle(Event::Tick, ms(2) + lag)), Some(vec![ME]));
    assert_eq!(reply(&mut l, ProposalReply::Applied, ms(2) + lag), []);
    assert_eq!(l.handle(Event::Image(view(1, &[ME], 1)), ms(2) + lag), [Action::HighWatermark(Offset(110))]);
    assert_eq!(proposed(&ack(&mut l, B, 110, ms(2) + lag * 3)), Some(vec![ME, B]));
}

#[test]
fn who_has_left_by_itself_while_its_removal_was_on_its_way_comes_back_by_a_new_session_alone() {
    let lag = Settings::default().lag_max + Duration::from_secs(1);
    let (at, later) = (ms(2) + lag, ms(2) + lag * 3);
    // B lags, and its removal is proposed; an image without it is there before the reply.
    let overtaken = || {
        let mut l = leader(&[ME, B], 1, 100, 100);
        join(&mut l, B, 100, ms(1));
        append(&mut l, 110, ms(2));
        assert_eq!(proposed(&l.handle(Event::Tick, at)), Some(vec![ME]));
        assert_eq!(l.handle(Event::Image(view(1, &[ME], 1)), at), [Action::HighWatermark(Offset(110))]);
        assert_eq!(ack(&mut l, B, 110, at), [], "whose doing it was is not known yet");
        assert_eq!(l.handle(Event::Tick, later), []);
        l
    };
    for not_its_own in [ProposalReply::Refused, ProposalReply::Unknown] {
        let mut l = overtaken();
        assert_eq!(reply(&mut l, not_its_own, later), [Action::EndSession { broker: B, session: 2 }]);
        assert_eq!(ack(&mut l, B, 110, later), []);
        assert_eq!(proposed(&join(&mut l, B, 110, later)), Some(vec![ME, B]));
    }
    assert_eq!(proposed(&reply(&mut overtaken(), ProposalReply::Applied, later)), Some(vec![ME, B]));
    // A new session says what it has now, and the reply that comes after it is not about that one.
    let mut l = overtaken();
    let proposal = l.attempt;
    assert_eq!(proposed(&join(&mut l, B, 110, later)), Some(vec![ME, B]));
    let late = Event::Reply { attempt: proposal, reply: ProposalReply::Refused };
    assert_eq!(l.handle(late, later), []);
}

#[test]
fn only_one_proposal_is_on_its_way_at_a_time() {
    let mut l = leader(&[ME], 1, 100, 100);
    assert_eq!(proposed(&join(&mut l, B, 100, ms(1))), Some(vec![ME, B]));
    assert_eq!(proposed(&join(&mut l, C, 100, ms(1))), None);
    assert_eq!(proposed(&l.handle(Event::Image(view(1, &[ME, B], 1)), ms(2))), Some(vec![ME, B, C]));
}

#[test]
fn min_isr_raised_or_lowered_by_the_image_takes_effect_in_its_order() {
    let mut l = leader(&[ME, B], 1, 100, 100);
    join(&mut l, B, 100, ms(1));
    l.handle(Event::Image(view(0, &[ME, B], 3)), ms(2));
    assert!(l.check_min_isr().is_err());
    append(&mut l, 110, ms(3));
    assert_eq!(ack(&mut l, B, 110, ms(3)), []);
    assert_eq!(l.handle(Event::Image(view(0, &[ME, B], 2)), ms(4)), [Action::HighWatermark(Offset(110))]);
}

#[test]
fn delete_records_is_done_when_every_live_replica_has_stored_the_log_start() {
    let mut l = leader(&[ME, B, C], 1, 100, 100);
    join(&mut l, B, 100, ms(1));
    assert!(!l.log_start_is_stored(Offset(50)));
    l.handle(Event::Ack { broker: B, session: 2, end: Offset(100), log_start: Offset(50) }, ms(2));
    assert!(!l.log_start_is_stored(Offset(50)), "C lives, and has no session at the moment");
    let mut fenced = view(1, &[ME, B], 1);
    fenced.replicas.iter_mut().filter(|replica| replica.broker == C).for_each(|c| c.active = false);
    l.handle(Event::Image(fenced), ms(3));
    assert!(l.log_start_is_stored(Offset(50)));
}

#[test]
fn a_late_refusal_of_an_older_proposal_says_nothing_of_the_newer_one() {
    let mut l = leader(&[ME, B], 2, 100, 100);
    join(&mut l, B, 100, ms(1));
    join(&mut l, C, 100, ms(1));
    l.handle(Event::Image(view(1, &[ME, B], 2)), ms(2));
    assert_eq!(l.attempt, 2, "proposed again on the new partition epoch");
    l.handle(Event::Reply { attempt: 1, reply: ProposalReply::Refused }, ms(3));
    append(&mut l, 110, ms(4));
    assert_eq!(ack(&mut l, B, 110, ms(5)), [], "C may be in the ISR by the second proposal");
}
