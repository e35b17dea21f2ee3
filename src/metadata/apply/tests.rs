//! The quorum's rules, one sentence each.

use std::collections::BTreeMap;

use super::rig::{Rig, broker, brokers, directory, name, topic_id};
use crate::metadata::*;
use crate::types::*;

const TWO: &[(&str, &str)] = &[("min.insync.replicas", "2")];

#[test]
fn a_new_topic_is_led_by_the_first_live_replica() {
    let mut rig = Rig::new(3);
    rig.fence(2);
    rig.topic(&[2, 3, 1], &[]);
    let partition = rig.partition();
    assert_eq!(partition.leader, Some(broker(3)));
    assert_eq!(partition.isr, brokers(&[3, 1]));
    assert_eq!(partition.leader_epoch, LeaderEpoch(0));
}

#[test]
fn a_topic_without_a_live_replica_is_refused() {
    let mut rig = Rig::new(1);
    rig.fence(1);
    let create = CreateTopic {
        name: name("t"),
        id: topic_id(1),
        assignment: vec![brokers(&[1])],
        configs: BTreeMap::new(),
        first_epoch: LeaderEpoch(0),
    };
    assert!(matches!(rig.apply(&Command::CreateTopic(create)), Err(CommandError::InvalidReplicas(_))));
    assert!(rig.image.topics.is_empty());
}

#[test]
fn creating_a_topic_twice_succeeds_only_for_the_same_attempt() {
    let mut rig = Rig::new(1);
    let create = |id: u8, topic: &str| {
        Command::CreateTopic(CreateTopic {
            name: name(topic),
            id: topic_id(id),
            assignment: vec![brokers(&[1])],
            configs: BTreeMap::new(),
            first_epoch: LeaderEpoch(0),
        })
    };
    rig.ok(create(1, "a.b"));
    assert_eq!(rig.apply(&create(1, "a.b")), Ok(CommandReply::Done));
    assert_eq!(rig.apply(&create(2, "a.b")), Err(CommandError::TopicExists(name("a.b"))));
    assert!(matches!(rig.apply(&create(2, "a_b")), Err(CommandError::Invalid(_))), "the names collide");
}

#[test]
fn a_leader_is_elected_in_assigned_order_among_the_isr() {
    let mut rig = Rig::new(3);
    rig.topic(&[3, 1, 2], &[]);
    let before = rig.partition().clone();
    rig.fence(3);
    let after = rig.partition();
    assert_eq!(after.leader, Some(broker(1)));
    assert_eq!(after.isr, brokers(&[1, 2]));
    assert_eq!(after.leader_epoch, before.leader_epoch.next());
    assert_eq!(after.partition_epoch, before.partition_epoch.next());
}

#[test]
fn losing_a_follower_raises_the_partition_epoch_alone() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[]);
    let before = rig.partition().clone();
    rig.fence(3);
    assert_eq!(rig.partition().leader_epoch, before.leader_epoch);
    assert_eq!(rig.partition().partition_epoch, before.partition_epoch.next());
}

#[test]
fn members_that_drop_out_below_min_isr_stay_eligible() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], TWO);
    rig.fence(1);
    assert!(rig.partition().elr.is_empty(), "two of two are in sync");
    rig.fence(2);
    assert_eq!((rig.partition().isr.clone(), rig.partition().elr.clone()), (brokers(&[3]), brokers(&[2])));
    rig.fence(3);
    let partition = rig.partition();
    assert_eq!((partition.isr.clone(), partition.elr.clone()), (vec![], brokers(&[2, 3])));
    assert_eq!((partition.leader, partition.last_known_leader), (None, Some(broker(3))));
    // Broker 1 left while the ISR was whole: it may lack records.
    rig.unfence(1);
    assert_eq!(rig.partition().leader, None);
    rig.unfence(2);
    assert_eq!(rig.partition().leader, Some(broker(2)));
    assert_eq!(rig.partition().unclean, None);
}

