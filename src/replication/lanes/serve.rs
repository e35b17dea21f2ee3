//! The leader's end of a lane: answers open requests, sends what its sessions have to send, one frame at a time each,
//! so that a partition with much to send does not hold up the others; a follower that is behind is read from disk
//! beside it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::{LIST, LaneError, heartbeat, receive};
use crate::env::MonoTime;
use crate::env::defect::{Defect, planted};
use crate::replication::context::Context;
use crate::replication::frames::{FrameError, Open, ToFollower, ToLeader};
use crate::replication::isr::OpenAnswer;
use crate::replication::isr::follower::LeaderPositions;
use crate::replication::replica::{Next, Replica};
use crate::transport::{FrameRecv, FrameSend, Incoming};
use crate::types::{BrokerId, DirectoryId, TopicId};

/// Positions that move without batches wait this long for company.
const POSITIONS_PAUSE: Duration = Duration::from_millis(5);

/// A session whose bytes can't be read is ended after this pause.
const AFTER_FAILED_READ: Duration = Duration::from_millis(500);

/// Frames that a lane holds which were read from disk and are not sent yet: when thousands of followers' partitions are behind
/// at once and the link is slow, memory holds these and no more. Throttled followers have as many of their own.
const LOADED_FRAMES: usize = 4;

/// Finds a partition's replica.
pub(in crate::replication) type Lookup = Arc<dyn Fn(TopicId, i32) -> Option<Arc<Replica>> + Send + Sync>;

/// A stream from one follower broker.
pub(in crate::replication) struct ServeLane {
    context: Arc<Context>,
    peer: BrokerId,
    out: Mutex<Out>,
    sessions: Mutex<HashMap<u64, Arc<Session>>>,
    changed: Notify,
    /// Places for frames that are read from a directory's disk: for followers that are not throttled, and for those that are.
    places: Mutex<HashMap<(DirectoryId, bool), Arc<Semaphore>>>,
}

#[derive(Default)]
struct Out {
    answers: Vec<(u64, OpenAnswer)>,
    closes: Vec<u64>,
    ready: VecDeque<Arc<Session>>,
    /// The stream has ended: nobody takes anything out any more.
    ended: bool,
}

/// One follower's session for one partition.
pub(in crate::replication) struct Session {
    /// The follower's number.
    pub(in crate::replication) id: u64,
    /// The leader's number: unique among all followers.
    pub(in crate::replication) key: u64,
    lane: Arc<ServeLane>,
    replica: Arc<Replica>,
    /// Its answer is on its way: it may send.
    armed: AtomicBool,
    queued: AtomicBool,
}

impl Session {
    /// The follower.
    pub(in crate::replication) fn peer(&self) -> BrokerId {
        self.lane.peer
    }

    /// It may have something to send.
    pub(in crate::replication) fn wake(self: &Arc<Self>) {
        if self.armed.load(Ordering::SeqCst) && !self.queued.swap(true, Ordering::SeqCst) {
            let mut out = self.lane.out.lock();
            if !out.ended {
                out.ready.push_back(self.clone());
            }
            drop(out);
            self.lane.changed.notify_one();
        }
    }

    /// Tells the follower that it is over.
    pub(in crate::replication) fn end(&self) {
        self.lane.sessions.lock().remove(&self.id);
        self.lane.out.lock().closes.push(self.id);
        self.lane.changed.notify_one();
    }
}

/// Serves a stream until it ends.
pub(in crate::replication) async fn serve(context: Arc<Context>, lookup: Lookup, incoming: Incoming) {
    let lane = Arc::new(ServeLane {
        context,
        peer: incoming.peer,
        out: Mutex::default(),
        sessions: Mutex::default(),
        changed: Notify::new(),
        places: Mutex::default(),
    });
    let mut stream = incoming.stream;
    let ended = tokio::select! {
        ended = lane.read(&mut *stream.recv, &lookup) => ended,
        ended = lane.write(&mut *stream.send) => ended,
    };
    if let Err(e) = ended {
        tracing::info!(follower = %lane.peer, "a follower's stream has ended: {e}");
    }
    let sessions = std::mem::take(&mut *lane.sessions.lock());
    for session in sessions.into_values() {
        session.replica.session_lost(&session);
    }
    // A session that still loads for this lane would hold it, and be held by it, for ever.
    *lane.out.lock() = Out { ended: true, ..Out::default() };
}

impl ServeLane {
    async fn read(self: &Arc<Self>, recv: &mut dyn FrameRecv, lookup: &Lookup) -> Result<(), LaneError> {
        let ToLeader::Hello { .. } = ToLeader::decode(receive(&self.context, recv).await?)? else {
            return Err(FrameError::Version(0).into());
        };
        loop {
            match ToLeader::decode(receive(&self.context, recv).await?)? {
                ToLeader::Hello { .. } => {}
                ToLeader::Opens(opens) => opens.iter().for_each(|open| self.open(open, lookup)),
                ToLeader::Acks(acks) => {
                    for ack in acks {
                        let session = self.sessions.lock().get(&ack.session).cloned();
                        if let Some(session) = session {
                            session.replica.acknowledged(&session, &ack);
                        }
                    }
                }
                ToLeader::Closes(sessions) => {
                    for id in sessions {
                        let session = self.sessions.lock().remove(&id);
                        if let Some(session) = session {
                            session.replica.session_lost(&session);
                        }
                    }
                }
            }
        }
    }

