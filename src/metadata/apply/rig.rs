//! A cluster in a value, for tests: brokers that register, fail and return, and one image that takes the commands.

use std::collections::BTreeMap;

use crate::metadata::*;
use crate::types::*;

pub(in crate::metadata) struct Rig {
    pub image: Image,
    lives: u8,
}

pub(in crate::metadata) fn broker(id: i32) -> BrokerId {
    BrokerId(id)
}

pub(in crate::metadata) fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

pub(in crate::metadata) fn directory(number: u8) -> DirectoryId {
    DirectoryId::from_bytes([number; 16])
}

pub(in crate::metadata) fn topic_id(number: u8) -> TopicId {
    TopicId::from_bytes([number; 16])
}

pub(in crate::metadata) fn name(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

impl Rig {
    /// A cluster with active brokers 1 to `count`, each with the directory of its number, all on one machine.
    pub fn new(count: u8) -> Rig {
        let mut rig = Rig { image: Image::default(), lives: 0 };
        let form =
            Command::Form { cluster_id: "c".to_owned(), features: BTreeMap::new(), configs: BTreeMap::new() };
        rig.ok(form);
        for id in 1..=i32::from(count) {
            rig.register(id, Proof::Unclean { previous: None }).unwrap();
            rig.unfence(id);
        }
        rig
    }

    pub fn apply(&mut self, command: &Command) -> Result<CommandReply, CommandError> {
        self.image.apply(self.image.version + 1, command)
    }

    pub fn ok(&mut self, command: Command) {
        self.apply(&command).unwrap_or_else(|e| panic!("{command:?}: {e}"));
    }

    pub fn epoch(&self, id: i32) -> BrokerEpoch {
        self.image.brokers.get(&broker(id)).map_or(BrokerEpoch(0), |b| b.epoch)
    }

    pub fn member(&self, id: i32) -> IsrMember {
        IsrMember { broker: broker(id), epoch: self.epoch(id) }
    }

    pub fn registration(&mut self, id: i32, proof: Proof) -> BrokerRegistration {
        self.lives += 1;
        BrokerRegistration {
            id: broker(id),
            incarnation: Incarnation::from_bytes([self.lives; 16]),
            endpoints: Vec::new(),
            peer_address: format!("host-{id}:9"),
            rack: None,
            directories: vec![directory(u8::try_from(id).unwrap())],
            machine: "boot-1".to_owned(),
            proof,
        }
    }

    pub fn register(&mut self, id: i32, proof: Proof) -> Result<CommandReply, CommandError> {
        let registration = self.registration(id, proof);
        self.apply(&Command::RegisterBroker(registration))
    }

    /// Registers with the proof of a clean stop.
    pub fn return_clean(&mut self, id: i32) {
        let previous = self.epoch(id);
        self.register(id, Proof::CleanShutdown { previous }).unwrap();
    }

    /// Registers after a kill −9 on a machine that went on.
    pub fn return_killed(&mut self, id: i32) {
        let previous = Some(self.epoch(id));
        self.register(id, Proof::Unclean { previous }).unwrap();
    }

    /// Registers after a power cut: the machine has booted anew.
    pub fn return_after_power_cut(&mut self, id: i32) {
        let previous = Some(self.epoch(id));
        let mut registration = self.registration(id, Proof::Unclean { previous });
        registration.machine = format!("boot-{}", self.lives);
        self.ok(Command::RegisterBroker(registration));
    }

    pub fn unfence(&mut self, id: i32) {
        let epoch = self.epoch(id);
        self.ok(Command::Unfence { id: broker(id), epoch });
    }

    pub fn fence(&mut self, id: i32) {
        let epoch = self.epoch(id);
        self.ok(Command::Fence { id: broker(id), epoch });
    }

    pub fn stop(&mut self, id: i32) {
        let epoch = self.epoch(id);
        self.ok(Command::ControlledShutdown { id: broker(id), epoch });
    }

    /// Topic `t` with one partition and each replica's directory assigned.
    pub fn topic(&mut self, replicas: &[i32], configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let assignment = vec![brokers(replicas)];
        self.ok(Command::CreateTopic(CreateTopic {
            name: name("t"),
            id: topic_id(1),
            assignment,
            configs,
            first_epoch: LeaderEpoch(0),
        }));
        for id in replicas {
            let (broker, epoch) = (broker(*id), self.epoch(*id));
            let (directory, partitions) = (directory(u8::try_from(*id).unwrap()), vec![(topic_id(1), 0)]);
            self.ok(Command::AssignDirectory { broker, epoch, directory, partitions });
        }
    }

    pub fn partition(&self) -> &Partition {
        self.image.partition(&name("t"), 0).unwrap()
    }

    /// What the leader of topic `t` would propose now.
    pub fn proposal(&self, isr: &[i32]) -> AlterPartition {
        let partition = self.partition();
        AlterPartition {
            topic: topic_id(1),
            partition: 0,
            leader: self.member(partition.leader.unwrap().0),
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr: isr.iter().map(|id| self.member(*id)).collect(),
            lost: Vec::new(),
        }
    }

    pub fn alter(&mut self, isr: &[i32]) -> Result<CommandReply, CommandError> {
        let proposal = self.proposal(isr);
        self.apply(&Command::AlterPartition(proposal))
    }

    pub fn set(&mut self, key: &str, value: &str) {
        let changes = BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]);
        self.ok(Command::AlterTopicConfig { id: topic_id(1), changes });
    }
}
