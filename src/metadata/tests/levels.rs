//! The level of commands: when it rises, who is named for holding it back, and that older programs stop at it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rig::{Cluster, set, soon};
use crate::env::sim::Told;
use crate::metadata::control::Answer;
use crate::metadata::image::COMMANDS;
use crate::metadata::levels::tell_who_holds_back;
use crate::metadata::liveness::HoldsBack;
use crate::metadata::raft::{LogStore, Machine, Opened, Submission};
use crate::metadata::*;
use crate::types::*;

/// Within the 50 ms between two looks, and not with the looks of once a second.
#[tokio::test(start_paused = true)]
async fn the_level_of_commands_is_told_at_once_when_the_last_broker_has_said_it() {
    for wait in [0, 250, 500, 750].map(Duration::from_millis) {
        let mut cluster = Cluster::in_virtual_time(3).form(3).await.enlisted(2).await;
        let clock = cluster.env.clock.clone();
        clock.sleep(wait).await;
        assert_eq!(cluster.node(1).image().commands_level(), 0, "one has said nothing");
        cluster.enlist(3).await;
        let said = clock.now();
        cluster.everywhere(|image| image.commands_level() == COMMANDS.1).await;
        let took = clock.now().since(said);
        assert!(took < Duration::from_millis(150), "{took:?} of virtual time, {wait:?} later");
        for id in 1..=3 {
            cluster.kill(id).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_holds_the_level_back_is_named_each_minute() {
    let cluster = Cluster::in_virtual_time(3).form(3).await.enlisted(2).await;
    let told = Told::listen();
    let lines = || told.with("holds the level of commands back");
    let clock = cluster.env.clock.clone();
    clock.sleep(Duration::from_secs(55)).await;
    assert_eq!(lines(), Vec::<String>::new(), "not while brokers come up");
    clock.sleep(Duration::from_secs(10)).await;
    assert_eq!(lines().len(), 1, "{:?}", lines());
    clock.sleep(Duration::from_secs(180)).await;
    assert_eq!(lines().len(), 4, "{:?}", lines());
    for line in lines() {
        assert!(line.contains("WARN") && line.contains("broker=3 feature=esker.commands level=0"), "{line}");
        assert!(line.contains("esker cluster remove-voter 3"), "{line}");
    }
}

#[test]
fn each_way_to_hold_the_level_back_has_its_line() {
    let told = Told::listen();
    for who in [
        HoldsBack::Silent(BrokerId(4)),
        HoldsBack::Unregistered(BrokerId(5)),
        HoldsBack::Older(BrokerId(6), 1),
    ] {
        tell_who_holds_back(who, 2);
    }
    let lines = told.with("holds the level of commands back");
    let wanted = ["esker cluster drain 4, then esker cluster remove 4", "remove-voter 5", "an older program"];
    assert_eq!(lines.len(), wanted.len(), "{lines:?}");
    for (line, wanted) in lines.iter().zip(wanted) {
        assert!(line.contains("WARN") && line.contains("level=2") && line.contains(wanted), "{line}");
    }
}

/// The image that a program begins with which passes over the command that raises the level: the stored snapshot's.
async fn stored_image(cluster: &Cluster, id: i32) -> Image {
    let writer = cluster.env.threads.pool("raft-log", 1);
    let opened = LogStore::open(cluster.env.disk.clone(), &cluster.dir(id), BrokerId(id), 1, writer).await;
    let Opened { store, snapshot, .. } = opened.unwrap();
    let (_machine, images) = Machine::new(store.clone(), snapshot).unwrap();
    let image = Image::clone(&images.borrow());
    store.close().await.unwrap();
    image
}

#[tokio::test(start_paused = true)]
async fn every_node_stores_a_snapshot_that_names_the_level_when_it_has_risen() {
    let mut cluster = Cluster::in_virtual_time(3).form(3).await.enlisted(3).await;
    cluster.everywhere(|image| image.commands_level() == COMMANDS.1).await;
    cluster.env.clock.sleep(Duration::from_secs(5)).await;
    for id in 1..=3 {
        assert_eq!(cluster.node(id).snapshots(), (1, 0), "one, and no more");
        cluster.kill(id).await;
        assert_eq!(stored_image(&cluster, id).await.commands_level(), COMMANDS.1, "of node {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_finds_a_later_level_in_its_log_stops_there_and_does_not_start_again() {
    let mut cluster = Cluster::active(1).await;
    let metadata = cluster.node(1);
    metadata.submit(set("before", "v")).await.unwrap();
    let submission = Submission {
        origin: Incarnation::from_bytes([77; 16]),
        sequence: 0,
        answered_below: 0,
        only_in_term: None,
        command: Command::UpdateFeatures {
            levels: BTreeMap::from([(COMMANDS.0.to_owned(), COMMANDS.1 + 1)]),
        },
    };
    let answer = metadata.core().write(submission).await;
    assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
    let told = metadata.image().beyond_this_program().expect("it says so");
    assert!(told.contains(&format!("esker.commands {}", COMMANDS.1 + 1)), "{told}");
    soon("it has no lease any more", async {
        while metadata.lease().holds(cluster.env.clock.now()) {
            cluster.env.clock.sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    cluster.kill(1).await;
    let refused = cluster.start_with(cluster.config(1)).await.err();
    assert!(matches!(&refused, Some(MetadataError::TooOld(why)) if *why == told), "{refused:?}");
}
