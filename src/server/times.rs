//! How long requests take, by API and stage.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::env::metrics::{Histogram, Metrics, REQUEST_SECONDS};
use crate::wire::ApiKey;

/// A stage of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Whole, and not yet begun: answers before it, another fetch, or a quota hold it back.
    Queue,
    /// From its begin to its answer.
    Handle,
    /// The answer's way into the client's socket.
    Send,
    /// All of it.
    Total,
}

const STAGES: [&str; 4] = ["queue", "handle", "send", "total"];
/// More than the largest key of an API.
const KEYS: usize = 128;

/// The histograms, each made when it is first used.
#[derive(Debug)]
pub(super) struct Times {
    metrics: Arc<Metrics>,
    slots: Vec<[OnceLock<Histogram>; STAGES.len()]>,
}

impl Times {
    pub fn new(metrics: Arc<Metrics>) -> Times {
        Times { metrics, slots: (0..KEYS).map(|_| std::array::from_fn(|_| OnceLock::new())).collect() }
    }

    /// Counts the time of one stage of one request; of keys that are not served nothing is counted.
    pub fn record(&self, key: ApiKey, stage: Stage, time: Duration) {
        let Some(slots) = usize::try_from(key.key()).ok().and_then(|key| self.slots.get(key)) else { return };
        let name = STAGES[stage as usize];
        let make = || self.metrics.histogram(REQUEST_SECONDS, &[&format!("{key:?}"), name]);
        slots[stage as usize].get_or_init(make).record(time);
    }
}
