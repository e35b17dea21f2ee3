//! Offsets in transactions: one by one, and under random events against a plain reading of the log.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::bench::*;
use super::*;
use crate::coordinator::compacted::Cleaning;
use crate::coordinator::{Marker, Producer};
use crate::types::{Decision, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId};

fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

impl Bench {
    fn begin(&mut self, producer: Producer) -> TxnBegun {
        let id = self.ask(Request::BeginTxn(BeginTxnCommit(producer)));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::BeginTxn(Ok(begun))) => begun,
            other => panic!("{other:?}"),
        }
    }

    fn txn_commit_at(
        &mut self,
        guard: u64,
        producer: Producer,
        member: Membership,
        partition: i32,
        offset: i64,
    ) -> Result<(), GroupError> {
        let offsets = vec![CommitOffset {
            topic: topic(),
            topic_id: TopicId::ZERO,
            partition,
            offset: Offset(offset),
            leader_epoch: LeaderEpoch::NONE,
            metadata: String::new(),
        }];
        let id = self.ask(Request::TxnCommit(TxnCommitOffsets { member, producer, guard, offsets }));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::TxnCommit(result)) => result?.remove(0),
            other => panic!("{other:?}"),
        }
    }

    fn txn_commit(&mut self, producer: Producer, partition: i32, offset: i64) -> Result<(), GroupError> {
        let guard = self.begin(producer).guard;
        self.txn_commit_at(guard, producer, simple(), partition, offset)
    }

    fn complete(
        &mut self,
        producer: Producer,
        commit: bool,
        coordinator_epoch: i32,
    ) -> Result<(), GroupError> {
        let marker = Marker { producer, commit, coordinator_epoch };
        let id = self.ask(Request::Complete(CompleteTransaction { marker, decision: None }));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Complete(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    /// An abort of coordinator epoch 1, asked of a leader epoch so much above the shard's.
    fn decide(&mut self, producer: Producer, later: i32, number: u64) -> Result<(), GroupError> {
        let marker = Marker { producer, commit: false, coordinator_epoch: 1 };
        let decision = Some(Decision { leader_epoch: LeaderEpoch(LeaderEpoch::NONE.0 + later), number });
        let id = self.ask(Request::Complete(CompleteTransaction { marker, decision }));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Complete(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    fn is_unstable(&mut self, partition: i32) -> bool {
        let partitions = Some(vec![(topic(), TopicId::ZERO, partition)]);
        let fetch =
            FetchOffsets { group: GROUP.into(), partitions, member: (None, -1), require_stable: true };
        let id = self.ask(Request::Fetch(fetch));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::Fetch(Ok(fetched))) => fetched[0].unstable,
            other => panic!("{other:?}"),
        }
    }

    fn offset(&mut self, partition: i32) -> Option<i64> {
        self.committed(partition).map(|c| c.offset.0)
    }

    fn delete_offset(&mut self, partition: i32) -> Result<(), GroupError> {
        let partitions = vec![(topic(), partition)];
        let id = self.ask(Request::DeleteOffsets(DeleteOffsets { group: GROUP.into(), partitions }));
        match self.answer(id).map(|a| a.reply) {
            Some(Reply::DeleteOffsets(result)) => result?.remove(0),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_offset_in_a_transaction_holds_once_that_is_committed_and_is_unstable_before() {
    let mut bench = Bench::new(config());
    let p = producer(1, 0);
    bench.txn_commit(p, 0, 5).unwrap();
    assert_eq!((bench.offset(0), bench.is_unstable(0), bench.is_unstable(1)), (None, true, false));
    bench.complete(p, true, 1).unwrap();
    assert_eq!((bench.offset(0), bench.is_unstable(0)), (Some(5), false));
    bench.txn_commit(p, 0, 9).unwrap();
    bench.complete(p, false, 1).unwrap();
    assert_eq!((bench.offset(0), bench.is_unstable(0)), (Some(5), false));
}

#[test]
fn a_decision_that_comes_again_or_of_another_leader_epoch_does_not_end_the_next_transaction() {
    let mut bench = Bench::new(config());
    let p = producer(1, 0);
    bench.txn_commit(p, 0, 5).unwrap();
    bench.decide(p, 0, 3).unwrap();
    bench.txn_commit(p, 0, 9).unwrap();
    bench.decide(p, 0, 3).unwrap();
    bench.decide(p, 0, 2).unwrap();
    assert_eq!(bench.decide(p, 1, 4), Err(GroupError::MarkerOfOtherEpoch));
    // An administrator's marker has no number, and takes none away.
    bench.complete(producer(2, 0), false, 1).unwrap();
    assert!(bench.is_unstable(0), "still open");
    bench.decide(p, 0, 4).unwrap();
    assert!(!bench.is_unstable(0));
}

#[test]
fn a_shard_that_is_loaded_anew_knows_which_decisions_it_has_carried_out() {
    let mut bench = Bench::new(config());
    let (p, q) = (producer(1, 0), producer(2, 0));
    bench.txn_commit(p, 0, 5).unwrap();
    bench.txn_commit(q, 1, 5).unwrap();
    bench.decide(p, 0, 3).unwrap();
    let committed = bench.log.len();
    bench.decide(q, 0, 4).unwrap();
    let mut bench = bench.loaded_anew(committed);
    assert!(bench.is_unstable(1), "the decision about it did not get into the log");
    bench.decide(q, 0, 4).unwrap();
    assert!(!bench.is_unstable(1));
    bench.txn_commit(p, 0, 9).unwrap();
    bench.decide(p, 0, 3).unwrap();
    assert!(bench.is_unstable(0), "the late one has ended nothing");
}

#[test]
fn a_failover_keeps_what_is_pending() {
    let mut bench = Bench::new(config());
    let p = producer(1, 0);
    bench.txn_commit(p, 0, 5).unwrap();
    let mut next = bench.failed_over();
    assert!(next.is_unstable(0));
    assert!(next.begin(p).is_open);
    next.complete(p, true, 2).unwrap();
    assert_eq!(next.offset(0), Some(5));
    assert_eq!(next.failed_over().offset(0), Some(5));
}

#[test]
fn what_is_written_later_wins_over_a_transaction_that_ends_later() {
    let mut bench = Bench::new(config());
    let (one, two) = (producer(1, 0), producer(2, 0));
    bench.txn_commit(one, 0, 5).unwrap();
    bench.commit(simple(), 0, 7).unwrap();
    bench.complete(one, true, 1).unwrap();
    assert_eq!(bench.offset(0), Some(7));
    bench.txn_commit(one, 0, 8).unwrap();
    bench.txn_commit(two, 0, 9).unwrap();
    bench.complete(two, true, 1).unwrap();
    bench.complete(one, true, 1).unwrap();
    assert_eq!(bench.offset(0), Some(9));
}

#[test]
fn a_marker_since_the_coordinator_was_asked_makes_the_commit_fail() {
    let mut bench = Bench::new(config());
    let p = producer(1, 0);
    let begun = bench.begin(p);
    assert!(!begun.is_open);
    bench.complete(p, false, 1).unwrap();
    assert_eq!(bench.txn_commit_at(begun.guard, p, simple(), 0, 5), Err(GroupError::TransactionEnded));
    let guard = bench.begin(p).guard;
    bench.complete(producer(2, 0), true, 1).unwrap();
    assert_eq!(bench.txn_commit_at(guard, p, simple(), 0, 5), Ok(()));
}

#[test]
fn markers_of_former_producers_and_coordinators_are_refused() {
    let mut bench = Bench::new(config());
    bench.txn_commit(producer(1, 4), 0, 5).unwrap();
    assert_eq!(bench.complete(producer(1, 3), true, 7), Err(GroupError::MarkerFenced));
    bench.complete(producer(1, 5), true, 7).unwrap();
    bench.txn_commit(producer(1, 5), 0, 6).unwrap();
    assert_eq!(bench.complete(producer(1, 5), true, 6), Err(GroupError::CoordinatorFenced));
    assert_eq!(bench.offset(0), Some(5));
    assert!(!bench.begin(producer(1, 4)).is_open, "another epoch is another transaction");
}

#[test]
fn a_member_that_was_fenced_in_its_group_is_fenced_here_and_a_rebalance_does_not_matter() {
    let mut bench = Bench::new(config());
    let joined = bench.stable(&["a"]);
    let p = producer(1, 0);
    let guard = bench.begin(p).guard;
    let mine = membership(&joined[0]);
    let old = Membership { generation: mine.generation - 1, ..mine.clone() };
    assert_eq!(bench.txn_commit_at(guard, p, old, 0, 1), Err(GroupError::IllegalGeneration));
    let stranger = Membership { member_id: "who".into(), ..mine.clone() };
    assert_eq!(bench.txn_commit_at(guard, p, stranger, 0, 1), Err(GroupError::UnknownMember));
    bench.join(JoinGroup { id_before_join: false, ..member("b") });
    assert_eq!(bench.txn_commit_at(guard, p, mine, 0, 1), Ok(()));
    assert_eq!(
        bench.txn_commit_at(guard, p, simple(), 1, 1),
        Ok(()),
        "old clients say nothing of themselves"
    );
}

#[test]
fn a_group_with_a_pending_offset_stays_until_it_is_decided() {
    let mut bench = Bench::new(config());
    let p = producer(1, 0);
    bench.txn_commit(p, 0, 5).unwrap();
    bench.pass(Duration::from_secs(20 * 86_400));
    assert!(bench.is_unstable(0));
    bench.delete().unwrap();
    assert!(bench.is_unstable(0));
    bench.complete(p, true, 1).unwrap();
    assert_eq!(bench.offset(0), None, "the group was deleted later");
    assert!(bench.shard.is_empty());
    assert!(bench.failed_over().shard.is_empty());
}

#[test]
fn a_subscribed_topics_offsets_neither_expire_nor_can_they_be_deleted() {
    let mut bench = Bench::new(config());
    let subscribed = |name: &str| -> bytes::Bytes {
        let mut metadata = vec![0, 3, 0, 0, 0, 1, 0, u8::try_from(name.len()).unwrap()];
        metadata.extend(name.as_bytes());
        metadata.into()
    };
    let of = |name: &str| JoinGroup {
        id_before_join: false,
        protocols: vec![("range".into(), subscribed(name))],
        session_timeout_ms: 1_800_000,
        ..member("a")
    };
    let joined = bench.settle(vec![of("t")]);
    bench.commit(membership(&joined[0]), 0, 5).unwrap();
    assert_eq!(bench.delete_offset(0), Err(GroupError::SubscribedToTopic));
    for _ in 0..1000 {
        bench.pass(Duration::from_secs(1200));
        bench.heartbeat(&joined[0]).unwrap();
    }
    assert_eq!(bench.offset(0), Some(5));
    let moved = JoinGroup { member_id: joined[0].member_id.clone(), ..of("other") };
    let joined = bench.settle(vec![moved]);
    assert_eq!(bench.delete_offset(1), Ok(()));
    for _ in 0..10 {
        bench.pass(Duration::from_secs(1200));
        bench.heartbeat(&joined[0]).unwrap();
    }
    assert_eq!(bench.offset(0), None, "it has not been read for long");
}

#[test]
fn offsets_of_an_empty_group_can_be_deleted_and_of_a_group_that_is_not_there_cannot() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.delete_offset(0), Err(GroupError::GroupNotFound));
    bench.commit(simple(), 0, 5).unwrap();
    bench.commit(simple(), 1, 6).unwrap();
    bench.delete_offset(0).unwrap();
    assert_eq!((bench.offset(0), bench.offset(1)), (None, Some(6)));
    assert_eq!(bench.failed_over().offset(0), None);
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Commit(i32),
    TxnCommit(i64, i32),
    End(i64, bool),
    Delete(i32),
    /// Of the log so much is compacted before, with or without its tombstones.
    Failover(u8, bool),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..3i32).prop_map(Event::Commit),
        6 => (0..3i64, 0..3i32).prop_map(|(p, at)| Event::TxnCommit(p, at)),
        5 => (0..3i64, any::<bool>()).prop_map(|(p, commit)| Event::End(p, commit)),
        1 => (0..3i32).prop_map(Event::Delete),
        1 => any::<(u8, bool)>().prop_map(|(share, tombstones)| Event::Failover(share, tombstones)),
    ];
    prop::collection::vec(event, 0..60)
}

