//! The state machine: the image, and the answers that retried submissions get again.
//!
//! It lives in memory. A restart loads the last snapshot and applies the committed log behind it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicI16, AtomicU64, Ordering};

use openraft::storage::RaftStateMachine;
use openraft::{
    EntryPayload, ErrorSubject, ErrorVerb, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta,
    StorageError, StoredMembership,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::store::{LogStore, StoredSnapshot};
use super::{Outcome, Submission, TypeConfig, codec};
use crate::env::defect::{Defect, planted};
use crate::metadata::command::Command;
use crate::metadata::image::{COMMANDS, Image};
use crate::types::Incarnation;

/// Lives of processes whose answers are kept; the ones that were silent longest go first.
const MAX_ORIGINS: usize = 256;

/// The key under which a snapshot's checksum is taken, on disk and on its way.
const SNAPSHOT: &[u8] = b"snapshot";

/// What the log adds up to, and what a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    pub image: Image,
    pub origins: BTreeMap<Incarnation, Origin>,
}

/// Submissions of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    last_index: u64,
    answered_below: u64,
    answers: BTreeMap<u64, Outcome>,
}

impl Contents {
    fn apply(&mut self, log_id: LogId<u64>, submission: &Submission) -> Outcome {
        let index = log_id.index;
        if let Some(origin) = self.origins.get(&submission.origin) {
            if let Some(answer) = origin.answers.get(&submission.sequence) {
                return answer.clone();
            }
            if submission.sequence < origin.answered_below {
                return Outcome::Abandoned;
            }
        }
        if submission.only_in_term.is_some_and(|term| term != log_id.leader_id.term) {
            return Outcome::TermOver;
        }
        let result = self.image.apply(index, &submission.command);
        let outcome = Outcome::Applied { index, result };
        self.remember(submission, &outcome, index);
        outcome
    }

    pub(super) fn remember(&mut self, submission: &Submission, outcome: &Outcome, index: u64) {
        let origin = self.origins.entry(submission.origin).or_default();
        origin.last_index = index;
        origin.answered_below = origin.answered_below.max(submission.answered_below);
        origin.answers = origin.answers.split_off(&origin.answered_below);
        origin.answers.insert(submission.sequence, outcome.clone());
        if self.origins.len() > MAX_ORIGINS {
            let silent = self.origins.iter().min_by_key(|(_, origin)| origin.last_index);
            if let Some(silent) = silent.map(|(id, _)| *id) {
                self.origins.remove(&silent);
            }
        }
    }
}

/// openraft's state machine.
pub(in super::super) struct Machine {
    shared: Arc<Shared>,
}

/// Snapshots of a node's life.
#[derive(Debug, Default)]
pub(in super::super) struct Snapshots {
    taken: AtomicU64,
    installed: AtomicU64,
    level: AtomicI16,
}

impl Snapshots {
    /// Taken by itself, and taken up from the leader.
    pub fn counted(&self) -> (u64, u64) {
        (self.taken.load(Ordering::Relaxed), self.installed.load(Ordering::Relaxed))
    }

    /// The level of commands that the stored one names.
    pub fn level(&self) -> i16 {
        self.level.load(Ordering::Relaxed)
    }

    fn stored(&self, image: &Image) {
        self.level.fetch_max(image.commands_level(), Ordering::Relaxed);
    }
}

struct Shared {
    state: Mutex<State>,
    snapshots: Arc<Snapshots>,
    store: LogStore,
    images: watch::Sender<Arc<Image>>,
}

#[derive(Debug, Default)]
struct State {
    contents: Contents,
    last_applied: Option<LogId<u64>>,
    membership: StoredMembership<u64, openraft::BasicNode>,
    snapshot: Option<StoredSnapshot>,
}

impl Machine {
    /// A machine that begins with the stored snapshot. Every image that it comes to is published.
    pub fn new(
        store: LogStore,
        snapshot: Option<StoredSnapshot>,
    ) -> Result<(Machine, watch::Receiver<Arc<Image>>), String> {
        let mut state = State::default();
        if let Some(snapshot) = snapshot {
            state.contents =
                codec::decode(SNAPSHOT, &snapshot.bytes).map_err(|e| format!("snapshot: {e}"))?;
            state.last_applied = snapshot.meta.last_log_id;
            state.membership = snapshot.meta.last_membership.clone();
            state.snapshot = Some(snapshot);
        }
        let snapshots = Arc::<Snapshots>::default();
        if state.snapshot.is_some() {
            snapshots.stored(&state.contents.image);
        }
        let (images, receiver) = watch::channel(Arc::new(state.contents.image.clone()));
        let shared = Arc::new(Shared { state: Mutex::new(state), snapshots, store, images });
        Ok((Machine { shared }, receiver))
    }

    /// What is counted of its snapshots.
    pub fn snapshots(&self) -> Arc<Snapshots> {
        self.shared.snapshots.clone()
    }
}

impl Drop for Machine {
    /// openraft has dropped it, maybe after a failure: who waits for its snapshot waits no more.
    fn drop(&mut self) {
        self.shared.store.end_snapshots();
    }
}

