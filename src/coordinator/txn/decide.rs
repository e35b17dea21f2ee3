//! What a request does to a transaction. The rules are Kafka's, after KIP-98, KIP-360, KIP-588 and KIP-890.

use std::ops::Bound;

use super::record::{Transaction, TransactionalId, TxnState};
use super::request::{
    AddPartitions, EndTransaction, InitProducer, ListTransactions, MarkersWritten, NO_EPOCH,
    ReadTransactions, Reply, Request, TransactionDescription, TransactionListing, VerifyPartitions,
};
use super::{BUMPS_EPOCH, Output, TxnError, TxnShard};
use crate::coordinator::shard::{Now, Producer};
use crate::types::{ProducerEpoch, ProducerId};

/// Above this no client is given an epoch: the one that is left fences it.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// The id is the key of a record, with a length of 16 bits.
const MAX_ID_BYTES: usize = i16::MAX as usize;

/// What becomes of a transaction by an event.
type Next = Result<Option<Transaction>, TxnError>;

impl Transaction {
    fn producer(&self) -> Producer {
        Producer { id: self.producer_id, epoch: self.epoch }
    }

    fn is_exhausted(&self) -> bool {
        self.epoch.0 >= LAST_EPOCH
    }

    fn into_state(self, state: TxnState, now: Now) -> Transaction {
        Transaction { state, updated_ms: now.wall_ms, ..self }
    }

    /// Decided: nothing is added any more, markers go out under `epoch`.
    fn ending(self, commit: bool, epoch: i16, now: Now) -> Transaction {
        let state = if commit { TxnState::PrepareCommit } else { TxnState::PrepareAbort };
        Transaction { epoch: ProducerEpoch(epoch), ..self.into_state(state, now) }
    }

    fn completed(self, now: Now) -> Transaction {
        let state = if self.state == TxnState::PrepareCommit {
            TxnState::CompleteCommit
        } else {
            TxnState::CompleteAbort
        };
        let next = self.next_producer_id;
        let done = Transaction {
            partitions: std::collections::BTreeSet::new(),
            started_ms: -1,
            next_producer_id: ProducerId::NONE,
            ..self.into_state(state, now)
        };
        if next == ProducerId::NONE {
            return done;
        }
        // The epochs of the id have run out with this transaction.
        Transaction {
            previous_producer_id: done.producer_id,
            producer_id: next,
            epoch: ProducerEpoch(0),
            ..done
        }
    }

    /// The producer has been told its next id, and the transaction with the former one is still ending.
    fn is_about_to_be(&self, producer: Producer) -> bool {
        self.state.is_ending() && producer.id == self.next_producer_id && producer.epoch.0 == 0
    }

    /// What a client is told once the transaction is decided: what it is from now on.
    fn producer_to_be(&self) -> Producer {
        if self.next_producer_id == ProducerId::NONE {
            self.producer()
        } else {
            Producer { id: self.next_producer_id, epoch: ProducerEpoch(0) }
        }
    }
}

impl TxnShard {
    /// The reply, and what must be committed before it goes: everything that it builds on.
    pub(super) fn decided_reply(&mut self, request: Request, now: Now, out: &mut Output) -> (u64, Reply) {
        match request {
            Request::Init(r) => {
                let result = self.init(&r, now, out);
                (self.after(&r.id), Reply::Init(result))
            }
            Request::Add(r) => {
                let result = self.add(&r, now, out);
                (self.after(&r.id), Reply::Add(result))
            }
            Request::Verify(r) => {
                let result = self.verify(&r);
                (self.after(&r.id), Reply::Verify(result))
            }
            Request::End(r) => {
                let result = self.end(&r, now, out);
                (self.after(&r.id), Reply::End(result))
            }
            Request::Describe(r) => {
                let result = self.kept.get(&r.0).map(|k| describe(&k.transaction)).ok_or(TxnError::NotFound);
                (self.after(&r.0), Reply::Describe(result))
            }
            Request::Read(r) => (self.decided, Reply::Read(Ok(self.read(&r)))),
            Request::List(filter) => (0, Reply::List(Ok(self.list(&filter, now)))),
            Request::MarkersWritten(r) => {
                self.markers_written(&r, now, out);
                (0, Reply::MarkersWritten)
            }
            Request::Hold(_) => (0, Reply::Hold(Err(TxnError::NotHeld))),
            Request::LetGo(_) => (0, Reply::LetGo(Err(TxnError::NotHeld))),
        }
    }

