//! What a leader's log takes of transactions: batches that were verified, coordinators' records, markers.

use proptest::prelude::*;

use super::*;
use crate::log::{ActiveProducer, LeaderBatch, Origin, Rejected, TransactionGuard, Verification};
use crate::types::Decision;
use crate::wire::record_batch::{ControlKind, end_transaction_marker};

const P: ProducerId = ProducerId(7);

fn records(epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::default().producer(P, ProducerEpoch(epoch), sequence).transactional();
    builder.add(NOW_MS, None, Some(b"v"), &[]);
    builder.build().expect("a batch")
}

fn lead(log: &mut Log, records: Bytes, origin: Origin) -> Result<(), Rejected> {
    let batch = LeaderBatch::new(records, origin);
    log.append_as_leader(vec![batch], EPOCH, NOW_MS).expect("written").remove(0).map(|_| ())
}

fn send(log: &mut Log, epoch: i16, sequence: i32, guard: Option<TransactionGuard>) -> Result<(), Rejected> {
    lead(log, records(epoch, sequence), Origin::Client(Verification::Guard(guard)))
}

fn end(log: &mut Log, epoch: i16, coordinator_epoch: i32, strict: bool) -> Result<(), Rejected> {
    let marker =
        end_transaction_marker((P, ProducerEpoch(epoch)), ControlKind::Abort, coordinator_epoch, NOW_MS);
    lead(log, marker.expect("a marker"), Origin::Marker { strict, decision: None })
}

fn guard(log: &Log, epoch: i16) -> Option<TransactionGuard> {
    log.transaction_guard(P, ProducerEpoch(epoch), EPOCH)
}

fn known(log: &Log) -> ActiveProducer {
    log.active_producers()[0]
}

#[test]
fn a_transaction_begins_with_a_guard_that_no_marker_has_made_worthless() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    assert_eq!(send(&mut log, 0, 0, None), Err(Rejected::NotInTransaction));
    let old = guard(&log, 0);
    end(&mut log, 0, 1, false).unwrap();
    assert_eq!(send(&mut log, 0, 0, old), Err(Rejected::NotInTransaction));
    let fresh_guard = guard(&log, 0);
    send(&mut log, 0, 0, fresh_guard).unwrap();
    assert_eq!(guard(&log, 0), None, "it is open");
    send(&mut log, 0, 1, None).unwrap();
    assert_eq!(known(&log).transaction_start, Some(Offset(1)));
    end(&mut log, 0, 1, false).unwrap();
    assert_eq!(known(&log).transaction_start, None);
    assert_eq!(send(&mut log, 0, 2, None), Err(Rejected::NotInTransaction));
}

#[test]
fn the_epoch_is_judged_before_the_guard_and_a_retry_is_recognised_without_one() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let taken = guard(&log, 0);
    send(&mut log, 0, 0, taken).unwrap();
    end(&mut log, 1, 1, true).unwrap();
    assert!(matches!(send(&mut log, 0, 1, None), Err(Rejected::InvalidProducerEpoch { .. })));
    let taken = guard(&log, 1);
    send(&mut log, 1, 0, taken).unwrap();
    let before = log.log_end();
    send(&mut log, 1, 0, None).unwrap();
    assert_eq!(log.log_end(), before);
}

#[test]
fn a_number_of_a_transaction_that_has_ended_is_not_taken_for_a_retry() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let taken = guard(&log, 0);
    send(&mut log, 0, 0, taken).unwrap();
    send(&mut log, 0, 1, None).unwrap();
    send(&mut log, 0, 1, None).expect("a retry, while it is open");
    end(&mut log, 0, 1, false).unwrap();
    let end_of_log = log.log_end();
    for sequence in [0, 1] {
        let taken = guard(&log, 0);
        assert_eq!(send(&mut log, 0, sequence, taken), Err(Rejected::NotInTransaction), "none is open");
    }
    let taken = guard(&log, 0);
    send(&mut log, 0, 2, taken).expect("the next one");
    for sequence in [0, 1] {
        assert_eq!(send(&mut log, 0, sequence, None), Err(Rejected::NotInTransaction), "of the one before");
    }
    send(&mut log, 0, 2, None).expect("a retry");
    assert_eq!(log.log_end(), end_of_log + 1);
}

