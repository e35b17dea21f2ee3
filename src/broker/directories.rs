//! The log directories as the broker looks at them: what room each has, and whether its disk answers.
//!
//! A disk that hangs gives no error: whoever asks it waits. So each directory is asked on threads of its own, by one job at a time, and
//! what is told of all of them is what each has said last.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::stop::StopSignal;
use crate::env::{BlockingPool, Clock, Env, MonoTime, PoolClosed, SharedDisk, timeout};
use crate::replication::{Replica, ReplicaManager};
use crate::types::{DirectoryId, TopicId};

/// How often each is asked.
const INTERVAL: Duration = Duration::from_secs(5);
/// A disk that has not answered for so long is told of.
const LONG: Duration = Duration::from_secs(30);
/// Threads that have all been at one job for so long are given no more that somebody waits for.
const STUCK: Duration = Duration::from_secs(5);
/// So long a client's question waits for a disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// All log directories that were opened.
pub(super) struct Directories {
    clock: Arc<dyn Clock>,
    disk: SharedDisk,
    each: Vec<Directory>,
    /// Raised with every answer.
    answers: watch::Sender<u64>,
}

struct Directory {
    path: PathBuf,
    threads: BlockingPool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// At the last answer; none while the system does not say.
    free_bytes: Option<u64>,
    /// When the question was asked that is not answered yet.
    asked: Option<MonoTime>,
    /// It was told that it does not answer.
    is_told: bool,
}

impl Directories {
    pub(super) fn new(env: &Env, replicas: &ReplicaManager) -> Arc<Directories> {
        let each = replicas.directories().into_iter().map(|(id, path)| Directory {
            path,
            threads: replicas.threads_of(id),
            seen: Mutex::default(),
        });
        Arc::new(Directories {
            clock: env.clock.clone(),
            disk: env.disk.clone(),
            each: each.collect(),
            answers: watch::Sender::new(0),
        })
    }

    /// Asks again and again, and tells of those that do not answer.
    pub(super) async fn run(self: Arc<Self>, stopping: StopSignal) {
        loop {
            self.ask();
            tokio::select! {
                () = self.clock.sleep(INTERVAL) => {}
                () = stopping.stopped() => return,
            }
            self.tell();
        }
    }

    /// Asks those that have answered the last question.
    fn ask(self: &Arc<Self>) {
        let now = self.clock.now();
        for (at, directory) in self.each.iter().enumerate() {
            let mut seen = directory.seen.lock();
            if seen.asked.is_some() {
                continue;
            }
            seen.asked = Some(now);
            drop(seen);
            let all = self.clone();
            directory.threads.spawn(move || {
                let Directory { path, seen, .. } = &all.each[at];
                let free = all.disk.available_bytes(path);
                let mut seen = seen.lock();
                (seen.free_bytes, seen.asked) = (free.ok(), None);
                drop(seen);
                all.answers.send_modify(|answers| *answers += 1);
            });
        }
    }

    fn tell(&self) {
        for (directory, waits) in self.each.iter().zip(self.waits()) {
            let mut seen = directory.seen.lock();
            let dir = directory.path.display();
            if waits >= LONG && !seen.is_told {
                seen.is_told = true;
                tracing::error!(%dir, ?waits, "the disk of a log directory does not answer: its partitions wait, and no others");
            } else if waits < LONG && seen.is_told {
                seen.is_told = false;
                tracing::info!(%dir, "the disk of a log directory answers again");
            }
        }
    }

