//! What a leader's log takes of transactions: batches that were verified, coordinators' records, markers.

use super::*;
use crate::log::{ActiveProducer, LeaderBatch, Origin, Rejected, TransactionGuard, Verification};
use crate::wire::record_batch::{ControlKind, end_transaction_marker};

const P: ProducerId = ProducerId(7);

fn records(epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::default().producer(P, ProducerEpoch(epoch), sequence).transactional();
    builder.add(NOW_MS, None, Some(b"v"), &[]);
    builder.build().expect("a batch")
}

fn lead(log: &mut Log, records: Bytes, origin: Origin) -> Result<(), Rejected> {
    let batch = LeaderBatch { records, origin };
    log.append_as_leader(vec![batch], EPOCH, NOW_MS).expect("written").remove(0).map(|_| ())
}

fn send(log: &mut Log, epoch: i16, sequence: i32, guard: Option<TransactionGuard>) -> Result<(), Rejected> {
    lead(log, records(epoch, sequence), Origin::Client(Verification::Guard(guard)))
}

fn end(log: &mut Log, epoch: i16, coordinator_epoch: i32, strict: bool) -> Result<(), Rejected> {
    let marker =
        end_transaction_marker((P, ProducerEpoch(epoch)), ControlKind::Abort, coordinator_epoch, NOW_MS);
    lead(log, marker.expect("a marker"), Origin::Marker { strict })
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

#[test]
fn a_coordinators_records_have_no_sequence_and_only_coordinators_write_markers() {
    let (_disk, mut log) = fresh(&LogConfig::default());
    lead(&mut log, records(0, -1), Origin::Coordinator).unwrap();
    lead(&mut log, records(0, -1), Origin::Coordinator).unwrap();
    assert_eq!((known(&log).last_sequence, known(&log).transaction_start), (-1, Some(Offset::ZERO)));
    let marker = end_transaction_marker((P, ProducerEpoch(0)), ControlKind::Commit, 1, NOW_MS).unwrap();
    let from_client = lead(&mut log, marker.clone(), Origin::Client(Verification::Off));
    assert!(matches!(from_client, Err(Rejected::InvalidRecord(_))));
    let not_a_marker = lead(&mut log, records(0, -1), Origin::Marker { strict: false });
    assert!(matches!(not_a_marker, Err(Rejected::InvalidRecord(_))));
    lead(&mut log, marker, Origin::Marker { strict: false }).unwrap();
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
