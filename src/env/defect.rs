//! Planted defects: each switches one defence off, so that a test can be seen to notice.
//!
//! They are there only in the unit tests and in a build with `--cfg esker_defect`, which no release can be (see below);
//! everywhere else [`planted`] is the constant `false` and the compiler removes what depends on it. One such build has all of
//! them, and `ESKER_DEFECT` names the one that is planted: a build for each would take an hour. `tests/defects` runs for each
//! name the tests that must fail, and looks for the invariant that they must name.

/// A defence that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A follower truncates to its high watermark instead of by epoch (KIP-101).
    TruncateToHighWatermark,
    /// A leader that does not know the follower's epoch answers with its own log end (KIP-279).
    EndOfAnotherEpoch,
    /// A follower cuts to the leader's end of an older epoch, and not to its own end of it (KIP-279).
    LeadersEndAlone,
    /// A follower does not see that its leader's log begins above all of its own epochs.
    LogStartUnseen,
    /// The high watermark counts the committed ISR alone, not who is proposed (KIP-497).
    CommittedIsrOnly,
    /// A proposal whose reply was lost counts as refused.
    LostReplyIsRefusal,
    /// The high watermark moves with fewer members than min ISR (KIP-966).
    BelowMinIsr,
    /// An image that is older than what the leader knows is taken up.
    StaleImageTaken,
    /// A member of the ISR that came back without committed bytes stays one.
    LostBytesStay,
    /// What was acknowledged before a copy was lost takes it back into the ISR.
    LostKeepsItsSession,
    /// Who lags and catches up comes and goes without a pause.
    FlappingLink,
    /// A fenced broker may be added to the ISR (KIP-841).
    FencedMayJoin,
    /// A member counts under the epoch of a former life (KIP-903).
    FormerLifeMayJoin,
    /// The ELR stays when min ISR is met (or lowered).
    ElrStays,
    /// A broker that lost power keeps its place in the ISR.
    PowerLossUnnoticed,
    /// A broker whose directory is another one keeps its place.
    WipeUnnoticed,
    /// A leader whose lease has run out goes on.
    NoLease,
    /// A lease runs from when the answer was read, not from when it was asked for.
    LeaseFromAnswer,
    /// What a leader has written before it lost its place is told to be refused.
    WrittenIsRefused,
    /// A transaction coordinator's decision is carried out as often as it comes.
    DecisionTwice,
    /// A batch whose numbers are known is a retry, whichever transaction it was in.
    NumbersAcrossTransactions,
    /// What is read from disk for followers is not bounded by what their lane has sent.
    LoadsUnbounded,
    /// What has come from leaders and waits for a disk is not bounded.
    InboxUnbounded,
    /// A follower takes bytes without a look at their checksum.
    UncheckedBytes,
    /// A stored high watermark above the end of the log is believed.
    HighWatermarkBelieved,
    /// The checksums of the Raft log are not compared.
    RaftLogUnchecked,
    /// A follower truncates below its high watermark without an unclean election.
    CutBelowHighWatermark,
    /// A follower takes a frame that does not begin at its log end.
    FrameAnywhere,
    /// A new leader tells its latest offset before its epoch has begun to commit (KIP-207).
    LatestAtOnce,
    /// DeleteRecords is answered before the replicas have stored the new log start.
    DeletionUnstored,
    /// Every acknowledgement makes its sender caught up, also one that brings nothing new.
    SilenceIsCaughtUp,
    /// The session of a broker's former life goes on.
    FormerLifeGoesOn,
    /// A follower joins the ISR before it has reached the start of the leader's epoch.
    JoinsBelowEpochStart,
    /// A leader takes its own proposal for committed.
    OwnProposalBelieved,
    /// An unclean election needs no leave of the topic.
    UncleanWithoutLeave,
    /// A new leader goes on under the epoch of the last one.
    EpochGoesOn,
    /// A process that was killed on a machine that ran on counts as one that lost its tail.
    KillIsPowerLoss,
    /// A reassignment switches before the added replicas are in sync.
    SwitchWithoutAdded,
    /// A new leader of the quorum fences whom it has not heard yet.
    FencesAtOnce,
    /// The clock that is furthest ahead is taken for the cluster's.
    FastestClockBelieved,
    /// Readers are given what is not committed.
    ReadsBeyondHighWatermark,
    /// A reader's leader epoch is not looked at (KIP-320).
    AnyEpochReads,
    /// A leader whose write has failed goes on.
    FailedWriteGoesOn,
    /// An fsync that has failed is forgotten.
    FailedFsyncForgotten,
    /// A broker becomes a voter of the metadata quorum however far behind it is.
    LaggardVotes,
    /// Who loses its vote goes on as no learner, and its own log does not say so.
    LeaversCutOff,
    /// A node that hears of no leader believes its own log that it is a member.
    OwnMembershipBelieved,
    /// Unclean elections are held for the first partitions that wait for one alone.
    ElectionsStarve,
    /// Fencing waits until the leader of the quorum is through with its other duties.
    FencingWaits,
    /// A node that is sent a snapshot goes on with the image that it had.
    SnapshotUnread,
    /// What a snapshot says of the brokers' machines is left out where it is taken up.
    SnapshotForgets,
    /// The first request to the store that fails ends the offload of a leadership.
    OutageIsFinal,
    /// Appends to tiered topics are refused once the store has failed.
    OutageRefusesAppends,
    /// The winner of an unclean election goes on where its own log ends, wherever the tier does.
    TierEndUnasked,
    /// Transactions are decided while a cut is taken.
    CutWithoutHold,
    /// A partition that is restored to a cut begins where its tier ends.
    RestorePastTheCut,
}