#[test]
fn a_marker_of_the_transactions_own_epoch_ends_nothing_where_every_transaction_has_one() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let taken = guard(&log, 4);
    send(&mut log, 4, 0, taken).unwrap();
    assert!(matches!(end(&mut log, 4, 1, true), Err(Rejected::InvalidProducerEpoch { .. })));
    assert!(matches!(end(&mut log, 3, 1, false), Err(Rejected::InvalidProducerEpoch { .. })));
    end(&mut log, 5, 2, true).unwrap();
    end(&mut log, 5, 2, true).unwrap();
    assert_eq!(end(&mut log, 5, 1, true), Err(Rejected::CoordinatorFenced { current: 2, got: 1 }));
    assert_eq!(known(&log).coordinator_epoch, 2);
}

/// A marker of coordinator epoch 1; where it lies.
fn decide(log: &mut Log, leader_epoch: LeaderEpoch, number: u64) -> Result<Offset, Rejected> {
    let marker =
        end_transaction_marker((P, ProducerEpoch(0)), ControlKind::Abort, 1, NOW_MS).expect("a marker");
    let decision = Some(Decision { leader_epoch, number });
    let batch = LeaderBatch::new(marker, Origin::Marker { strict: false, decision });
    log.append_as_leader(vec![batch], EPOCH, NOW_MS).expect("written").remove(0).map(|appended| appended.last)
}

#[test]
fn a_decision_that_comes_again_or_late_does_not_end_the_next_transaction() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let taken = guard(&log, 0);
    send(&mut log, 0, 0, taken).unwrap();
    assert_eq!(decide(&mut log, EPOCH, 7), Ok(Offset(1)));
    assert_eq!(decide(&mut log, EPOCH, 7), Ok(Offset(1)), "it is told where it lies, and not written again");
    let taken = guard(&log, 0);
    send(&mut log, 0, 1, taken).unwrap();
    assert_eq!(decide(&mut log, EPOCH, 7), Ok(Offset(1)));
    assert_eq!(decide(&mut log, EPOCH, 6), Ok(Offset(1)), "one from before that");
    let (current, got) = (EPOCH, LeaderEpoch(EPOCH.0 - 1));
    assert_eq!(decide(&mut log, got, 8), Err(Rejected::MarkerOfOtherEpoch { current, got }));
    assert_eq!(known(&log).transaction_start, Some(Offset(2)), "still open");
    assert_eq!(decide(&mut log, EPOCH, 8), Ok(Offset(3)));
    assert_eq!(known(&log).transaction_start, None);
}

#[test]
fn what_was_decided_by_the_coordinator_before_says_nothing_of_the_next_ones_numbers() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    assert_eq!(decide(&mut log, EPOCH, 7), Ok(Offset(0)));
    let marker =
        end_transaction_marker((P, ProducerEpoch(0)), ControlKind::Abort, 2, NOW_MS).expect("a marker");
    let decision = Some(Decision { leader_epoch: EPOCH, number: 0 });
    lead(&mut log, marker, Origin::Marker { strict: false, decision }).unwrap();
    assert_eq!((log.log_end(), known(&log).coordinator_epoch), (Offset(2), 2));
    assert_eq!(decide(&mut log, EPOCH, 9), Err(Rejected::CoordinatorFenced { current: 2, got: 1 }));
}

#[test]
fn a_coordinators_records_have_no_sequence_and_only_coordinators_write_markers() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    lead(&mut log, records(0, -1), Origin::Coordinator).unwrap();
    lead(&mut log, records(0, -1), Origin::Coordinator).unwrap();
    assert_eq!((known(&log).last_sequence, known(&log).transaction_start), (-1, Some(Offset::ZERO)));
    let marker = end_transaction_marker((P, ProducerEpoch(0)), ControlKind::Commit, 1, NOW_MS).unwrap();
    let from_client = lead(&mut log, marker.clone(), Origin::Client(Verification::Off));
    assert!(matches!(from_client, Err(Rejected::InvalidRecord(_))));
    let not_a_marker = lead(&mut log, records(0, -1), Origin::Marker { strict: false, decision: None });
    assert!(matches!(not_a_marker, Err(Rejected::InvalidRecord(_))));
    lead(&mut log, marker, Origin::Marker { strict: false, decision: None }).unwrap();
    assert_eq!(known(&log).transaction_start, None);
}

