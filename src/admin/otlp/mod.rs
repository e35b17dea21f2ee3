//! Telemetry by OTLP over HTTP with protobuf: metrics, spans and log lines, pushed to a collector at an interval.
//!
//! A collector that is away costs nothing but what it misses: metrics are sums since the start and lose nothing, spans and lines
//! that it does not take are dropped and counted. The messages are those of the `opentelemetry-proto` crate.

mod client;
mod encode;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use self::client::Collector;
use self::encode::Origin;
use crate::broker::Broker;
use crate::broker::config::BrokerConfig;
use crate::env::Env;

pub use self::client::CollectorError;

/// Pushes what a broker tells of itself to a collector.
pub struct Exporter {
    env: Env,
    collector: Collector,
    interval: Duration,
    origin: Origin,
}

impl Exporter {
    /// As `telemetry.otlp.*` say; `None` without an endpoint. From now on spans and lines are kept for it.
    ///
    /// # Errors
    /// A URL or a file that cannot be used, by the property's name.
    pub fn open(env: &Env, config: &BrokerConfig) -> Result<Option<Exporter>, CollectorError> {
        let Some(endpoint) = config.properties.get("telemetry.otlp.endpoint") else { return Ok(None) };
        let collector = Collector::open(
            env,
            endpoint,
            config.properties.get("telemetry.otlp.headers").unwrap_or_default(),
            config.properties.get("telemetry.otlp.ca.location"),
        )?;
        env.traces.switch_on(config.number("telemetry.trace.one.in").cast_unsigned());
        Ok(Some(Exporter {
            env: env.clone(),
            collector,
            interval: config.millis("telemetry.otlp.interval.ms"),
            origin: Origin::new(config.node_id, env.clock.wall_ms()),
        }))
    }

    /// Pushes at the interval, until it is dropped.
    pub async fn run(self, broker: Arc<Broker>) {
        let mut was_away = false;
        loop {
            self.env.clock.sleep(self.interval).await;
            let outcome = self.push(&broker).await;
            match (&outcome, was_away) {
                (Err(error), false) => {
                    tracing::warn!(%error, "the collector of telemetry.otlp.endpoint takes nothing");
                }
                (Ok(()), true) => {
                    tracing::info!("the collector of telemetry.otlp.endpoint takes telemetry again")
                }
                _ => {}
            }
            was_away = outcome.is_err();
        }
    }

    async fn push(&self, broker: &Broker) -> Result<(), CollectorError> {
        let families = broker.metrics().await;
        let cluster = &broker.image().cluster_id;
        let now_ms = self.env.clock.wall_ms();
        let (spans, lines) = self.env.traces.take();
        let (span_count, line_count) = (spans.len(), lines.len());
        let metrics = self.origin.metrics(cluster, &families, now_ms).encode_to_vec();
        let sent = self.collector.post("/v1/metrics", metrics).await;
        for pushed in broker.client_metrics_waiting() {
            if let Err(error) = self.collector.post("/v1/metrics", pushed.into()).await {
                tracing::debug!(%error, "the collector does not take what a client has pushed");
                broker.client_metrics_lost();
                if !matches!(error, CollectorError::Refused(_)) {
                    break;
                }
            }
        }
        let spans = match spans.is_empty() {
            true => Ok(()),
            false => {
                self.collector.post("/v1/traces", self.origin.traces(cluster, spans).encode_to_vec()).await
            }
        };
        let lines = match lines.is_empty() {
            true => Ok(()),
            false => self.collector.post("/v1/logs", self.origin.logs(cluster, lines).encode_to_vec()).await,
        };
        self.env
            .traces
            .lost(if spans.is_err() { span_count } else { 0 }, if lines.is_err() { line_count } else { 0 });
        sent.and(spans).and(lines)
    }
}
