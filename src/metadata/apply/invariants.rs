//! Random commands against the invariants of a partition.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::rig::{Rig, broker, brokers, directory, name, topic_id};
use crate::metadata::*;
use crate::types::*;

#[derive(Clone, Copy, Debug)]
enum Return {
    Clean,
    Killed,
    PowerCut,
    OldCopy,
    NewDisk,
    /// With one of its two directories.
    OneDisk,
}

#[derive(Clone, Debug)]
enum Event {
    Register(i32, Return),
    Unfence(i32),
    Fence(i32),
    Stop(i32),
    Unregister(i32),
    CreateTopic(u8, Vec<i32>),
    DeleteTopic(u8),
    /// Partition, members, whether by the present epochs.
    AlterIsr(u8, BTreeSet<i32>, bool),
    MinIsr(Option<u8>, u8),
    Unclean(u8, bool),
    ElectUnclean(u8, Vec<(i32, i32, i64)>),
    ElectPreferred(u8),
    /// `None` cancels.
    Reassign(u8, Option<Vec<i32>>),
    Lose(i32, u8, bool),
    Assign(i32, u8, u8),
}

fn event() -> impl Strategy<Value = Event> {
    let id = || 1..=4i32;
    let topic = || 1..=2u8;
    let how = prop_oneof![
        Just(Return::Clean),
        Just(Return::Killed),
        Just(Return::PowerCut),
        Just(Return::OldCopy),
        Just(Return::NewDisk),
        Just(Return::OneDisk),
    ];
    prop_oneof![
        3 => (id(), how).prop_map(|(id, how)| Event::Register(id, how)),
        6 => id().prop_map(Event::Unfence),
        3 => id().prop_map(Event::Fence),
        1 => id().prop_map(Event::Stop),
        1 => id().prop_map(Event::Unregister),
        2 => (topic(), proptest::sample::subsequence(vec![1, 2, 3, 4], 1..=3).prop_shuffle())
            .prop_map(|(topic, replicas)| Event::CreateTopic(topic, replicas)),
        1 => topic().prop_map(Event::DeleteTopic),
        6 => (topic(), proptest::collection::btree_set(id(), 0..=3), proptest::bool::weighted(0.8))
            .prop_map(|(topic, isr, present)| Event::AlterIsr(topic, isr, present)),
        1 => (proptest::option::of(topic()), 1..=3u8).prop_map(|(topic, min)| Event::MinIsr(topic, min)),
        1 => (topic(), any::<bool>()).prop_map(|(topic, allowed)| Event::Unclean(topic, allowed)),
        2 => (topic(), proptest::collection::vec((id(), 0..3i32, 0..9i64), 0..3))
            .prop_map(|(topic, candidates)| Event::ElectUnclean(topic, candidates)),
        1 => topic().prop_map(Event::ElectPreferred),
        2 => (topic(), proptest::option::weighted(
            0.8,
            proptest::sample::subsequence(vec![1, 2, 3, 4], 1..=3).prop_shuffle(),
        ))
            .prop_map(|(topic, target)| Event::Reassign(topic, target)),
        2 => (id(), topic(), any::<bool>())
            .prop_map(|(id, topic, stays_known)| Event::Lose(id, topic, stays_known)),
        2 => (id(), topic(), 1..=9u8).prop_map(|(id, topic, dir)| Event::Assign(id, topic, dir)),
    ]
}

fn topic_name(topic: u8) -> TopicName {
    name(&format!("t{topic}"))
}

fn changes(key: &str, value: String) -> BTreeMap<String, Option<String>> {
    BTreeMap::from([(key.to_owned(), Some(value))])
}

