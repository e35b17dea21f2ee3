//! The broker's log directories (`log.dirs`): who they belong to, which partitions lie in them, their checkpoints, and the
//! proof of a clean stop.
//!
//! A directory holds `meta.properties` (node, cluster and directory id), four checkpoint files, one folder per partition,
//! and, only while the broker is stopped cleanly, `.kafka_cleanshutdown` with the broker epoch that stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::checkpoint::{
    self, CLEANER_OFFSETS, HIGH_WATERMARKS, LOG_STARTS, PARTITION_METADATA, RECOVERY_POINTS,
};
use super::dir_health::{DirHealth, WatchedDisk};
use super::error::LogError;
use super::files::parent_of;
use super::{LivePositions, Log, LogConfig, OpenLog, RecoveryReport};
use crate::env::{Rng, SharedDisk};
use crate::types::{BrokerEpoch, BrokerId, DirectoryId, Offset, TopicId, TopicName, TopicPartition};

const META_PROPERTIES: &str = "meta.properties";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const DELETE_SUFFIX: &str = "-delete";

/// Positions of a partition as the checkpoint files keep them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointPositions {
    /// Everything below is fsynced.
    pub recovery_point: Offset,
    /// The high watermark.
    pub high_watermark: Offset,
    /// The log start.
    pub log_start: Offset,
    /// Compaction has looked at everything below.
    pub cleaned: Offset,
}

/// A partition folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPartition {
    /// The directory that holds it.
    pub directory: DirectoryId,
    /// The partition.
    pub partition: TopicPartition,
    /// From `partition.metadata`.
    pub topic_id: TopicId,
}

/// The broker's log directories. To be shared; locks inside.
#[derive(Debug)]
pub struct LogDirs {
    node_id: BrokerId,
    cluster_id: Mutex<Option<String>>,
    directories: Vec<Directory>,
    unusable: Vec<UnusableDirectory>,
}

/// A directory that could not be opened at the start (KIP-112). Nothing is tried there in this life of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableDirectory {
    /// As `log.dirs` names it.
    pub path: PathBuf,
    /// What was tried there, and the system's answer.
    pub reason: String,
}

#[derive(Debug)]
struct Directory {
    id: DirectoryId,
    path: PathBuf,
    /// Tries nothing any more once the device has failed.
    disk: SharedDisk,
    health: DirHealth,
    /// The broker epoch that stopped cleanly.
    clean: Option<BrokerEpoch>,
    partitions: Mutex<BTreeMap<TopicPartition, TopicId>>,
    /// The logs that were opened since the start; `None` where that failed.
    opened: Mutex<BTreeMap<TopicPartition, Option<Arc<LivePositions>>>>,
    checkpoints: Arc<DirectoryCheckpoints>,
}

impl LogDirs {
    /// Opens each directory, or formats an empty one. The marks of a clean stop are read and removed. Names in `others`
    /// (folders and files) belong to other rooms and are left alone. A directory whose device fails is left out, and the
    /// others go on without it.
    ///
    /// # Errors
    /// `Layout` names the file that is foreign, missing, unreadable, or of another node or cluster; `NoDirectory` if none
    /// can be used.
    pub fn open(
        disk: SharedDisk,
        rng: &dyn Rng,
        paths: &[PathBuf],
        node_id: BrokerId,
        others: &[&str],
    ) -> Result<LogDirs, LogError> {
        let mut directories: Vec<Directory> = Vec::new();
        let mut unusable = Vec::new();
        let mut cluster_id: Option<String> = None;
        for path in paths {
            let (directory, cluster) = match open_directory(&disk, rng, path, node_id, others) {
                Ok(opened) => opened,
                Err(e @ LogError::Io { .. }) => {
                    tracing::error!(dir = %path.display(), "a log directory cannot be used and is offline: {e}");
                    unusable.push(UnusableDirectory { path: path.clone(), reason: e.to_string() });
                    continue;
                }
                Err(e) => return Err(e),
            };
            let meta = path.join(META_PROPERTIES);
            if let (Some(known), Some(cluster)) = (&cluster_id, &cluster)
                && known != cluster
            {
                return layout(&meta, format!("is of cluster {cluster}, another directory is of {known}"));
            }
            cluster_id = cluster_id.or(cluster);
            if let Some(twin) = directories.iter().find(|other| other.id == directory.id) {
                return layout(&meta, format!("has the directory id of {}", twin.path.display()));
            }
            for partition in directory.partitions.lock().keys() {
                if let Some(twin) =
                    directories.iter().find(|other| other.partitions.lock().contains_key(partition))
                {
                    let folder = path.join(partition.to_string());
                    return layout(&folder, format!("is in {} too", twin.path.display()));
                }
            }
            directories.push(directory);
        }
        let dirs = LogDirs { node_id, cluster_id: Mutex::new(cluster_id), directories, unusable };
        dirs.no_longer_usable().map_or(Ok(dirs), Err)
    }

