//! How much of the partitions that are led here lies in the tier: what their tasks' newest manifests name.

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
}

impl Size {
    /// Whether the task's partition lacks records between the tier and the local log.
    pub(super) fn set_gap(&self, there_is: bool) {
        let mut tasks = self.sizes.by_task.lock();
        if there_is {
            tasks.gaps.insert(self.task);
        } else {
            tasks.gaps.remove(&self.task);
        }
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
        assert_eq!(sizes.gaps(), 1);
        let told = |of_a, of_b| BTreeMap::from([(a.clone(), of_a), (b.clone(), of_b)]);
        assert_eq!(sizes.by_topic(), told(17, 0));
        other.set(1);
        drop(second);
        assert_eq!(sizes.gaps(), 0);
        assert_eq!(sizes.by_topic(), told(7, 1));
        drop((first, other));
        assert!(sizes.by_topic().is_empty());
    }
}
