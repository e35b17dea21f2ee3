//! The claim on the store: nothing is written before the store is known to be this cluster's.
//!
//! A store of another cluster is refused at the start. One that does not answer then is asked again beside the running
//! broker, so that an outage delays uploads and not the start.

use std::sync::Arc;
use std::time::Duration;

use tiering::owner::{self, OwnerError};

use super::store::ColdStore;
use crate::broker::stop::StopSignal;
use crate::env::timeout;

/// How long a start waits for the store.
const AT_START: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(5);

impl ColdStore {
    /// Whether this cluster may write to the store.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        *self.owned.borrow()
    }

    /// Makes the store this cluster's; goes on trying on the cold runtime when the store does not answer.
    ///
    /// # Errors
    /// When it is another cluster's.
    pub async fn claim(self: &Arc<Self>, stopping: StopSignal) -> Result<(), OwnerError> {
        let cold = self.clone();
        let first = self.runtime.spawn(async move { cold.try_claim().await });
        match timeout(&*self.env.clock, AT_START, first).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) if error.is_refusal() => return Err(error),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "whose store it is, is not known yet: nothing is uploaded")
            }
            Ok(Err(_)) | Err(_) => tracing::warn!("the store does not answer yet: nothing is uploaded"),
        }
        let cold = self.clone();
        self.runtime.spawn(async move {
            tokio::select! {
                () = cold.keep_claiming() => {}
                () = stopping.stopped() => {}
            }
        });
        Ok(())
    }

    async fn try_claim(&self) -> Result<(), OwnerError> {
        let cluster_id = self.metadata.image().cluster_id.clone();
        owner::claim(&*self.store, &cluster_id).await?;
        self.owned.send_replace(true);
        Ok(())
    }

    async fn keep_claiming(&self) {
        loop {
            self.env.clock.sleep(PAUSE).await;
            match self.try_claim().await {
                Ok(()) => return tracing::info!("the store is this cluster's: uploads begin"),
                Err(error) if error.is_refusal() => {
                    return tracing::error!(%error, "the store is not this cluster's: nothing is uploaded until a restart");
                }
                Err(error) => {
                    tracing::warn!(%error, "whose store it is, is not known yet: nothing is uploaded")
                }
            }
        }
    }
}
