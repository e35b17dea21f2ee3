//! Metrics that clients push (KIP-714): who may push when, and what waits for the exporter to the collector.
//!
//! A client asks for its subscription, and then pushes once an interval. What it pushes is OTLP already; it is looked at,
//! marked with who sent it, and kept until the exporter takes it. Without a collector it is counted and dropped.
//!
//! Memory: at most [`MAX_INSTANCES`] clients are known, the one that was silent longest makes room; at most
//! [`MAX_WAITING_BYTES`] wait for the exporter; one push is looked at at a time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::resource::v1::Resource;
use parking_lot::Mutex;
use prost::Message as _;
use uuid::Uuid;

use super::Broker;
use super::client_metrics::{ClientIdentity, Subscription};
use crate::env::MonoTime;
use crate::env::metrics::{
    CLIENT_TELEMETRY_BYTES, CLIENT_TELEMETRY_INSTANCES, CLIENT_TELEMETRY_PUSHES, Snapshot,
};

/// Clients that are known at once (as many as Kafka remembers).
const MAX_INSTANCES: usize = 16_384;
/// Bytes of pushes that wait for the exporter.
const MAX_WAITING_BYTES: usize = 8 << 20;
/// A client that has been silent for three intervals, and at least so long, is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Why a client's request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    /// A push without an instance id, or after the last one.
    #[error("no push is expected of this client")]
    Unexpected,
    /// Before the interval is over.
    #[error("it came before the push interval was over")]
    TooSoon,
    /// The subscription has changed, or the client has never asked for it.
    #[error("the subscription id is not the client's current one")]
    UnknownSubscription,
    /// More than `telemetry.max.bytes`.
    #[error("it is larger than telemetry.max.bytes")]
    TooLarge,
    /// No metrics in OTLP.
    #[error("it is not metrics in OTLP")]
    Malformed,
}

/// What became of pushes, as a label of the metric.
const OUTCOMES: [&str; 4] = ["taken", "dropped", "refused", "lost"];

#[derive(Debug)]
struct Instance {
    asked: Option<MonoTime>,
    pushed: Option<MonoTime>,
    seen: MonoTime,
    interval: Duration,
    /// The last subscription that it was told.
    told: Option<i32>,
    ended: bool,
}

/// All clients that push to this broker.
#[derive(Debug, Default)]
struct Instances {
    known: HashMap<Uuid, Instance>,
}

impl Instances {
    /// The instance, made if it is new.
    fn of(&mut self, id: Uuid, interval: Duration, now: MonoTime) -> &mut Instance {
        if !self.known.contains_key(&id) && self.known.len() >= MAX_INSTANCES {
            self.known.retain(|_, known| now.since(known.seen) < (known.interval * 3).max(FORGOTTEN_AFTER));
            if self.known.len() >= MAX_INSTANCES
                && let Some(oldest) = self.known.iter().min_by_key(|(_, known)| known.seen).map(|(id, _)| *id)
            {
                self.known.remove(&oldest);
            }
        }
        let instance = self.known.entry(id).or_insert_with(|| Instance {
            asked: None,
            pushed: None,
            seen: now,
            interval,
            told: None,
            ended: false,
        });
        instance.seen = now;
        instance.interval = interval;
        instance
    }

    /// A client asks for its subscription: once an interval, or when it has changed.
    fn ask(&mut self, id: Uuid, current: &Subscription, now: MonoTime) -> Result<(), TelemetryError> {
        let interval = interval_of(current);
        let instance = self.of(id, interval, now);
        let last = instance.asked.max(instance.pushed);
        let early = last.is_some_and(|last| now.since(last) < interval);
        if early && instance.told == Some(current.id) {
            return Err(TelemetryError::TooSoon);
        }
        instance.asked = Some(now);
        instance.told = Some(current.id);
        Ok(())
    }

    /// A client pushes: once an interval, and once more when it ends. The first push may follow its question at once.
    fn push(
        &mut self,
        id: Uuid,
        current: &Subscription,
        claimed: i32,
        terminating: bool,
        now: MonoTime,
    ) -> Result<(), TelemetryError> {
        let interval = interval_of(current);
        let instance = self.of(id, interval, now);
        if instance.ended {
            return Err(TelemetryError::Unexpected);
        }
        instance.ended = terminating;
        let early = instance.pushed.is_some_and(|last| now.since(last) < interval);
        if early && !terminating {
            return Err(TelemetryError::TooSoon);
        }
        if claimed != current.id {
            // It may ask again at once.
            instance.told = None;
            return Err(TelemetryError::UnknownSubscription);
        }
        instance.pushed = Some(now);
        Ok(())
    }
}