/// The command that the event means in the present image, or in a slightly stale one.
fn command(rig: &mut Rig, event: &Event) -> Command {
    match event {
        Event::Register(id, how) => {
            let epoch = rig.epoch(*id);
            let proof = match how {
                Return::Clean => Proof::CleanShutdown { previous: epoch },
                Return::OldCopy => Proof::Unclean { previous: Some(BrokerEpoch(epoch.0 - 1)) },
                Return::Killed | Return::PowerCut | Return::NewDisk | Return::OneDisk => {
                    Proof::Unclean { previous: Some(epoch) }
                }
            };
            let mut registration = rig.registration(*id, proof);
            let own = u8::try_from(*id).expect("small");
            registration.directories = vec![directory(own), directory(own + 4)];
            match how {
                Return::OneDisk => registration.directories.truncate(1),
                Return::PowerCut => registration.machine = "boot-2".to_owned(),
                Return::NewDisk => registration.directories = vec![directory(9)],
                Return::Clean | Return::Killed | Return::OldCopy => {}
            }
            Command::RegisterBroker(registration)
        }
        Event::Unfence(id) => Command::Unfence { id: broker(*id), epoch: rig.epoch(*id) },
        Event::Fence(id) => Command::Fence { id: broker(*id), epoch: rig.epoch(*id) },
        Event::Stop(id) => Command::ControlledShutdown { id: broker(*id), epoch: rig.epoch(*id) },
        Event::Unregister(id) => Command::UnregisterBroker { id: broker(*id) },
        Event::CreateTopic(topic, replicas) => Command::CreateTopic(CreateTopic {
            name: topic_name(*topic),
            id: topic_id(*topic),
            assignment: vec![brokers(replicas)],
            configs: BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]),
            first_epoch: LeaderEpoch(0),
        }),
        Event::DeleteTopic(topic) => Command::DeleteTopic { id: topic_id(*topic), cold: false },
        Event::AlterIsr(topic, isr, present) => {
            let partition = rig.image.partition(&topic_name(*topic), 0);
            let leader = partition.and_then(|p| p.leader).unwrap_or(broker(1));
            let mut isr: BTreeSet<i32> = isr.clone();
            isr.insert(leader.0);
            let stale = i64::from(!*present);
            let member = |id: i32| IsrMember {
                broker: broker(id),
                epoch: BrokerEpoch(rig.epoch(id).0 - if id == leader.0 { 0 } else { stale }),
            };
            Command::AlterPartition(AlterPartition {
                topic: topic_id(*topic),
                partition: 0,
                leader: member(leader.0),
                leader_epoch: partition.map_or(LeaderEpoch(0), |p| p.leader_epoch),
                partition_epoch: partition.map_or(PartitionEpoch(0), |p| p.partition_epoch),
                isr: isr.into_iter().map(member).collect(),
                lost: Vec::new(),
            })
        }
        Event::MinIsr(Some(topic), min) => Command::AlterTopicConfig {
            id: topic_id(*topic),
            changes: changes("min.insync.replicas", min.to_string()),
        },
        Event::MinIsr(None, min) => Command::AlterBrokerConfig {
            broker: None,
            changes: changes("min.insync.replicas", min.to_string()),
        },
        Event::Unclean(topic, allowed) => Command::AlterTopicConfig {
            id: topic_id(*topic),
            changes: changes("unclean.leader.election.enable", allowed.to_string()),
        },
        Event::ElectUnclean(topic, candidates) => {
            let partition = rig.image.partition(&topic_name(*topic), 0);
            Command::ElectUnclean {
                topic: topic_id(*topic),
                partition: 0,
                partition_epoch: partition.map_or(PartitionEpoch(0), |p| p.partition_epoch),
                candidates: candidates
                    .iter()
                    .map(|(id, last_epoch, log_end)| UncleanCandidate {
                        member: rig.member(*id),
                        last_epoch: LeaderEpoch(*last_epoch),
                        log_end: Offset(*log_end),
                    })
                    .collect(),
            }
        }
        Event::ElectPreferred(topic) => Command::ElectPreferred { partitions: vec![(topic_id(*topic), 0)] },
        Event::Reassign(topic, target) => Command::Reassign {
            topic: topic_id(*topic),
            partition: 0,
            target: target.as_deref().map(brokers),
        },
        Event::Lose(id, topic, stays_known) => Command::LoseReplicas {
            broker: broker(*id),
            epoch: rig.epoch(*id),
            partitions: vec![(topic_id(*topic), 0)],
            stays_known: *stays_known,
        },
        Event::Assign(id, topic, dir) => Command::AssignDirectory {
            broker: broker(*id),
            epoch: rig.epoch(*id),
            directory: directory(*dir),
            partitions: vec![(topic_id(*topic), 0)],
        },
    }
}

