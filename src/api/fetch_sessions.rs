//! Incremental fetch sessions (KIP-227): a client names its partitions once, then only what changes.
//!
//! The cache is bounded in sessions (`max.incremental.fetch.session.cache.slots`) and in partitions over all sessions.
//! When it is full, a session that has rested for two minutes makes room; else the smallest of those that are older than
//! that, for one with more partitions; else the client gets no session and sends full requests. A session is bound to
//! the principal that opened it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;

use crate::env::{MonoTime, Rng};
use crate::security::Principal;
use crate::types::{LeaderEpoch, Offset, TopicId};
use crate::wire::messages::fetch::{FetchRequest, PartitionData};
use crate::wire::{ErrorCode, StrBytes};

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
    /// The epoch of the session's next request; another in between makes the answer void.
    next_epoch: i32,
}

/// All sessions of a broker.
#[derive(Debug)]
pub(super) struct FetchSessions {
    cache: Mutex<Cache>,
}

#[derive(Debug)]
struct Cache {
    max_sessions: usize,
    sessions: HashMap<i32, Session>,
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    principal: Principal,
    /// The epoch that the next request must have.
    epoch: i32,
    by_id: bool,
    created: MonoTime,
    last_used: MonoTime,
    /// In the order of the answers: a partition that gave data goes to the end, so that none starves.
    order: BTreeMap<u64, Cached>,
    places: HashMap<Named, u64>,
    next_place: u64,
}

#[derive(Debug)]
struct Cached {
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
    /// No more than `max_sessions` at once.
    pub fn new(max_sessions: usize) -> FetchSessions {
        let cache = Cache { max_sessions, sessions: HashMap::new(), partitions: 0 };
        FetchSessions { cache: Mutex::new(cache) }
    }

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
        let full = |wanted, session| Plan { wanted, session, incremental: false, next_epoch: 1 };
        if !matches!(request.session_epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            let session = cache.go_on(version, request, principal, now, wanted)?;
            return Ok(match session {
                Going::On { wanted, next_epoch } => {
                    Plan { wanted, session: request.session_id, incremental: true, next_epoch }
                }
                Going::Closed => full(Vec::new(), 0),
            });
        }
        // A full request closes the session that it names.
        if cache.sessions.get(&request.session_id).is_some_and(|session| session.principal == *principal) {
            cache.close(request.session_id);
        }
        let session = match request.session_epoch {
            INITIAL_EPOCH => cache.open(&wanted, by_id, principal, now, rng),
            _ => 0,
        };
        Ok(full(wanted, session))
    }

    /// Notes what an answer says, in the order of the plan; gives back which of its partitions go into it.
    ///
    /// # Errors
    /// The code of the whole answer: the session has gone on while this answer waited.
    pub fn finish(&self, plan: &Plan, answers: &[PartitionData]) -> Result<Vec<bool>, ErrorCode> {
        let mut cache = self.cache.lock();
        // A session that was closed meanwhile says everything.
        let Some(session) = cache.sessions.get_mut(&plan.session) else {
            return Ok(vec![true; answers.len()]);
        };
        if session.epoch != plan.next_epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        let note = |(wanted, answer): (&Wanted, _)| session.note(&wanted.named, answer) || !plan.incremental;
        Ok(plan.wanted.iter().zip(answers).map(note).collect())
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
        if !self.make_room(wanted.len(), now) {
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
            created: now,
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
        if self.max_sessions == 0 || partitions > MAX_PARTITIONS {
            return false;
        }
        while self.sessions.len() >= self.max_sessions || self.partitions + partitions > MAX_PARTITIONS {
            let Some(id) = self.evictable(partitions, now) else { return false };
            self.close(id);
        }
        true
    }

    /// The session that goes for a new one of so many partitions, by Kafka's rules.
    fn evictable(&self, partitions: usize, now: MonoTime) -> Option<i32> {
        let (id, rested) = self.sessions.iter().min_by_key(|(id, session)| (session.last_used, **id))?;
        if now.since(rested.last_used) > MIN_REST {
            return Some(*id);
        }
        let old = self.sessions.iter().filter(|(_, s)| s.last_used.since(s.created) > MIN_REST);
        let (id, smallest) = old.min_by_key(|(id, session)| (session.places.len(), **id))?;
        (partitions > smallest.places.len()).then_some(*id)
    }

    fn close(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.places.len();
        }
    }

    fn go_on(
        &mut self,
        version: i16,
        request: &FetchRequest,
        principal: &Principal,
        now: MonoTime,
        changed: Vec<Wanted>,
    ) -> Result<Going, ErrorCode> {
        let id = request.session_id;
        let session = self
            .sessions
            .get_mut(&id)
            .filter(|session| session.principal == *principal)
            .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != request.session_epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.by_id != (version >= 13) {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        let before = session.places.len();
        changed.into_iter().for_each(|wanted| session.want(wanted));
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                session.forget(&Named {
                    topic: topic.topic.clone(),
                    topic_id: topic.topic_id,
                    partition: *partition,
                });
            }
        }
        let next_epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
        session.epoch = next_epoch;
        session.last_used = now;
        let wanted: Vec<Wanted> = session.order.values().map(|entry| entry.wanted.clone()).collect();
        self.partitions = self.partitions - before + wanted.len();
        if wanted.is_empty() {
            self.close(id);
            return Ok(Going::Closed);
        }
        if self.partitions > MAX_PARTITIONS {
            self.close(id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        Ok(Going::On { wanted, next_epoch })
    }
}