fn interval_of(subscription: &Subscription) -> Duration {
    Duration::from_millis(u64::try_from(subscription.interval_ms).unwrap_or(0))
}

/// What waits for the exporter.
#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Bytes>,
    bytes: usize,
}

/// The metrics of clients on this broker.
#[derive(Debug, Default)]
pub(super) struct ClientTelemetry {
    instances: Mutex<Instances>,
    /// `None`: there is no collector.
    waiting: Mutex<Option<Waiting>>,
    /// Pushes by what became of them, and bytes.
    counts: Mutex<([u64; 4], u64)>,
    /// One push is decoded at a time: its structures may take many times its bytes.
    decoding: Mutex<()>,
}

impl ClientTelemetry {
    fn count(&self, outcome: usize, bytes: usize) {
        let mut counts = self.counts.lock();
        counts.0[outcome] += 1;
        counts.1 += bytes as u64;
    }

    fn take_in(&self, client: &ClientIdentity, metrics: &Bytes) -> Result<(), TelemetryError> {
        let marked = {
            let _alone = self.decoding.lock();
            marked(client, metrics).ok_or(TelemetryError::Malformed)?
        };
        let mut waiting = self.waiting.lock();
        let kept = match &mut *waiting {
            Some(waiting) if waiting.bytes + marked.len() <= MAX_WAITING_BYTES => {
                waiting.bytes += marked.len();
                waiting.messages.push_back(marked);
                true
            }
            _ => false,
        };
        self.count(usize::from(!kept), metrics.len());
        Ok(())
    }

    pub(super) fn tell(&self, out: &mut Snapshot) {
        let (pushes, bytes) = *self.counts.lock();
        for (outcome, count) in OUTCOMES.iter().zip(pushes) {
            out.count(CLIENT_TELEMETRY_PUSHES, &[outcome], count);
        }
        out.count(CLIENT_TELEMETRY_BYTES, &[], bytes);
        out.level(CLIENT_TELEMETRY_INSTANCES, &[], self.instances.lock().known.len() as f64);
    }
}

/// The same metrics, each resource with who sent it. `None` when it is not metrics in OTLP.
fn marked(client: &ClientIdentity, metrics: &Bytes) -> Option<Bytes> {
    let mut data = MetricsData::decode(metrics.clone()).ok()?;
    let attribute = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    };
    for resource in &mut data.resource_metrics {
        let resource = resource.resource.get_or_insert_with(Resource::default);
        resource.attributes.extend([
            attribute("client_instance_id", &client.instance.to_string()),
            attribute("client_id", &client.client_id),
            attribute("client_software_name", &client.software.0),
            attribute("client_software_version", &client.software.1),
            attribute("client_source_address", &client.address.ip().to_string()),
        ]);
    }
    Some(data.encode_to_vec().into())
}

impl Broker {
    /// A client asks for its subscription.
    ///
    /// # Errors
    /// `TooSoon`.
    pub fn ask_for_subscription(&self, client: &ClientIdentity) -> Result<Subscription, TelemetryError> {
        let current = self.client_subscription(client);
        let now = self.env.clock.now();
        self.client_telemetry.instances.lock().ask(client.instance, &current, now)?;
        Ok(current)
    }

    /// Whether a client may push now.
    ///
    /// # Errors
    /// All but `Malformed`.
    pub fn admit_push(
        &self,
        client: &ClientIdentity,
        subscription: i32,
        terminating: bool,
        bytes: usize,
    ) -> Result<(), TelemetryError> {
        let telemetry = &self.client_telemetry;
        let now = self.env.clock.now();
        let outcome = if client.instance.is_nil() {
            Err(TelemetryError::Unexpected)
        } else {
            let current = self.client_subscription(client);
            telemetry.instances.lock().push(client.instance, &current, subscription, terminating, now)
        };
        let too_large = bytes > self.live().config.size("telemetry.max.bytes");
        let outcome = outcome.and(if too_large { Err(TelemetryError::TooLarge) } else { Ok(()) });
        if outcome.is_err() {
            telemetry.count(2, 0);
        }
        outcome
    }

