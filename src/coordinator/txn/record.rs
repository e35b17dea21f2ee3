//! What a transaction coordinator remembers, and its bytes: Kafka's own schema of `__transaction_state`.
//!
//! A key begins with its record type, a value with its version, both 16 bits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::coordinator::records::InvalidRecord;
use crate::types::{ProducerEpoch, ProducerId, TopicName, TopicPartition};
use crate::wire::messages::transaction_log as wire;
use crate::wire::{EncodeError, Limits, Message, StrBytes};

const KEY: i16 = 0;
/// The first version with tagged fields: the former and next producer id, and the client's transaction version.
const VALUE: i16 = 1;

/// A transactional id. Cheap to clone.
pub type TransactionalId = Arc<str>;

/// One record of the coordinator's log. A `None` value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnRecord {
    /// Whose.
    pub id: TransactionalId,
    /// What is known of it.
    pub value: Option<Transaction>,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TxnState {
    /// The producer has not begun a transaction in this epoch.
    Empty,
    /// Partitions have been added.
    Ongoing,
    /// It will be committed; markers are being written.
    PrepareCommit,
    /// It will be aborted; markers are being written.
    PrepareAbort,
    /// All markers are written.
    CompleteCommit,
    /// All markers are written.
    CompleteAbort,
}

impl TxnState {
    /// All of them.
    pub const ALL: [TxnState; 6] = [
        TxnState::Empty,
        TxnState::Ongoing,
        TxnState::PrepareCommit,
        TxnState::PrepareAbort,
        TxnState::CompleteCommit,
        TxnState::CompleteAbort,
    ];

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TxnState::Empty => "Empty",
            TxnState::Ongoing => "Ongoing",
            TxnState::PrepareCommit => "PrepareCommit",
            TxnState::PrepareAbort => "PrepareAbort",
            TxnState::CompleteCommit => "CompleteCommit",
            TxnState::CompleteAbort => "CompleteAbort",
        }
    }

    fn code(self) -> i8 {
        match self {
            TxnState::Empty => 0,
            TxnState::Ongoing => 1,
            TxnState::PrepareCommit => 2,
            TxnState::PrepareAbort => 3,
            TxnState::CompleteCommit => 4,
            TxnState::CompleteAbort => 5,
        }
    }

    /// Whether it is decided, and markers are on their way.
    #[must_use]
    pub fn is_ending(self) -> bool {
        matches!(self, TxnState::PrepareCommit | TxnState::PrepareAbort)
    }
}

/// A producer's transactional id, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The producer id in use.
    pub producer_id: ProducerId,
    /// The one before, whose epochs ran out; or none.
    pub previous_producer_id: ProducerId,
    /// The one that is next once the transaction has ended, as the epochs have run out; or none.
    pub next_producer_id: ProducerId,
    /// The newest epoch.
    pub epoch: ProducerEpoch,
    /// How long a transaction may stay open, in milliseconds.
    pub timeout_ms: i32,
    /// Where it stands.
    pub state: TxnState,
    /// What it has touched.
    pub partitions: BTreeSet<TopicPartition>,
    /// When this was last changed, in milliseconds since the Unix epoch.
    pub updated_ms: i64,
    /// When the transaction began, or −1.
    pub started_ms: i64,
    /// The transaction version that the client speaks (KIP-890): 2 bumps the epoch with every transaction.
    pub client_version: i16,
}

impl TxnRecord {
    /// About how many bytes the record takes in a batch, never less than it does.
    #[must_use]
    pub fn size_bound(&self) -> usize {
        const FIXED: usize = 160;
        let partitions = self.value.iter().flat_map(|t| &t.partitions);
        let topics: BTreeSet<&TopicName> = partitions.clone().map(|p| &p.topic).collect();
        FIXED
            + self.id.len()
            + topics.iter().map(|t| t.as_str().len() + 8).sum::<usize>()
            + 4 * partitions.count()
    }
}

/// Key and value of a record, as they are appended; no value is a tombstone.
///
/// # Errors
/// `EncodeError` when a text is longer than the schema can say.
pub fn encode(record: &TxnRecord) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    let key = wire::TransactionLogKey { transactional_id: StrBytes::from(&*record.id) };
    let key = tagged(KEY, &key, 0)?;
    let Some(value) = &record.value else { return Ok((key, None)) };
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for partition in &value.partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topics = topics.into_iter().map(|(topic, partition_ids)| wire::PartitionsSchema {
        topic: StrBytes::from(topic.as_str()),
        partition_ids,
    });
    let message = wire::TransactionLogValue {
        producer_id: value.producer_id.0,
        previous_producer_id: value.previous_producer_id.0,
        next_producer_id: value.next_producer_id.0,
        producer_epoch: value.epoch.0,
        transaction_timeout_ms: value.timeout_ms,
        transaction_status: value.state.code(),
        transaction_partitions: (value.state != TxnState::Empty).then(|| topics.collect()),
        transaction_last_update_timestamp_ms: value.updated_ms,
        transaction_start_timestamp_ms: value.started_ms,
        client_transaction_version: value.client_version,
        ..wire::TransactionLogValue::default()
    };
    Ok((key, Some(tagged(VALUE, &message, VALUE)?)))
}

