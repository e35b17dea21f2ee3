//! Incremental fetch sessions (KIP-227): a client names its partitions once, then only what changes.
//!
//! The cache is bounded in sessions and in partitions over all sessions. When it is full the session that has rested
//! longest makes room if it has rested long enough; else the client gets no session and sends full requests. A session
//! is bound to the principal that opened it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;

use crate::env::{MonoTime, Rng};
use crate::security::Principal;
use crate::types::{LeaderEpoch, Offset, TopicId};
use crate::wire::messages::fetch::{FetchRequest, PartitionData};
use crate::wire::{ErrorCode, StrBytes};

/// `max.incremental.fetch.session.cache.slots`, Kafka's default.
const MAX_SESSIONS: usize = 1_000;
/// Partitions over all sessions.
const MAX_PARTITIONS: usize = 500_000;
/// Kafka's `min.incremental.fetch.session.eviction.ms`.
const MIN_REST: Duration = Duration::from_secs(120);

const FINAL_EPOCH: i32 = -1;
const INITIAL_EPOCH: i32 = 0;

/// A partition as clients name it: by the topic's name up to version 12, by its id from then on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Named {
    pub topic: StrBytes,
    pub topic_id: TopicId,
    pub partition: i32,
}

/// What is asked of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub named: Named,
    pub offset: Offset,
    pub max_bytes: i32,
    pub leader_epoch: Option<LeaderEpoch>,
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// How a request is to be answered.
#[derive(Debug)]
pub(super) struct Plan {
    /// The partitions, in the order of the answer.
    pub wanted: Vec<Wanted>,
    /// The session's id; 0 without one.
    pub session: i32,
    /// Only what has changed goes into the answer.
    pub incremental: bool,
}

/// All sessions of a broker.
#[derive(Debug, Default)]
pub(super) struct FetchSessions {
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    sessions: HashMap<i32, Session>,
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    principal: Principal,
    /// The epoch that the next request must have.
    epoch: i32,
    by_id: bool,
    last_used: MonoTime,
    /// In the order of the answers: a partition that gave data goes to the end, so that none starves.
    order: BTreeMap<u64, Entry>,
    places: HashMap<Named, u64>,
    next_place: u64,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    told: Option<Told>,
}

/// What the client knows of a partition from the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    last_stable: i64,
    log_start: i64,
}

impl FetchSessions {
    /// Applies a request to its session.
    ///
    /// # Errors
    /// The code of the whole answer: the session is not known, or the request is not its next one.
    pub fn begin(
        &self,
        version: i16,
        request: &FetchRequest,
        principal: &Principal,
        now: MonoTime,
        rng: &dyn Rng,
    ) -> Result<Plan, ErrorCode> {
        let by_id = version >= 13;
        let wanted = wanted(request);
        let mut cache = self.cache.lock();
        match (request.session_id, request.session_epoch) {
            (0, INITIAL_EPOCH) => {
                let session = cache.open(&wanted, by_id, principal, now, rng);
                Ok(Plan { wanted, session, incremental: false })
            }
            (0, FINAL_EPOCH) => Ok(Plan { wanted, session: 0, incremental: false }),
            (id, INITIAL_EPOCH | FINAL_EPOCH) => {
                if cache.sessions.get(&id).is_some_and(|session| session.principal == *principal) {
                    cache.close(id);
                }
                let session = if request.session_epoch == INITIAL_EPOCH {
                    cache.open(&wanted, by_id, principal, now, rng)
                } else {
                    0
                };
                Ok(Plan { wanted, session, incremental: false })
            }
            (id, epoch) => {
                let wanted = cache.go_on(id, epoch, by_id, principal, now, wanted, request)?;
                Ok(Plan { wanted, session: id, incremental: true })
            }
        }
    }

    /// Notes what an answer says, in the order of the plan; gives back which of its partitions go into it.
    pub fn finish(&self, plan: &Plan, answers: &[PartitionData]) -> Vec<bool> {
        let mut cache = self.cache.lock();
        // A session that was closed meanwhile says everything.
        let Some(session) = cache.sessions.get_mut(&plan.session) else { return vec![true; answers.len()] };
        plan.wanted
            .iter()
            .zip(answers)
            .map(|(wanted, answer)| session.note(&wanted.named, answer) || !plan.incremental)
            .collect()
    }

    #[cfg(test)]
    fn count(&self) -> (usize, usize) {
        let cache = self.cache.lock();
        (cache.sessions.len(), cache.partitions)
    }
}

