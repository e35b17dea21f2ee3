//! Files whose content is looked at again from time to time: certificates and keys that an operator replaces.
//!
//! Contents are compared, not times of change: what is written again unchanged, or swapped by a symbolic link, is
//! judged by what it is.

use std::path::PathBuf;

use super::SharedDisk;

/// Some files, and what was in them when last looked at.
pub struct WatchedFiles {
    disk: SharedDisk,
    paths: Vec<PathBuf>,
    seen: Vec<Option<[u8; 32]>>,
}

impl WatchedFiles {
    /// Looks at the files for the first time.
    #[must_use]
    pub fn new(disk: SharedDisk, paths: Vec<PathBuf>) -> WatchedFiles {
        let mut files = WatchedFiles { disk, paths, seen: Vec::new() };
        files.seen = files.look();
        files
    }

    /// Whether any of them differs from when it was last looked at. One that cannot be read differs from one that can.
    pub fn have_changed(&mut self) -> bool {
        let now = self.look();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }

    fn look(&self) -> Vec<Option<[u8; 32]>> {
        self.paths
            .iter()
            .map(|path| {
                let bytes = self.disk.read(path).ok()?;
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
                digest.as_ref().try_into().ok()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;

    #[test]
    fn a_change_is_told_once_and_a_rewrite_is_none() {
        let env = Env::real();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let write = |text: &str| env.disk.write_atomically(&path, text.as_bytes()).unwrap();
        write("a");
        let mut files = WatchedFiles::new(env.disk.clone(), vec![path.clone()]);
        write("a");
        assert!(!files.have_changed());
        write("b");
        assert!(files.have_changed());
        assert!(!files.have_changed());
        env.disk.remove_file(&path).unwrap();
        assert!(files.have_changed());
    }
}