impl Shared {
    fn publish(&self, image: &Image) {
        self.images.send_replace(Arc::new(image.clone()));
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, openraft::BasicNode>), StorageError<u64>> {
        let state = self.shared.state.lock();
        Ok((state.last_applied, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, StorageError<u64>>
    where
        I: IntoIterator<Item = openraft::Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.shared.state.lock();
        let mut outcomes = Vec::new();
        for entry in entries {
            if let EntryPayload::Normal(submission) = &entry.payload
                && let Some(level) = submission.level_above_this_programs(entry.log_id)
            {
                // What comes behind it may mean something else than it would mean here.
                state.contents.image.features.insert(COMMANDS.0.to_owned(), level);
                self.shared.publish(&state.contents.image);
                return Err(too_old(level));
            }
            state.last_applied = Some(entry.log_id);
            outcomes.push(match &entry.payload {
                EntryPayload::Blank => Outcome::Nothing,
                EntryPayload::Normal(submission) => state.contents.apply(entry.log_id, submission),
                EntryPayload::Membership(membership) => {
                    state.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                    Outcome::Nothing
                }
            });
            // Also past entries that did not ask for a change: who waits for an index is served.
            state.contents.image.version = entry.log_id.index;
        }
        self.shared.publish(&state.contents.image);
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let state = self.shared.state.lock();
        Builder {
            shared: self.shared.clone(),
            contents: state.contents.clone(),
            last_applied: state.last_applied,
            membership: state.membership.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, openraft::BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        let bytes = snapshot.into_inner();
        let mut contents: Contents = codec::decode(SNAPSHOT, &bytes).map_err(|e| unreadable(&e))?;
        if planted(Defect::SnapshotForgets) {
            contents.image.brokers.values_mut().for_each(|broker| Arc::make_mut(broker).machine.clear());
        }
        let stored = StoredSnapshot { meta: meta.clone(), bytes: Arc::new(bytes) };
        self.shared.store.save_snapshot(&stored).await?;
        self.shared.snapshots.installed.fetch_add(1, Ordering::Relaxed);
        self.shared.snapshots.stored(&contents.image);
        let mut state = self.shared.state.lock();
        if !planted(Defect::SnapshotUnread) {
            state.contents = contents;
        }
        state.last_applied = meta.last_log_id;
        state.membership = meta.last_membership.clone();
        state.snapshot = Some(stored);
        self.shared.publish(&state.contents.image);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError<u64>> {
        Ok(self.shared.state.lock().snapshot.as_ref().map(as_snapshot))
    }
}

impl Submission {
    /// The level to which it raises the commands, if that is one that this program does not know.
    fn level_above_this_programs(&self, log_id: LogId<u64>) -> Option<i16> {
        let Command::UpdateFeatures { levels } = &self.command else { return None };
        let counts = self.only_in_term.is_none_or(|term| term == log_id.leader_id.term);
        levels.get(COMMANDS.0).copied().filter(|level| counts && *level > COMMANDS.1)
    }
}

fn too_old(level: i16) -> StorageError<u64> {
    // openraft ends with it.
    let reason = format!("{} {level} is of a later version of Esker", COMMANDS.0);
    tracing::error!("the metadata log cannot be followed any further: {reason}");
    StorageError::from_io_error(ErrorSubject::StateMachine, ErrorVerb::Write, std::io::Error::other(reason))
}

fn unreadable(error: &codec::CodecError) -> StorageError<u64> {
    // openraft ends with it.
    tracing::error!("a snapshot of the metadata cannot be read: {error}");
    StorageError::from_io_error(
        ErrorSubject::Snapshot(None),
        ErrorVerb::Read,
        std::io::Error::other(error.to_string()),
    )
}

fn as_snapshot(stored: &StoredSnapshot) -> Snapshot<TypeConfig> {
    Snapshot { meta: stored.meta.clone(), snapshot: Box::new(Cursor::new(stored.bytes.to_vec())) }
}

/// Builds a snapshot from the state as it was when it was asked for.
pub(in super::super) struct Builder {
    shared: Arc<Shared>,
    contents: Contents,
    last_applied: Option<LogId<u64>>,
    membership: StoredMembership<u64, openraft::BasicNode>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<u64>> {
        let bytes = codec::encode(SNAPSHOT, &self.contents).map_err(|e| unreadable(&e))?;
        // The same applied log gives the same bytes on every node, so its end names them.
        let snapshot_id = self.last_applied.map_or_else(|| "empty".to_owned(), |id| id.to_string());
        let meta = SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
            snapshot_id,
        };
        let stored = StoredSnapshot { meta, bytes: Arc::new(bytes) };
        self.shared.store.save_snapshot(&stored).await?;
        self.shared.snapshots.taken.fetch_add(1, Ordering::Relaxed);
        self.shared.snapshots.stored(&self.contents.image);
        let mut state = self.shared.state.lock();
        // One that was installed meanwhile may reach further.
        let newer = |s: &StoredSnapshot| s.meta.last_log_id > stored.meta.last_log_id;
        if !state.snapshot.as_ref().is_some_and(newer) {
            state.snapshot = Some(stored.clone());
        }
        Ok(as_snapshot(&stored))
    }
}