impl Cache {
    /// A new session's id, or 0 when there is no room.
    fn open(
        &mut self,
        wanted: &[Wanted],
        by_id: bool,
        principal: &Principal,
        now: MonoTime,
        rng: &dyn Rng,
    ) -> i32 {
        // A session without partitions saves nothing.
        if wanted.is_empty() || !self.make_room(wanted.len(), now) {
            return 0;
        }
        let id = loop {
            // Positive, as Kafka's are.
            let id = (rng.next_u64() & 0x7fff_ffff) as i32;
            if id != 0 && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            principal: principal.clone(),
            epoch: 1,
            by_id,
            last_used: now,
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        wanted.iter().for_each(|wanted| session.want(wanted.clone()));
        self.partitions += session.places.len();
        self.sessions.insert(id, session);
        id
    }

    fn make_room(&mut self, partitions: usize, now: MonoTime) -> bool {
        while self.sessions.len() >= MAX_SESSIONS || self.partitions + partitions > MAX_PARTITIONS {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.last_used);
            match oldest {
                Some((id, session)) if now.since(session.last_used) >= MIN_REST => {
                    let id = *id;
                    self.close(id);
                }
                _ => return false,
            }
        }
        true
    }

    fn close(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.places.len();
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn go_on(
        &mut self,
        id: i32,
        epoch: i32,
        by_id: bool,
        principal: &Principal,
        now: MonoTime,
        changed: Vec<Wanted>,
        request: &FetchRequest,
    ) -> Result<Vec<Wanted>, ErrorCode> {
        let session = self
            .sessions
            .get_mut(&id)
            .filter(|session| session.principal == *principal)
            .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.by_id != by_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        if session.epoch != epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        let before = session.places.len();
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                session.forget(&Named {
                    topic: topic.topic.clone(),
                    topic_id: topic.topic_id,
                    partition: *partition,
                });
            }
        }
        changed.into_iter().for_each(|wanted| session.want(wanted));
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.last_used = now;
        let wanted: Vec<Wanted> = session.order.values().map(|entry| entry.wanted.clone()).collect();
        self.partitions = self.partitions - before + wanted.len();
        if self.partitions > MAX_PARTITIONS {
            self.close(id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        Ok(wanted)
    }
}

impl Session {
    /// Adds a partition, or changes what is asked of it in its place.
    fn want(&mut self, mut wanted: Wanted) {
        if let Some(entry) = self.places.get(&wanted.named).and_then(|place| self.order.get_mut(place)) {
            entry.wanted = wanted;
            return;
        }
        // The session outlives the request, whose frame must not be held by a name.
        wanted.named.topic = wanted.named.topic.detached();
        self.places.insert(wanted.named.clone(), self.next_place);
        self.order.insert(self.next_place, Entry { wanted, told: None });
        self.next_place += 1;
    }

    fn forget(&mut self, named: &Named) {
        if let Some(place) = self.places.remove(named) {
            self.order.remove(&place);
        }
    }

