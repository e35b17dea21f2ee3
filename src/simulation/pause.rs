//! Processes that stand still for a while, as by SIGSTOP: their timers, the jobs of their threads, their frames and requests
//! wait until they go on. Time does not: on their clocks it has passed then.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::env::sim::VirtualClock;
use crate::env::{Clock, MonoTime};

/// What a process must pass before it does anything; cheap to clone.
#[derive(Clone)]
pub(super) struct Gate(watch::Sender<bool>);

impl Gate {
    /// An open one.
    pub fn new() -> Gate {
        Gate(watch::Sender::new(true))
    }

    /// The process stands still.
    pub fn close(&self) {
        self.0.send_replace(false);
    }

    /// It goes on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits while the process stands still.
    pub async fn pass(&self) {
        if self.is_open() {
            return;
        }
        let mut open = self.0.subscribe();
        if open.wait_for(|open| *open).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The clock of a machine, as a process on it sees it.
pub(super) struct ProcessClock {
    pub machine: Arc<VirtualClock>,
    pub gate: Gate,
}

impl Clock for ProcessClock {
    fn now(&self) -> MonoTime {
        self.machine.now()
    }

    fn wall_ms(&self) -> i64 {
        self.machine.wall_ms()
    }

    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()> {
        let (slept, gate) = (self.machine.sleep_until(deadline), self.gate.clone());
        Box::pin(async move {
            slept.await;
            gate.pass().await;
        })
    }
}