#[test]
fn the_elr_is_empty_once_the_isr_has_min_isr_members() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], TWO);
    rig.fence(3);
    rig.fence(2);
    assert_eq!(rig.partition().elr, brokers(&[2]));
    rig.unfence(3);
    rig.alter(&[1, 3]).unwrap();
    assert_eq!(rig.partition().elr, vec![]);
    // The trap: an ELR member elected after the ISR had grown past it.
    rig.fence(1);
    rig.fence(3);
    rig.unfence(2);
    assert_eq!(rig.partition().leader, None);
}

#[test]
fn lowering_min_isr_empties_the_elr_in_the_same_command() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], TWO);
    rig.fence(3);
    rig.fence(2);
    assert_eq!(rig.partition().elr, brokers(&[2]));
    let before = rig.partition().partition_epoch;
    rig.set("min.insync.replicas", "1");
    assert!(rig.partition().elr.is_empty());
    assert_eq!(rig.partition().partition_epoch, before.next());
}

#[test]
fn lowering_the_cluster_wide_min_isr_empties_the_elr_of_topics_without_their_own() {
    let mut rig = Rig::new(3);
    let set = |value: &str| Command::AlterBrokerConfig {
        broker: None,
        changes: BTreeMap::from([("min.insync.replicas".to_owned(), Some(value.to_owned()))]),
    };
    rig.ok(set("2"));
    rig.topic(&[1, 2, 3], &[]);
    rig.fence(3);
    rig.fence(2);
    assert_eq!(rig.partition().elr, brokers(&[2]));
    rig.ok(set("1"));
    assert!(rig.partition().elr.is_empty());
}

#[test]
fn a_min_isr_above_the_replicas_counts_as_their_number() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[("min.insync.replicas", "5")]);
    assert!(rig.partition().elr.is_empty());
    rig.fence(2);
    assert_eq!(rig.partition().elr, brokers(&[2]));
    // From 5 to 2 nothing changes for two replicas.
    rig.set("min.insync.replicas", "2");
    assert_eq!(rig.partition().elr, brokers(&[2]));
}

#[test]
fn every_registration_raises_the_leader_epoch_of_what_the_broker_leads() {
    let mut rig = Rig::new(1);
    rig.topic(&[1], &[]);
    let first = rig.partition().leader_epoch;
    rig.return_killed(1);
    let fenced = rig.partition().clone();
    assert_eq!(fenced.leader, None);
    assert!(fenced.leader_epoch > first);
    rig.unfence(1);
    assert_eq!(rig.partition().leader, Some(broker(1)));
    assert!(rig.partition().leader_epoch > fenced.leader_epoch);
    assert_eq!(rig.partition().unclean, None, "its log is whole");
}

#[test]
fn a_kill_of_all_brokers_on_a_running_machine_costs_nothing() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [2, 1, 3]] {
        for fenced in 0..=3 {
            let mut rig = Rig::new(3);
            rig.topic(&[1, 2, 3], TWO);
            // Some of them may have been fenced before they return.
            for id in 1..=fenced {
                rig.fence(id);
            }
            for id in order {
                rig.return_killed(id);
            }
            for id in order {
                rig.unfence(id);
            }
            let partition = rig.partition();
            assert!(partition.leader.is_some(), "{order:?} {fenced}: {partition:?}");
            assert_eq!(partition.unclean, None, "{order:?} {fenced}");
        }
    }
}

#[test]
fn a_kill_during_the_start_costs_nothing_either() {
    let mut rig = Rig::new(1);
    rig.topic(&[1], &[]);
    let remembered = rig.epoch(1);
    rig.return_killed(1);
    // Killed before it had stored its new epoch and before it was unfenced.
    rig.register(1, Proof::Unclean { previous: Some(remembered) }).unwrap();
    rig.unfence(1);
    assert_eq!(rig.partition().leader, Some(broker(1)));
    assert_eq!(rig.partition().unclean, None);
}

