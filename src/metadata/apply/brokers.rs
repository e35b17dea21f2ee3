//! Registration, fencing, unfencing, controlled shutdown, directories.
//!
//! A broker that registers is fenced until it has caught up; so it leads nothing, and whatever it led has a new leader
//! epoch. What it keeps of its place in the ELR depends on what it can prove.

use std::sync::Arc;

use super::elections::{self, Leaving};
use crate::env::defect::{Defect, planted};
use crate::metadata::command::{BrokerRegistration, CommandError, CommandReply, Proof};
use crate::metadata::image::{BrokerInfo, BrokerState, Image, Partition, ReplicaState, Topic};
use crate::types::{BrokerEpoch, BrokerId, DirectoryId, ProducerId, TopicId};

/// What a returning broker's logs are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Everything that it had acknowledged is there.
    Whole,
    /// Only what was flushed is there for certain.
    Flushed,
    /// The directory is not the one of the last life, or an older copy of it.
    Nothing,
}

impl Image {
    pub(super) fn register_broker(
        &mut self,
        registration: &BrokerRegistration,
    ) -> Result<CommandReply, CommandError> {
        let id = registration.id;
        let former = self.brokers.get(&id).cloned();
        if let Some(former) = &former {
            if former.incarnation == registration.incarnation {
                // The same life again: a retry whose first try was applied.
                return Ok(CommandReply::Registered(former.epoch));
            }
            if former.state != BrokerState::Fenced && !ends_former_life(former, registration) {
                return Err(CommandError::DuplicateBroker(id));
            }
        }
        let epoch = BrokerEpoch(self.next_broker_epoch);
        self.next_broker_epoch += 1;
        let trust = former.as_deref().map_or(Trust::Nothing, |former| self.trust(former, registration));
        let info = BrokerInfo {
            id,
            epoch,
            incarnation: registration.incarnation,
            endpoints: registration.endpoints.clone(),
            peer_address: registration.peer_address.clone(),
            rack: registration.rack.clone(),
            directories: registration.directories.clone(),
            machine: registration.machine.clone(),
            state: BrokerState::Fenced,
        };
        self.brokers.insert(id, Arc::new(info));

        let former_directories = former.as_ref().map_or(&[][..], |f| &f.directories);
        let synced = self.synced_topics.clone();
        let level = self.commands_level();
        let some_are_back = former_directories.iter().any(|d| registration.directories.contains(d));
        self.edit_partitions(|rules, topic, index| {
            let partition = &topic.partitions[index];
            let replica = partition.replicas.iter().find(|r| r.broker == id)?;
            let kept = directory_is_kept(replica, former_directories, &registration.directories);
            let is_untold = replica.directory.is_none() && !kept;
            // It may be in a directory that is left. The broker looks, and until it has said what it found nothing of it leads.
            let may_be_here = is_untold && some_are_back && level >= 3;
            let how = match trust {
                Trust::Whole if kept => Leaving::WithItsLog,
                Trust::Flushed if kept && synced.contains(&topic.id) => Leaving::WithItsLog,
                // No directory is on record whose coming back would show that the log is there again.
                _ if is_untold && !may_be_here && level >= 2 => Leaving::Empty,
                // The directory may come back with a later registration: the last known leader stays on record,
                // and `is_electable` keeps it from leading without the directory.
                _ => Leaving::WithoutItsTail,
            };
            if !may_be_here {
                return elections::leave(rules, partition, id, how);
            }
            let unsure = recorded_in(partition, id, Some(DirectoryId::LOST));
            elections::leave(rules, &unsure, id, how).or(Some(unsure))
        });
        Ok(CommandReply::Registered(epoch))
    }

    fn trust(&self, former: &BrokerInfo, registration: &BrokerRegistration) -> Trust {
        // A life that was never unfenced changed nothing, so the epoch before it proves as much.
        let last_active = self.last_active.get(&former.id).copied();
        let is_latest = |previous: BrokerEpoch| previous == former.epoch || Some(previous) == last_active;
        match registration.proof {
            Proof::CleanShutdown { previous } if is_latest(previous) => Trust::Whole,
            Proof::Unclean { previous: Some(previous) } if is_latest(previous) => {
                let went_on = former.machine == registration.machine && !planted(Defect::KillIsPowerLoss)
                    || planted(Defect::PowerLossUnnoticed);
                if went_on { Trust::Whole } else { Trust::Flushed }
            }
            _ if planted(Defect::WipeUnnoticed) => Trust::Whole,
            Proof::CleanShutdown { .. } | Proof::Unclean { .. } => Trust::Nothing,
        }
    }

