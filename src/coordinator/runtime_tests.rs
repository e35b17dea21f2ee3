//! The runtime over a log in memory whose appends can be held, refused and lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::group::{
    CommitOffset, CommitOffsets, DescribeGroup, FetchOffsets, GroupError, JoinGroup, ListGroups, Membership,
    SyncGroup,
};
use super::{CoordinatorError, Coordinators, GroupConfig, Leadership, PartitionLog, PartitionLogError};
use crate::env::Env;
use crate::types::{LeaderEpoch, Offset, TopicId, TopicName};
use crate::wire::record_batch::{BatchHeader, BatchIter, HEADER_BYTES};

/// What an append does instead of its work.
enum Fault {
    /// Nothing is written.
    Refuse(PartitionLogError),
    /// It is written, and committed, but the writer is not told.
    WriteAndFail(PartitionLogError),
}

struct MemoryLog {
    batches: Mutex<Vec<(Offset, Bytes)>>,
    faults: Mutex<VecDeque<Fault>>,
    appends: AtomicUsize,
    leads: AtomicBool,
    /// Appends wait while it is false.
    open: watch::Sender<bool>,
    /// Reads wait while it is false.
    readable: watch::Sender<bool>,
    /// The high watermark stays behind while it is false.
    committing: watch::Sender<bool>,
}

impl MemoryLog {
    fn new() -> Arc<MemoryLog> {
        Arc::new(MemoryLog {
            batches: Mutex::default(),
            faults: Mutex::default(),
            appends: AtomicUsize::new(0),
            leads: AtomicBool::new(true),
            open: watch::Sender::new(true),
            readable: watch::Sender::new(true),
            committing: watch::Sender::new(true),
        })
    }

    fn fail(&self, fault: Fault) {
        self.faults.lock().push_back(fault);
    }

    fn write(&self, batch: &Bytes) -> Offset {
        let mut batches = self.batches.lock();
        let base = batches.last().map_or(Offset::ZERO, |(end, _)| *end);
        let mut header = BatchHeader::parse(batch).unwrap();
        header.base_offset = base;
        let mut placed = BytesMut::new();
        header.write(&mut placed);
        placed.extend_from_slice(&batch[HEADER_BYTES..]);
        batches.push((header.end_offset(), placed.freeze()));
        header.end_offset()
    }
}

async fn opened(gate: &watch::Sender<bool>) {
    gate.subscribe().wait_for(|open| *open).await.unwrap();
}

/// A shared log, as one leader sees it.
struct Led(Arc<MemoryLog>);

impl PartitionLog for Led {
    fn clock_is_right(&self) -> bool {
        true
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<Offset, PartitionLogError>> {
        let log = self.0.clone();
        Box::pin(async move {
            log.appends.fetch_add(1, Ordering::Relaxed);
            opened(&log.open).await;
            let fault = log.faults.lock().pop_front();
            match fault {
                Some(Fault::Refuse(why)) => Err(why),
                Some(Fault::WriteAndFail(why)) => {
                    log.write(&batch);
                    Err(why)
                }
                None => Ok(log.write(&batch)),
            }
        })
    }

    fn read(&self, from: Offset, max_bytes: usize) -> BoxFuture<'static, Result<Bytes, PartitionLogError>> {
        let log = self.0.clone();
        Box::pin(async move {
            opened(&log.readable).await;
            let mut out = BytesMut::new();
            for (_, batch) in log.batches.lock().iter().filter(|(end, _)| *end > from) {
                if !out.is_empty() && out.len() + batch.len() > max_bytes {
                    break;
                }
                out.extend_from_slice(batch);
            }
            Ok(out.freeze())
        })
    }

    fn committed(&self, _end: Offset) -> BoxFuture<'static, Result<(), PartitionLogError>> {
        let log = self.0.clone();
        Box::pin(async move {
            opened(&log.committing).await;
            Ok(())
        })
    }

    fn start(&self) -> Offset {
        Offset::ZERO
    }

    fn end(&self) -> Offset {
        self.0.batches.lock().last().map_or(Offset::ZERO, |(end, _)| *end)
    }

    fn high_watermark(&self) -> Offset {
        self.end()
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(1)
    }

    fn leads(&self) -> bool {
        self.0.leads.load(Ordering::Relaxed)
    }
}

fn coordinators() -> Coordinators {
    let config = GroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        load_buffer_bytes: 1_000,
        commit_timeout: Duration::from_millis(300),
        ..GroupConfig::default()
    };
    Coordinators::new(Env::real(), config)
}

fn lead(coordinators: &Coordinators, log: &Arc<MemoryLog>) {
    coordinators.on_leader(0, Arc::new(Led(log.clone())), LeaderEpoch(1));
}

