//! The bytes of client requests that the broker holds at once.
//!
//! Above the budget connections are not read (TCP pushes back on their clients). A frame's bytes are reserved as they
//! come, so many half-read frames could hold all of it and wait for each other: one frame at a time may then go on
//! beyond the budget. Memory is bounded by the budget and one frame.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// The budget, shared by all connections.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    bytes: Arc<Semaphore>,
    beyond: Arc<Mutex<()>>,
}

/// Bytes reserved for one request; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    held: Vec<OwnedSemaphorePermit>,
    beyond: Option<OwnedMutexGuard<()>>,
    bytes: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        let bytes = Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Budget { bytes, beyond: Arc::new(Mutex::new(())) }
    }

    /// Nothing reserved yet.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), held: Vec::new(), beyond: None, bytes: 0 }
    }

    /// What is not taken.
    pub fn free(&self) -> usize {
        self.bytes.available_permits()
    }
}

impl Reservation {
    /// Waits until `bytes` in all are reserved. Cancelled, it keeps what it had.
    pub async fn grow_to(&mut self, bytes: usize) {
        if bytes <= self.bytes || self.beyond.is_some() {
            return;
        }
        let more = u32::try_from(bytes - self.bytes).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            permit = self.budget.bytes.clone().acquire_many_owned(more) => {
                // The semaphore is never closed.
                self.held.extend(permit);
                self.bytes = bytes;
            }
            beyond = self.budget.beyond.clone().lock_owned() => self.beyond = Some(beyond),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn above_the_budget_one_request_goes_on_and_the_others_wait() {
        let budget = Budget::new(100);
        let mut a = budget.reservation();
        a.grow_to(60).await;
        let mut b = budget.reservation();
        b.grow_to(40).await;
        assert_eq!(budget.free(), 0);
        // Both want more than there is: one of them goes beyond.
        a.grow_to(90).await;
        assert!(b.grow_to(80).now_or_never().is_none(), "only one may go beyond the budget");
        drop(a);
        b.grow_to(80).await;
        drop(b);
        assert_eq!(budget.free(), 100);
    }
}
