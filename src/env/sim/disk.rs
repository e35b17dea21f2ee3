//! A disk in memory that can do what real ones do: lose unsynced writes, tear the last one, run full, fail, flip bits.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::gate::Gate;
use crate::env::{Disk, DiskEntry, DiskFile, OpenMode};

/// A call that a fault can be put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCall {
    /// `DiskFile::read_at`.
    Read,
    /// `DiskFile::write_vectored_at`.
    Write,
    /// `DiskFile::set_len`.
    SetLen,
    /// `DiskFile::sync` and `Disk::sync_dir`.
    Sync,
    /// `Disk::open`.
    Open,
    /// `Disk::rename`.
    Rename,
    /// `Disk::remove_file` and `Disk::remove_dir_all`.
    Remove,
}

/// A fault that waits for its call.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The call.
    pub call: DiskCall,
    /// Only on paths that contain this.
    pub path: String,
    /// After so many such calls went well.
    pub after: usize,
    /// How often it strikes.
    pub times: usize,
    /// The answer.
    pub error: io::ErrorKind,
    /// Of a write, so many bytes still arrive.
    pub written: usize,
    /// The caller panics instead, as over a mistake of its own.
    pub panics: bool,
}

impl Fault {
    /// Fails the next such call on a path that contains `path`, once.
    #[must_use]
    pub fn next(call: DiskCall, path: &str, error: io::ErrorKind) -> Fault {
        Fault { call, path: path.to_owned(), after: 0, times: 1, error, written: 0, panics: false }
    }
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
}

type Content = Arc<Mutex<FileContent>>;

#[derive(Clone, Debug, Default)]
struct FileContent {
    /// What reads see.
    now: Vec<u8>,
    /// What a power loss leaves.
    synced: Vec<u8>,
    /// Written since the last fsync, whatever became of that.
    dirty: Vec<Range<usize>>,
    /// An fsync failed for these: they count as clean, and no later one writes them.
    given_up: Vec<Range<usize>>,
}

impl FileContent {
    fn all_synced(bytes: Vec<u8>) -> FileContent {
        FileContent { synced: bytes.clone(), now: bytes, ..FileContent::default() }
    }

    fn wrote(&mut self, range: Range<usize>) {
        let parts = std::mem::take(&mut self.given_up).into_iter().flat_map(|old| {
            let before = old.start..old.end.min(range.start);
            let after = old.start.max(range.end)..old.end;
            [before, after]
        });
        self.given_up = parts.filter(|part| !part.is_empty()).collect();
        match self.dirty.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.dirty.push(range),
        }
    }

    fn resize(&mut self, len: usize) {
        self.now.resize(len, 0);
        for ranges in [&mut self.dirty, &mut self.given_up] {
            ranges.iter_mut().for_each(|range| *range = range.start.min(len)..range.end.min(len));
            ranges.retain(|range| !range.is_empty());
        }
    }

    fn sync(&mut self) {
        self.dirty.clear();
        let mut synced = self.now.clone();
        for lost in &self.given_up {
            for at in lost.clone() {
                synced[at] = self.synced.get(at).copied().unwrap_or(0);
            }
        }
        // A length grows with what is written there.
        let end = self.given_up.iter().filter(|lost| lost.end == synced.len()).map(|lost| lost.start).min();
        if let Some(end) = end {
            synced.truncate(end.max(self.synced.len()));
        }
        self.synced = synced;
    }

    /// The end of what may still get to the device by itself.
    fn may_be_written(&self) -> usize {
        self.given_up.iter().map(|lost| lost.start).min().unwrap_or(self.now.len())
    }

    fn fail_to_sync(&mut self) {
        self.given_up.append(&mut self.dirty);
    }
}

