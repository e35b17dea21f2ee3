//! A broker as a member of the cluster: it finds or forms the quorum, registers, and keeps its lease.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::command::{BrokerRegistration, Command, CommandError, CommandReply};
use super::control::{Answer, Heartbeat, Request, hinted};
use super::core::{Core, Registered};
use super::handle::{MetadataError, SubmitError};
use super::image::COMMANDS;
use super::raft::broker;
use crate::env::defect::{Defect, planted};
use crate::types::{BrokerEpoch, BrokerId};

/// Between two looks for a cluster.
const SEARCH: Duration = Duration::from_millis(100);
/// After a heartbeat without success.
const RETRY: Duration = Duration::from_millis(50);
/// Who has heard of no leader for so long asks to join, whatever its own log says.
const UNHEARD: Duration = Duration::from_secs(3);
/// A question to a peer that may be down.
const QUESTION: Duration = Duration::from_millis(500);

/// Forms the quorum when there is none, or joins it.
pub(super) async fn find_quorum(core: Arc<Core>) {
    if core.config.is_voter() {
        initialize(&core).await;
    }
    join(&core).await;
    // A leader whose vote is taken away is no member for a moment, and others may be left out without hearing of it.
    while core.pause(SEARCH).await {
        join(&core).await;
    }
}

/// The voter with the lowest id initialises, once every other voter has said that it holds no log: one that lost its
/// disk must not begin a second cluster.
async fn initialize(core: &Arc<Core>) {
    let voters = &core.config.voters;
    let me = core.config.node_id;
    if voters.iter().any(|(id, _)| *id < me) {
        return;
    }
    loop {
        match core.raft.is_initialized().await {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => return tracing::error!(%error, "the metadata node has stopped"),
        }
        let others = voters.iter().filter(|(id, _)| *id != me);
        let answers = join_all(others.map(|(id, _)| core.ask(*id, Request::Status, QUESTION))).await;
        let empty = answers.iter().filter_map(|answer| match answer {
            Ok(Answer::Status { initialized: false, member }) => Some(*member),
            _ => None,
        });
        let members: BTreeMap<u64, openraft::BasicNode> = empty
            .chain([core.member])
            .filter_map(|member| {
                let (_, address) = voters.iter().find(|(id, _)| broker(member) == Some(*id))?;
                Some((member, openraft::BasicNode::new(address)))
            })
            .collect();
        if members.len() == voters.len() {
            match core.raft.initialize(members).await {
                Ok(()) => return tracing::info!("the metadata quorum is initialised"),
                Err(error) => tracing::warn!(%error, "the metadata quorum cannot be initialised"),
            }
        } else if answers.iter().any(|a| matches!(a, Ok(Answer::Status { initialized: true, .. }))) {
            // There is a cluster: whether this member belongs to it, its leader says.
            return;
        }
        if !core.pause(SEARCH).await {
            return;
        }
    }
}

/// Whether the leader must be asked to send the log here. Who is taken out of the members does not hear of it: the leader sends it
/// nothing from the entry on that says so, and its own log makes it a member for ever.
fn is_left_out(core: &Core) -> bool {
    let is_member = core.metrics().membership_config.membership().get_node(&core.member).is_some();
    !is_member || (core.unheard_for() >= UNHEARD && !planted(Defect::OwnMembershipBelieved))
}

/// Asks the voters, one after the other, to send the log here, unless they do. A voter whose store was wiped is no member: it
/// comes back as a learner, and takes the lost one's place once it has caught up (`leader`).
async fn join(core: &Arc<Core>) {
    let me = core.member;
    if is_left_out(core) && core.metrics().membership_config.membership().get_node(&me).is_some() {
        tracing::warn!(
            seconds = core.unheard_for().as_secs(),
            "no metadata leader sends anything here: there is none, or this broker is no member of the quorum any more. It asks to join"
        );
    }
    let mut hint = None;
    let named = core.config.voters.iter().map(|(id, _)| *id);
    // The voters may be others than the configuration says by now.
    let known: BTreeSet<BrokerId> = named.chain(core.image().brokers.keys().copied()).collect();
    for voter in known.iter().filter(|id| **id != core.config.node_id).cycle() {
        if !is_left_out(core) {
            return;
        }
        let request = Request::Join { node: me, address: core.config.peer_address.clone() };
        let asked = hint.take().unwrap_or(*voter);
        match core.ask(asked, request, QUESTION).await {
            // Who still takes this node for the leader is asked again later.
            Ok(Answer::NotLeader(leader)) => hint = hinted(leader).filter(|id| *id != core.config.node_id),
            answer => tracing::debug!(?answer, voter = %asked, "asked to join"),
        }
        if !core.pause(SEARCH).await {
            return;
        }
    }
}