    /// One that was not even tried, and is as one that could not be opened.
    pub fn leave_out(&mut self, path: PathBuf, reason: String) {
        tracing::error!(dir = %path.display(), "a log directory cannot be used and is offline: {reason}");
        self.unusable.push(UnusableDirectory { path, reason });
    }

    /// Why this broker has no log directory any more that works; `None` as long as it has one.
    #[must_use]
    pub fn no_longer_usable(&self) -> Option<LogError> {
        let mut reasons: Vec<&str> = self.unusable.iter().map(|dir| dir.reason.as_str()).collect();
        for directory in &self.directories {
            reasons.push(directory.health.failure()?);
        }
        Some(LogError::NoDirectory { reasons: reasons.join("; ") })
    }

    /// The directories that could not be opened at the start.
    #[must_use]
    pub fn unusable(&self) -> &[UnusableDirectory] {
        &self.unusable
    }

    /// Whether a replica may lie in a directory that could not be opened, so that it must not be created anew elsewhere.
    /// `recorded` is the directory that the cluster knows it to be in.
    #[must_use]
    pub fn may_be_out_of_reach(&self, partition: &TopicPartition, recorded: Option<DirectoryId>) -> bool {
        let is_here = |directory: &Directory| {
            recorded == Some(directory.id) || directory.partitions.lock().contains_key(partition)
        };
        !self.unusable.is_empty() && !self.directories.iter().any(is_here)
    }

    /// Ids and paths of those that were opened, in the order of `log.dirs`.
    #[must_use]
    pub fn directories(&self) -> Vec<(DirectoryId, PathBuf)> {
        self.directories.iter().map(|directory| (directory.id, directory.path.clone())).collect()
    }

    /// The cluster that these directories belong to, once known.
    #[must_use]
    pub fn cluster_id(&self) -> Option<String> {
        self.cluster_id.lock().clone()
    }

    /// Writes the cluster id into the directories. One whose device fails meanwhile is left out.
    ///
    /// # Errors
    /// `Layout` if they belong to another cluster, or `Io`.
    pub fn bind_to_cluster(&self, cluster_id: &str) -> Result<(), LogError> {
        let mut known = self.cluster_id.lock();
        if let Some(known) = known.as_deref()
            && known != cluster_id
            && let Some(first) = self.directories.first()
        {
            let meta = first.path.join(META_PROPERTIES);
            return layout(&meta, format!("is of cluster {known}, not of {cluster_id}"));
        }
        for directory in &self.directories {
            let written =
                write_meta(&directory.disk, &directory.path, directory.id, self.node_id, Some(cluster_id));
            if directory.health.failure().is_none() {
                written?;
            }
        }
        *known = Some(cluster_id.to_owned());
        Ok(())
    }

    /// The broker epoch that stopped cleanly, if every directory says so and says the same.
    #[must_use]
    pub fn clean_shutdown_epoch(&self) -> Option<BrokerEpoch> {
        let first = self.directories.first()?.clean?;
        self.directories.iter().all(|directory| directory.clean == Some(first)).then_some(first)
    }

    /// The directories whose device has failed since the start, and why.
    #[must_use]
    pub fn failed(&self) -> Vec<(DirectoryId, String)> {
        let failure = |directory: &Directory| Some((directory.id, directory.health.failure()?.to_owned()));
        self.directories.iter().filter_map(failure).collect()
    }

