//! Files that are opened when they are first used, and closed again when too many are open.
//!
//! A log has three files and more for each segment, and a broker ten thousand logs: together more than a process may hold
//! open. So handles have a common bound. When it is passed, the handle that has rested longest goes (the *clock* algorithm:
//! one that was used since the last look gets another turn), and comes back by its path with the next use.
//!
//! Invariant: a file that was written and not fsynced since keeps its handle. The kernel tells of pages it could not
//! write to whoever holds the file open; nobody would hear it otherwise.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::env::{DiskFile, OpenMode, SharedDisk};

/// Handles that one opening looks at before it lets the bound be passed: all others may be in use.
const LOOKS: usize = 256;
/// Handles of all logs of this process, before `keep_open_at_most` says otherwise; and the most it may say: each costs
/// memory, the list of them too.
const USUAL: usize = 4096;
const MOST: usize = 1 << 17;

static OPEN: OpenFiles = OpenFiles { most: AtomicUsize::new(USUAL), open: Mutex::new(VecDeque::new()) };

/// How many files all logs of this process together keep open while they rest; those being written come on top.
pub fn keep_open_at_most(files: usize) {
    OPEN.most.store(files.clamp(1, MOST), Ordering::Relaxed);
}

/// The handles that may be closed, in the order they are looked at.
#[derive(Debug)]
struct OpenFiles {
    most: AtomicUsize,
    open: Mutex<VecDeque<Weak<Handle>>>,
}

#[derive(Debug, Default)]
struct Handle {
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    /// Since the last look at it.
    used: AtomicBool,
    /// Written, and not fsynced since.
    written: AtomicBool,
    /// Its log was deleted: what lies at its path later is another's.
    retired: AtomicBool,
}

impl OpenFiles {
    /// Takes note of a handle that was just opened, and closes others beyond the bound.
    fn opened(&self, handle: &Arc<Handle>) {
        let mut open = self.open.lock();
        open.push_back(Arc::downgrade(handle));
        for _ in 0..LOOKS {
            if open.len() <= self.most.load(Ordering::Relaxed) {
                return;
            }
            let Some(next) = open.pop_front() else { return };
            let Some(handle) = next.upgrade() else { continue };
            // One that is being opened or used just now is not waited for. Who writes says so with the lock held.
            let rests = handle.file.try_lock().is_some_and(|mut file| {
                let rests =
                    !handle.used.swap(false, Ordering::Relaxed) && !handle.written.load(Ordering::Acquire);
                if rests {
                    *file = None;
                }
                rests
            });
            if !rests {
                open.push_back(next);
            }
        }
    }
}

/// A file of a log.
#[derive(Debug)]
pub(super) struct LazyFile {
    disk: SharedDisk,
    path: Arc<Path>,
    handle: Arc<Handle>,
}

impl LazyFile {
    pub(super) fn new(disk: &SharedDisk, path: PathBuf) -> LazyFile {
        LazyFile { disk: disk.clone(), path: path.into(), handle: Arc::default() }
    }

