//! What an image asks of the partitions, as a round of work for each log directory. The rounds go on beside each other, and of one
//! directory one after the other: where a disk hangs its directory stays behind, and the others follow the newer images.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use tokio::sync::oneshot;

use super::manager::ReplicaManager;
use super::reconcile::Job;
use crate::env::timeout;
use crate::metadata::Image;
use crate::types::{DirectoryId, TopicId};

/// A job that has lasted for so long when the broker starts is not waited for any more.
const HANGS: Duration = Duration::from_secs(120);

type Key = (TopicId, i32);

/// A log directory; none for what no directory can take.
type Place = Option<DirectoryId>;

/// How far the directories are.
#[derive(Default)]
pub(super) struct Rounds {
    /// Whose last round has not ended.
    busy: HashSet<Place>,
    /// Partitions there of which a newer image has asked something.
    left: HashSet<Key>,
}

impl Rounds {
    /// Something was asked of the partition while its directory was busy.
    pub(super) fn was_left(&self, key: Key) -> bool {
        self.left.contains(&key)
    }

    /// Only these partitions are assigned to this broker.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(Key) -> bool) {
        self.left.retain(|key| is_wanted(*key));
    }
}

#[derive(Default)]
struct Round {
    gone: Vec<Key>,
    jobs: Vec<Job>,
}

/// A round that goes on; its directory is free when this is dropped.
struct Going {
    manager: Arc<ReplicaManager>,
    place: Place,
    ended: Option<oneshot::Sender<()>>,
}

impl Drop for Going {
    fn drop(&mut self) {
        self.manager.rounds.lock().busy.remove(&self.place);
        let is_waited_for = self.ended.take().is_some_and(|ended| ended.send(()).is_ok());
        if !is_waited_for {
            // Newer images may have come since.
            self.manager.context.again.notify_one();
        }
    }
}

impl ReplicaManager {
    /// Takes away what is gone and carries the jobs out. With patience, returns that long after at the latest: what then goes on
    /// bars later rounds of its directory and of no other, and when it has ended the image is gone through once more. Without, it
    /// returns when all is done, or what is left hangs.
    pub(super) async fn work(
        self: &Arc<Self>,
        gone: Vec<Key>,
        jobs: Vec<Job>,
        image: &Arc<Image>,
        patience: Option<Duration>,
    ) {
        let rounds = self.next_rounds(gone, jobs);
        let ends = rounds.into_iter().map(|(place, round)| {
            let (ended, is_ended) = oneshot::channel();
            let going = Going { manager: self.clone(), place, ended: Some(ended) };
            let image = image.clone();
            self.spawn(async move {
                let manager = &going.manager;
                run_all(round.gone.into_iter().map(|key| manager.clone().remove(key))).await;
                let carry_out = |job| manager.clone().carry_out(job, place, image.clone());
                run_all(round.jobs.into_iter().map(carry_out)).await;
            });
            is_ended
        });
        let mut all = pin!(join_all(ends));
        let Some(patience) = patience else {
            let look = self.context.config.settings.session_timeout;
            while timeout(&*self.context.clock, look, &mut all).await.is_err() {
                if self.only_hanging_are_busy() {
                    let directories = self.busy_directories();
                    tracing::error!(
                        ?directories,
                        "the disk of a log directory does not answer: the broker starts without its partitions"
                    );
                    return;
                }
            }
            return;
        };
        if timeout(&*self.context.clock, patience, all).await.is_err() {
            tracing::warn!(
                directories = ?self.busy_directories(),
                "the disk of a log directory takes long: what the metadata says of its partitions waits, and of no others"
            );
        }
    }

    /// Divides the work among the directories that are free, and remembers for which partitions of the others something is left.
    fn next_rounds(&self, gone: Vec<Key>, jobs: Vec<Job>) -> BTreeMap<Place, Round> {
        let hosted_in = |key: &Key| self.hosted.read().get(key).map(|hosted| hosted.replica.directory());
        let gone: Vec<(Place, Key)> = gone.into_iter().map(|key| (hosted_in(&key), key)).collect();
        let held_by = |job: &Job| hosted_in(&job.key).or_else(|| self.dirs.directory_of(&job.name()));
        let jobs: Vec<(Place, Job)> = jobs.into_iter().map(|job| (held_by(&job), job)).collect();
        let loads = self.dirs.loads();
        let mut rounds: BTreeMap<Place, Round> = BTreeMap::new();
        let mut now = self.rounds.lock();
        let mut free = loads.clone();
        free.retain(|(directory, _)| !now.busy.contains(&Some(*directory)));
        for (place, key) in gone {
            if now.busy.contains(&place) {
                continue;
            }
            rounds.entry(place).or_default().gone.push(key);
        }
        for (place, job) in jobs {
            now.left.remove(&job.key);
            // A new partition goes where the fewest are.
            let place = place.or_else(|| {
                let (directory, count) = free.iter_mut().min_by_key(|(_, count)| *count)?;
                *count += 1;
                Some(*directory)
            });
            let no_place_is_free = place.is_none() && !loads.is_empty();
            if now.busy.contains(&place) || no_place_is_free {
                now.left.insert(job.key);
                continue;
            }
            rounds.entry(place).or_default().jobs.push(job);
        }
        now.busy.extend(rounds.keys());
        rounds
    }

    /// Whether of several directories some are done, and of each of the others a job has lasted for long.
    fn only_hanging_are_busy(&self) -> bool {
        let busy: Vec<Place> = self.rounds.lock().busy.iter().copied().collect();
        let hangs = |place: &Place| self.context.threads_of(*place).pool.longest_job() >= HANGS;
        busy.len() < self.dirs.directories().len() && busy.iter().all(hangs)
    }

    fn busy_directories(&self) -> Vec<PathBuf> {
        let rounds = self.rounds.lock();
        let all = self.dirs.directories().into_iter();
        all.filter(|(directory, _)| rounds.busy.contains(&Some(*directory))).map(|(_, path)| path).collect()
    }
}

/// Runs jobs for many partitions, a few at a time.
async fn run_all(jobs: impl Iterator<Item = impl Future<Output = ()>>) {
    futures::stream::iter(jobs).buffer_unordered(8).collect::<()>().await;
}
