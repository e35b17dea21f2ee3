//! One suite that every store must pass, and what the wrappers add.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::sync::oneshot;

use super::*;

fn bytes(text: &str) -> Pieces {
    vec![Bytes::copy_from_slice(text.as_bytes())]
}

async fn passes_the_suite(store: SharedStore) {
    store.put("a/b/1", vec![Bytes::from_static(b"he"), Bytes::from_static(b"llo")]).await.unwrap();
    assert_eq!(store.get("a/b/1").await.unwrap(), "hello");
    store.put("a/b/1", bytes("hello world")).await.unwrap();
    assert_eq!(store.get_range("a/b/1", 6..11).await.unwrap(), "world");
    let suffix = store.get_suffix("a/b/1", 3).await.unwrap();
    assert_eq!(suffix, Suffix { bytes: Bytes::from_static(b"rld"), object_bytes: 11 });
    let all = store.get_suffix("a/b/1", 100).await.unwrap();
    assert_eq!(all.bytes, "hello world");
    assert_eq!(store.head("a/b/1").await.unwrap(), 11);

    let missing = StoreError::NotFound { key: "a/none".to_owned() };
    assert_eq!(store.get("a/none").await.unwrap_err(), missing);
    assert_eq!(store.head("a/none").await.unwrap_err(), missing);
    assert_eq!(store.get_suffix("a/none", 4).await.unwrap_err(), missing);
    store.delete("a/none").await.unwrap();

    store.put_if_absent("a/b/2", bytes("x")).await.unwrap();
    let exists = StoreError::AlreadyExists { key: "a/b/2".to_owned() };
    assert_eq!(store.put_if_absent("a/b/2", bytes("y")).await.unwrap_err(), exists);
    assert_eq!(store.get("a/b/2").await.unwrap(), "x");

    store.put("a/b/d/3", bytes("z")).await.unwrap();
    store.put("a/bb/4", bytes("z")).await.unwrap();
    let keys = |listed: Vec<Listed>| listed.into_iter().map(|l| l.key).collect::<Vec<_>>();
    assert_eq!(keys(store.list("a/b/", None).await.unwrap()), ["a/b/1", "a/b/2", "a/b/d/3"]);
    assert_eq!(keys(store.list("a/b/", Some("a/b/1")).await.unwrap()), ["a/b/2", "a/b/d/3"]);
    assert_eq!(keys(store.list("a/b/", Some("a/b/15")).await.unwrap()), ["a/b/2", "a/b/d/3"]);
    assert_eq!(keys(store.list("none/", None).await.unwrap()), Vec::<String>::new());
    assert_eq!(keys(store.list("", None).await.unwrap()).len(), 4);
    assert_eq!(keys(store.list_page("a/b/", None, 2).await.unwrap()), ["a/b/1", "a/b/2"]);
    assert_eq!(keys(store.list_page("a/b/", Some("a/b/2"), 2).await.unwrap()), ["a/b/d/3"]);
    assert_eq!(store.list_folders("").await.unwrap(), ["a"]);
    assert_eq!(store.list_folders("a/").await.unwrap(), ["b", "bb"]);
    assert_eq!(store.list_folders("a/b/").await.unwrap(), ["d"]);
    assert_eq!(store.list_folders("none/").await.unwrap(), Vec::<String>::new());

    let mut upload = store.begin_multipart("a/b/5").await.unwrap();
    upload.put_part(0, vec![Bytes::from(vec![1; 5 << 20])]).await.unwrap();
    assert!(store.head("a/b/5").await.is_err(), "nothing is visible before the end");
    upload.put_part(1, bytes("tail")).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(store.head("a/b/5").await.unwrap(), (5 << 20) + 4);
    assert_eq!(store.get_suffix("a/b/5", 4).await.unwrap().bytes, "tail");

    let mut given_up = store.begin_multipart("a/b/6").await.unwrap();
    given_up.put_part(0, bytes("x")).await.unwrap();
    given_up.abort().await.unwrap();
    assert!(store.head("a/b/6").await.is_err());

    store.delete("a/b/1").await.unwrap();
    assert!(store.get("a/b/1").await.is_err());
}