#[derive(Debug, Default)]
struct State {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Content>,
    /// Names as a power loss leaves them.
    synced_files: BTreeMap<PathBuf, Content>,
    synced_folders: BTreeSet<PathBuf>,
    /// Folders that were renamed since their parent was synced: from, to.
    renamed: Vec<(PathBuf, PathBuf)>,
    /// After so many more changing calls the process is dead: those calls fail.
    dies_after: Option<u64>,
    died: bool,
    faults: Vec<Fault>,
    struck: usize,
    /// Fsync of files whose path contains this does nothing, and says that it did.
    lies: Option<String>,
    /// The last write: file, position, length.
    last_write: Option<(Content, u64, usize)>,
    capacity: Option<u64>,
    writes: u64,
    reads: u64,
    syncs: u64,
}

impl State {
    /// The fault that strikes now, if one does.
    fn strike(&mut self, call: DiskCall, path: &Path) -> Option<Fault> {
        let path = path.to_string_lossy();
        let fault = self.faults.iter_mut().find(|fault| fault.call == call && path.contains(&fault.path))?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times -= 1;
        self.struck += 1;
        let struck = fault.clone();
        self.faults.retain(|fault| fault.times > 0);
        assert!(!struck.panics, "a fault that panics");
        Some(struck)
    }

    fn check(&mut self, call: DiskCall, path: &Path) -> io::Result<()> {
        self.strike(call, path).map_or(Ok(()), |fault| Err(fault.error.into()))
    }