#[test]
fn the_last_replica_standing_that_lost_its_tail_leads_only_on_record() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], TWO);
    for id in 1..=3 {
        rig.fence(id);
    }
    rig.return_after_power_cut(3);
    rig.unfence(3);
    assert_eq!(rig.partition().elr, brokers(&[2]));
    assert_eq!(rig.partition().leader, None, "broker 2 may know more");
    rig.return_after_power_cut(2);
    // Nobody is eligible any more: the last known leader is alive and leads, and that is reported.
    let partition = rig.partition();
    assert_eq!(partition.leader, Some(broker(3)));
    let unclean = partition.unclean.expect("possible loss is on record");
    assert_eq!(unclean.leader_epoch, partition.leader_epoch);
}

#[test]
fn a_power_cut_costs_no_place_in_a_topic_that_is_flushed_before_each_reply() {
    let mut rig = Rig::new(1);
    rig.topic(&[1], &[("flush.messages", "1")]);
    rig.fence(1);
    rig.return_after_power_cut(1);
    assert_eq!(rig.partition().elr, brokers(&[1]));
    // Not once it has been otherwise.
    rig.set("flush.messages", "2");
    rig.set("flush.messages", "1");
    rig.fence(1);
    rig.return_after_power_cut(1);
    assert_eq!(rig.partition().elr, vec![]);
}

#[test]
fn a_restored_copy_of_an_old_directory_is_caught() {
    let mut rig = Rig::new(1);
    rig.topic(&[1], &[]);
    let old = rig.epoch(1);
    rig.return_killed(1);
    rig.unfence(1);
    rig.fence(1);
    assert_eq!(rig.partition().elr, brokers(&[1]));
    for proof in [Proof::CleanShutdown { previous: old }, Proof::Unclean { previous: Some(old) }] {
        rig.register(1, proof).unwrap();
        assert_eq!(rig.partition().elr, vec![]);
    }
}

#[test]
fn a_wiped_disk_never_leads_on_an_empty_log() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    rig.fence(2);
    let previous = rig.epoch(1);
    let mut registration = rig.registration(1, Proof::CleanShutdown { previous });
    registration.directories = vec![directory(77)];
    rig.ok(Command::RegisterBroker(registration));
    rig.unfence(1);
    assert_eq!(rig.partition().leader, None);
    let epoch = rig.epoch(1);
    rig.ok(Command::AssignDirectory {
        broker: broker(1),
        epoch,
        directory: directory(77),
        partitions: vec![(topic_id(1), 0)],
    });
    assert_eq!(rig.partition().leader, None);
    assert_eq!(rig.partition().last_known_leader, None);
}

#[test]
fn a_directory_that_comes_back_lets_the_last_known_leader_lead_again() {
    let mut rig = Rig::new(1);
    rig.topic(&[1], &[]);
    let previous = rig.epoch(1);
    let mut without = rig.registration(1, Proof::CleanShutdown { previous });
    without.directories = vec![];
    rig.ok(Command::RegisterBroker(without));
    rig.unfence(1);
    assert_eq!(rig.partition().leader, None);
    rig.stop(1);
    rig.return_clean(1);
    rig.unfence(1);
    assert_eq!(rig.partition().leader, Some(broker(1)));
    assert!(rig.partition().unclean.is_some());
}

#[test]
fn a_second_process_with_a_live_node_id_is_refused() {
    let mut rig = Rig::new(1);
    let refused = Err(CommandError::DuplicateBroker(broker(1)));
    assert_eq!(rig.register(1, Proof::Unclean { previous: None }), refused);
    let previous = Some(rig.epoch(1));
    let mut elsewhere = rig.registration(1, Proof::Unclean { previous });
    elsewhere.machine = "another".to_owned();
    assert_eq!(rig.apply(&Command::RegisterBroker(elsewhere.clone())), refused);
    rig.fence(1);
    rig.ok(Command::RegisterBroker(elsewhere));
}

#[test]
fn a_registration_that_is_retried_keeps_its_epoch() {
    let mut rig = Rig::new(1);
    rig.fence(1);
    let registration = rig.registration(1, Proof::Unclean { previous: None });
    let first = rig.apply(&Command::RegisterBroker(registration.clone())).unwrap();
    assert_eq!(rig.apply(&Command::RegisterBroker(registration)).unwrap(), first);
}

