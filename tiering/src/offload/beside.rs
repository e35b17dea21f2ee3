//! What goes on beside an upload: somebody may wait for a manifest, and an upload may be long about it.

use futures::future::{BoxFuture, Either, select};

use super::{Ambient, LeaderLog, OffloadError, Offloader};
use crate::plan::{Action, Local, Policy, View};

impl Offloader {
    /// Whether what begins here still goes on from where the tier ends, as this leader has it.
    pub(super) fn continues_at(&self, from: i64, local: &Local) -> bool {
        let view = View::new(self.tier.manifest(), &self.tier, &local.chain);
        let end = view.continues_at(local.log_start, &self.tier.pending);
        self.attempt.is_none() && self.tier.head.is_some() && end == from
    }

    /// Waits for an upload, and brings a log start that somebody waits for into the manifest beside it.
    pub(super) async fn beside<T: Send>(
        &mut self,
        mut upload: BoxFuture<'_, T>,
        log: &dyn LeaderLog,
        policy: &Policy,
        ambient: &dyn Ambient,
    ) -> Result<T, OffloadError> {
        let policy = Policy { awaited: true, ..*policy };
        let done = loop {
            upload = match select(upload, log.manifest_is_wanted()).await {
                Either::Left((done, _)) => break done,
                Either::Right(((), upload)) => upload,
            };
            // It is none that was given up.
            let uploading = self.uploading.take();
            let (carried, done) = match select(upload, self.carry(log, &policy, ambient)).await {
                Either::Left((done, carrying)) => (carrying.await, Either::Left(done)),
                Either::Right((carried, upload)) => (carried, Either::Right(upload)),
            };
            self.uploading = uploading;
            match (carried, done) {
                (Err(error), _) if error.is_final() || matches!(error, OffloadError::Deposed) => {
                    return Err(error);
                }
                (_, Either::Left(done)) => break done,
                (Ok(()), Either::Right(going_on)) => upload = going_on,
                (Err(error), Either::Right(going_on)) => {
                    tracing::warn!(folder = %self.folder, %error, "a log start is published after the upload on its way");
                    break going_on.await;
                }
            }
        };
        Ok(done)
    }

    /// Step after step until the manifest carries the log start, and says so.
    fn carry<'a>(
        &'a mut self,
        log: &'a dyn LeaderLog,
        policy: &'a Policy,
        ambient: &'a dyn Ambient,
    ) -> BoxFuture<'a, Result<(), OffloadError>> {
        Box::pin(async move {
            while self.step(log, policy, ambient).await? != Action::Idle {}
            if let Some(log_start) = self.carried {
                log.carries(log_start);
            }
            Ok(())
        })
    }
}