    /// Counts a call that changes the disk.
    fn live(&mut self) -> io::Result<()> {
        match &mut self.dies_after {
            None => Ok(()),
            Some(0) => {
                self.died = true;
                Err(io::Error::other("the process is dead"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn used(&self) -> u64 {
        self.files.values().map(|content| content.lock().now.len() as u64).sum()
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// Puts a fault on a coming call.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Takes the faults away that wait for such a call.
    pub fn forget_faults(&self, call: DiskCall) {
        self.state.lock().faults.retain(|fault| fault.call != call);
    }

    /// Takes all waiting faults away.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.lies = None;
    }

    /// From now on calls on paths that contain `path` hang, all of them or those of one kind, until [`SimDisk::let_go`]. Not for a
    /// simulation, which has one thread.
    pub fn hang(&self, call: Option<DiskCall>, path: &str) {
        self.gate.close(call, path);
    }

    /// What hangs goes on.
    pub fn let_go(&self) {
        self.gate.open();
    }

    /// Threads that are stuck in a call that hangs.
    #[must_use]
    pub fn stuck(&self) -> usize {
        self.gate.stuck()
    }

    /// How often faults have struck.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.state.lock().struck
    }

    /// From now on an fsync of a file whose path contains `path` is answered, but not done.
    pub fn lose_fsyncs(&self, path: &str) {
        self.state.lock().lies = Some(path.to_owned());
    }

    /// From now on the files hold so many bytes at most; `None` for no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Calls so far: reads, writes, syncs.
    #[must_use]
    pub fn calls(&self) -> (u64, u64, u64) {
        let state = self.state.lock();
        (state.reads, state.writes, state.syncs)
    }

    /// After so many more calls that change something, these calls fail, as if the process had been killed there.
    pub fn die_after(&self, calls: u64) {
        self.state.lock().dies_after = Some(calls);
    }

    /// The next process may use the disk. Whether the last one got to its end.
    pub fn revive(&self) -> bool {
        let mut state = self.state.lock();
        state.dies_after = None;
        !std::mem::take(&mut state.died)
    }

    /// Power loss: what has not been synced is gone, names in folders too.
    pub fn lose_power(&self) {
        let mut state = self.state.lock();
        let State { files, synced_files, folders, synced_folders, renamed, .. } = &mut *state;
        renamed.clear();
        synced_folders.insert(PathBuf::from("/"));
        let reachable = |folder: &PathBuf| folder.ancestors().all(|parent| synced_folders.contains(parent));
        *folders = synced_folders.iter().filter(|folder| reachable(folder)).cloned().collect();
        synced_files.retain(|file, _| file.parent().is_some_and(|folder| folders.contains(folder)));
        *files = synced_files.clone();
        for content in state.files.values() {
            let mut content = content.lock();
            *content = FileContent::all_synced(std::mem::take(&mut content.synced));
        }
        state.last_write = None;
    }

    /// Of the last write only the first `bytes` have arrived. Its length, or nothing if there was none.
    pub fn tear_last_write(&self, bytes: usize) -> Option<usize> {
        let (content, position, len) = self.state.lock().last_write.clone()?;
        if bytes < len {
            content.lock().resize(usize::try_from(position).ok()? + bytes);
        }
        Some(len)
    }

    /// Flips one bit of a file, counted from its start, on the platter and in memory.
    ///
    /// # Panics
    /// If the file does not have it.
    pub fn flip_bit(&self, path: &Path, bit: usize) {
        let content = self.state.lock().files.get(path).expect("the file is there").clone();
        let mut content = content.lock();
        content.now[bit / 8] ^= 1 << (bit % 8);
        if let Some(byte) = content.synced.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// All files, with what reads see of them.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state.lock();
        state.files.iter().map(|(path, content)| (path.clone(), content.lock().now.clone())).collect()
    }

    /// Another disk that holds what a power loss would leave of this one, which stays as it is. Of what was appended to a
    /// file since it was synced, so many bytes long, as many survive as `tail` says.
    #[must_use]
    pub fn left_by_power_loss(&self, tail: impl Fn(&Path, usize) -> usize) -> SimDisk {
        let state = self.state.lock();
        let mut copies: BTreeMap<*const Mutex<FileContent>, Content> = BTreeMap::new();
        let mut copied = |files: &BTreeMap<PathBuf, Content>| -> BTreeMap<PathBuf, Content> {
            let copy = |content: &Content| {
                let content = content.lock();
                Arc::new(Mutex::new(content.clone()))
            };
            let of = files.iter().map(|(path, content)| {
                let copy = copies.entry(Arc::as_ptr(content)).or_insert_with(|| copy(content));
                (path.clone(), copy.clone())
            });
            of.collect()
        };
        let copy = State {
            files: copied(&state.files),
            synced_files: copied(&state.synced_files),
            folders: state.folders.clone(),
            synced_folders: state.synced_folders.clone(),
            ..State::default()
        };
        drop(state);
        let copy = SimDisk { state: Arc::new(Mutex::new(copy)), ..SimDisk::default() };
        let before: BTreeMap<PathBuf, FileContent> = copy
            .state
            .lock()
            .files
            .iter()
            .map(|(path, content)| (path.clone(), content.lock().clone()))
            .collect();
        copy.lose_power();
        for (path, content) in &copy.state.lock().files {
            let mut content = content.lock();
            let synced = content.now.len();
            let before = before.get(path).filter(|before| before.now.starts_with(&content.now));
            if let Some(more) = before.and_then(|before| before.now.get(synced..before.may_be_written())) {
                content.now.extend_from_slice(&more[..tail(path, more.len()).min(more.len())]);
                let now = content.now.clone();
                content.synced = now;
            }
        }
        copy
    }

    /// Another disk with the same files, all of them synced.
    #[must_use]
    pub fn duplicate(&self) -> SimDisk {
        let state = self.state.lock();
        let files: BTreeMap<PathBuf, Content> = state
            .files
            .iter()
            .map(|(path, content)| {
                let now = content.lock().now.clone();
                (path.clone(), Arc::new(Mutex::new(FileContent::all_synced(now))))
            })
            .collect();
        let copy = State {
            folders: state.folders.clone(),
            synced_folders: state.folders.clone(),
            synced_files: files.clone(),
            files,
            ..State::default()
        };
        SimDisk { state: Arc::new(Mutex::new(copy)), ..SimDisk::default() }
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl Disk for SimDisk {
    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.open(path, OpenMode::CreateNew)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        path.parent().map_or(Ok(()), |folder| self.sync_dir(folder))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.gate.pass(DiskCall::Open, path);
        let mut state = self.state.lock();
        state.check(DiskCall::Open, path)?;
        let there = state.files.get(path).cloned();
        let content = match (there, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(content), _) => content,
            (None, OpenMode::Read | OpenMode::ReadWriteExisting) => return Err(not_found(path)),
            (None, _) => {
                if !path.parent().is_some_and(|folder| state.folders.contains(folder)) {
                    return Err(not_found(path));
                }
                state.live()?;
                state.files.entry(path.to_owned()).or_default().clone()
            }
        };
        let (shared, gate) = (self.state.clone(), self.gate.clone());
        Ok(Arc::new(SimFile { state: shared, gate, path: path.to_owned(), content }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.folders.contains(path) {
            state.live()?;
            state.folders.extend(path.ancestors().map(Path::to_owned));
        }
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let state = self.state.lock();
        if !state.folders.contains(path) {
            return Err(not_found(path));
        }
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let folders = state.folders.iter().map(|folder| (folder, true, 0));
        let files = state.files.iter().map(|(file, content)| (file, false, content.lock().now.len() as u64));
        let mut entries: Vec<DiskEntry> = folders
            .chain(files)
            .filter(|(entry, _, _)| entry.parent() == Some(path))
            .filter_map(|(entry, is_dir, len)| {
                Some(DiskEntry { name: name(entry)?, path: entry.clone(), is_dir, len })
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        Ok(state.files.contains_key(path) || state.folders.contains(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Rename, from);
        let mut state = self.state.lock();
        state.live()?;
        state.check(DiskCall::Rename, from)?;
        if let Some(content) = state.files.remove(from) {
            state.files.insert(to.to_owned(), content);
            return Ok(());
        }
        if !state.folders.contains(from) {
            return Err(not_found(from));
        }
        let moved = |path: &PathBuf| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
            Ok(rest) => to.join(rest),
            Err(_) => path.clone(),
        };
        state.folders = state.folders.iter().map(moved).collect();
        let files = std::mem::take(&mut state.files);
        state.files = files.into_iter().map(|(path, content)| (moved(&path), content)).collect();
        state.renamed.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Remove, path);
        let mut state = self.state.lock();
        state.live()?;
        state.check(DiskCall::Remove, path)?;
        state.files.remove(path).map(|_| ()).ok_or_else(|| not_found(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Remove, path);
        let mut state = self.state.lock();
        state.live()?;
        state.check(DiskCall::Remove, path)?;
        if !state.folders.contains(path) {
            return Err(not_found(path));
        }
        state.folders.retain(|folder| !folder.starts_with(path));
        state.files.retain(|file, _| !file.starts_with(path));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.gate.pass(DiskCall::Sync, path);
        let mut state = self.state.lock();
        state.live()?;
        state.syncs += 1;
        state.check(DiskCall::Sync, path)?;
        let State { files, synced_files, folders, synced_folders, renamed, .. } = &mut *state;
        renamed.retain(|(from, to)| {
            let synced = to.parent() == Some(path);
            if synced {
                let moved = |old: &PathBuf| match old.strip_prefix(from) {
                    Ok(rest) if rest.as_os_str().is_empty() => to.clone(),
                    Ok(rest) => to.join(rest),
                    Err(_) => old.clone(),
                };
                *synced_folders = synced_folders.iter().map(&moved).collect();
                *synced_files =
                    std::mem::take(synced_files).into_iter().map(|(f, c)| (moved(&f), c)).collect();
            }
            !synced
        });
        let here = |entry: &Path| entry.parent() == Some(path);
        synced_files.retain(|file, _| !here(file) || files.contains_key(file));
        synced_files.extend(files.iter().filter(|(f, _)| here(f)).map(|(f, c)| (f.clone(), c.clone())));
        let gone: Vec<PathBuf> =
            synced_folders.iter().filter(|f| here(f) && !folders.contains(*f)).cloned().collect();
        synced_folders.retain(|folder| !gone.iter().any(|gone| folder.starts_with(gone)));
        synced_files.retain(|file, _| !gone.iter().any(|gone| file.starts_with(gone)));
        synced_folders.extend(folders.iter().filter(|folder| here(folder)).cloned());
        Ok(())
    }

    fn available_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }
}

#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
    path: PathBuf,
    content: Content,
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.gate.pass(DiskCall::Read, &self.path);
        let mut state = self.state.lock();
        state.reads += 1;
        state.check(DiskCall::Read, &self.path)?;
        let content = self.content.lock();
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(content.now.len());
        let n = buffer.len().min(content.now.len() - start);
        buffer[..n].copy_from_slice(&content.now[start..start + n]);
        Ok(n)
    }

    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> bool {
        let path = self.path.to_string_lossy();
        let strikes = |fault: &Fault| fault.call == DiskCall::Read && path.contains(&fault.path);
        // A fault is one of the device, which is not asked here.
        !self.gate.holds(DiskCall::Read, &self.path)
            && !self.state.lock().faults.iter().any(strikes)
            && self.read_at(buffer, position).is_ok_and(|n| n == buffer.len())
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.gate.pass(DiskCall::Write, &self.path);
        let mut state = self.state.lock();
        state.live()?;
        state.writes += 1;
        let bytes: Vec<u8> = buffers.iter().fold(Vec::new(), |mut bytes, buffer| {
            bytes.extend_from_slice(buffer);
            bytes
        });
        let start = usize::try_from(position).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut written = bytes.len();
        let mut result = Ok(());
        if let Some(capacity) = state.capacity {
            let grows = (start + bytes.len()).saturating_sub(self.content.lock().now.len());
            let room = usize::try_from(capacity.saturating_sub(state.used())).unwrap_or(usize::MAX);
            if grows > room {
                written -= (grows - room).min(written);
                result = Err(io::ErrorKind::StorageFull.into());
            }
        }
        if let Some(fault) = state.strike(DiskCall::Write, &self.path) {
            written = fault.written.min(written);
            result = Err(fault.error.into());
        }
        let mut content = self.content.lock();
        if content.now.len() < start + written {
            content.now.resize(start + written, 0);
        }
        content.now[start..start + written].copy_from_slice(&bytes[..written]);
        content.wrote(start..start + written);
        drop(content);
        state.last_write = Some((self.content.clone(), position, written));
        result
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.gate.pass(DiskCall::SetLen, &self.path);
        let mut state = self.state.lock();
        state.live()?;
        state.check(DiskCall::SetLen, &self.path)?;
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.content.lock().resize(len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass(DiskCall::Sync, &self.path);
        let mut state = self.state.lock();
        state.live()?;
        state.syncs += 1;
        if let Err(e) = state.check(DiskCall::Sync, &self.path) {
            self.content.lock().fail_to_sync();
            return Err(e);
        }
        if state.lies.as_ref().is_some_and(|lies| self.path.to_string_lossy().contains(lies)) {
            return Ok(());
        }
        self.content.lock().sync();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (SimDisk, PathBuf) {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new("/d")).expect("a folder");
        disk.sync_dir(Path::new("/")).expect("syncs");
        (disk, PathBuf::from("/d/file"))
    }

    #[test]
    fn power_loss_takes_what_was_not_synced() {
        let (disk, path) = disk();
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        file.write_all_at(b"one", 0).expect("writes");
        file.sync().expect("syncs");
        disk.sync_dir(Path::new("/d")).expect("syncs");
        file.write_all_at(b"two", 3).expect("writes");
        disk.lose_power();
        assert_eq!(disk.read(&path).expect("reads"), b"one");
    }

    #[test]
    fn a_file_whose_folder_was_not_synced_is_lost_with_the_power() {
        let (disk, path) = disk();
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        file.write_all_at(b"one", 0).expect("writes");
        file.sync().expect("syncs");
        disk.lose_power();
        assert!(!disk.exists(&path).expect("answers"));
    }

    #[test]
    fn a_renamed_folder_is_found_under_the_name_that_was_synced() {
        let (disk, path) = disk();
        let (old, new) = (Path::new("/d"), Path::new("/e"));
        disk.write_atomically(&path, b"one").expect("writes");
        disk.rename(old, new).expect("renames");
        disk.lose_power();
        assert_eq!(disk.read(&path).expect("reads"), b"one");
        disk.rename(old, new).expect("renames");
        disk.sync_dir(Path::new("/")).expect("syncs");
        disk.lose_power();
        assert_eq!(disk.read(&new.join("file")).expect("reads"), b"one");
        assert!(!disk.exists(old).expect("answers"));
    }

    #[test]
    fn a_dead_process_changes_nothing_any_more() {
        let (disk, path) = disk();
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        disk.die_after(1);
        assert!(file.write_all_at(b"one", 0).is_ok());
        assert!(file.write_all_at(b"two", 3).is_err());
        assert!(!disk.revive());
        assert_eq!(disk.read(&path).expect("reads"), b"one");
    }

    #[test]
    fn a_torn_write_keeps_its_first_bytes() {
        let (disk, path) = disk();
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        file.write_all_at(b"one", 0).expect("writes");
        file.write_all_at(b"two", 3).expect("writes");
        assert_eq!(disk.tear_last_write(1), Some(3));
        assert_eq!(disk.read(&path).expect("reads"), b"onet");
    }

    #[test]
    fn a_power_loss_may_leave_a_part_of_what_was_not_synced() {
        let (disk, path) = disk();
        disk.write_atomically(&path, b"one").expect("writes");
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        file.write_all_at(b"two", 3).expect("writes");
        let rest = disk.left_by_power_loss(|_, len| len - 1);
        assert_eq!(rest.read(&path).expect("reads"), b"onetw");
        assert_eq!(disk.read(&path).expect("reads"), b"onetwo");
    }

    #[test]
    fn a_disk_that_loses_fsyncs_says_that_it_did_them() {
        let (disk, path) = disk();
        disk.write_atomically(&path, b"one").expect("writes");
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        disk.lose_fsyncs("file");
        file.write_all_at(b"two", 3).expect("writes");
        file.sync().expect("it says so");
        disk.lose_power();
        assert_eq!(disk.read(&path).expect("reads"), b"one");
    }

    #[test]
    fn what_an_fsync_has_failed_for_counts_as_clean_until_it_is_written_again() {
        let (disk, path) = disk();
        disk.write_atomically(&path, b"one").expect("writes");
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        file.write_all_at(b"two", 3).expect("writes");
        disk.inject(Fault::next(DiskCall::Sync, "file", io::ErrorKind::Other));
        assert!(file.sync().is_err());
        file.sync().expect("nothing is left to be done");
        assert_eq!(disk.read(&path).expect("reads"), b"onetwo");
        assert_eq!(left(&disk, &path), b"one");
        file.write_all_at(b"three", 6).expect("writes");
        file.sync().expect("syncs");
        assert_eq!(left(&disk, &path), b"one\0\0\0three");
        file.write_all_at(b"two", 3).expect("writes");
        file.sync().expect("syncs");
        assert_eq!(left(&disk, &path), b"onetwothree");
    }

    fn left(disk: &SimDisk, path: &Path) -> Vec<u8> {
        disk.left_by_power_loss(|_, _| 0).read(path).expect("reads")
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_says_so() {
        let (disk, path) = disk();
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        disk.set_capacity(Some(4));
        let error = file.write_all_at(b"onetwo", 0).expect_err("it is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.read(&path).expect("reads"), b"onet");
    }

    #[test]
    fn a_fault_strikes_at_the_chosen_call_only() {
        let (disk, path) = disk();
        let file = disk.open(&path, OpenMode::ReadWrite).expect("opens");
        let fault = Fault::next(DiskCall::Sync, "file", io::ErrorKind::Other);
        disk.inject(Fault { after: 1, ..fault });
        assert!(file.sync().is_ok());
        assert!(file.sync().is_err());
        assert!(file.sync().is_ok());
    }
}