async fn has_one_winner_among_racing_creators(store: SharedStore) {
    for round in 0..8 {
        let key = format!("race/{round}");
        let racers = (0..16).map(|i| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move { store.put_if_absent(&key, bytes(&format!("{i}"))).await.map(|()| i) })
        });
        let outcomes: Vec<_> = join_all(racers).await.into_iter().map(|r| r.unwrap()).collect();
        let winners: Vec<i32> = outcomes.iter().filter_map(|o| o.as_ref().ok().copied()).collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        assert_eq!(store.get(&key).await.unwrap(), winners[0].to_string());
    }
}

fn folder(path: &std::path::Path) -> SharedStore {
    let location: StoreLocation = format!("file://{}", path.display()).parse().unwrap();
    Arc::new(RemoteStore::open(&location, &RemoteOptions::default()).unwrap())
}

/// A bucket of a running service: `ESKER_TEST_S3=s3://bucket/prefix` and `AWS_*`; unset, there is nothing to test.
fn bucket() -> Option<SharedStore> {
    let url = std::env::var("ESKER_TEST_S3").ok()?;
    let unique = std::process::id();
    let location: StoreLocation = format!("{url}/{unique}").parse().unwrap();
    Some(Arc::new(RemoteStore::open(&location, &RemoteOptions::default()).unwrap()))
}

#[tokio::test]
async fn memory_passes_the_suite() {
    passes_the_suite(Arc::new(MemoryStore::new())).await;
}