    /// Created, or emptied if it is there.
    pub(super) fn create(disk: &SharedDisk, path: PathBuf) -> io::Result<LazyFile> {
        let file = LazyFile::new(disk, path);
        file.open(OpenMode::ReadWrite, false)?.set_len(0)?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn shared_path(&self) -> Arc<Path> {
        self.path.clone()
    }

    /// The open file. Whoever writes to it takes `get_to_write`.
    ///
    /// # Errors
    /// As the disk says; `NotFound` when somebody has removed the file: one that comes back empty would hide that.
    pub(super) fn get(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.open(OpenMode::ReadWriteExisting, false)
    }

    /// The same, and it stays open until `is_synced`.
    pub(super) fn get_to_write(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.open(OpenMode::ReadWriteExisting, true)
    }

    fn open(&self, mode: OpenMode, to_write: bool) -> io::Result<Arc<dyn DiskFile>> {
        let opened = {
            let mut file = self.handle.file.lock();
            if to_write {
                self.handle.written.store(true, Ordering::Release);
            }
            match &*file {
                Some(file) => {
                    self.handle.used.store(true, Ordering::Relaxed);
                    return Ok(file.clone());
                }
                None if self.handle.retired.load(Ordering::Acquire) => {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "its log was deleted"));
                }
                None => file.insert(self.disk.open(&self.path, mode)?).clone(),
            }
        };
        OPEN.opened(&self.handle);
        Ok(opened)
    }

    /// It is not opened any more; who has it open reads on.
    pub(super) fn retire(&self) {
        let _one_who_opens_it_is_through = self.handle.file.lock();
        self.handle.retired.store(true, Ordering::Release);
    }

    /// Whether it stays open.
    #[cfg(test)]
    pub(super) fn is_written(&self) -> bool {
        self.handle.written.load(Ordering::Acquire)
    }

    /// All that was written has been fsynced.
    pub(super) fn is_synced(&self) {
        self.handle.written.store(false, Ordering::Release);
    }

    /// Whether a read or a write finds it open.
    pub(super) fn is_open(&self) -> bool {
        self.handle.file.lock().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::RealDisk;

    fn files(disk: &SharedDisk, folder: &Path, count: usize) -> Vec<LazyFile> {
        (0..count).map(|i| LazyFile::new(disk, folder.join(i.to_string()))).collect()
    }

    /// With a bound of its own: other tests share the process.
    fn open(bound: &OpenFiles, file: &LazyFile) {
        let handle = file.disk.open(&file.path, OpenMode::ReadWrite).unwrap();
        *file.handle.file.lock() = Some(handle);
        bound.opened(&file.handle);
    }

    fn bound(most: usize) -> OpenFiles {
        OpenFiles { most: AtomicUsize::new(most), open: Mutex::default() }
    }

    #[test]
    fn the_files_that_have_rested_longest_are_closed_and_come_back_when_they_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let disk: SharedDisk = Arc::new(RealDisk);
        let (bound, files) = (bound(3), files(&disk, folder.path(), 5));
        for file in &files {
            open(&bound, file);
        }
        let are_open = |files: &[LazyFile]| files.iter().map(LazyFile::is_open).collect::<Vec<_>>();
        assert_eq!(are_open(&files), [false, false, true, true, true]);
        files[4].get().unwrap().write_all_at(b"x", 0).unwrap();
        // Used since: the next look passes it over.
        files[2].get().unwrap();
        open(&bound, &files[0]);
        assert_eq!(are_open(&files), [true, false, true, false, true]);
        assert_eq!(files[4].get().unwrap().len().unwrap(), 1);
        drop(files);
        assert!(bound.open.lock().iter().all(|handle| handle.upgrade().is_none()));
    }

    #[test]
    fn a_file_that_was_written_stays_open_until_it_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let disk: SharedDisk = Arc::new(RealDisk);
        let (bound, files) = (bound(1), files(&disk, folder.path(), 4));
        open(&bound, &files[0]);
        files[0].get_to_write().unwrap();
        files[0].handle.used.store(false, Ordering::Relaxed);
        open(&bound, &files[1]);
        open(&bound, &files[2]);
        assert!(files[0].is_open() && !files[1].is_open(), "what was not written goes before");
        files[0].is_synced();
        open(&bound, &files[3]);
        open(&bound, &files[1]);
        assert!(!files[0].is_open(), "nothing keeps it any more");
    }

    #[test]
    fn a_file_that_somebody_has_removed_does_not_come_back_empty() {
        let folder = tempfile::tempdir().unwrap();
        let disk: SharedDisk = Arc::new(RealDisk);
        let file = LazyFile::create(&disk, folder.path().join("0")).unwrap();
        *file.handle.file.lock() = None;
        disk.remove_file(file.path()).unwrap();
        assert_eq!(file.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!file.path().exists());
    }

    #[test]
    fn a_file_of_a_deleted_log_is_not_opened_again_though_another_lies_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let disk: SharedDisk = Arc::new(RealDisk);
        let file = LazyFile::create(&disk, folder.path().join("0")).unwrap();
        file.retire();
        assert!(file.get().is_ok(), "who has it open reads on");
        *file.handle.file.lock() = None;
        assert_eq!(file.get().unwrap_err().to_string(), "its log was deleted");
        assert!(file.get_to_write().is_err());
    }

    #[test]
    fn where_all_are_in_use_the_bound_is_passed_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let disk: SharedDisk = Arc::new(RealDisk);
        let (bound, files) = (bound(2), files(&disk, folder.path(), 6));
        for file in &files {
            file.handle.written.store(true, Ordering::Relaxed);
            open(&bound, file);
        }
        assert!(files.iter().all(LazyFile::is_open));
        assert_eq!(bound.open.lock().len(), 6);
    }
}
