//! Transactional ids of a lost cluster: which of their transactions were committed, and the ids themselves in the new cluster.
//!
//! An id comes back under a producer id that nobody had, as one does whose epochs have run out (KIP-360), and not under its former one
//! with the next epoch: the backup may be minutes old, an epoch goes up with every transaction and has 16 bits, so no
//! epoch is known to be above those that were given out since. Whoever has the former producer id is fenced for good.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tiering::store::SharedStore;

use crate::broker::{Kept, PartsBackup, TransactionBackup};
use crate::cli::client::{Client, Coordinated};
use crate::cli::report::{Output, say};
use crate::env::{Env, timeout};
use crate::types::DirectoryId;
use crate::wire::messages::describe_transactions::DescribeTransactionsRequest;
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::{ErrorCode, StrBytes};

/// How long a coordinator may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// The transactional ids in a cluster's backup.
#[derive(Default)]
pub(super) struct Transactions {
    parts: PartsBackup,
    committed: BTreeSet<(i64, i16)>,
}

impl Transactions {
    /// Of the newest backup; none where an earlier program wrote it.
    ///
    /// # Errors
    /// What the store answers; a part that is damaged.
    pub(super) async fn read(
        store: &SharedStore,
        cluster_id: &str,
        directories: &BTreeSet<DirectoryId>,
    ) -> Result<Transactions> {
        let parts = PartsBackup::newest(&**store, Kept::Transactions, cluster_id, directories).await?;
        let mut committed = BTreeSet::new();
        for part in &parts.parts {
            let lines = part.read::<TransactionBackup>(&**store).await?;
            committed.extend(
                lines.iter().filter_map(TransactionBackup::committed).map(|(id, epoch)| (id.0, epoch)),
            );
        }
        Ok(Transactions { parts, committed })
    }

    /// How many ids there are.
    pub(super) fn ids(&self) -> u64 {
        self.parts.names()
    }

    /// Whether the transaction of such batches is known to have been committed.
    pub(super) fn is_committed(&self, producer_id: i64, epoch: i16) -> bool {
        self.committed.contains(&(producer_id, epoch))
    }

    /// Makes the ids known to the new cluster's coordinators; how many that were. One that is known already is left alone: an earlier
    /// attempt has brought it back, or its producer was faster.
    ///
    /// # Errors
    /// What the store or the cluster answers.
    pub(super) async fn bring_back(
        &self,
        env: &Env,
        store: &SharedStore,
        client: &mut Client,
        output: Output,
    ) -> Result<u64> {
        let mut back = 0;
        for part in &self.parts.parts {
            for id in part.read::<TransactionBackup>(&**store).await? {
                let begun = begin(env, client, &id);
                let code = timeout(&*env.clock, PATIENCE, begun)
                    .await
                    .with_context(|| format!("{} has no coordinator after {PATIENCE:?}", id.id))??;
                match code {
                    ErrorCode::NONE => back += 1,
                    // Its producer says again how long its transactions may be open.
                    ErrorCode::INVALID_TRANSACTION_TIMEOUT => {
                        let ms = id.timeout_ms;
                        let told = "above these brokers' transaction.max.timeout.ms: the id begins anew";
                        say(
                            output,
                            &format!("transactional id {}: its time-out of {ms} ms is {told}", id.id),
                        );
                    }
                    code => bail!("transactional id {}: {code}", id.id),
                }
            }
        }
        Ok(back)
    }
}

/// Begins an id unless its coordinator knows it; waits for the coordinator to be there.
async fn begin(env: &Env, client: &mut Client, id: &TransactionBackup) -> Result<ErrorCode> {
    loop {
        match try_begin(client, id).await? {
            code if code.is_retriable() => env.clock.sleep(PAUSE).await,
            code => return Ok(code),
        }
    }
}

async fn try_begin(client: &mut Client, id: &TransactionBackup) -> Result<ErrorCode> {
    let node = match client.coordinator(Coordinated::Transaction, &id.id).await? {
        Ok(node) => node,
        Err(code) => return Ok(code),
    };
    let name = StrBytes::from(id.id.as_str());
    let describe = DescribeTransactionsRequest { transactional_ids: vec![name.clone()] };
    let described = client.ask_broker(node, &describe).await?;
    let described = described.transaction_states.first().context("the broker left the answer out")?;
    if described.error_code != ErrorCode::TRANSACTIONAL_ID_NOT_FOUND {
        return Ok(described.error_code);
    }
    let init = InitProducerIdRequest {
        transactional_id: Some(name),
        transaction_timeout_ms: id.timeout_ms,
        ..InitProducerIdRequest::default()
    };
    Ok(client.ask_broker(node, &init).await?.error_code)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tiering::backup;
    use tiering::store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn what_was_committed_is_known_and_of_a_backup_of_an_earlier_program_nothing() {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let read = async || Transactions::read(&store, "c", &BTreeSet::new()).await.unwrap();
        // As a program wrote it that knew of no transactional ids.
        let groups = Bytes::from_static(br#"{"parts":[]}"#);
        backup::write(&*store, "c/cluster/groups/1/", &groups).await.unwrap();
        let none = read().await;
        assert_eq!((none.ids(), none.is_committed(7, 3)), (0, false));

        let lines = ["PrepareCommit", "CompleteAbort"].into_iter().zip([7, 8]).map(|(state, producer)| {
            format!(
                r#"{{"id":"{state}","producer_id":{producer},"previous_producer_id":-1,"epoch":4,"timeout_ms":60000,"state":"{state}","client_version":2,"partitions":{{}}}}"#
            )
        });
        let part = Bytes::from(lines.collect::<Vec<_>>().join("\n"));
        backup::write_part(&*store, "c/cluster/transaction-parts/1/x", &part).await.unwrap();
        let index = Bytes::from_static(
            br#"{"parts":[{"partition":0,"epoch":1,"groups":2,"offsets":0,"object":"c/cluster/transaction-parts/1/x"}]}"#,
        );
        backup::write(&*store, "c/cluster/transactions/1/", &index).await.unwrap();
        let known = read().await;
        assert_eq!(known.ids(), 2);
        assert!(known.is_committed(7, 3));
        assert!(!known.is_committed(7, 4), "the next one of the same producer is not known");
        assert!(!known.is_committed(8, 3), "the control: an aborted one");
    }
}
