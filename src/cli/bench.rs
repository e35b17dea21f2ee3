//! `esker bench`: what a cluster takes and gives from this machine. For figures that are to be compared, `benches/`.
//!
//! Each connection sends one batch after the other with acks=all and waits for its answer; then everything is read back. It
//! makes a topic of its own and deletes it, unless one is named.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::future::try_join_all;
use serde_json::json;

use super::client::records::Led;
use super::client::{Client, ClusterArguments};
use super::produce::Codec;
use super::report::{Output, print_json, progress};
use super::topic::{self, NewTopic};
use crate::env::Env;
use crate::wire::record_batch::BatchBuilder;

const FETCH_BYTES: i32 = 4 << 20;

/// Arguments of `esker bench`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// A topic that is there; otherwise one is made, and deleted at the end.
    #[arg(long)]
    topic: Option<String>,
    /// Partitions of the topic that is made.
    #[arg(long, default_value_t = 6)]
    partitions: i32,
    /// How much to write, in MiB.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    megabytes: u64,
    /// Bytes of a record.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    record_bytes: u32,
    /// Bytes of a batch.
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    batch_bytes: u32,
    /// Connections that write at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// How batches are compressed.
    #[arg(long, value_enum, default_value_t)]
    compression: Codec,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What was measured in one direction.
struct Measured {
    bytes: u64,
    records: u64,
    took: Duration,
    /// Of each batch or fetch, sorted.
    latencies: Vec<Duration>,
}

impl Measured {
    fn per_second(&self, amount: f64) -> f64 {
        amount / self.took.as_secs_f64().max(1e-9)
    }

    fn quantile_ms(&self, quantile: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * quantile).round() as usize;
        self.latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }

    fn to_json(&self) -> serde_json::Value {
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        json!({
            "records": self.records,
            "mib_per_second": rounded(self.per_second(self.bytes as f64 / 1_048_576.0)),
            "records_per_second": self.per_second(self.records as f64).round(),
            "p50_ms": rounded(self.quantile_ms(0.5)),
            "p99_ms": rounded(self.quantile_ms(0.99)),
            "p999_ms": rounded(self.quantile_ms(0.999)),
        })
    }
}

/// Writes, reads back and tells.
///
/// # Errors
/// What the brokers answer.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let mut client = Client::new(&env, &arguments.cluster)?;
    let name = match &arguments.topic {
        Some(name) => name.clone(),
        None => {
            let name = format!("esker-bench-{}", env.rng.uuid().simple());
            let new = NewTopic {
                name: &name,
                partitions: arguments.partitions,
                replication_factor: -1,
                configs: &[],
            };
            topic::create(&mut client, &new).await?;
            name
        }
    };
    let measured = measure(&env, &mut client, &name, &arguments).await;
    if arguments.topic.is_none() {
        topic::delete(&mut client, &name).await.with_context(|| format!("topic {name} stays"))?;
    }
    let (written, read) = measured?;
    match arguments.cluster.output {
        Output::Json => print_json(&json!({ "write": written.to_json(), "read": read.to_json() })),
        Output::Table => {
            for (what, measured) in [("write", &written), ("read", &read)] {
                let told = measured.to_json();
                println!(
                    "{what:<6} {} MiB/s  {} records/s  p50 {} ms  p99 {} ms  p99.9 {} ms",
                    told["mib_per_second"],
                    told["records_per_second"],
                    told["p50_ms"],
                    told["p99_ms"],
                    told["p999_ms"]
                );
            }
        }
    }
    Ok(())
}

