//! The registry as Prometheus text (exposition format 0.0.4).

use std::fmt::Write as _;

use axum::extract;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::{State, jmx_names};
use crate::env::metrics::{BOUNDS_SECONDS, Distribution, Family, MetricKind, Value};

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(super) async fn metrics(extract::State(state): extract::State<State>) -> Response {
    answer(text(&state.families().await))
}

pub(super) async fn kafka_names(extract::State(state): extract::State<State>) -> Response {
    answer(jmx_names::text(&state.families().await))
}

fn answer(text: String) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

/// All families, by name.
#[must_use]
pub fn text(families: &[Family]) -> String {
    let mut out = String::new();
    for Family { metric, series } in families {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "# HELP {} {}\n# TYPE {} {kind}",
            metric.name,
            escaped(metric.help, false),
            metric.name
        );
        for (values, value) in series {
            let labels: Vec<(&str, &str)> =
                metric.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
            match value {
                Value::Count(count) => line(&mut out, metric.name, &labels, *count),
                Value::Level(level) => line(&mut out, metric.name, &labels, level),
                Value::Distribution(distribution) => buckets(&mut out, metric.name, &labels, distribution),
            }
        }
    }
    out
}

fn buckets(out: &mut String, name: &str, labels: &[(&str, &str)], distribution: &Distribution) {
    let mut below = 0;
    for (i, count) in distribution.counts.iter().enumerate() {
        below += count;
        let bound = BOUNDS_SECONDS.get(i).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
        let mut labels = labels.to_vec();
        labels.push(("le", &bound));
        line(out, &format!("{name}_bucket"), &labels, below);
    }
    line(out, &format!("{name}_sum"), labels, distribution.sum_seconds);
    line(out, &format!("{name}_count"), labels, below);
}

pub(super) fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    out.push_str(name);
    if !labels.is_empty() {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value, true))).collect();
        let _ = write!(out, "{{{}}}", labels.join(","));
    }
    let _ = writeln!(out, " {value}");
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::env::metrics::{Metrics, PARTITIONS_LED, PRODUCED_BYTES, REQUEST_SECONDS};

    #[test]
    fn known_values_are_told_as_they_are() {
        let metrics = Metrics::default();
        metrics.counter(PRODUCED_BYTES, &["a\"b\\c"]).add(7);
        metrics.collect_from(|out| out.level(PARTITIONS_LED, &[], 2.5));
        let times = metrics.histogram(REQUEST_SECONDS, &["Fetch", "total"]);
        times.record(Duration::from_micros(40));
        times.record(Duration::from_millis(1500));
        times.record(Duration::from_secs(3600));
        let told = text(&metrics.snapshot());
        for wanted in [
            "# TYPE esker_produced_bytes_total counter\nesker_produced_bytes_total{topic=\"a\\\"b\\\\c\"} 7\n",
            "# TYPE esker_partitions_led gauge\nesker_partitions_led 2.5\n",
            "esker_request_seconds_bucket{api=\"Fetch\",stage=\"total\",le=\"0.000032\"} 0\n",
            "esker_request_seconds_bucket{api=\"Fetch\",stage=\"total\",le=\"0.000048\"} 1\n",
            "esker_request_seconds_bucket{api=\"Fetch\",stage=\"total\",le=\"1.572864\"} 2\n",
            "esker_request_seconds_bucket{api=\"Fetch\",stage=\"total\",le=\"+Inf\"} 3\n",
            "esker_request_seconds_count{api=\"Fetch\",stage=\"total\"} 3\n",
        ] {
            assert!(told.contains(wanted), "{wanted} is not in\n{told}");
        }
    }
}
