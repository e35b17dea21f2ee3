//! The message browser: records of a partition from an offset or a time on, whichever tier has them.

use axum::Extension;
use axum::Json;
use axum::extract::{self, Path, Query};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::access::Caller;
use super::rest::{Answer, Asked, Failure};
use crate::broker::{ClientPlace, FetchError, FetchPartition, FetchRequest};
use crate::metadata::AclOperation;
use crate::replication::Isolation;
use crate::types::{Offset, TopicPartition};
use crate::wire::record_batch::{BatchIter, Record};

/// Bytes read for one page, and the most that a batch of it may grow to.
const PAGE_BYTES: usize = 1 << 20;
const BATCH_BYTES: usize = 16 << 20;
/// What is shown of a key or a value.
const SHOWN_BYTES: usize = 4 << 10;
/// Records of one page.
const MOST: usize = 500;

/// Where to begin, and how far to go.
#[derive(Deserialize)]
pub(super) struct From {
    offset: Option<i64>,
    timestamp: Option<i64>,
    limit: Option<usize>,
}

pub(super) async fn records(
    extract::State(state): extract::State<State>,
    Extension(caller): Extension<Caller>,
    Path((name, index)): Path<(String, i32)>,
    Query(from): Query<From>,
) -> Answer {
    let asked = Asked::new(state, caller)?;
    let topic = asked.topic(&name, AclOperation::Read)?;
    let Some(known) = usize::try_from(index).ok().and_then(|i| topic.partitions.get(i)) else {
        return Err(Failure(StatusCode::NOT_FOUND, format!("topic {name} has no partition {index}")));
    };
    let partition = TopicPartition::new(topic.name.clone(), index);
    let broker = &asked.broker;
    let Some(replica) = broker.replicas().replica(&partition) else {
        let ids: Vec<String> = known.replicas.iter().map(|r| r.broker.to_string()).collect();
        let why = format!("this broker has no replica of it: ask the console of broker {}", ids.join(" or "));
        return Err(Failure(StatusCode::CONFLICT, why));
    };
    let positions = replica.positions();
    let offset = match (from.offset, from.timestamp) {
        (Some(offset), _) => Offset(offset).max(positions.log_start),
        (None, Some(timestamp)) => match broker.offset_at_time(&partition, timestamp).await {
            Ok(found) if found.offset < Offset::ZERO => positions.high_watermark,
            Ok(found) => found.offset,
            Err(error) => return Err(Failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        },
        (None, None) => positions.log_start,
    };
    let limit = from.limit.unwrap_or(50).clamp(1, MOST);
    let records = read(&asked, &partition, offset).await?;
    let mut shown = Vec::new();
    let mut next = offset;
    for batch in BatchIter::new(records) {
        let unreadable =
            |e: &dyn std::fmt::Display| Failure(StatusCode::INTERNAL_SERVER_ERROR, e.to_string());
        let batch = batch.map_err(|e| unreadable(&e))?;
        if shown.len() >= limit {
            break;
        }
        let is_control = batch.header.attributes.is_control();
        let transactional = batch.header.attributes.is_transactional();
        let compression = batch.header.attributes.compression().map_or("unknown", |c| c.name());
        next = next.max(batch.header.end_offset());
        for record in batch.records(BATCH_BYTES).map_err(|e| unreadable(&e))? {
            let record = record.map_err(|e| unreadable(&e))?;
            if record.offset < offset {
                continue;
            }
            if shown.len() >= limit {
                next = record.offset;
                break;
            }
            let tier = if record.offset < positions.local_start { "cold" } else { "hot" };
            let mut json = shown_as(&record);
            json["tier"] = json!(tier);
            json["control"] = json!(is_control);
            json["transactional"] = json!(transactional);
            json["compression"] = json!(compression);
            shown.push(json);
        }
    }
    Ok(Json(json!({
        "topic": name,
        "partition": index,
        "from": offset.0,
        "next": next.0,
        "log_start": positions.log_start.0,
        "local_start": positions.local_start.0,
        "high_watermark": positions.high_watermark.0,
        "records": shown,
    })))
}

async fn read(asked: &Asked, partition: &TopicPartition, offset: Offset) -> Result<Bytes, Failure> {
    let request = FetchRequest {
        partitions: vec![FetchPartition {
            partition: partition.clone(),
            topic_id: None,
            offset,
            max_bytes: PAGE_BYTES,
            leader_epoch: None,
            last_fetched_epoch: None,
        }],
        max_wait: std::time::Duration::ZERO,
        min_bytes: 0,
        max_bytes: PAGE_BYTES,
        isolation: Isolation::ReadUncommitted,
        takes_files: false,
        // Any replica will do.
        place: Some(ClientPlace { rack: String::new(), listener: String::new() }),
    };
    let (answers, _room) = asked.broker.fetch(&request).await;
    match answers.into_iter().next() {
        Some(Ok(fetched)) => fetched
            .records
            .into_bytes()
            .map_err(|e| Failure(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())),
        Some(Err(FetchError::OffsetOutOfRange)) => {
            Err(Failure(StatusCode::RANGE_NOT_SATISFIABLE, format!("offset {offset} is not in the log")))
        }
        Some(Err(error)) => Err(Failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        None => Ok(Bytes::new()),
    }
}

fn shown_as(record: &Record) -> Value {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|(name, value)| json!({ "name": String::from_utf8_lossy(name), "value": text(value.as_ref()) }))
        .collect();
    json!({
        "offset": record.offset.0,
        "timestamp": record.timestamp,
        "key": text(record.key.as_ref()),
        "value": text(record.value.as_ref()),
        "headers": headers,
    })
}

/// Text as text, anything else as Base64; the beginning of what is long.
fn text(bytes: Option<&Bytes>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let is_cut = shown.len() < bytes.len();
    // A cut may go through a character.
    let text = match std::str::from_utf8(shown) {
        Ok(text) => Some(text),
        Err(e) if is_cut && e.valid_up_to() + 4 > shown.len() => {
            std::str::from_utf8(&shown[..e.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let printable = |text: &&str| text.chars().all(|c| !c.is_control() || c.is_whitespace());
    match text.filter(printable) {
        Some(text) => json!({ "text": text, "bytes": bytes.len(), "cut": is_cut }),
        None => json!({ "base64": STANDARD.encode(shown), "bytes": bytes.len(), "cut": is_cut }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_and_anything_else_base64() {
        assert_eq!(text(None), Value::Null);
        assert_eq!(text(Some(&Bytes::from_static(b"a\nb")))["text"], "a\nb");
        assert_eq!(text(Some(&Bytes::from_static(&[0, 1])))["base64"], "AAE=");
        assert_eq!(text(Some(&Bytes::from_static(&[0xff, 0xfe])))["base64"], "//4=");
        let long = Bytes::from("ä".repeat(SHOWN_BYTES) + "x");
        let shown = text(Some(&long));
        assert_eq!((shown["cut"].as_bool(), shown["bytes"].as_u64()), (Some(true), Some(long.len() as u64)));
        let odd = Bytes::from(format!("x{}", "ä".repeat(SHOWN_BYTES)));
        assert!(text(Some(&odd))["text"].as_str().unwrap().ends_with('ä'), "a cut through a character");
    }
}
