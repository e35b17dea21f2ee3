//! The members of the metadata quorum while it runs: who they are, and how voters come and go (KIP-853).
//!
//! One voter is added or taken away at a time, by the Raft leader, through a joint configuration. A broker that is added
//! must have caught up first: otherwise the quorum could not commit without it. A broker that is taken away goes on as
//! a learner, so that it keeps getting the metadata until it stops; what is left of a dead one goes when the broker is
//! unregistered. A change that stops half way, with its leader or for want of a majority, is ended by whoever leads then.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::ChangeMembers;
use serde::{Deserialize, Serialize};

use super::control::{Answer, Request, hinted};
use super::core::Core;
use super::handle::{Metadata, SubmitError};
use super::raft::{Metrics, broker, identity};
use crate::env::defect::{Defect, planted};
use crate::env::timeout;
use crate::types::BrokerId;

/// A change is two entries of the log.
const CHANGE: Duration = Duration::from_secs(5);
/// How long a change that is under way is waited for, and the metrics after a change.
const SETTLE: Duration = Duration::from_secs(2);
/// One try to ask the leader.
const ASK: Duration = Duration::from_secs(6);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// Two entries of the log, of a change that was left half way.
const REST: Duration = Duration::from_secs(2);
/// How far behind a learner may be that becomes a voter: it gets the rest while the change is committed.
const NEAR: u64 = 100;

/// A member of the quorum as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumMember {
    /// The broker.
    pub broker: BrokerId,
    /// Which of its stores: another one after a wipe.
    pub store: u32,
    /// It votes; otherwise it only gets the log.
    pub votes: bool,
    /// Up to where it has the log (inclusive), if the leader knows.
    pub last_index: Option<u64>,
}

/// The quorum as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumState {
    /// The leader.
    pub leader: BrokerId,
    /// Its term.
    pub term: u64,
    /// The last entry that is committed and applied there.
    pub committed: u64,
    /// Voters and learners, by broker.
    pub members: Vec<QuorumMember>,
}

/// What is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VoterChange {
    /// A broker that gets the log becomes a voter.
    Add {
        /// The broker.
        broker: BrokerId,
        /// Only with this store, if given.
        store: Option<u32>,
    },
    /// A voter votes no more.
    Remove {
        /// The broker.
        broker: BrokerId,
        /// Only with this store, if given.
        store: Option<u32>,
    },
    /// A broker that is gone gets the log no more.
    Forget(BrokerId),
}

/// Why the voters stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum VoterError {
    /// It votes already.
    #[error("broker {0} is a voter already")]
    Duplicate(BrokerId),
    /// It is no voter, or no member at all, or has another store.
    #[error("broker {0} is no {1} of the metadata quorum")]
    NotFound(BrokerId, String),
    /// It cannot be now.
    #[error("{0}")]
    Refused(String),
    /// No leader, no majority, no answer in time: the change may still come.
    #[error("the metadata quorum is not available: {0}")]
    Unavailable(String),
}

impl From<SubmitError> for VoterError {
    fn from(error: SubmitError) -> VoterError {
        match error {
            SubmitError::Rejected(error) => VoterError::Refused(error.to_string()),
            SubmitError::Unavailable(why) => VoterError::Unavailable(why),
        }
    }
}

impl Metadata {
    /// The quorum, asked from its leader.
    ///
    /// # Errors
    /// When there is no leader, or it does not answer within the time.
    pub async fn quorum(&self, limit: Duration) -> Result<QuorumState, SubmitError> {
        match self.ask_quorum_leader(Request::Quorum, limit).await? {
            Answer::Quorum(state) => Ok(state),
            other => Err(SubmitError::Unavailable(format!("the leader answered {other:?}"))),
        }
    }

    /// Changes the voters; returns when the change is committed. A broker that is still catching up is waited for within
    /// the time.
    ///
    /// # Errors
    /// `VoterError` says why nothing changed; after `Unavailable` the change may still come.
    pub async fn change_voters(&self, change: VoterChange, limit: Duration) -> Result<(), VoterError> {
        match self.ask_quorum_leader(Request::ChangeVoters(change, limit), limit).await? {
            Answer::VotersChanged(outcome) => outcome,
            other => Err(VoterError::Unavailable(format!("the leader answered {other:?}"))),
        }
    }

