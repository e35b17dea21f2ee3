//! DeleteRecords on a tiered topic is answered when the manifest carries the new log start: a restore from the bucket must not
//! bring back what somebody was told is deleted.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::types::{Offset, TopicId};

type Key = (TopicId, i32);

/// Why this broker brings a log start into no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCarried {
    /// Another leader does, as far as its log has it.
    NotLeader,
    /// The partition's tier is not in order, and nothing more is written there.
    Stopped(String),
}

/// The tasks that look after led partitions, for who waits for their manifests.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    tasks: watch::Sender<HashMap<Key, Arc<Told>>>,
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

#[derive(Clone, Debug)]
struct Said {
    /// The log start that the manifest in force carries, and so will every later one.
    carried: i64,
    /// The last question before a round that left nothing to do.
    settled: u64,
    ended: Option<Ended>,
}

/// Why a task says nothing more.
#[derive(Clone, Debug)]
enum Ended {
    /// Its leadership is over, and there may be a later one.
    Moved,
    /// Its leadership lasts, and no other task comes.
    ForGood(NotCarried),
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
        let said = watch::Sender::new(Said { carried: i64::MIN, settled: 0, ended: None });
        let asked = Mutex::new(Asked { questions: 0, log_start: i64::MIN });
        let told = Arc::new(Told { asked, wanted: Notify::new(), said });
        self.tasks.send_modify(|tasks| {
            tasks.insert(key, told.clone());
        });
        Place { all: self.clone(), key, told }
    }

    /// Waits until a partition's manifest begins at `log_start` or above, or names nothing; the log has been told before. Where the
    /// leadership ends it waits for the next one: the caller bounds it, and looks whether this broker leads at all.
    ///
    /// # Errors
    /// When the task of a leadership that lasts has ended for good.
    pub(super) async fn carried(&self, key: Key, log_start: Offset) -> Result<(), NotCarried> {
        let mut tasks = self.tasks.subscribe();
        loop {
            let task = match tasks.wait_for(|tasks| tasks.contains_key(&key)).await {
                Ok(tasks) => tasks.get(&key).cloned(),
                // The sender lives as long as `self`.
                Err(_) => None,
            };
            let Some(told) = task else { return Err(NotCarried::NotLeader) };
            if let Some(answer) = told.answer(log_start).await {
                return answer;
            }
        }
    }
}

#[cfg(test)]
impl Deletions {
    /// The highest log start that a task was asked for.
    pub(super) fn asked_for(&self, key: Key) -> Option<i64> {
        self.tasks.borrow().get(&key).map(|told| told.asked.lock().log_start)
    }
}

impl Told {
    /// What became of a question; `None` when the leadership was over before.
    async fn answer(&self, log_start: Offset) -> Option<Result<(), NotCarried>> {
        let mut said = self.said.subscribe();
        let mine = {
            let mut asked = self.asked.lock();
            asked.questions += 1;
            asked.log_start = asked.log_start.max(log_start.0);
            asked.questions
        };
        self.wanted.notify_one();
        let carries = |said: &Said| said.settled >= mine || said.carried >= log_start.0;
        let said = said.wait_for(|said| carries(said) || said.ended.is_some()).await.ok()?;
        match &said.ended {
            _ if carries(&said) => Some(Ok(())),
            Some(Ended::ForGood(why)) => Some(Err(why.clone())),
            Some(Ended::Moved) | None => None,
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

    /// Nothing more is done for this leadership: who waits is told why, and so is who asks while this place is held.
    pub(super) fn ended(&self, why: NotCarried) {
        self.told.said.send_modify(|said| said.ended = Some(Ended::ForGood(why)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.tasks.send_if_modified(|tasks| {
            let is_mine = tasks.get(&self.key).is_some_and(|now| Arc::ptr_eq(now, &self.told));
            if is_mine {
                tasks.remove(&self.key);
            }
            is_mine
        });
        // Afterwards: whoever hears of it looks for the next task.
        self.told.said.send_modify(|said| said.ended = Some(Ended::Moved));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            let all = all.clone();
            tokio::spawn(async move { all.carried(key(), Offset(log_start)).await })
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
        assert_eq!(early.await.unwrap(), Ok(()));

        let later = waits(9);
        place.wanted().await;
        place.settled(place.asked());
        assert_eq!(later.await.unwrap(), Ok(()));

        let moved = waits(9);
        place.wanted().await;
        drop(place);
        assert!(all.tasks.borrow().is_empty());
        let place = all.begin(key());
        timeout(&*env.clock, Duration::from_secs(9), place.wanted())
            .await
            .expect("the next leadership is asked");
        place.carries(9);
        assert_eq!(moved.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn who_waits_for_a_task_that_has_ended_for_good_is_told_why_as_long_as_the_leadership_lasts() {
        let all = Arc::new(Deletions::default());
        let place = all.begin(key());
        let waiting = tokio::spawn({
            let all = all.clone();
            async move { all.carried(key(), Offset(9)).await }
        });
        place.wanted().await;
        let why = NotCarried::Stopped("two writers of one epoch".to_owned());
        place.carries(5);
        place.ended(why.clone());
        assert_eq!(waiting.await.unwrap(), Err(why.clone()));
        assert_eq!(all.carried(key(), Offset(9)).await, Err(why));
        assert_eq!(all.carried(key(), Offset(5)).await, Ok(()), "what is there is there");
        drop(place);
        let next = all.begin(key());
        next.carries(9);
        assert_eq!(all.carried(key(), Offset(9)).await, Ok(()));
    }
}
