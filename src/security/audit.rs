//! The audit log: who authenticated or failed to, what was denied, what was changed.
//!
//! Events go to the `tracing` target [`TARGET`], which `esker server` writes to a file of its own when
//! `audit.log.path` is set. Each kind of event is bounded in its rate: what a client repeats in a loop cannot fill the
//! disk. What was left out is counted and said. Secrets never come here: events carry names only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Principal;
use crate::env::{Clock, MonoTime};
use crate::metadata::{AclOperation, ResourceKind};

/// The target of the audit log's events.
pub const TARGET: &str = "esker::audit";
/// Events of one kind in a second.
const PER_SECOND: u32 = 100;
/// The most of a name that came from a client.
const MAX_NAME: usize = 256;

/// Who acts.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// As whom.
    pub principal: &'a Principal,
    /// From where.
    pub address: SocketAddr,
    /// By which listener.
    pub listener: &'a str,
}

/// What is worth a line.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A client has proved who it is.
    Authenticated {
        /// Who it is now.
        client: &'a Caller<'a>,
        /// By which means.
        mechanism: &'a str,
    },
    /// A client has failed to.
    AuthenticationFailed {
        /// From where.
        address: SocketAddr,
        /// By which listener.
        listener: &'a str,
        /// Why, with the user it claimed to be.
        why: &'a str,
    },
    /// A client may not do what it asked for.
    Denied {
        /// Who asked.
        client: &'a Caller<'a>,
        /// For what.
        operation: AclOperation,
        /// On what kind of resource.
        kind: ResourceKind,
        /// On which one.
        name: &'a str,
    },
    /// A client changes the cluster.
    Changed {
        /// Who.
        client: &'a Caller<'a>,
        /// By which API.
        api: &'a str,
        /// What: names, no values.
        what: &'a str,
        /// The error that it ended with, if any.
        error: Option<&'a str>,
    },
}

impl Event<'_> {
    fn class(&self) -> usize {
        match self {
            Event::Authenticated { .. } => 0,
            Event::AuthenticationFailed { .. } => 1,
            Event::Denied { .. } => 2,
            Event::Changed { .. } => 3,
        }
    }
}

const CLASSES: [&str; 4] = ["authenticated", "authentication failed", "denied", "changed"];

/// The audit log of one broker.
pub struct Audit {
    clock: Arc<dyn Clock>,
    windows: Mutex<[Window; CLASSES.len()]>,
    left_out: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct Window {
    began: Option<MonoTime>,
    told: u32,
    left_out: u64,
}

impl Audit {
    /// Of one broker.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Audit {
        Audit { clock, windows: Mutex::default(), left_out: AtomicU64::new(0) }
    }

    /// Events that were too many, since start.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Writes a line, unless there were too many of its kind in this second.
    pub fn tell(&self, event: &Event<'_>) {
        let class = event.class();
        let Some(left_out) = self.admit(class) else { return };
        if left_out > 0 {
            tracing::warn!(target: TARGET, kind = CLASSES[class], left_out, "events were too many and are left out");
        }
        match event {
            Event::Authenticated { client, mechanism } => {
                tracing::info!(target: TARGET, principal = %client.principal, address = %client.address,
                    listener = client.listener, mechanism, "authenticated");
            }
            Event::AuthenticationFailed { address, listener, why } => {
                tracing::warn!(target: TARGET, %address, listener, why = short(why), "authentication failed");
            }
            Event::Denied { client, operation, kind, name } => {
                tracing::warn!(target: TARGET, principal = %client.principal, address = %client.address,
                    listener = client.listener, ?operation, resource = ?kind, name = short(name), "denied");
            }
            Event::Changed { client, api, what, error } => {
                tracing::info!(target: TARGET, principal = %client.principal, address = %client.address,
                    listener = client.listener, api, what = short(what), error, "changed");
            }
        }
    }

    /// Whether one more event of the kind is told; and how many were left out before it.
    fn admit(&self, class: usize) -> Option<u64> {
        let now = self.clock.now();
        let mut windows = self.windows.lock();
        let window = &mut windows[class];
        let over = window.began.is_none_or(|began| now.since(began).as_secs() >= 1);
        if over {
            let left_out = window.left_out;
            *window = Window { began: Some(now), told: 1, left_out: 0 };
            return Some(left_out);
        }
        if window.told < PER_SECOND {
            window.told += 1;
            return Some(0);
        }
        window.left_out += 1;
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// What came from a client is cut, and its control characters cannot begin a line of their own.
fn short(text: &str) -> String {
    text.chars().take(MAX_NAME).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::env::sim::ManualClock;

    #[test]
    fn a_flood_of_one_kind_is_counted_and_leaves_the_others_alone() {
        let clock = Arc::new(ManualClock::new(0));
        let audit = Audit::new(clock.clone());
        let told = (0..1000).filter(|_| audit.admit(2).is_some()).count();
        assert_eq!(told, PER_SECOND as usize);
        assert_eq!(audit.left_out(), 900);
        assert_eq!(audit.admit(1), Some(0));
        clock.advance(Duration::from_secs(1));
        assert_eq!(audit.admit(2), Some(900));
        assert_eq!(audit.admit(2), Some(0));
    }

    #[test]
    fn names_of_clients_are_cut_and_stay_on_their_line() {
        assert_eq!(short("a\nb"), "a\\nb");
        assert_eq!(short(&"x".repeat(1000)).len(), MAX_NAME);
    }
}
