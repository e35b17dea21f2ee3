//! A lone broker with two log directories, one of which hangs: whatever asks its disk for something waits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::broker::config::{BrokerConfig, Properties};
use crate::broker::lifecycle::{open_dirs, silent_dirs};
use crate::broker::testing::{request, wanted};
use crate::broker::{Broker, FetchError, ListError, NewTopic, OffsetSpec, Seams};
use crate::env::RealDisk;
use crate::env::metrics::{DIRECTORY_WAITS, DISK_FREE, Family, LOG_BYTES, Metric, Value};
use crate::env::sim::HangingDisk;
use crate::replication::{Acks, Isolation, ReplicaRole};
use crate::types::{Offset, TopicName, TopicPartition};
use crate::wire::record_batch::{BatchBuilder, Compression};

const LIMIT: Duration = Duration::from_secs(60);
/// Of each topic; half of them in either directory. More than there are turns and threads of any kind.
const PARTITIONS: i32 = 16;
/// Two of them do not fit into a segment: the second one is a disk thread's.
const LARGE: usize = 3000;

/// A broker, and the directory that is to hang; nothing does any more when this is dropped.
struct Two {
    broker: Arc<Broker>,
    disk: HangingDisk,
    well: DirectoryId,
    sick: DirectoryId,
    folders: BTreeMap<DirectoryId, PathBuf>,
}

impl Drop for Two {
    fn drop(&mut self) {
        self.disk.let_go();
    }
}

async fn two(dir: &Path) -> Two {
    let mut properties = Properties::default();
    let path = |name: &str| dir.join(name).display().to_string();
    for (key, value) in [
        ("node.id", "1".to_owned()),
        ("log.dirs", format!("{},{}", path("one"), path("two"))),
        ("metadata.log.dir", path("metadata")),
        ("tier.cache.dir", path("cache")),
        ("tier.store.url", format!("file://{}", path("store"))),
        ("peer.listener", "127.0.0.1:0".to_owned()),
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("remote.log.manager.task.interval.ms", "50".to_owned()),
        ("log.retention.check.interval.ms", "50".to_owned()),
        ("log.cleaner.backoff.ms", "50".to_owned()),
    ] {
        properties.set(key, &value, "test").unwrap();
    }
    let config = BrokerConfig::new(properties).unwrap();
    let disk = HangingDisk::over(Arc::new(RealDisk));
    let env = Env { disk: Arc::new(disk.clone()), ..Env::real() };
    let broker = Broker::start(Seams::real(env), config, Vec::new()).await.unwrap();
    let folders: BTreeMap<DirectoryId, PathBuf> = broker.replicas().directories().into_iter().collect();
    let [(well, _), (sick, _)] = broker.replicas().directories().try_into().unwrap();
    Two { broker, disk, well, sick, folders }
}

