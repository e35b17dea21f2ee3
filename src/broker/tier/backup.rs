//! What the cluster knows besides its records, written to the store so that the bucket alone can bring a cluster back:
//! topics, configs, users, ACLs and quotas by the leader of the metadata quorum, committed offsets and transactional ids by
//! their coordinators.
//!
//! ```text
//! image ─────────────► <cluster>/cluster/metadata/<generation>            whoever leads the quorum
//! groups that we coordinate ─► <cluster>/cluster/groups/<broker>/<generation>     every broker, in parts (`parts`)
//! transactional ids ────────► <cluster>/cluster/transactions/<broker>/<generation>   the same
//! ```
//! A new cluster under an old one's id writes nothing before the old one's state is back (`esker tier restore-cluster`): its
//! empty backups would push the full ones out.
//! Written every `tier.backup.interval.ms`, and only when something has changed. What is committed after the last
//! backup is lost with the cluster: its consumers read some records twice. Passwords are not in it; SCRAM's keys are, so
//! the bucket must be as private as the brokers' disks.

mod cut;
mod groups;
mod parts;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tiering::backup;
use tiering::layout::PartitionFolder;
use tiering::owner::OwnerError;
use tiering::store::{Store, StoreError};

use self::parts::{PartError, PartWriter, Source};
use super::owner::{FIRST_PRODUCER_ID, INCARNATION};
use super::store::ColdStore;
use crate::broker::Broker;
use crate::broker::TopicError;
use crate::broker::config::BrokerConfig;
use crate::broker::stop::StopSignal;
use crate::coordinator::Coordinators;
use crate::coordinator::txn::TransactionCoordinators;
use crate::metadata::{
    AclBinding, Command, Image, QuotaChange, QuotaEntity, Quotas, ScramCredential, ScramMechanism,
};
use crate::types::{BrokerId, DirectoryId};

pub(super) use cut::groups_for_cut;
pub use cut::{CutBackup, CutMark, CutTopic};
pub use groups::{CommittedBackup, GroupBackup};
#[cfg(test)]
pub(super) use parts::PartBackup;
pub use parts::{Kept, PartsBackup};
pub use transactions::TransactionBackup;

/// The broker config whose change brings a backup's users, ACLs, quotas and broker configs back: its value is the
/// generation. It is never stored.
pub const RESTORE_METADATA: &str = "tier.restore.metadata";
/// Producer ids that may have been given out since the backup.
const PRODUCER_ID_MARGIN: i64 = 1_000_000;

/// Why there is no backup to read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whose store it is, is not known.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// A part that a backup names is damaged or gone.
    #[error("{0}, which a backup names, is damaged or gone")]
    Part(String),
    /// A whole object that says something else.
    #[error("generation {generation} of {folder} is no backup of this version: {error}")]
    Content {
        /// Where.
        folder: String,
        /// Which.
        generation: u64,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// A topic as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicBackup {
    /// Its name.
    pub name: String,
    /// Its id, as text.
    pub id: String,
    /// How many partitions.
    pub partitions: i32,
    /// Replicas of each.
    pub replication_factor: i16,
    /// Configs set on it.
    pub configs: BTreeMap<String, String>,
}

/// The cluster's metadata, but for where its replicas were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataBackup {
    /// The image's version: of two backups the higher one is the later one.
    pub version: u64,
    /// The cluster.
    pub cluster_id: String,
    /// All topics but the brokers' own.
    pub topics: Vec<TopicBackup>,
    /// Configs set at run time, of one broker or of all (`None`).
    pub broker_configs: Vec<(Option<BrokerId>, BTreeMap<String, String>)>,
    /// Users and their credentials.
    pub users: BTreeMap<String, BTreeMap<ScramMechanism, ScramCredential>>,
    /// Access control entries.
    pub acls: Vec<AclBinding>,
    /// Quotas.
    pub quotas: Vec<(QuotaEntity, Quotas)>,
    /// The next producer id.
    pub next_producer_id: i64,
    /// The brokers' log directories: a cluster that shares none of them is another life, and writes no backup over this one.
    pub directories: BTreeSet<DirectoryId>,
}

