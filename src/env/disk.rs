//! Files and folders. Positions are bytes; every call is synchronous and may block.

use std::cell::RefCell;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::ReadWriteFlags;

/// A mount's id that is never given to another one (Linux 6.8, statx(2)).
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Must exist; reads only.
    Read,
    /// Created if absent; reads and writes.
    ReadWrite,
    /// Must exist; reads and writes.
    ReadWriteExisting,
    /// Must be absent; reads and writes.
    CreateNew,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskEntry {
    /// The last component of the path.
    pub name: String,
    /// The whole path.
    pub path: PathBuf,
    /// A folder, not a file.
    pub is_dir: bool,
    /// The file's length in bytes; 0 for a folder.
    pub len: u64,
}

/// An open file. Reads may run while one writer appends.
#[expect(
    clippy::len_without_is_empty,
    reason = "the length is asked of the system; nobody asks only for emptiness"
)]
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Reads up to `buffer.len()` bytes at `position`; 0 at or past the end. Short reads only at the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Fills the buffer if all of it is in memory: no call waits for the device. `false` when not all is, or when that is not
    /// known; the buffer then has any bytes.
    fn read_cached_at(&self, _buffer: &mut [u8], _position: u64) -> bool {
        false
    }
    /// Writes all buffers, one after the other, from `position` on. On an error any prefix may have been written.
    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Writes all bytes from `position` on.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_vectored_at(&[IoSlice::new(bytes)], position)
    }
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends with zeroes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes content and length durable. After an error nothing unflushed may be trusted: never retry it as success.
    fn sync(&self) -> io::Result<()>;
    /// The descriptor, where the kernel itself may read the file (sendfile); a simulated file has none.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Reads exactly `buffer.len()` bytes.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let n = self.read_at(buffer, position)?;
        if n == buffer.len() {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("wanted {} bytes at {position}, the file gave {n}", buffer.len()),
            ))
        }
    }
}

/// A stretch of a file that somebody else sends or reads: a slice that costs no memory.
#[derive(Clone, Debug)]
pub struct FileSpan {
    /// The file; it stays readable when its name is gone.
    pub file: Arc<dyn DiskFile>,
    /// The first byte.
    pub position: u64,
    /// How many bytes.
    pub len: usize,
}

impl FileSpan {
    /// Reads it into memory.
    ///
    /// # Errors
    /// What the disk says; `UnexpectedEof` when the file has become shorter.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.len];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes.into())
    }
}

/// The same stretch of the same open file.
impl PartialEq for FileSpan {
    fn eq(&self, other: &FileSpan) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && (self.position, self.len) == (other.position, other.len)
    }
}

impl Eq for FileSpan {}

/// A disk that many share.
pub type SharedDisk = Arc<dyn Disk>;

/// The seam to the file system.
pub trait Disk: Send + Sync + std::fmt::Debug + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a folder and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DiskEntry>>;
    /// Whether a file or folder is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Renames a file or folder; replaces a file that is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes free on the file system that holds `path`.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Whether two paths lie on one file system; false where that is not known.
    fn is_same_file_system(&self, _one: &Path, _other: &Path) -> io::Result<bool> {
        Ok(false)
    }

    /// What names the mount that holds `path`, and no other one as long as the machine runs; `None` where the system has no
    /// such name.
    fn mount_id(&self, _path: &Path) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// The whole content of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Creates or replaces a file that is not read again soon: where the file system can, past the page cache, whose pages
    /// others need more and whose writing back would hold their writes up. Not synced.
    fn write_past_cache(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.open(path, OpenMode::ReadWrite)?;
        file.set_len(0)?;
        file.write_all_at(bytes, 0)
    }

    /// Writes a new small file that only its owner may read, and syncs it and its folder. `AlreadyExists` when it is there.
    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Replaces a small file as one step that survives a crash: write beside it, sync, rename, sync the folder.
    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = path.with_extension("tmp");
        let file = self.open(&beside, OpenMode::ReadWrite)?;
        file.set_len(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        drop(file);
        self.rename(&beside, path)?;
        match path.parent() {
            Some(folder) => self.sync_dir(folder),
            None => Ok(()),
        }
    }
}

/// The machine's file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(fs::File);

/// Direct writes begin, end and lie in memory at multiples of this, which fits every device.
const BLOCK: usize = 4096;
/// One direct write.
const DIRECT_BYTES: usize = 128 * BLOCK;

