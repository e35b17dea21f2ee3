//! `esker consume`: records of a topic on standard output, from whichever tier they are in. Nothing is committed.

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::records::{EARLIEST, LATEST, Led};
use super::client::{Client, ClusterArguments};
use super::report::Output;
use super::times;
use crate::env::Env;
use crate::wire::record_batch::{BatchIter, Record};

/// Bytes of one fetch, and what a batch may grow to.
const FETCH_BYTES: i32 = 4 << 20;
const BATCH_BYTES: usize = 256 << 20;

/// Arguments of `esker consume`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The topic.
    topic: String,
    /// Only this partition.
    #[arg(long)]
    partition: Option<i32>,
    /// Where to begin: `earliest`, `latest`, an offset, or a time as `@2026-01-31T13:00:00Z`.
    #[arg(long, default_value = "earliest", value_parser = From::parse, allow_hyphen_values = true)]
    from: From,
    /// Ends after so many records.
    #[arg(long, value_name = "RECORDS")]
    max: Option<u64>,
    /// Waits for more at the end, until it is interrupted.
    #[arg(long)]
    follow: bool,
    /// Prints keys before values, with a tab between them.
    #[arg(long)]
    keys: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Earliest,
    Latest,
    Offset(i64),
    Time(i64),
}

impl From {
    fn parse(text: &str) -> Result<From, String> {
        match text {
            "earliest" => Ok(From::Earliest),
            "latest" => Ok(From::Latest),
            _ => match text.strip_prefix('@') {
                Some(time) => times::parse(time).map(From::Time),
                None => text
                    .parse()
                    .ok()
                    .filter(|offset| *offset >= 0)
                    .map(From::Offset)
                    .ok_or_else(|| "expected earliest, latest, an offset, or @TIME".to_owned()),
            },
        }
    }
}

/// A partition that is read.
struct Reading {
    led: Led,
    next: i64,
    /// Where it ends, unless it is followed.
    end: i64,
}

/// Prints records.
///
/// # Errors
/// What the brokers answer.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let mut client = Client::new(&env, &arguments.cluster)?;
    let mut readings = Vec::new();
    for led in client.led_partitions(&arguments.topic).await? {
        if arguments.partition.is_some_and(|wanted| wanted != led.partition) {
            continue;
        }
        let end = client.offset_for(&led, LATEST).await?;
        let first = client.offset_for(&led, EARLIEST).await?;
        let next = match arguments.from {
            From::Earliest => first,
            From::Latest => end,
            From::Offset(offset) => offset.max(first),
            From::Time(time) => match client.offset_for(&led, time).await? {
                ..0 => end,
                offset => offset,
            },
        };
        readings.push(Reading { led, next, end });
    }
    ensure!(!readings.is_empty(), "topic {} has no such partition", arguments.topic);
    let mut left = arguments.max.unwrap_or(u64::MAX);
    loop {
        let mut open = false;
        for reading in &mut readings {
            if left == 0 || (!arguments.follow && reading.next >= reading.end) {
                continue;
            }
            open = true;
            let end = if arguments.follow { i64::MAX } else { reading.end };
            let before = reading.next;
            read(&mut client, reading, end, &mut left, &arguments).await?;
            // What is left of it is no record: markers, or what compaction took away.
            if reading.next == before && !arguments.follow {
                reading.next = reading.end;
            }
        }
        if !open {
            return Ok(());
        }
    }
}

async fn read(
    client: &mut Client,
    reading: &mut Reading,
    end: i64,
    left: &mut u64,
    arguments: &Arguments,
) -> Result<()> {
    let bytes = client.fetch(&reading.led, reading.next, FETCH_BYTES).await?;
    let mut out = Vec::new();
    for batch in BatchIter::new(bytes) {
        let batch = batch.context("the broker sent no batch")?;
        let behind = batch.header.end_offset().0;
        if !batch.header.attributes.is_control() {
            for record in batch.records(BATCH_BYTES)? {
                let record = record?;
                let wanted = (reading.next..end).contains(&record.offset.0);
                if wanted && *left > 0 {
                    *left -= 1;
                    print(&mut out, &reading.led, &record, arguments)?;
                }
            }
        }
        reading.next = reading.next.max(behind);
    }
    print!("{}", String::from_utf8_lossy(&out));
    Ok(())
}

fn print(out: &mut Vec<u8>, led: &Led, record: &Record, arguments: &Arguments) -> Result<()> {
    if arguments.cluster.output == Output::Json {
        let headers: Vec<Value> = record
            .headers
            .iter()
            .map(|(key, value)| json!({ "key": told(Some(key)), "value": told(value.as_deref()) }))
            .collect();
        let line = json!({
            "topic": led.topic, "partition": led.partition, "offset": record.offset.0,
            "timestamp": record.timestamp, "key": told(record.key.as_deref()),
            "value": told(record.value.as_deref()), "headers": headers,
        });
        writeln!(out, "{line}")?;
        return Ok(());
    }
    if arguments.keys {
        out.extend_from_slice(record.key.as_deref().unwrap_or(b"null"));
        out.push(b'\t');
    }
    out.extend_from_slice(record.value.as_deref().unwrap_or(b"null"));
    out.push(b'\n');
    Ok(())
}

/// Text as it is; other bytes in an object that says so.
fn told(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => text.into(),
        Some((bytes, Err(_))) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_word_an_offset_or_a_time() {
        assert_eq!(From::parse("latest"), Ok(From::Latest));
        assert_eq!(From::parse("17"), Ok(From::Offset(17)));
        assert_eq!(From::parse("@1970-01-01T00:00:01Z"), Ok(From::Time(1000)));
        assert!(From::parse("-3").is_err() && From::parse("soon").is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_told_as_such() {
        assert_eq!(told(Some(b"a")), json!("a"));
        assert_eq!(told(Some(&[0xff])), json!({ "base64": "/w==" }));
        assert_eq!(told(None), Value::Null);
    }
}