#[test]
fn outside_of_its_open_transaction_a_producer_writes_nothing() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let taken = guard(&log, 0);
    send(&mut log, 0, 0, taken).unwrap();
    let plain = lead(&mut log, produced(P.0, 0, 1, 1), Origin::Client(Verification::Off));
    assert_eq!(plain, Err(Rejected::TransactionIsOpen));
}

/// What may happen around one partition and the coordinator of its producer, in any order.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The producer begins a transaction; the coordinator knows that the partition is in it.
    Begin,
    /// A batch arrives at the leader, which takes a guard.
    Arrive,
    /// The coordinator answers for one batch: is the transaction open?
    Verify(usize),
    /// One batch that was verified is appended.
    Append(usize),
    /// The coordinator ends the transaction.
    End,
    /// The marker reaches the leader.
    Marker,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => Just(Event::Begin),
        4 => Just(Event::Arrive),
        4 => any::<usize>().prop_map(Event::Verify),
        4 => any::<usize>().prop_map(Event::Append),
        2 => Just(Event::End),
        2 => Just(Event::Marker),
    ];
    prop::collection::vec(event, 0..80)
}

/// A batch on its way: its guard, and whether the coordinator said that its transaction is open.
type Arrived = (Option<TransactionGuard>, Option<bool>);

/// All transactions have the same epoch, as those of older clients: nothing but the guard tells a late batch from one of
/// the next transaction. With `late_guards` the guard is taken after the coordinator was asked, which defends nothing.
fn nothing_hangs(events: Vec<Event>, late_guards: bool) -> Result<(), TestCaseError> {
    let (_disk, mut log) = fresh(&LogConfig::default());
    let (mut open, mut ended) = (false, false);
    let mut arrived: Vec<Arrived> = Vec::new();
    let mut sequence = 0;
    let mut append = |log: &mut Log, (guard_before, verified): Arrived| {
        let taken = if late_guards { guard(log, 0) } else { guard_before };
        if verified == Some(true) && send(log, 0, sequence, taken).is_ok() {
            sequence += 1;
        }
    };
    for event in events {
        match event {
            Event::Begin => open |= !ended,
            Event::Arrive => arrived.push((guard(&log, 0), None)),
            Event::Verify(i) if !arrived.is_empty() => {
                let i = i % arrived.len();
                arrived[i].1.get_or_insert(open);
            }
            Event::Append(i) if !arrived.is_empty() => {
                let batch = arrived.remove(i % arrived.len());
                append(&mut log, batch);
            }
            Event::End => ended |= std::mem::take(&mut open),
            Event::Marker if std::mem::take(&mut ended) => end(&mut log, 0, 1, false).unwrap(),
            _ => {}
        }
    }
    if open || ended {
        end(&mut log, 0, 1, false).unwrap();
    }
    for batch in arrived {
        append(&mut log, batch);
    }
    let hanging = log.active_producers().iter().find_map(|p| p.transaction_start);
    prop_assert_eq!(hanging, None, "a transaction that nobody will end");
    Ok(())
}

proptest! {
    #[test]
    fn a_late_batch_never_begins_a_transaction_that_nobody_ends(events in events()) {
        nothing_hangs(events, false)?;
    }
}

#[test]
fn a_guard_that_is_taken_too_late_is_found_out() {
    let config = proptest::test_runner::Config { failure_persistence: None, ..Default::default() };
    let found = proptest::test_runner::TestRunner::new(config).run(&events(), |e| nothing_hangs(e, true));
    assert!(found.is_err(), "256 runs did not notice");
}
