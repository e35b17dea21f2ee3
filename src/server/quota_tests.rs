//! Quotas at a whole broker: throttle time is reported, and the connection is not read meanwhile.

use std::time::Duration;

use super::broker_tests::{Client, Lone, batch, produce};
use crate::wire::messages::alter_client_quotas::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use crate::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use crate::wire::messages::metadata::MetadataRequest;
use crate::wire::{ErrorCode, Float64};

async fn set(client: &mut Client, entity: (&str, Option<&str>), key: &str, value: Option<f64>) {
    let entity = vec![EntityData { entity_type: entity.0.into(), entity_name: entity.1.map(Into::into) }];
    let op = OpData { key: key.into(), value: Float64(value.unwrap_or_default()), remove: value.is_none() };
    let entries = vec![EntryData { entity, ops: vec![op] }];
    let answer = client.ask(&AlterClientQuotasRequest { entries, validate_only: false }, 1).await.unwrap();
    assert_eq!(answer.entries[0].error_code, ErrorCode::NONE, "{answer:?}");
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_produces_above_the_quota_is_told_and_not_read_for_so_long() {
    let lone = Lone::start().await;
    lone.topic("t").await;
    let mut admin = lone.connect().await;
    let mut client = lone.connect().await;
    let request = produce("t", batch(&[7; 11_500]), -1);
    assert_eq!(client.ask(&request, 9).await.unwrap().throttle_time_ms, 0);
    // The request is above what comes in within the whole window of eleven seconds.
    set(&mut admin, ("user", Some("ANONYMOUS")), "producer_byte_rate", Some(1000.0)).await;
    // The silence begins before the answer is here, however long that takes to be seen.
    let begun = lone.env.clock.now();
    let told = client.ask(&request, 9).await.unwrap();
    assert_eq!(
        told.responses[0].partition_responses[0].error_code,
        ErrorCode::NONE,
        "it is taken all the same"
    );
    let silence = millis(told.throttle_time_ms);
    assert!(silence > Duration::ZERO);
    // What is no producing is held back too: the connection is silent, not the API.
    assert!(client.ask(&MetadataRequest::default(), 12).await.is_some());
    assert!(lone.env.clock.now().since(begun) >= silence - Duration::from_millis(1));
    // Others are not held back, and a removed quota holds nobody.
    set(&mut admin, ("user", Some("ANONYMOUS")), "producer_byte_rate", None).await;
    assert_eq!(admin.ask(&request, 9).await.unwrap().throttle_time_ms, 0);
    lone.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fetches_above_the_quota_gets_empty_answers_until_the_debt_is_paid() {
    let lone = Lone::start().await;
    let id = lone.topic("t").await;
    let mut admin = lone.connect().await;
    for _ in 0..5 {
        admin.ask(&produce("t", batch(b"value"), -1), 9).await.unwrap();
    }
    set(&mut admin, ("client-id", None), "consumer_byte_rate", Some(10.0)).await;
    let wanted = FetchPartition { partition: 0, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic_id: id, partitions: vec![wanted], ..Default::default() };
    let request = FetchRequest { session_epoch: -1, topics: vec![topic], ..Default::default() };
    // Two connections of one client: the second learns at once that the bucket is empty.
    let (mut first, mut second) = (lone.connect().await, lone.connect().await);
    let mut throttled = 0;
    let mut bytes = 0;
    for client in [&mut first, &mut second] {
        let answer = client.ask(&request, 17).await.unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
        throttled += answer.throttle_time_ms;
        bytes += answer.responses[0].partitions[0].records.as_ref().map_or(0, |records| records.len());
    }
    assert!(throttled > 0);
    assert!(
        bytes > 0 && bytes <= 2 * 110 + batch(b"value").len(),
        "{bytes}: a window's worth, and one batch"
    );
    lone.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_above_the_quota_are_refused_where_the_client_understands_it() {
    let lone = Lone::start().await;
    let mut admin = lone.connect().await;
    set(&mut admin, ("user", None), "controller_mutation_rate", Some(0.001)).await;
    let create = |name: &str| CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    // The first is taken, on credit.
    let mut client = lone.connect().await;
    let first = client.ask(&create("a"), 7).await.unwrap();
    assert_eq!(first.topics[0].error_code, ErrorCode::NONE);
    assert!(first.throttle_time_ms > 0);
    let mut client = lone.connect().await;
    let second = client.ask(&create("b"), 7).await.unwrap();
    assert_eq!(second.topics[0].error_code, ErrorCode::THROTTLING_QUOTA_EXCEEDED);
    let mut old_client = lone.connect().await;
    let old = old_client.ask(&create("c"), 5).await.unwrap();
    assert_eq!(old.topics[0].error_code, ErrorCode::NONE);
    assert!(old.throttle_time_ms > 0);
    lone.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_time_and_connections_have_quotas_too() {
    let lone = Lone::start().await;
    let mut admin = lone.connect().await;
    set(&mut admin, ("client-id", Some("test")), "request_percentage", Some(1e-6)).await;
    let mut client = lone.connect().await;
    let answer = client.ask(&MetadataRequest::default(), 12).await.unwrap();
    assert!(answer.throttle_time_ms > 0);

    let mut admin = lone.connect().await;
    set(&mut admin, ("ip", Some("127.0.0.1")), "connection_creation_rate", Some(1.0)).await;
    let mut refused = 0;
    for _ in 0..40 {
        let mut client = lone.connect().await;
        refused += usize::from(!client.is_open().await);
    }
    assert!(refused > 0, "forty connections at once are above eleven");
    lone.stop().await;
}