#[test]
fn a_former_life_can_neither_fence_nor_unfence_the_present_one() {
    let mut rig = Rig::new(1);
    let epoch = rig.epoch(1);
    rig.return_killed(1);
    let stale = Err(CommandError::StaleBrokerEpoch(broker(1), epoch));
    assert_eq!(rig.apply(&Command::Unfence { id: broker(1), epoch }), stale);
    assert_eq!(rig.apply(&Command::Fence { id: broker(1), epoch }), stale);
}

#[test]
fn an_orderly_stop_moves_leaders_at_once_and_keeps_the_last_member_eligible() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    rig.stop(1);
    assert_eq!(rig.partition().leader, Some(broker(2)));
    rig.stop(2);
    assert_eq!((rig.partition().leader, rig.partition().elr.clone()), (None, brokers(&[2])));
    rig.return_clean(2);
    rig.unfence(2);
    assert_eq!(rig.partition().leader, Some(broker(2)));
    assert_eq!(rig.partition().unclean, None);
}

#[test]
fn a_proposal_under_another_leader_epoch_is_fenced() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    let proposal = rig.proposal(&[1]);
    rig.fence(1);
    rig.unfence(1);
    let refused = rig.apply(&Command::AlterPartition(proposal.clone()));
    assert!(matches!(refused, Err(CommandError::FencedLeaderEpoch { .. })), "{refused:?}");
    let mut follower = rig.proposal(&[2]);
    follower.leader = rig.member(1);
    assert!(rig.apply(&Command::AlterPartition(follower)).is_err(), "only the leader proposes");
}

#[test]
fn a_proposal_on_an_older_partition_epoch_is_stale_unless_it_is_the_retry_of_the_last() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[]);
    let shrink = rig.proposal(&[1, 2]);
    rig.ok(Command::AlterPartition(shrink.clone()));
    let once = rig.partition().clone();
    assert_eq!(rig.apply(&Command::AlterPartition(shrink.clone())), Ok(CommandReply::Done));
    assert_eq!(rig.partition(), &once);
    rig.alter(&[1]).unwrap();
    let refused = rig.apply(&Command::AlterPartition(shrink));
    assert!(matches!(refused, Err(CommandError::StalePartitionEpoch { .. })), "{refused:?}");
}

#[test]
fn a_fenced_broker_is_not_added_to_the_isr() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    rig.fence(2);
    assert_eq!(rig.alter(&[1, 2]), Err(CommandError::IneligibleReplica(broker(2))));
}

#[test]
fn a_rebooted_follower_is_not_added_by_its_former_epoch() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    rig.alter(&[1]).unwrap();
    let mut proposal = rig.proposal(&[1, 2]);
    rig.return_killed(2);
    rig.unfence(2);
    proposal.partition_epoch = rig.partition().partition_epoch;
    assert_eq!(
        rig.apply(&Command::AlterPartition(proposal)),
        Err(CommandError::IneligibleReplica(broker(2)))
    );
    rig.alter(&[1, 2]).unwrap();
}

#[test]
fn a_proposal_must_be_a_set_of_replicas_with_the_leader() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2], &[]);
    for isr in [&[2][..], &[], &[1, 2, 2], &[1, 3]] {
        assert!(matches!(rig.alter(isr), Err(CommandError::Invalid(_))), "{isr:?}");
    }
}

#[test]
fn a_corrupt_copy_leaves_and_another_leads() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    let lose = |rig: &Rig, id| Command::LoseReplicas {
        broker: broker(id),
        epoch: rig.epoch(id),
        partitions: vec![(topic_id(1), 0)],
        stays_known: true,
    };
    let command = lose(&rig, 1);
    rig.ok(command);
    assert_eq!((rig.partition().leader, rig.partition().isr.clone()), (Some(broker(2)), brokers(&[2])));
    // The last one is the best there is: it leads on, and that is on record.
    let command = lose(&rig, 2);
    rig.ok(command);
    let partition = rig.partition();
    assert_eq!((partition.leader, partition.isr.clone()), (Some(broker(2)), brokers(&[2])));
    assert_eq!(partition.unclean.map(|unclean| unclean.leader_epoch), Some(partition.leader_epoch));
}

