//! The Raft leader's duties: form the cluster, renew leases, fence and unfence brokers, elect unclean where allowed, put
//! a voter that lost its store back into its place.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::balance;
use super::command::Command;
use super::config::LeaderBalance;
use super::control::{Answer, Heartbeat};
use super::core::Core;
use super::image::{BrokerState, COMMANDS, Image, SUPPORTED_FEATURES};
use super::levels;
use super::liveness::Life;
use super::raft::{Outcome, broker};
use super::unclean::UncleanElections;
use crate::env::defect::{Defect, planted};
use crate::env::{MonoTime, timeout};
use crate::types::BrokerId;

/// Between two looks at who is overdue.
const TICK: Duration = Duration::from_millis(50);
/// Between two rounds of unclean elections, and between two looks for voters that lost their store.
const SLOW_TICK: Duration = Duration::from_secs(1);
/// Most partitions of one command that elects preferred leaders.
const BALANCE_BATCH: usize = 1000;
/// A change of the voters is two entries of the log.
const MEMBERSHIP: Duration = Duration::from_secs(2);
/// A quorum round takes a network round trip; above this the leader has lost its majority.
const ROUND: Duration = Duration::from_millis(500);

/// Runs on every node; does something while the node leads. Fencing waits for nothing else: what may take long goes beside it, one
/// after the other.
pub(super) async fn run(core: Arc<Core>) {
    let mut duties = Duties::new(&core);
    if planted(Defect::FencingWaits) {
        while core.pause(TICK).await {
            fence_the_overdue(&core).await;
            duties.look(&core).await;
        }
        return;
    }
    let fencing = async {
        while core.pause(TICK).await {
            fence_the_overdue(&core).await;
        }
    };
    let others = async {
        while core.pause(TICK).await {
            duties.look(&core).await;
        }
    };
    tokio::join!(fencing, others);
}

async fn fence_the_overdue(core: &Core) {
    let Some(term) = core.leading() else { return };
    let image = core.image();
    let overdue = {
        let now = core.env.clock.now();
        let mut liveness = core.liveness.lock();
        liveness.lead(term, now);
        liveness.overdue(&image, now)
    };
    join_all(overdue.into_iter().map(|life| fence(core, life, term))).await;
}

/// What the leader does but fencing, and when it is due.
struct Duties {
    next_slow: MonoTime,
    next_balance: Option<MonoTime>,
    unclean: UncleanElections,
}

impl Duties {
    fn new(core: &Core) -> Duties {
        let now = core.env.clock.now();
        let next_balance = core.config.leader_balance.map(|balance| now + balance.interval);
        Duties { next_slow: now, next_balance, unclean: UncleanElections::default() }
    }

    async fn look(&mut self, core: &Arc<Core>) {
        let Some(term) = core.leading() else { return };
        let now = core.env.clock.now();
        let image = core.image();
        core.liveness.lock().lead(term, now);
        if image.cluster_id.is_empty() {
            form(core, term).await;
        }
        if now >= self.next_slow {
            self.next_slow = now + SLOW_TICK;
            self.unclean.round(core, &image, term).await;
            replace_lost_voter(core).await;
        }
        if image.commands_level() < COMMANDS.1 {
            // At once: what is said in the old words meanwhile means what it meant to earlier programs.
            levels::raise(core, &image, term).await;
        }
        if let Some(balance) = core.config.leader_balance
            && self.next_balance.is_some_and(|next| now >= next)
        {
            self.next_balance = Some(now + balance.interval);
            balance_leaders(core, &image, balance, term).await;
        }
    }
}

async fn balance_leaders(core: &Core, image: &Image, balance: LeaderBalance, term: u64) {
    let partitions = balance::partitions_to_move(image, balance);
    for some in partitions.chunks(BALANCE_BATCH) {
        tracing::info!(partitions = some.len(), "gives partitions back to their preferred leaders");
        let answer = core.write_in_term(Command::ElectPreferred { partitions: some.to_vec() }, term).await;
        if !matches!(answer, Answer::Outcome(Outcome::Applied { .. })) {
            // The next round tries what is left.
            return tracing::debug!(?answer, "not all preferred leaders could be elected");
        }
    }
}

async fn form(core: &Core, term: u64) {
    let drawn = || crate::types::DirectoryId(core.env.rng.uuid()).to_string();
    let command = Command::Form {
        cluster_id: core.config.cluster_id.clone().unwrap_or_else(drawn),
        features: SUPPORTED_FEATURES.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect(),
        configs: core.config.cluster_configs.clone(),
    };
    match core.write_in_term(command, term).await {
        Answer::Outcome(Outcome::Applied { result: Ok(_), .. }) => tracing::info!("the cluster is formed"),
        other => tracing::debug!(?other, "the cluster was not formed by this try"),
    }
}