/// What has become of a session.
enum Going {
    On {
        wanted: Vec<Wanted>,
        next_epoch: i32,
    },
    /// Its last partition was forgotten.
    Closed,
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
        self.order.insert(self.next_place, Cached { wanted, told: None });
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
            || answer.preferred_read_replica >= 0
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

/// What a request asks for, each partition once: of several questions about one the last counts.
fn wanted(request: &FetchRequest) -> Vec<Wanted> {
    let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
    let mut all: Vec<Wanted> = Vec::new();
    let mut places = HashMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let named = Named {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partition: partition.partition,
            };
            let wanted = Wanted {
                named: named.clone(),
                offset: Offset(partition.fetch_offset),
                max_bytes: partition.partition_max_bytes,
                leader_epoch: epoch(partition.current_leader_epoch),
                last_fetched_epoch: epoch(partition.last_fetched_epoch),
            };
            match places.entry(named) {
                Entry::Occupied(place) => all[*place.get()] = wanted,
                Entry::Vacant(place) => {
                    place.insert(all.len());
                    all.push(wanted);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::env::{Env, MonoTime};
    use crate::wire::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};

    const MAX_SESSIONS: usize = 100;

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
        let sessions = FetchSessions::new(MAX_SESSIONS);
        let plan = begin(&sessions, &request(0, 0, &[0, 1, 2])).unwrap();
        assert!(plan.session > 0 && !plan.incremental);
        let quiet = [answer(5, b""), answer(5, b""), answer(5, b"")];
        assert_eq!(sessions.finish(&plan, &quiet).unwrap(), [true; 3], "a full answer tells everything");

        let plan = begin(&sessions, &request(plan.session, 1, &[])).unwrap();
        assert_eq!((asked(&plan), plan.incremental), (vec![0, 1, 2], true));
        assert_eq!(sessions.finish(&plan, &quiet).unwrap(), [false; 3]);

        let plan = begin(&sessions, &request(plan.session, 2, &[])).unwrap();
        let some = [answer(5, b"x"), answer(6, b""), answer(5, b"")];
        assert_eq!(sessions.finish(&plan, &some).unwrap(), [true, true, false]);

        let mut next = request(plan.session, 3, &[7]);
        next.forgotten_topics_data =
            vec![ForgottenTopic { topic: "t".into(), topic_id: TopicId::ZERO, partitions: vec![2] }];
        let plan = begin(&sessions, &next).unwrap();
        assert_eq!(asked(&plan), [1, 0, 7], "what gave data waits behind the others");
        assert_eq!(sessions.count(), (1, 3));
    }

    #[test]
    fn an_error_is_told_each_time_and_so_is_its_end() {
        let sessions = FetchSessions::new(MAX_SESSIONS);
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
            assert_eq!(sessions.finish(&plan, &[said]).unwrap(), [told], "epoch {epoch}");
        }
    }