    /// All partition folders.
    #[must_use]
    pub fn partitions(&self) -> Vec<StoredPartition> {
        let mut stored = Vec::new();
        for directory in &self.directories {
            for (partition, topic_id) in directory.partitions.lock().iter() {
                stored.push(StoredPartition {
                    directory: directory.id,
                    partition: partition.clone(),
                    topic_id: *topic_id,
                });
            }
        }
        stored
    }

    /// Opens a partition's log where it lies, or creates it in the directory with the fewest partitions. Also the
    /// positions that were stored for it (zeroes for a new one).
    ///
    /// # Errors
    /// As `Log::open`; `Layout` if the folder is of another topic id, or if there is no directory.
    pub fn open_log(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<(Log, RecoveryReport, DirectoryId, CheckpointPositions), LogError> {
        self.open_log_in(None, partition, topic_id, config, now_ms)
    }

    /// The same; a new log is created in the directory that the caller has chosen, if that works.
    ///
    /// # Errors
    /// As `open_log`.
    pub fn open_log_in(
        &self,
        chosen: Option<DirectoryId>,
        partition: &TopicPartition,
        topic_id: TopicId,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<(Log, RecoveryReport, DirectoryId, CheckpointPositions), LogError> {
        let directory = self.place(partition, topic_id, chosen)?;
        let stored = directory.checkpoints.stored(partition);
        // In this life, or in one that was killed: where an acknowledgement waits for an fsync, it must not be one that
        // finds nothing to do. There that is little to write.
        let write_again = config.fsync_before_ack() || directory.opened.lock().contains_key(partition);
        let open = OpenLog {
            disk: directory.disk.clone(),
            dir: directory.path.join(partition.to_string()),
            partition: partition.clone(),
            topic_id,
            config,
            // A log that has been open since the start is no longer as the clean stop left it.
            clean: directory.is_clean(partition),
            write_again,
            recovery_point: stored.recovery_point,
            high_watermark: stored.high_watermark,
            log_start: stored.log_start,
            cleaned: stored.cleaned,
            now_ms,
        };
        directory.opened.lock().insert(partition.clone(), None);
        let (log, report) = Log::open_in(open, directory.checkpoints.clone())?;
        directory.checkpoints.follow(partition, &log.positions);
        directory.opened.lock().insert(partition.clone(), Some(log.positions.clone()));
        Ok((log, report, directory.id, stored))
    }

    /// The directory that has a folder of this partition, or of one of another topic that had its name.
    #[must_use]
    pub fn directory_of(&self, partition: &TopicPartition) -> Option<DirectoryId> {
        let has = |directory: &&Directory| directory.partitions.lock().contains_key(partition);
        self.directories.iter().find(has).map(|directory| directory.id)
    }

    /// The directories that work, and how many partitions each holds.
    #[must_use]
    pub fn loads(&self) -> Vec<(DirectoryId, usize)> {
        let works = |directory: &&Directory| directory.health.failure().is_none();
        let load = |directory: &Directory| (directory.id, directory.partitions.lock().len());
        self.directories.iter().filter(works).map(load).collect()
    }

    fn place(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        chosen: Option<DirectoryId>,
    ) -> Result<&Directory, LogError> {
        let mut least: Option<(usize, &Directory)> = None;
        for directory in &self.directories {
            let partitions = directory.partitions.lock();
            if let Some(stored) = partitions.get(partition) {
                if *stored == topic_id {
                    drop(partitions);
                    return directory.check().map(|()| directory);
                }
                let folder = directory.path.join(partition.to_string());
                return layout(&folder, format!("is of topic id {stored}, not {topic_id}: delete it first"));
            }
            let works = directory.health.failure().is_none();
            let count = if chosen == Some(directory.id) { 0 } else { partitions.len() + 1 };
            if works && least.is_none_or(|(least, _)| count < least) {
                least = Some((count, directory));
            }
        }
        let Some((_, directory)) = least else {
            return layout(Path::new("log.dirs"), "names no directory that works".to_owned());
        };
        directory.partitions.lock().insert(partition.clone(), topic_id);
        Ok(directory)
    }

    /// Deletes a partition's folder: renamed first, so that a crash leaves no half of it. Without a folder there is
    /// nothing to do. The `Log` must be dropped before.
    ///
    /// # Errors
    /// `Layout` if the folder is of another topic id, or `Io`.
    pub fn delete(&self, partition: &TopicPartition, topic_id: TopicId) -> Result<(), LogError> {
        for directory in &self.directories {
            let Some(stored) = directory.partitions.lock().get(partition).copied() else {
                continue;
            };
            let folder = directory.path.join(partition.to_string());
            if stored != topic_id {
                return layout(&folder, format!("is of topic id {stored}, not {topic_id}"));
            }
            let disk = &directory.disk;
            let name = format!("{}.{}{DELETE_SUFFIX}", partition.partition, topic_id.0.simple());
            let renamed = directory.path.join(name);
            if disk.exists(&renamed).map_err(LogError::io("look for", &renamed))? {
                disk.remove_dir_all(&renamed).map_err(LogError::io("remove", &renamed))?;
            }
            if disk.exists(&folder).map_err(LogError::io("look for", &folder))? {
                disk.rename(&folder, &renamed).map_err(LogError::io("rename", &folder))?;
                disk.sync_dir(&directory.path).map_err(LogError::io("fsync", &directory.path))?;
            }
            directory.partitions.lock().remove(partition);
            directory.opened.lock().remove(partition);
            directory.checkpoints.forget(partition)?;
            if disk.exists(&renamed).map_err(LogError::io("look for", &renamed))? {
                disk.remove_dir_all(&renamed).map_err(LogError::io("remove", &renamed))?;
            }
        }
        Ok(())
    }

    /// Writes the checkpoint files of every directory that holds one of these partitions. Recovery points are taken from
    /// the open logs themselves; a high watermark is written no higher than the log's end.
    ///
    /// # Errors
    /// `Io`.
    pub fn write_checkpoints(
        &self,
        positions: &[(TopicPartition, CheckpointPositions)],
    ) -> Result<(), LogError> {
        let mut outcome = Ok(());
        for directory in self.directories.iter().filter(|directory| directory.health.failure().is_none()) {
            let held: Vec<&(TopicPartition, CheckpointPositions)> = {
                let partitions = directory.partitions.lock();
                positions.iter().filter(|(partition, _)| partitions.contains_key(partition)).collect()
            };
            if !held.is_empty() {
                // What one directory cannot do must not keep the others from it.
                outcome = directory.checkpoints.write(&held).and(outcome);
            }
        }
        outcome
    }

    /// The proof of a clean stop of this broker epoch in a directory; after its logs are closed and its checkpoints written. One that
    /// holds a log which was not closed cleanly, or never recovered since an unclean stop, gets none.
    ///
    /// # Errors
    /// `Io`.
    pub fn mark_clean(&self, directory: DirectoryId, epoch: BrokerEpoch) -> Result<(), LogError> {
        let Some(directory) = self.directories.iter().find(|one| one.id == directory) else { return Ok(()) };
        if let Some(partition) = directory.not_clean() {
            tracing::warn!(%partition, "it was not closed cleanly: no proof of a clean stop");
            return Ok(());
        }
        if let Some(failure) = directory.health.failure() {
            tracing::warn!(dir = %directory.path.display(), failure, "no proof of a clean stop there");
            return Ok(());
        }
        let text = serde_json::json!({ "version": 0, "brokerEpoch": epoch.0 }).to_string();
        let path = directory.path.join(CLEAN_SHUTDOWN);
        directory.disk.write_atomically(&path, text.as_bytes()).map_err(LogError::io("write", &path))
    }
}

impl Directory {
    fn check(&self) -> Result<(), LogError> {
        match self.health.failure() {
            None => Ok(()),
            Some(reason) => {
                Err(LogError::DirectoryOffline { dir: self.path.clone(), reason: reason.to_owned() })
            }
        }
    }

    /// Whether the log lies as a clean stop left it: the broker's, or its own since then.
    fn is_clean(&self, partition: &TopicPartition) -> bool {
        match self.opened.lock().get(partition) {
            None => self.clean.is_some(),
            Some(None) => false,
            Some(Some(live)) => live.closed.load(Ordering::Acquire),
        }
    }

    /// A partition whose log would have to be scanned.
    fn not_clean(&self) -> Option<TopicPartition> {
        self.partitions.lock().keys().find(|partition| !self.is_clean(partition)).cloned()
    }
}

fn layout<T>(path: &Path, detail: String) -> Result<T, LogError> {
    Err(LogError::Layout { path: path.to_owned(), detail })
}

fn open_directory(
    disk: &SharedDisk,
    rng: &dyn Rng,
    path: &Path,
    node_id: BrokerId,
    others: &[&str],
) -> Result<(Directory, Option<String>), LogError> {
    let health = DirHealth::default();
    let disk: &SharedDisk = &(Arc::new(WatchedDisk::new(disk.clone(), health.clone())) as SharedDisk);
    if !disk.exists(path).map_err(LogError::io("look for", path))? {
        disk.create_dir_all(path).map_err(LogError::io("create", path))?;
        let parent = parent_of(path);
        disk.sync_dir(parent).map_err(LogError::io("fsync", parent))?;
    }
    let partitions = list_partitions(disk, path, others)?;
    let meta = path.join(META_PROPERTIES);
    let (id, cluster_id) = if disk.exists(&meta).map_err(LogError::io("look for", &meta))? {
        read_meta(disk, &meta, node_id)?
    } else if partitions.is_empty() {
        // Checkpoints first: once `meta.properties` is there, a missing one is an error.
        for name in [RECOVERY_POINTS, HIGH_WATERMARKS, LOG_STARTS] {
            let file = path.join(name);
            let empty = checkpoint::encode_offsets(std::iter::empty());
            disk.write_atomically(&file, &empty).map_err(LogError::io("write", &file))?;
        }
        let id = DirectoryId(rng.uuid());
        write_meta(disk, path, id, node_id, None)?;
        (id, None)
    } else {
        return layout(&meta, "is missing in a directory that holds partitions".to_owned());
    };
    let clean = take_clean_shutdown(disk, path)?;
    let checkpoints = Arc::new(DirectoryCheckpoints::read(disk.clone(), path)?);
    let directory = Directory {
        id,
        path: path.to_owned(),
        disk: disk.clone(),
        health,
        clean,
        partitions: Mutex::new(partitions),
        opened: Mutex::default(),
        checkpoints,
    };
    Ok((directory, cluster_id))
}

/// Partition folders with their topic ids; what was being deleted or created at a crash goes.
fn list_partitions(
    disk: &SharedDisk,
    path: &Path,
    others: &[&str],
) -> Result<BTreeMap<TopicPartition, TopicId>, LogError> {
    let mut partitions = BTreeMap::new();
    for entry in disk.read_dir(path).map_err(LogError::io("list", path))? {
        let name = entry.name.as_str();
        let io = |action| LogError::io(action, &entry.path);
        if others.contains(&name) || name == "lost+found" {
            continue;
        }
        if !entry.is_dir {
            match name {
                META_PROPERTIES | CLEAN_SHUTDOWN | RECOVERY_POINTS | HIGH_WATERMARKS | LOG_STARTS
                | CLEANER_OFFSETS => continue,
                _ if name.ends_with(".tmp") => {
                    disk.remove_file(&entry.path).map_err(io("remove"))?;
                    continue;
                }
                _ => return layout(&entry.path, "is no file of a log directory; move it away".to_owned()),
            }
        }
        if name.ends_with(DELETE_SUFFIX) && name.contains('.') && parse_folder(name).is_none() {
            disk.remove_dir_all(&entry.path).map_err(io("remove"))?;
            continue;
        }
        let Some(partition) = parse_folder(name) else {
            return layout(
                &entry.path,
                "is no folder of a partition (<topic>-<number>); move it away".to_owned(),
            );
        };
        let metadata = entry.path.join(PARTITION_METADATA);
        if !disk.exists(&metadata).map_err(LogError::io("look for", &metadata))? {
            let files = disk.read_dir(&entry.path).map_err(io("list"))?;
            if files.iter().all(|file| file.name.ends_with(".tmp")) {
                disk.remove_dir_all(&entry.path).map_err(io("remove"))?;
                continue;
            }
            return layout(&metadata, "is missing beside the segments".to_owned());
        }
        let text = disk.read(&metadata).map_err(LogError::io("read", &metadata))?;
        let (topic_id, _) = checkpoint::decode_partition_metadata(&text)
            .map_err(|e| LogError::Layout { path: metadata, detail: e.to_string() })?;
        partitions.insert(partition, topic_id);
    }
    Ok(partitions)
}

fn parse_folder(name: &str) -> Option<TopicPartition> {
    let (topic, number) = name.rsplit_once('-')?;
    let partition: i32 = number.parse().ok().filter(|n| *n >= 0)?;
    // "-01" or "-+1" would be a second name for the same partition.
    if partition.to_string() != number {
        return None;
    }
    Some(TopicPartition::new(TopicName::new(topic).ok()?, partition))
}

fn write_meta(
    disk: &SharedDisk,
    dir: &Path,
    id: DirectoryId,
    node_id: BrokerId,
    cluster_id: Option<&str>,
) -> Result<(), LogError> {
    let cluster = cluster_id.map_or(String::new(), |cluster| format!("cluster.id={cluster}\n"));
    let text = format!("{cluster}directory.id={id}\nnode.id={node_id}\nversion=1\n");
    let path = dir.join(META_PROPERTIES);
    disk.write_atomically(&path, text.as_bytes()).map_err(LogError::io("write", &path))
}

fn read_meta(
    disk: &SharedDisk,
    path: &Path,
    node_id: BrokerId,
) -> Result<(DirectoryId, Option<String>), LogError> {
    let bytes = disk.read(path).map_err(LogError::io("read", path))?;
    let text = String::from_utf8_lossy(&bytes);
    let properties: BTreeMap<&str, &str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let property = |key: &str| match properties.get(key) {
        Some(value) => Ok(*value),
        None => layout(path, format!("has no {key}")),
    };
    if property("version")? != "1" {
        return layout(path, format!("has version {}, only 1 is known", property("version")?));
    }
    if property("node.id")? != node_id.to_string() {
        return layout(path, format!("is of node.id {}, not {node_id}", property("node.id")?));
    }
    match property("directory.id")?.parse() {
        Ok(id) => Ok((id, properties.get("cluster.id").map(|cluster| (*cluster).to_owned()))),
        Err(e) => layout(path, format!("directory.id: {e}")),
    }
}

/// Reads and removes the mark: from here on the directory is in use.
fn take_clean_shutdown(disk: &SharedDisk, dir: &Path) -> Result<Option<BrokerEpoch>, LogError> {
    let path = dir.join(CLEAN_SHUTDOWN);
    let bytes = match disk.read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(LogError::io("read", &path)(e)),
    };
    disk.remove_file(&path).map_err(LogError::io("remove", &path))?;
    disk.sync_dir(dir).map_err(LogError::io("fsync", dir))?;
    let mark: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    Ok(mark.and_then(|mark| mark.get("brokerEpoch")?.as_i64()).map(BrokerEpoch))
}

/// The checkpoint files of a directory. What they say of an open log never runs ahead of it.
#[derive(Debug)]
pub(super) struct DirectoryCheckpoints {
    disk: SharedDisk,
    dir: PathBuf,
    entries: Mutex<BTreeMap<TopicPartition, Entry>>,
    /// Files that could not be written: they lack what the entries have. Changed under the lock of those.
    unwritten: Mutex<BTreeSet<&'static str>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// As in the files.
    stored: CheckpointPositions,
    live: Option<Arc<LivePositions>>,
}

impl DirectoryCheckpoints {
    fn read(disk: SharedDisk, dir: &Path) -> Result<DirectoryCheckpoints, LogError> {
        let mut entries: BTreeMap<TopicPartition, Entry> = BTreeMap::new();
        for (name, field) in FILES {
            let path = dir.join(name);
            let text = match disk.read(&path) {
                Ok(text) => text,
                // Without it everything is cleaned once more.
                Err(e) if e.kind() == io::ErrorKind::NotFound && name == CLEANER_OFFSETS => continue,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return layout(&path, "is missing".to_owned());
                }
                Err(e) => return Err(LogError::io("read", &path)(e)),
            };
            let offsets = checkpoint::decode_offsets(&text)
                .map_err(|e| LogError::Layout { path: path.clone(), detail: e.to_string() })?;
            for (partition, offset) in offsets {
                *field(&mut entries.entry(partition).or_default().stored) = offset;
            }
        }
        let (entries, unwritten) = (Mutex::new(entries), Mutex::default());
        Ok(DirectoryCheckpoints { disk, dir: dir.to_owned(), entries, unwritten })
    }

