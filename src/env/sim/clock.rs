//! A clock that stands still until it is advanced.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::env::{Clock, MonoTime};

/// Time that moves only by `advance`: whoever sleeps wakes, in the order of the deadlines, when it passes them.
pub struct ManualClock {
    state: std::sync::Arc<Mutex<State>>,
}

struct State {
    now: MonoTime,
    wall_ms_at_zero: i64,
    sleepers: BTreeMap<(MonoTime, u64), oneshot::Sender<()>>,
    next_sleeper: u64,
}

impl ManualClock {
    /// A clock whose monotonic time is zero when the wall clock shows `wall_ms`.
    #[must_use]
    pub fn new(wall_ms: i64) -> ManualClock {
        let state =
            State { now: MonoTime(0), wall_ms_at_zero: wall_ms, sleepers: BTreeMap::new(), next_sleeper: 0 };
        ManualClock { state: std::sync::Arc::new(Mutex::new(state)) }
    }

    /// Moves time on and wakes whoever is due. Sleepers that give up before are forgotten.
    pub fn advance(&self, by: Duration) {
        let now = self.now() + by;
        self.advance_to(now);
    }

    /// Moves time on to a point; never back.
    pub fn advance_to(&self, to: MonoTime) {
        let due = {
            let mut state = self.state.lock();
            state.now = state.now.max(to);
            let first_later = MonoTime(state.now.0.saturating_add(1));
            let later = state.sleepers.split_off(&(first_later, 0));
            std::mem::replace(&mut state.sleepers, later)
        };
        for (_, sleeper) in due {
            // The sleeper may have given up.
            let _ = sleeper.send(());
        }
    }

    /// When the next sleeper is due. A simulator advances to it when nothing else can run.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoTime> {
        let mut state = self.state.lock();
        state.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        state.sleepers.keys().next().map(|(deadline, _)| *deadline)
    }

    /// Makes the wall clock jump, back or forth; the monotonic clock does not notice.
    pub fn jump_wall(&self, by_ms: i64) {
        self.state.lock().wall_ms_at_zero += by_ms;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> MonoTime {
        self.state.lock().now
    }

    fn wall_ms(&self) -> i64 {
        let state = self.state.lock();
        state.wall_ms_at_zero + i64::try_from(state.now.0 / 1_000_000).unwrap_or(i64::MAX)
    }

    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock();
        if deadline <= state.now {
            return Box::pin(std::future::ready(()));
        }
        let (sender, receiver) = oneshot::channel();
        let id = state.next_sleeper;
        state.next_sleeper += 1;
        state.sleepers.insert((deadline, id), sender);
        Box::pin(async move {
            // An error means that the clock itself is gone: time stands still for ever.
            if receiver.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::env::timeout;

    #[tokio::test]
    async fn sleepers_wake_when_time_passes_their_deadline_and_not_before() {
        let clock = Arc::new(ManualClock::new(1_000));
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [30u64, 10, 20]
            .into_iter()
            .map(|ms| {
                let (clock, order) = (clock.clone(), order.clone());
                tokio::spawn(async move {
                    clock.sleep(Duration::from_millis(ms)).await;
                    order.lock().push(ms);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(clock.next_deadline(), Some(MonoTime(10_000_000)));
        clock.advance(Duration::from_millis(20));
        tokio::task::yield_now().await;
        assert_eq!(*order.lock(), [10, 20]);
        assert_eq!(clock.wall_ms(), 1_020);
        clock.advance(Duration::from_millis(10));
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), [10, 20, 30]);
    }

    #[tokio::test]
    async fn a_sleeper_that_gave_up_is_no_deadline() {
        let clock = ManualClock::new(0);
        drop(clock.sleep(Duration::from_secs(1)));
        assert_eq!(clock.next_deadline(), None);
    }

    #[tokio::test]
    async fn the_wall_jumps_and_time_outs_do_not_care() {
        let clock = Arc::new(ManualClock::new(0));
        let waiting = {
            let clock = clock.clone();
            tokio::spawn(async move {
                timeout(clock.as_ref(), Duration::from_secs(1), std::future::pending::<()>()).await
            })
        };
        tokio::task::yield_now().await;
        clock.jump_wall(-86_400_000);
        assert_eq!(clock.wall_ms(), -86_400_000);
        clock.advance(Duration::from_millis(999));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_millis(1));
        assert!(waiting.await.unwrap().is_err());
    }
}