impl MetadataBackup {
    /// Of an image.
    #[must_use]
    pub fn of(image: &Image) -> MetadataBackup {
        let topics = image.topics.values().filter(|topic| !topic.name.is_internal());
        let replicas =
            |topic: &crate::metadata::Topic| topic.partitions.first().map_or(0, |p| p.replicas.len());
        MetadataBackup {
            version: image.version,
            cluster_id: image.cluster_id.clone(),
            topics: topics
                .map(|topic| TopicBackup {
                    name: topic.name.to_string(),
                    id: topic.id.to_string(),
                    partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
                    replication_factor: i16::try_from(replicas(topic)).unwrap_or(i16::MAX),
                    configs: topic.configs.clone(),
                })
                .collect(),
            broker_configs: image.broker_configs.iter().map(|(id, all)| (*id, all.clone())).collect(),
            users: image.users.clone(),
            acls: image.acls.iter().cloned().collect(),
            quotas: image.quotas.iter().map(|(who, quotas)| (who.clone(), quotas.clone())).collect(),
            next_producer_id: image.next_producer_id,
            directories: image
                .brokers
                .values()
                .flat_map(|broker| broker.directories.iter().copied())
                .collect(),
        }
    }

    /// Whether the cluster that wrote `other` is this one, in this life.
    pub(super) fn same_life(&self, other: &MetadataBackup) -> bool {
        !self.directories.is_disjoint(&other.directories)
    }

    /// Whether an image holds the same, whatever else has happened.
    fn says_as(&self, other: &MetadataBackup) -> bool {
        MetadataBackup { version: other.version, ..self.clone() } == *other
    }

    /// The newest one of a cluster.
    ///
    /// # Errors
    /// What the store answers, or an object of a version to come.
    pub async fn newest(
        store: &dyn Store,
        cluster_id: &str,
    ) -> Result<Option<(u64, MetadataBackup)>, BackupError> {
        read(store, PartitionFolder::metadata_backups_of(cluster_id)).await
    }

    /// Above all producer ids that were given out, also since this was written.
    #[must_use]
    pub fn first_free_producer_id(&self) -> i64 {
        self.next_producer_id.saturating_add(PRODUCER_ID_MARGIN)
    }

    /// The commands that bring back users, ACLs, quotas, broker configs and producer ids.
    #[must_use]
    pub fn commands(self) -> Vec<Command> {
        let below = self.first_free_producer_id();
        let users = self.users.into_iter().flat_map(|(user, credentials)| {
            credentials.into_iter().map(move |(mechanism, credential)| Command::UpsertUser {
                user: user.clone(),
                mechanism,
                credential,
            })
        });
        let configs = self.broker_configs.into_iter().map(|(broker, configs)| Command::AlterBrokerConfig {
            broker,
            // The restore has begun another life than the one that wrote this.
            changes: configs
                .into_iter()
                .filter(|(name, _)| name != INCARNATION && name != FIRST_PRODUCER_ID)
                .map(|(name, value)| (name, Some(value)))
                .collect(),
        });
        let quotas = self.quotas.into_iter().map(|(entity, quotas)| QuotaChange {
            entity,
            changes: quotas.into_iter().map(|(key, value)| (key, Some(value))).collect(),
        });
        let mut commands: Vec<Command> = users.chain(configs).collect();
        commands.push(Command::AlterQuotas { changes: quotas.collect() });
        commands.push(Command::CreateAcls { bindings: self.acls });
        commands.push(Command::ReserveProducerIds { below });
        commands
    }
}

pub(super) async fn read<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    folder: String,
) -> Result<Option<(u64, T)>, BackupError> {
    let Some(found) = backup::newest(store, &folder).await? else { return Ok(None) };
    for generation in &found.damaged {
        tracing::error!(folder, generation, "a backup is damaged; the one before it is used");
    }
    let generation = found.generation;
    match serde_json::from_slice(&found.body) {
        Ok(body) => Ok(Some((generation, body))),
        Err(error) => Err(BackupError::Content { folder, generation, error }),
    }
}

/// Whether the store's backups are of this life of the cluster. The leader of the quorum begins where there are none.
pub(super) async fn is_ours(cold: &ColdStore, node_id: BrokerId) -> Result<bool, BackupError> {
    let now = MetadataBackup::of(&cold.metadata.image());
    let newest = MetadataBackup::newest(&*cold.store, &now.cluster_id).await?;
    Ok(match newest {
        Some((_, found)) if found.same_life(&now) => true,
        Some((generation, _)) => {
            tracing::warn!(
                cluster = now.cluster_id,
                generation,
                "the store holds the backup of an earlier life of this cluster, so none is written: bring it back with \
                 `esker tier restore-cluster`, or remove the folder `cluster/metadata` of this cluster from the store"
            );
            false
        }
        None => cold.metadata.leader() == Some(node_id),
    })
}

/// The task that writes backups.
pub struct ClusterBackup {
    cold: Arc<ColdStore>,
    coordinators: Coordinators,
    transactions: TransactionCoordinators,
    node_id: BrokerId,
    stopping: StopSignal,
    interval: Duration,
}

