//! The running node: what its tasks share, and how a command gets to the Raft leader and back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::ServerState;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::command::{Command, CommandReply};
use super::config::MetadataConfig;
use super::control::{Answer, ControlError, ControlHandler, Request, hinted};
use super::handle::SubmitError;
use super::image::Image;
use super::lease::Lease;
use super::liveness::Liveness;
use super::quorum_time::{MOST_OFF_MS, WallClocks};
use super::raft::{LogStore, Metrics, Outcome, Raft, RaftNetwork, Snapshots, Submission, Unread, broker};
use crate::env::{Env, MonoTime, timeout};
use crate::transport::Peer;
use crate::types::{BrokerEpoch, BrokerId, Incarnation};

/// One try to get a command to the Raft leader; a leader that has lost its quorum does not answer.
const TRY: Duration = Duration::from_millis(1500);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(30);
/// The quorum's time is known for so many sessions after it was heard.
const SESSIONS_WITHOUT_TIME: u32 = 3;
/// Commands of this node that wait for their outcome; above it `submit` waits.
const MAX_IN_FLIGHT: usize = 512;

pub(super) struct Core {
    pub env: Env,
    pub config: MetadataConfig,
    /// This node among the members of the quorum: broker and identity of its store.
    pub member: u64,
    pub raft: Raft,
    pub store: LogStore,
    pub network: RaftNetwork,
    /// What is counted of this life's snapshots.
    pub snapshots: Arc<Snapshots>,
    pub unread: Unread,
    pub images: watch::Receiver<Arc<Image>>,
    pub lease: Lease,
    pub liveness: Mutex<Liveness>,
    pub wall_clocks: Mutex<WallClocks>,
    /// The quorum's time as it was last heard, and when.
    pub quorum_time: Mutex<Option<(i64, MonoTime)>>,
    /// This node's wall clock was far from it then, and that was logged.
    pub clock_is_far: AtomicBool,
    pub handler: RwLock<Option<Arc<dyn ControlHandler>>>,
    pub tickets: Tickets,
    pub registered: watch::Sender<Registered>,
    /// When the log of a leader last came here, be it a heartbeat; before that, when this life began.
    pub heard_leader: Mutex<MonoTime>,
    /// Held while the voters are changed.
    pub voters_change: tokio::sync::Mutex<()>,
    pub stop: watch::Sender<bool>,
}

/// How far this broker's registration has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Registered {
    pub epoch: Option<BrokerEpoch>,
    /// Its logs are open: it may be unfenced.
    pub ready: bool,
    /// It has had a lease.
    pub leased: bool,
    /// Another life has taken its id.
    pub superseded: bool,
}

impl Core {
    pub fn image(&self) -> Arc<Image> {
        self.images.borrow().clone()
    }

