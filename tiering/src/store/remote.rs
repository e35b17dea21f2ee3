//! The real stores: a folder (`file:///…`) and S3-compatible services (`s3://bucket/prefix`), by way of `object_store`.
//!
//! The library's own retries are off: ours run above, on the caller's clock. Every put to S3 carries a SHA-256
//! that the service verifies.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path as FsPath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, MultipartUpload, ObjectStore,
    ObjectStoreExt as _, PutMode, PutPayload, RetryConfig,
};
use tokio::sync::Semaphore;

use super::buffers::Buffers;
use super::{Listed, Operation, PartUpload, Pieces, Store, StoreError, Suffix, total_bytes};

/// Where the tier lives, from `tier.store.url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// A folder on this machine, or on a file system that all brokers mount.
    Folder(PathBuf),
    /// A bucket, and a prefix in it (without slashes at its ends; may be empty).
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// The prefix of all keys.
        prefix: String,
    },
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is no store: {reason}; accepted are file:///absolute/path and s3://bucket/prefix")]
pub struct InvalidStoreUrl {
    /// The text.
    pub url: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for StoreLocation {
    type Err = InvalidStoreUrl;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let bad = |reason: &str| InvalidStoreUrl { url: url.to_owned(), reason: reason.to_owned() };
        if let Some(path) = url.strip_prefix("file://") {
            if !path.starts_with('/') {
                return Err(bad("the path of a folder must be absolute"));
            }
            return Ok(StoreLocation::Folder(PathBuf::from(path)));
        }
        let Some(rest) = url.strip_prefix("s3://") else { return Err(bad("the scheme is unknown")) };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(bad("the bucket's name is missing"));
        }
        Ok(StoreLocation::Bucket { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }
}

impl std::fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreLocation::Folder(path) => write!(f, "file://{}", path.display()),
            StoreLocation::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            StoreLocation::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// How the service encrypts what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket's own setting says.
    #[default]
    OfBucket,
    /// With keys of the service (SSE-S3).
    Aes256,
    /// With a key of its key management (SSE-KMS); the account's default key without a name.
    Kms {
        /// The key's id, alias or ARN.
        key_id: Option<String>,
    },
}

/// How to reach an S3-compatible service. What is absent comes from the environment's `AWS_*` variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RemoteOptions {
    /// For instance `http://127.0.0.1:9000`; path-style requests are used with it.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` if nothing names one.
    pub region: Option<String>,
    /// The access key.
    pub access_key_id: Option<String>,
    /// The secret key.
    pub secret_access_key: Option<String>,
    /// Asked for with every upload.
    pub encryption: Encryption,
    /// Of a folder: it lies on a disk of this machine, where reads that run side by side only wait for each other.
    pub is_near: bool,
}

impl std::fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What the HTTP clients bear; [`LimitedStore`](super::LimitedStore) knows what a request may take.
#[derive(Clone, Copy, Debug)]
struct HttpLimits {
    /// A request that brings something.
    request: Duration,
    /// A transfer that brings nothing for so long has stalled.
    read: Duration,
    /// A request that sends something. The client's limit of a read counts from the request's first byte, not from its last:
    /// with one no upload may take longer, however well it goes on.
    send: Duration,
}

const LIMITS: HttpLimits = HttpLimits {
    request: Duration::from_secs(120),
    read: Duration::from_secs(20),
    send: Duration::from_secs(1200),
};

/// Reads of a folder of this machine that run at once: each takes a thread.
const NEAR_READS: usize = 4;

/// A folder or a bucket.
#[derive(Clone, Debug)]
pub struct RemoteStore {
    objects: Arc<dyn ObjectStore>,
    /// The same, for what sends objects.
    writes: Arc<dyn ObjectStore>,
    /// Part-level uploads, where the store has them.
    parts: Option<Arc<AmazonS3>>,
    prefix: String,
    buffers: Buffers,
    /// Of the reads of a near folder.
    turns: Option<Arc<Semaphore>>,
}