    /// Whether the answer says anything new.
    fn note(&mut self, named: &Named, answer: &PartitionData) -> bool {
        let Some(place) = self.places.get_mut(named) else { return true };
        let has_records = answer.records.as_ref().is_some_and(|records| !records.is_empty());
        let Some(mut entry) = self.order.remove(place) else { return true };
        let told = Told {
            high_watermark: answer.high_watermark,
            last_stable: answer.last_stable_offset,
            log_start: answer.log_start_offset,
        };
        let failed = !answer.error_code.is_none();
        let news = has_records
            || failed
            || answer.diverging_epoch.epoch >= 0
            || entry.told.is_some_and(|before| before != told)
            || entry.told.is_none();
        // After an error the client hears again of the partition as soon as it is well.
        entry.told = if failed { None } else { Some(told) };
        if has_records {
            *place = self.next_place;
            self.next_place += 1;
        }
        self.order.insert(*place, entry);
        news
    }
}

fn wanted(request: &FetchRequest) -> Vec<Wanted> {
    let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
    request
        .topics
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(move |partition| Wanted {
                named: Named {
                    topic: topic.topic.clone(),
                    topic_id: topic.topic_id,
                    partition: partition.partition,
                },
                offset: Offset(partition.fetch_offset),
                max_bytes: partition.partition_max_bytes,
                leader_epoch: epoch(partition.current_leader_epoch),
                last_fetched_epoch: epoch(partition.last_fetched_epoch),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::env::{Env, MonoTime};
    use crate::wire::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};

    fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partitions = partitions
            .iter()
            .map(|partition| FetchPartition { partition: *partition, ..FetchPartition::default() })
            .collect::<Vec<_>>();
        let topics = if partitions.is_empty() {
            Vec::new()
        } else {
            vec![FetchTopic { topic: "t".into(), topic_id: TopicId::ZERO, partitions }]
        };
        FetchRequest { session_id, session_epoch, topics, ..FetchRequest::default() }
    }

    fn answer(high_watermark: i64, records: &'static [u8]) -> PartitionData {
        PartitionData {
            high_watermark,
            records: Some(Bytes::from_static(records).into()),
            ..PartitionData::default()
        }
    }

    fn begin(sessions: &FetchSessions, request: &FetchRequest) -> Result<Plan, ErrorCode> {
        sessions.begin(12, request, &Principal::anonymous(), MonoTime(0), Env::real().rng.as_ref())
    }

    fn asked(plan: &Plan) -> Vec<i32> {
        plan.wanted.iter().map(|wanted| wanted.named.partition).collect()
    }

    #[test]
    fn a_session_remembers_its_partitions_and_tells_only_what_is_new() {
        let sessions = FetchSessions::default();
        let plan = begin(&sessions, &request(0, 0, &[0, 1, 2])).unwrap();
        assert!(plan.session > 0 && !plan.incremental);
        let quiet = [answer(5, b""), answer(5, b""), answer(5, b"")];
        assert_eq!(sessions.finish(&plan, &quiet), [true; 3], "a full answer tells everything");

        let plan = begin(&sessions, &request(plan.session, 1, &[])).unwrap();
        assert_eq!((asked(&plan), plan.incremental), (vec![0, 1, 2], true));
        assert_eq!(sessions.finish(&plan, &quiet), [false; 3]);

        let plan = begin(&sessions, &request(plan.session, 2, &[])).unwrap();
        let some = [answer(5, b"x"), answer(6, b""), answer(5, b"")];
        assert_eq!(sessions.finish(&plan, &some), [true, true, false]);

        let mut next = request(plan.session, 3, &[7]);
        next.forgotten_topics_data =
            vec![ForgottenTopic { topic: "t".into(), topic_id: TopicId::ZERO, partitions: vec![2] }];
        let plan = begin(&sessions, &next).unwrap();
        assert_eq!(asked(&plan), [1, 0, 7], "what gave data waits behind the others");
        assert_eq!(sessions.count(), (1, 3));
    }

    #[test]
    fn an_error_is_told_each_time_and_so_is_its_end() {
        let sessions = FetchSessions::default();
        let id = begin(&sessions, &request(0, 0, &[0])).unwrap().session;
        let failed = PartitionData { error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER, ..answer(-1, b"") };
        for (epoch, said, told) in [
            (1, answer(5, b""), true),
            (2, failed.clone(), true),
            (3, failed, true),
            (4, answer(5, b""), true),
            (5, answer(5, b""), false),
        ] {
            let plan = begin(&sessions, &request(id, epoch, &[])).unwrap();
            assert_eq!(sessions.finish(&plan, &[said]), [told], "epoch {epoch}");
        }
    }

    #[test]
    fn a_request_out_of_place_is_refused_and_leaves_the_session_alone() {
        let sessions = FetchSessions::default();
        let id = begin(&sessions, &request(0, 0, &[0])).unwrap().session;
        let refusal = |request: &FetchRequest| begin(&sessions, request).unwrap_err();
        assert_eq!(refusal(&request(id, 2, &[])), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        assert_eq!(refusal(&request(id.wrapping_add(1), 1, &[])), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        assert_eq!(refusal(&request(0, 1, &[])), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        let other = Principal::user("mallory");
        let rng = Env::real().rng;
        let stolen = sessions.begin(12, &request(id, 1, &[]), &other, MonoTime(0), rng.as_ref());
        assert_eq!(stolen.unwrap_err(), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        let changed =
            sessions.begin(13, &request(id, 1, &[]), &Principal::anonymous(), MonoTime(0), rng.as_ref());
        assert_eq!(changed.unwrap_err(), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        assert!(begin(&sessions, &request(id, 1, &[])).is_ok());
        assert_eq!(begin(&sessions, &request(id, -1, &[0])).unwrap().session, 0);
        assert_eq!(sessions.count(), (0, 0), "the final epoch closes the session");
    }

    #[test]
    fn a_flood_of_sessions_is_bounded_and_old_ones_make_room() {
        let sessions = FetchSessions::default();
        let rng = Env::real().rng;
        let open = |at: MonoTime| {
            let plan = sessions.begin(12, &request(0, 0, &[0]), &Principal::anonymous(), at, rng.as_ref());
            plan.unwrap().session
        };
        for _ in 0..MAX_SESSIONS {
            assert_ne!(open(MonoTime(0)), 0);
        }
        assert_eq!(open(MonoTime(0)), 0, "no room: a full fetch without a session");
        assert_ne!(open(MonoTime(0) + MIN_REST), 0);
        assert_eq!(sessions.count(), (MAX_SESSIONS, MAX_SESSIONS));
    }
}
