//! The removal of deleted topics from the store, by the broker that leads the metadata quorum.
//!
//! ```text
//! tombstone, all that is there ─► every registered broker has heard of it and has nothing on its way ─► grace ─► what came late, the tombstone
//! ```
//! A topic stands in the image until all that is done, so that a stop midway is made good by itself or by another. What a leader
//! wrote that slept, and that crashed before it could clear it away, is found so: nothing else tells it from a topic that waits for
//! a restore. A broker that is away holds the last step up until it is back or unregistered; of the topic only tombstones are left
//! by then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tiering::gc;
use tiering::layout::PartitionFolder;
use tiering::owner::OwnerError;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::driver::{FIRST_PAUSE, LONGEST_PAUSE};
use super::store::ColdStore;
use crate::broker::peers::{PeerAnswer, PeerRequest, ask};
use crate::broker::stop::StopSignal;
use crate::metadata::{ColdTopic, Command, Image};
use crate::types::{BrokerId, TopicId, TopicName, TopicPartition};

/// Deleted topics whose objects are removed at the same time.
const REMOVALS_AT_ONCE: usize = 4;
/// Topics of one question to a broker.
const ASKED_AT_ONCE: usize = 10_000;

/// The topics of which something may be on its way from this broker to the store.
#[derive(Debug, Default)]
pub struct AtWork {
    /// Tasks by topic.
    tasks: Mutex<HashMap<TopicId, usize>>,
}

/// While it is there, something may be on its way.
#[derive(Debug)]
pub(super) struct Working {
    all: Arc<AtWork>,
    id: TopicId,
}

impl AtWork {
    /// To be called before the look at the image that allows the work: who has heard of a deletion begins none.
    pub(super) fn begin(self: &Arc<Self>, id: TopicId) -> Working {
        *self.tasks.lock().entry(id).or_default() += 1;
        Working { all: self.clone(), id }
    }

    /// Of each topic whether this broker has heard that it is deleted and has nothing of it on its way: then it never will again.
    #[must_use]
    pub fn are_quiet(&self, image: &Image, topics: &[TopicId]) -> Vec<bool> {
        let tasks = self.tasks.lock();
        let is_quiet = |id: &TopicId| image.cold_topics.contains_key(id) && !tasks.contains_key(id);
        topics.iter().map(is_quiet).collect()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut tasks = self.all.tasks.lock();
        if let Some(left) = tasks.get_mut(&self.id) {
            *left -= 1;
            if *left == 0 {
                tasks.remove(&self.id);
            }
        }
    }
}

/// Who has said of a topic that nothing is on its way.
#[derive(Debug, Default)]
struct Waiting {
    quiet: BTreeSet<BrokerId>,
    /// Nobody is left to be asked.
    over: bool,
}

/// Looks after deleted topics.
pub(super) struct Burials {
    cold: Arc<ColdStore>,
    node_id: BrokerId,
    grace: Duration,
    /// Between two questions to who has not said it yet.
    pause: Duration,
    stopping: StopSignal,
    removals: Semaphore,
    waiting: watch::Sender<BTreeMap<TopicId, Waiting>>,
}

/// The deletions that run.
pub(super) type Running = HashMap<TopicId, JoinHandle<()>>;

impl Burials {
    pub(super) fn start(
        cold: Arc<ColdStore>,
        node_id: BrokerId,
        (grace, pause): (Duration, Duration),
        stopping: StopSignal,
    ) -> Arc<Burials> {
        let (removals, waiting) = (Semaphore::new(REMOVALS_AT_ONCE), watch::Sender::default());
        let burials = Burials { cold, node_id, grace, pause, stopping, removals, waiting };
        let burials = Arc::new(burials);
        burials.cold.runtime.spawn(burials.clone().ask_around());
        burials
    }

    /// Starts what is to be removed, on the broker that leads the quorum.
    pub(super) fn scan(self: &Arc<Self>, running: &mut Running) {
        running.retain(|_, task| !task.is_finished());
        if self.cold.metadata.leader() != Some(self.node_id) {
            return;
        }
        for (id, topic) in &self.cold.metadata.image().cold_topics {
            if !running.contains_key(id) {
                let task = self.clone().delete(*id, topic.clone());
                running.insert(*id, self.cold.runtime.spawn(task));
            }
        }
    }