fn simple(group: &str) -> Membership {
    Membership { group: group.into(), member_id: String::new(), instance_id: None, generation: -1 }
}

async fn commit(coordinators: &Coordinators, group: &str, offset: i64) -> Result<(), CoordinatorError> {
    let offsets = vec![CommitOffset {
        topic: TopicName::new("t").unwrap(),
        topic_id: TopicId::ZERO,
        partition: 0,
        offset: Offset(offset),
        leader_epoch: LeaderEpoch::NONE,
        metadata: String::new(),
    }];
    let question = CommitOffsets { member: simple(group), retention_ms: None, knows_epochs: true, offsets };
    coordinators.ask(0, question).await.map(|_| ())
}

async fn committed(coordinators: &Coordinators, group: &str) -> Result<Option<i64>, CoordinatorError> {
    let partitions = Some(vec![(TopicName::new("t").unwrap(), TopicId::ZERO, 0)]);
    let fetched = coordinators
        .ask(0, FetchOffsets { group: group.into(), partitions, member: (None, -1), require_stable: false })
        .await?;
    Ok(fetched[0].committed.as_ref().map(|c| c.offset.0))
}

/// Asks as clients do: until the shard is loaded.
async fn read_when_loaded(coordinators: &Coordinators, group: &str) -> Option<i64> {
    loop {
        match committed(coordinators, group).await {
            Err(CoordinatorError::Loading) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
}

async fn pause() {
    Env::real().clock.sleep(Duration::from_millis(30)).await;
}

#[test]
fn a_group_lives_where_kafka_would_look_for_it() {
    // String.hashCode of Java, and Math.abs that gives 0 for the smallest number.
    assert_eq!(Coordinators::partition_for("a", 50), 97 % 50);
    assert_eq!(Coordinators::partition_for("ab", 50), (97 * 31 + 98) % 50);
    assert_eq!(Coordinators::partition_for("polygenelubricants", 50), 0);
    assert_eq!(Coordinators::partition_for("console-consumer-12345", 50), 6);
    assert_eq!(Coordinators::partition_for("\u{1d11e}", 50), (0xd834 * 31 + 0xdd1e) % 50);
}

#[tokio::test]
async fn who_does_not_lead_does_not_answer() {
    let coordinators = coordinators();
    assert_eq!(commit(&coordinators, "g", 1).await, Err(CoordinatorError::NotCoordinator));
    let log = MemoryLog::new();
    lead(&coordinators, &log);
    assert_eq!(read_when_loaded(&coordinators, "g").await, None);
    log.leads.store(false, Ordering::Relaxed);
    assert_eq!(committed(&coordinators, "g").await, Err(CoordinatorError::NotCoordinator), "no lease");
}

#[tokio::test]
async fn until_it_is_loaded_a_group_is_loading_and_never_without_offsets() {
    let first = coordinators();
    let log = MemoryLog::new();
    lead(&first, &log);
    read_when_loaded(&first, "g").await;
    for offset in 0..200 {
        commit(&first, &format!("g{}", offset % 20), offset).await.unwrap();
    }
    first.on_resign(0);
    assert_eq!(committed(&first, "g0").await, Err(CoordinatorError::NotCoordinator));

    let second = coordinators();
    log.readable.send_replace(false);
    log.committing.send_replace(false);
    lead(&second, &log);
    pause().await;
    assert_eq!(committed(&second, "g0").await, Err(CoordinatorError::Loading));
    assert_eq!(second.list(&ListGroups::default()).await, Err(CoordinatorError::Loading));
    log.readable.send_replace(true);
    pause().await;
    assert_eq!(committed(&second, "g0").await, Err(CoordinatorError::Loading), "not committed yet");
    log.committing.send_replace(true);
    assert_eq!(read_when_loaded(&second, "g19").await, Some(199));
    assert_eq!(second.list(&ListGroups::default()).await.unwrap().len(), 20);
}

/// What the metadata says, set by the test.
struct Given(Mutex<Option<LeaderEpoch>>);

impl Leadership for Given {
    fn epoch(&self, _: i32) -> Option<LeaderEpoch> {
        *self.0.lock()
    }
    fn partitions(&self) -> Vec<i32> {
        self.0.lock().iter().map(|_| 0).collect()
    }
}

#[tokio::test]
async fn a_partition_that_is_given_and_has_not_begun_is_waited_for() {
    let coordinators = coordinators();
    let given = Arc::new(Given(Mutex::new(Some(LeaderEpoch(1)))));
    coordinators.follow(given.clone());
    assert_eq!(committed(&coordinators, "g").await, Err(CoordinatorError::Loading));
    assert_eq!(coordinators.list(&ListGroups::default()).await, Err(CoordinatorError::Loading), "no hole");

    let log = MemoryLog::new();
    let asked = committed(&coordinators, "g");
    let begins = async {
        pause().await;
        lead(&coordinators, &log);
    };
    assert_eq!(tokio::join!(asked, begins).0, Ok(None), "answered as soon as it has begun");

    // The shard of an older epoch does not answer for the newer one.
    *given.0.lock() = Some(LeaderEpoch(2));
    assert_eq!(committed(&coordinators, "g").await, Err(CoordinatorError::Loading));
    *given.0.lock() = None;
    assert_eq!(commit(&coordinators, "g", 1).await, Ok(()), "the shard itself sees to its lease");
    coordinators.on_resign(0);
    assert_eq!(committed(&coordinators, "g").await, Err(CoordinatorError::NotCoordinator));
}

/// Kafka 4.3.1 wrote these files while librdkafka's consumers ran; a broker takes them over.
#[tokio::test]
async fn a_log_that_kafka_wrote_is_understood() {
    let static_members: &[u8] = include_bytes!("testdata/kafka-4.3.1-static-members.log");
    let offsets: &[u8] = include_bytes!("testdata/kafka-4.3.1-offsets.log");
    let take_over = |file: &'static [u8], batches: usize| {
        let log = MemoryLog::new();
        let read = BatchIter::new(Bytes::from_static(file)).take(batches).map(Result::unwrap);
        log.batches.lock().extend(read.map(|b| (b.header.end_offset(), b.bytes)));
        let coordinators = coordinators();
        lead(&coordinators, &log);
        coordinators
    };
    let describe = |group: &'static str| DescribeGroup(group.into());

    let coordinators = take_over(static_members, 3);
    read_when_loaded(&coordinators, "-").await;
    let group = coordinators.ask(0, describe("static-b60d5c")).await.unwrap();
    assert_eq!((group.state, group.protocol.as_str()), ("Stable", "range"));
    let instances: Vec<_> = group.members.iter().map(|m| m.instance_id.as_deref().unwrap()).collect();
    assert_eq!(instances, ["one", "two"]);
    assert!(group.members.iter().all(|m| !m.assignment.is_empty() && m.client_host == "/127.0.0.1"));
    let beat = Membership {
        group: "static-b60d5c".into(),
        member_id: group.members[0].member_id.clone(),
        instance_id: Some("one".into()),
        generation: 1,
    };
    assert_eq!(coordinators.ask(0, beat).await, Ok(()), "its members go on");

    let coordinators = take_over(static_members, 5);
    read_when_loaded(&coordinators, "-").await;
    assert_eq!(coordinators.ask(0, describe("static-b60d5c")).await.unwrap().state, "Empty");

    let coordinators = take_over(offsets, 5);
    read_when_loaded(&coordinators, "-").await;
    let all = FetchOffsets {
        group: "range-5ac534".into(),
        partitions: None,
        member: (None, -1),
        require_stable: false,
    };
    let fetched = coordinators.ask(0, all).await.unwrap();
    assert_eq!(fetched.len(), 6);
    assert!(fetched.iter().all(|f| f.committed.as_ref().is_some_and(|c| c.offset == Offset(100))));
    assert!(fetched[0].committed.as_ref().unwrap().metadata.starts_with("meta ü 0"));

    let coordinators = take_over(offsets, usize::MAX);
    read_when_loaded(&coordinators, "-").await;
    let gone = coordinators.ask(0, describe("range-5ac534")).await;
    assert_eq!(gone.unwrap_err(), GroupError::GroupNotFound.into(), "its tombstones count");
}

#[tokio::test]
async fn an_answer_waits_for_the_commit_and_so_does_a_read_after_it() {
    let coordinators = coordinators();
    let log = MemoryLog::new();
    lead(&coordinators, &log);
    read_when_loaded(&coordinators, "g").await;
    log.open.send_replace(false);
    let writing = tokio::spawn({
        let coordinators = coordinators.clone();
        async move { commit(&coordinators, "g", 7).await }
    });
    pause().await;
    let reading = tokio::spawn({
        let coordinators = coordinators.clone();
        async move { committed(&coordinators, "g").await }
    });
    pause().await;
    assert!(!writing.is_finished() && !reading.is_finished());
    assert_eq!(committed(&coordinators, "another").await, Ok(None), "others are not held up");
    log.open.send_replace(true);
    assert_eq!(writing.await.unwrap(), Ok(()));
    assert_eq!(reading.await.unwrap(), Ok(Some(7)));
}

#[tokio::test]
async fn commits_that_queue_go_into_one_append() {
    let coordinators = coordinators();
    let log = MemoryLog::new();
    lead(&coordinators, &log);
    read_when_loaded(&coordinators, "g").await;
    log.open.send_replace(false);
    let groups: Vec<String> = (0..500).map(|i| format!("g{i}")).collect();
    let all = tokio::spawn({
        let coordinators = coordinators.clone();
        async move { join_all(groups.iter().map(|g| commit(&coordinators, g, 1))).await }
    });
    pause().await;
    log.open.send_replace(true);
    assert!(all.await.unwrap().iter().all(Result::is_ok));
    assert!(log.appends.load(Ordering::Relaxed) <= 4, "{} appends", log.appends.load(Ordering::Relaxed));
    assert_eq!(log.end(), Offset(500));
}

impl MemoryLog {
    fn end(&self) -> Offset {
        self.batches.lock().last().map_or(Offset::ZERO, |(end, _)| *end)
    }
}

#[tokio::test]
async fn what_was_decided_but_not_written_does_not_hold() {
    let coordinators = coordinators();
    let log = MemoryLog::new();
    lead(&coordinators, &log);
    read_when_loaded(&coordinators, "g").await;
    commit(&coordinators, "g", 1).await.unwrap();
    log.fail(Fault::Refuse(PartitionLogError::TooLarge));
    assert_eq!(commit(&coordinators, "g", 2).await, Err(CoordinatorError::NotAvailable));
    assert_eq!(read_when_loaded(&coordinators, "g").await, Some(1));
    log.fail(Fault::WriteAndFail(PartitionLogError::NotCommitted));
    assert_eq!(commit(&coordinators, "g", 3).await, Err(CoordinatorError::NotAvailable));
    assert_eq!(read_when_loaded(&coordinators, "g").await, Some(3), "the log knows");
}

#[tokio::test]
async fn a_write_is_tried_again_while_replicas_are_missing_but_not_for_ever() {
    let coordinators = coordinators();
    let log = MemoryLog::new();
    lead(&coordinators, &log);
    read_when_loaded(&coordinators, "g").await;
    log.fail(Fault::Refuse(PartitionLogError::NotEnoughReplicas));
    log.fail(Fault::Refuse(PartitionLogError::NotEnoughReplicas));
    assert_eq!(commit(&coordinators, "g", 1).await, Ok(()));
    for _ in 0..20 {
        log.fail(Fault::Refuse(PartitionLogError::NotEnoughReplicas));
    }
    assert_eq!(commit(&coordinators, "g", 2).await, Err(CoordinatorError::NotAvailable));
    log.faults.lock().clear();
    assert_eq!(read_when_loaded(&coordinators, "g").await, Some(1));
}

#[tokio::test]
async fn whoever_waits_at_a_broker_that_resigns_is_told_so_and_goes_on_at_the_next() {
    let first = coordinators();
    let log = MemoryLog::new();
    lead(&first, &log);
    read_when_loaded(&first, "g").await;
    let join = |member_id: &str| JoinGroup {
        group: "g".into(),
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::new())],
        id_before_join: true,
        can_skip_assignment: true,
        reason: None,
        fresh_id: uuid::Uuid::nil(),
        catalog: Arc::default(),
    };
    let given = first.ask(0, join("")).await.unwrap_err();
    let CoordinatorError::Group(GroupError::MemberIdRequired(id)) = given else { panic!("{given}") };
    let joined = first.ask(0, join(&id)).await.unwrap();
    let member = Membership {
        group: "g".into(),
        member_id: id.clone(),
        instance_id: None,
        generation: joined.generation,
    };
    let sync = SyncGroup {
        member: member.clone(),
        protocol_type: None,
        protocol: None,
        assignments: vec![(id.clone(), Bytes::from_static(b"mine"))],
        catalog: Arc::default(),
    };
    assert_eq!(&first.ask(0, sync.clone()).await.unwrap().assignment[..], b"mine");

    let newcomer = tokio::spawn({
        let first = first.clone();
        let join = JoinGroup { id_before_join: false, ..join("") };
        async move { first.ask(0, join).await }
    });
    pause().await;
    first.on_resign(0);
    assert_eq!(newcomer.await.unwrap(), Err(CoordinatorError::NotCoordinator));

    let second = coordinators();
    lead(&second, &log);
    read_when_loaded(&second, "g").await;
    assert_eq!(second.ask(0, member).await, Ok(()), "the member stays in its generation");
    assert_eq!(&second.ask(0, sync).await.unwrap().assignment[..], b"mine");
    second.shutdown().await;
}