/// A broker whose store was wiped is a learner with another number: it takes the place of the lost voter once it has what
/// the leader has. One at a time, and by a majority that the lost one is counted in (KIP-853).
async fn replace_lost_voter(core: &Core) {
    // Who is changing the voters ends that himself, or leaves it to the next look.
    let Ok(_turn) = core.voters_change.try_lock() else { return };
    if core.end_voters_change().await || core.leading().is_none() {
        return;
    }
    let metrics = core.metrics();
    let membership = metrics.membership_config.membership();
    let Some(voters) = membership.get_joint_config().last() else { return };
    let matched = |learner: &u64| metrics.replication.as_ref()?.get(learner).copied().flatten();
    let caught_up = |learner: &u64| matched(learner).map(|id| id.index) >= metrics.last_log_index;
    let replacement = membership.learner_ids().find_map(|learner| {
        let lost = voters.iter().find(|voter| broker(**voter) == broker(learner))?;
        (*lost != core.member && caught_up(&learner)).then_some((*lost, learner))
    });
    let Some((lost, learner)) = replacement else { return };
    tracing::warn!(broker = ?broker(lost), "the voter has lost its store and caught up again, it takes its place");
    let mut wanted = voters.clone();
    wanted.remove(&lost);
    wanted.insert(learner);
    let change = core.raft.change_membership(openraft::ChangeMembers::ReplaceAllVoters(wanted), false);
    match timeout(&*core.env.clock, MEMBERSHIP, change).await {
        Ok(Ok(_)) => tracing::info!("the voters have changed"),
        Ok(Err(error)) => tracing::warn!(%error, "the voters could not be changed, it will be tried again"),
        Err(_) => tracing::warn!("the change of the voters takes long"),
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
        let Some(term) = self.leading() else { return self.not_leading() };
        let life = (heartbeat.id, heartbeat.epoch);
        let is_renewable = {
            let now = self.env.clock.now();
            let mut liveness = self.liveness.lock();
            liveness.lead(term, now);
            if let Some(its_ms) = heartbeat.wall_ms {
                self.wall_clocks.lock().hear(heartbeat.id, its_ms, now);
            }
            liveness.note_level(life, heartbeat.commands);
            liveness.hear(life, now)
        };
        if !is_renewable {
            return Answer::Fenced { version: self.image().version };
        }
        // A deposed leader must not grant anything: it asks a majority, after the heartbeat has come.
        match timeout(&*self.env.clock, ROUND, self.raft.ensure_linearizable()).await {
            Ok(Ok(_)) if self.leading() == Some(term) => {}
            Ok(Ok(_)) => return self.not_leading(),
            Ok(Err(e)) => return Answer::Failed(e.to_string()),
            Err(_) => return Answer::Failed("the metadata leader has no majority".to_owned()),
        }
        let image = self.image();
        match image.brokers.get(&heartbeat.id) {
            Some(broker) if broker.epoch == heartbeat.epoch => match broker.state {
                BrokerState::Active | BrokerState::ControlledShutdown => self.renewed(&heartbeat),
                BrokerState::Fenced => self.unfence(heartbeat, &image, term).await,
            },
            // Superseded, or not registered at all.
            _ => Answer::Superseded,
        }
    }

    /// The image, if this node still leads after a majority was asked.
    pub(super) async fn confirmed_image(&self) -> Option<Arc<Image>> {
        let term = self.leading()?;
        let asked = timeout(&*self.env.clock, ROUND, self.raft.ensure_linearizable()).await;
        (matches!(asked, Ok(Ok(_))) && self.leading() == Some(term)).then(|| self.image())
    }

    fn renewed(&self, heartbeat: &Heartbeat) -> Answer {
        // A broker of an older version knows no other answer.
        if heartbeat.wall_ms.is_none() {
            return Answer::Renewed;
        }
        let clock = &self.env.clock;
        let lately = self.config.session_timeout;
        let metrics = self.metrics();
        let voters: Vec<BrokerId> =
            metrics.membership_config.membership().voter_ids().filter_map(broker).collect();
        let quorum_ms = self.wall_clocks.lock().quorum_ms(&voters, clock.now(), lately);
        Answer::RenewedAt { quorum_ms }
    }

    async fn unfence(&self, heartbeat: Heartbeat, image: &Image, term: u64) -> Answer {
        let Heartbeat { id, epoch, version, ready, .. } = heartbeat;
        let caught_up = self.liveness.lock().has_caught_up((id, epoch), version, image.version);
        if !(ready && caught_up) {
            return Answer::Fenced { version: image.version };
        }
        match self.write_in_term(Command::Unfence { id, epoch }, term).await {
            Answer::Outcome(Outcome::Applied { result: Ok(_), .. }) => self.renewed(&heartbeat),
            Answer::Outcome(_) => Answer::Fenced { version: image.version },
            other => other,
        }
    }
}
