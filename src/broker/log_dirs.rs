//! What lies in this broker's log directories (KIP-113).

use std::path::PathBuf;

use super::Broker;
use crate::types::TopicPartition;

/// One log directory.
#[derive(Clone, Debug)]
pub struct LogDir {
    /// Its path, absolute where the system tells.
    pub path: PathBuf,
    /// Its replicas, sorted; none of an offline directory.
    pub replicas: Vec<LogDirReplica>,
    /// Its device has failed, or it could not be opened (KIP-112).
    pub is_offline: bool,
}

/// One replica in a log directory.
#[derive(Clone, Debug)]
pub struct LogDirReplica {
    /// The partition.
    pub partition: TopicPartition,
    /// Bytes of its local segments.
    pub size_bytes: u64,
    /// By how much its log lags behind the high watermark that it knows.
    pub lag: i64,
}

impl Broker {
    /// This broker's log directories with the replicas that are wanted, as their logs were when they were last let go: a disk that
    /// hangs keeps nobody waiting.
    #[must_use]
    pub fn log_dirs(&self, wanted: impl Fn(&TopicPartition) -> bool) -> Vec<LogDir> {
        let (replicas, directories) = (self.replicas.replicas(), self.replicas.directories());
        let offline = self.replicas.offline_directories();
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let mut dirs: Vec<_> = directories
            .into_iter()
            .filter(|(_, path)| !offline.contains(path))
            .map(|(id, path)| (id, LogDir { path: absolute(path), replicas: Vec::new(), is_offline: false }))
            .collect();
        for replica in replicas.iter().filter(|replica| wanted(replica.partition())) {
            let Some((_, dir)) = dirs.iter_mut().find(|(id, _)| *id == replica.directory()) else {
                continue;
            };
            let positions = replica.positions();
            dir.replicas.push(LogDirReplica {
                partition: replica.partition().clone(),
                size_bytes: replica.log_summary().bytes,
                lag: (positions.high_watermark - positions.log_end).max(0),
            });
        }
        for (_, dir) in &mut dirs {
            dir.replicas.sort_by(|a, b| a.partition.cmp(&b.partition));
        }
        let offline = offline.into_iter().map(|path| LogDir {
            path: absolute(path),
            replicas: Vec::new(),
            is_offline: true,
        });
        dirs.into_iter().map(|(_, dir)| dir).chain(offline).collect()
    }
}