#[test]
fn a_copy_that_has_lost_bytes_is_not_eligible_when_it_leaves_below_min_isr() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], TWO);
    let lost = AlterPartition { lost: brokers(&[2]), ..rig.proposal(&[1]) };
    rig.ok(Command::AlterPartition(lost));
    assert_eq!((rig.partition().isr.clone(), rig.partition().elr.clone()), (brokers(&[1]), vec![]));
    // Nor where it had left before that was noticed.
    rig.alter(&[1, 2]).unwrap();
    rig.alter(&[1]).unwrap();
    assert_eq!(rig.partition().elr, brokers(&[2]));
    let lost = AlterPartition { lost: brokers(&[2]), ..rig.proposal(&[1]) };
    rig.ok(Command::AlterPartition(lost));
    assert_eq!(rig.partition().elr, vec![]);
}

#[test]
fn a_leader_that_resigns_is_followed_by_the_next_in_turn() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[]);
    for next in [2, 3, 1, 2] {
        let leader = rig.partition().leader.unwrap();
        let resign = Command::Resign {
            topic: topic_id(1),
            partition: 0,
            leader: rig.member(leader.0),
            leader_epoch: rig.partition().leader_epoch,
            in_turn: true,
        };
        rig.ok(resign);
        assert_eq!(rig.partition().leader, Some(broker(next)));
    }
    rig.fence(3);
    let resign = Command::Resign {
        topic: topic_id(1),
        partition: 0,
        leader: rig.member(2),
        leader_epoch: rig.partition().leader_epoch,
        in_turn: true,
    };
    rig.ok(resign);
    assert_eq!(rig.partition().leader, Some(broker(1)));
}

/// A start applies again what earlier programs have written: the images of old and new brokers must not come apart.
#[test]
fn what_earlier_programs_have_written_means_what_it_meant() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[]);
    for next in [2, 1, 2] {
        let (leader, leader_epoch) = (rig.partition().leader.unwrap(), rig.partition().leader_epoch);
        let leader = rig.member(leader.0);
        rig.ok(Command::Resign { topic: topic_id(1), partition: 0, leader, leader_epoch, in_turn: false });
        assert_eq!(rig.partition().leader, Some(broker(next)), "the first other one");
    }
    for id in [1, 3, 2] {
        let (broker, epoch) = (broker(id), rig.epoch(id));
        let partitions = vec![(topic_id(1), 0)];
        rig.ok(Command::LoseReplicas { broker, epoch, partitions, stays_known: false });
    }
    assert_eq!((rig.partition().leader, rig.partition().last_known_leader), (None, None));
}

#[test]
fn a_failed_directory_loses_its_copies_until_the_broker_registers_with_it_again() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    let lose = |rig: &Rig, id| Command::LoseDirectory {
        broker: broker(id),
        epoch: rig.epoch(id),
        directory: directory(u8::try_from(id).unwrap()),
    };
    let command = lose(&rig, 1);
    rig.ok(command.clone());
    rig.ok(command);
    assert_eq!((rig.partition().leader, rig.partition().isr.clone()), (Some(broker(2)), brokers(&[2])));
    assert!(rig.alter(&[1, 2]).is_err(), "not while the directory is offline");
    let command = lose(&rig, 2);
    rig.ok(command);
    let partition = rig.partition();
    assert_eq!((partition.leader, partition.last_known_leader), (None, Some(broker(2))));
    // With its directory the last known leader leads again; the other one catches up.
    rig.fence(2);
    let previous = Some(rig.epoch(2));
    let registration = rig.registration(2, Proof::Unclean { previous });
    rig.ok(Command::RegisterBroker(registration));
    rig.unfence(2);
    assert_eq!((rig.partition().leader, rig.partition().isr.clone()), (Some(broker(2)), brokers(&[2])));
}

#[test]
fn a_program_that_does_not_know_a_finalized_feature_says_so() {
    let mut image = Image::default();
    for (name, highest) in SUPPORTED_FEATURES {
        image.features.insert(name.to_owned(), highest);
    }
    assert_eq!(image.beyond_this_program(), None);
    for (name, level) in [("group.version", 99), ("later.version", 1)] {
        let mut later = image.clone();
        later.features.insert(name.to_owned(), level);
        let told = later.beyond_this_program().unwrap();
        assert!(told.contains(&format!("finalized {name} {level}")), "{told}");
    }
}

