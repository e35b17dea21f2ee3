//! What proves that the machine never stopped while the broker was away: the boot id
//! of the kernel and the mount that holds each log directory.
//!
//! The kernel gives the number of a mount that is gone to the next one, so a volume that was torn off and mounted again looks the
//! same by it. From Linux 6.8 on a mount also has an id of its own, which is part of the proof; before, such a volume is
//! found only where another mount came in between, or the machine booted.

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
        // A directory that does not answer is offline soon; the proof is another one then, which is right.
        let id = disk.mount_id(&dir).unwrap_or(None);
        let place = place(&mounts, &dir, id).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no mount holds {}", dir.display()))
        })?;
        proof.push('/');
        proof.push_str(&place);
    }
    Ok(proof)
}

/// What names the mount of a directory, with its own id where there is one.
fn place(mounts: &str, dir: &Path, id: Option<u64>) -> Option<String> {
    let mount = mount_of(mounts, dir)?;
    Some(id.map_or_else(|| mount.to_owned(), |id| format!("{mount} {id:x}")))
}

/// The mount number and device of the longest mount point that is a parent of `dir` (proc_pid_mountinfo(5)).
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

    /// A volume that was torn off and mounted again: mount number and device are those of before.
    #[test]
    fn a_mount_that_has_got_the_number_of_one_that_is_gone_is_another_place() {
        let place = |id| place("44 27 7:0 / / rw - ext4 a rw\n", Path::new("/data"), id);
        assert_eq!(place(Some(0x17)).unwrap(), "44 27 7:0 17");
        assert_ne!(place(Some(7)), place(Some(8)));
        assert_eq!(place(None).unwrap(), "44 27 7:0", "a kernel that has no such ids");
    }

    #[test]
    fn the_longest_mount_point_wins() {
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n22 1 8:2 / /data rw - xfs b rw\n";
        assert_eq!(mount_of(mounts, Path::new("/data/x")), Some("22 1 8:2"));
        assert_eq!(mount_of(mounts, Path::new("/database")), Some("1 0 8:1"));
    }
}