impl RemoteStore {
    /// Opens a store. No request is made; for a folder, its path is created.
    ///
    /// # Errors
    /// `Refused` when the folder can't be created, or credentials or options are missing or wrong.
    pub fn open(location: &StoreLocation, options: &RemoteOptions) -> Result<RemoteStore, StoreError> {
        match location {
            StoreLocation::Folder(path) => RemoteStore::open_folder(path, options.is_near),
            StoreLocation::Bucket { bucket, prefix } => {
                RemoteStore::open_bucket(bucket, prefix, options, LIMITS)
            }
        }
    }

    fn open_folder(path: &FsPath, is_near: bool) -> Result<RemoteStore, StoreError> {
        let refused = |reason: String| StoreError::Refused {
            operation: Operation::List,
            key: path.display().to_string(),
            reason,
        };
        std::fs::create_dir_all(path).map_err(|e| refused(e.to_string()))?;
        let folder =
            LocalFileSystem::new_with_prefix(path).map_err(|e| refused(e.to_string()))?.with_fsync(true);
        let buffers = Buffers::default();
        let turns = is_near.then(|| Arc::new(Semaphore::new(NEAR_READS)));
        let prefix = String::new();
        let objects = Arc::new(folder);
        Ok(RemoteStore { writes: objects.clone(), objects, parts: None, prefix, buffers, turns })
    }

    fn open_bucket(
        bucket: &str,
        prefix: &str,
        options: &RemoteOptions,
        limits: HttpLimits,
    ) -> Result<RemoteStore, StoreError> {
        let client = ClientOptions::new().with_allow_http(true).with_connect_timeout(CONNECT_LIMIT);
        let reading = client.clone().with_timeout(limits.request).with_read_timeout(limits.read);
        let sending = client.with_timeout(limits.send);
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(RetryConfig { max_retries: 0, retry_timeout: limits.request, ..Default::default() })
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_checksum_algorithm(Checksum::SHA256);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
        }
        if let Some(region) = &options.region {
            builder = builder.with_region(region);
        }
        if let Some(id) = &options.access_key_id {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &options.secret_access_key {
            builder = builder.with_secret_access_key(secret);
        }
        for (key, value) in encryption_settings(&options.encryption) {
            let key: AmazonS3ConfigKey = key.parse().map_err(|e: Error| StoreError::Refused {
                operation: Operation::Put,
                key: key.to_owned(),
                reason: e.to_string(),
            })?;
            builder = builder.with_config(key, value);
        }
        let build = |client: ClientOptions| {
            let built = builder.clone().with_client_options(client).build();
            built.map(Arc::new).map_err(|e| StoreError::Refused {
                operation: Operation::List,
                key: bucket.to_owned(),
                reason: e.to_string(),
            })
        };
        let (objects, s3) = (build(reading)?, build(sending)?);
        let buffers = Buffers::default();
        let prefix = prefix.to_owned();
        Ok(RemoteStore { objects, writes: s3.clone(), parts: Some(s3), prefix, buffers, turns: None })
    }

    fn path(&self, operation: Operation, key: &str) -> Result<Path, StoreError> {
        let whole = if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) };
        Path::parse(whole.trim_end_matches('/')).map_err(|e| StoreError::Refused {
            operation,
            key: key.to_owned(),
            reason: e.to_string(),
        })
    }

    fn key(&self, path: &Path) -> String {
        let whole = path.as_ref();
        match whole.strip_prefix(self.prefix.as_str()) {
            Some(rest) if !self.prefix.is_empty() => rest.trim_start_matches('/').to_owned(),
            _ => whole.to_owned(),
        }
    }

    async fn put_with(
        &self,
        operation: Operation,
        key: &str,
        pieces: Pieces,
        mode: PutMode,
    ) -> Result<(), StoreError> {
        let path = self.path(operation, key)?;
        let payload: PutPayload = pieces.into_iter().collect();
        self.writes
            .put_opts(&path, payload, mode.into())
            .await
            .map(|_| ())
            .map_err(|e| store_error(operation, key, e))
    }

    async fn get_with(&self, key: &str, range: Option<GetRange>) -> Result<Suffix, StoreError> {
        let path = self.path(Operation::Get, key)?;
        let options = GetOptions { range, ..GetOptions::default() };
        let failed = |e| store_error(Operation::Get, key, e);
        let _turn = match &self.turns {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        let result = self.objects.get_opts(&path, options).await.map_err(failed)?;
        let object_bytes = result.meta.size;
        let bytes = read_all(&self.buffers, result).await.map_err(failed)?;
        Ok(Suffix { bytes, object_bytes })
    }
}

