//! A broker's lease: while it holds, the metadata quorum moves nothing away from the broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::env::MonoTime;

/// The broker's right to acknowledge as a leader. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    /// On the clock of `env`; 0 when there is none.
    until: Arc<AtomicU64>,
}

impl Lease {
    /// Whether the lease holds at `now`.
    #[must_use]
    pub fn holds(&self, now: MonoTime) -> bool {
        now < self.until()
    }

    /// When it ends if nothing renews it.
    #[must_use]
    pub fn until(&self) -> MonoTime {
        MonoTime(self.until.load(Ordering::Acquire))
    }

    /// A lease up to `until`, for parts that are tested without a quorum.
    #[must_use]
    pub fn ending(until: MonoTime) -> Lease {
        Lease { until: Arc::new(AtomicU64::new(until.0)) }
    }

    pub(super) fn extend(&self, until: MonoTime) {
        self.until.fetch_max(until.0, Ordering::AcqRel);
    }

    pub(super) fn revoke(&self) {
        self.until.store(0, Ordering::Release);
    }
}