    /// Takes what a client has pushed, uncompressed: it waits for the exporter, or is only counted.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn take_client_metrics(
        &self,
        client: &ClientIdentity,
        metrics: &Bytes,
    ) -> Result<(), TelemetryError> {
        let taken = self.client_telemetry.take_in(client, metrics);
        if taken.is_err() {
            self.client_telemetry.count(2, 0);
        }
        taken
    }

    /// From now on what clients push is kept for an exporter.
    pub fn keep_client_metrics(&self) {
        self.client_telemetry.waiting.lock().get_or_insert_default();
    }

    /// A push did not reach the collector.
    pub fn client_metrics_lost(&self) {
        self.client_telemetry.count(3, 0);
    }

    /// What clients have pushed since the last time, each an OTLP message.
    #[must_use]
    pub fn client_metrics_waiting(&self) -> Vec<Bytes> {
        let mut waiting = self.client_telemetry.waiting.lock();
        let Some(waiting) = &mut *waiting else { return Vec::new() };
        std::mem::take(waiting).messages.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> MonoTime {
        MonoTime::default() + SECOND * u32::try_from(seconds).unwrap()
    }

    fn subscription(id: i32) -> Subscription {
        Subscription { id, interval_ms: 10_000, metrics: vec!["*".into()] }
    }

    fn client(id: u128) -> ClientIdentity {
        ClientIdentity {
            instance: Uuid::from_u128(id),
            client_id: "c".into(),
            software: ("s".into(), "1".into()),
            address: ([127, 0, 0, 1], 5000).into(),
        }
    }

    #[test]
    fn a_client_pushes_once_an_interval_and_once_more_when_it_ends() {
        let mut all = Instances::default();
        let (id, current) = (Uuid::from_u128(1), subscription(5));
        assert_eq!(all.ask(id, &current, at(0)), Ok(()));
        assert_eq!(all.ask(id, &current, at(1)), Err(TelemetryError::TooSoon));
        assert_eq!(all.push(id, &current, 5, false, at(2)), Ok(()));
        assert_eq!(all.push(id, &current, 5, false, at(3)), Err(TelemetryError::TooSoon));
        assert_eq!(all.push(id, &current, 5, false, at(12)), Ok(()));
        assert_eq!(all.push(id, &current, 5, true, at(13)), Ok(()));
        assert_eq!(all.push(id, &current, 5, false, at(99)), Err(TelemetryError::Unexpected));
    }

    #[test]
    fn a_subscription_that_has_changed_is_asked_for_at_once() {
        let mut all = Instances::default();
        let id = Uuid::from_u128(1);
        assert_eq!(all.ask(id, &subscription(5), at(0)), Ok(()));
        assert_eq!(all.push(id, &subscription(6), 5, false, at(1)), Err(TelemetryError::UnknownSubscription));
        assert_eq!(all.ask(id, &subscription(6), at(1)), Ok(()));
        assert_eq!(all.push(id, &subscription(6), 6, false, at(1)), Ok(()));
    }

    #[test]
    fn clients_without_number_take_a_bounded_memory() {
        let mut all = Instances::default();
        for i in 0..MAX_INSTANCES as u64 + 10 {
            let when = if i == 0 { at(0) } else { at(1 + i / 1000) };
            all.ask(Uuid::from_u64_pair(1, i), &subscription(5), when).unwrap();
        }
        assert_eq!(all.known.len(), MAX_INSTANCES);
        assert!(!all.known.contains_key(&Uuid::from_u64_pair(1, 0)), "the one that was silent longest went");
        let telemetry = ClientTelemetry::default();
        *telemetry.waiting.lock() = Some(Waiting::default());
        let large = MetricsData {
            resource_metrics: vec![ResourceMetrics { schema_url: "x".repeat(1 << 20), ..Default::default() }],
        };
        let large = Bytes::from(large.encode_to_vec());
        for _ in 0..20 {
            telemetry.take_in(&client(1), &large).unwrap();
        }
        assert!(telemetry.waiting.lock().as_ref().unwrap().bytes <= MAX_WAITING_BYTES);
        let ([taken, dropped, refused, _], _) = *telemetry.counts.lock();
        assert_eq!((taken, dropped, refused), (7, 13, 0));
    }

    #[test]
    fn what_goes_on_says_whose_it_is_and_what_is_no_metrics_is_refused() {
        let data = MetricsData { resource_metrics: vec![ResourceMetrics::default()] };
        let marked = marked(&client(9), &data.encode_to_vec().into()).unwrap();
        let read = MetricsData::decode(marked).unwrap();
        let attributes = &read.resource_metrics[0].resource.as_ref().unwrap().attributes;
        assert!(attributes.iter().any(|a| a.key == "client_instance_id"), "{attributes:?}");
        let refused = ClientTelemetry::default().take_in(&client(9), &Bytes::from_static(b"\xff\xff\xff"));
        assert_eq!(refused, Err(TelemetryError::Malformed));
    }
}
