//! The broker epoch that each log directory remembers: what an unclean start can prove about its last life.
//!
//! One file `broker-epoch` a directory: `{"version":0,"brokerEpoch":N}`.

use std::io;
use std::path::{Path, PathBuf};

use crate::env::Disk;
use crate::types::BrokerEpoch;

/// The file's name; `LogDirs` leaves it alone.
pub(super) const BROKER_EPOCH: &str = "broker-epoch";

#[derive(serde::Serialize, serde::Deserialize)]
struct Content {
    version: u32,
    #[serde(rename = "brokerEpoch")]
    broker_epoch: i64,
}

/// The epoch that all directories remember; `None` when one is new, when they disagree (one was restored), or when the
/// device of one fails.
///
/// # Errors
/// A file that is not what this broker writes.
pub(super) fn remembered(disk: &dyn Disk, dirs: &[PathBuf]) -> io::Result<Option<BrokerEpoch>> {
    let mut epoch: Option<Option<BrokerEpoch>> = None;
    for dir in dirs {
        let path = dir.join(BROKER_EPOCH);
        let here = match disk.read(&path) {
            Ok(bytes) => Some(parse(&path, &bytes)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => {
                tracing::error!(path = %path.display(), "without it there is no proof of how the broker stopped: {e}");
                return Ok(None);
            }
        };
        match epoch {
            None => epoch = Some(here),
            Some(other) if other == here => {}
            Some(_) => return Ok(None),
        }
    }
    Ok(epoch.flatten())
}

/// Writes the epoch of this life into every directory, durably. One where that fails keeps an older one: the directories
/// disagree then, and prove nothing.
///
/// # Errors
/// What the last disk says, if it fails in all of them.
pub(super) fn remember(disk: &dyn Disk, dirs: &[PathBuf], epoch: BrokerEpoch) -> io::Result<()> {
    let bytes = serde_json::to_vec(&Content { version: 0, broker_epoch: epoch.0 })?;
    let mut outcome = Ok(());
    let mut written = false;
    for dir in dirs {
        let path = dir.join(BROKER_EPOCH);
        match disk.write_atomically(&path, &bytes) {
            Ok(()) => written = true,
            Err(e) => {
                tracing::error!(path = %path.display(), "cannot write the broker epoch: {e}");
                outcome = Err(e);
            }
        }
    }
    if written { Ok(()) } else { outcome }
}

fn parse(path: &Path, bytes: &[u8]) -> io::Result<BrokerEpoch> {
    let wrong = |what: String| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is not a broker epoch: {what}", path.display()),
        )
    };
    let content: Content = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    if content.version != 0 {
        return Err(wrong(format!("version {} is newer than this broker", content.version)));
    }
    Ok(BrokerEpoch(content.broker_epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::RealDisk;

    #[test]
    fn an_epoch_is_remembered_and_a_restored_directory_is_noticed() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dirs = [a.path().to_owned(), b.path().to_owned()];
        assert_eq!(remembered(&RealDisk, &dirs).unwrap(), None);
        remember(&RealDisk, &dirs, BrokerEpoch(7)).unwrap();
        assert_eq!(remembered(&RealDisk, &dirs).unwrap(), Some(BrokerEpoch(7)));
        remember(&RealDisk, &dirs[..1], BrokerEpoch(8)).unwrap();
        assert_eq!(remembered(&RealDisk, &dirs).unwrap(), None);
    }

    #[test]
    fn the_file_has_these_bytes_and_a_broken_one_is_named() {
        let a = tempfile::tempdir().unwrap();
        let dirs = [a.path().to_owned()];
        remember(&RealDisk, &dirs, BrokerEpoch(7)).unwrap();
        let path = a.path().join(BROKER_EPOCH);
        assert_eq!(RealDisk.read(&path).unwrap(), br#"{"version":0,"brokerEpoch":7}"#);
        RealDisk.write_atomically(&path, b"{").unwrap();
        let error = remembered(&RealDisk, &dirs).unwrap_err().to_string();
        assert!(error.contains("broker-epoch"), "{error}");
    }
}