#[test]
fn the_level_of_commands_goes_up_and_never_down() {
    let mut image = Image::default();
    let mut to = |level| {
        let levels = BTreeMap::from([(COMMANDS.0.to_owned(), level)]);
        let next = image.version + 1;
        let applied = image.apply(next, &Command::UpdateFeatures { levels }).is_ok();
        (applied, image.commands_level())
    };
    assert_eq!(to(COMMANDS.1 + 1), (false, 0), "a level of a later program");
    assert_eq!(to(COMMANDS.1), (true, COMMANDS.1));
    assert_eq!(to(COMMANDS.1), (true, COMMANDS.1));
    assert_eq!(to(0), (false, COMMANDS.1), "the log may hold its words");
    assert_eq!(image.beyond_this_program(), None);
}

#[test]
fn a_command_below_its_level_has_no_word_that_earlier_programs_refuse() {
    let rig = Rig::new(3);
    let leader = rig.member(1);
    let (broker, epoch, partitions) = (leader.broker, leader.epoch, vec![(topic_id(1), 0)]);
    let later = [
        Command::AlterPartition(AlterPartition {
            topic: topic_id(1),
            partition: 0,
            leader,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            isr: vec![leader],
            lost: brokers(&[2]),
        }),
        Command::Resign {
            topic: topic_id(1),
            partition: 0,
            leader,
            leader_epoch: LeaderEpoch(0),
            in_turn: true,
        },
        Command::LoseReplicas { broker, epoch, partitions, stays_known: true },
    ];
    for (command, word) in later.into_iter().zip(["lost", "in_turn", "stays_known"]) {
        let written =
            |command: &Command| serde_json::to_string(command).unwrap().contains(&format!("\"{word}\""));
        assert!(written(&command), "{command:?}");
        assert!(!written(&command.clone().at_level(0)), "{command:?}");
        assert_eq!(command.clone().at_level(1), command);
    }
}

#[test]
fn an_unclean_election_takes_the_longest_log_and_only_where_it_is_allowed() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[]);
    rig.alter(&[1]).unwrap();
    rig.fence(1);
    let candidate = |rig: &Rig, id, last_epoch, log_end| UncleanCandidate {
        member: rig.member(id),
        last_epoch: LeaderEpoch(last_epoch),
        log_end: Offset(log_end),
    };
    let elect = |rig: &Rig| Command::ElectUnclean {
        topic: topic_id(1),
        partition: 0,
        partition_epoch: rig.partition().partition_epoch,
        candidates: vec![candidate(rig, 2, 0, 90), candidate(rig, 3, 1, 50), candidate(rig, 1, 9, 999)],
    };
    assert!(rig.image.awaiting_unclean_election().is_empty());
    let command = elect(&rig);
    assert!(rig.apply(&command).is_err());
    rig.set("unclean.leader.election.enable", "true");
    assert_eq!(rig.image.awaiting_unclean_election(), vec![(topic_id(1), 0)]);
    let before = rig.partition().leader_epoch;
    let command = elect(&rig);
    rig.ok(command);
    let partition = rig.partition();
    assert_eq!((partition.leader, partition.isr.clone()), (Some(broker(3)), brokers(&[3])));
    assert!(partition.elr.is_empty(), "the former member's log may differ now");
    let unclean = partition.unclean.unwrap();
    assert_eq!((unclean.leader_epoch, unclean.log_end), (before.next(), Some(Offset(50))));
}

#[test]
fn leadership_goes_back_to_the_preferred_leader_when_it_is_in_sync() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    rig.fence(1);
    rig.unfence(1);
    let elect = Command::ElectPreferred { partitions: vec![(topic_id(1), 0), (topic_id(9), 0)] };
    rig.ok(elect.clone());
    assert_eq!(rig.partition().leader, Some(broker(2)), "not in the ISR yet");
    rig.alter(&[1, 2]).unwrap();
    let before = rig.partition().leader_epoch;
    rig.ok(elect);
    assert_eq!(rig.partition().leader, Some(broker(1)));
    assert_eq!(rig.partition().leader_epoch, before.next());
}