thread_local! {
    /// What direct writes go through: a thread that makes them makes many, and fresh memory costs more than the copy.
    static DIRECT_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes whole blocks, the last one filled up with zeroes, by way of an aligned buffer, and cuts the file to its length.
fn write_direct(file: &fs::File, bytes: &[u8]) -> io::Result<()> {
    DIRECT_BUFFER.with_borrow_mut(|buffer| write_direct_by(buffer, file, bytes))
}

fn write_direct_by(buffer: &mut Vec<u8>, file: &fs::File, bytes: &[u8]) -> io::Result<()> {
    buffer.resize(DIRECT_BYTES + BLOCK, 0);
    let start = buffer.as_ptr().align_offset(BLOCK);
    let aligned = &mut buffer[start..start + DIRECT_BYTES];
    for (piece, position) in bytes.chunks(DIRECT_BYTES).zip((0_u64..).step_by(DIRECT_BYTES)) {
        let whole = piece.len().next_multiple_of(BLOCK);
        aligned[..piece.len()].copy_from_slice(piece);
        aligned[piece.len()..whole].fill(0);
        file.write_all_at(&aligned[..whole], position)?;
    }
    file.set_len(bytes.len() as u64)
}

#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
impl Disk for RealDisk {
    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let file = RealFile(file);
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        match path.parent() {
            Some(folder) => self.sync_dir(folder),
            None => Ok(()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write_past_cache(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap_or(0);
        let written = options.clone().custom_flags(direct).open(path).and_then(|f| write_direct(&f, bytes));
        match written {
            // A file system that knows no direct writes (a tmpfs, for one) says so at one of the two calls.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
            {
                options.open(path)?.write_all_at(bytes, 0)
            }
            written => written,
        }
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true).create(true).truncate(false);
            }
            OpenMode::ReadWriteExisting => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // Removed between the listing and the look.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            entries.push(DiskEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                path: entry.path(),
                is_dir: meta.is_dir(),
                len: if meta.is_dir() { 0 } else { meta.len() },
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    fn is_same_file_system(&self, one: &Path, other: &Path) -> io::Result<bool> {
        Ok(rustix::fs::stat(one)?.st_dev == rustix::fs::stat(other)?.st_dev)
    }

    fn mount_id(&self, path: &Path) -> io::Result<Option<u64>> {
        let asked = StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
        match rustix::fs::statx(rustix::fs::CWD, path, AtFlags::empty(), asked) {
            Ok(told) => Ok((told.stx_mask & STATX_MNT_ID_UNIQUE != 0).then_some(told.stx_mnt_id)),
            Err(rustix::io::Errno::NOSYS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], position + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> bool {
        let mut done = 0;
        while done < buffer.len() {
            let into = &mut [IoSliceMut::new(&mut buffer[done..])];
            match rustix::io::preadv2(&self.0, into, position + done as u64, ReadWriteFlags::NOWAIT) {
                Ok(0) => return false,
                Ok(n) => done += n,
                Err(rustix::io::Errno::INTR) => {}
                // The next byte is not in memory, or the file system cannot tell; a failure is met again where it is told.
                Err(_) => return false,
            }
        }
        true
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut position = position;
        let mut rest: Vec<IoSlice<'_>> =
            buffers.iter().filter(|b| !b.is_empty()).map(|b| IoSlice::new(b)).collect();
        let mut rest = rest.as_mut_slice();
        while !rest.is_empty() {
            let batch = &rest[..rest.len().min(1024)];
            match rustix::io::pwritev(&self.0, batch, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    position += n as u64;
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_folders_of_one_disk_are_on_one_file_system_and_the_systems_own_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        RealDisk.create_dir_all(&below).unwrap();
        assert!(RealDisk.is_same_file_system(dir.path(), &below).unwrap());
        assert!(!RealDisk.is_same_file_system(dir.path(), Path::new("/proc")).unwrap());
        assert!(RealDisk.is_same_file_system(dir.path(), &below.join("none")).is_err());
        let mount = RealDisk.mount_id(dir.path()).unwrap();
        assert_eq!(mount, RealDisk.mount_id(&below).unwrap());
        assert!(mount.is_none() || mount != RealDisk.mount_id(Path::new("/proc")).unwrap());
    }

    #[test]
    fn a_file_that_is_written_past_the_cache_has_the_bytes_and_the_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for len in
            [3 * DIRECT_BYTES + 5000, 0, 1, BLOCK - 1, BLOCK, BLOCK + 1, DIRECT_BYTES, DIRECT_BYTES + 1]
        {
            let bytes: Vec<u8> = (0..len).map(|i| (i / 7) as u8).collect();
            RealDisk.write_past_cache(&path, &bytes).unwrap();
            assert!(RealDisk.read(&path).unwrap() == bytes, "{len} bytes");
        }
    }
}
