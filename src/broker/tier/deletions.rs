//! DeleteRecords on a tiered topic is answered when the manifest carries the new log start: a restore from the bucket must not
//! bring back what somebody was told is deleted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::env::Clock;
use crate::types::{Offset, TopicId};

/// How often it is looked whether a leadership's task has begun.
const LOOK: Duration = Duration::from_millis(10);

type Key = (TopicId, i32);

/// The tasks that look after led partitions, for who waits for their manifests.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    tasks: Mutex<HashMap<Key, Arc<Told>>>,
}

/// What one task has told.
#[derive(Debug)]
struct Told {
    asked: Mutex<Asked>,
    wanted: Notify,
    said: watch::Sender<Said>,
}

/// What a task was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Questions so far; each makes the task begin a round at once.
    questions: u64,
    /// The highest log start that was asked for.
    log_start: i64,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    /// The log start that the manifest in force carries, and so will every later one.
    carried: i64,
    /// The last question before a round that left nothing to do.
    settled: u64,
}

/// A task's place; it is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    all: Arc<Deletions>,
    key: Key,
    told: Arc<Told>,
}

impl Deletions {
    /// The place of a task that begins.
    pub(super) fn begin(self: &Arc<Self>, key: Key) -> Place {
        let said = watch::Sender::new(Said { carried: i64::MIN, settled: 0 });
        let asked = Mutex::new(Asked { questions: 0, log_start: i64::MIN });
        let told = Arc::new(Told { asked, wanted: Notify::new(), said });
        self.tasks.lock().insert(key, told.clone());
        Place { all: self.clone(), key, told }
    }

    /// Waits until a partition's manifest begins at `log_start` or above, or names nothing; the log has been told before. Ends only
    /// so: the caller bounds it.
    pub(super) async fn carried(&self, key: Key, log_start: Offset, clock: &dyn Clock) {
        loop {
            let task = self.tasks.lock().get(&key).cloned();
            let Some(told) = task else {
                clock.sleep(LOOK).await;
                continue;
            };
            let mut said = told.said.subscribe();
            let mine = {
                let mut asked = told.asked.lock();
                asked.questions += 1;
                asked.log_start = asked.log_start.max(log_start.0);
                asked.questions
            };
            told.wanted.notify_one();
            let gone = self.gone(key, &told, clock);
            let carries = |said: &Said| said.settled >= mine || said.carried >= log_start.0;
            tokio::select! {
                // The sender lives as long as `told`.
                _ = said.wait_for(carries) => return,
                () = gone => {}
            }
        }
    }

    async fn gone(&self, key: Key, told: &Arc<Told>, clock: &dyn Clock) {
        while self.tasks.lock().get(&key).is_some_and(|now| Arc::ptr_eq(now, told)) {
            clock.sleep(LOOK).await;
        }
    }
}

impl Place {
    /// Somebody waits: a round is to begin.
    pub(super) async fn wanted(&self) {
        self.told.wanted.notified().await;
    }

    /// The questions so far, to be read before the log is.
    pub(super) fn asked(&self) -> u64 {
        self.told.asked.lock().questions
    }

    /// Whether a log start was asked for that no manifest in force carries yet.
    pub(super) fn is_awaited(&self) -> bool {
        self.told.asked.lock().log_start > self.told.said.borrow().carried
    }

    /// The manifest in force carries a log start, and so will every later one.
    pub(super) fn carries(&self, log_start: i64) {
        self.told.said.send_if_modified(|said| {
            let rises = log_start > said.carried;
            said.carried = said.carried.max(log_start);
            rises
        });
    }

    /// A round that began after so many questions has left nothing to do.
    pub(super) fn settled(&self, asked: u64) {
        self.told.said.send_modify(|said| said.settled = asked);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tasks = self.all.tasks.lock();
        if tasks.get(&self.key).is_some_and(|now| Arc::ptr_eq(now, &self.told)) {
            tasks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Env, timeout};

    fn key() -> Key {
        (TopicId::from_bytes([7; 16]), 0)
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_answered_by_a_manifest_that_carries_it_or_a_round_that_began_later() {
        let env = Env::real();
        let all = Arc::new(Deletions::default());
        let waits = |log_start| {
            let (all, clock) = (all.clone(), env.clock.clone());
            tokio::spawn(async move { all.carried(key(), Offset(log_start), &*clock).await })
        };
        let early = waits(5);
        tokio::task::yield_now().await;
        let place = all.begin(key());
        place.wanted().await;
        place.carries(4);
        assert!(place.is_awaited());
        place.settled(0);
        tokio::task::yield_now().await;
        assert!(!early.is_finished(), "its log start is not there, and the round began before it asked");
        place.carries(5);
        assert!(!place.is_awaited());
        early.await.unwrap();

        let later = waits(9);
        place.wanted().await;
        place.settled(place.asked());
        later.await.unwrap();

        let moved = waits(9);
        place.wanted().await;
        drop(place);
        assert!(all.tasks.lock().is_empty());
        let place = all.begin(key());
        timeout(&*env.clock, Duration::from_secs(9), place.wanted())
            .await
            .expect("the next leadership is asked");
        place.carries(9);
        moved.await.unwrap();
    }
}