/// Registers until it is done or refused; then heartbeats run by themselves.
pub(super) async fn register(
    core: &Arc<Core>,
    registration: BrokerRegistration,
) -> Result<BrokerEpoch, MetadataError> {
    let began = core.env.clock.now();
    let id = registration.id;
    loop {
        let refused = match core.submit(Command::RegisterBroker(registration.clone())).await {
            Ok(CommandReply::Registered(epoch)) => {
                // A registration may be applied before the command that forms the cluster.
                let mut images = core.images.clone();
                tokio::select! {
                    formed = images.wait_for(|image| !image.cluster_id.is_empty()) => {
                        if formed.is_err() {
                            return Err(MetadataError::Stopped);
                        }
                    }
                    () = core.stopped() => return Err(MetadataError::Stopped),
                }
                if let Some(expected) = core.config.cluster_id.as_ref()
                    && *expected != core.image().cluster_id
                {
                    let found = core.image().cluster_id.clone();
                    return Err(MetadataError::OtherCluster { expected: expected.clone(), found });
                }
                core.registered.send_replace(Registered { epoch: Some(epoch), ..Registered::default() });
                tokio::spawn(keep_lease(core.clone(), id, epoch));
                return Ok(epoch);
            }
            Ok(other) => return Err(MetadataError::Protocol(format!("a registration gave {other:?}"))),
            Err(SubmitError::Unavailable(why)) => {
                if let Some(above) = core.image().beyond_this_program() {
                    return Err(MetadataError::TooOld(above));
                }
                tracing::warn!(%why, "waiting for the metadata quorum");
                None
            }
            // The former life of this broker, whose session is not over yet.
            Err(SubmitError::Rejected(error @ CommandError::DuplicateBroker(_))) => Some(error),
            Err(SubmitError::Rejected(error)) => return Err(MetadataError::Refused(error)),
        };
        if let Some(error) = refused
            && core.env.clock.now() >= began + core.config.session_timeout * 3
        {
            return Err(MetadataError::Refused(error));
        }
        if !core.pause(SEARCH).await {
            return Err(MetadataError::Stopped);
        }
    }
}

/// Heartbeats of one registered life.
async fn keep_lease(core: Arc<Core>, id: BrokerId, epoch: BrokerEpoch) {
    let interval = core.config.lease / 5;
    let mut hint: Option<BrokerId> = None;
    loop {
        let registered = *core.registered.borrow();
        if registered.epoch != Some(epoch) {
            return;
        }
        if let Some(above) = core.image().beyond_this_program() {
            // It began when the cluster did not use that yet.
            core.lease.revoke();
            return tracing::error!(broker = %id, "this broker takes no part any more: {above}");
        }
        let sent = core.env.clock.now();
        let leader = hint.take().or_else(|| core.leader());
        let version = core.image().version;
        let wall_ms = Some(core.env.clock.wall_ms());
        let heartbeat =
            Heartbeat { id, epoch, version, ready: registered.ready, wall_ms, commands: COMMANDS.1 };
        let answer = match leader {
            Some(leader) => core.ask_leader(leader, Request::Heartbeat(heartbeat), interval * 2).await.ok(),
            None => None,
        };
        let pause = match answer {
            Some(renewed @ (Answer::Renewed | Answer::RenewedAt { .. })) => {
                if let Answer::RenewedAt { quorum_ms: Some(quorum_ms) } = renewed {
                    core.note_time(quorum_ms);
                }
                // An answer may have waited for a process that stood still.
                let from = if planted(Defect::LeaseFromAnswer) { core.env.clock.now() } else { sent };
                core.lease.extend(from + core.config.lease);
                core.registered.send_if_modified(|r| !std::mem::replace(&mut r.leased, true));
                interval.saturating_sub(core.env.clock.now().since(sent))
            }
            Some(Answer::Fenced { version }) => {
                core.lease.revoke();
                let mut images = core.images.clone();
                let caught_up = images.wait_for(|image| image.version >= version);
                tokio::select! {
                    () = core.stopped() => return,
                    () = core.env.clock.sleep(interval) => {}
                    _ = caught_up => {}
                }
                if heartbeat.ready {
                    // It was asked for already; the quorum is not through with something else.
                    RETRY
                } else {
                    // Until the broker is ready there is nothing to be in a hurry for.
                    let mut changes = core.registered.subscribe();
                    tokio::select! {
                        () = core.stopped() => return,
                        () = core.env.clock.sleep(interval) => {}
                        _ = changes.wait_for(|r| r.ready || r.epoch != Some(epoch)) => {}
                    }
                    Duration::ZERO
                }
            }
            Some(Answer::Superseded) => {
                core.lease.revoke();
                tracing::error!(broker = %id, "another process has registered with this node id");
                core.registered.send_modify(|r| r.superseded = true);
                return;
            }
            Some(Answer::NotLeader(leader)) => {
                hint = hinted(leader);
                RETRY
            }
            _ => RETRY,
        };
        if !core.pause(pause).await {
            return;
        }
    }
}
