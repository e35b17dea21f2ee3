//! What the quorum is told of this broker's log directories: which of them holds which replica, and that one has failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::isr::leader::ProposalReply;
use super::manager::ReplicaManager;
use super::reconcile::Job;
use crate::metadata::{BrokerInfo, Command, Partition};
use crate::types::{BrokerId, DirectoryId, TopicId, TopicPartition};

type Key = (TopicId, i32);

impl ReplicaManager {
    /// Tells the quorum which directory holds which replica, where it doesn't know.
    pub(super) fn assign_directories(self: &Arc<Self>, own: &BrokerInfo, wanted: impl Iterator<Item = Job>) {
        let mut missing: BTreeMap<DirectoryId, BTreeSet<Key>> = BTreeMap::new();
        let mut lost = Vec::new();
        for job in wanted {
            let (broker, partition) = (own.id, job.partition());
            let Some(directory) = self.directory_of(job.key, &job.name()) else {
                if self.is_gone(&job) && !self.out_of_reach.lock().contains(&job.key) {
                    lost.push(job.key);
                }
                continue;
            };
            if recorded(partition, broker) == Some(directory) {
                continue;
            }
            if own.directories.contains(&directory) {
                missing.entry(directory).or_default().insert(job.key);
            } else if counts_on(partition, broker) {
                // Put there while the directory failed: the quorum knows of that and can record it no more.
                lost.push(job.key);
            }
        }
        let (broker, epoch) = (own.id, own.epoch);
        let mut commands: Vec<Command> = Vec::new();
        for (directory, partitions) in missing {
            let partitions = partitions.into_iter().collect();
            commands.push(Command::AssignDirectory { broker, epoch, directory, partitions });
        }
        if !lost.is_empty() {
            tracing::error!(replicas = lost.len(), "copies are lost with their log directory");
            // Without a record the last known leader could lead from another disk.
            let stays_known = false;
            commands.push(Command::LoseReplicas { broker, epoch, partitions: lost, stays_known });
        }
        for command in commands {
            let outcome = self.context.quorum.submit(command);
            let manager = Arc::downgrade(self);
            self.spawn(async move {
                let reply = outcome.await;
                if reply != ProposalReply::Applied
                    && let Some(manager) = manager.upgrade()
                {
                    manager.try_again();
                }
            });
        }
    }

    /// The quorum does not know which directory held the replica, one of them was missing when this broker registered, and in the others
    /// it is not. Until the quorum knows that, nothing is put in its place: a later life would take it for what was there.
    pub(super) fn is_gone(&self, job: &Job) -> bool {
        let me = self.context.config.node_id;
        let replica = job.partition().replicas.iter().find(|replica| replica.broker == me);
        replica.is_some_and(|replica| replica.directory == Some(DirectoryId::LOST))
            && !self.hosted.read().contains_key(&job.key)
            && self.dirs.directory_of(&job.name()).is_none()
    }

    /// Tells the quorum of each failed directory, until it knows. Of a replica whose directory is not on record it would not see
    /// that it is lost, nor, when the directory is back, that it is there: so that is told first.
    pub(super) fn tell_of(self: &Arc<Self>, failed: &[(DirectoryId, String)]) {
        let Some(epoch) = self.context.broker_epoch() else { return };
        for (directory, _) in failed {
            let directory = *directory;
            if !self.lost_directories.lock().insert(directory) {
                continue;
            }
            let broker = self.context.config.node_id;
            let partitions = self.untold_in(directory);
            let quorum = self.context.quorum.clone();
            let manager = Arc::downgrade(self);
            self.spawn(async move {
                let mut told = ProposalReply::Applied;
                if !partitions.is_empty() {
                    let assign = Command::AssignDirectory { broker, epoch, directory, partitions };
                    told = quorum.submit(assign).await;
                }
                // Refused: it knows of the directory already, from a try whose answer was lost.
                if told != ProposalReply::Unknown {
                    told = quorum.submit(Command::LoseDirectory { broker, epoch, directory }).await;
                }
                if told != ProposalReply::Applied
                    && let Some(manager) = manager.upgrade()
                {
                    // The next tick tells it again.
                    manager.lost_directories.lock().remove(&directory);
                }
            });
        }
    }

    /// Replicas in the directory of which the quorum has no directory on record.
    fn untold_in(&self, directory: DirectoryId) -> Vec<Key> {
        let me = self.context.config.node_id;
        let image = self.context.quorum.images().borrow().clone();
        let mut untold = Vec::new();
        for topic in image.topics.values() {
            for (index, partition) in (0i32..).zip(&topic.partitions) {
                let is_untold = partition.is_replica(me) && recorded(partition, me).is_none();
                let (key, name) = ((topic.id, index), TopicPartition::new(topic.name.clone(), index));
                if is_untold && self.directory_of(key, &name) == Some(directory) {
                    untold.push(key);
                }
            }
        }
        untold
    }

    /// Where the replica lies; none while it has no folder, or one that is yet to be opened in a directory that works.
    fn directory_of(&self, key: Key, name: &TopicPartition) -> Option<DirectoryId> {
        if let Some(hosted) = self.hosted.read().get(&key) {
            return Some(hosted.replica.directory());
        }
        let folder = self.dirs.directory_of(name)?;
        self.dirs.failed().iter().any(|(failed, _)| *failed == folder).then_some(folder)
    }
}

fn recorded(partition: &Partition, broker: BrokerId) -> Option<DirectoryId> {
    let replica = partition.replicas.iter().find(|replica| replica.broker == broker)?;
    replica.directory.filter(|directory| *directory != DirectoryId::LOST)
}

/// Whether the partition has a role for the broker, or may give it one.
fn counts_on(partition: &Partition, broker: BrokerId) -> bool {
    partition.isr.contains(&broker)
        || partition.elr.contains(&broker)
        || partition.last_known_leader == Some(broker)
}