/// All of an answer, in memory that was used before.
async fn read_all(buffers: &Buffers, result: GetResult) -> Result<Bytes, Error> {
    let (first, len) = (result.range.start, result.range.end.saturating_sub(result.range.start));
    let len = usize::try_from(len).map_err(|_| broken("no answer is as long as that"))?;
    let mut buffer = buffers.take(len);
    match result.payload {
        GetResultPayload::File(file, _) => {
            let read = move || {
                let filled = read_file(&file, buffer.bytes_mut(), first)?;
                Ok(buffer.filled(filled))
            };
            tokio::task::spawn_blocking(read).await.map_err(broken)?.map_err(|e: io::Error| broken(e))
        }
        GetResultPayload::Stream(mut pieces) => {
            let mut filled = 0;
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                let room = buffer.bytes_mut().get_mut(filled..filled + piece.len());
                room.ok_or_else(|| broken("the answer is longer than it said"))?.copy_from_slice(&piece);
                filled += piece.len();
            }
            Ok(buffer.filled(filled))
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_file(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "remote", source: source.into() }
}

/// The library's names of what is asked for.
fn encryption_settings(encryption: &Encryption) -> Vec<(&'static str, String)> {
    let mode = |name: &str| ("aws_server_side_encryption", name.to_owned());
    match encryption {
        Encryption::OfBucket => Vec::new(),
        Encryption::Aes256 => vec![mode("AES256")],
        Encryption::Kms { key_id } => {
            // One data key for many objects, not a request to the key management for each.
            let mut settings = vec![mode("aws:kms"), ("aws_sse_bucket_key_enabled", "true".to_owned())];
            settings.extend(key_id.clone().map(|id| ("aws_sse_kms_key_id", id)));
            settings
        }
    }
}

fn store_error(operation: Operation, key: &str, error: Error) -> StoreError {
    let key = key.to_owned();
    match error {
        Error::NotFound { .. } => StoreError::NotFound { key },
        Error::AlreadyExists { .. } => StoreError::AlreadyExists { key },
        Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::UnknownConfigurationKey { .. } => {
            StoreError::Refused { operation, key, reason: error.to_string() }
        }
        other => StoreError::Unavailable { operation, key, reason: other.to_string() },
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn put(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.put_with(Operation::Put, key, pieces, PutMode::Overwrite).await
    }

    async fn put_if_absent(&self, key: &str, pieces: Pieces) -> Result<(), StoreError> {
        self.put_with(Operation::PutIfAbsent, key, pieces, PutMode::Create).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        Ok(self.get_with(key, None).await?.bytes)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        Ok(self.get_with(key, Some(GetRange::Bounded(range))).await?.bytes)
    }

    async fn get_suffix(&self, key: &str, bytes: u64) -> Result<Suffix, StoreError> {
        self.get_with(key, Some(GetRange::Suffix(bytes))).await
    }

    async fn head(&self, key: &str) -> Result<u64, StoreError> {
        let path = self.path(Operation::Head, key)?;
        let meta = self.objects.head(&path).await.map_err(|e| store_error(Operation::Head, key, e))?;
        Ok(meta.size)
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        self.list_page(prefix, start_after, usize::MAX).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let folder = self.path(Operation::List, prefix)?;
        let folder = (!folder.as_ref().is_empty()).then_some(folder);
        let stream = match start_after {
            Some(after) => {
                self.objects.list_with_offset(folder.as_ref(), &self.path(Operation::List, after)?)
            }
            None => self.objects.list(folder.as_ref()),
        };
        // A bucket lists by name, and is asked for no more than what is needed; a folder in no order.
        let needed = if self.parts.is_some() { at_most } else { usize::MAX };
        let mut listed: Vec<Listed> = stream
            .take(needed)
            .map_ok(|meta| Listed { key: self.key(&meta.location), bytes: meta.size })
            .try_collect()
            .await
            .map_err(|e| store_error(Operation::List, prefix, e))?;
        listed.sort_by(|a, b| a.key.cmp(&b.key));
        listed.truncate(at_most);
        Ok(listed)
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let folder = self.path(Operation::List, prefix)?;
        let folder = (!folder.as_ref().is_empty()).then_some(folder);
        let listed = self.objects.list_with_delimiter(folder.as_ref()).await;
        let listed = listed.map_err(|e| store_error(Operation::List, prefix, e))?;
        let name = |path: &Path| path.filename().map(str::to_owned);
        let mut folders: Vec<String> = listed.common_prefixes.iter().filter_map(name).collect();
        folders.sort();
        Ok(folders)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(Operation::Delete, key)?;
        match self.objects.delete(&path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(store_error(Operation::Delete, key, e)),
        }
    }

    async fn begin_multipart(&self, key: &str) -> Result<Box<dyn PartUpload>, StoreError> {
        let path = self.path(Operation::BeginMultipart, key)?;
        let failed = |e| store_error(Operation::BeginMultipart, key, e);
        match &self.parts {
            Some(s3) => {
                let id = s3.create_multipart(&path).await.map_err(failed)?;
                let store = s3.clone();
                Ok(Box::new(BucketUpload { store, key: key.to_owned(), path, id, parts: Vec::new() }))
            }
            None => {
                let inner = self.writes.put_multipart(&path).await.map_err(failed)?;
                Ok(Box::new(FolderUpload { key: key.to_owned(), inner, sent: 0, broken: false }))
            }
        }
    }
}

/// Parts by number: one that failed is sent again under its number.
struct BucketUpload {
    store: Arc<AmazonS3>,
    key: String,
    path: Path,
    id: String,
    parts: Vec<PartId>,
}

#[async_trait]
impl PartUpload for BucketUpload {
    async fn put_part(&mut self, index: usize, pieces: Pieces) -> Result<(), StoreError> {
        let payload: PutPayload = pieces.into_iter().collect();
        let part = self
            .store
            .put_part(&self.path, &self.id, index, payload)
            .await
            .map_err(|e| store_error(Operation::PutPart, &self.key, e))?;
        self.parts.truncate(index);
        self.parts.push(part);
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        let parts = std::mem::take(&mut self.parts);
        self.store
            .complete_multipart(&self.path, &self.id, parts)
            .await
            .map(|_| ())
            .map_err(|e| store_error(Operation::CompleteMultipart, &self.key, e))
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.store
            .abort_multipart(&self.path, &self.id)
            .await
            .map_err(|e| store_error(Operation::CompleteMultipart, &self.key, e))
    }
}

/// Parts append to a staged file; after a failed one nothing may follow.
struct FolderUpload {
    key: String,
    inner: Box<dyn MultipartUpload>,
    sent: u64,
    broken: bool,
}

impl FolderUpload {
    fn refused(&self, operation: Operation) -> StoreError {
        StoreError::Refused {
            operation,
            key: self.key.clone(),
            reason: format!("a part after byte {} failed: the upload starts again", self.sent),
        }
    }
}

#[async_trait]
impl PartUpload for FolderUpload {
    async fn put_part(&mut self, _index: usize, pieces: Pieces) -> Result<(), StoreError> {
        if self.broken {
            return Err(self.refused(Operation::PutPart));
        }
        let bytes = total_bytes(&pieces);
        self.broken = true;
        let payload: PutPayload = pieces.into_iter().collect();
        self.inner.put_part(payload).await.map_err(|e| store_error(Operation::PutPart, &self.key, e))?;
        self.broken = false;
        self.sent += bytes;
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        if self.broken {
            return Err(self.refused(Operation::CompleteMultipart));
        }
        self.inner
            .complete()
            .await
            .map(|_| ())
            .map_err(|e| store_error(Operation::CompleteMultipart, &self.key, e))
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        self.inner.abort().await.map_err(|e| store_error(Operation::CompleteMultipart, &self.key, e))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures::future::join_all;
    use futures::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::{CopyOptions, ListResult, ObjectMeta, PutMultipartOptions, PutOptions, PutResult};

    use super::*;

    /// Says how many reads ran at once.
    #[derive(Debug, Default)]
    struct Counting {
        inner: InMemory,
        reading: AtomicUsize,
        most: AtomicUsize,
    }

    impl std::fmt::Display for Counting {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.inner.fmt(f)
        }
    }

    #[async_trait]
    impl ObjectStore for Counting {
        async fn put_opts(
            &self,
            at: &Path,
            payload: PutPayload,
            how: PutOptions,
        ) -> Result<PutResult, Error> {
            self.inner.put_opts(at, payload, how).await
        }
        async fn put_multipart_opts(
            &self,
            at: &Path,
            how: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>, Error> {
            self.inner.put_multipart_opts(at, how).await
        }
        async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult, Error> {
            self.most.fetch_max(self.reading.fetch_add(1, Relaxed) + 1, Relaxed);
            // All the others come as far as they are let.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.reading.fetch_sub(1, Relaxed);
            self.inner.get_opts(at, how).await
        }
        fn delete_stream(
            &self,
            paths: BoxStream<'static, Result<Path, Error>>,
        ) -> BoxStream<'static, Result<Path, Error>> {
            self.inner.delete_stream(paths)
        }
        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta, Error>> {
            self.inner.list(prefix)
        }
        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult, Error> {
            self.inner.list_with_delimiter(prefix).await
        }
        async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<(), Error> {
            self.inner.copy_opts(from, to, how).await
        }
    }

    #[tokio::test]
    async fn reads_of_a_near_folder_take_turns_and_those_of_any_other_store_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let location = StoreLocation::Folder(dir.path().to_owned());
        for (is_near, most) in [(true, NEAR_READS), (false, 12)] {
            let objects = Arc::new(Counting::default());
            let options = RemoteOptions { is_near, ..RemoteOptions::default() };
            let opened = RemoteStore::open(&location, &options).unwrap();
            let store = RemoteStore { objects: objects.clone(), writes: objects.clone(), ..opened };
            store.put("a", vec![Bytes::from_static(b"hello")]).await.unwrap();
            let read = join_all((0..12).map(|_| store.get_range("a", 1..3))).await;
            assert!(read.into_iter().all(|bytes| bytes.unwrap() == "el"));
            assert_eq!(objects.most.load(Relaxed), most, "near: {is_near}");
            for _ in 0..NEAR_READS {
                assert!(store.get("none").await.is_err());
            }
            assert_eq!(store.get("a").await.unwrap(), "hello", "a read that fails gives its turn back");
        }
    }

    /// Takes one object, a piece at a time and with a pause after each.
    fn takes_slowly(listener: &std::net::TcpListener, pause: Duration) -> std::io::Result<usize> {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept()?;
        let (mut head, mut byte) = (Vec::new(), [0; 1]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0].to_ascii_lowercase());
        }
        let head = String::from_utf8_lossy(&head);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        let (mut taken, mut piece) = (0, vec![0; length.div_ceil(8)]);
        while taken < length {
            let next = piece.len().min(length - taken);
            stream.read_exact(&mut piece[..next])?;
            taken += next;
            std::thread::sleep(pause);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        Ok(taken)
    }

    #[tokio::test]
    async fn an_upload_that_goes_on_may_take_longer_than_a_read_may_be_silent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let options = RemoteOptions {
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            region: Some("here".to_owned()),
            access_key_id: Some("id".to_owned()),
            secret_access_key: Some("secret".to_owned()),
            ..RemoteOptions::default()
        };
        let silent = Duration::from_millis(300);
        let limits = HttpLimits { read: silent, ..LIMITS };
        let store = RemoteStore::open_bucket("b", "", &options, limits).unwrap();
        let taken = tokio::task::spawn_blocking(move || takes_slowly(&listener, silent / 2));
        store.put("k", vec![Bytes::from(vec![7; 4 << 20])]).await.unwrap();
        assert_eq!(taken.await.unwrap().unwrap(), 4 << 20);
    }
}