/// The names, as `ESKER_DEFECT` says them.
pub const DEFECTS: &[(&str, Defect)] = &[
    ("truncate-to-high-watermark", Defect::TruncateToHighWatermark),
    ("end-of-another-epoch", Defect::EndOfAnotherEpoch),
    ("leaders-end-alone", Defect::LeadersEndAlone),
    ("log-start-unseen", Defect::LogStartUnseen),
    ("committed-isr-only", Defect::CommittedIsrOnly),
    ("lost-reply-is-refusal", Defect::LostReplyIsRefusal),
    ("below-min-isr", Defect::BelowMinIsr),
    ("stale-image-taken", Defect::StaleImageTaken),
    ("lost-bytes-stay", Defect::LostBytesStay),
    ("lost-keeps-its-session", Defect::LostKeepsItsSession),
    ("flapping-link", Defect::FlappingLink),
    ("fenced-may-join", Defect::FencedMayJoin),
    ("former-life-may-join", Defect::FormerLifeMayJoin),
    ("elr-stays", Defect::ElrStays),
    ("power-loss-unnoticed", Defect::PowerLossUnnoticed),
    ("wipe-unnoticed", Defect::WipeUnnoticed),
    ("no-lease", Defect::NoLease),
    ("lease-from-answer", Defect::LeaseFromAnswer),
    ("written-is-refused", Defect::WrittenIsRefused),
    ("decision-twice", Defect::DecisionTwice),
    ("numbers-across-transactions", Defect::NumbersAcrossTransactions),
    ("loads-unbounded", Defect::LoadsUnbounded),
    ("inbox-unbounded", Defect::InboxUnbounded),
    ("unchecked-bytes", Defect::UncheckedBytes),
    ("high-watermark-believed", Defect::HighWatermarkBelieved),
    ("raft-log-unchecked", Defect::RaftLogUnchecked),
    ("cut-below-high-watermark", Defect::CutBelowHighWatermark),
    ("frame-anywhere", Defect::FrameAnywhere),
    ("latest-at-once", Defect::LatestAtOnce),
    ("deletion-unstored", Defect::DeletionUnstored),
    ("silence-is-caught-up", Defect::SilenceIsCaughtUp),
    ("former-life-goes-on", Defect::FormerLifeGoesOn),
    ("joins-below-epoch-start", Defect::JoinsBelowEpochStart),
    ("own-proposal-believed", Defect::OwnProposalBelieved),
    ("unclean-without-leave", Defect::UncleanWithoutLeave),
    ("epoch-goes-on", Defect::EpochGoesOn),
    ("kill-is-power-loss", Defect::KillIsPowerLoss),
    ("switch-without-added", Defect::SwitchWithoutAdded),
    ("fences-at-once", Defect::FencesAtOnce),
    ("fastest-clock-believed", Defect::FastestClockBelieved),
    ("reads-beyond-high-watermark", Defect::ReadsBeyondHighWatermark),
    ("any-epoch-reads", Defect::AnyEpochReads),
    ("failed-write-goes-on", Defect::FailedWriteGoesOn),
    ("failed-fsync-forgotten", Defect::FailedFsyncForgotten),
    ("laggard-votes", Defect::LaggardVotes),
    ("leavers-cut-off", Defect::LeaversCutOff),
    ("own-membership-believed", Defect::OwnMembershipBelieved),
    ("elections-starve", Defect::ElectionsStarve),
    ("fencing-waits", Defect::FencingWaits),
    ("snapshot-unread", Defect::SnapshotUnread),
    ("snapshot-forgets", Defect::SnapshotForgets),
    ("outage-is-final", Defect::OutageIsFinal),
    ("outage-refuses-appends", Defect::OutageRefusesAppends),
    ("tier-end-unasked", Defect::TierEndUnasked),
    ("cut-without-hold", Defect::CutWithoutHold),
    ("restore-past-the-cut", Defect::RestorePastTheCut),
];

#[cfg(all(esker_defect, not(debug_assertions)))]
compile_error!("a release has no planted defects: build without --cfg esker_defect");

/// Whether this defence is switched off.
#[cfg(not(any(test, esker_defect)))]
#[must_use]
#[inline]
pub const fn planted(_: Defect) -> bool {
    false
}

/// Whether this defence is switched off.
///
/// # Panics
/// When `ESKER_DEFECT` names a defect that there is not.
#[cfg(any(test, esker_defect))]
#[must_use]
pub fn planted(defect: Defect) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Defect>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("ESKER_DEFECT").ok()?;
        let known = DEFECTS.iter().find(|(known, _)| *known == name);
        Some(known.unwrap_or_else(|| panic!("there is no defect {name:?}")).1)
    });
    *chosen == Some(defect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_a_name_of_its_own_and_none_is_planted_without_being_asked_for() {
        for (at, (name, defect)) in DEFECTS.iter().enumerate() {
            assert!(DEFECTS[..at].iter().all(|(other, d)| other != name && d != defect), "{name}");
            assert!(std::env::var_os("ESKER_DEFECT").is_some() || !planted(*defect), "{name}");
        }
    }
}
