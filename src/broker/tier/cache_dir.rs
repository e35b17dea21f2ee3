//! The folder of chunk files (`tier.cache.dir`), through the `Disk` seam and on threads of its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tiering::cache::CacheDisk;

use crate::broker::directories::are_stuck;
use crate::env::{BlockingPool, Clock, SharedDisk, timeout};

/// A chunk file that takes longer costs more than the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// One folder, flat.
pub(super) struct CacheDir {
    disk: SharedDisk,
    dir: PathBuf,
    threads: BlockingPool,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for CacheDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheDir").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl CacheDir {
    pub(super) fn new(
        disk: SharedDisk,
        dir: PathBuf,
        threads: BlockingPool,
        clock: Arc<dyn Clock>,
    ) -> CacheDir {
        CacheDir { disk, dir, threads, clock }
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &str,
        job: impl FnOnce(&SharedDisk, PathBuf) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // The cache's disk may hang and the logs' not: nothing more waits for it then.
        if are_stuck(&self.threads) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let (disk, path) = (self.disk.clone(), self.dir.join(name));
        self.threads.run(move || job(&disk, path)).await.map_err(io::Error::other)?
    }
}

#[async_trait]
impl CacheDisk for CacheDir {
    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.run("", |disk, dir| {
            disk.create_dir_all(&dir)?;
            let files = disk.read_dir(&dir)?.into_iter().filter(|entry| !entry.is_dir);
            Ok(files.map(|entry| (entry.name, entry.len)).collect())
        })
        .await
    }

    async fn read(&self, name: &str) -> io::Result<Bytes> {
        let read = self.run(name, |disk, path| disk.read(&path).map(Bytes::from));
        timeout(&*self.clock, PATIENCE, read).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    async fn write(&self, name: &str, bytes: Bytes) -> io::Result<()> {
        self.run(name, move |disk, path| disk.write_past_cache(&path, &bytes)).await
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.run(name, |disk, path| match disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{RealClock, RealDisk};

    #[tokio::test]
    async fn chunk_files_are_written_listed_read_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let threads = BlockingPool::new("test", 1);
        let cache = CacheDir::new(Arc::new(RealDisk), dir.path().join("cache"), threads, Arc::new(RealClock));
        assert_eq!(cache.list().await.unwrap(), []);
        cache.write("a", Bytes::from_static(b"long content")).await.unwrap();
        cache.write("a", Bytes::from_static(b"short")).await.unwrap();
        assert_eq!(cache.list().await.unwrap(), [("a".to_owned(), 5)]);
        assert_eq!(cache.read("a").await.unwrap(), "short");
        cache.remove("a").await.unwrap();
        cache.remove("a").await.unwrap();
        assert!(cache.read("a").await.is_err());
    }
}