    pub fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow().clone()
    }

    /// The term, when this node leads it.
    pub fn leading(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id);
        // One whose vote was taken away calls itself the leader until it has stepped down, and openraft panics when it
        // is asked for another change of the members then.
        let is_member = metrics.membership_config.membership().get_node(&metrics.id).is_some();
        (leads && is_member).then_some(metrics.current_term)
    }

    /// The Raft leader, as far as this node knows.
    pub fn leader(&self) -> Option<BrokerId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        // One whose vote was taken away still takes itself for the last leader.
        let is_over = metrics.current_leader == Some(self.member) && metrics.state != ServerState::Leader;
        metrics.current_leader.filter(|_| !is_over).and_then(broker)
    }

    /// The log of a leader has come, be it a heartbeat.
    pub fn hear_leader(&self) {
        *self.heard_leader.lock() = self.env.clock.now();
    }

    /// For how long nothing has come from a leader. Who leads hears itself.
    pub fn unheard_for(&self) -> Duration {
        if self.raft.metrics().borrow().state == ServerState::Leader {
            self.hear_leader();
        }
        self.env.clock.now().since(*self.heard_leader.lock())
    }

    /// The Raft leader has said what time it is. Whether this broker's clock is far from it, if that has changed: it is logged
    /// then. What was heard before says nothing of that, as it is compared with the clock as it is now.
    pub fn note_time(&self, quorum_ms: i64) -> Option<bool> {
        *self.quorum_time.lock() = Some((quorum_ms, self.env.clock.now()));
        let is_far = self.quorum_ms().is_none();
        if self.clock_is_far.swap(is_far, Ordering::Relaxed) == is_far {
            return None;
        }
        let ahead_ms = self.env.clock.wall_ms().saturating_sub(quorum_ms);
        if is_far {
            tracing::error!(
                ahead_ms,
                "this broker's clock is far from the other brokers': it deletes nothing until it is right"
            );
        } else {
            tracing::info!(ahead_ms, "this broker's clock is near the other brokers' again");
        }
        Some(is_far)
    }

    /// The quorum's time: what was heard last, and what has passed since by the clock that nobody sets. `None` while it is
    /// not known, when nothing was heard for long, or while this node's wall clock is too far from it.
    pub fn quorum_ms(&self) -> Option<i64> {
        let (heard_ms, heard) = (*self.quorum_time.lock())?;
        let since = self.env.clock.now().since(heard);
        let quorum_ms = heard_ms.saturating_add(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let is_near = self.env.clock.wall_ms().saturating_sub(quorum_ms).saturating_abs() <= MOST_OFF_MS;
        (is_near && since <= self.config.session_timeout * SESSIONS_WITHOUT_TIME).then_some(quorum_ms)
    }

    /// Where a broker listens for its peers.
    pub fn peer(&self, id: BrokerId) -> Option<Peer> {
        let remembered = || {
            let metrics = self.metrics();
            let mut members = metrics.membership_config.membership().nodes();
            members.find(|(member, _)| broker(**member) == Some(id)).map(|(_, n)| n.addr.clone())
        };
        self.network.address(id).or_else(remembered).map(|address| Peer { id, address })
    }

    /// Completes when the node is being stopped.
    pub async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as `self`.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Completes when this broker has been without a lease for `limit`.
    pub async fn without_quorum(&self, limit: Duration) {
        let mut since = self.env.clock.now();
        loop {
            self.env.clock.sleep(PAUSE).await;
            let now = self.env.clock.now();
            if self.lease.holds(now) {
                since = now;
            } else if now.since(since) >= limit {
                return;
            }
        }
    }

    /// Sleeps; false when the node is being stopped.
    pub async fn pause(&self, duration: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stopped() => false,
            () = self.env.clock.sleep(duration) => true,
        }
    }

    /// Gets a command applied, wherever the Raft leader is; returns once the local image has it.
    pub async fn submit(self: &Arc<Self>, command: Command) -> Result<CommandReply, SubmitError> {
        let deadline = self.env.clock.now() + self.config.submit_timeout;
        let late = |why: &str| SubmitError::Unavailable(why.to_owned());
        let limit = self.config.submit_timeout;
        let ticket = timeout(&*self.env.clock, limit, self.tickets.take())
            .await
            .map_err(|_| late("too many commands are waiting"))?;
        let command = command.at_level(self.image().commands_level());
        let submission = ticket.submission(command, None);
        let mut hint = None;
        let mut why = "no metadata leader is known".to_owned();
        loop {
            match self.try_submit(&submission, hint.take()).await {
                Ok(Outcome::Applied { index, result }) => {
                    let left = deadline.since(self.env.clock.now());
                    self.await_index(index, left).await?;
                    return result.map_err(SubmitError::Rejected);
                }
                Ok(other) => {
                    return Err(SubmitError::Unavailable(format!("the command was dropped: {other:?}")));
                }
                Err(failed) => {
                    hint = failed.hint;
                    why = failed.why.unwrap_or(why);
                }
            }
            if self.env.clock.now() >= deadline {
                return Err(SubmitError::Unavailable(why));
            }
            if hint.is_none() && !self.pause(PAUSE).await {
                return Err(late("this broker is stopping"));
            }
        }
    }

    async fn try_submit(
        self: &Arc<Self>,
        submission: &Submission,
        hint: Option<BrokerId>,
    ) -> Result<Outcome, NotYet> {
        if let Err(fatal) = &self.raft.metrics().borrow().running_state {
            return Err(NotYet::because(format!("this node's part in the quorum has ended: {fatal}")));
        }
        let Some(leader) = hint.or_else(|| self.leader()) else { return Err(NotYet::default()) };
        match self.ask_leader(leader, Request::Submit(submission.clone()), TRY).await {
            Ok(Answer::Outcome(outcome)) => Ok(outcome),
            Ok(Answer::NotLeader(next)) => {
                let next = hinted(next).filter(|next| *next != leader);
                Err(NotYet { hint: next, why: Some(format!("broker {leader} does not lead the quorum")) })
            }
            Ok(Answer::Failed(why)) => Err(NotYet::because(why)),
            Ok(other) => Err(NotYet::because(format!("broker {leader} answered {other:?}"))),
            Err(error) => Err(NotYet::because(error.to_string())),
        }
    }

    /// Asks the Raft leader; gives up at once when this node learns that another one leads.
    pub async fn ask_leader(
        self: &Arc<Self>,
        leader: BrokerId,
        request: Request,
        limit: Duration,
    ) -> Result<Answer, ControlError> {
        let was = self.leader();
        let mut metrics = self.raft.metrics();
        let changed = metrics.wait_for(|m| {
            let now = m.current_leader.and_then(broker);
            now.is_some() && now != was && now != Some(leader)
        });
        tokio::select! {
            answer = self.ask(leader, request, limit) => answer,
            _ = changed => Err(ControlError { peer: leader, reason: "it leads no more".to_owned() }),
        }
    }

    /// Writes to the log as its leader.
    pub async fn write(&self, submission: Submission) -> Answer {
        let writing = self.raft.client_write(submission);
        match timeout(&*self.env.clock, TRY, writing).await {
            Ok(Ok(response)) => Answer::Outcome(response.data),
            Ok(Err(e)) => match e.forward_to_leader() {
                Some(forward) => Answer::NotLeader(forward.leader_id),
                None => Answer::Failed(e.to_string()),
            },
            Err(_) => Answer::Failed("the metadata leader has no majority".to_owned()),
        }
    }

    /// Writes as the leader of one term, and of no other.
    pub async fn write_in_term(&self, command: Command, term: u64) -> Answer {
        let ticket = self.tickets.take().await;
        self.write(ticket.submission(command, Some(term))).await
    }

    async fn await_index(&self, index: u64, limit: Duration) -> Result<(), SubmitError> {
        let mut images = self.images.clone();
        match timeout(&*self.env.clock, limit, images.wait_for(|image| image.version >= index)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SubmitError::Unavailable(format!(
                "the command was applied at {index}, but this broker has not seen it yet"
            ))),
        }
    }
}

