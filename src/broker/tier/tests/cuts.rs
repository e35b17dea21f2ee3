//! A topic that was restored to a cut: it has exactly what lies below its marks, goes on from there, and can be restored again.

use std::collections::BTreeSet;

use tiering::layout::PartitionFolder;
use tiering::manifest::Manifest;
use tiering::publish::Publisher;
use tiering::store::StoreError;
use tiering::verify::{self, Depth};

use super::*;
use crate::broker::markers::MarkerOutcome;
use crate::broker::tier::restored::Known;
use crate::broker::tier::{CutBackup, CutMark, CutTopic, MetadataBackup, PartsBackup};
use crate::coordinator::Producer;
use crate::log::{ProducersSince, Rejected, snapshot_of_no_producers};
use crate::replication::AppendError;
use crate::types::{DirectoryId, ProducerEpoch, ProducerId};
use crate::wire::record_batch::{Batch, BatchIter, ControlKind};

/// Has no transactions.
const IDEMPOTENT: i64 = 1;
/// The number of the cut.
const CUT: u64 = 12;
const FIRST_EPOCH: i32 = 1001;

/// A record that was written, or the end of a transaction; its offset is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    Plain(Bytes),
    Sequenced(Bytes),
    InTransaction(i64, Bytes),
    End { of: i64, commits: bool },
}

/// What was written to a partition, and the bucket that it went to with all but its last records.
struct Lost {
    dir: tempfile::TempDir,
    cluster_id: String,
    topic: String,
    written: Vec<Written>,
    /// Where the objects end.
    ends: Vec<i64>,
}

async fn append(broker: &Broker, partition: &TopicPartition, batch: Bytes) -> Result<Offset, Rejected> {
    let replica = broker.replicas().replica(partition).unwrap();
    let deadline = broker.env().clock.now() + LIMIT;
    match replica.append(batch, Acks::All, deadline).await {
        Ok(appended) => Ok(appended.base),
        Err(AppendError::Rejected(why)) => Err(why),
        Err(error) => panic!("{error}"),
    }
}

fn of_producer(id: i64, epoch: i16, sequence: i32, transactional: bool, value: &Bytes) -> Bytes {
    let mut batch =
        BatchBuilder::new(Compression::None).producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    if transactional {
        batch = batch.transactional();
    }
    batch.add(1_000_000, None, Some(value), &[]);
    batch.build().unwrap()
}

async fn end(broker: &Broker, partition: &TopicPartition, of: i64, commits: bool) {
    let producer = Producer { id: ProducerId(of), epoch: ProducerEpoch(0) };
    let partitions = std::slice::from_ref(partition);
    let outcome = broker.write_marker(producer, commits, 0, false, partitions).await;
    assert_eq!(outcome, [MarkerOutcome::Written]);
}

