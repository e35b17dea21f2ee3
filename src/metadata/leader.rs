//! The Raft leader's duties: form the cluster, renew leases, fence and unfence brokers, elect unclean where allowed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::command::{Command, IsrMember, UncleanCandidate};
use super::control::{Answer, Heartbeat, LogEnd, Request};
use super::core::Core;
use super::image::{BrokerState, Image};
use super::liveness::Life;
use super::raft::Outcome;
use crate::env::timeout;
use crate::types::{BrokerId, TopicId};

/// Between two looks at who is overdue.
const TICK: Duration = Duration::from_millis(50);
/// Between two rounds of unclean elections.
const UNCLEAN_TICK: Duration = Duration::from_secs(1);
/// Most partitions of one round.
const UNCLEAN_BATCH: usize = 1000;
/// A quorum round takes a network round trip; above this the leader has lost its majority.
const ROUND: Duration = Duration::from_millis(500);

/// Runs on every node; does something while the node leads.
pub(super) async fn run(core: Arc<Core>) {
    let mut next_unclean = core.env.clock.now();
    while core.pause(TICK).await {
        let Some(term) = core.leading() else { continue };
        let now = core.env.clock.now();
        let image = core.image();
        let overdue = {
            let mut liveness = core.liveness.lock();
            liveness.lead(term, now);
            liveness.overdue(&image, now)
        };
        if image.cluster_id.is_empty() {
            form(&core, term).await;
        }
        join_all(overdue.into_iter().map(|life| fence(&core, life, term))).await;
        if now >= next_unclean {
            next_unclean = now + UNCLEAN_TICK;
            elect_unclean(&core, &image, term).await;
        }
    }
}

async fn form(core: &Core, term: u64) {
    let drawn = || crate::types::DirectoryId(core.env.rng.uuid()).to_string();
    let command = Command::Form {
        cluster_id: core.config.cluster_id.clone().unwrap_or_else(drawn),
        features: BTreeMap::new(),
        configs: core.config.cluster_configs.clone(),
    };
    match core.write_in_term(command, term).await {
        Answer::Outcome(Outcome::Applied { result: Ok(_), .. }) => tracing::info!("the cluster is formed"),
        other => tracing::debug!(?other, "the cluster was not formed by this try"),
    }
}

async fn fence(core: &Core, (id, epoch): Life, term: u64) {
    tracing::warn!(broker = %id, epoch = epoch.0, "the broker's session is over, it is fenced");
    let answer = core.write_in_term(Command::Fence { id, epoch }, term).await;
    if !matches!(answer, Answer::Outcome(Outcome::Applied { .. })) {
        tracing::debug!(broker = %id, ?answer, "the fencing will be tried again");
    }
}

impl Core {
    /// A broker's heartbeat, at the node that it takes for the leader.
    pub(super) async fn heard(&self, heartbeat: Heartbeat) -> Answer {
        let not_leading = || Answer::NotLeader(self.raft.metrics().borrow().current_leader);
        let Some(term) = self.leading() else { return not_leading() };
        let life = (heartbeat.id, heartbeat.epoch);
        let is_renewable = {
            let now = self.env.clock.now();
            let mut liveness = self.liveness.lock();
            liveness.lead(term, now);
            liveness.hear(life, now)
        };
        if !is_renewable {
            return Answer::Fenced { version: self.image().version };
        }
        // A deposed leader must not grant anything: it asks a majority, after the heartbeat has come.
        match timeout(&*self.env.clock, ROUND, self.raft.ensure_linearizable()).await {
            Ok(Ok(_)) if self.leading() == Some(term) => {}
            Ok(Ok(_)) => return not_leading(),
            Ok(Err(e)) => return Answer::Failed(e.to_string()),
            Err(_) => return Answer::Failed("the metadata leader has no majority".to_owned()),
        }
        let image = self.image();
        match image.brokers.get(&heartbeat.id) {
            Some(broker) if broker.epoch == heartbeat.epoch => match broker.state {
                BrokerState::Active | BrokerState::ControlledShutdown => Answer::Renewed,
                BrokerState::Fenced => self.unfence(heartbeat, &image, term).await,
            },
            // Superseded, or not registered at all.
            _ => Answer::Superseded,
        }
    }

    async fn unfence(&self, heartbeat: Heartbeat, image: &Image, term: u64) -> Answer {
        let Heartbeat { id, epoch, version, ready } = heartbeat;
        let caught_up = self.liveness.lock().has_caught_up((id, epoch), version, image.version);
        if !(ready && caught_up) {
            return Answer::Fenced { version: image.version };
        }
        match self.write_in_term(Command::Unfence { id, epoch }, term).await {
            Answer::Outcome(Outcome::Applied { result: Ok(_), .. }) => Answer::Renewed,
            Answer::Outcome(_) => Answer::Fenced { version: image.version },
            other => other,
        }
    }
}

/// Asks the live replicas of partitions that nobody may lead for the ends of their logs, and proposes.
async fn elect_unclean(core: &Arc<Core>, image: &Image, term: u64) {
    let mut waiting = image.awaiting_unclean_election();
    waiting.truncate(UNCLEAN_BATCH);
    let mut questions: BTreeMap<BrokerId, Vec<(TopicId, i32)>> = BTreeMap::new();
    for &(topic, index) in &waiting {
        let replicas = image.topic_by_id(topic).and_then(|t| t.partitions.get(usize::try_from(index).ok()?));
        for replica in replicas.iter().flat_map(|p| &p.replicas) {
            if image.is_active(replica.broker) {
                questions.entry(replica.broker).or_default().push((topic, index));
            }
        }
    }
    let asking = questions.into_iter().map(|(broker, partitions)| async move {
        match core.ask(broker, Request::LogEnds(partitions.clone()), ROUND).await {
            Ok(Answer::LogEnds(ends)) => (broker, partitions.into_iter().zip(ends).collect::<Vec<_>>()),
            other => {
                tracing::debug!(%broker, ?other, "no log ends for an unclean election");
                (broker, Vec::new())
            }
        }
    });
    let mut candidates: BTreeMap<(TopicId, i32), Vec<UncleanCandidate>> = BTreeMap::new();
    for (broker, ends) in join_all(asking).await {
        let Some(info) = image.brokers.get(&broker) else { continue };
        let member = IsrMember { broker, epoch: info.epoch };
        for (partition, end) in ends {
            let end: Option<LogEnd> = end;
            candidates
                .entry(partition)
                .or_default()
                .extend(end.map(|(last_epoch, log_end)| UncleanCandidate { member, last_epoch, log_end }));
        }
    }
    for ((topic, partition), candidates) in candidates {
        let found = image.topic_by_id(topic);
        let found = found.and_then(|t| t.partitions.get(usize::try_from(partition).ok()?));
        let Some(partition_epoch) = found.map(|p| p.partition_epoch) else { continue };
        if candidates.is_empty() {
            continue;
        }
        tracing::warn!(%topic, partition, ?candidates, "unclean election: records may be lost");
        let command = Command::ElectUnclean { topic, partition, partition_epoch, candidates };
        let answer = core.write_in_term(command, term).await;
        tracing::debug!(?answer, "unclean election");
    }
}