    fn open(self: &Arc<Self>, open: &Open, lookup: &Lookup) {
        let Some(replica) = lookup(open.topic, open.partition) else {
            self.answer(open.session, OpenAnswer::NotLeader);
            return;
        };
        let session = Arc::new(Session {
            id: open.session,
            key: self.context.next_number(),
            lane: self.clone(),
            replica: replica.clone(),
            armed: AtomicBool::new(false),
            queued: AtomicBool::new(false),
        });
        let answer = replica.open_session(open, &session);
        let accepted = answer == OpenAnswer::Accepted;
        if accepted {
            self.sessions.lock().insert(open.session, session.clone());
        }
        self.answer(open.session, answer);
        if accepted {
            session.armed.store(true, Ordering::SeqCst);
            session.wake();
        }
    }

    fn answer(&self, session: u64, answer: OpenAnswer) {
        self.out.lock().answers.push((session, answer));
        self.changed.notify_one();
    }

    async fn write(self: &Arc<Self>, send: &mut dyn FrameSend) -> Result<(), LaneError> {
        let mut positions: BTreeMap<u64, Arc<Session>> = BTreeMap::new();
        let mut positions_due = MonoTime::default();
        let mut last_sent = self.context.now();
        loop {
            let Out { answers, closes, ready, .. } = std::mem::take(&mut *self.out.lock());
            let idle = ready.is_empty();
            let mut sent = !answers.is_empty() || !closes.is_empty();
            for answers in answers.chunks(LIST) {
                send.send(&[ToFollower::Answers(answers.to_vec()).encode()]).await?;
            }
            for closes in closes.chunks(LIST) {
                send.send(&[ToFollower::Closes(closes.to_vec()).encode()]).await?;
            }
            for session in ready {
                session.queued.store(false, Ordering::SeqCst);
                match session.replica.next_frame(&session) {
                    Next::Nothing => {}
                    Next::Append { chunks, more, place } => {
                        positions.remove(&session.key);
                        send.send(&chunks).await?;
                        drop(place);
                        sent = true;
                        if more {
                            session.wake();
                        }
                    }
                    Next::Positions => {
                        if positions.is_empty() {
                            positions_due = self.context.now() + POSITIONS_PAUSE;
                        }
                        positions.insert(session.key, session);
                    }
                    Next::Load => self.load(session),
                    Next::End => self.give_up(&session),
                }
            }
            let now = self.context.now();
            if !positions.is_empty() && now >= positions_due {
                let moved: Vec<(u64, LeaderPositions)> = std::mem::take(&mut positions)
                    .into_values()
                    .filter_map(|session| Some((session.id, session.replica.positions_to_send(&session)?)))
                    .collect();
                sent |= !moved.is_empty();
                for moved in moved.chunks(LIST) {
                    send.send(&[ToFollower::Positions(moved.to_vec()).encode()]).await?;
                }
            }
            if sent {
                last_sent = self.context.now();
            }
            let life_due = last_sent + heartbeat(&self.context);
            if now >= life_due {
                send.send(&[ToFollower::Positions(Vec::new()).encode()]).await?;
                last_sent = now;
            }
            if sent || !idle {
                continue;
            }
            let wake_at = if positions.is_empty() { life_due } else { life_due.min(positions_due) };
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.context.clock.sleep_until(wake_at) => {}
            }
        }
    }

    /// Reads from disk for a follower that is behind, beside the lane's other sessions.
    fn load(&self, session: Arc<Session>) {
        let context = self.context.clone();
        let which = (session.replica.directory(), session.replica.throttles(self.peer));
        let new = || Arc::new(Semaphore::new(LOADED_FRAMES));
        let mut places = self.places.lock().entry(which).or_insert_with(new).clone();
        if planted(Defect::LoadsUnbounded) {
            places = Arc::new(Semaphore::new(1));
        }
        self.context.runtime.spawn(async move {
            // The semaphores are never closed.
            let Ok(place) = places.acquire_owned().await else { return };
            let replica = session.replica.clone();
            let Ok(turn) = replica.catch_up_reads().acquire().await else { return };
            let reader = session.clone();
            let loaded = replica.disk_threads().run(move || reader.replica.load_for(&reader, place)).await;
            drop(turn);
            if loaded == Ok(true) {
                session.wake();
            } else {
                // The follower will ask again for what could not be read now: not at once.
                context.clock.sleep(AFTER_FAILED_READ).await;
                session.replica.session_lost(&session);
                session.end();
            }
        });
    }

    fn give_up(&self, session: &Arc<Session>) {
        session.replica.session_lost(session);
        session.end();
    }
}
