//! A replica that cannot go on: its log or its directory has failed, or its bytes are not what they were. What the quorum is told, and when it
//! may take up a role again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::{Replica, Role, State, lead};
use crate::log::{Log, LogError};
use crate::metadata::{Command, IsrMember};

/// A follower that went offline for something that may pass tries again after this.
const PAUSE_OFFLINE: Duration = Duration::from_secs(1);

impl Replica {
    /// Bytes below the log end are not what they were. Where others in the ISR have them, this copy steps aside and is
    /// rebuilt; the only one goes on with what can be read.
    pub fn found_corrupt(self: &Arc<Self>, error: &LogError) {
        let log = self.log();
        let effects = {
            let mut state = self.state.lock();
            let others = match &state.role {
                Role::Leader(leader) => leader.isr().len() > 1,
                Role::Follower(_) => true,
                Role::Offline => false,
            };
            if !others {
                tracing::error!(partition = %self.partition, "the only copy is damaged: {error}");
                return;
            }
            self.go_offline(&mut state, error, true)
        };
        drop(log);
        self.finish(effects);
    }

    /// Something that was to be done with this copy has panicked, so that the log and the state may be half changed: only opening
    /// it again tells what is there. Runs on a disk thread.
    pub(super) fn give_up(self: &Arc<Self>) {
        let given_up = catch_unwind(AssertUnwindSafe(|| {
            let mut log = self.log();
            log.give_up();
            let effects = self.go_offline(&mut self.state.lock(), &"something panicked over it", true);
            drop(log);
            self.finish(effects);
        }));
        if given_up.is_err() {
            tracing::error!(partition = %self.partition, "cannot go offline after a panic");
        }
    }

    /// The quorum has taken this copy out of ISR and ELR.
    pub(in crate::replication) fn loss_is_known(&self) {
        self.state.lock().loss_is_known = true;
    }

    /// Whether it must not take up a role while an image counts on it.
    pub(in crate::replication) fn is_lost(&self) -> bool {
        self.state.lock().lost
    }

    /// Whether it is out of service and may take up a role again under the same leader epoch.
    pub(in crate::replication) fn needs_role(&self) -> bool {
        let state = self.state.lock();
        !state.stranded && (state.retry || (state.lost && state.loss_is_known))
    }

    /// The device under its directory has failed: no role any more in this life. Runs on a disk thread.
    pub(in crate::replication) fn strand(self: &Arc<Self>, reason: &str) {
        let log = self.log();
        let effects = {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.stranded, true) {
                return;
            }
            tracing::error!(partition = %self.partition, "its log directory has failed: {reason}");
            let effects = self.leave_role(&mut state);
            self.publish(&mut state);
            effects
        };
        drop(log);
        self.finish(effects);
    }

    /// Whether the device under its directory has failed.
    #[must_use]
    pub fn is_stranded(&self) -> bool {
        self.state.lock().stranded
    }

    /// A role has begun, or the image has none for it.
    pub(super) fn role_begun(state: &mut State) {
        state.lost = false;
        state.loss_is_known = false;
        state.retry = false;
    }

    /// The log has failed: out of service until the next leader epoch, and the quorum is told. The caller holds both
    /// locks.
    pub(super) fn log_failed(
        self: &Arc<Self>,
        log: &Log,
        state: &mut State,
        error: &LogError,
    ) -> lead::Effects {
        // The first failed fsync says what it is itself; from then on the log is broken.
        let lost = log.is_broken() || matches!(error, LogError::Broken | LogError::Corrupt { .. });
        self.go_offline(state, error, lost)
    }

    /// Out of service until the next leader epoch. `lost`: the copy can't be trusted; else only the write has failed.
    pub(super) fn go_offline(
        self: &Arc<Self>,
        state: &mut State,
        reason: &dyn std::fmt::Display,
        lost: bool,
    ) -> lead::Effects {
        let epoch = state.positions.leader_epoch;
        tracing::error!(partition = %self.partition, %epoch, "replica goes offline: {reason}");
        let led = matches!(state.role, Role::Leader(_));
        let mut effects = self.leave_role(state);
        self.publish(state);
        let broker = self.context.config.node_id;
        let (topic, partition) = (self.topic_id, self.partition.partition);
        if let Some(broker_epoch) = self.context.broker_epoch() {
            if lost {
                state.lost = true;
                state.loss_is_known = false;
                let partitions = vec![(topic, partition)];
                effects.tell(Command::LoseReplicas {
                    broker,
                    epoch: broker_epoch,
                    partitions,
                    stays_known: true,
                });
            } else if led {
                let leader = IsrMember { broker, epoch: broker_epoch };
                effects.tell(Command::Resign {
                    topic,
                    partition,
                    leader,
                    leader_epoch: epoch,
                    in_turn: true,
                });
            }
        }
        if !lost && !led {
            let (replica, context) = (Arc::downgrade(self), self.context.clone());
            self.context.runtime.spawn(async move {
                context.clock.sleep(PAUSE_OFFLINE).await;
                if let Some(replica) = replica.upgrade() {
                    let mut state = replica.state.lock();
                    state.retry = matches!(state.role, Role::Offline);
                }
                context.again.notify_one();
            });
        }
        effects
    }
}
