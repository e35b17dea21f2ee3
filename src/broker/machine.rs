//! What proves that the machine never stopped while the broker was away: the boot id
//! of the kernel and the mount that holds each log directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::env::{Disk, OpenMode};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const MOUNTS: &str = "/proc/self/mountinfo";

/// Boot id and mounts as one text: equal texts mean that what the page cache held is still there.
///
/// # Errors
/// When the kernel does not tell, or a folder lies on no mount.
pub(super) fn machine_proof(disk: &dyn Disk, dirs: &[PathBuf]) -> io::Result<String> {
    let boot_id = read_kernel_file(disk, Path::new(BOOT_ID))?;
    let mounts = read_kernel_file(disk, Path::new(MOUNTS))?;
    let mut proof = boot_id.trim().to_owned();
    for dir in dirs {
        let dir = std::path::absolute(dir)?;
        let mount = mount_of(&mounts, &dir).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no mount holds {}", dir.display()))
        })?;
        proof.push('/');
        proof.push_str(mount);
    }
    Ok(proof)
}

/// The mount id and device of the longest mount point that is a parent of `dir` (proc_pid_mountinfo(5)).
fn mount_of<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    mounts
        .lines()
        .filter_map(|line| {
            let point = line.split(' ').nth(4)?;
            dir.starts_with(point).then_some((point.len(), line))
        })
        .max_by_key(|(length, _)| *length)
        .and_then(|(_, line)| {
            // `id parent major:minor …`: the first three words, as one slice.
            let end = line.match_indices(' ').nth(2)?.0;
            line.get(..end)
        })
}

/// Files under `/proc` say length 0, so they are read until they end.
pub(super) fn read_kernel_file(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match file.read_at(&mut chunk, bytes.len() as u64)? {
            0 => break,
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
    String::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::RealDisk;

    #[test]
    fn the_same_machine_gives_the_same_proof_and_another_mount_another() {
        let dir = tempfile::tempdir().unwrap();
        let here = machine_proof(&RealDisk, &[dir.path().to_owned()]).unwrap();
        assert_eq!(here, machine_proof(&RealDisk, &[dir.path().to_owned()]).unwrap());
        let proc = machine_proof(&RealDisk, &[PathBuf::from("/proc")]).unwrap();
        assert_ne!(here, proc);
    }

    #[test]
    fn the_longest_mount_point_wins() {
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n22 1 8:2 / /data rw - xfs b rw\n";
        assert_eq!(mount_of(mounts, Path::new("/data/x")), Some("22 1 8:2"));
        assert_eq!(mount_of(mounts, Path::new("/database")), Some("1 0 8:1"));
    }
}