    /// Whether this broker's store votes, by what is committed as far as this node knows.
    #[cfg(test)]
    pub(crate) fn votes(&self) -> bool {
        let metrics = self.core().metrics();
        let membership = metrics.membership_config.membership();
        let is_committed = *metrics.membership_config.log_id() <= metrics.last_applied;
        let is_voter = membership.voter_ids().any(|voter| voter == self.core().member);
        is_committed && is_voter && membership.get_joint_config().len() == 1
    }

    /// Asks the Raft leader, wherever it is, again and again within the time.
    async fn ask_quorum_leader(&self, request: Request, limit: Duration) -> Result<Answer, SubmitError> {
        let core = self.core();
        let deadline = core.env.clock.now() + limit.max(PAUSE);
        let mut hint = None;
        let mut why = "no leader is known".to_owned();
        loop {
            if let Some(leader) = hint.take().or_else(|| core.leader()) {
                match core.ask(leader, request.clone(), ASK.max(limit)).await {
                    // One that has just lost its vote still names itself.
                    Ok(Answer::NotLeader(other)) => hint = hinted(other).filter(|id| *id != leader),
                    Ok(Answer::Failed(failed)) => why = failed,
                    Ok(answer) => return Ok(answer),
                    Err(error) => why = error.to_string(),
                }
            }
            if core.env.clock.now() >= deadline || !core.pause(PAUSE).await {
                return Err(SubmitError::Unavailable(why));
            }
        }
    }
}

impl Core {
    /// The quorum, when this node leads it.
    pub(super) fn quorum(&self) -> Answer {
        let Some(term) = self.leading() else { return self.not_leading() };
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let mut members: Vec<QuorumMember> = membership
            .nodes()
            .filter_map(|(member, _)| {
                let matched = metrics.replication.as_ref().and_then(|r| r.get(member).copied().flatten());
                let own = (*member == self.member).then_some(metrics.last_log_index).flatten();
                Some(QuorumMember {
                    broker: broker(*member)?,
                    store: identity(*member),
                    votes: voters.contains(member),
                    last_index: own.or(matched.map(|id| id.index)),
                })
            })
            .collect();
        members.sort_by_key(|member| (member.broker, member.store));
        Answer::Quorum(QuorumState {
            leader: self.config.node_id,
            term,
            committed: metrics.last_applied.map_or(0, |id| id.index),
            members,
        })
    }

    pub(super) fn not_leading(&self) -> Answer {
        Answer::NotLeader(self.raft.metrics().borrow().current_leader)
    }

    /// Changes the voters, when this node leads.
    pub(super) async fn change_voters(&self, change: VoterChange, limit: Duration) -> Answer {
        if self.leading().is_none() {
            return self.not_leading();
        }
        // One at a time: each is judged by what the one before has left.
        let _turn = self.voters_change.lock().await;
        Answer::VotersChanged(match change {
            VoterChange::Add { broker, store } => self.add_voter(broker, store, limit).await,
            VoterChange::Remove { broker, store } => self.remove_voter(broker, store).await,
            VoterChange::Forget(id) => self.forget_member(id).await,
        })
    }

    /// The voters as they are. A change that was left half way, by a leader before this one maybe, is ended first. Under
    /// `voters_change`.
    async fn settled_voters(&self) -> Result<BTreeSet<u64>, VoterError> {
        let deadline = self.env.clock.now() + SETTLE;
        loop {
            self.end_voters_change().await;
            let metrics = self.metrics();
            let membership = metrics.membership_config.membership();
            if membership.get_joint_config().len() == 1 {
                return Ok(membership.voter_ids().collect());
            }
            if self.env.clock.now() >= deadline || !self.pause(PAUSE).await {
                return Err(VoterError::Refused("another change of the voters is under way".to_owned()));
            }
        }
    }

    /// Ends a change of the voters that was left half way. Whether there was one. Under `voters_change`.
    pub(super) async fn end_voters_change(&self) -> bool {
        let metrics = self.metrics();
        let configs = metrics.membership_config.membership().get_joint_config();
        let Some(wanted) = configs.last().filter(|_| configs.len() > 1 && self.leading().is_some()) else {
            return false;
        };
        let retain = self.stay_learners(configs.iter().flatten(), wanted);
        let change = ChangeMembers::ReplaceAllVoters(wanted.clone());
        match timeout(&*self.env.clock, REST, self.raft.change_membership(change, retain)).await {
            Ok(Ok(_)) => tracing::info!("a change of the voters that was left half way is ended"),
            Ok(Err(error)) => tracing::warn!(%error, "a change of the voters cannot be ended yet"),
            Err(_) => tracing::warn!("the end of a change of the voters takes long"),
        }
        true
    }

