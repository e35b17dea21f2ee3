//! Transactions that a restore leaves open: their records are in the tier, their markers were on the lost brokers. Nobody
//! coordinates them any more, so they are ended: a reader of committed data would wait for their ends for good.
//!
//! At a cut all are aborted: what is open there was open everywhere. Elsewhere those that the backup knows to be committed are
//! committed, all others aborted: also one whose markers were in the tier for some of its partitions only, where the backup does not
//! know of it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::restore::Ending;
use crate::cli::client::records::Led;
use crate::cli::client::{Client, check};
use crate::env::Env;
use crate::wire::messages::describe_producers::{DescribeProducersRequest, ProducerState, TopicRequest};
use crate::wire::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use crate::wire::{ErrorCode, StrBytes};

/// A leader that has just begun may not be ready to write.
const ATTEMPTS: usize = 150;
const PAUSE: Duration = Duration::from_millis(200);

/// How many transactions were ended, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) committed: usize,
    pub(super) aborted: usize,
}

/// Ends what was open where a partition ends (`ending` of its number; `None` where nothing of it was in the tier).
///
/// # Errors
/// What the cluster answers.
pub(super) async fn end<'a>(
    env: &Env,
    client: &mut Client,
    topic: &str,
    ending: impl Fn(i32) -> Option<Ending<'a>>,
) -> Result<Ended> {
    let mut ended = Ended::default();
    for mut led in client.led_partitions(topic).await? {
        let Some(at) = ending(led.partition) else { continue };
        let mut attempt = 1;
        loop {
            // What an attempt has ended before it failed counts.
            match end_in(client, &led, at, &mut ended).await {
                Ok(()) => break,
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => env.clock.sleep(PAUSE).await,
            }
            attempt += 1;
            // Who leads by now; not asked before it matters, since the answer names every partition.
            let all = client.led_partitions(topic).await.unwrap_or_default();
            led = all.into_iter().find(|now| now.partition == led.partition).unwrap_or(led);
        }
    }
    Ok(ended)
}

async fn end_in(client: &mut Client, led: &Led, at: Ending<'_>, ended: &mut Ended) -> Result<()> {
    let (name, partition) = (led.topic.as_str(), led.partition);
    let open = open_in(client, led, at.end).await?;
    for producer in &open {
        let topic = WritableTxnMarkerTopic { name: StrBytes::from(name), partition_indexes: vec![partition] };
        let producer_epoch = i16::try_from(producer.producer_epoch).context("a producer epoch")?;
        let commit = at.known.is_some_and(|known| known.is_committed(producer.producer_id, producer_epoch));
        let marker = WritableTxnMarker {
            producer_id: producer.producer_id,
            producer_epoch,
            transaction_result: commit,
            topics: vec![topic],
            coordinator_epoch: producer.coordinator_epoch.max(0),
            ..WritableTxnMarker::default()
        };
        let answer = client.ask_broker(led.leader, &WriteTxnMarkersRequest { markers: vec![marker] }).await?;
        let code = answer.markers.first().and_then(|m| m.topics.first()?.partitions.first());
        let code = code.context("the broker left the answer out")?.error_code;
        if code != ErrorCode::NONE {
            bail!("the transaction of producer {} in {name}-{partition}: {code}", producer.producer_id);
        }
        *(if commit { &mut ended.committed } else { &mut ended.aborted }) += 1;
    }
    Ok(())
}

/// Producers with a transaction that began below `end`.
async fn open_in(client: &mut Client, led: &Led, end: i64) -> Result<Vec<ProducerState>> {
    let topic =
        TopicRequest { name: StrBytes::from(led.topic.as_str()), partition_indexes: vec![led.partition] };
    let answer = client.ask_broker(led.leader, &DescribeProducersRequest { topics: vec![topic] }).await?;
    let found = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let found = found.context("the broker left the answer out")?;
    check(found.error_code, found.error_message.as_ref())?;
    let is_open = |producer: &ProducerState| (0..end).contains(&producer.current_txn_start_offset);
    Ok(found.active_producers.into_iter().filter(is_open).collect())
}