#[tokio::test]
async fn a_folder_passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    passes_the_suite(folder(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_passes_the_suite_and_has_one_winner() {
    let Some(store) = bucket() else { return };
    passes_the_suite(store.clone()).await;
    has_one_winner_among_racing_creators(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_racing_creators_have_one_winner_in_memory() {
    has_one_winner_among_racing_creators(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_racing_creators_have_one_winner_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    has_one_winner_among_racing_creators(folder(dir.path())).await;
}

#[test]
fn a_store_url_names_what_is_wrong_and_what_is_accepted() {
    assert_eq!("file:///a/b".parse(), Ok(StoreLocation::Folder("/a/b".into())));
    let bucket = StoreLocation::Bucket { bucket: "b".to_owned(), prefix: "x/y".to_owned() };
    assert_eq!("s3://b/x/y/".parse(), Ok(bucket.clone()));
    assert_eq!(bucket.to_string(), "s3://b/x/y");
    for bad in ["file://relative", "s3://", "s3:///x", "gs://b", ""] {
        let error = bad.parse::<StoreLocation>().unwrap_err().to_string();
        assert!(error.contains("accepted are"), "{error}");
    }
}

#[derive(Debug)]
struct Script(Mutex<VecDeque<Fault>>);

impl Script {
    fn store(inner: &MemoryStore, faults: &[Fault]) -> SharedStore {
        let script = Script(Mutex::new(faults.iter().copied().collect()));
        Arc::new(FaultStore::new(Arc::new(inner.clone()), Arc::new(script)))
    }
}

impl Faults for Script {
    fn next(&self, _: Operation, _: &str) -> Fault {
        self.0.lock().unwrap().pop_front().unwrap_or(Fault::None)
    }
}

#[derive(Default)]
struct NoPause(Mutex<Vec<Duration>>);

impl Sleeper for NoPause {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(duration);
        Box::pin(async {})
    }
}

fn retrying(inner: SharedStore, sleeper: Arc<NoPause>) -> RetryStore {
    RetryStore::new(inner, RetryPolicy::default(), sleeper)
}

#[tokio::test]
async fn a_failed_request_is_tried_again_with_growing_pauses_and_then_given_up() {
    let memory = MemoryStore::new();
    let pauses = Arc::new(NoPause::default());
    let store = retrying(Script::store(&memory, &[Fault::Fail, Fault::Fail]), pauses.clone());
    store.put("k", bytes("v")).await.unwrap();
    assert_eq!(*pauses.0.lock().unwrap(), [Duration::from_millis(100), Duration::from_millis(200)]);
    let store = retrying(Script::store(&memory, &[Fault::Fail; 4]), pauses);
    assert!(store.get("k").await.unwrap_err().is_retriable());
    assert_eq!(store.get("none").await.unwrap_err(), StoreError::NotFound { key: "none".to_owned() });
}

#[tokio::test]
async fn a_put_if_absent_whose_reply_was_lost_meets_its_own_object() {
    let memory = MemoryStore::new();
    let store = retrying(Script::store(&memory, &[Fault::LoseReply]), Arc::default());
    let met = store.put_if_absent("k", bytes("v")).await.unwrap_err();
    assert_eq!(met, StoreError::AlreadyExists { key: "k".to_owned() });
    assert_eq!(memory.get("k").await.unwrap(), "v");
}

#[derive(Debug)]
struct Stalled;

#[async_trait]
impl Store for Stalled {
    async fn put(&self, _: &str, _: Pieces) -> Result<(), StoreError> {
        std::future::pending().await
    }
    async fn put_if_absent(&self, _: &str, _: Pieces) -> Result<(), StoreError> {
        std::future::pending().await
    }
    async fn get(&self, _: &str) -> Result<Bytes, StoreError> {
        std::future::pending().await
    }
    async fn get_range(&self, _: &str, _: Range<u64>) -> Result<Bytes, StoreError> {
        std::future::pending().await
    }
    async fn get_suffix(&self, _: &str, _: u64) -> Result<Suffix, StoreError> {
        std::future::pending().await
    }
    async fn head(&self, _: &str) -> Result<u64, StoreError> {
        std::future::pending().await
    }
    async fn list(&self, _: &str, _: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        std::future::pending().await
    }
    async fn list_folders(&self, _: &str) -> Result<Vec<String>, StoreError> {
        std::future::pending().await
    }
    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        std::future::pending().await
    }
    async fn begin_multipart(&self, _: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        Ok(Box::new(Silent))
    }
}

/// A clock that goes on to the next thing that is waited for when all wait.
#[derive(Default)]
struct Virtual(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    now: Duration,
    next: u64,
    timers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
}

impl Sleeper for Virtual {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap();
        let at = (waiting.now + duration, waiting.next);
        waiting.next += 1;
        waiting.timers.insert(at, wake);
        Box::pin(async move { drop(woken.await) })
    }
}

impl Virtual {
    /// What the future gives, and how long it took.
    async fn run<T>(&self, future: impl Future<Output = T>) -> (T, Duration) {
        let begun = self.0.lock().unwrap().now;
        let mut future = Box::pin(future);
        loop {
            if let Poll::Ready(done) = futures::poll!(&mut future) {
                return (done, self.0.lock().unwrap().now - begun);
            }
            let mut waiting = self.0.lock().unwrap();
            let ((at, _), wake) = waiting.timers.pop_first().expect("somebody waits for time to pass");
            if !wake.is_closed() {
                waiting.now = at;
                wake.send(()).expect("it is waited for");
            }
        }
    }
}

/// A store behind a slow link.
struct SlowLink {
    inner: MemoryStore,
    clock: Arc<Virtual>,
    bytes_per_second: u64,
    puts: AtomicUsize,
}

impl std::fmt::Debug for SlowLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlowLink").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SlowLink {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.puts.fetch_add(1, SeqCst);
        self.clock.sleep(Duration::from_secs(total_bytes(&pieces) / self.bytes_per_second)).await;
        self.inner.put(key, pieces).await
    }
    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.put(key, pieces).await
    }
    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.inner.get(key).await
    }
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get_range(key, range).await
    }
    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.inner.get_suffix(key, bytes).await
    }
    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        self.inner.head(key).await
    }
    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(prefix, start_after).await
    }
    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list_folders(prefix).await
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        self.inner.begin_multipart(key).await
    }
}

