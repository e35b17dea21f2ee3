//! The reference that is written from the code's own table of metrics is current, and dashboards and alerts name only what exists.
//!
//! `ESKER_WRITE_REFERENCES=1 cargo test --test references` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use esker::env::metrics::{METRICS, MetricKind};
use esker::env::{Disk as _, RealDisk};

fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// A text that must not break a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn metrics() -> String {
    let mut out = String::from(
        "# Metrics\n\nWritten from the table in `definitions.rs` (`ESKER_WRITE_REFERENCES=1 cargo test --test references`). The same names \
         are told\nas Prometheus text (`/metrics` on an admin listener) and by OTLP. A metric has at most so many series; what is above goes \
         to\nseries whose labels are `other`.\n\n| name | kind | unit | labels | series | what it says |\n|---|---|---|---|---|---|\n",
    );
    let mut sorted = METRICS.to_vec();
    sorted.sort_by_key(|metric| metric.name);
    for metric in sorted {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(
            out,
            "| `{}` | {kind} | {} | {} | {} | {} |",
            metric.name,
            metric.unit,
            labels.join(", "),
            metric.max_series,
            cell(metric.help)
        )
        .unwrap();
    }
    out
}

fn is_current(path: &str, wanted: &str) {
    let file = root().join(path);
    if std::env::var_os("ESKER_WRITE_REFERENCES").is_some() {
        RealDisk.write_atomically(&file, wanted.as_bytes()).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is not what the code says: run ESKER_WRITE_REFERENCES=1 cargo test --test references"
    );
}

#[test]
fn the_reference_of_metrics_is_current() {
    is_current("src/env/metrics/REFERENCE.md", &metrics());
}

/// Words that begin like a metric of ours.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("esker_"))
        .map(|word| {
            let ends = ["_bucket", "_sum", "_count"];
            ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn dashboards_and_alerts_name_only_metrics_that_exist() {
    let known: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    for path in [
        "deploy/alerts/rules.yml",
        "deploy/alerts/rules_test.yml",
        "deploy/alerts/RUNBOOK.md",
        "deploy/grafana/cluster.json",
        "deploy/grafana/tiers.json",
    ] {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let unknown: Vec<String> = named(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
        assert!(!named(&text).is_empty(), "{path} names none");
    }
}

#[test]
fn every_alert_has_an_entry_in_the_runbook_and_every_dashboard_is_json() {
    let rules = fs::read_to_string(root().join("deploy/alerts/rules.yml")).unwrap();
    let runbook = fs::read_to_string(root().join("deploy/alerts/RUNBOOK.md")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        assert!(runbook.contains(&format!("\n## {alert}\n")), "{alert} has no entry");
        assert!(rules.contains(&format!("RUNBOOK.md#{}\n", alert.to_lowercase())), "{alert} names no entry");
    }
    for board in ["cluster", "tiers"] {
        let text = fs::read_to_string(root().join(format!("deploy/grafana/{board}.json"))).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(json["panels"].as_array().is_some_and(|panels| panels.len() > 10));
    }
}

#[test]
fn what_an_alert_goes_by_is_on_a_dashboard() {
    let text = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let boards = named(&(text("deploy/grafana/cluster.json") + &text("deploy/grafana/tiers.json")));
    let asked = named(&text("deploy/alerts/rules.yml"));
    let unseen: Vec<&String> = asked.difference(&boards).collect();
    assert!(unseen.is_empty(), "no panel shows {unseen:?}");
}
