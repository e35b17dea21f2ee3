//! What the tasks of the partitions that are led here tell of them: how much lies in the tier, and what keeps them from going on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::types::TopicName;

/// Bytes by task.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    by_task: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    last: u64,
    bytes: BTreeMap<u64, (TopicName, u64)>,
    /// Tasks whose partition lacks records between the tier and the local log.
    gaps: BTreeSet<u64>,
    /// Tasks that are to give their tier up, and wait for a replica.
    discards: BTreeSet<u64>,
}

/// One task's part; it counts no more when this is dropped.
#[derive(Debug)]
pub(super) struct Size {
    sizes: Arc<Sizes>,
    task: u64,
}

impl Sizes {
    /// The part of a task that begins.
    pub(super) fn begin(self: &Arc<Self>, topic: &TopicName) -> Size {
        let mut tasks = self.by_task.lock();
        tasks.last += 1;
        let task = tasks.last;
        tasks.bytes.insert(task, (topic.clone(), 0));
        Size { sizes: self.clone(), task }
    }

    /// Bytes by topic.
    pub(super) fn by_topic(&self) -> BTreeMap<TopicName, u64> {
        let mut topics = BTreeMap::new();
        for (topic, bytes) in self.by_task.lock().bytes.values() {
            *topics.entry(topic.clone()).or_default() += bytes;
        }
        topics
    }

    /// How many partitions lack records between the tier and the local log.
    pub(super) fn gaps(&self) -> usize {
        self.by_task.lock().gaps.len()
    }

    /// How many partitions are to give their tier up, and wait for a replica.
    pub(super) fn discards_waiting(&self) -> usize {
        self.by_task.lock().discards.len()
    }
}

impl Size {
    /// Whether the task's partition lacks records between the tier and the local log.
    pub(super) fn set_gap(&self, there_is: bool) {
        note(&mut self.sizes.by_task.lock().gaps, self.task, there_is);
    }

    /// Whether the task is to give the tier up, and waits for a replica.
    pub(super) fn set_discard_waits(&self, waits: bool) {
        note(&mut self.sizes.by_task.lock().discards, self.task, waits);
    }

    /// What the task's partition has in the tier now.
    pub(super) fn set(&self, bytes: u64) {
        if let Some((_, size)) = self.sizes.by_task.lock().bytes.get_mut(&self.task) {
            *size = bytes;
        }
    }
}

impl Drop for Size {
    fn drop(&mut self) {
        let mut tasks = self.sizes.by_task.lock();
        tasks.bytes.remove(&self.task);
        tasks.gaps.remove(&self.task);
        tasks.discards.remove(&self.task);
    }
}

fn note(tasks: &mut BTreeSet<u64>, task: u64, holds: bool) {
    if holds {
        tasks.insert(task);
    } else {
        tasks.remove(&task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_what_its_running_tasks_say() {
        let sizes: Arc<Sizes> = Arc::default();
        let [a, b] = ["a", "b"].map(|name| TopicName::new(name).unwrap());
        let (first, second, other) = (sizes.begin(&a), sizes.begin(&a), sizes.begin(&b));
        first.set(5);
        first.set(7);
        second.set(10);
        first.set_gap(true);
        second.set_gap(true);
        first.set_gap(false);
        first.set_discard_waits(true);
        assert_eq!((sizes.gaps(), sizes.discards_waiting()), (1, 1));
        first.set_discard_waits(false);
        second.set_discard_waits(true);
        assert_eq!(sizes.discards_waiting(), 1);
        let told = |of_a, of_b| BTreeMap::from([(a.clone(), of_a), (b.clone(), of_b)]);
        assert_eq!(sizes.by_topic(), told(17, 0));
        other.set(1);
        drop(second);
        assert_eq!((sizes.gaps(), sizes.discards_waiting()), (0, 0));
        assert_eq!(sizes.by_topic(), told(7, 1));
        drop((first, other));
        assert!(sizes.by_topic().is_empty());
    }
}