/// The stores as a broker stacks them, with one write at once.
fn stacked(inner: SharedStore, clock: &Arc<Virtual>) -> RetryStore {
    let limited = LimitedStore::new(inner, RequestLimits::default(), clock.clone());
    let one = Concurrency { first: 1, most: 1 };
    let adaptive = AdaptiveStore::new(Arc::new(limited), one, one);
    RetryStore::new(Arc::new(adaptive), RetryPolicy::default(), clock.clone())
}

#[tokio::test]
async fn a_request_that_stalls_fails_at_its_limit() {
    let clock = Arc::new(Virtual::default());
    let store = stacked(Arc::new(Stalled), &clock);
    let pauses = Duration::from_millis(100 + 200 + 400);
    for (mib, each) in [(0, 30), (1, 30 + 8), (64, 30 + 512)] {
        let (put, took) = clock.run(store.put("k", vec![Bytes::from(vec![0; mib << 20])])).await;
        let error = put.unwrap_err();
        assert!(error.is_retriable() && error.to_string().contains("no answer"), "{error}");
        assert_eq!(took, 4 * Duration::from_secs(each) + pauses, "{mib} MiB");
    }
    let (got, took) = clock.run(store.get("k")).await;
    assert!(got.unwrap_err().is_retriable());
    assert_eq!(took, 4 * Duration::from_secs(60) + pauses);
}

/// Parts of an upload that a store has begun, and of which it says nothing more.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl PartUpload for Silent {
    async fn put_part(&mut self, _: usize, _: Pieces) -> Result<(), StoreError> {
        std::future::pending().await
    }
    async fn complete(&mut self) -> Result<(), StoreError> {
        std::future::pending().await
    }
    async fn abort(&mut self) -> Result<(), StoreError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_upload_in_parts_that_stalls_fails_at_its_limit_and_so_does_giving_it_up() {
    let clock = Arc::new(Virtual::default());
    let limited = LimitedStore::new(Arc::new(Stalled), RequestLimits::default(), clock.clone());
    let mut parts = limited.begin_multipart("k").await.unwrap();
    let (put, took) = clock.run(parts.put_part(0, vec![Bytes::from(vec![0; 1 << 20])])).await;
    assert!(put.unwrap_err().is_retriable());
    assert_eq!(took, Duration::from_secs(30 + 8));
    for gives_up in [false, true] {
        // With nothing to wait for the clock says so, and the test ends.
        let request = if gives_up { parts.abort() } else { parts.complete() };
        let (ended, took) = clock.run(request).await;
        assert!(ended.unwrap_err().is_retriable());
        assert_eq!(took, Duration::from_secs(60));
    }
}

#[tokio::test]
async fn what_is_slow_is_sent_once_however_long_it_takes_and_waits_for_its_turn() {
    let clock = Arc::new(Virtual::default());
    let link = Arc::new(SlowLink {
        inner: MemoryStore::new(),
        clock: clock.clone(),
        bytes_per_second: 128 << 10,
        puts: AtomicUsize::default(),
    });
    let store = stacked(link.clone(), &clock);
    let object = Bytes::from(vec![0; 16 << 20]);
    let puts = ["a", "b", "c"].map(|key| store.put(key, vec![object.clone()]));
    let (puts, took) = clock.run(join_all(puts)).await;
    assert!(puts.iter().all(Result::is_ok), "{puts:?}");
    assert_eq!((took, link.puts.load(SeqCst)), (3 * Duration::from_secs(128), 3));
}

#[tokio::test]
async fn requests_bytes_and_errors_are_counted() {
    let memory = MemoryStore::new();
    let metered = MeteredStore::new(Script::store(&memory, &[Fault::None, Fault::Fail]));
    let requests = metered.requests();
    metered.put("k", bytes("four")).await.unwrap();
    metered.get("k").await.unwrap_err();
    metered.get_range("k", 0..2).await.unwrap();
    metered.head("k").await.unwrap();
    metered.list("", None).await.unwrap();
    metered.delete("k").await.unwrap();
    let counts = requests.counts();
    let expected = RequestCounts {
        puts: 1,
        gets: 2,
        heads: 1,
        lists: 1,
        deletes: 1,
        errors: 1,
        bytes_up: 4,
        bytes_down: 2,
    };
    assert_eq!(counts, expected);
}