/// What a plain reader of the log makes of it: of all that is decided and not aborted, the last one written.
fn plain(log: &[Entry<Record>]) -> BTreeMap<i32, i64> {
    type Written = (i32, Option<i64>);
    let mut decided: Vec<Option<Written>> = Vec::new();
    let mut open: BTreeMap<ProducerId, Vec<(usize, Written)>> = BTreeMap::new();
    let read = |record: &Record| match record {
        Record::Offset { partition, value, .. } => (*partition, value.as_ref().map(|v| v.offset.0)),
        Record::Group { .. } | Record::Consumer { .. } => panic!("no group has members"),
    };
    for (at, entry) in log.iter().enumerate() {
        decided.push(None);
        match entry {
            Entry::Record(record) => decided[at] = Some(read(record)),
            Entry::InTransaction(producer, record) => {
                open.entry(producer.id).or_default().push((at, read(record)));
            }
            Entry::Marker(marker) => {
                for (at, written) in open.remove(&marker.producer.id).unwrap_or_default() {
                    decided[at] = marker.commit.then_some(written);
                }
            }
        }
    }
    let mut offsets = BTreeMap::new();
    for (partition, offset) in decided.into_iter().flatten() {
        match offset {
            Some(offset) => offsets.insert(partition, offset),
            None => offsets.remove(&partition),
        };
    }
    offsets
}

proptest! {
    #[test]
    fn offsets_are_what_a_plain_reader_of_the_log_finds(events in events()) {
        let mut bench = Bench::new(config());
        for (number, event) in events.into_iter().enumerate() {
            let offset = i64::try_from(number).unwrap();
            match event {
                Event::Commit(at) => bench.commit(simple(), at, offset).unwrap(),
                Event::TxnCommit(p, at) => bench.txn_commit(producer(p, 0), at, offset).unwrap(),
                Event::End(p, commit) => bench.complete(producer(p, 0), commit, 1).unwrap(),
                Event::Delete(at) => { let _ = bench.delete_offset(at); }
                Event::Failover(share, tombstones) => {
                    let next = bench.cleaned(Cleaning::new(share, tombstones));
                    prop_assert_eq!(bench.memory(), next.memory());
                    bench = next;
                }
            }
            let expected = plain(&bench.log);
            let found: BTreeMap<i32, i64> =
                (0..3).filter_map(|at| bench.offset(at).map(|offset| (at, offset))).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(bench.memory(), bench.failed_over().memory());
        }
    }
}
