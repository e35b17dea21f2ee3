//! The memory of fetch answers: all that were read and are not yet with their clients.
//!
//! A fetch asks for room once it knows how much it would read, and before it reads. The less room is left, the less one
//! fetch may read (an eighth of what is free), so that clients that do not take their answers make the others' answers
//! smaller and never stop them. At the floor a fetch waits, and in the end answers without records.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::env::{Clock, timeout};

/// What one fetch may read however little room there is; a first batch may still be larger.
const FLOOR: usize = 64 << 10;
/// One fetch takes at most this part of what is free.
const SHARE: usize = 8;

/// The budget of one broker; cheap to clone.
#[derive(Clone, Debug)]
pub struct AnswerBudget {
    free: Arc<Semaphore>,
    /// All of it: what one batch above it takes.
    bytes: usize,
}

/// Room for an answer, given back when dropped: once the client has it.
#[derive(Debug)]
pub struct AnswerRoom {
    _permit: OwnedSemaphorePermit,
}

impl AnswerBudget {
    /// Of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> AnswerBudget {
        let bytes = bytes.min(u32::MAX as usize);
        AnswerBudget { free: Arc::new(Semaphore::new(bytes)), bytes }
    }

    /// All of it, and what of it is taken, in bytes.
    #[must_use]
    pub fn use_of(&self) -> (usize, usize) {
        (self.bytes, self.bytes.saturating_sub(self.free.available_permits()))
    }

    /// What one fetch should read at most now.
    #[must_use]
    pub fn share(&self) -> usize {
        (self.free.available_permits() / SHARE).max(FLOOR)
    }

    /// Takes room for so many bytes; `None` when there is none within the limit.
    pub async fn take(&self, bytes: usize, clock: &dyn Clock, limit: Duration) -> Option<AnswerRoom> {
        let bytes = u32::try_from(bytes.min(self.bytes)).unwrap_or(u32::MAX);
        let free = self.free.clone();
        if let Ok(permit) = free.clone().try_acquire_many_owned(bytes) {
            return Some(AnswerRoom { _permit: permit });
        }
        let permit = timeout(clock, limit, free.acquire_many_owned(bytes)).await.ok()?.ok()?;
        Some(AnswerRoom { _permit: permit })
    }

    #[cfg(test)]
    fn free(&self) -> usize {
        self.free.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::RealClock;

    #[tokio::test]
    async fn clients_that_keep_their_answers_leave_room_for_the_others() {
        let budget = AnswerBudget::new(64 << 20);
        let clock = RealClock::new();
        let mut kept = Vec::new();
        for _ in 0..30 {
            let share = budget.share();
            kept.push(budget.take(share, &clock, Duration::ZERO).await.expect("room for a share"));
        }
        assert!(budget.share() >= FLOOR && budget.free() > FLOOR);
        kept.clear();
        assert_eq!(budget.free(), 64 << 20);
    }

    #[tokio::test]
    async fn without_room_a_fetch_waits_and_gives_up() {
        let budget = AnswerBudget::new(100);
        let clock = RealClock::new();
        let all = budget.take(100, &clock, Duration::ZERO).await.unwrap();
        assert!(budget.take(1, &clock, Duration::from_millis(5)).await.is_none());
        drop(all);
        assert!(budget.take(1_000, &clock, Duration::ZERO).await.is_some(), "a batch above all of it");
    }
}
