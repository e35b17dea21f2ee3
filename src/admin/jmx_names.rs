//! The same numbers under the names that Kafka's JMX exporter gives them, for dashboards that exist already.
//!
//! Only what means the same is told. Seconds become milliseconds where Kafka's name says so.

use std::fmt::Write as _;

use super::prometheus::line;
use crate::env::metrics::*;

/// Our metric, the exporter's name, its kind.
const SAME: &[(&Metric, &str, &str)] = &[
    (PARTITIONS_UNDER_REPLICATED, "kafka_server_replicamanager_underreplicatedpartitions", "gauge"),
    (PARTITIONS_UNDER_MIN_ISR, "kafka_server_replicamanager_underminisrpartitioncount", "gauge"),
    (PARTITIONS_AT_MIN_ISR, "kafka_server_replicamanager_atminisrpartitioncount", "gauge"),
    (PARTITIONS_HOSTED, "kafka_server_replicamanager_partitioncount", "gauge"),
    (PARTITIONS_LED, "kafka_server_replicamanager_leadercount", "gauge"),
    (PARTITIONS_REASSIGNING, "kafka_server_replicamanager_reassigningpartitions", "gauge"),
    (ISR_SHRINKS, "kafka_server_replicamanager_isrshrinks_total", "counter"),
    (ISR_EXPANDS, "kafka_server_replicamanager_isrexpands_total", "counter"),
    (PARTITIONS_OFFLINE, "kafka_controller_kafkacontroller_offlinepartitionscount", "gauge"),
    (METADATA_LEADER, "kafka_controller_kafkacontroller_activecontrollercount", "gauge"),
    (BROKERS_ACTIVE, "kafka_controller_kafkacontroller_activebrokercount", "gauge"),
    (BROKERS_FENCED, "kafka_controller_kafkacontroller_fencedbrokercount", "gauge"),
    (DIRECTORIES_FAILED, "kafka_log_logmanager_offlinelogdirectorycount", "gauge"),
    (TIER_LAG_BYTES, "kafka_server_brokertopicmetrics_remotecopylagbytes", "gauge"),
    (TIER_LAG_SEGMENTS, "kafka_server_brokertopicmetrics_remotecopylagsegments", "gauge"),
    (TIER_BYTES, "kafka_server_brokertopicmetrics_remotelogsizebytes", "gauge"),
    (PRODUCED_BYTES, "kafka_server_brokertopicmetrics_bytesin_total", "counter"),
    (PRODUCED_RECORDS, "kafka_server_brokertopicmetrics_messagesin_total", "counter"),
];

/// Stages that have a name of their own there.
const STAGES: &[(&str, &str)] = &[
    ("total", "kafka_network_requestmetrics_totaltimems"),
    ("queue", "kafka_network_requestmetrics_requestqueuetimems"),
    ("local", "kafka_network_requestmetrics_localtimems"),
    ("replication", "kafka_network_requestmetrics_remotetimems"),
    ("wait", "kafka_network_requestmetrics_remotetimems"),
    ("send", "kafka_network_requestmetrics_responsesendtimems"),
];

pub(super) fn text(families: &[Family]) -> String {
    let mut out = String::new();
    let of = |metric: &Metric| families.iter().find(|family| family.metric.name == metric.name);
    for (metric, name, kind) in SAME {
        let Some(family) = of(metric) else { continue };
        // Writing to a string does not fail.
        let _ = writeln!(out, "# TYPE {name} {kind}");
        for (values, value) in &family.series {
            let labels: Vec<_> =
                metric.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
            match value {
                Value::Count(count) => line(&mut out, name, &labels, count),
                Value::Level(level) => line(&mut out, name, &labels, level),
                Value::Distribution(_) => {}
            }
        }
    }
    fetched(&mut out, of(FETCHED_BYTES));
    for (stage, name) in STAGES {
        for (values, value) in of(REQUEST_SECONDS).into_iter().flat_map(|family| &family.series) {
            let (Value::Distribution(told), [api, here]) = (value, &values[..]) else { continue };
            if here != stage {
                continue;
            }
            for q in ["0.5", "0.99", "0.999"] {
                let Some(seconds) = q.parse().ok().and_then(|q| told.quantile(q)) else { continue };
                line(&mut out, name, &[("request", api), ("quantile", q)], seconds * 1000.0);
            }
            line(&mut out, &format!("{name}_count"), &[("request", api)], told.count());
        }
    }
    out
}

/// Kafka tells the tiers apart by other names; its bytes out are those of both.
fn fetched(out: &mut String, family: Option<&Family>) {
    let Some(family) = family else { return };
    for (name, tiers) in [
        ("kafka_server_brokertopicmetrics_bytesout_total", &["hot", "cold"][..]),
        ("kafka_server_brokertopicmetrics_remotefetchbytes_total", &["cold"]),
    ] {
        let _ = writeln!(out, "# TYPE {name} counter");
        let mut sums = std::collections::BTreeMap::<&str, u64>::new();
        for (values, value) in &family.series {
            if let (Value::Count(count), [topic, tier]) = (value, &values[..])
                && tiers.contains(&tier.as_str())
            {
                *sums.entry(topic).or_default() += count;
            }
        }
        for (topic, sum) in sums {
            line(out, name, &[("topic", topic)], sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_dashboard_for_kafka_finds_its_names() {
        let metrics = Metrics::default();
        metrics.counter(PRODUCED_BYTES, &["t"]).add(5);
        metrics.counter(FETCHED_BYTES, &["t", "hot"]).add(2);
        metrics.counter(FETCHED_BYTES, &["t", "cold"]).add(3);
        metrics.histogram(REQUEST_SECONDS, &["Produce", "total"]).record(Duration::from_millis(3));
        let told = text(&metrics.snapshot());
        for wanted in [
            "kafka_server_brokertopicmetrics_bytesin_total{topic=\"t\"} 5\n",
            "kafka_server_brokertopicmetrics_bytesout_total{topic=\"t\"} 5\n",
            "kafka_server_brokertopicmetrics_remotefetchbytes_total{topic=\"t\"} 3\n",
            "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"} 1\n",
        ] {
            assert!(told.contains(wanted), "{wanted} is not in\n{told}");
        }
    }
}