impl ClusterBackup {
    /// Starts it on the cold runtime, unless `tier.backup.interval.ms` is 0.
    pub fn start(
        cold: Arc<ColdStore>,
        config: &BrokerConfig,
        (coordinators, transactions): (Coordinators, TransactionCoordinators),
        stopping: StopSignal,
    ) {
        let interval = config.millis("tier.backup.interval.ms");
        if interval.is_zero() {
            return;
        }
        let runtime = cold.runtime.clone();
        let task =
            ClusterBackup { cold, coordinators, transactions, node_id: config.node_id, stopping, interval };
        runtime.spawn(async move { task.run().await });
    }

    async fn run(&self) {
        let mut ours = false;
        let mut metadata = None;
        let (mut groups, mut transactions) = (None, None);
        loop {
            tokio::select! {
                () = self.cold.env.clock.sleep(self.interval) => {}
                () = self.stopping.stopped() => return,
            }
            let round = async {
                if !self.cold.owns_now().await? {
                    return Ok(());
                }
                if !ours {
                    ours = is_ours(&self.cold, self.node_id).await?;
                }
                if ours {
                    self.write_metadata(&mut metadata).await?;
                    self.write_parts(Source::Groups(&self.coordinators), &mut groups).await?;
                    self.write_parts(Source::Transactions(&self.transactions), &mut transactions).await?;
                }
                Ok::<(), BackupError>(())
            };
            tokio::select! {
                written = round => if let Err(error) = written {
                    tracing::warn!(%error, "no backup of the cluster could be written; tried again after the interval");
                },
                () = self.stopping.stopped() => return,
            }
        }
    }

    async fn write_metadata(&self, last: &mut Option<MetadataBackup>) -> Result<(), StoreError> {
        if self.cold.metadata.leader() != Some(self.node_id) {
            *last = None; // another one writes meanwhile
            return Ok(());
        }
        let now = MetadataBackup::of(&self.cold.metadata.image());
        if last.as_ref().is_some_and(|last| last.says_as(&now)) {
            return Ok(());
        }
        let folder = PartitionFolder::metadata_backups_of(&now.cluster_id);
        self.write(&folder, &now).await?;
        *last = Some(now);
        Ok(())
    }

    async fn write_parts(&self, from: Source<'_>, last: &mut Option<PartsBackup>) -> Result<(), BackupError> {
        let image = self.cold.metadata.image();
        let (cluster_id, broker) = (&image.cluster_id, self.node_id.to_string());
        let kept = from.kept();
        let folder = kept.folder(cluster_id, &broker);
        if last.is_none() {
            // Of the run before: with what others may not have written again yet.
            *last = match read(&*self.cold.store, folder.clone()).await {
                Ok(found) => found.map(|(_, found)| found),
                Err(error @ BackupError::Content { .. }) => {
                    tracing::warn!(%error, "the last backup of what is coordinated here is not taken over");
                    None
                }
                Err(error) => return Err(error),
            };
        }
        let directories = image.brokers.get(&self.node_id).map(|broker| &broker.directories);
        let directory = directories.and_then(|all| all.iter().min().copied());
        let writer =
            PartWriter::new(&*self.cold.store, kept, cluster_id, (&broker, directory), last.as_ref());
        let now = match writer.write(from, &image).await {
            Ok(now) => now,
            Err(PartError::Store(error)) => return Err(error.into()),
            Err(PartError::Coordinator(error)) => {
                tracing::debug!(?kept, %error, "what is coordinated here is not to be had yet");
                return Ok(());
            }
        };
        if last.as_ref() == Some(&now) || (last.is_none() && now.parts.is_empty()) {
            return Ok(());
        }
        self.write(&folder, &now).await?;
        parts::remove_unnamed(&*self.cold.store, kept, cluster_id, &broker).await?;
        *last = Some(now);
        Ok(())
    }

    async fn write<T: Serialize>(&self, folder: &str, body: &T) -> Result<(), StoreError> {
        match serde_json::to_vec(body) {
            Ok(body) => {
                let generation = backup::write(&*self.cold.store, folder, &Bytes::from(body)).await?;
                tracing::debug!(folder, generation, "a backup is written");
            }
            Err(error) => tracing::error!(folder, %error, "a backup cannot be put into words"),
        }
        Ok(())
    }
}

