//! The claim on the store: nothing is written before the store is known to be this cluster's, nor once a later life of it has
//! begun: a cluster that was taken for lost and was restored elsewhere must not publish, collect or delete any more.
//!
//! A store of another cluster is refused at the start. One that does not answer then, or whose marker cannot be read, is
//! asked again beside the running broker, so that an outage or a rotten object delays uploads and not the start.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tiering::owner::{self, OwnerError};

use super::store::ColdStore;
use crate::broker::stop::StopSignal;
use crate::env::timeout;

/// How long a start waits for the store.
const AT_START: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(5);
/// How often a broker that may write looks for a later life of its cluster (a HEAD), besides `owns_now`.
const LOOK: Duration = Duration::from_secs(30);

/// The property that says which life of the cluster this is. A restore sets it for all brokers.
pub const INCARNATION: &str = "tier.incarnation";
/// The property that says which producer ids are of lives before: a restore sets it too.
pub const FIRST_PRODUCER_ID: &str = "tier.incarnation.first.producer.id";

impl ColdStore {
    /// Whether this cluster may write to the store.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        *self.owned.borrow() && !self.is_past()
    }

    /// Whether a later life of this cluster has the store.
    pub(super) fn is_past(&self) -> bool {
        self.is_past.load(Ordering::Relaxed)
    }

    /// Which life of the cluster this is.
    fn incarnation(&self) -> u64 {
        let image = self.metadata.image();
        let set = image.broker_configs.get(&None).and_then(|configs| configs.get(INCARNATION));
        set.and_then(|value| value.trim().parse().ok()).unwrap_or(self.incarnation)
    }

    /// Asks the store whether a later life of this cluster has begun.
    ///
    /// # Errors
    /// What the store answers; what was known holds then.
    pub(super) async fn look_for_later_life(&self) -> Result<(), OwnerError> {
        let (ours, image) = (self.incarnation(), self.metadata.image());
        let is_past = owner::is_past(&*self.store, &image.cluster_id, ours).await?;
        let was_past = self.is_past.swap(is_past, Ordering::Relaxed);
        if is_past && !was_past {
            let newest = owner::newest_incarnation(&*self.store, &image.cluster_id).await.unwrap_or(ours + 1);
            tracing::error!(
                ours,
                newest,
                "the store belongs to a later incarnation of this cluster, which was restored from it: nothing is uploaded or \
                 deleted there any more. If these brokers are the ones to go on, stop the others and set {INCARNATION}={newest} \
                 for all brokers"
            );
        } else if was_past && !is_past {
            tracing::info!(ours, "the store is this incarnation's: uploads begin");
        }
        Ok(())
    }

    /// Whether this cluster may write at this moment, asked of the store: before what the epochs in the manifests do not fence. That is
    /// burying a topic and writing a backup; a segment that goes up until the next look is outlived by the later life's first
    /// publish, and a HEAD for each would cost a sixth more of all requests.
    ///
    /// # Errors
    /// What the store answers: then nothing is known, and nothing may be written.
    pub(super) async fn owns_now(&self) -> Result<bool, OwnerError> {
        if self.is_owned() {
            self.look_for_later_life().await?;
        }
        Ok(self.is_owned())
    }

    /// Makes the store this cluster's; goes on trying on the cold runtime when the store does not answer.
    ///
    /// # Errors
    /// When it is another cluster's.
    pub async fn claim(self: &Arc<Self>, stopping: StopSignal) -> Result<(), OwnerError> {
        let cold = self.clone();
        let first = self.runtime.spawn(async move { cold.try_claim().await });
        match timeout(&*self.env.clock, AT_START, first).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) if error.is_refusal() => return Err(error),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "whose store it is, is not known yet: nothing is uploaded")
            }
            Ok(Err(_)) | Err(_) => tracing::warn!("the store does not answer yet: nothing is uploaded"),
        }
        let cold = self.clone();
        self.runtime.spawn(async move {
            tokio::select! {
                () = cold.keep_looking() => {}
                () = stopping.stopped() => {}
            }
        });
        Ok(())
    }

    async fn try_claim(&self) -> Result<(), OwnerError> {
        let cluster_id = self.metadata.image().cluster_id.clone();
        owner::claim(&*self.store, &cluster_id).await?;
        self.look_for_later_life().await?;
        self.owned.send_replace(true);
        Ok(())
    }

    async fn keep_looking(&self) {
        if !*self.owned.borrow() && !self.keep_claiming().await {
            return;
        }
        loop {
            self.env.clock.sleep(if self.is_past() { PAUSE } else { LOOK }).await;
            if let Err(error) = self.look_for_later_life().await {
                tracing::debug!(%error, "which incarnation has the store is not known anew");
            }
        }
    }

    /// Whether the store is this cluster's in the end.
    async fn keep_claiming(&self) -> bool {
        loop {
            self.env.clock.sleep(PAUSE).await;
            match self.try_claim().await {
                Ok(()) => {
                    tracing::info!("the store is this cluster's: uploads begin");
                    return true;
                }
                Err(error) if error.is_refusal() => {
                    tracing::error!(%error, "the store is not this cluster's: nothing is uploaded until a restart");
                    return false;
                }
                Err(error) => {
                    tracing::warn!(%error, "whose store it is, is not known yet: nothing is uploaded")
                }
            }
        }
    }
}
