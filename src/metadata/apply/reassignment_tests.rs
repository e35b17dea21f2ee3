//! Reassignments: they begin, complete in the command that makes them complete, and are cancelled.

use super::rig::{Rig, broker, brokers, topic_id};
use crate::metadata::*;

fn reassign(rig: &mut Rig, target: Option<&[i32]>) -> Result<CommandReply, CommandError> {
    rig.apply(&Command::Reassign { topic: topic_id(1), partition: 0, target: target.map(brokers) })
}

fn replicas(rig: &Rig) -> Vec<i32> {
    rig.partition().replicas.iter().map(|replica| replica.broker.0).collect()
}

fn isr(rig: &Rig) -> Vec<i32> {
    rig.partition().isr.iter().map(|member| member.0).collect()
}

#[test]
fn replicas_are_added_and_the_old_ones_go_when_all_new_ones_are_in_sync() {
    let mut rig = Rig::new(5);
    rig.topic(&[1, 2, 3], &[("min.insync.replicas", "2")]);
    reassign(&mut rig, Some(&[4, 5, 3])).unwrap();
    assert_eq!(replicas(&rig), [1, 2, 3, 4, 5], "the original ones first");
    assert_eq!(rig.partition().adding(), brokers(&[4, 5]));
    assert_eq!(rig.partition().removing(), brokers(&[1, 2]));
    assert_eq!(isr(&rig), [1, 2, 3]);
    rig.alter(&[1, 2, 3, 4]).unwrap();
    assert_eq!(replicas(&rig), [1, 2, 3, 4, 5]);
    let epoch = rig.partition().leader_epoch;
    rig.alter(&[1, 2, 3, 4, 5]).unwrap();
    assert_eq!(
        (replicas(&rig), isr(&rig)),
        (vec![4, 5, 3], vec![4, 5, 3]),
        "in the order that was asked for"
    );
    assert_eq!(rig.partition().leader, Some(broker(4)), "the old leader went, the first in order leads");
    assert_eq!(rig.partition().leader_epoch, epoch.next());
    assert_eq!(rig.partition().reassignment, None);
}

#[test]
fn a_leader_that_stays_goes_on_leading() {
    let mut rig = Rig::new(4);
    rig.topic(&[1, 2, 3], &[]);
    let epoch = rig.partition().leader_epoch;
    reassign(&mut rig, Some(&[4, 1, 2])).unwrap();
    rig.alter(&[1, 2, 3, 4]).unwrap();
    assert_eq!((replicas(&rig), rig.partition().leader), (vec![4, 1, 2], Some(broker(1))));
    assert_eq!(rig.partition().leader_epoch, epoch);
}

#[test]
fn a_cancelled_reassignment_restores_the_replicas_and_their_order() {
    let mut rig = Rig::new(5);
    rig.topic(&[1, 2, 3], &[]);
    let before = rig.partition().replicas.clone();
    reassign(&mut rig, Some(&[5, 4])).unwrap();
    rig.alter(&[1, 2, 3, 4]).unwrap();
    reassign(&mut rig, None).unwrap();
    assert_eq!((rig.partition().replicas.clone(), isr(&rig)), (before, vec![1, 2, 3]));
    assert!(matches!(reassign(&mut rig, None), Err(CommandError::NoReassignment(..))));
}

#[test]
fn a_cancel_that_would_drop_the_last_replica_in_sync_is_refused() {
    let mut rig = Rig::new(4);
    rig.topic(&[1, 2], &[]);
    // 3 can only be a part of the target, so that 4 alone does not complete it.
    reassign(&mut rig, Some(&[3, 4])).unwrap();
    rig.alter(&[1, 4]).unwrap();
    rig.fence(1);
    assert_eq!(isr(&rig), [4]);
    let refused = reassign(&mut rig, None);
    assert!(matches!(refused, Err(CommandError::InvalidReplicas(_))), "{refused:?}");
    assert_eq!(rig.partition().leader, Some(broker(4)));
}

#[test]
fn fewer_replicas_go_at_once_but_only_when_those_that_stay_are_enough() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[("min.insync.replicas", "2")]);
    reassign(&mut rig, Some(&[2, 1])).unwrap();
    assert_eq!((replicas(&rig), isr(&rig)), (vec![2, 1], vec![2, 1]));

    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[("min.insync.replicas", "2")]);
    rig.alter(&[1, 3]).unwrap();
    reassign(&mut rig, Some(&[1, 2])).unwrap();
    assert_eq!(replicas(&rig), [1, 2, 3], "2 is not in sync, and 1 alone would be below min ISR");
    rig.alter(&[1, 2, 3]).unwrap();
    assert_eq!(replicas(&rig), [1, 2]);
}

#[test]
fn a_second_reassignment_takes_the_place_of_the_first() {
    let mut rig = Rig::new(6);
    rig.topic(&[1, 2, 3], &[]);
    reassign(&mut rig, Some(&[4, 2, 3])).unwrap();
    reassign(&mut rig, Some(&[1, 2, 6])).unwrap();
    assert_eq!(replicas(&rig), [1, 2, 3, 6]);
    assert_eq!((rig.partition().adding(), rig.partition().removing()), (&brokers(&[6])[..], brokers(&[3])));
    rig.alter(&[1, 2, 3, 6]).unwrap();
    assert_eq!(replicas(&rig), [1, 2, 6]);
}

#[test]
fn another_order_alone_is_done_at_once_and_moves_no_leader() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[]);
    reassign(&mut rig, Some(&[3, 1, 2])).unwrap();
    assert_eq!((replicas(&rig), rig.partition().leader), (vec![3, 1, 2], Some(broker(1))));
    assert_eq!(rig.partition().reassignment, None);
}

#[test]
fn senseless_targets_are_refused() {
    let mut rig = Rig::new(3);
    rig.topic(&[1, 2, 3], &[]);
    for target in [&[][..], &[1, 1], &[1, 9]] {
        assert!(matches!(reassign(&mut rig, Some(target)), Err(CommandError::InvalidReplicas(_))));
    }
    let unknown = Command::Reassign { topic: topic_id(1), partition: 1, target: None };
    assert!(matches!(rig.apply(&unknown), Err(CommandError::UnknownPartition(..))));
}
