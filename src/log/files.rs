//! Names of a log's files.

use std::path::{Path, PathBuf};

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