fn check_partition(image: &Image, topic: &Topic, partition: &Partition) {
    let replicas: BTreeSet<BrokerId> = partition.replicas.iter().map(|r| r.broker).collect();
    let isr: BTreeSet<BrokerId> = partition.isr.iter().copied().collect();
    let elr: BTreeSet<BrokerId> = partition.elr.iter().copied().collect();
    assert_eq!(isr.len(), partition.isr.len(), "no doubles");
    assert!(replicas.iter().all(|b| image.brokers.contains_key(b)), "every replica has its broker");
    assert!(isr.is_subset(&replicas) && elr.is_subset(&replicas) && isr.is_disjoint(&elr));
    match partition.leader {
        Some(leader) => {
            assert!(isr.contains(&leader), "the leader is in sync");
            assert_eq!(partition.last_known_leader, None);
        }
        None => assert!(isr.is_empty(), "somebody in sync leads"),
    }
    for member in &isr {
        assert!(image.is_active(*member), "broker {member} is in the ISR and not active");
        let replica = partition.replicas.iter().find(|r| r.broker == *member);
        assert!(
            replica.is_some_and(|r| r.directory != Some(DirectoryId::LOST)),
            "nobody knows whether {member} has it"
        );
    }
    let min_isr = image.min_insync_replicas(topic).min(replicas.len());
    assert!(isr.len() < min_isr || elr.is_empty(), "the ELR outlived its ISR");
    if let Some(Reassignment { target, adding }) = &partition.reassignment {
        assert!(target.iter().chain(adding).all(|b| replicas.contains(b)), "they are replicas already");
        assert!(adding.iter().all(|b| target.contains(b)));
        assert!(!adding.is_empty() || target.len() < replicas.len(), "there is something left to do");
    }
    if let Some(unclean) = partition.unclean {
        assert!(unclean.leader_epoch <= partition.leader_epoch);
    }
}

fn check_step(before: &Partition, after: &Partition) {
    assert!(after.leader_epoch >= before.leader_epoch);
    assert!(after.partition_epoch >= before.partition_epoch);
    if after.leader != before.leader {
        assert!(after.leader_epoch > before.leader_epoch, "every election has its epoch");
    }
    if after != before {
        assert!(after.partition_epoch > before.partition_epoch, "every change has its epoch");
    }
    // A leader's proposal completes a reassignment and takes the leader away: who follows it came in by that proposal.
    let switched = before.leader.is_some() && before.reassignment.is_some() && after.reassignment.is_none();
    // Who leads now was in sync, eligible, or is on record.
    if let Some(leader) = after.leader
        && after.leader_epoch > before.leader_epoch
    {
        let recorded = after.unclean.is_some_and(|u| u.leader_epoch == after.leader_epoch);
        assert!(before.isr.contains(&leader) || before.elr.contains(&leader) || recorded || switched);
    }
    // The ISR grows by nobody but its leader's proposal or an election.
    for member in after.isr.iter().filter(|m| !before.isr.contains(m)) {
        let elected = after.leader == Some(*member) && after.leader_epoch > before.leader_epoch;
        assert!(elected || before.leader == after.leader || switched);
    }
}

fn run(level: i16, events: &[Event]) {
    let mut rig = Rig::new(4);
    rig.ok(Command::UpdateFeatures { levels: BTreeMap::from([(COMMANDS.0.to_owned(), level)]) });
    let mut copy = rig.image.clone();
    for event in events {
        let command = command(&mut rig, event);
        let before = rig.image.clone();
        let outcome = rig.apply(&command);
        // Two copies agree, one of them after a round trip through a snapshot.
        assert_eq!(copy.apply(rig.image.version, &command), outcome);
        assert_eq!(copy, rig.image, "{command:?}");
        copy = serde_json::from_slice(&serde_json::to_vec(&rig.image).unwrap()).unwrap();
        assert_eq!(copy, rig.image);

        if outcome.is_err() {
            let unchanged = Image { version: rig.image.version, ..before.clone() };
            assert_eq!(rig.image, unchanged, "a refused command changes nothing: {command:?}");
        }
        for (id, info) in &rig.image.brokers {
            assert!(before.brokers.get(id).is_none_or(|old| info.epoch >= old.epoch));
        }
        for topic in rig.image.topics.values() {
            assert_eq!(rig.image.topic_ids[&topic.id], topic.name);
            for (index, partition) in topic.partitions.iter().enumerate() {
                check_partition(&rig.image, topic, partition);
                if let Some(old) = before.topic_by_id(topic.id).and_then(|t| t.partitions.get(index)) {
                    check_step(old, partition);
                    if matches!(event, Event::Reassign(..)) {
                        assert!(old.isr.is_empty() || !partition.isr.is_empty(), "nobody in sync is left");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_commands_keep_the_invariants(
        level in 1..=COMMANDS.1,
        events in proptest::collection::vec(event(), 1..80),
    ) {
        run(level, &events);
    }
}