    #[test]
    fn a_request_out_of_place_is_refused_and_leaves_the_session_alone() {
        let sessions = FetchSessions::new(MAX_SESSIONS);
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
        let sessions = FetchSessions::new(MAX_SESSIONS);
        let rng = Env::real().rng;
        let open = |at: MonoTime| {
            let plan = sessions.begin(12, &request(0, 0, &[0]), &Principal::anonymous(), at, rng.as_ref());
            plan.unwrap().session
        };
        for _ in 0..MAX_SESSIONS {
            assert_ne!(open(MonoTime(0)), 0);
        }
        assert_eq!(open(MonoTime(0)), 0, "no room: a full fetch without a session");
        assert_eq!(open(MonoTime(0) + MIN_REST), 0);
        assert_ne!(open(MonoTime(1) + MIN_REST), 0);
        assert_eq!(sessions.count(), (MAX_SESSIONS, MAX_SESSIONS));
    }

    #[test]
    fn among_busy_sessions_the_smallest_old_one_makes_room_for_a_larger_one() {
        let sessions = FetchSessions::new(2);
        let rng = Env::real().rng;
        let call = |request: &FetchRequest, at| {
            sessions.begin(12, request, &Principal::anonymous(), at, rng.as_ref()).unwrap().session
        };
        let large = call(&request(0, 0, &[0, 1, 2]), MonoTime(0));
        let small = call(&request(0, 0, &[0]), MonoTime(0));
        let later = MonoTime(1) + MIN_REST;
        assert_eq!(call(&request(0, 0, &[0, 1]), MonoTime(0)), 0, "nobody is old");
        for id in [large, small] {
            assert_eq!(call(&request(id, 1, &[]), later), id);
        }
        assert_eq!(call(&request(0, 0, &[0]), later), 0, "not for one as small");
        assert_ne!(call(&request(0, 0, &[0, 1]), later), 0);
        assert_eq!(call(&request(large, 2, &[]), later), large);
        assert_eq!(sessions.count(), (2, 5));
    }

    #[test]
    fn a_session_without_partitions_ends_and_an_answer_that_was_overtaken_is_void() {
        let sessions = FetchSessions::new(MAX_SESSIONS);
        let id = begin(&sessions, &request(0, 0, &[0])).unwrap().session;
        let waiting = begin(&sessions, &request(id, 1, &[])).unwrap();
        let next = begin(&sessions, &request(id, 2, &[])).unwrap();
        let overtaken = sessions.finish(&waiting, &[answer(5, b"")]);
        assert_eq!(overtaken, Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH));
        assert_eq!(sessions.finish(&next, &[answer(5, b"")]), Ok(vec![true]));

        let mut last = request(id, 3, &[0, 1]);
        last.forgotten_topics_data =
            vec![ForgottenTopic { topic: "t".into(), topic_id: TopicId::ZERO, partitions: vec![0, 1] }];
        let plan = begin(&sessions, &last).unwrap();
        assert_eq!((plan.session, asked(&plan)), (0, vec![]));
        assert_eq!(sessions.count(), (0, 0));
    }

    #[test]
    fn of_two_questions_about_a_partition_the_last_counts() {
        let mut twice = request(0, 0, &[3, 4, 3]);
        twice.topics[0].partitions[2].fetch_offset = 9;
        let plan = begin(&FetchSessions::new(MAX_SESSIONS), &twice).unwrap();
        let offsets: Vec<_> = plan.wanted.iter().map(|w| (w.named.partition, w.offset.0)).collect();
        assert_eq!(offsets, [(3, 9), (4, 0)]);
    }
}
