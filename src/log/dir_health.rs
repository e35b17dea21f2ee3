//! Notices when the device under a log directory has failed. From then on nothing more is tried there: a device that
//! fails now and then must not make some writes and lose others.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::env::{Disk, DiskEntry, DiskFile, OpenMode, SharedDisk};

/// Linux: EIO, ENXIO, ENODEV, EROFS, ESTALE, EUCLEAN ("structure needs cleaning").
const DEVICE_ERRORS: [i32; 6] = [5, 6, 19, 30, 116, 117];

/// Whether one directory's device still works.
#[derive(Clone, Debug, Default)]
pub(super) struct DirHealth {
    failure: Arc<OnceLock<String>>,
}

impl DirHealth {
    /// What was tried when the device failed, and its answer.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    fn check(&self) -> io::Result<()> {
        match self.failure() {
            None => Ok(()),
            Some(failure) => Err(io::Error::other(format!("the log directory is offline: {failure}"))),
        }
    }

    fn watch<T>(&self, path: &Path, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.check()?;
        call().inspect_err(|e| {
            if is_device_failure(e) {
                let failure = format!("{}: {e}", path.display());
                if self.failure.set(failure).is_ok() {
                    tracing::error!(path = %path.display(), "the device of a log directory has failed: {e}");
                }
            }
        })
    }
}

/// A full disk, a missing file or a name that is refused is none.
fn is_device_failure(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::ReadOnlyFilesystem
        || e.raw_os_error().is_some_and(|code| DEVICE_ERRORS.contains(&code))
}

/// The disk of one directory.
#[derive(Debug)]
pub(super) struct WatchedDisk {
    inner: SharedDisk,
    health: DirHealth,
}

impl WatchedDisk {
    pub(super) fn new(inner: SharedDisk, health: DirHealth) -> WatchedDisk {
        WatchedDisk { inner, health }
    }
}

impl Disk for WatchedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.health.watch(path, || self.inner.open(path, mode))?;
        Ok(Arc::new(WatchedFile { inner, path: path.to_owned(), health: self.health.clone() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.health.watch(path, || self.inner.create_dir_all(path))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        self.health.watch(path, || self.inner.read_dir(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.health.watch(path, || self.inner.exists(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.health.watch(from, || self.inner.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.health.watch(path, || self.inner.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.health.watch(path, || self.inner.remove_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.health.watch(path, || self.inner.sync_dir(path))
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.health.watch(path, || self.inner.available_bytes(path))
    }

    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.health.watch(path, || self.inner.write_secret(path, bytes))
    }
}

#[derive(Debug)]
struct WatchedFile {
    inner: Arc<dyn DiskFile>,
    path: PathBuf,
    health: DirHealth,
}

impl DiskFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.health.watch(&self.path, || self.inner.read_at(buffer, position))
    }

    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> bool {
        self.health.failure().is_none() && self.inner.read_cached_at(buffer, position)
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.health.watch(&self.path, || self.inner.write_vectored_at(buffers, position))
    }

    fn len(&self) -> io::Result<u64> {
        self.health.watch(&self.path, || self.inner.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.watch(&self.path, || self.inner.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.health.watch(&self.path, || self.inner.sync())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        // Once the device has failed the kernel shall not go round us.
        self.inner.descriptor().filter(|_| self.health.failure().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_device_are_told_from_those_of_a_file() {
        for code in DEVICE_ERRORS {
            assert!(is_device_failure(&io::Error::from_raw_os_error(code)), "{code}");
        }
        // ENOENT, EACCES, ENOSPC, EDQUOT, EMFILE.
        for code in [2, 13, 28, 122, 24] {
            assert!(!is_device_failure(&io::Error::from_raw_os_error(code)), "{code}");
        }
        assert!(!is_device_failure(&io::Error::other("something else")));
    }
}
