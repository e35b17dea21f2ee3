//! Names of a log's files, and handles that are opened when first needed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::env::{DiskFile, OpenMode, SharedDisk};
use crate::types::Offset;

/// Record batches.
pub(super) const LOG: &str = "log";
/// Sparse offset index.
pub(super) const INDEX: &str = "index";
/// Sparse time index.
pub(super) const TIME_INDEX: &str = "timeindex";
/// Aborted transactions.
pub(super) const TXN_INDEX: &str = "txnindex";
/// Checksum of the aborted transactions: Kafka's format has none.
pub(super) const TXN_CHECKSUM: &str = "txnchecksum";
/// Producer state.
pub(super) const SNAPSHOT: &str = "snapshot";
/// The files of a segment, the `.log` first.
pub(super) const OF_A_SEGMENT: [&str; 5] = [LOG, INDEX, TIME_INDEX, TXN_INDEX, TXN_CHECKSUM];
/// Added to the names of a compacted copy.
pub(super) const CLEANED: &str = "cleaned";
/// Added to the names of a compacted copy that is being swapped in.
pub(super) const SWAP: &str = "swap";
/// Added to a file's name before it is deleted.
pub(super) const DELETED: &str = "deleted";

/// `<base offset in 20 digits>.<extension>`.
pub(super) fn segment_path(dir: &Path, base: Offset, extension: &str) -> PathBuf {
    dir.join(format!("{:020}.{extension}", base.0))
}

/// Reads a name made by `segment_path`.
pub(super) fn parse_segment_name(name: &str) -> Option<(Offset, &str)> {
    let (digits, extension) = name.split_at_checked(20)?;
    let extension = extension.strip_prefix('.')?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((Offset(digits.parse().ok()?), extension))
}

/// The folder that holds `path`, also for a path of one name.
pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that is opened when it is first used: most closed segments are never read again.
#[derive(Debug)]
pub(super) struct LazyFile {
    disk: SharedDisk,
    path: Arc<Path>,
    handle: OnceLock<Arc<dyn DiskFile>>,
}

impl LazyFile {
    pub(super) fn new(disk: &SharedDisk, path: PathBuf) -> LazyFile {
        LazyFile { disk: disk.clone(), path: path.into(), handle: OnceLock::new() }
    }

    /// Created, or emptied if it is there.
    pub(super) fn create(disk: &SharedDisk, path: PathBuf) -> io::Result<LazyFile> {
        let file = LazyFile::new(disk, path);
        file.get()?.set_len(0)?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn shared_path(&self) -> Arc<Path> {
        self.path.clone()
    }

    pub(super) fn get(&self) -> io::Result<&Arc<dyn DiskFile>> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let handle = self.disk.open(&self.path, OpenMode::ReadWrite)?;
        Ok(self.handle.get_or_init(|| handle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_name_has_twenty_digits() {
        let path = segment_path(Path::new("/d"), Offset(42), LOG);
        assert_eq!(path, Path::new("/d/00000000000000000042.log"));
        assert_eq!(parse_segment_name("00000000000000000042.log"), Some((Offset(42), "log")));
        for bad in
            ["42.log", "0000000000000000004x.log", "99999999999999999999.log", "", "00000000000000000042log"]
        {
            assert_eq!(parse_segment_name(bad), None, "{bad}");
        }
    }
}