/// A try that led to nothing yet.
#[derive(Default)]
struct NotYet {
    hint: Option<BrokerId>,
    why: Option<String>,
}

impl NotYet {
    fn because(why: String) -> NotYet {
        NotYet { hint: None, why: Some(why) }
    }
}

/// Numbers this process's submissions, so that the quorum recognises a retry.
pub(super) struct Tickets {
    origin: Incarnation,
    numbers: Mutex<Numbers>,
    permits: Semaphore,
}

#[derive(Default)]
struct Numbers {
    next: u64,
    pending: BTreeSet<u64>,
}

/// One submission's number; while it lives the quorum remembers the answer.
pub(super) struct Ticket<'a> {
    tickets: &'a Tickets,
    sequence: u64,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Tickets {
    pub fn new(origin: Incarnation) -> Tickets {
        Tickets { origin, numbers: Mutex::default(), permits: Semaphore::new(MAX_IN_FLIGHT) }
    }

    async fn take(&self) -> Ticket<'_> {
        // Never closed, so there is always a permit in the end.
        let permit = self.permits.acquire().await.ok();
        let mut numbers = self.numbers.lock();
        let sequence = numbers.next;
        numbers.next += 1;
        numbers.pending.insert(sequence);
        Ticket { tickets: self, sequence, _permit: permit }
    }
}

impl Ticket<'_> {
    fn submission(&self, command: Command, only_in_term: Option<u64>) -> Submission {
        let lowest = self.tickets.numbers.lock().pending.first().copied();
        Submission {
            origin: self.tickets.origin,
            sequence: self.sequence,
            answered_below: lowest.unwrap_or(self.sequence),
            only_in_term,
            command,
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.tickets.numbers.lock().pending.remove(&self.sequence);
    }
}