impl Broker {
    /// Brings users, ACLs, quotas, broker configs and producer ids of a backup in the store back.
    ///
    /// # Errors
    /// `InvalidConfig` when there is no such generation, or the quorum refuses.
    pub(in crate::broker) async fn restore_metadata(
        &self,
        generation: &str,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let refused = |why: String| TopicError::InvalidConfig(format!("{RESTORE_METADATA}: {why}"));
        let store =
            self.cold_store.as_ref().ok_or_else(|| refused("this broker has no tier.store.url".into()))?;
        if !*store.owned.borrow() {
            return Err(refused("the store is not known to be this cluster's yet".into()));
        }
        if !validate_only {
            // The restore that asks has begun this life a moment ago.
            let looked = store.look_for_later_life().await;
            looked.map_err(|error| TopicError::Unavailable(error.to_string()))?;
            if store.is_past() {
                return Err(refused(format!("another incarnation has the store: see {INCARNATION}")));
            }
        }
        let newest = MetadataBackup::newest(&*store.store, &self.image().cluster_id).await;
        let newest = newest.map_err(|error| TopicError::Unavailable(error.to_string()))?;
        let Some((number, found)) = newest else { return Err(refused("the store holds no backup".into())) };
        if found.same_life(&MetadataBackup::of(&self.image())) {
            let own = "the newest backup is this cluster's own: it is live, or restored already; nothing was changed";
            return Err(refused(own.to_owned()));
        }
        if number.to_string() != generation {
            return Err(refused(format!(
                "the store's newest backup is generation {number}, not {generation}"
            )));
        }
        if validate_only {
            return Ok(());
        }
        for command in found.commands() {
            self.metadata.submit(command).await?;
        }
        // From here on this life writes the backups.
        let now = MetadataBackup::of(&self.image());
        let body = serde_json::to_vec(&now).map_err(|error| refused(error.to_string()))?;
        let folder = PartitionFolder::metadata_backups_of(&now.cluster_id);
        let written = backup::write(&*store.store, &folder, &Bytes::from(body)).await;
        written.map_err(|error| TopicError::Unavailable(error.to_string()))?;
        tracing::info!(generation, "users, ACLs, quotas and broker configs are back from the store");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{"version":7,"cluster_id":"c","topics":[{"name":"t","id":"AAAAAAAAAAAAAAAAAAAAAQ","partitions":3,"replication_factor":2,"configs":{"retention.ms":"1"}}],"broker_configs":[[null,{"a":"b"}],[1,{}]],"users":{"alice":{"SCRAM-SHA-512":{"salt":[1],"stored_key":[2],"server_key":[3],"iterations":4096}}},"acls":[],"quotas":[],"next_producer_id":5,"directories":["00000000-0000-0000-0000-000000000001"]}"#;

    #[test]
    fn the_words_of_a_backup_stay() {
        let metadata: MetadataBackup = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(serde_json::to_string(&metadata).unwrap(), GOLDEN);
    }

    #[test]
    fn a_backup_brings_back_what_commands_can() {
        let metadata: MetadataBackup = serde_json::from_str(GOLDEN).unwrap();
        let commands = metadata.commands();
        assert!(matches!(&commands[0], Command::UpsertUser { user, .. } if user == "alice"));
        assert!(matches!(&commands[1], Command::AlterBrokerConfig { broker: None, .. }));
        assert!(
            commands.iter().any(
                |command| matches!(command, Command::ReserveProducerIds { below } if *below == 1_000_005)
            )
        );
    }

    #[test]
    fn a_backup_does_not_bring_back_which_life_it_was() {
        let mut metadata: MetadataBackup = serde_json::from_str(GOLDEN).unwrap();
        for name in [INCARNATION, FIRST_PRODUCER_ID] {
            metadata.broker_configs[0].1.insert(name.to_owned(), "3".to_owned());
        }
        let configs = metadata.commands().into_iter().filter_map(|command| match command {
            Command::AlterBrokerConfig { broker: None, changes } => Some(changes),
            _ => None,
        });
        let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), Some(value.to_owned()))]);
        assert_eq!(configs.collect::<Vec<_>>(), [one("a", "b")]);
    }

    #[test]
    fn another_version_of_the_same_is_not_written_again() {
        let metadata: MetadataBackup = serde_json::from_str(GOLDEN).unwrap();
        let later = MetadataBackup { version: 9, ..metadata.clone() };
        assert!(metadata.says_as(&later));
        assert!(!metadata.says_as(&MetadataBackup { next_producer_id: 6, ..later }));
    }

    #[test]
    fn a_cluster_on_other_disks_is_another_life() {
        let metadata: MetadataBackup = serde_json::from_str(GOLDEN).unwrap();
        assert!(metadata.same_life(&metadata));
        assert!(!metadata.same_life(&MetadataBackup { directories: BTreeSet::new(), ..metadata.clone() }));
    }
}
