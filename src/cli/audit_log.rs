//! The file of the audit log: events of one `tracing` target, a line each, in a file of their own.
//!
//! Lines are written by a thread of their own, in their order. At [`MAX_BYTES`] the file becomes `<name>.1`, and the one
//! before it goes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use crate::env::{BlockingPool, DiskFile, Env, OpenMode, SharedDisk};

/// The size at which the file is put aside.
const MAX_BYTES: u64 = 64 << 20;

/// Takes the lines; cheap to clone.
#[derive(Clone)]
pub(super) struct AuditLog {
    file: Arc<Mutex<LogFile>>,
    thread: BlockingPool,
}

struct LogFile {
    disk: SharedDisk,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    end: u64,
}

impl AuditLog {
    /// Goes on with the file, or begins it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(env: &Env, path: &Path) -> io::Result<AuditLog> {
        let file = open_private(&env.disk, path)?;
        let end = file.len()?;
        let file = LogFile { disk: env.disk.clone(), path: path.to_path_buf(), file, end };
        Ok(AuditLog { file: Arc::new(Mutex::new(file)), thread: env.threads.pool("audit", 1) })
    }
}

/// A new file is its owner's alone: the lines say who does what.
fn open_private(disk: &SharedDisk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    if !disk.exists(path)? {
        disk.write_secret(path, &[])?;
    }
    disk.open(path, OpenMode::ReadWrite)
}

impl LogFile {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.end >= MAX_BYTES {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".1");
            self.disk.rename(&self.path, Path::new(&aside))?;
            self.file = open_private(&self.disk, &self.path)?;
            self.end = 0;
        }
        self.file.write_all_at(line, self.end)?;
        self.end += line.len() as u64;
        Ok(())
    }
}

/// One line on its way.
pub(super) struct Line {
    log: AuditLog,
    bytes: Vec<u8>,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (file, bytes) = (self.log.file.clone(), std::mem::take(&mut self.bytes));
        self.log.thread.spawn(move || {
            if let Err(error) = file.lock().append(&bytes) {
                tracing::error!(%error, "the audit log cannot be written");
            }
        });
    }
}

impl<'a> MakeWriter<'a> for AuditLog {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { log: self.clone(), bytes: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::security::audit::TARGET;

    #[tokio::test]
    async fn events_of_the_target_stand_in_the_file_and_no_others() {
        let env = Env::real();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        for round in 0..2 {
            let log = AuditLog::open(&env, &path).unwrap();
            let layer = tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(log.clone())
                .with_filter(filter_fn(|metadata| metadata.target() == TARGET));
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(target: TARGET, round, "denied");
                tracing::info!("something else");
            });
            log.thread.run(|| ()).await.unwrap();
        }
        let text = String::from_utf8(env.disk.read(&path).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1].contains("denied") && lines[1].contains("round=1"), "{text}");
    }
}