    fn after(&self, id: &TransactionalId) -> u64 {
        self.kept.get(id).map_or(self.removed_at, |kept| kept.last_write)
    }

    fn init(&mut self, r: &InitProducer, now: Now, out: &mut Output) -> Result<Producer, TxnError> {
        if r.id.is_empty() || r.id.len() > MAX_ID_BYTES {
            return Err(TxnError::InvalidId);
        }
        if r.timeout_ms <= 0 || r.timeout_ms > self.config.max_timeout_ms {
            return Err(TxnError::InvalidTimeout);
        }
        let fresh = || r.fresh.ok_or(TxnError::NeedsProducerId);
        let Some(kept) = self.kept.get(&r.id) else {
            if r.expected.is_some_and(|producer| producer.id < r.first_of_life) {
                return Err(TxnError::Fenced);
            }
            if self.kept.len() >= self.config.max_ids {
                return Err(TxnError::TooManyIds);
            }
            let transaction = Transaction {
                producer_id: fresh()?,
                previous_producer_id: ProducerId::NONE,
                next_producer_id: ProducerId::NONE,
                epoch: ProducerEpoch(0),
                timeout_ms: r.timeout_ms,
                state: TxnState::Empty,
                partitions: std::collections::BTreeSet::new(),
                updated_ms: now.wall_ms,
                started_ms: -1,
                client_version: 0,
            };
            let producer = transaction.producer();
            self.put(r.id.clone(), transaction, now, out);
            return Ok(producer);
        };
        let current = &kept.transaction;
        let is_known = |p: Producer| {
            p.id == current.producer_id || (p.id == current.previous_producer_id && p.epoch.0 >= LAST_EPOCH)
        };
        if current.state.is_ending() {
            return Err(TxnError::Concurrent);
        }
        if r.expected.is_some_and(|p| !is_known(p)) {
            return Err(TxnError::Fenced);
        }
        if current.state == TxnState::Ongoing {
            // The producer asks again, and then gets an epoch above that of the abort.
            if self.is_held() {
                return Err(TxnError::Concurrent);
            }
            self.fence(&r.id, now, out);
            return Err(TxnError::Concurrent);
        }
        let mut last_epoch = NO_EPOCH;
        let mut next = Transaction {
            timeout_ms: r.timeout_ms,
            partitions: std::collections::BTreeSet::new(),
            started_ms: -1,
            ..current.clone().into_state(TxnState::Empty, now)
        };
        match r.expected {
            // It has asked before, and did not hear the answer.
            Some(p) if p.id == current.previous_producer_id && p.id != current.producer_id => {
                return if current.epoch.0 == 0 { Ok(current.producer()) } else { Err(TxnError::Fenced) };
            }
            Some(p) if p.epoch == kept.last_epoch && p.epoch != current.epoch && p.epoch != NO_EPOCH => {
                return Ok(current.producer());
            }
            Some(p) if p.epoch != current.epoch => return Err(TxnError::Fenced),
            Some(p) => last_epoch = p.epoch,
            None => {}
        }
        if current.is_exhausted() {
            next.previous_producer_id = current.producer_id;
            next.producer_id = fresh()?;
            next.epoch = ProducerEpoch(0);
        } else {
            next.epoch = ProducerEpoch(current.epoch.0 + 1);
        }
        let producer = next.producer();
        self.put(r.id.clone(), next, now, out);
        if let Some(kept) = self.kept.get_mut(&r.id) {
            kept.last_epoch = last_epoch;
        }
        Ok(producer)
    }

    /// Aborts an open transaction under an epoch that its producer does not have.
    ///
    /// The epoch goes up by two: by one it would be what the producer expects of its own abort (KIP-890), and a
    /// producer that was fenced would go on.
    pub(super) fn fence(&mut self, id: &TransactionalId, now: Now, out: &mut Output) {
        let Some(kept) = self.kept.get(id).filter(|k| k.transaction.state == TxnState::Ongoing) else {
            return;
        };
        let current = kept.transaction.clone();
        let epoch = current.epoch.0.saturating_add(2);
        let next = Transaction { client_version: BUMPS_EPOCH, ..current.ending(false, epoch, now) };
        self.write_ending(id, next, now, out);
    }

    fn write_ending(&mut self, id: &TransactionalId, next: Transaction, now: Now, out: &mut Output) {
        let after = self.put(id.clone(), next, now, out);
        let Some(markers) = self.kept.get(id).map(|kept| self.markers_of(id, &kept.transaction)) else {
            return;
        };
        if let Some(kept) = self.kept.get_mut(id) {
            kept.last_epoch = NO_EPOCH;
        }
        out.tasks.push((after, markers));
    }

