//! The composition of a broker: partitions, the fetch purgatory, groups, retention, and the driver of the cold tier.
//!
//! [`Broker`] is what `api` calls. One file is one subject: `produce` (a record in), `fetch` (a fetch out), `offsets`,
//! `topics`, `elections`, `reassignments`, `groups`, `transactions`, `markers`, `retention`, `compaction`,
//! `producer_ids`; `lifecycle` starts and stops the whole, on what `seams` gives it.

mod answers;
mod broker_configs;
mod client_metrics;
mod client_telemetry;
mod cluster;
mod cold;
mod compaction;
pub mod config;
mod config_entry;
mod delete_records;
mod directories;
mod elections;
mod epoch_file;
mod fetch;
mod group_configs;
mod groups;
mod lifecycle;
mod live;
mod log_dirs;
mod machine;
mod markers;
mod offsets;
mod peers;
mod produce;
mod producer_ids;
mod quorum;
mod reassignments;
mod retention;
mod seams;
mod standing;
mod stop;
mod telemetry;
#[cfg(test)]
mod testing;
mod tier;
mod topics;
mod transactions;

use std::sync::Arc;

pub use answers::{AnswerBudget, AnswerRoom};
pub use client_metrics::{ClientIdentity, Subscription};
pub use client_telemetry::TelemetryError;
pub use cluster::UnregisterError;
pub use cold::{ColdError, ColdTier};
pub use config_entry::{ConfigEntry, ConfigSource, ConfigSynonym};
pub use delete_records::DeleteRecordsError;
pub use elections::{Elected, Election, ElectionError};
pub use fetch::{ClientPlace, FetchError, FetchPartition, FetchRequest, Fetched};
pub use group_configs::GroupTimes;
pub use groups::OFFSETS_TOPIC;
pub use lifecycle::StartError;
pub use log_dirs::{LogDir, LogDirReplica};
pub use markers::MarkerOutcome;
pub use offsets::{ListError, ListedOffset, OffsetSpec};
pub use produce::{ProduceError, Produced};
pub use reassignments::ReassignError;
pub use seams::{ObjectStores, PeerNetwork, Seams};
pub use standing::{GroupStanding, Standing};
pub use tier::{
    BackupError, CommittedBackup, CutBackup, CutMark, CutTopic, FIRST_PRODUCER_ID, GroupBackup, INCARNATION,
    Kept, MetadataBackup, PartsBackup, RESTORE_CONFIGS, RESTORE_CUT, RESTORE_METADATA, ScrubCounts,
    TierCounts, TopicBackup, TransactionBackup, remote_options,
};
pub use topics::{NewTopic, TopicError, is_topic_config};
pub use transactions::{
    EPOCH_PER_TRANSACTION, NotJoined, ProducerDescription, TRANSACTIONS_TOPIC, Transactional, TxnCommitError,
};

pub use crate::log::Rejected;
pub use crate::metadata::Endpoint;

use parking_lot::Mutex;

use self::config::BrokerConfig;
use self::producer_ids::ProducerIds;
use self::stop::StopSignal;
use crate::coordinator::Coordinators;
use crate::env::metrics::Histogram;
use crate::env::{Background, BlockingPool, Env};
use crate::metadata::{Image, Metadata};
use crate::replication::ReplicaManager;
use crate::transport::SharedTransport;
use crate::types::BrokerId;

/// A running broker. Everything that `api` and `admin` do goes through it.
pub struct Broker {
    env: Env,
    config: BrokerConfig,
    live: Arc<live::LiveConfig>,
    client_telemetry: client_telemetry::ClientTelemetry,
    subscriptions: Mutex<client_metrics::Subscriptions>,
    metadata: Metadata,
    replicas: Arc<ReplicaManager>,
    coordinators: Coordinators,
    transactions: transactions::TransactionHost,
    markers: Arc<markers::Markers>,
    verifying: produce::Verifying,
    tier: Option<Arc<dyn ColdTier>>,
    cold_store: Option<Arc<tier::ColdStore>>,
    transport: SharedTransport,
    /// For files that are no log directory's; those of the only directory, where there is one.
    disk_threads: BlockingPool,
    directories: Arc<directories::Directories>,
    late_reads: directories::LateReads,
    /// Makes the metrics.
    status_thread: BlockingPool,
    producer_ids: ProducerIds,
    answers: AnswerBudget,
    fetch_wait: Histogram,
    fetch_remote: Histogram,
    lags: Mutex<standing::Lags>,
    stopping: StopSignal,
    cold: Background,
}

impl Broker {
    /// The seams.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The configuration that it was started with; what can change at run time is in [`Broker::live`].
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Its id.
    #[must_use]
    pub fn node_id(&self) -> BrokerId {
        self.config.node_id
    }

    /// What the cluster knows, as of now on this broker.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        self.metadata.image()
    }

    /// The metadata quorum.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The partitions on this broker.
    #[must_use]
    pub fn replicas(&self) -> &Arc<ReplicaManager> {
        &self.replicas
    }

    /// What it asked of the cold tier's store; `None` without a tier.
    #[must_use]
    pub fn tier_counts(&self) -> Option<TierCounts> {
        self.cold_store.as_ref().map(|store| store.counts())
    }

    /// The groups coordinated here.
    #[must_use]
    pub fn coordinators(&self) -> &Coordinators {
        &self.coordinators
    }

    /// The broker that clients are told is the controller: the metadata leader if it is alive, else any live broker.
    #[must_use]
    pub fn controller(&self) -> Option<BrokerId> {
        let image = self.image();
        self.metadata
            .leader()
            .filter(|id| image.is_active(*id))
            .or_else(|| image.brokers.keys().copied().find(|id| image.is_active(*id)))
    }
}
