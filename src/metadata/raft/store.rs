//! Raft's durable state: log, vote, purge point, commit point and snapshot, in one redb file.
//!
//! - All of the log that is not purged is kept in memory too, so that reads never touch the disk; the snapshot policy
//!   bounds it.
//! - Writes go through one thread in the order they came; what has queued up is one transaction, with two-phase commit:
//!   redb then refuses a damaged root instead of going back to an older one, which would forget a vote.
//! - At start everything is read and its checksums compared. A store that is damaged is not opened: the node neither
//!   votes nor leads, and says why.
//! - The log is purged only as far as a durable snapshot reaches: openraft asks for the purge while its machine still
//!   installs the snapshot, and goes on with neither log entries nor answers until the purge is done.
//! - After a failed write nothing is written any more.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    ErrorSubject, ErrorVerb, LogId, LogState, OptionalSend, RaftLogReader, SnapshotMeta, StorageError, Vote,
};
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tokio::sync::{oneshot, watch};

use super::backend::Backend;
use super::{TypeConfig, codec};
use crate::env::{BlockingPool, OpenMode, SharedDisk};
use crate::types::BrokerId;

/// The file in the metadata directory.
const FILE: &str = "metadata.redb";
/// Log entries by index.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
/// Single values by name.
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");

const NODE: &str = "node";
const IDENTITY: &str = "identity";
const VOTE: &str = "vote";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";
const SNAPSHOT_META: &str = "snapshot-meta";
const SNAPSHOT: &str = "snapshot";

/// Pages of the database in memory; the log itself is in memory anyway.
const CACHE_BYTES: usize = 4 << 20;

type Entry = openraft::Entry<TypeConfig>;
type Meta = SnapshotMeta<u64, openraft::BasicNode>;

/// Why the Raft store cannot be used. The node must not take part in the quorum then.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk refuses.
    #[error("the metadata store {path} cannot be read or written: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Bit rot, or a file that is no store.
    #[error(
        "the metadata store {path} is damaged ({what}): this node does not take part in the metadata quorum. \
         Remove the file to let it fetch everything from the others, but only if a majority of them is whole"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part and how.
        what: String,
    },
    /// The directory belongs to another node.
    #[error("the metadata store {path} belongs to node {found}, not to node {expected}")]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// Who wrote it.
        found: BrokerId,
        /// Who opens it.
        expected: BrokerId,
    },
}

/// The store and what it held.
pub(in super::super) struct Opened {
    /// For openraft.
    pub store: LogStore,
    /// Drawn when the store was created; see `node`.
    pub identity: u32,
    /// The last snapshot.
    pub snapshot: Option<StoredSnapshot>,
}

/// A snapshot as it lies on disk and travels.
#[derive(Clone, Debug)]
pub(in super::super) struct StoredSnapshot {
    pub meta: Meta,
    pub bytes: Arc<Vec<u8>>,
}

/// openraft's log store; cheap to clone.
#[derive(Clone)]
pub(in super::super) struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// Only the writer's thread uses it; `None` once it is closed.
    database: Mutex<Option<Database>>,
    memory: Mutex<Memory>,
    queue: Mutex<Vec<Write>>,
    snapshots: watch::Sender<Snapshots>,
    writer: BlockingPool,
}

/// How far the log may be purged.
#[derive(Debug, Default)]
struct Snapshots {
    /// The index behind the last durable snapshot.
    durable_end: u64,
    /// The machine is gone: no other snapshot will come.
    ended: bool,
}

/// What the disk holds, or will once the queue is written.
#[derive(Debug, Default)]
struct Memory {
    log: BTreeMap<u64, Entry>,
    vote: Option<Vote<u64>>,
    purged: Option<LogId<u64>>,
    committed: Option<LogId<u64>>,
    /// `committed` as last written; it is written with whatever comes next.
    committed_written: Option<LogId<u64>>,
    /// The index behind the last snapshot that was queued.
    snapshot_end: u64,
    /// The first failed write; everything after it fails too.
    failed: Option<String>,
}

enum Write {
    Append(Vec<(u64, Vec<u8>)>, LogFlushed<TypeConfig>),
    Other(Change, oneshot::Sender<io::Result<()>>),
}