    /// The transaction of a producer, if it is this producer's.
    fn of(&self, id: &TransactionalId, producer: Producer) -> Result<&Transaction, TxnError> {
        if id.is_empty() {
            return Err(TxnError::InvalidId);
        }
        let current = &self.kept.get(id).ok_or(TxnError::InvalidMapping)?.transaction;
        if current.is_about_to_be(producer) {
            return Err(TxnError::Concurrent);
        }
        if current.producer_id != producer.id {
            return Err(TxnError::InvalidMapping);
        }
        if current.epoch != producer.epoch {
            return Err(TxnError::Fenced);
        }
        Ok(current)
    }

    fn add(&mut self, r: &AddPartitions, now: Now, out: &mut Output) -> Result<(), TxnError> {
        let current = self.of(&r.id, r.producer)?;
        if current.state.is_ending() {
            return Err(TxnError::Concurrent);
        }
        let is_open = current.state == TxnState::Ongoing;
        if is_open && r.partitions.iter().all(|p| current.partitions.contains(p)) {
            return Ok(());
        }
        let mut next = current.clone().into_state(TxnState::Ongoing, now);
        if !is_open {
            next.started_ms = now.wall_ms;
            next.partitions.clear();
        }
        next.client_version = r.client_version;
        next.partitions.extend(r.partitions.iter().cloned());
        let record = super::TxnRecord { id: r.id.clone(), value: Some(next) };
        if record.size_bound() > self.config.max_batch_bytes {
            return Err(TxnError::TooManyPartitions);
        }
        if let Some(next) = record.value {
            self.put(record.id, next, now, out);
        }
        Ok(())
    }

    fn verify(&self, r: &VerifyPartitions) -> Result<Vec<bool>, TxnError> {
        let current = self.of(&r.id, r.producer)?;
        if current.state.is_ending() {
            return Err(TxnError::Concurrent);
        }
        let is_open = current.state == TxnState::Ongoing;
        Ok(r.partitions.iter().map(|p| is_open && current.partitions.contains(p)).collect())
    }

    fn end(&mut self, r: &EndTransaction, now: Now, out: &mut Output) -> Result<Producer, TxnError> {
        if r.id.is_empty() {
            return Err(TxnError::InvalidId);
        }
        let current = &self.kept.get(&r.id).ok_or(TxnError::InvalidMapping)?.transaction;
        let next = if r.client_version >= BUMPS_EPOCH {
            ended_with_bump(current, r, now)?
        } else {
            ended_without_bump(current, r, now)?
        };
        match next {
            Some(next) => {
                let producer = next.producer_to_be();
                self.write_ending(&r.id, next, now, out);
                Ok(producer)
            }
            None => Ok(current.producer()),
        }
    }

    fn markers_written(&mut self, r: &MarkersWritten, now: Now, out: &mut Output) {
        let Some(kept) = self.kept.get(&r.id) else { return };
        let current = &kept.transaction;
        if current.state.is_ending() && current.producer() == r.producer {
            let done = current.clone().completed(now);
            self.put(r.id.clone(), done, now, out);
            self.is_complete(&r.id, out);
        }
    }

    pub(super) fn forget_idle(&mut self, now: Now, out: &mut Output) {
        if !now.may_expire {
            return;
        }
        let idle = |t: &Transaction| {
            !t.state.is_ending()
                && t.state != TxnState::Ongoing
                && now.wall_ms.saturating_sub(t.updated_ms) >= self.config.id_expiration_ms
        };
        let ids: Vec<TransactionalId> =
            self.kept.iter().filter(|(_, k)| idle(&k.transaction)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.forget(id, out);
        }
    }

    fn read(&self, r: &ReadTransactions) -> Vec<(TransactionalId, Transaction)> {
        let above = r.above.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let page = self.kept.range::<TransactionalId, _>((above, Bound::Unbounded)).take(r.limit);
        page.map(|(id, kept)| (id.clone(), kept.transaction.clone())).collect()
    }

    fn list(&self, filter: &ListTransactions, now: Now) -> Vec<TransactionListing> {
        let passes = |t: &Transaction| {
            (filter.states.is_empty() || filter.states.contains(&t.state))
                && (filter.producers.is_empty() || filter.producers.contains(&t.producer_id))
                && filter
                    .open_for_ms
                    .is_none_or(|ms| t.started_ms >= 0 && now.wall_ms.saturating_sub(t.started_ms) > ms)
        };
        self.kept
            .iter()
            .filter(|(_, kept)| passes(&kept.transaction))
            .map(|(id, kept)| TransactionListing {
                id: id.clone(),
                producer_id: kept.transaction.producer_id,
                state: kept.transaction.state,
            })
            .collect()
    }
}