#[test]
fn partitions_are_added_once() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    let add = |from| Command::CreatePartitions { id: topic_id(1), from, assignment: vec![brokers(&[2, 1])] };
    rig.ok(add(1));
    assert_eq!(rig.image.topics[&name("t")].partitions.len(), 2);
    assert!(matches!(rig.apply(&add(1)), Err(CommandError::Invalid(_))));
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_is_free() {
    let mut rig = Rig::new(1);
    rig.topic(&[1], &[("flush.messages", "1")]);
    let delete = Command::DeleteTopic { id: topic_id(1), cold: false };
    rig.ok(delete.clone());
    assert_eq!(rig.apply(&delete), Err(CommandError::UnknownTopic(topic_id(1))));
    assert!(rig.image.topic_ids.is_empty() && rig.image.synced_topics.is_empty());
    assert!(rig.image.cold_topics.is_empty());
    rig.topic(&[1], &[]);
}

#[test]
fn a_deleted_topic_with_objects_in_the_tier_is_remembered_until_they_are_gone() {
    let mut rig = Rig::new(1);
    rig.topic(&[1], &[]);
    rig.ok(Command::DeleteTopic { id: topic_id(1), cold: true });
    let cold = &rig.image.cold_topics[&topic_id(1)];
    assert_eq!((cold.name.clone(), cold.partitions), (name("t"), 1));
    let again = CreateTopic {
        name: name("t"),
        id: topic_id(1),
        assignment: vec![brokers(&[1])],
        configs: BTreeMap::new(),
        first_epoch: LeaderEpoch(0),
    };
    let refused = rig.apply(&Command::CreateTopic(again));
    assert!(matches!(refused, Err(CommandError::Invalid(_))), "the id is not free yet: {refused:?}");
    for _ in 0..2 {
        rig.ok(Command::ForgetColdTopic { id: topic_id(1) });
        assert!(rig.image.cold_topics.is_empty());
    }
}

#[test]
fn configs_that_the_quorum_obeys_are_checked() {
    let mut rig = Rig::new(1);
    rig.topic(&[1], &[]);
    for (key, value) in
        [("min.insync.replicas", "0"), ("min.insync.replicas", "x"), ("unclean.leader.election.enable", "1")]
    {
        let changes = BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]);
        let refused = rig.apply(&Command::AlterTopicConfig { id: topic_id(1), changes });
        assert!(matches!(refused, Err(CommandError::Invalid(ref why)) if why.contains(key)), "{refused:?}");
    }
    rig.set("retention.ms", "5");
    assert_eq!(rig.image.topics[&name("t")].configs["retention.ms"], "5");
}

#[test]
fn blocks_of_producer_ids_do_not_overlap() {
    let mut rig = Rig::new(1);
    let epoch = rig.epoch(1);
    let block = |count| Command::AllocateProducerIds { broker: broker(1), epoch, count };
    assert_eq!(rig.apply(&block(1000)), Ok(CommandReply::ProducerIds(ProducerId(0))));
    assert_eq!(rig.apply(&block(10)), Ok(CommandReply::ProducerIds(ProducerId(1000))));
    assert!(rig.apply(&block(0)).is_err());
    rig.ok(Command::ReserveProducerIds { below: 5000 });
    assert_eq!(rig.apply(&block(10)), Ok(CommandReply::ProducerIds(ProducerId(5000))));
    rig.ok(Command::ReserveProducerIds { below: 3 });
    assert_eq!(rig.apply(&block(10)), Ok(CommandReply::ProducerIds(ProducerId(5010))));
}