    fn stored(&self, partition: &TopicPartition) -> CheckpointPositions {
        self.entries.lock().get(partition).map(|entry| entry.stored).unwrap_or_default()
    }

    fn follow(&self, partition: &TopicPartition, live: &Arc<LivePositions>) {
        self.entries.lock().entry(partition.clone()).or_default().live = Some(live.clone());
    }

    fn forget(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let mut entries = self.entries.lock();
        entries.remove(partition);
        self.store(&entries, &FILES)
    }

    fn write(&self, positions: &[&(TopicPartition, CheckpointPositions)]) -> Result<(), LogError> {
        let mut entries = self.entries.lock();
        let mut changed = [false; FILES.len()];
        for (partition, position) in positions {
            let entry = entries.entry(partition.clone()).or_default();
            let mut new = *position;
            if let Some(live) = &entry.live {
                new.recovery_point = live.flushed();
                new.cleaned = live.cleaned();
                // Not what the caller read before it had the lock: a start that was stored meanwhile would go back.
                new.log_start = live.log_start();
                new.high_watermark = position.high_watermark.min(live.end());
            }
            for (changed, (_, field)) in changed.iter_mut().zip(FILES) {
                *changed |= field(&mut entry.stored) != field(&mut new);
            }
            entry.stored = new;
        }
        let is_unwritten = |name: &str| self.unwritten.lock().contains(name);
        let files = FILES.into_iter().zip(changed);
        let files: Vec<File> =
            files.filter_map(|(file, c)| (c || is_unwritten(file.0)).then_some(file)).collect();
        self.store(&entries, &files)
    }

