//! The follower's end of a lane: opens the stream, opens its partitions' sessions in batches, hands every frame to its
//! partition's inbox at once (what is on its way is bounded by each session's credit, what waits in inboxes by one room for
//! each log directory), sends acknowledgements.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{LIST, LaneError, heartbeat, receive};
use crate::env::MonoTime;
use crate::replication::context::Context;
use crate::replication::frames::{Ack, Open, ToFollower, ToLeader};
use crate::replication::isr::OpenAnswer;
use crate::replication::replica::{Inbound, Replica};
use crate::transport::{FrameRecv, FrameSend, Peer, SharedTransport, StreamKind};
use crate::types::{BrokerId, TopicId};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1000);
/// A session for whose batches there was no room is opened again after this.
const TURNED_AWAY: Duration = Duration::from_secs(1);
/// What a lane says of such sessions it says this seldom: there may be thousands, each of them every second.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Sessions that a lane has turned away, as far as nothing was said of them.
#[derive(Default)]
struct TurnedAway {
    untold: u64,
    told: Option<MonoTime>,
}

impl TurnedAway {
    /// One more. How many there are, when it is time to say so.
    fn add(&mut self, now: MonoTime) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now < told + TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// A stream to one leader broker.
pub(in crate::replication) struct FollowLane {
    context: Arc<Context>,
    leader: BrokerId,
    index: u32,
    address: Mutex<String>,
    members: Mutex<HashMap<(TopicId, i32), Arc<Replica>>>,
    /// What is to be sent, while the stream is up.
    link: Mutex<Option<Link>>,
    changed: Notify,
    turned_away: Mutex<TurnedAway>,
}

#[derive(Default)]
struct Link {
    opens: Vec<Open>,
    acks: BTreeMap<u64, Ack>,
    closes: Vec<u64>,
    sessions: HashMap<u64, Arc<Replica>>,
}

impl FollowLane {
    pub(in crate::replication) fn new(
        context: Arc<Context>,
        leader: BrokerId,
        index: u32,
        address: String,
    ) -> Arc<FollowLane> {
        Arc::new(FollowLane {
            context,
            leader,
            index,
            address: Mutex::new(address),
            members: Mutex::default(),
            link: Mutex::default(),
            changed: Notify::new(),
            turned_away: Mutex::default(),
        })
    }

    /// Where the leader listens now.
    pub(in crate::replication) fn set_address(&self, address: &str) {
        let mut current = self.address.lock();
        if *current != address {
            address.clone_into(&mut current);
        }
    }

    /// A partition is to be followed over this lane.
    pub(in crate::replication) fn join(&self, replica: &Arc<Replica>) {
        let key = (replica.topic_id(), replica.partition().partition);
        if self.members.lock().insert(key, replica.clone()).is_none() {
            self.context.following.fetch_add(1, Ordering::Relaxed);
        }
        if self.link.lock().is_some() {
            replica.receive(Inbound::Open);
        } else {
            self.changed.notify_one();
        }
    }