impl Two {
    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let wait = async {
            while !holds() {
                self.broker.env().clock.sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(&*self.broker.env().clock, LIMIT, wait)
            .await
            .unwrap_or_else(|_| panic!("not in time: {what}"));
    }

    async fn soon<T>(&self, what: &str, does: impl Future<Output = T>) -> T {
        timeout(&*self.broker.env().clock, LIMIT, does)
            .await
            .unwrap_or_else(|_| panic!("not in time: {what}"))
    }

    /// The partitions of a new topic in either directory: those that are well, and those that will hang.
    async fn topic(&self, name: &str, configs: &[(&str, &str)]) -> [Vec<Arc<Replica>>; 2] {
        let name = TopicName::new(name).unwrap();
        let configs = [("segment.bytes", "4000")].iter().chain(configs);
        let new = NewTopic {
            name: name.clone(),
            partitions: Some(PARTITIONS),
            replication_factor: Some(1),
            assignment: None,
            configs: configs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        self.broker.create_topic(new, false).await.unwrap();
        let [mut well, mut sick] = [Vec::new(), Vec::new()];
        for partition in 0..PARTITIONS {
            let partition = TopicPartition::new(name.clone(), partition);
            let led = || self.broker.replicas().replica(&partition);
            self.until("it is led", || led().is_some_and(|r| r.positions().role == ReplicaRole::Leader))
                .await;
            let replica = led().unwrap();
            if replica.directory() == self.well { well.push(replica) } else { sick.push(replica) }
        }
        assert_eq!(well.len(), sick.len(), "they are spread");
        [well, sick]
    }

    /// So many records of one key, each in a batch of its own.
    async fn produce(&self, replica: &Replica, records: usize, bytes: usize) {
        for _ in 0..records {
            let mut batch = BatchBuilder::new(Compression::None);
            let now_ms = self.broker.env().clock.wall_ms();
            batch.add(now_ms, Some(b"key"), Some(&vec![b'x'; bytes]), &[]);
            let batch = batch.build().unwrap();
            self.broker.produce(replica.partition(), None, batch, Acks::All, LIMIT, None).await.unwrap();
        }
    }

    /// One of the directories hangs from now on, and all its threads are stuck.
    async fn hang(&self, partitions: &[Arc<Replica>]) {
        for replica in partitions {
            self.produce(replica, 1, LARGE).await;
        }
        self.hang_filled(partitions).await;
    }

    /// The same; the next large record needs a new segment in each.
    async fn hang_filled(&self, partitions: &[Arc<Replica>]) {
        self.disk.hang(&self.folders[&self.sick]);
        let threads = self.broker.replicas().threads_of(self.sick);
        for replica in partitions {
            let (broker, replica) = (self.broker.clone(), replica.clone());
            tokio::spawn(async move {
                let mut batch = BatchBuilder::new(Compression::None);
                batch.add(0, Some(b"key"), Some(&[b'x'; LARGE]), &[]);
                let batch = batch.build().unwrap();
                let _ = broker.produce(replica.partition(), None, batch, Acks::Leader, LIMIT, None).await;
            });
        }
        self.until("all its threads are stuck", || threads.stuck_for() > Duration::from_millis(100)).await;
        assert!(self.disk.stuck() > 0);
    }

    /// The disk answers again: what waited is done, and the broker stops in order.
    async fn recovers(self, partitions: &[Arc<Replica>]) {
        self.disk.let_go();
        let threads = self.broker.replicas().threads_of(self.sick);
        self.until("its threads are free", || threads.stuck_for() == Duration::ZERO).await;
        for replica in partitions {
            self.soon("it takes records again", self.produce(replica, 1, 10)).await;
        }
        self.broker.shutdown().await;
        for folder in self.folders.values() {
            assert!(folder.join(".kafka_cleanshutdown").exists(), "{}", folder.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_disk_hangs_retention_goes_on_in_the_other_directory() {
    let dir = tempfile::tempdir().unwrap();
    let two = two(dir.path()).await;
    let [well, sick] = two.topic("expires", &[("retention.bytes", "8000")]).await;
    two.hang(&sick).await;
    for replica in &well {
        two.produce(replica, 40, 500).await;
        two.until("the oldest go", || replica.positions().log_start > Offset::ZERO).await;
    }
    two.recovers(&sick).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_disk_hangs_compaction_goes_on_in_the_other_directory() {
    let dir = tempfile::tempdir().unwrap();
    let two = two(dir.path()).await;
    let configs = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")];
    let [well, sick] = two.topic("compacted", &configs).await;
    two.hang(&sick).await;
    for replica in &well {
        two.produce(replica, 40, 500).await;
        // All of one key: but for the last segments little is left.
        two.until("it is compacted", || replica.log_summary().bytes < 12_000).await;
    }
    two.recovers(&sick).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_disk_hangs_uploads_and_cold_reads_go_on_in_the_other_directory() {
    let dir = tempfile::tempdir().unwrap();
    let two = two(dir.path()).await;
    let configs = [("remote.storage.enable", "true"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
    let [well, sick] = two.topic("cold", &configs).await;
    // There is something to upload of each when the disk begins to hang.
    for replica in &sick {
        two.produce(replica, 20, 500).await;
    }
    two.hang(&sick).await;
    for replica in &well {
        two.produce(replica, 40, 500).await;
        two.until("it goes up, and leaves the disk", || {
            let positions = replica.positions();
            positions.tier_end() > Offset(20) && positions.local_start == positions.tier_end()
        })
        .await;
        let wants = request(vec![wanted(replica.partition(), Offset::ZERO, 20_000)], 1 << 20);
        let (mut answers, _) = two.soon("it is read", two.broker.fetch(&wants)).await;
        assert!(!answers.remove(0).unwrap().records.is_empty());
    }
    two.recovers(&sick).await;
}

fn level(told: &[Family], metric: &Metric, dir: &Path) -> Option<f64> {
    let family = told.iter().find(|family| family.metric.name == metric.name)?;
    match family.series.get(&vec![dir.display().to_string()])? {
        Value::Level(level) => Some(*level),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_holds_up_no_metrics_and_is_seen_in_them_and_the_broker_lives() {
    let dir = tempfile::tempdir().unwrap();
    let two = two(dir.path()).await;
    let [well, sick] = two.topic("told", &[]).await;
    for replica in well.iter().chain(&sick) {
        two.produce(replica, 1, LARGE).await;
    }
    let before = two.broker.metrics().await;
    two.hang_filled(&sick).await;
    let [fine, bad] = [two.well, two.sick].map(|id| two.folders[&id].clone());
    // Again and again: each question must not take a thread for good.
    for _ in 0..10 {
        let told = two.soon("the metrics are made", two.broker.metrics()).await;
        for folder in [&fine, &bad] {
            let of = |told: &[Family]| level(told, LOG_BYTES, folder);
            assert_eq!(of(&told), of(&before), "as it was last: {}", folder.display());
            assert!(level(&told, DISK_FREE, folder).is_some_and(|bytes| bytes > 0.0));
        }
        let waits = |folder| level(&told, DIRECTORY_WAITS, folder).unwrap();
        assert!(waits(&bad) > 0.1 && waits(&bad) > waits(&fine), "{} {}", waits(&bad), waits(&fine));
        two.soon("it lives", two.broker.a_disk_answers()).await;
        let dirs = two.broker.log_dirs(|_| true);
        let sizes =
            dirs.iter().map(|dir| dir.replicas.iter().filter(|replica| replica.size_bytes > 500).count());
        assert_eq!(sizes.collect::<Vec<_>>(), [well.len(), sick.len()]);
    }
    // With both gone it cannot serve anything.
    two.disk.hang(dir.path());
    let stuck = || two.broker.replicas().threads_of(two.well).stuck_for() > Duration::ZERO;
    while !stuck() {
        let (broker, replica) = (two.broker.clone(), well[two.disk.stuck() % well.len()].clone());
        tokio::spawn(async move {
            let _ = broker
                .list_offset(replica.partition(), OffsetSpec::Timestamp(0), Isolation::ReadUncommitted, None)
                .await;
        });
        two.broker.env().clock.sleep(Duration::from_millis(20)).await;
    }
    let dies = timeout(&*two.broker.env().clock, Duration::from_millis(200), two.broker.a_disk_answers());
    assert!(dies.await.is_err());
    two.recovers(&sick).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_partitions_in_both_directories_is_answered_for_those_whose_disk_does_not_hang() {
    let dir = tempfile::tempdir().unwrap();
    let two = two(dir.path()).await;
    let [well, sick] = two.topic("asked", &[]).await;
    for replica in [&well[0], &sick[0]] {
        two.produce(replica, 3, 500).await;
    }
    two.hang(&sick).await;
    let broker = &two.broker;
    let since = async |replica: &Replica| {
        let spec = OffsetSpec::Timestamp(0);
        broker.list_offset(replica.partition(), spec, Isolation::ReadUncommitted, None).await
    };
    assert_eq!(two.soon("one is found", since(&well[0])).await.unwrap().offset, Offset::ZERO);
    let hangs = two.soon("one is not", since(&sick[0])).await;
    assert!(matches!(hangs, Err(ListError::Fetch(FetchError::DiskHangs))), "{hangs:?}");
    // In the order in which one would wait for the other.
    let places = [&sick[0], &well[0]].map(|replica| wanted(replica.partition(), Offset::ZERO, 20_000));
    let (answers, _) = two.soon("they are fetched", broker.fetch(&request(places.to_vec(), 1 << 20))).await;
    let found: Vec<bool> =
        answers.iter().map(|answer| !answer.as_ref().unwrap().records.is_empty()).collect();
    assert!(found[1], "{found:?}");
    let asked = [&sick[0], &well[0]].map(|r| (r.partition().topic.clone(), r.partition().partition, Some(0)));
    let standings = two.soon("they say where they stand", broker.standings(asked.to_vec())).await;
    let ages: Vec<bool> =
        standings.iter().map(|standing| standing.as_ref().unwrap().age_ms.is_some()).collect();
    assert_eq!(ages, [false, true]);
    let deleted = two.soon("records are deleted", broker.delete_records(well[0].partition(), 1, LIMIT)).await;
    assert_eq!(deleted.unwrap(), Offset(1));
    two.recovers(&sick).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_whose_disk_hangs_at_the_start_is_offline_and_keeps_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let two = two(dir.path()).await;
    let [well, sick] = two.topic("starts", &[]).await;
    two.soon("it stops", two.broker.shutdown()).await;
    let (env, config) = (two.broker.env(), two.broker.config());
    two.disk.hang(&two.folders[&two.sick]);
    let paths: Vec<PathBuf> = two.broker.replicas().directories().into_iter().map(|(_, path)| path).collect();
    let silent = two.soon("it is found", silent_dirs(env, &paths, Duration::from_millis(300))).await;
    assert_eq!(silent, [two.folders[&two.sick].clone()]);
    let dirs = open_dirs(env, config, &silent).unwrap();
    assert_eq!(dirs.directories(), [(two.well, two.folders[&two.well].clone())]);
    assert!(dirs.no_longer_usable().is_none());
    for (replicas, is_out) in [(&well, false), (&sick, true)] {
        let out =
            |replica: &Arc<Replica>| dirs.may_be_out_of_reach(replica.partition(), Some(replica.directory()));
        assert!(replicas.iter().all(|replica| out(replica) == is_out), "nothing of it is made anew");
    }
    // Where none answers there is nothing to go on with.
    two.disk.hang(dir.path());
    assert!(silent_dirs(env, &paths, Duration::from_millis(300)).await.is_empty());
    two.disk.let_go();
    assert!(silent_dirs(env, &paths, LIMIT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_whose_disk_hangs_does_not_keep_the_broker_from_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let two = two(dir.path()).await;
    let [well, sick] = two.topic("stops", &[]).await;
    two.produce(&well[0], 3, 500).await;
    two.hang(&sick).await;
    two.soon("it stops", two.broker.shutdown()).await;
    let proof = |id| two.folders[&id].join(".kafka_cleanshutdown").exists();
    assert!(proof(two.well), "it is not scanned at the next start");
    two.disk.let_go();
}
