//! The registry, spans and lines as OTLP's messages.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::env;
use crate::env::metrics::{BOUNDS_SECONDS, Family, Labels, MetricKind, Value};
use crate::types::BrokerId;

/// Who speaks.
pub(super) struct Origin {
    node: BrokerId,
    /// Since when sums are counted.
    begun_ns: u64,
}

fn nanos(ms: i64) -> u64 {
    ms.cast_unsigned().saturating_mul(1_000_000)
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

impl Origin {
    pub fn new(node: BrokerId, begun_ms: i64) -> Origin {
        Origin { node, begun_ns: nanos(begun_ms) }
    }

    fn resource(&self, cluster: &str) -> Option<Resource> {
        let attributes = vec![
            attribute("service.name", "esker"),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
            attribute("service.instance.id", &self.node.to_string()),
            attribute("esker.cluster.id", cluster),
        ];
        Some(Resource { attributes, ..Resource::default() })
    }

    /// All families: sums since the start, and levels.
    pub fn metrics(&self, cluster: &str, families: &[Family], now_ms: i64) -> ExportMetricsServiceRequest {
        let metrics = families.iter().map(|family| self.metric(family, nanos(now_ms))).collect();
        let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, ..ScopeMetrics::default() }];
        let resource_metrics = vec![ResourceMetrics {
            resource: self.resource(cluster),
            scope_metrics,
            ..ResourceMetrics::default()
        }];
        ExportMetricsServiceRequest { resource_metrics }
    }

    fn metric(&self, family: &Family, now_ns: u64) -> Metric {
        let of = family.metric;
        let attributes = |labels: &Labels| -> Vec<KeyValue> {
            of.labels.iter().zip(labels).map(|(key, value)| attribute(key, value)).collect()
        };
        let temporality = AggregationTemporality::Cumulative as i32;
        let number = |(labels, value): (&Labels, &Value)| {
            let value = match value {
                Value::Count(count) => {
                    number_data_point::Value::AsInt(i64::try_from(*count).unwrap_or(i64::MAX))
                }
                Value::Level(level) => number_data_point::Value::AsDouble(*level),
                Value::Distribution(_) => return None,
            };
            Some(NumberDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: if of.kind == MetricKind::Counter { self.begun_ns } else { 0 },
                time_unix_nano: now_ns,
                value: Some(value),
                ..NumberDataPoint::default()
            })
        };
        let distribution = |(labels, value): (&Labels, &Value)| {
            let Value::Distribution(told) = value else { return None };
            Some(HistogramDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: self.begun_ns,
                time_unix_nano: now_ns,
                count: told.count(),
                sum: Some(told.sum_seconds),
                bucket_counts: told.counts.clone(),
                explicit_bounds: BOUNDS_SECONDS.to_vec(),
                ..HistogramDataPoint::default()
            })
        };
        let data = match of.kind {
            MetricKind::Counter => metric::Data::Sum(Sum {
                data_points: family.series.iter().filter_map(number).collect(),
                aggregation_temporality: temporality,
                is_monotonic: true,
            }),
            MetricKind::Gauge => {
                metric::Data::Gauge(Gauge { data_points: family.series.iter().filter_map(number).collect() })
            }
            MetricKind::Histogram => metric::Data::Histogram(Histogram {
                data_points: family.series.iter().filter_map(distribution).collect(),
                aggregation_temporality: temporality,
            }),
        };
        Metric {
            name: of.name.to_owned(),
            description: of.help.to_owned(),
            unit: of.unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    /// Spans that have ended.
    pub fn traces(&self, cluster: &str, spans: Vec<env::Span>) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans {
            scope: scope(),
            spans: spans.into_iter().map(span).collect(),
            ..ScopeSpans::default()
        }];
        let resource_spans =
            vec![ResourceSpans { resource: self.resource(cluster), scope_spans, ..ResourceSpans::default() }];
        ExportTraceServiceRequest { resource_spans }
    }

    /// Lines of the log.
    pub fn logs(&self, cluster: &str, lines: Vec<env::LogLine>) -> ExportLogsServiceRequest {
        let log_records = lines
            .into_iter()
            .map(|line| LogRecord {
                time_unix_nano: nanos(line.wall_ms),
                observed_time_unix_nano: nanos(line.wall_ms),
                severity_number: i32::from(line.severity),
                body: Some(AnyValue { value: Some(any_value::Value::StringValue(line.text)) }),
                attributes: vec![attribute("target", &line.target)],
                ..LogRecord::default()
            })
            .collect();
        let scope_logs = vec![ScopeLogs { scope: scope(), log_records, ..ScopeLogs::default() }];
        let resource_logs =
            vec![ResourceLogs { resource: self.resource(cluster), scope_logs, ..ResourceLogs::default() }];
        ExportLogsServiceRequest { resource_logs }
    }
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "esker".to_owned(), ..InstrumentationScope::default() })
}

fn span(span: env::Span) -> Span {
    let kind = if span.parent.is_none() { SpanKind::Server } else { SpanKind::Internal };
    Span {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        parent_span_id: span.parent.map(|id| id.to_vec()).unwrap_or_default(),
        name: span.name,
        kind: kind as i32,
        start_time_unix_nano: span.begin_ns,
        end_time_unix_nano: span.begin_ns + u64::try_from(span.duration.as_nanos()).unwrap_or(0),
        attributes: span.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        status: span.error.map(|message| Status { message, code: StatusCode::Error as i32 }),
        ..Span::default()
    }
}
