//! Transactions that a restore leaves open: their records are in the tier, their markers were on the lost brokers. Nobody
//! coordinates them any more, so they are aborted: a reader of committed data would wait for their ends for good.
//!
//! A transaction whose markers were in the tier for some of its partitions only is aborted in the others.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

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

/// Aborts what was open where the tier of a partition ends (`tier_end` of its number; `None` where it has none); how many
/// transactions that were.
///
/// # Errors
/// What the cluster answers.
pub(super) async fn abort(
    env: &Env,
    client: &mut Client,
    topic: &str,
    tier_end: impl Fn(i32) -> Option<i64>,
) -> Result<usize> {
    let mut aborted = 0;
    for mut led in client.led_partitions(topic).await? {
        let Some(end) = tier_end(led.partition) else { continue };
        let mut attempt = 1;
        aborted += loop {
            match abort_in(client, &led, end).await {
                Ok(aborted) => break aborted,
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => env.clock.sleep(PAUSE).await,
            }
            attempt += 1;
            // Who leads by now; not asked before it matters, since the answer names every partition.
            let all = client.led_partitions(topic).await.unwrap_or_default();
            led = all.into_iter().find(|now| now.partition == led.partition).unwrap_or(led);
        };
    }
    Ok(aborted)
}

async fn abort_in(client: &mut Client, led: &Led, end: i64) -> Result<usize> {
    let (name, partition) = (led.topic.as_str(), led.partition);
    let open = open_in(client, led, end).await?;
    for producer in &open {
        let topic = WritableTxnMarkerTopic { name: StrBytes::from(name), partition_indexes: vec![partition] };
        let marker = WritableTxnMarker {
            producer_id: producer.producer_id,
            producer_epoch: i16::try_from(producer.producer_epoch).context("a producer epoch")?,
            transaction_result: false,
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
    }
    Ok(open.len())
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