    /// For how long each has kept a thread at one job, or a question waiting; zero where nothing waits.
    fn waits(&self) -> impl Iterator<Item = Duration> + '_ {
        let now = self.clock.now();
        self.each.iter().map(move |directory| {
            let asked = directory.seen.lock().asked;
            asked.map(|at| now.since(at)).unwrap_or_default().max(directory.threads.longest_job())
        })
    }

    /// Path, free bytes as far as known, and for how long its disk has not answered.
    pub(super) fn states(&self) -> Vec<(PathBuf, Option<u64>, Duration)> {
        let known =
            self.each.iter().map(|directory| (directory.path.clone(), directory.seen.lock().free_bytes));
        known.zip(self.waits()).map(|((path, free), waits)| (path, free, waits)).collect()
    }

    /// Of the directory with the least room, as far as they have said.
    pub(super) fn least_free_bytes(&self) -> Option<u64> {
        self.each.iter().filter_map(|directory| directory.seen.lock().free_bytes).min()
    }

    /// Asks all, and waits so long at most for the answers. One that has kept others waiting for longer already is not waited for.
    pub(super) async fn look(self: &Arc<Self>, patience: Duration) {
        let mut answers = self.answers.subscribe();
        self.ask();
        let deadline = self.clock.now() + patience;
        loop {
            answers.mark_unchanged();
            let now = self.clock.now();
            let wait = |directory: &Directory| {
                let asked = directory.seen.lock().asked?;
                Some((asked + patience).since(now))
            };
            let Some(wait) = self.each.iter().filter_map(wait).max() else { return };
            let wait = wait.min(deadline.since(now));
            if wait.is_zero() || timeout(&*self.clock, wait, answers.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Returns once the disk of one of them has answered: then there is something that this broker can serve.
    pub(super) async fn any_answers(self: &Arc<Self>) {
        let mut answers = self.answers.subscribe();
        self.ask();
        // Its sender is this.
        let _ = answers.changed().await;
    }
}

/// Reads of a log that took longer than anybody waits for, and have not ended: of the same partition no more are begun.
#[derive(Clone, Default)]
pub(super) struct LateReads(Arc<Mutex<HashMap<Partition, usize>>>);

type Partition = (TopicId, i32);

/// A read that is on its way; it has ended when this is dropped.
struct Reading {
    late: LateReads,
    partition: Partition,
    /// Whether it is late, and whether it has ended: changed under the lock of `late`.
    state: Arc<Mutex<(bool, bool)>>,
}

impl LateReads {
    /// Runs a read of the replica's log on the threads of its directory; `None` when its disk hangs: who asks for several partitions
    /// does not wait for that one.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        clock: &dyn Clock,
        replica: &Replica,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<Result<T, PoolClosed>> {
        let (threads, partition) =
            (replica.disk_threads(), (replica.topic_id(), replica.partition().partition));
        if are_stuck(threads) || self.0.lock().contains_key(&partition) {
            return None;
        }
        let state = Arc::new(Mutex::new((false, false)));
        let reading = Reading { late: self.clone(), partition, state: state.clone() };
        let job = move || {
            let _reading = reading;
            read()
        };
        if let Ok(answer) = timeout(clock, PATIENCE, threads.run(job)).await {
            return Some(answer);
        }
        let mut late = self.0.lock();
        let mut state = state.lock();
        if !state.1 {
            state.0 = true;
            *late.entry(partition).or_default() += 1;
        }
        None
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut late = self.late.0.lock();
        let mut state = self.state.lock();
        state.1 = true;
        if let (true, Entry::Occupied(mut reads)) = (state.0, late.entry(self.partition)) {
            *reads.get_mut() -= 1;
            if *reads.get() == 0 {
                reads.remove();
            }
        }
    }
}

/// Whether no thread of these has been done with its job for long: whoever waits for one waits for a disk that hangs.
pub(super) fn are_stuck(threads: &BlockingPool) -> bool {
    threads.stuck_for() >= STUCK
}

/// The replicas of each log directory.
pub(super) fn by_directory(
    replicas: impl IntoIterator<Item = Arc<Replica>>,
) -> BTreeMap<DirectoryId, Vec<Arc<Replica>>> {
    let mut found: BTreeMap<DirectoryId, Vec<Arc<Replica>>> = BTreeMap::new();
    for replica in replicas {
        found.entry(replica.directory()).or_default().push(replica);
    }
    found
}

#[cfg(test)]
mod tests;