#[test]
fn a_user_has_one_credential_per_mechanism_until_it_is_deleted() {
    let mut rig = Rig::new(1);
    let credential =
        ScramCredential { salt: vec![1], stored_key: vec![2], server_key: vec![3], iterations: 4096 };
    for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
        let (user, credential) = ("ann".to_owned(), credential.clone());
        rig.ok(Command::UpsertUser { user, mechanism, credential });
    }
    let delete = |mechanism| Command::DeleteUser { user: "ann".to_owned(), mechanism };
    rig.ok(delete(Some(ScramMechanism::Sha256)));
    assert_eq!(rig.image.users["ann"].len(), 1);
    rig.ok(delete(None));
    assert_eq!(rig.apply(&delete(None)), Err(CommandError::UnknownUser("ann".to_owned())));
}

#[test]
fn a_cluster_is_formed_once() {
    let mut rig = Rig::new(0);
    let form =
        Command::Form { cluster_id: "other".to_owned(), features: BTreeMap::new(), configs: BTreeMap::new() };
    assert_eq!(rig.apply(&form), Err(CommandError::AlreadyFormed("c".to_owned())));
    assert_eq!(rig.image.cluster_id, "c");
}

#[test]
fn a_leader_that_resigns_hands_over_within_the_isr_or_goes_on_under_a_new_epoch() {
    let mut rig = Rig::new(2);
    rig.topic(&[1, 2], &[]);
    let resign = |rig: &Rig, id| Command::Resign {
        topic: topic_id(1),
        partition: 0,
        leader: rig.member(id),
        leader_epoch: rig.partition().leader_epoch,
        in_turn: true,
    };
    let before = rig.partition().clone();
    rig.ok(resign(&rig, 1));
    let after = rig.partition().clone();
    assert_eq!((after.leader, after.isr), (Some(broker(2)), before.isr));
    assert_eq!(after.leader_epoch, before.leader_epoch.next());
    let late = Command::Resign {
        topic: topic_id(1),
        partition: 0,
        leader: rig.member(1),
        leader_epoch: before.leader_epoch,
        in_turn: true,
    };
    assert!(matches!(rig.apply(&late), Err(CommandError::FencedLeaderEpoch { .. })));
    rig.fence(1);
    rig.ok(resign(&rig, 2));
    let alone = rig.partition();
    assert_eq!((alone.leader, alone.leader_epoch), (Some(broker(2)), after.leader_epoch.next()));
}

#[test]
fn a_broker_leaves_the_cluster_only_stopped_and_empty() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2], &[]);
    let leaves = |rig: &mut Rig, id: i32| rig.apply(&Command::UnregisterBroker { id: broker(id) });
    let why = |outcome: Result<CommandReply, CommandError>| outcome.unwrap_err().to_string();
    assert!(why(leaves(&mut rig, 3)).contains("is alive"));
    rig.fence(2);
    assert!(why(leaves(&mut rig, 2)).contains("a replica of 1 partitions, the first of topic t"));
    rig.fence(3);
    rig.ok(Command::UnregisterBroker { id: broker(3) });
    assert!(!rig.image.brokers.contains_key(&broker(3)));
    assert_eq!(leaves(&mut rig, 3), Err(CommandError::UnknownBroker(broker(3))));
    // Its id may come back, as a broker that nobody knows anything of.
    let registration = rig.registration(3, Proof::CleanShutdown { previous: BrokerEpoch(1) });
    rig.ok(Command::RegisterBroker(registration));
}

#[test]
fn a_cordoned_broker_gets_no_new_replicas() {
    let mut rig = Rig::new(3);
    let cordon = |value: Option<&str>| Command::AlterBrokerConfig {
        broker: Some(broker(2)),
        changes: BTreeMap::from([("cordoned.log.dirs".to_owned(), value.map(str::to_owned))]),
    };
    rig.ok(cordon(Some("*")));
    let placed = assign_replicas(&rig.image, 6, 2, 1).unwrap();
    assert!(placed.iter().flatten().all(|id| *id != broker(2)), "{placed:?}");
    let too_many = assign_replicas(&rig.image, 1, 3, 1);
    assert_eq!(too_many, Err(PlacementError::InvalidReplicationFactor { wanted: 3, available: 2 }));
    rig.ok(cordon(None));
    assert_eq!(assign_replicas(&rig.image, 1, 3, 1).unwrap()[0].len(), 3);
}