    /// Removes what a deleted topic has in the store, and then its place in the image.
    async fn delete(self: Arc<Self>, id: TopicId, topic: ColdTopic) {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.delete_once(id, &topic).await {
                Ok(true) => break,
                // The next scan that may write begins again, if there is anything left to do.
                Ok(false) => return,
                Err(error) => error,
            };
            tracing::warn!(topic = %topic.name, %id, %error, ?pause, "a deleted topic stays in the tier for now");
            tokio::select! {
                () = self.cold.env.clock.sleep(pause) => {}
                () = self.stopping.stopped() => return,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        match self.cold.metadata.submit(Command::ForgetColdTopic { id }).await {
            Ok(_) => tracing::info!(topic = %topic.name, %id, "a deleted topic is gone from the tier"),
            // The next scan finds it again, and nothing to remove.
            Err(error) => tracing::warn!(topic = %topic.name, %id, %error, "not forgotten yet"),
        }
    }

    /// False when somebody else has done it, or a later life of this cluster has the store meanwhile: there the topic may live.
    async fn delete_once(&self, id: TopicId, topic: &ColdTopic) -> Result<bool, OwnerError> {
        let folders: Vec<PartitionFolder> = (0..topic.partitions)
            .filter_map(|partition| {
                let partition = TopicPartition::new(topic.name.clone(), partition);
                self.cold.folder(&partition, id).ok()
            })
            .collect();
        if let Ok(_turn) = self.removals.acquire().await {
            for folder in &folders {
                if !self.cold.owns_now().await? {
                    return Ok(false);
                }
                gc::bury_partition(&*self.cold.store, folder).await?;
            }
        }
        if !self.all_quiet(id).await {
            return Ok(false);
        }
        // A request whose answer nobody waits for any more may still be carried out.
        self.cold.env.clock.sleep(self.grace).await;
        if let Ok(_turn) = self.removals.acquire().await {
            for folder in &folders {
                if !self.cold.owns_now().await? {
                    return Ok(false);
                }
                gc::forget_partition(&*self.cold.store, folder).await?;
            }
        }
        Ok(true)
    }

    /// Waits until every registered broker has said that nothing of the topic is on its way from it; false when the topic is
    /// forgotten meanwhile.
    async fn all_quiet(&self, id: TopicId) -> bool {
        let mut waiting = self.waiting.subscribe();
        self.waiting.send_modify(|waiting| {
            waiting.insert(id, Waiting::default());
        });
        let is_over = |waiting: &BTreeMap<TopicId, Waiting>| waiting.get(&id).is_none_or(|topic| topic.over);
        // The sender lives as long as `self`.
        let _ = waiting.wait_for(is_over).await;
        self.waiting.send_if_modified(|waiting| {
            waiting.remove(&id);
            false
        });
        self.cold.metadata.image().cold_topics.contains_key(&id)
    }

    /// Asks the brokers about all topics that wait, a question each.
    async fn ask_around(self: Arc<Self>) {
        let mut begun = self.waiting.subscribe();
        let mut told = BTreeSet::new();
        loop {
            tokio::select! {
                waits = begun.wait_for(|waiting| !waiting.is_empty()) => drop(waits),
                () = self.stopping.stopped() => return,
            }
            begun.mark_unchanged();
            let holding_up = self.ask_once().await;
            if holding_up != told && !holding_up.is_empty() {
                let brokers: Vec<i32> = holding_up.iter().map(|broker| broker.0).collect();
                tracing::info!(
                    ?brokers,
                    "deleted topics keep their tombstones in the tier until these brokers have said that nothing is on its way, \
                     or are unregistered"
                );
            }
            told = holding_up;
            tokio::select! {
                () = self.cold.env.clock.sleep(self.pause) => {}
                // One more waits.
                _ = begun.changed() => {}
                () = self.stopping.stopped() => return,
            }
        }
    }

    /// Who has not said it of every topic.
    async fn ask_once(&self) -> BTreeSet<BrokerId> {
        let image = self.cold.metadata.image();
        let questions = image.brokers.keys().map(|broker| async {
            let waiting: Vec<TopicId> = {
                let all = self.waiting.borrow();
                let open = all.iter().filter(|(_, topic)| !topic.over && !topic.quiet.contains(broker));
                open.map(|(id, _)| *id).take(ASKED_AT_ONCE).collect()
            };
            let said = self.ask_broker(*broker, &waiting).await;
            (*broker, waiting.into_iter().zip(said).filter(|(_, quiet)| *quiet).map(|(id, _)| id))
        });
        let said = join_all(questions).await;
        let mut holding_up = BTreeSet::new();
        self.waiting.send_if_modified(|waiting| {
            for (broker, topics) in said {
                for id in topics {
                    if let Some(topic) = waiting.get_mut(&id) {
                        topic.quiet.insert(broker);
                    }
                }
            }
            let mut any_over = false;
            for (id, topic) in waiting.iter_mut() {
                let missing = image.brokers.keys().filter(|broker| !topic.quiet.contains(broker));
                let missing: Vec<BrokerId> = missing.copied().collect();
                // One that is not in the image has been forgotten by another broker, which nobody says anything of any more.
                topic.over |= missing.is_empty() || !image.cold_topics.contains_key(id);
                any_over |= topic.over;
                if !topic.over {
                    holding_up.extend(missing);
                }
            }
            any_over
        });
        holding_up
    }

    async fn ask_broker(&self, broker: BrokerId, topics: &[TopicId]) -> Vec<bool> {
        if topics.is_empty() {
            return Vec::new();
        }
        if broker == self.node_id {
            return self.cold.at_work.are_quiet(&self.cold.metadata.image(), topics);
        }
        match ask(&self.cold.metadata, broker, &PeerRequest::AreQuiet(topics.to_vec())).await {
            Some(PeerAnswer::AreQuiet(said)) => said,
            _ => Vec::new(),
        }
    }

    /// A leader that slept while its topic was deleted and its broker was unregistered may have published when not even the
    /// tombstone was left to see, where nobody would ever look again: so it does, once the deletion has ended.
    pub(super) async fn clear_away(&self, id: TopicId, topic: &TopicName, folder: &PartitionFolder) {
        let mut pause = FIRST_PAUSE;
        loop {
            let image = self.cold.metadata.image();
            if !self.cold.is_owned() || image.topics.get(topic).is_some_and(|topic| topic.id == id) {
                return;
            }
            if !image.cold_topics.contains_key(&id) {
                match self.clear_away_once(folder).await {
                    Ok(0) => return,
                    Ok(objects) => {
                        tracing::warn!(%folder, objects, "written after the topic was deleted: removed");
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%folder, %error, ?pause, "a deleted topic may have left objects");
                    }
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            tokio::select! {
                () = self.cold.env.clock.sleep(pause) => {}
                () = self.stopping.stopped() => return,
            }
        }
    }

    /// Nothing where a later life of this cluster has the store: there the topic may live.
    async fn clear_away_once(&self, folder: &PartitionFolder) -> Result<usize, OwnerError> {
        if self.cold.owns_now().await? { Ok(gc::clear_away(&*self.cold.store, folder).await?) } else { Ok(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_on_its_way_of_a_topic_that_is_known_to_be_deleted_and_has_no_task() {
        let [gone, other] = [1, 2].map(|id| TopicId::from_bytes([id; 16]));
        let (all, mut image) = (Arc::new(AtWork::default()), Image::default());
        assert_eq!(all.are_quiet(&image, &[gone]), [false], "it has not heard of the deletion");
        let name = TopicName::new("t").unwrap();
        image.cold_topics.insert(gone, ColdTopic { name, partitions: 2 });
        let [first, second, _] = [gone, gone, other].map(|id| all.begin(id));
        assert_eq!(all.are_quiet(&image, &[gone, other]), [false, false]);
        drop(first);
        assert_eq!(all.are_quiet(&image, &[gone]), [false]);
        drop(second);
        assert_eq!(all.are_quiet(&image, &[other, gone]), [false, true]);
    }
}