    pub(super) fn unfence(&mut self, id: BrokerId, epoch: BrokerEpoch) -> Result<CommandReply, CommandError> {
        match self.broker_with_epoch(id, epoch)?.state {
            BrokerState::Active => return Ok(CommandReply::Done),
            BrokerState::ControlledShutdown => {
                return Err(CommandError::Invalid(format!("broker {id} is shutting down")));
            }
            BrokerState::Fenced => {}
        }
        self.set_state(id, BrokerState::Active);
        self.last_active.insert(id, epoch);
        self.edit_partitions(|rules, topic, index| elections::elect(rules, &topic.partitions[index]));
        Ok(CommandReply::Done)
    }

    pub(super) fn fence(&mut self, id: BrokerId, epoch: BrokerEpoch) -> Result<CommandReply, CommandError> {
        self.broker_with_epoch(id, epoch)?;
        self.retire(id, BrokerState::Fenced);
        Ok(CommandReply::Done)
    }

    pub(super) fn controlled_shutdown(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<CommandReply, CommandError> {
        if self.broker_with_epoch(id, epoch)?.state == BrokerState::Active {
            self.retire(id, BrokerState::ControlledShutdown);
        }
        Ok(CommandReply::Done)
    }

    /// A broker that may still come back, or that still counts for a partition, stays: its id must not become free for
    /// another while somebody may hold it for a replica.
    pub(super) fn unregister_broker(&mut self, id: BrokerId) -> Result<CommandReply, CommandError> {
        let state = self.brokers.get(&id).ok_or(CommandError::UnknownBroker(id))?.state;
        if state != BrokerState::Fenced {
            return Err(CommandError::Invalid(format!("broker {id} is alive: stop it first")));
        }
        let holds = |topic: &Topic| topic.partitions.iter().filter(|p| p.is_replica(id)).count();
        let held: Vec<_> =
            self.topics.values().map(|t| (&t.name, holds(t))).filter(|(_, n)| *n > 0).collect();
        if let Some((first, _)) = held.first() {
            let partitions: usize = held.iter().map(|(_, n)| n).sum();
            return Err(CommandError::Invalid(format!(
                "broker {id} is still a replica of {partitions} partitions, the first of topic {first}: move them away \
                 first (esker cluster drain {id})"
            )));
        }
        self.brokers.remove(&id);
        self.last_active.remove(&id);
        self.broker_configs.remove(&Some(id));
        Ok(CommandReply::Done)
    }

    fn retire(&mut self, id: BrokerId, state: BrokerState) {
        self.set_state(id, state);
        self.edit_partitions(|rules, topic, index| {
            let partition = &topic.partitions[index];
            partition.is_replica(id).then_some(())?;
            elections::leave(rules, partition, id, Leaving::WithItsLog)
        });
    }

    fn set_state(&mut self, id: BrokerId, state: BrokerState) {
        if let Some(broker) = self.brokers.get_mut(&id) {
            Arc::make_mut(broker).state = state;
        }
    }

    pub(super) fn assign_directory(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
        directory: DirectoryId,
        partitions: &[(TopicId, i32)],
    ) -> Result<CommandReply, CommandError> {
        if !self.broker_with_epoch(id, epoch)?.directories.contains(&directory) {
            return Err(CommandError::Invalid(format!(
                "broker {id} has not registered directory {directory}"
            )));
        }
        for &(topic, partition) in partitions {
            // Deleted since: nothing to record.
            let Ok((_, index, _)) = self.known_partition(topic, partition) else { continue };
            self.edit_partition(topic, index, |rules, before| {
                let place = before.replicas.iter().position(|r| r.broker == id)?;
                let recorded = before.replicas[place].directory;
                if recorded == Some(directory) {
                    return None;
                }
                let mut after = match recorded {
                    // The broker has found it, as it was.
                    Some(lost) if lost == DirectoryId::LOST => {
                        return Some(elections::settle(
                            rules,
                            before,
                            recorded_in(before, id, Some(directory)),
                            |_| {},
                        ));
                    }
                    // A new directory id on an assigned replica means "empty".
                    Some(_) if planted(Defect::WipeUnnoticed) => None,
                    Some(_) => elections::leave(rules, before, id, Leaving::Empty),
                    None => None,
                }
                .unwrap_or_else(|| before.clone());
                after.replicas[place].directory = Some(directory);
                after.partition_epoch = before.partition_epoch.next();
                Some(after)
            });
        }
        Ok(CommandReply::Done)
    }

    pub(super) fn lose_replicas(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
        partitions: &[(TopicId, i32)],
        stays_known: bool,
    ) -> Result<CommandReply, CommandError> {
        self.broker_with_epoch(id, epoch)?;
        // Where nobody else has what is committed this copy is the best there is: as the last known leader it leads again,
        // and that is on record.
        let how = if stays_known { Leaving::WithoutItsTail } else { Leaving::Empty };
        for &(topic, partition) in partitions {
            let Ok((_, index, _)) = self.known_partition(topic, partition) else { continue };
            self.edit_partition(topic, index, |rules, before| {
                let replica = before.replicas.iter().find(|r| r.broker == id)?;
                if stays_known || replica.directory != Some(DirectoryId::LOST) {
                    return elections::leave(rules, before, id, how);
                }
                // The broker has not found it: what it puts there now is a new one.
                let gone = recorded_in(before, id, None);
                elections::leave(rules, &gone, id, how).or(Some(gone))
            });
        }
        Ok(CommandReply::Done)
    }

    pub(super) fn lose_directory(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
        directory: DirectoryId,
    ) -> Result<CommandReply, CommandError> {
        let mut info = BrokerInfo::clone(self.broker_with_epoch(id, epoch)?);
        if !info.directories.contains(&directory) {
            return Ok(CommandReply::Done);
        }
        // `is_electable` keeps what lies there from leading.
        info.directories.retain(|other| *other != directory);
        self.brokers.insert(id, Arc::new(info));
        self.edit_partitions(|rules, topic, index| {
            let partition = &topic.partitions[index];
            let replica = partition.replicas.iter().find(|r| r.broker == id)?;
            (replica.directory == Some(directory)).then_some(())?;
            // What the device held may come back with it, without its tail.
            elections::leave(rules, partition, id, Leaving::WithoutItsTail)
        });
        Ok(CommandReply::Done)
    }

    pub(super) fn allocate_producer_ids(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
        count: i32,
    ) -> Result<CommandReply, CommandError> {
        self.broker_with_epoch(id, epoch)?;
        let end = self.next_producer_id.checked_add(i64::from(count)).filter(|_| count > 0);
        let end = end.ok_or_else(|| CommandError::Invalid(format!("no block of {count} producer ids")))?;
        let first = std::mem::replace(&mut self.next_producer_id, end);
        Ok(CommandReply::ProducerIds(ProducerId(first)))
    }
}

/// The partition with another directory on record for the broker's replica.
fn recorded_in(before: &Partition, broker: BrokerId, directory: Option<DirectoryId>) -> Partition {
    let mut after = Partition { partition_epoch: before.partition_epoch.next(), ..before.clone() };
    after.replicas.iter_mut().filter(|r| r.broker == broker).for_each(|r| r.directory = directory);
    after
}

/// Whether the directory that holds the replica came back. One that was never told could be any of them.
fn directory_is_kept(replica: &ReplicaState, before: &[DirectoryId], now: &[DirectoryId]) -> bool {
    match replica.directory {
        _ if planted(Defect::WipeUnnoticed) => true,
        Some(directory) => now.contains(&directory),
        None => before.iter().all(|directory| now.contains(directory)),
    }
}

/// Whether the registration itself proves that the life that is on record has ended: it comes from the directory
/// of that very life, which one process at a time holds.
fn ends_former_life(former: &BrokerInfo, registration: &BrokerRegistration) -> bool {
    let same_place = former.machine == registration.machine
        && former.directories.iter().any(|d| registration.directories.contains(d));
    match registration.proof {
        Proof::CleanShutdown { previous } => previous == former.epoch,
        Proof::Unclean { previous } => previous == Some(former.epoch) && same_place,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::rig::{Rig, brokers, directory, name, topic_id};
    use super::*;
    use crate::metadata::command::{Command, CreateTopic};
    use crate::metadata::image::COMMANDS;
    use crate::types::LeaderEpoch;

    /// A topic on broker 1 alone, which has directories 1 and 2, dies before it has said in which one it is, and returns with these.
    fn after_a_return_with(level: i16, directories: &[u8]) -> Rig {
        let mut rig = Rig::new(1);
        rig.fence(1);
        register(&mut rig, &[1, 2]);
        rig.unfence(1);
        let levels = BTreeMap::from([(COMMANDS.0.to_owned(), level)]);
        rig.ok(Command::UpdateFeatures { levels });
        rig.ok(Command::CreateTopic(CreateTopic {
            name: name("t"),
            id: topic_id(1),
            assignment: vec![brokers(&[1])],
            configs: BTreeMap::new(),
            first_epoch: LeaderEpoch(0),
        }));
        assert!(rig.partition().leader.is_some() && rig.partition().replicas[0].directory.is_none());
        rig.fence(1);
        register(&mut rig, directories);
        rig.unfence(1);
        rig
    }

    fn register(rig: &mut Rig, directories: &[u8]) {
        let mut registration = rig.registration(1, Proof::Unclean { previous: None });
        registration.directories = directories.iter().map(|number| directory(*number)).collect();
        rig.ok(Command::RegisterBroker(registration));
    }

    fn leader_after_a_return_with(level: i16, directories: &[u8]) -> Option<BrokerId> {
        after_a_return_with(level, directories).partition().leader
    }

    #[test]
    fn a_copy_whose_directory_was_never_told_does_not_lead_from_a_wiped_disk() {
        for level in [2, 3] {
            assert_eq!(leader_after_a_return_with(level, &[77]), None);
            let back = leader_after_a_return_with(level, &[2, 1, 77]);
            assert_eq!(back, Some(BrokerId(1)), "the last known leader has all its directories");
        }
        // As earlier programs have it, for as long as one of them takes part.
        assert_eq!(leader_after_a_return_with(1, &[77]), Some(BrokerId(1)));
        assert_eq!(leader_after_a_return_with(2, &[2, 77]), None);
    }

    /// With one of its directories missing: nobody can say yet whether the copy is there.
    fn unsure() -> Rig {
        let rig = after_a_return_with(3, &[2, 77]);
        let partition = rig.partition();
        assert_eq!((partition.leader, partition.last_known_leader), (None, Some(BrokerId(1))));
        assert_eq!(partition.replicas[0].directory, Some(DirectoryId::LOST));
        rig
    }

    fn assign(rig: &mut Rig, number: u8) {
        let (broker, epoch) = (BrokerId(1), rig.epoch(1));
        let partitions = vec![(topic_id(1), 0)];
        rig.ok(Command::AssignDirectory { broker, epoch, directory: directory(number), partitions });
    }

    #[test]
    fn a_copy_that_is_found_in_a_directory_that_is_left_leads_again() {
        let mut rig = unsure();
        assign(&mut rig, 2);
        assert_eq!(rig.partition().leader, Some(BrokerId(1)));
        assert_eq!(rig.partition().replicas[0].directory, Some(directory(2)));

        let mut rig = unsure();
        rig.fence(1);
        register(&mut rig, &[2, 77]);
        assign(&mut rig, 2);
        assert_eq!(rig.partition().leader, None, "not before it is active");
        rig.unfence(1);
        assert_eq!(rig.partition().leader, Some(BrokerId(1)), "found by the next life");
    }

    #[test]
    fn a_copy_that_is_not_found_leads_from_no_disk_that_takes_its_place() {
        let mut rig = unsure();
        let partitions = vec![(topic_id(1), 0)];
        let (broker, epoch) = (BrokerId(1), rig.epoch(1));
        rig.ok(Command::LoseReplicas { broker, epoch, partitions, stays_known: false });
        assert_eq!(rig.partition().replicas[0].directory, None);
        for number in [77, 2] {
            assign(&mut rig, number);
            let partition = rig.partition();
            assert_eq!((partition.leader, partition.last_known_leader), (None, None));
        }
        rig.fence(1);
        register(&mut rig, &[2, 77]);
        rig.unfence(1);
        assert_eq!(rig.partition().leader, None);
    }
}
