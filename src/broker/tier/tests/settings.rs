//! The tier's settings, each with what it changes.

use tiering::store::{MemoryStore, RemoteOptions, SharedStore, StoreError};

use super::*;
use crate::broker::{FetchRequest, ObjectStores};

const DOWNLOADS: &str = "remote.log.manager.fetch.max.bytes.per.second";
const UPLOADS: &str = "remote.log.manager.copy.max.bytes.per.second";
const NO_BOUND: &str = "9223372036854775807";

/// A bucket in memory.
struct Bucket(MemoryStore);

impl ObjectStores for Bucket {
    fn open(&self, _: &StoreLocation, _: &RemoteOptions) -> Result<SharedStore, StoreError> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// A broker on this bucket.
async fn over(bucket: &MemoryStore, dir: &Path, more: &[(&str, &str)]) -> Arc<Broker> {
    let seams = Seams { stores: Arc::new(Bucket(bucket.clone())), ..Seams::real(Env::real()) };
    let all: Vec<_> = [("tier.store.url", "s3://bucket")].iter().chain(more).copied().collect();
    broker_on(seams, dir, &all).await
}

async fn set(broker: &Broker, key: &str, value: &str) {
    broker.alter_broker_config(Some(broker.node_id()), changes(&[(key, value)]), false).await.unwrap();
}

/// One fetch from the start, that waits for nothing but the tier.
async fn fetch_at_once(broker: &Broker, partition: &TopicPartition) -> usize {
    let wanted = vec![wanted(partition, Offset::ZERO, 4_000)];
    let request = FetchRequest { max_wait: Duration::ZERO, ..request(wanted, 1 << 20) };
    broker.fetch(&request).await.0.remove(0).unwrap().records.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_keep_to_their_rate_and_a_fetch_waits_for_them_as_long_as_it_may() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), MemoryStore::new());
    let running = over(&bucket, dir.path(), &[]).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, settled).await;
    running.shutdown().await;
    drop(running);
    // Behind the first download the next one waits for minutes: a footer is hundreds of bytes, and the chunk comes after it.
    let slow = [(DOWNLOADS, "1"), ("remote.fetch.max.wait.ms", "100"), ("tier.scrub.bytes.per.second", "0")];
    let again = over(&bucket, dir.path(), &slow).await;
    until(&again, &partition, |p| p.role == ReplicaRole::Leader && p.high_watermark == Offset(RECORDS)).await;
    assert_eq!(fetch_at_once(&again, &partition).await, 0, "it has waited long enough");
    set(&again, "remote.fetch.max.wait.ms", "3600000").await;
    let patient = async {
        while again.live().config.millis("remote.fetch.max.wait.ms") < Duration::from_secs(3600) {
            again.env().clock.sleep(Duration::from_millis(10)).await;
        }
        fetch_at_once(&again, &partition).await
    };
    let mut patient = Box::pin(patient);
    let clock = &*again.env().clock;
    assert!(timeout(clock, Duration::from_secs(1), patient.as_mut()).await.is_err(), "it may wait longer");
    set(&again, DOWNLOADS, NO_BOUND).await;
    let brought = timeout(clock, LIMIT, patient).await.expect("the download goes on at the new rate");
    assert!(brought > 0);
    let all: Vec<Bytes> = (0..RECORDS).map(value).collect();
    assert_eq!(read_all(&again, &partition, Offset::ZERO).await, all);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_keep_to_their_rate_and_go_on_when_it_is_raised() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), MemoryStore::new());
    let running = over(&bucket, dir.path(), &[]).await;
    let partition = tiered_topic(&running, &[]).await;
    running.shutdown().await;
    drop(running);
    let again = over(&bucket, dir.path(), &[(UPLOADS, "1"), ("tier.backup.interval.ms", "0")]).await;
    until(&again, &partition, |p| p.role == ReplicaRole::Leader).await;
    produce(&again, &partition).await;
    let one = async {
        while !bucket.snapshot().keys().any(|key| key.ends_with(".seg")) {
            again.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*again.env().clock, LIMIT, one).await.expect("the first upload starts at once");
    // The next one waits for an hour. A manifest does not: it may name the first one, if that was all when it went up.
    again.env().clock.sleep(Duration::from_millis(500)).await;
    assert_eq!(bucket.snapshot().keys().filter(|key| key.ends_with(".seg")).count(), 1);
    assert!(again.replicas().replica(&partition).unwrap().positions().tier_end() <= Offset(33));
    set(&again, UPLOADS, NO_BOUND).await;
    until(&again, &partition, settled).await;
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunk_files_lie_where_the_setting_says() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), MemoryStore::new());
    let elsewhere = dir.path().join("elsewhere");
    let there = elsewhere.display().to_string();
    let running = over(&bucket, dir.path(), &[("tier.cache.dir", there.as_str())]).await;
    let partition = tiered_topic(&running, &[]).await;
    produce(&running, &partition).await;
    until(&running, &partition, settled).await;
    assert_eq!(read_all(&running, &partition, Offset::ZERO).await.len(), RECORDS as usize);
    let written = async {
        while std::fs::read_dir(&elsewhere).unwrap().count() == 0 {
            running.env().clock.sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(&*running.env().clock, LIMIT, written).await.expect("a chunk that was read has its file");
    assert!(!dir.path().join("data/tier-cache").exists());
    running.shutdown().await;
}

/// Bytes of the chunk files, once there are any and their number stays for a while; 0 where none come.
async fn chunk_file_bytes(broker: &Broker, dir: &Path) -> u64 {
    let (mut found, mut same) = (0, 0);
    while same < 25 {
        broker.env().clock.sleep(Duration::from_millis(20)).await;
        let files = std::fs::read_dir(dir).map(|all| all.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let now: u64 = files.iter().filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum();
        same = if now == found { same + 1 } else { 0 };
        found = now;
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunk_files_take_no_more_room_than_the_setting_gives() {
    let mut sizes = Vec::new();
    for bound in ["1073741824", "8000", "0"] {
        let (dir, bucket) = (tempfile::tempdir().unwrap(), MemoryStore::new());
        let there = dir.path().join("chunks");
        let shown = there.display().to_string();
        let running =
            over(&bucket, dir.path(), &[("tier.cache.dir", shown.as_str()), ("tier.cache.bytes", bound)])
                .await;
        let partition = tiered_topic(&running, &[]).await;
        produce(&running, &partition).await;
        until(&running, &partition, settled).await;
        assert_eq!(read_all(&running, &partition, Offset::ZERO).await.len(), RECORDS as usize);
        sizes.push(chunk_file_bytes(&running, &there).await);
        running.shutdown().await;
    }
    assert!(sizes[0] > 8000, "the control: with room for all of them there is more, {sizes:?}");
    assert!((1..=8000).contains(&sizes[1]), "{sizes:?}");
    assert_eq!(sizes[2], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn footers_and_manifests_have_the_memory_that_the_setting_gives() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker_with(dir.path(), &[("tier.index.cache.bytes", "3145729")]).await;
    let limits = *running.cold_store.as_ref().unwrap().reader.limits();
    assert_eq!((limits.index_bytes, limits.manifest_bytes), (1_572_864, 1_572_865));
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_tiered_by_default_where_the_broker_says_so_and_they_do_not_say_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker_with(dir.path(), &[("tier.default.enable", "true")]).await;
    let other = topic(&running, "other", &[("remote.storage.enable", "false")]).await;
    let by_default = topic(&running, "by-default", &[]).await;
    for partition in [&other, &by_default] {
        produce(&running, partition).await;
    }
    until(&running, &by_default, settled).await;
    let of_it = |path: &std::path::PathBuf| path.components().any(|part| part.as_os_str() == "by-default");
    assert!(segments(dir.path()).iter().all(of_it), "{:?}", segments(dir.path()));
    running.shutdown().await;
    drop(running);
    // A restart without that line of its file loses nothing that is cold, and neither does the next one with it.
    for default in ["false", "true"] {
        let again = broker_with(dir.path(), &[("tier.default.enable", default)]).await;
        let leads = |p: &Positions| p.role == ReplicaRole::Leader && p.high_watermark == Offset(RECORDS);
        let told = until(&again, &by_default, leads).await;
        assert!(told.log_start == Offset::ZERO && told.local_start > Offset(RECORDS / 2), "{told:?}");
        assert_eq!(read_all(&again, &by_default, Offset::ZERO).await.len(), RECORDS as usize, "{default}");
        again.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_copied_where_the_broker_says_so_until_it_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker_with(dir.path(), &[("tier.copy.disable", "true")]).await;
    let tiered = ("remote.storage.enable", "true");
    let by_default = topic(&running, "by-default", &[tiered]).await;
    let copied = topic(&running, "copied", &[tiered, ("remote.log.copy.disable", "false")]).await;
    for partition in [&by_default, &copied] {
        produce(&running, partition).await;
    }
    until(&running, &copied, settled).await;
    let of_it = |path: &std::path::PathBuf| path.components().any(|part| part.as_os_str() == "copied");
    assert!(segments(dir.path()).iter().all(of_it), "{:?}", segments(dir.path()));
    assert_eq!(running.replicas().replica(&by_default).unwrap().positions().local_start, Offset::ZERO);
    set(&running, "tier.copy.disable", "false").await;
    until(&running, &by_default, settled).await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_open_segment_goes_up_after_the_brokers_time_unless_its_topic_has_another() {
    let dir = tempfile::tempdir().unwrap();
    let running = broker_with(dir.path(), &[("tier.max.lag.default.ms", "100")]).await;
    let tiered = ("remote.storage.enable", "true");
    let never = topic(&running, "never", &[tiered, ("tier.max.lag.ms", "-1")]).await;
    let by_default = topic(&running, "by-default", &[tiered]).await;
    for partition in [&never, &by_default] {
        produce(&running, partition).await;
    }
    until(&running, &by_default, |p| p.tier_end() == Offset(RECORDS)).await;
    let positions = until(&running, &never, settled).await;
    assert!(positions.tier_end() < Offset(RECORDS), "{positions:?}");
    running.shutdown().await;
}