enum Change {
    Values(Vec<(&'static str, Vec<u8>)>),
    Truncate {
        from: u64,
    },
    Purge {
        up_to: u64,
        value: Vec<u8>,
    },
    /// Writes what is pending.
    Flush,
}

impl LogStore {
    /// Opens or creates the store in a directory and checks all that it holds. A new one takes `drawn` for its identity.
    /// `writer` has one thread.
    pub async fn open(
        disk: SharedDisk,
        dir: &Path,
        node: BrokerId,
        drawn: u32,
        writer: BlockingPool,
    ) -> Result<Opened, StoreError> {
        let path = dir.join(FILE);
        let opening = {
            let (path, writer) = (path.clone(), writer.clone());
            move || Shared::open(&disk, path, Owner { node, identity: drawn }, writer)
        };
        match writer.run(opening).await {
            Ok(Ok((shared, Loaded { identity, snapshot, .. }))) => {
                Ok(Opened { store: LogStore { shared: Arc::new(shared) }, identity, snapshot })
            }
            Ok(Err(error)) => Err(error),
            Err(panic) => Err(StoreError::Damaged { path, what: panic.to_string() }),
        }
    }

    /// Makes a snapshot durable. One that is older than what was given before is dropped: it was built while a newer
    /// one came from the leader, and the log may be purged as far as that one reaches.
    pub async fn save_snapshot(&self, snapshot: &StoredSnapshot) -> Result<(), StorageError<u64>> {
        let meta = codec::encode(SNAPSHOT_META.as_bytes(), &snapshot.meta)
            .map_err(|e| failure(ErrorSubject::Snapshot(None), io::Error::other(e)))?;
        let values = vec![(SNAPSHOT_META, meta), (SNAPSHOT, snapshot.bytes.to_vec())];
        let end = end_of(&snapshot.meta);
        let (done, outcome) = oneshot::channel();
        {
            // Held until it is queued, so that the queue has them in order.
            let mut memory = self.shared.memory.lock();
            if end < memory.snapshot_end {
                return Ok(());
            }
            memory.snapshot_end = end;
            self.enqueue(Write::Other(Change::Values(values), done));
        }
        written(outcome).await.map_err(|e| failure(ErrorSubject::Snapshot(None), e))?;
        self.shared.snapshots.send_modify(|s| s.durable_end = s.durable_end.max(end));
        Ok(())
    }

    /// No snapshot will come any more; a purge that waits for one fails.
    pub fn end_snapshots(&self) {
        self.shared.snapshots.send_modify(|s| s.ended = true);
    }

    /// Writes what is pending and closes the file; every later write fails.
    pub async fn close(&self) -> io::Result<()> {
        let flushed = self.write(Change::Flush).await;
        let shared = self.shared.clone();
        let closed = self.shared.writer.run(move || shared.database.lock().take());
        closed.await.map_err(io::Error::other)?;
        flushed
    }

    async fn write(&self, change: Change) -> io::Result<()> {
        let (done, outcome) = oneshot::channel();
        self.enqueue(Write::Other(change, done));
        written(outcome).await
    }

    fn enqueue(&self, write: Write) {
        self.shared.queue.lock().push(write);
        let shared = self.shared.clone();
        self.shared.writer.spawn(move || shared.drain());
    }
}

async fn written(outcome: oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
    outcome.await.unwrap_or_else(|_| Err(io::Error::other("the metadata store has ended")))
}

/// The index behind a snapshot.
fn end_of(meta: &Meta) -> u64 {
    meta.last_log_id.map_or(0, |id| id.index + 1)
}

impl Shared {
    fn open(
        disk: &SharedDisk,
        path: PathBuf,
        owner: Owner,
        writer: BlockingPool,
    ) -> Result<(Shared, Loaded), StoreError> {
        let unusable = |e: io::Error| StoreError::Io { path: path.clone(), reason: e.to_string() };
        if let Some(dir) = path.parent() {
            disk.create_dir_all(dir).map_err(unusable)?;
        }
        // The keys of users are in it: it is its owner's alone.
        if !disk.exists(&path).map_err(unusable)? {
            disk.write_secret(&path, &[]).map_err(unusable)?;
        }
        let file = disk.open(&path, OpenMode::ReadWrite).map_err(unusable)?;
        let damaged = |what: String| StoreError::Damaged { path: path.clone(), what };
        let mut database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(Backend(file))
            .map_err(|e| damaged(e.to_string()))?;
        match database.check_integrity() {
            Ok(true) => {}
            Ok(false) => return Err(damaged("its pages contradict each other".to_owned())),
            Err(e) => return Err(damaged(e.to_string())),
        }
        if let Some(dir) = path.parent() {
            disk.sync_dir(dir).map_err(unusable)?;
        }
        let mut loaded = load(&database, owner, &path)?;
        let durable_end = loaded.memory.snapshot_end;
        let shared = Shared {
            path,
            database: Mutex::new(Some(database)),
            memory: Mutex::new(std::mem::take(&mut loaded.memory)),
            queue: Mutex::default(),
            snapshots: watch::Sender::new(Snapshots { durable_end, ended: false }),
            writer,
        };
        Ok((shared, loaded))
    }

    /// Writes all that has queued up as one transaction, and tells who waits.
    fn drain(&self) {
        let writes = std::mem::take(&mut *self.queue.lock());
        if writes.is_empty() {
            return;
        }
        let failed = self.memory.lock().failed.clone();
        let result = match failed {
            Some(reason) => Err(reason),
            None => self.commit(&writes).map_err(|e| e.to_string()),
        };
        if let Err(reason) = &result {
            tracing::error!(path = %self.path.display(), %reason, "the metadata store cannot be written any more");
            self.memory.lock().failed.get_or_insert_with(|| reason.clone());
        }
        let outcome = || result.clone().map_err(io::Error::other);
        for write in writes {
            match write {
                Write::Append(_, done) => done.log_io_completed(outcome()),
                Write::Other(_, done) => {
                    let _ = done.send(outcome());
                }
            }
        }
    }

    fn commit(&self, writes: &[Write]) -> Result<(), redb::Error> {
        let (committed, is_new) = {
            let memory = self.memory.lock();
            (memory.committed, memory.committed != memory.committed_written)
        };
        let database = self.database.lock();
        let database = database.as_ref().ok_or_else(|| redb::Error::DatabaseClosed)?;
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        {
            let mut log = transaction.open_table(LOG)?;
            let mut state = transaction.open_table(STATE)?;
            for write in writes {
                match write {
                    Write::Append(entries, _) => {
                        for (index, bytes) in entries {
                            log.insert(index, bytes.as_slice())?;
                        }
                    }
                    Write::Other(Change::Values(values), _) => {
                        for (name, bytes) in values {
                            state.insert(name, bytes.as_slice())?;
                        }
                    }
                    Write::Other(Change::Truncate { from }, _) => log.retain_in(*from.., |_, _| false)?,
                    Write::Other(Change::Purge { up_to, value }, _) => {
                        log.retain_in(..=*up_to, |_, _| false)?;
                        state.insert(PURGED, value.as_slice())?;
                    }
                    Write::Other(Change::Flush, _) => {}
                }
            }
            if is_new {
                let bytes = codec::encode(COMMITTED.as_bytes(), &committed)
                    .map_err(|e| redb::Error::Corrupted(e.to_string()))?;
                state.insert(COMMITTED, bytes.as_slice())?;
            }
        }
        transaction.commit()?;
        self.memory.lock().committed_written = committed;
        Ok(())
    }
}

/// Whose store it is, if it is new.
#[derive(Clone, Copy)]
struct Owner {
    node: BrokerId,
    identity: u32,
}

/// What a store held.
struct Loaded {
    memory: Memory,
    identity: u32,
    snapshot: Option<StoredSnapshot>,
}

/// Reads and checks everything; a new file gets its owner's mark.
fn load(database: &Database, own: Owner, path: &Path) -> Result<Loaded, StoreError> {
    let damaged = |what: String| StoreError::Damaged { path: path.to_owned(), what };
    let broken = |e: redb::Error| damaged(e.to_string());
    let Owner { node, identity } = own;
    if mark_owner(database, own).map_err(broken)? {
        return Ok(Loaded { memory: Memory::default(), identity, snapshot: None });
    }
    let transaction = database.begin_read().map_err(|e| broken(e.into()))?;
    let state = transaction.open_table(STATE).map_err(|e| broken(e.into()))?;
    let bytes = |name: &str| -> Result<Option<Vec<u8>>, StoreError> {
        let value = state.get(name).map_err(|e| broken(e.into()))?;
        Ok(value.map(|guard| guard.value().to_vec()))
    };
    fn parse<T: serde::de::DeserializeOwned>(
        name: &str,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<T>, String> {
        let parsed = bytes.map(|bytes| codec::decode(name.as_bytes(), &bytes)).transpose();
        parsed.map_err(|e| format!("{name}: {e}"))
    }
    let owner: Option<BrokerId> = parse(NODE, bytes(NODE)?).map_err(damaged)?;
    match owner {
        Some(found) if found != node => {
            return Err(StoreError::OtherNode { path: path.to_owned(), found, expected: node });
        }
        Some(_) => {}
        None => return Err(damaged("its owner's mark is missing".to_owned())),
    }
    // A store from before there were identities is the number 0.
    let identity = parse(IDENTITY, bytes(IDENTITY)?).map_err(damaged)?.unwrap_or_default();
    let committed: Option<Option<LogId<u64>>> = parse(COMMITTED, bytes(COMMITTED)?).map_err(damaged)?;
    let committed = committed.flatten();
    let mut memory = Memory {
        vote: parse(VOTE, bytes(VOTE)?).map_err(damaged)?,
        purged: parse(PURGED, bytes(PURGED)?).map_err(damaged)?,
        committed,
        committed_written: committed,
        ..Memory::default()
    };
    let snapshot = match (parse(SNAPSHOT_META, bytes(SNAPSHOT_META)?).map_err(damaged)?, bytes(SNAPSHOT)?) {
        (Some(meta), Some(bytes)) => Some(StoredSnapshot { meta, bytes: Arc::new(bytes) }),
        (None, None) => None,
        _ => return Err(damaged("half of the snapshot is missing".to_owned())),
    };

    let log = transaction.open_table(LOG).map_err(|e| broken(e.into()))?;
    let mut expected = memory.purged.map(|id| id.index + 1);
    for item in log.iter().map_err(|e| broken(e.into()))? {
        let (key, value) = item.map_err(|e| broken(e.into()))?;
        let index = key.value();
        let entry: Entry = codec::decode(&index.to_be_bytes(), value.value())
            .map_err(|e| damaged(format!("log entry {index}: {e}")))?;
        if expected.is_some_and(|expected| expected != index) || entry.log_id.index != index {
            return Err(damaged(format!("log entry {index} stands where {expected:?} should")));
        }
        expected = Some(index + 1);
        memory.log.insert(index, entry);
    }
    memory.snapshot_end = snapshot.as_ref().map_or(0, |s| end_of(&s.meta));
    if memory.purged.is_some_and(|purged| purged.index >= memory.snapshot_end) {
        return Err(damaged("the log is purged beyond the snapshot".to_owned()));
    }
    Ok(Loaded { memory, identity, snapshot })
}

/// Whether the file is new; then it belongs to `node` from now on.
fn mark_owner(database: &Database, owner: Owner) -> Result<bool, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    let is_new = {
        let log = transaction.open_table(LOG)?;
        let mut state = transaction.open_table(STATE)?;
        let is_new = log.first()?.is_none() && state.first()?.is_none();
        if is_new {
            let unfit = |e: codec::CodecError| redb::Error::Corrupted(e.to_string());
            let node = codec::encode(NODE.as_bytes(), &owner.node).map_err(unfit)?;
            state.insert(NODE, node.as_slice())?;
            let identity = codec::encode(IDENTITY.as_bytes(), &owner.identity).map_err(unfit)?;
            state.insert(IDENTITY, identity.as_slice())?;
        }
        is_new
    };
    transaction.commit()?;
    Ok(is_new)
}

fn failure(subject: ErrorSubject<u64>, error: io::Error) -> StorageError<u64> {
    StorageError::from_io_error(subject, ErrorVerb::Write, error)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError<u64>> {
        Ok(self.shared.memory.lock().log.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<u64>> {
        let memory = self.shared.memory.lock();
        let last = memory.log.last_key_value().map(|(_, entry)| entry.log_id);
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: last.or(memory.purged) })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        let bytes = codec::encode(VOTE.as_bytes(), vote)
            .map_err(|e| failure(ErrorSubject::Vote, io::Error::other(e)))?;
        self.shared.memory.lock().vote = Some(*vote);
        self.write(Change::Values(vec![(VOTE, bytes)])).await.map_err(|e| failure(ErrorSubject::Vote, e))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        Ok(self.shared.memory.lock().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Result<(), StorageError<u64>> {
        // Only spares a restart the wait for the leader: it is written with the next write, or at the stop.
        self.shared.memory.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        Ok(self.shared.memory.lock().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut encoded = Vec::new();
        {
            let mut memory = self.shared.memory.lock();
            for entry in entries {
                let index = entry.log_id.index;
                let bytes = codec::encode(&index.to_be_bytes(), &entry)
                    .map_err(|e| failure(ErrorSubject::Log(entry.log_id), io::Error::other(e)))?;
                encoded.push((index, bytes));
                memory.log.insert(index, entry);
            }
        }
        self.enqueue(Write::Append(encoded, callback));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        self.shared.memory.lock().log.split_off(&log_id.index);
        self.write(Change::Truncate { from: log_id.index })
            .await
            .map_err(|e| failure(ErrorSubject::Log(log_id), e))
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        let value = codec::encode(PURGED.as_bytes(), &log_id)
            .map_err(|e| failure(ErrorSubject::Log(log_id), io::Error::other(e)))?;
        // Without the log and without a snapshot in its place nothing could be made of the store after a crash.
        let covered = {
            let mut snapshots = self.shared.snapshots.subscribe();
            let known = snapshots.wait_for(|s| s.durable_end > log_id.index || s.ended).await;
            known.is_ok_and(|s| s.durable_end > log_id.index)
        };
        if !covered {
            let lacking = io::Error::other("the snapshot that is to replace the log was not stored");
            return Err(failure(ErrorSubject::Log(log_id), lacking));
        }
        {
            let mut memory = self.shared.memory.lock();
            memory.log = memory.log.split_off(&(log_id.index + 1));
            memory.purged = Some(log_id);
        }
        self.write(Change::Purge { up_to: log_id.index, value })
            .await
            .map_err(|e| failure(ErrorSubject::Log(log_id), e))
    }
}