/// EndTxn of a client that keeps its epoch; one that comes again is told the same.
fn ended_without_bump(current: &Transaction, r: &EndTransaction, now: Now) -> Next {
    if current.producer_id != r.producer.id {
        return Err(TxnError::InvalidMapping);
    }
    if current.epoch != r.producer.epoch {
        return Err(TxnError::Fenced);
    }
    match (current.state, r.commit) {
        (TxnState::Ongoing, commit) => {
            let next = current.clone().ending(commit, current.epoch.0, now);
            Ok(Some(Transaction { client_version: r.client_version, ..next }))
        }
        (TxnState::CompleteCommit, true) | (TxnState::CompleteAbort, false) => Ok(None),
        // Also when it asks for the other outcome: what that is told depends on how the last one has ended.
        (TxnState::PrepareCommit | TxnState::PrepareAbort, _) => Err(TxnError::Concurrent),
        (state, _) => Err(TxnError::InvalidState(state)),
    }
}

/// EndTxn of a client whose epoch goes up with every transaction (KIP-890): the same epoch is a new end, the one before
/// is the last one that comes again.
fn ended_with_bump(current: &Transaction, r: &EndTransaction, now: Now) -> Next {
    if current.is_about_to_be(r.producer) {
        return Err(TxnError::Concurrent);
    }
    // The epoch above the last one is never a client's: it is there by a fencing.
    let came_before = current.producer_id == r.producer.id
        && current.epoch.0 < i16::MAX
        && i32::from(current.epoch.0) == i32::from(r.producer.epoch.0) + 1;
    let came_before_with_the_former_id = current.previous_producer_id == r.producer.id
        && r.producer.epoch.0 == LAST_EPOCH
        && current.epoch.0 == 0;
    let is_former = current.producer_id != r.producer.id;
    if is_former && !came_before_with_the_former_id {
        return Err(TxnError::InvalidMapping);
    }
    let is_current = !is_former && current.epoch == r.producer.epoch;
    let is_retry = came_before || came_before_with_the_former_id;
    let is_last_of_its_id = current.next_producer_id != ProducerId::NONE
        && i32::from(current.epoch.0) == i32::from(r.producer.epoch.0) + 1;
    let allowed = match current.state {
        TxnState::Ongoing | TxnState::Empty => is_current,
        TxnState::PrepareCommit | TxnState::PrepareAbort => came_before || is_last_of_its_id,
        TxnState::CompleteCommit | TxnState::CompleteAbort => is_retry || is_current,
    };
    if !allowed {
        return Err(TxnError::Fenced);
    }
    let ended = |commit: bool, has_partitions: bool| {
        let next_producer_id = match (current.is_exhausted(), r.fresh) {
            (true, None) => return Err(TxnError::NeedsProducerId),
            (true, Some(fresh)) => fresh,
            (false, _) => ProducerId::NONE,
        };
        let started_ms = if has_partitions { current.started_ms } else { now.wall_ms };
        let next = current.clone().ending(commit, current.epoch.0.saturating_add(1), now);
        Ok(Some(Transaction { next_producer_id, started_ms, client_version: r.client_version, ..next }))
    };
    match (current.state, r.commit) {
        (TxnState::Ongoing, commit) => ended(commit, true),
        // An abort without a single partition bumps the epoch all the same.
        (TxnState::Empty, false) => ended(false, false),
        (TxnState::CompleteCommit, true) if is_retry => Ok(None),
        (TxnState::CompleteCommit, false) if !is_retry => ended(false, false),
        (TxnState::CompleteAbort, false) if is_retry => Ok(None),
        (TxnState::CompleteAbort, false) => ended(false, false),
        (TxnState::PrepareCommit | TxnState::PrepareAbort, _) => Err(TxnError::Concurrent),
        (state, _) => Err(TxnError::InvalidState(state)),
    }
}

fn describe(transaction: &Transaction) -> TransactionDescription {
    TransactionDescription {
        state: transaction.state,
        producer: transaction.producer(),
        timeout_ms: transaction.timeout_ms,
        started_ms: transaction.started_ms,
        partitions: transaction.partitions.iter().cloned().collect(),
    }
}