    /// A partition is no longer followed over this lane, on which it had this session.
    pub(in crate::replication) fn leave(&self, replica: &Arc<Replica>, session: Option<u64>) {
        let key = (replica.topic_id(), replica.partition().partition);
        if self.members.lock().remove(&key).is_some() {
            self.context.following.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(session) = session
            && let Some(link) = &mut *self.link.lock()
            && link.sessions.remove(&session).is_some()
        {
            link.closes.push(session);
        }
        self.changed.notify_one();
    }

    /// Sends an open request; `false` when the stream is down.
    pub(in crate::replication) fn open(&self, replica: &Arc<Replica>, open: Open) -> bool {
        let mut link = self.link.lock();
        let Some(link) = &mut *link else { return false };
        link.sessions.insert(open.session, replica.clone());
        link.opens.push(open);
        self.changed.notify_one();
        true
    }

    /// Sends an acknowledgement, instead of an older one that has not gone out yet.
    pub(in crate::replication) fn acknowledge(&self, ack: Ack) {
        if let Some(link) = &mut *self.link.lock() {
            link.acks.insert(ack.session, ack);
            self.changed.notify_one();
        }
    }

    /// How many sessions it knows of.
    #[cfg(test)]
    pub(in crate::replication) fn sessions(&self) -> usize {
        self.link.lock().as_ref().map_or(0, |link| link.sessions.len())
    }

    /// Ends a session.
    pub(in crate::replication) fn close(&self, session: u64) {
        if let Some(link) = &mut *self.link.lock() {
            link.sessions.remove(&session);
            link.acks.remove(&session);
            link.closes.push(session);
            self.changed.notify_one();
        }
    }

    /// Keeps the stream up as long as there is something to follow; ends with `stop`.
    pub(in crate::replication) async fn run(
        self: Arc<Self>,
        transport: SharedTransport,
        mut stop: watch::Receiver<bool>,
    ) {
        let running = async {
            let mut pause = FIRST_PAUSE;
            loop {
                if self.members.lock().is_empty() {
                    self.changed.notified().await;
                    continue;
                }
                let address = self.address.lock().clone();
                let peer = Peer { id: self.leader, address };
                match transport.open(peer, StreamKind::Replication, self.index).await {
                    Ok(mut stream) => {
                        pause = FIRST_PAUSE;
                        self.connected(&mut *stream.send, &mut *stream.recv).await;
                    }
                    Err(e) => {
                        tracing::debug!(leader = %self.leader, lane = self.index, "{e}");
                        self.context.clock.sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        };
        tokio::select! {
            () = running => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.disconnected();
        self.members.lock().clear();
    }

    async fn connected(&self, send: &mut dyn FrameSend, recv: &mut dyn FrameRecv) {
        *self.link.lock() = Some(Link::default());
        let members: Vec<Arc<Replica>> = self.members.lock().values().cloned().collect();
        for replica in members {
            replica.receive(Inbound::Open);
        }
        let ended = tokio::select! {
            ended = self.write(send) => ended,
            ended = self.read(recv) => ended,
        };
        if let Err(e) = ended {
            tracing::info!(leader = %self.leader, lane = self.index, "the stream to the leader has ended: {e}");
        }
        self.disconnected();
    }

    fn disconnected(&self) {
        let link = self.link.lock().take();
        for (session, replica) in link.into_iter().flat_map(|link| link.sessions) {
            replica.receive(Inbound::Lost(session));
        }
    }

    async fn write(&self, send: &mut dyn FrameSend) -> Result<(), LaneError> {
        send.send(&[ToLeader::Hello { lane: self.index }.encode()]).await?;
        loop {
            let (opens, acks, closes) = match &mut *self.link.lock() {
                Some(link) => (
                    std::mem::take(&mut link.opens),
                    std::mem::take(&mut link.acks),
                    std::mem::take(&mut link.closes),
                ),
                None => return Err(LaneError::Ended),
            };
            let idle = opens.is_empty() && acks.is_empty() && closes.is_empty();
            for closes in closes.chunks(LIST) {
                send.send(&[ToLeader::Closes(closes.to_vec()).encode()]).await?;
            }
            for opens in opens.chunks(LIST) {
                send.send(&[ToLeader::Opens(opens.to_vec()).encode()]).await?;
            }
            let acks: Vec<Ack> = acks.into_values().collect();
            for acks in acks.chunks(LIST) {
                send.send(&[ToLeader::Acks(acks.to_vec()).encode()]).await?;
            }
            if idle {
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = self.context.clock.sleep(heartbeat(&self.context)) => {
                        if self.members.lock().is_empty() {
                            return Ok(());
                        }
                        send.send(&[ToLeader::Acks(Vec::new()).encode()]).await?;
                    }
                }
            }
        }
    }

    async fn read(&self, recv: &mut dyn FrameRecv) -> Result<(), LaneError> {
        loop {
            match ToFollower::decode(receive(&self.context, recv).await?)? {
                ToFollower::Answers(answers) => {
                    for (session, answer) in answers {
                        self.hand_over(session, Inbound::Answer(session, answer));
                    }
                }
                ToFollower::Append(mut append) => {
                    let session = append.session;
                    let replica =
                        self.link.lock().as_ref().and_then(|link| link.sessions.get(&session).cloned());
                    // Of a session that is over, otherwise.
                    if let Some(replica) = replica {
                        match self.context.with_room(replica.directory(), append.batches).await {
                            Some(batches) => {
                                append.batches = batches;
                                self.hand_over(session, Inbound::Append(append));
                            }
                            None => self.turn_away(session, &replica),
                        }
                    }
                }
                ToFollower::Positions(all) => {
                    for (session, positions) in all {
                        self.hand_over(session, Inbound::Positions(session, positions));
                    }
                }
                ToFollower::Closes(sessions) => {
                    for session in sessions {
                        let replica =
                            self.link.lock().as_mut().and_then(|link| link.sessions.remove(&session));
                        if let Some(replica) = replica {
                            replica.receive(Inbound::Lost(session));
                            replica.receive(Inbound::Open);
                        }
                    }
                }
            }
        }
    }

    /// There is no room for what comes of a session: it ends, and another one is asked for later.
    fn turn_away(&self, session: u64, replica: &Arc<Replica>) {
        let untold = self.turned_away.lock().add(self.context.now());
        if let Some(sessions) = untold {
            tracing::warn!(
                leader = %self.leader, lane = self.index, sessions, last = %replica.partition(),
                "a log directory's disk is stuck, and what waits for it fills its room: sessions are turned away"
            );
        }
        self.close(session);
        replica.receive(Inbound::Lost(session));
        let (replica, context) = (Arc::downgrade(replica), self.context.clone());
        self.context.runtime.spawn(async move {
            context.clock.sleep(TURNED_AWAY).await;
            if let Some(replica) = replica.upgrade() {
                replica.receive(Inbound::Open);
            }
        });
    }

    fn hand_over(&self, session: u64, inbound: Inbound) {
        let is_over = matches!(&inbound, Inbound::Answer(_, answer) if *answer != OpenAnswer::Accepted);
        let replica = self.link.lock().as_mut().and_then(|link| {
            // After a refusal nothing more comes of a session, and the next one has another number.
            if is_over { link.sessions.remove(&session) } else { link.sessions.get(&session).cloned() }
        });
        if let Some(replica) = replica {
            replica.receive(inbound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::sim::Told;
    use crate::replication::tests::rig::{Cluster, eventually};

    #[test]
    fn sessions_that_are_turned_away_are_told_of_together_once_a_minute() {
        let at = |seconds: u64| MonoTime(seconds * 1_000_000_000);
        let mut turned_away = TurnedAway::default();
        let told: Vec<(u64, u64)> =
            (0..150).filter_map(|second| Some((second, turned_away.add(at(second))?))).collect();
        assert_eq!(told, [(0, 1), (60, 60), (120, 60)]);
        assert_eq!(turned_away.add(at(1_000)), Some(30), "the last ones are told with the next");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stuck_disk_that_turns_sessions_away_is_named_once_a_minute() {
        let cluster = Cluster::with_topic(2, &[]).await;
        cluster.leads(1).await;
        let replica = cluster.replica(2);
        let follows = || replica.positions().leader == Some(BrokerId(1));
        eventually("it follows", follows).await;
        let lane =
            cluster.nodes[&2].manager.lanes.lock().values().next().cloned().expect("it follows by one");
        let told = Told::listen();
        let lines = || told.with("sessions are turned away");
        (0..40).for_each(|session| lane.turn_away(session, &replica));
        assert_eq!(lines().len(), 1, "{:?}", lines());
        assert!(lines()[0].contains("WARN") && lines()[0].contains("leader=1"), "{:?}", lines());
        assert!(lines()[0].contains("sessions=1 last=t-0"), "{:?}", lines());
        let a_minute_ago =
            lane.turned_away.lock().told.map(|told| MonoTime(told.0.saturating_sub(60_000_000_000)));
        lane.turned_away.lock().told = a_minute_ago;
        (40..50).for_each(|session| lane.turn_away(session, &replica));
        assert_eq!(lines().len(), 2, "{:?}", lines());
        assert!(lines()[1].contains("sessions=40"), "those since then: {:?}", lines());
    }
}
