//! What every coordinator's state machine has in common: decide, log, replay.
//!
//! A shard is all state of one partition of its topic. An event gives entries for the log, answers, and tasks for the
//! world; answers and tasks wait until so many entries are committed. What must survive changes only by entries, in the
//! same way whether they were just decided or come from the log.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::records::InvalidRecord;
use crate::env::MonoTime;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::wire::EncodeError;

/// A request in flight at one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The two clocks at the moment of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Sessions, rebalances and transactions are measured with it.
    pub mono: MonoTime,
    /// Timestamps and retention are made of it.
    pub wall_ms: i64,
    /// Whether the wall clock agrees with the quorum's time: what has become old is forgotten only then.
    pub may_expire: bool,
}

/// A transactional producer in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Fences its former lives.
    pub epoch: ProducerEpoch,
}

/// The end of a producer's transaction in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whose.
    pub producer: Producer,
    /// Commit or abort.
    pub commit: bool,
    /// The epoch of the transaction coordinator that decided it.
    pub coordinator_epoch: i32,
}

/// One entry of a shard's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<R> {
    /// Holds at once.
    Record(R),
    /// Holds once the producer's transaction is committed.
    InTransaction(Producer, R),
    /// Ends a producer's transaction.
    Marker(Marker),
}

/// A reply, and how much must be committed before it may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<P> {
    /// Whom it answers.
    pub id: RequestId,
    /// Entries of this shard, counted from its load, that must be committed before.
    pub after: u64,
    /// The reply.
    pub reply: P,
}

/// What follows from an event.
#[derive(Debug)]
pub struct Output<R, P, T> {
    /// To be appended in this order.
    pub entries: Vec<Entry<R>>,
    /// To be sent when so much is committed.
    pub answers: Vec<Answer<P>>,
    /// To be done when so much is committed.
    pub tasks: Vec<(u64, T)>,
}

impl<R, P, T> Default for Output<R, P, T> {
    fn default() -> Self {
        Output { entries: Vec::new(), answers: Vec::new(), tasks: Vec::new() }
    }
}

/// Bounds of a shard's use of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// The largest batch that is appended.
    pub max_batch_bytes: usize,
    /// How long a write that the log refuses for now is tried again.
    pub commit_timeout: Duration,
    /// Bytes of one read while the partition is loaded.
    pub load_buffer_bytes: usize,
}

/// The state machine of one partition: no clock, no socket and no task inside.
pub trait Shard: Send + Sized + 'static {
    /// Its settings.
    type Config: Send + Sync + 'static;
    /// What it is asked.
    type Request: Send + 'static;
    /// What it answers.
    type Reply: Send + 'static;
    /// What it remembers.
    type Record: Send + Sync + 'static;
    /// What it wants done; the outcome comes back as a request.
    type Task: Send + 'static;
    /// What it knows besides its log and must know again when it is loaded anew under the same epoch.
    type Memory: Default + Send + 'static;
    /// What it keeps, for the log's readers.
    const KEEPS: &'static str;

    /// An empty shard under a leader epoch, ready to replay a log to its `end`. Under the same epoch it may be loaded more than
    /// once, each time with a later end if anything was committed since.
    fn new(config: Arc<Self::Config>, epoch: LeaderEpoch, end: Offset) -> Self;
    /// How it uses its log.
    fn limits(config: &Self::Config) -> LogLimits;
    /// Takes one entry of the log; only before [`Shard::start`].
    fn replay(&mut self, entry: &Entry<Self::Record>);
    /// Takes what a former load under the same epoch knew; only before [`Shard::start`].
    fn remember(&mut self, memory: Self::Memory);
    /// What the next load under this epoch must know: of what was decided only the first `committed` entries hold.
    fn into_memory(self, committed: u64) -> Self::Memory;
    /// Ends the replay.
    fn start(&mut self, now: Now) -> OutputOf<Self>;
    /// How much it keeps.
    fn kept(&self) -> usize;
    /// When [`Shard::on_time`] is due next.
    fn next_deadline(&self) -> Option<MonoTime>;
    /// Decides one request. Its answer may come in a later output, but does come.
    fn decide(&mut self, id: RequestId, request: Self::Request, now: Now) -> OutputOf<Self>;
    /// Ends what is due.
    fn on_time(&mut self, now: Now) -> OutputOf<Self>;
    /// Key and value of a record; no value is a tombstone.
    ///
    /// # Errors
    /// `EncodeError` when a text is longer than the schema can say.
    fn encode(record: &Self::Record) -> Result<(Bytes, Option<Bytes>), EncodeError>;
    /// Reads a record; `None` for one of a type or version that belongs to others.
    ///
    /// # Errors
    /// `InvalidRecord` when the bytes are not what their type says.
    fn decode(key: Option<Bytes>, value: Option<Bytes>) -> Result<Option<Self::Record>, InvalidRecord>;
    /// About how many bytes a record takes in a batch, never less than it does.
    fn size_bound(record: &Self::Record) -> usize;
}

/// What follows from an event at a shard.
pub type OutputOf<S> = Output<<S as Shard>::Record, <S as Shard>::Reply, <S as Shard>::Task>;

impl Display for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "producer {} epoch {}", self.id, self.epoch)
    }
}