async fn measure(
    env: &Env,
    client: &mut Client,
    name: &str,
    arguments: &Arguments,
) -> Result<(Measured, Measured)> {
    let partitions = client.led_partitions(name).await?;
    let mut starts = Vec::new();
    for led in &partitions {
        starts.push((led.clone(), client.offset_for(led, super::client::records::LATEST).await?));
    }
    let (batch, records) = batch(env, arguments)?;
    let batches = (arguments.megabytes << 20).div_ceil(u64::from(arguments.batch_bytes));
    let each = batches.div_ceil(u64::from(arguments.connections));
    let bar = progress(arguments.cluster.output, each * u64::from(arguments.connections), "batches");
    let begun = env.clock.now();
    let writers = (0..arguments.connections as usize).map(|writer| {
        let (partitions, batch, bar) = (&partitions, &batch, &bar);
        async move {
            let mut client = Client::new(env, &arguments.cluster)?;
            let mut latencies = Vec::new();
            for at in 0..each as usize {
                let to = &partitions[(writer + at) % partitions.len()];
                let sent = env.clock.now();
                client.produce(to, batch.clone()).await?;
                latencies.push(env.clock.now().since(sent));
                bar.inc(1);
            }
            anyhow::Ok(latencies)
        }
    });
    let latencies = try_join_all(writers).await?.concat();
    let count = latencies.len() as u64;
    let took = env.clock.now().since(begun);
    bar.finish_and_clear();
    let bytes = count * u64::from(arguments.batch_bytes);
    let written = Measured { bytes, records: count * records, took, latencies: sorted(latencies) };
    let read = read_back(env, arguments, starts).await?;
    Ok((written, read))
}

async fn read_back(env: &Env, arguments: &Arguments, starts: Vec<(Led, i64)>) -> Result<Measured> {
    let begun = env.clock.now();
    let readers = starts.into_iter().map(|(led, start)| async move {
        let mut client = Client::new(env, &arguments.cluster)?;
        let end = client.offset_for(&led, super::client::records::LATEST).await?;
        let (mut next, mut bytes, mut latencies) = (start, 0, Vec::new());
        while next < end {
            let asked = env.clock.now();
            let fetched = client.fetch(&led, next, FETCH_BYTES).await?;
            latencies.push(env.clock.now().since(asked));
            bytes += fetched.len() as u64;
            for batch in crate::wire::record_batch::BatchIter::new(fetched) {
                next = batch?.header.end_offset().0;
            }
        }
        anyhow::Ok((bytes, u64::try_from(end - start).unwrap_or(0), latencies))
    });
    let read = try_join_all(readers).await?;
    let took = env.clock.now().since(begun);
    let (bytes, records) =
        read.iter().fold((0, 0), |sum, (bytes, records, _)| (sum.0 + bytes, sum.1 + records));
    let latencies = read.into_iter().flat_map(|(_, _, latencies)| latencies).collect();
    Ok(Measured { bytes, records, took, latencies: sorted(latencies) })
}

fn sorted(mut latencies: Vec<Duration>) -> Vec<Duration> {
    latencies.sort_unstable();
    latencies
}

/// A batch of random records, and how many they are: what compresses to nothing measures nothing.
fn batch(env: &Env, arguments: &Arguments) -> Result<(Bytes, u64)> {
    let mut builder = BatchBuilder::new(arguments.compression.into());
    let mut value = vec![0; arguments.record_bytes as usize];
    let records = (arguments.batch_bytes / arguments.record_bytes).max(1);
    for _ in 0..records {
        env.rng.fill(&mut value);
        builder.add(env.clock.wall_ms(), None, Some(&value), &[]);
    }
    Ok((builder.build()?, u64::from(records)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let latencies = (1..=1000).map(Duration::from_millis).collect();
        let measured = Measured {
            bytes: 10 << 20,
            records: 1000,
            took: Duration::from_secs(2),
            latencies: sorted(latencies),
        };
        let told = measured.to_json();
        assert_eq!(
            (told["mib_per_second"].as_f64(), told["records_per_second"].as_f64()),
            (Some(5.0), Some(500.0))
        );
        assert_eq!((told["p50_ms"].as_f64(), told["p99_ms"].as_f64()), (Some(501.0), Some(990.0)));
    }
}