/// Reads a record; `None` for one of a type, version or state that belongs to others.
///
/// # Errors
/// `InvalidRecord` when the bytes are not what their type says.
pub fn decode(key: Option<Bytes>, value: Option<Bytes>) -> Result<Option<TxnRecord>, InvalidRecord> {
    let mut key = key.filter(|k| k.len() >= 2).ok_or(InvalidRecord::NoKey)?;
    if key.get_i16() != KEY {
        return Ok(None);
    }
    let key = wire::TransactionLogKey::from_bytes(key, 0, &Limits::default())?;
    let id = TransactionalId::from(&*key.transactional_id);
    let Some(mut value) = value else { return Ok(Some(TxnRecord { id, value: None })) };
    if value.len() < 2 {
        return Err(InvalidRecord::NoVersion);
    }
    let version = value.get_i16();
    if version > VALUE {
        return Ok(None);
    }
    let value = wire::TransactionLogValue::from_bytes(value, version, &Limits::default())?;
    let Some(state) = TxnState::ALL.into_iter().find(|s| s.code() == value.transaction_status) else {
        return Ok(None);
    };
    let mut partitions = BTreeSet::new();
    for topic in value.transaction_partitions.unwrap_or_default() {
        let name = TopicName::new(&topic.topic)?;
        partitions.extend(topic.partition_ids.iter().map(|p| TopicPartition::new(name.clone(), *p)));
    }
    let value = Transaction {
        producer_id: ProducerId(value.producer_id),
        previous_producer_id: ProducerId(value.previous_producer_id),
        next_producer_id: ProducerId(value.next_producer_id),
        epoch: ProducerEpoch(value.producer_epoch),
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions,
        updated_ms: value.transaction_last_update_timestamp_ms,
        started_ms: value.transaction_start_timestamp_ms,
        client_version: value.client_transaction_version,
    };
    Ok(Some(TxnRecord { id, value: Some(value) }))
}

fn tagged(tag: i16, message: &impl Message, version: i16) -> Result<Bytes, EncodeError> {
    let body = message.to_bytes(version)?;
    let mut bytes = BytesMut::with_capacity(2 + body.len());
    bytes.put_i16(tag);
    bytes.put(body);
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &Bytes) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn record(value: Option<Transaction>) -> TxnRecord {
        TxnRecord { id: "t".into(), value }
    }

    fn ongoing() -> Transaction {
        Transaction {
            producer_id: ProducerId(7),
            previous_producer_id: ProducerId::NONE,
            next_producer_id: ProducerId::NONE,
            epoch: ProducerEpoch(3),
            timeout_ms: 60_000,
            state: TxnState::Ongoing,
            partitions: [TopicPartition::new(TopicName::new("a").unwrap(), 1)].into(),
            updated_ms: 0x20,
            started_ms: 0x10,
            client_version: 2,
        }
    }

    /// The bytes are Kafka's; a change of them is a change of the format of every stored transaction.
    #[test]
    fn the_bytes_are_kafkas() {
        let (key, value) = encode(&record(Some(ongoing()))).unwrap();
        assert_eq!(hex(&key), "0000".to_owned() + "000174");
        assert_eq!(
            hex(&value.unwrap()),
            "0001".to_owned()
                + "0000000000000007"
                + "0003"
                + "0000ea60"
                + "01"
                + "02"
                + "0261"
                + "0200000001"
                + "00"
                + "0000000000000020"
                + "0000000000000010"
                + "0102020002"
        );
        let empty = Transaction { state: TxnState::Empty, partitions: BTreeSet::new(), ..ongoing() };
        let (_, value) = encode(&record(Some(empty))).unwrap();
        assert!(hex(&value.unwrap()).contains("0000ea600000"), "no partitions are null");
    }

    #[test]
    fn what_others_wrote_is_left_alone_and_broken_bytes_are_an_error() {
        let (key, value) = encode(&record(Some(ongoing()))).unwrap();
        assert_eq!(decode(Some(key.clone()), Some(Bytes::from_static(&[0, 9, 1]))).unwrap(), None);
        assert_eq!(decode(Some(Bytes::from_static(&[0, 1, 0, 0])), None).unwrap(), None);
        assert_eq!(decode(Some(key.clone()), None).unwrap(), Some(record(None)));
        let value = value.unwrap();
        for end in 0..value.len() {
            assert!(decode(Some(key.clone()), Some(value.slice(..end))).is_err(), "cut at {end}");
        }
    }

    fn transactions() -> impl Strategy<Value = Transaction> {
        let partition =
            ("[a-z]{1,4}", 0..9i32).prop_map(|(t, p)| TopicPartition::new(TopicName::new(&t).unwrap(), p));
        (
            (any::<i64>(), any::<i64>(), any::<i64>(), any::<i16>(), any::<i32>()),
            0..TxnState::ALL.len(),
            prop::collection::btree_set(partition, 0..9),
            (any::<i64>(), any::<i64>(), any::<i16>()),
        )
            .prop_map(|(ids, state, partitions, rest)| {
                let state = TxnState::ALL[state];
                Transaction {
                    producer_id: ProducerId(ids.0),
                    previous_producer_id: ProducerId(ids.1),
                    next_producer_id: ProducerId(ids.2),
                    epoch: ProducerEpoch(ids.3),
                    timeout_ms: ids.4,
                    state,
                    partitions: if state == TxnState::Empty { BTreeSet::new() } else { partitions },
                    updated_ms: rest.0,
                    started_ms: rest.1,
                    client_version: rest.2,
                }
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in prop::option::of(transactions()), id in ".{0,20}") {
            let record = TxnRecord { id: id.as_str().into(), value };
            let (key, value) = encode(&record).unwrap();
            prop_assert!(key.len() + value.as_ref().map_or(0, Bytes::len) <= record.size_bound());
            prop_assert_eq!(decode(Some(key), value).unwrap(), Some(record));
        }
    }
}