    /// Before a log is cut at `end`: no file may claim more of it.
    pub(super) fn lower(
        &self,
        partition: &TopicPartition,
        live: &LivePositions,
        end: Offset,
    ) -> Result<(), LogError> {
        let mut entries = self.entries.lock();
        // Under the lock, so that a checkpoint that is being written cannot bring the old values back.
        live.lower_to(end);
        let Some(entry) = entries.get_mut(partition) else {
            return Ok(());
        };
        let stored = &mut entry.stored;
        if stored.recovery_point <= end && stored.high_watermark <= end && stored.cleaned <= end {
            return Ok(());
        }
        stored.recovery_point = stored.recovery_point.min(end);
        stored.high_watermark = stored.high_watermark.min(end);
        // What comes in place of clean records is dirty.
        let files = if stored.cleaned > end { 3 } else { 2 };
        stored.cleaned = stored.cleaned.min(end);
        self.store(&entries, &FILES[..files])
    }

    fn store(&self, entries: &BTreeMap<TopicPartition, Entry>, files: &[File]) -> Result<(), LogError> {
        // Until they are: after an error the next write must not take them for written because nothing has changed since.
        self.unwritten.lock().extend(files.iter().map(|(name, _)| *name));
        for (name, field) in files {
            let offsets: Vec<(&TopicPartition, Offset)> = entries
                .iter()
                .map(|(partition, entry)| (partition, *field(&mut entry.stored.clone())))
                .collect();
            let path = self.dir.join(name);
            let text = match *name {
                LOG_STARTS => checkpoint::encode_offsets_twice(offsets.into_iter()),
                _ => checkpoint::encode_offsets(offsets.into_iter()),
            };
            self.disk.write_atomically(&path, &text).map_err(LogError::io("write", &path))?;
            self.unwritten.lock().remove(name);
        }
        Ok(())
    }
}

type File = (&'static str, fn(&mut CheckpointPositions) -> &mut Offset);

const FILES: [File; 4] = [
    (RECOVERY_POINTS, |positions| &mut positions.recovery_point),
    (HIGH_WATERMARKS, |positions| &mut positions.high_watermark),
    (CLEANER_OFFSETS, |positions| &mut positions.cleaned),
    (LOG_STARTS, |positions| &mut positions.log_start),
];