    /// Whether those who vote no more go on as learners. Not a store that is lost: another one of its broker takes its place. And not
    /// the leader itself: openraft's leader steps down only when it is no member at all; it asks to be a learner again (`member`).
    fn stay_learners<'a>(&self, before: impl IntoIterator<Item = &'a u64>, wanted: &BTreeSet<u64>) -> bool {
        if planted(Defect::LeaversCutOff) {
            return false;
        }
        let stays = |voter: &u64| wanted.iter().any(|other| broker(*other) == broker(*voter));
        wanted.contains(&self.member) && before.into_iter().any(|voter| !stays(voter))
    }

    async fn add_voter(&self, id: BrokerId, store: Option<u32>, limit: Duration) -> Result<(), VoterError> {
        let deadline = self.env.clock.now() + limit;
        loop {
            let mut voters = self.settled_voters().await?;
            if voters.iter().any(|voter| broker(*voter) == Some(id)) {
                return Err(VoterError::Duplicate(id));
            }
            let metrics = self.metrics();
            let mut learners = metrics.membership_config.membership().learner_ids();
            let learner = learners
                .find(|member| broker(*member) == Some(id) && store.is_none_or(|s| identity(*member) == s))
                .ok_or_else(|| VoterError::NotFound(id, "member".to_owned()))?;
            let has = metrics.replication.as_ref().and_then(|r| r.get(&learner).copied().flatten());
            let behind = metrics.last_log_index.unwrap_or(0).saturating_sub(has.map_or(0, |id| id.index));
            if has.is_some() && (behind <= NEAR || planted(Defect::LaggardVotes)) {
                voters.insert(learner);
                tracing::info!(broker = %id, "becomes a voter of the metadata quorum");
                return self.change_members(ChangeMembers::ReplaceAllVoters(voters), true).await;
            }
            if self.env.clock.now() >= deadline || !self.pause(PAUSE).await {
                return Err(VoterError::Refused(format!(
                    "broker {id} is {behind} entries of the metadata log behind; is it running?"
                )));
            }
        }
    }

    async fn remove_voter(&self, id: BrokerId, store: Option<u32>) -> Result<(), VoterError> {
        let mut voters = self.settled_voters().await?;
        let voter = voters
            .iter()
            .copied()
            .find(|voter| broker(*voter) == Some(id) && store.is_none_or(|s| identity(*voter) == s))
            .ok_or_else(|| VoterError::NotFound(id, "voter".to_owned()))?;
        if voters.len() == 1 {
            return Err(VoterError::Refused(format!("broker {id} is the only voter: add another one first")));
        }
        voters.remove(&voter);
        tracing::info!(broker = %id, "votes in the metadata quorum no more");
        let retain = self.stay_learners([&voter], &voters);
        self.change_members(ChangeMembers::ReplaceAllVoters(voters), retain).await
    }

    /// What is left of a broker that does not come back.
    async fn forget_member(&self, id: BrokerId) -> Result<(), VoterError> {
        let voters = self.settled_voters().await?;
        if voters.iter().any(|voter| broker(*voter) == Some(id)) {
            return Err(VoterError::Refused(format!(
                "broker {id} is a voter of the metadata quorum: take its vote away first"
            )));
        }
        let metrics = self.metrics();
        let learners = metrics.membership_config.membership().learner_ids();
        let gone: BTreeSet<u64> = learners.filter(|member| broker(*member) == Some(id)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.change_members(ChangeMembers::RemoveNodes(gone), true).await
    }

    async fn change_members(
        &self,
        change: ChangeMembers<u64, openraft::BasicNode>,
        retain: bool,
    ) -> Result<(), VoterError> {
        match timeout(&*self.env.clock, CHANGE, self.raft.change_membership(change, retain)).await {
            Ok(Ok(changed)) => {
                // What is judged next goes by the metrics, and they follow a little later.
                let mut metrics = self.raft.metrics();
                let follows = |m: &Metrics| *m.membership_config.log_id() >= Some(changed.log_id);
                match timeout(&*self.env.clock, SETTLE, metrics.wait_for(follows)).await {
                    Ok(Ok(_)) => Ok(()),
                    _ => {
                        Err(VoterError::Unavailable("the change is made, but this node has ended".to_owned()))
                    }
                }
            }
            Ok(Err(error)) => Err(VoterError::Unavailable(error.to_string())),
            Err(_) => Err(VoterError::Unavailable(format!("no majority within {} s", CHANGE.as_secs()))),
        }
    }
}