/// Transactions of two producers, one over the other, beside an idempotent producer and one without numbers: at any offset some are open,
/// some committed and some aborted.
async fn lost() -> Lost {
    let dir = tempfile::tempdir().unwrap();
    let running = broker(dir.path()).await;
    let partition = tiered_topic(&running, &[("tier.max.lag.ms", "100")]).await;
    let mut written = Vec::new();
    let mut sequences: BTreeMap<i64, i32> = BTreeMap::new();
    let mut open = BTreeSet::new();
    for i in 0..RECORDS {
        let value = value(i);
        // Transactions of 60 records that begin every 40, of three producers in turn.
        let [first, second] = [10 + i / 40 % 3, 10 + (i / 40 + 2) % 3];
        let what = match i % 5 {
            0 => Written::Plain(value),
            1 => Written::Sequenced(value),
            2 | 3 => Written::InTransaction(first, value),
            _ if i % 40 < 20 && i > 40 => Written::InTransaction(second, value),
            _ => Written::Plain(value),
        };
        let mut next = |id: i64| {
            let sequence = sequences.entry(id).or_insert(0);
            *sequence += 1;
            *sequence - 1
        };
        let batch = match &what {
            Written::Plain(value) => {
                let mut batch = BatchBuilder::new(Compression::None);
                batch.add(1_000_000, None, Some(value), &[]);
                batch.build().unwrap()
            }
            Written::Sequenced(value) => of_producer(IDEMPOTENT, 0, next(IDEMPOTENT), false, value),
            Written::InTransaction(id, value) => {
                open.insert(*id);
                of_producer(*id, 0, next(*id), true, value)
            }
            Written::End { .. } => unreachable!("none is made here"),
        };
        append(&running, &partition, batch).await.unwrap();
        written.push(what);
        if i % 40 == 19 && open.remove(&second) {
            let commits = i / 40 % 2 == 0;
            end(&running, &partition, second, commits).await;
            written.push(Written::End { of: second, commits });
        }
    }
    for of in open {
        end(&running, &partition, of, true).await;
        written.push(Written::End { of, commits: true });
    }
    let all = Offset(written.len() as i64);
    until(&running, &partition, |p| p.tier_end() == all).await;
    let image = running.image();
    let topic = image.topics[&partition.topic].id.to_string();
    let cluster_id = image.cluster_id.clone();
    let mut lost = Lost { dir, cluster_id, topic, written, ends: Vec::new() };
    lost.ends = lost.head(&running).await.live.iter().map(|row| row.end).collect();
    running.shutdown().await;
    lost
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

impl Lost {
    fn folder(&self) -> PartitionFolder {
        PartitionFolder::new(&self.cluster_id, "cold", &self.topic, 0).unwrap()
    }

    async fn head(&self, broker: &Broker) -> Manifest {
        let store = broker.cold_store.as_ref().unwrap().store.clone();
        Publisher::new(store, self.folder()).find_head(0).await.unwrap().manifest.unwrap()
    }

    /// A folder with the bucket as it was.
    fn bucket(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        copy(&self.dir.path().join("store"), &dir.path().join("store"));
        dir
    }

    async fn brokers(&self, dir: &Path) -> Arc<Broker> {
        broker_with(dir, &[("cluster.id", &self.cluster_id)]).await
    }

    fn cut_at(&self, offset: i64, epoch: i32) -> CutBackup {
        let marks = vec![CutMark { offset, epoch, tier_end: 0 }];
        let topic = CutTopic { name: "cold".into(), marks };
        CutBackup {
            cluster_id: self.cluster_id.clone(),
            taken_ms: 1,
            topics: BTreeMap::from([(self.topic.clone(), topic)]),
            groups: PartsBackup::default(),
        }
    }

    /// Creates the topic again, at a cut or at its tier's end.
    async fn restore(&self, broker: &Broker, first_epoch: i32, cut: Option<u64>) -> TopicPartition {
        let (epoch, cut) = (first_epoch.to_string(), cut.map(|number| number.to_string()));
        let mut configs = vec![
            ("tier.max.lag.ms", "100"),
            ("tier.restore.topic.id", self.topic.as_str()),
            ("tier.restore.leader.epoch", epoch.as_str()),
        ];
        configs.extend(cut.as_deref().map(|cut| ("tier.restore.cut", cut)));
        tiered_topic(broker, &configs).await
    }

    async fn restore_to(&self, broker: &Broker, offset: i64) -> TopicPartition {
        let store = broker.cold_store.as_ref().unwrap().store.clone();
        self.cut_at(offset, 0).keep(&*store, CUT).await.unwrap();
        self.restore(broker, FIRST_EPOCH, Some(CUT)).await
    }

    /// The records below an offset, with those of aborted transactions and those that have no end below it, or without.
    fn values(&self, below: i64, committed: bool) -> Vec<Bytes> {
        let below = &self.written[..below as usize];
        let is_committed = |at: usize, id: i64| {
            let end = below[at..].iter().find_map(|what| match what {
                Written::End { of, commits } if *of == id => Some(*commits),
                _ => None,
            });
            end == Some(true)
        };
        let value = |(at, what): (usize, &Written)| match what {
            Written::Plain(value) | Written::Sequenced(value) => Some(value.clone()),
            Written::InTransaction(id, value) => (!committed || is_committed(at, *id)).then(|| value.clone()),
            Written::End { .. } => None,
        };
        below.iter().enumerate().filter_map(value).collect()
    }

    /// Which transactions are open at an offset.
    fn open_at(&self, offset: i64) -> BTreeSet<i64> {
        let mut open = BTreeSet::new();
        for what in &self.written[..offset as usize] {
            match what {
                Written::InTransaction(id, _) => _ = open.insert(*id),
                Written::End { of, .. } => _ = open.remove(of),
                Written::Plain(_) | Written::Sequenced(_) => {}
            }
        }
        open
    }
}

/// Ends what is open, as the restore does.
async fn abort_open(broker: &Broker, partition: &TopicPartition) -> BTreeSet<i64> {
    let known = broker.describe_producers(partition).await.unwrap();
    let open = known.iter().filter(|known| known.transaction_start.is_some());
    let open: BTreeSet<i64> = open.map(|known| known.producer.id.0).collect();
    for of in &open {
        end(broker, partition, *of, false).await;
    }
    open
}

/// What a reader of committed data is given, by the list of aborted transactions that comes with it.
async fn committed(broker: &Broker, partition: &TopicPartition, to: Offset) -> Vec<Bytes> {
    let (mut next, mut values) = (Offset::ZERO, Vec::new());
    while next < to {
        let mut asked = request(vec![wanted(partition, next, 20_000)], 1 << 20);
        asked.isolation = Isolation::ReadCommitted;
        let fetched = broker.fetch(&asked).await.0.remove(0).unwrap();
        assert!(next < fetched.last_stable, "{partition} is stable up to {} only", fetched.last_stable);
        let mut aborted = fetched.aborted.clone();
        aborted.sort_by_key(|(_, first)| *first);
        let mut skipped = BTreeSet::new();
        for batch in BatchIter::new(fetched.records.into_bytes().unwrap()) {
            let batch = batch.unwrap();
            let header = &batch.header;
            while aborted.first().is_some_and(|(_, first)| *first <= header.last_offset()) {
                skipped.insert(aborted.remove(0).0);
            }
            next = header.end_offset();
            if header.attributes.is_control() {
                let marker = batch.records(4096).unwrap().next().unwrap().unwrap();
                if marker.control_kind() == Some(ControlKind::Abort) {
                    skipped.remove(&header.producer_id);
                }
            } else if !(header.attributes.is_transactional() && skipped.contains(&header.producer_id)) {
                values.extend(batch.records(1 << 20).unwrap().map(|record| record.unwrap().value.unwrap()));
            }
        }
    }
    values
}

/// All records but the ends of transactions.
async fn uncommitted(broker: &Broker, partition: &TopicPartition, to: Offset) -> Vec<Bytes> {
    let data = batches(broker, partition, Offset::ZERO, to).await.into_iter();
    let data = data.filter(|batch: &Batch| !batch.header.attributes.is_control());
    let records = data.flat_map(|batch| batch.records(1 << 20).unwrap().collect::<Vec<_>>());
    records.map(|record| record.unwrap().value.unwrap()).collect()
}

async fn until_clean(broker: &Broker, lost: &Lost, end: i64) {
    let store = broker.cold_store.as_ref().unwrap().store.clone();
    let clean = async {
        loop {
            let found = verify::partition(&store, &lost.folder(), Depth::Bytes).await.unwrap();
            let is_clean = found.damage.is_empty() && found.unnamed.is_empty() && found.tier_end == end;
            // What was removed is named until the next generation; its objects are deleted.
            let removed = lost.head(broker).await.removed;
            let objects = removed.iter().map(|row| lost.folder().segment(&row.segment.name));
            let looks = objects.map(|key| {
                let store = store.clone();
                async move { matches!(store.head(&key).await, Err(StoreError::NotFound { .. })) }
            });
            if is_clean && futures::future::join_all(looks).await.into_iter().all(|gone| gone) {
                return;
            }
            broker.env().clock.sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(&*broker.env().clock, LIMIT, clean).await.expect("the tier is whole and has nothing else");
}

/// The marks that are looked at: in an object, where one begins, at the ends of the tier.
fn marks(lost: &Lost) -> Vec<i64> {
    let (third, all) = (lost.ends[2], lost.written.len() as i64);
    // Within a transaction that is committed above it, one that is aborted, and behind the end of one.
    let open = (third..all).find(|offset| lost.open_at(*offset).len() == 2).unwrap();
    let ended =
        (third + 5..all).find(|at| matches!(lost.written[*at as usize - 1], Written::End { .. })).unwrap();
    vec![0, 1, third, open, ended, all]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_restored_to_a_cut_has_exactly_what_lies_below_its_mark_and_goes_on_from_there() {
    let lost = lost().await;
    for mark in marks(&lost) {
        let dir = lost.bucket();
        let running = lost.brokers(dir.path()).await;
        let partition = lost.restore_to(&running, mark).await;
        let positions = until(&running, &partition, |p| p.role == ReplicaRole::Leader).await;
        let places = (positions.log_start, positions.log_end, positions.high_watermark);
        assert_eq!(places, (Offset::ZERO, Offset(mark), Offset(mark)), "restored past the cut, or before it");
        assert_eq!(abort_open(&running, &partition).await, lost.open_at(mark), "open at {mark}");
        let mut next = until(&running, &partition, |p| p.last_stable == p.log_end).await.log_end;
        assert_eq!(uncommitted(&running, &partition, next).await, lost.values(mark, false), "below {mark}");
        assert_eq!(committed(&running, &partition, next).await, lost.values(mark, true), "below {mark}");

        // Producers of before go on where the cut has left them; others begin.
        let sequenced = lost.written[..mark as usize].iter();
        let sequence = sequenced.filter(|what| matches!(what, Written::Sequenced(_))).count() as i32;
        let later = of_producer(IDEMPOTENT, 0, sequence + 1, false, &value(1));
        let refused = append(&running, &partition, later).await;
        let out_of_order = Err(Rejected::OutOfOrderSequence { last: sequence - 1, got: sequence + 1 });
        if sequence > 0 {
            assert_eq!(refused, out_of_order, "what lies above {mark} is not known");
            let again = of_producer(IDEMPOTENT, 0, sequence, false, &value(2));
            assert_eq!(append(&running, &partition, again).await, Ok(next));
        } else {
            assert_eq!(refused, Ok(next), "it is not known at all");
        }
        append(&running, &partition, of_producer(77, 0, 0, true, &value(3))).await.unwrap();
        end(&running, &partition, 77, true).await;
        produce(&running, &partition).await;
        next = until(&running, &partition, |p| p.tier_end() == p.log_end && p.log_end.0 > mark + RECORDS)
            .await
            .log_end;
        let mut expected = lost.values(mark, true);
        expected.push(value(if sequence > 0 { 2 } else { 1 }));
        expected.push(value(3));
        expected.extend((0..RECORDS).map(value));
        assert_eq!(committed(&running, &partition, next).await, expected, "after {mark}");
        until_clean(&running, &lost, next.0).await;
        running.shutdown().await;
        drop(running);

        // The new brokers are lost too: to the tier's end, with the config of the first restore, and to a new cut.
        for (first_epoch, second) in [(2001, None), (3001, Some(mark + 30))] {
            std::fs::remove_dir_all(dir.path().join("data")).unwrap();
            let running = lost.brokers(dir.path()).await;
            let store = running.cold_store.as_ref().unwrap().store.clone();
            let number = CUT + 1;
            if let Some(second) = second {
                lost.cut_at(second, FIRST_EPOCH).keep(&*store, number).await.unwrap();
            }
            let partition = lost.restore(&running, first_epoch, second.map(|_| number)).await;
            let end = Offset(second.unwrap_or(next.0));
            let positions = until(&running, &partition, |p| p.role == ReplicaRole::Leader).await;
            assert_eq!((positions.log_end, positions.high_watermark), (end, end));
            let found = committed(&running, &partition, end).await;
            assert_eq!(found, expected[..found.len()]);
            assert!(
                found.len() == expected.len() || second.is_some(),
                "{} of {}",
                found.len(),
                expected.len()
            );
            running.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_producers_at_any_offset_of_the_tier_are_those_of_a_log_that_was_read_up_to_it() {
    let lost = lost().await;
    let dir = lost.bucket();
    let running = lost.brokers(dir.path()).await;
    let partition = lost.restore(&running, FIRST_EPOCH, None).await;
    let cold = running.cold_store.clone().unwrap();
    let (head, all) = (lost.head(&running).await, Offset(lost.written.len() as i64));
    let mut snapshots = BTreeMap::new();
    let mut read = ProducersSince::new(&snapshot_of_no_producers()).unwrap();
    for batch in batches(&running, &partition, Offset::ZERO, all).await {
        read.apply(&batch);
        let at = batch.header.end_offset();
        let state =
            cold.restored.state_at(&cold.reader, &lost.folder(), &head, at.0, Known::All).await.unwrap();
        let state = state.unwrap();
        assert_eq!(state.producer_snapshot, read.snapshot(), "at {at}");
        snapshots.insert(at.0, read.snapshot());
        assert_eq!((state.end, state.epochs.len()), (at, 1));
    }
    // What the leader of before has computed itself is the same.
    for row in &head.live {
        let footer = cold.reader.footer(&lost.folder(), row).await.unwrap();
        assert_eq!(footer.producer_snapshot, snapshots[&row.end], "at {}", row.end);
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_since_the_cut_stays_gone_and_the_log_begins_empty_at_the_mark() {
    let lost = lost().await;
    let dir = lost.bucket();
    // The brokers of before go on for a while.
    copy(&lost.dir.path().join("data"), &dir.path().join("data"));
    let before = lost.brokers(dir.path()).await;
    let partition = TopicPartition::new(TopicName::new("cold").unwrap(), 0);
    until(&before, &partition, |p| p.role == ReplicaRole::Leader).await;
    let (third, mark) = (lost.ends[2], lost.ends[1] + 7);
    assert_eq!(before.delete_records(&partition, third + 3, LIMIT).await, Ok(Offset(third + 3)));
    before.shutdown().await;
    drop(before);
    std::fs::remove_dir_all(dir.path().join("data")).unwrap();

    let running = lost.brokers(dir.path()).await;
    let partition = lost.restore_to(&running, mark).await;
    let begins =
        |p: &Positions| (p.role, p.log_start, p.log_end) == (ReplicaRole::Leader, Offset(mark), Offset(mark));
    until(&running, &partition, begins).await;
    assert_eq!(list(&running, &partition, OffsetSpec::Earliest).await.offset, Offset(mark));
    assert!(matches!(fetch(&running, &partition, Offset(mark - 1)).await, Err(FetchError::OffsetOutOfRange)));
    produce(&running, &partition).await;
    until(&running, &partition, |p| p.tier_end() == Offset(mark + RECORDS)).await;
    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_to(&running, &partition, Offset(mark), Offset(mark + RECORDS)).await, all);
    until_clean(&running, &lost, mark + RECORDS).await;
    assert_eq!(lost.head(&running).await.log_start, mark);
    running.shutdown().await;
}

/// The store as a cluster of other disks has left it.
async fn backup_of_before(lost: &Lost, broker: &Broker) {
    let mut backup = MetadataBackup::of(&broker.image());
    backup.directories = BTreeSet::from([DirectoryId(uuid::Uuid::from_u128(1))]);
    let store = broker.cold_store.as_ref().unwrap().store.clone();
    let folder = PartitionFolder::metadata_backups_of(&lost.cluster_id);
    let body = serde_json::to_vec(&backup).unwrap();
    tiering::backup::write(&*store, &folder, &Bytes::from(body)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_in_the_store_changes_before_the_cluster_is_back_so_that_it_can_be_restored_otherwise() {
    let lost = lost().await;
    let dir = lost.bucket();
    let mark = lost.ends[2] + 5;
    let running = lost.brokers(dir.path()).await;
    backup_of_before(&lost, &running).await;
    let partition = lost.restore_to(&running, mark).await;
    until(&running, &partition, |p| p.role == ReplicaRole::Leader && p.log_end == Offset(mark)).await;
    let before = files(dir.path(), None);
    abort_open(&running, &partition).await;
    produce(&running, &partition).await;
    // Many rounds of the driver.
    running.env().clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(files(dir.path(), None), before);
    running.shutdown().await;
    drop(running);

    // It was the wrong choice.
    std::fs::remove_dir_all(dir.path().join("data")).unwrap();
    let running = lost.brokers(dir.path()).await;
    let partition = lost.restore(&running, FIRST_EPOCH, None).await;
    let all = Offset(lost.written.len() as i64);
    until(&running, &partition, |p| p.role == ReplicaRole::Leader && p.log_end == all).await;
    assert_eq!(committed(&running, &partition, all).await, lost.values(all.0, true));
    running.shutdown().await;
    drop(running);

    // And once more, to its end.
    std::fs::remove_dir_all(dir.path().join("data")).unwrap();
    let running = lost.brokers(dir.path()).await;
    let partition = lost.restore(&running, FIRST_EPOCH + 1000, Some(CUT)).await;
    until(&running, &partition, |p| p.role == ReplicaRole::Leader && p.log_end == Offset(mark)).await;
    let folder = PartitionFolder::metadata_backups_of(&lost.cluster_id);
    let ours = serde_json::to_vec(&MetadataBackup::of(&running.image())).unwrap();
    let store = running.cold_store.as_ref().unwrap().store.clone();
    tiering::backup::write(&*store, &folder, &Bytes::from(ours)).await.unwrap();
    // What is open holds uploads up, and nothing else does.
    abort_open(&running, &partition).await;
    until(&running, &partition, |p| p.tier_end() == p.log_end && p.log_end > Offset(mark)).await;
    running.shutdown().await;
}

/// Before anything of this life is in the store, the same question is answered the same way again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_before_it_has_written_begins_at_the_cut_again_and_one_restored_later_knows_what_is_open()
 {
    let lost = lost().await;
    for mark in [0, marks(&lost)[3]] {
        let dir = lost.bucket();
        let running = lost.brokers(dir.path()).await;
        let partition = lost.restore_to(&running, mark).await;
        for _ in 0..2 {
            until(&running, &partition, |p| p.role == ReplicaRole::Leader && p.log_end == Offset(mark)).await;
        }
        running.shutdown().await;
        drop(running);
        let running = lost.brokers(dir.path()).await;
        let is_led = |p: &Positions| p.role == ReplicaRole::Leader;
        assert_eq!(until(&running, &partition, is_led).await.log_end, Offset(mark));
        // By itself it says in the store what does not count any more.
        let cut = async {
            while lost.head(&running).await.tier_end().unwrap_or(0) != mark {
                running.env().clock.sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(&*running.env().clock, LIMIT, cut).await.expect("the manifest ends at the mark");
        running.shutdown().await;
        drop(running);

        // Without the ends that were written meanwhile: those were on the disk alone.
        std::fs::remove_dir_all(dir.path().join("data")).unwrap();
        let running = lost.brokers(dir.path()).await;
        let partition = lost.restore(&running, FIRST_EPOCH + 1000, None).await;
        let positions = until(&running, &partition, |p| p.role == ReplicaRole::Leader).await;
        assert_eq!(positions.log_end, Offset(mark));
        assert_eq!(abort_open(&running, &partition).await, lost.open_at(mark));
        let end = until(&running, &partition, |p| p.last_stable == p.log_end).await.log_end;
        assert_eq!(committed(&running, &partition, end).await, lost.values(mark, true));
        running.shutdown().await;
    }
}
