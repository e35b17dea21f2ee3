//! Calls of a disk that do not come back, until it is said.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::disk::DiskCall;
use crate::env::{Disk, DiskEntry, DiskFile, OpenMode, SharedDisk};

/// Where calls hang; whoever is stuck keeps its thread.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<Stuck>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct Stuck {
    /// Calls on paths that contain this hang; all of them, or of one kind.
    at: Option<(Option<DiskCall>, String)>,
    /// Threads that are stuck.
    threads: usize,
}

impl Stuck {
    fn holds(&self, call: DiskCall, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.at
            .as_ref()
            .is_some_and(|(kind, part)| kind.is_none_or(|kind| kind == call) && path.contains(part))
    }
}

impl Gate {
    pub(super) fn close(&self, call: Option<DiskCall>, path: &str) {
        self.state.lock().at = Some((call, path.to_owned()));
    }

    pub(super) fn open(&self) {
        self.state.lock().at = None;
        self.opened.notify_all();
    }

    pub(super) fn stuck(&self) -> usize {
        self.state.lock().threads
    }

    pub(super) fn holds(&self, call: DiskCall, path: &Path) -> bool {
        self.state.lock().holds(call, path)
    }

    pub(super) fn pass(&self, call: DiskCall, path: &Path) {
        let mut state = self.state.lock();
        if !state.holds(call, path) {
            return;
        }
        state.threads += 1;
        while state.holds(call, path) {
            self.opened.wait(&mut state);
        }
        state.threads -= 1;
    }
}

/// Another disk, parts of which can be made to hang; clones are the same disk.
#[derive(Clone, Debug)]
pub struct HangingDisk {
    inner: SharedDisk,
    gate: Arc<Gate>,
}

impl HangingDisk {
    /// The same disk until it is told otherwise.
    #[must_use]
    pub fn over(inner: SharedDisk) -> HangingDisk {
        HangingDisk { inner, gate: Arc::default() }
    }

    /// From now on whatever asks the device for something under a folder waits.
    pub fn hang(&self, folder: &Path) {
        self.gate.close(None, &format!("{}/", folder.display()));
    }

    /// Nothing hangs any more.
    pub fn let_go(&self) {
        self.gate.open();
    }

    /// Threads that are stuck.
    #[must_use]
    pub fn stuck(&self) -> usize {
        self.gate.stuck()
    }
}

impl Disk for HangingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.gate.pass(DiskCall::Open, path);
        let inner = self.inner.open(path, mode)?;
        Ok(Arc::new(HangingFile { inner, path: path.to_owned(), gate: self.gate.clone() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Open, path);
        self.inner.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        self.gate.pass(DiskCall::Read, path);
        self.inner.read_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.gate.pass(DiskCall::Read, path);
        self.inner.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Rename, from);
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Remove, path);
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Remove, path);
        self.inner.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Sync, &path.join(""));
        self.inner.sync_dir(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.gate.pass(DiskCall::Read, &path.join(""));
        self.inner.available_bytes(path)
    }

    fn is_same_file_system(&self, one: &Path, other: &Path) -> io::Result<bool> {
        self.inner.is_same_file_system(one, other)
    }

    fn mount_id(&self, path: &Path) -> io::Result<Option<u64>> {
        self.inner.mount_id(path)
    }

    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.gate.pass(DiskCall::Write, path);
        self.inner.write_secret(path, bytes)
    }
}

#[derive(Debug)]
struct HangingFile {
    inner: Arc<dyn DiskFile>,
    path: PathBuf,
    gate: Arc<Gate>,
}

impl DiskFile for HangingFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.gate.pass(DiskCall::Read, &self.path);
        self.inner.read_at(buffer, position)
    }

    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> bool {
        !self.gate.holds(DiskCall::Read, &self.path) && self.inner.read_cached_at(buffer, position)
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.gate.pass(DiskCall::Write, &self.path);
        self.inner.write_vectored_at(buffers, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.gate.pass(DiskCall::SetLen, &self.path);
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass(DiskCall::Sync, &self.path);
        self.inner.sync()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }
}
