//! What a collector reads, after a known load.

use axum::Router;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use tokio::sync::mpsc;

use super::*;
use crate::env::metrics::{BROKERS_ACTIVE, PRODUCED_RECORDS, REQUEST_SECONDS};
use crate::env::{LogLine, Span};
use crate::types::BrokerId;

/// A collector that passes on what is posted, and refuses what comes without its header.
async fn collector(env: &Env) -> (String, mpsc::Receiver<(&'static str, Vec<u8>)>) {
    let listener = env.net.listen(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel(8);
    let take = |kind: &'static str| {
        let sender = sender.clone();
        post(move |headers: axum::http::HeaderMap, body: axum::body::Bytes| async move {
            if headers.get("x-key").is_none_or(|key| key != "secret") {
                return axum::http::StatusCode::FORBIDDEN;
            }
            sender.send((kind, body.to_vec())).await.unwrap();
            axum::http::StatusCode::OK
        })
    };
    let app = Router::new()
        .route("/in/v1/metrics", take("metrics"))
        .route("/in/v1/traces", take("traces"))
        .route("/in/v1/logs", take("logs"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, receiver)
}

#[tokio::test]
async fn a_collector_reads_the_values_of_a_known_load() {
    let env = Env::real();
    let (url, mut posted) = collector(&env).await;
    let collector = Collector::open(&env, &url, "x-key=secret", None).unwrap();
    let origin = Origin::new(BrokerId(7), 1_000);
    env.metrics.counter(PRODUCED_RECORDS, &["t"]).add(42);
    env.metrics.histogram(REQUEST_SECONDS, &["Produce", "total"]).record(Duration::from_millis(3));
    env.metrics.collect_from(|out| out.level(BROKERS_ACTIVE, &[], 3.0));

    let request = origin.metrics("c1", &env.metrics.snapshot(), 5_000);
    collector.post("/v1/metrics", request.encode_to_vec()).await.unwrap();
    let (kind, bytes) = posted.recv().await.unwrap();
    assert_eq!(kind, "metrics");
    let read = ExportMetricsServiceRequest::decode(&bytes[..]).unwrap();
    let resource = read.resource_metrics[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|a| a.key == "service.instance.id"));
    let metrics = &read.resource_metrics[0].scope_metrics[0].metrics;
    let of = |name: &str| metrics.iter().find(|m| m.name == name).unwrap().data.clone().unwrap();
    let metric::Data::Sum(sum) = of("esker_produced_records_total") else { panic!("a counter is a sum") };
    assert!(sum.is_monotonic);
    assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(42)));
    assert_eq!(sum.data_points[0].start_time_unix_nano, 1_000_000_000);
    let metric::Data::Gauge(gauge) = of("esker_brokers_active") else { panic!("a level is a gauge") };
    assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(3.0)));
    let metric::Data::Histogram(times) = of("esker_request_seconds") else { panic!("times are a histogram") };
    let point = &times.data_points[0];
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (1, 1));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
}

#[tokio::test]
async fn spans_and_lines_arrive_and_a_refusal_is_told() {
    let env = Env::real();
    let (url, mut posted) = collector(&env).await;
    let collector = Collector::open(&env, &url, "x-key=secret", None).unwrap();
    let origin = Origin::new(BrokerId(7), 0);
    let span = Span {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent: Some([3; 8]),
        name: "handle".to_owned(),
        begin_ns: 10,
        duration: Duration::from_nanos(5),
        attributes: vec![("rpc.method", "Fetch".to_owned())],
        error: Some("no".to_owned()),
    };
    collector.post("/v1/traces", origin.traces("c", vec![span]).encode_to_vec()).await.unwrap();
    let read = ExportTraceServiceRequest::decode(&posted.recv().await.unwrap().1[..]).unwrap();
    let span = &read.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (10, 15));
    assert_eq!((span.parent_span_id.len(), span.status.as_ref().unwrap().code), (8, 2));

    let line =
        LogLine { wall_ms: 2, severity: 13, target: "esker::x".to_owned(), text: "hello a=1".to_owned() };
    collector.post("/v1/logs", origin.logs("c", vec![line]).encode_to_vec()).await.unwrap();
    let read = ExportLogsServiceRequest::decode(&posted.recv().await.unwrap().1[..]).unwrap();
    let record = &read.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((record.severity_number, record.time_unix_nano), (13, 2_000_000));

    let stranger = Collector::open(&env, &url, "", None).unwrap();
    assert!(matches!(stranger.post("/v1/logs", Vec::new()).await, Err(CollectorError::Refused(403))));
}

#[test]
fn what_cannot_be_used_names_its_property() {
    let env = Env::real();
    for (endpoint, headers, ca, named) in [
        ("collector:4318", "", None, "telemetry.otlp.endpoint"),
        ("http://collector", "", None, "telemetry.otlp.endpoint"),
        ("https://collector:4318", "", None, "telemetry.otlp.ca.location"),
        ("http://collector:4318", "key", None, "telemetry.otlp.headers"),
    ] {
        let error = Collector::open(&env, endpoint, headers, ca).err().unwrap().to_string();
        assert!(error.contains(named), "{endpoint}: {error}");
    }
}
