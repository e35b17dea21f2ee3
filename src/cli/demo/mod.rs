//! `esker demo`: the product in a minute, on real records.
//!
//! Three brokers; a topic with three replicas, small segments and next to no local retention; the flights go in with
//! acks=all; segments close, move to the cold store and leave every local disk; then everything is read back. What is
//! printed is computed: local offsets from the brokers' folders, cold objects from the brokers' requests to
//! the store, equality from hashes over what was sent and what was read.

mod flights;
mod tiers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use aws_lc_rs::digest;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::flights::{FLIGHTS, Flights};
use self::tiers::PartitionTiers;
use super::client::Client;
use super::client::records::Led;
use super::dev::{Cluster, Options};
use super::report::{Output, print_json, say};
use super::topic::{self, NewTopic};
use crate::env::{Env, MonoTime};
use crate::wire::record_batch::{BatchBuilder, BatchIter, Compression};

const TOPIC: &str = "flights";
const BROKERS: u16 = 3;
const PARTITIONS: usize = 3;
const BATCH_RECORDS: i32 = 500;
const FETCH_BYTES: i32 = 1 << 20;
/// How long segments may take to leave the local disks.
const OFFLOAD_PATIENCE: Duration = Duration::from_secs(120);
/// The share of the offsets that must be local on no broker before the reading begins, in percent.
const COLD_PERCENT: i64 = 80;
/// The most that a fetched batch may decompress to.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// Arguments of `esker demo`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Keep the cluster's data in this folder; a temporary one if absent, removed at the end.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Store of the cold tier, `file:///folder` or `s3://bucket/prefix`; a folder inside the data if absent.
    #[arg(long, value_name = "URL")]
    tier: Option<String>,
    /// How to print what came of it; in JSON the steps go to standard error.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A running hash over keys and values, in the order of one partition.
struct Fingerprint {
    context: digest::Context,
    records: u64,
    bytes: u64,
}

impl Fingerprint {
    fn new() -> Fingerprint {
        Fingerprint { context: digest::Context::new(&digest::SHA256), records: 0, bytes: 0 }
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.context.update(&(part.len() as u64).to_be_bytes());
            self.context.update(part);
            self.bytes += part.len() as u64;
        }
        self.records += 1;
    }

    fn finish(self) -> (u64, u64, String) {
        let hash = self.context.finish();
        let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.records, self.bytes, hex)
    }
}

/// Runs the demo; fails if a byte differs.
///
/// # Errors
/// When the cluster does not come up, segments do not leave the local disks in time, or what was read is not what was
/// sent.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let temporary = arguments.data.is_none();
    let data = match arguments.data {
        Some(folder) => std::path::absolute(folder)?,
        None => std::env::temp_dir().join(format!("esker-demo-{}", env.rng.uuid().simple())),
    };
    let options = Options {
        brokers: BROKERS,
        port: 0,
        data: data.clone(),
        tier: arguments.tier,
        set: [("remote.log.manager.task.interval.ms", "500"), ("log.retention.check.interval.ms", "500")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
    };
    let mut cluster = Cluster::prepare(&env, options)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let outcome = tokio::select! {
        outcome = show(&env, &mut cluster, arguments.output) => outcome,
        _ = terminate.recv() => Err(anyhow!("terminated")),
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
    };
    cluster.stop().await;
    if temporary {
        env.disk.remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    outcome
}

async fn show(env: &Env, cluster: &mut Cluster, output: Output) -> Result<()> {
    let begun = env.clock.now();
    let step = |text: &str| {
        say(output, &format!("{:>6.1} s  {text}", env.clock.now().since(begun).as_secs_f64()));
    };
    step("starting three brokers, which replicate to each other over QUIC");
    cluster.start_all(|line| say(output, &format!("          {line}"))).await?;

    let mut client = Client::with(env, &cluster.bootstrap_servers(), None)?;
    let configs = [
        ("remote.storage.enable", "true"),
        ("segment.bytes", "524288"),
        ("local.retention.bytes", "1"),
        ("min.insync.replicas", "2"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let wanted =
        NewTopic { name: TOPIC, partitions: PARTITIONS as i32, replication_factor: 3, configs: &configs };
    topic::create(&mut client, &wanted).await?;
    let partitions = client.led_partitions(TOPIC).await?;

    let flights = Flights::load()?;
    step(&format!(
        "sending {} flights ({}) with acks=all",
        HumanCount(FLIGHTS as u64),
        flights.columns().join(", ")
    ));
    let sent = send(env, &mut client, &partitions, &flights).await?;
    let bytes: u64 = sent.iter().map(|(_, bytes, _)| bytes).sum();
    step(&format!("all acknowledged by at least two brokers: {}", HumanBytes(bytes)));

    step("waiting until closed segments are in the cold store and off every local disk");
    let tiers = until_cold(env, &mut client, cluster, &partitions).await?;
    step("reading everything back from offset 0");
    let before = cluster.store_requests().await?;
    let read = receive(&mut client, &partitions).await?;
    let after = cluster.store_requests().await?;

    if output == Output::Table {
        println!("{}", tiers::table(&tiers));
        println!("{}", tiers::requests_table(before, after));
    }
    for (partition, (sent, read)) in sent.iter().zip(&read).enumerate() {
        ensure!(
            sent == read,
            "partition {partition} differs: sent {} records, {} bytes, SHA-256 {}; read {} records, {} bytes, SHA-256 {}",
            sent.0,
            sent.1,
            sent.2,
            read.0,
            read.1,
            read.2
        );
        say(
            output,
            &format!(
                "partition {partition}: {} records sent and read, SHA-256 {} both times",
                sent.0,
                &sent.2[..16]
            ),
        );
    }
    let cold: i64 = tiers.iter().map(|t| t.only_cold).sum();
    step(&format!(
        "equal to the last byte; {} of {} records came from the cold tier",
        HumanCount(cold.unsigned_abs()),
        HumanCount(FLIGHTS as u64)
    ));
    if output == Output::Json {
        let partition = |(tiers, (records, bytes, hash)): (&PartitionTiers, &(u64, u64, String))| {
            let mut told = tiers.to_json();
            told["records"] = (*records).into();
            told["bytes"] = (*bytes).into();
            told["sha256"] = hash.as_str().into();
            told
        };
        print_json(&json!({
            "records": FLIGHTS,
            "cold_records": cold,
            "equal": true,
            "seconds": env.clock.now().since(begun).as_secs_f64(),
            "partitions": tiers.iter().zip(&sent).map(partition).collect::<Vec<_>>(),
            "requests": { "down": before, "back": after.since(before) },
        }));
    }
    Ok(())
}

/// Sends every flight to the partition of its key; returns the fingerprint of each partition.
async fn send(
    env: &Env,
    client: &mut Client,
    partitions: &[Led],
    flights: &Flights,
) -> Result<Vec<(u64, u64, String)>> {
    let bar = progress("sent");
    let now = env.clock.wall_ms();
    let mut prints: Vec<Fingerprint> = partitions.iter().map(|_| Fingerprint::new()).collect();
    let mut open: Vec<BatchBuilder> =
        partitions.iter().map(|_| BatchBuilder::new(Compression::None)).collect();
    for index in 0..FLIGHTS {
        let flight = flights.get(index);
        let at = crc32c::crc32c(flight.key.as_bytes()) as usize % partitions.len();
        prints[at].add(flight.key.as_bytes(), flight.value.as_bytes());
        open[at].add(now, Some(flight.key.as_bytes()), Some(flight.value.as_bytes()), &[]);
        if open[at].count() == BATCH_RECORDS {
            let full = std::mem::replace(&mut open[at], BatchBuilder::new(Compression::None));
            client.produce(&partitions[at], full.build()?).await?;
            bar.inc(u64::from(BATCH_RECORDS.unsigned_abs()));
        }
    }
    for (to, rest) in partitions.iter().zip(open) {
        if rest.count() > 0 {
            client.produce(to, rest.build()?).await?;
        }
    }
    bar.finish_and_clear();
    Ok(prints.into_iter().map(Fingerprint::finish).collect())
}

/// Reads every partition to its end; returns the fingerprint of each.
async fn receive(client: &mut Client, partitions: &[Led]) -> Result<Vec<(u64, u64, String)>> {
    let bar = progress("read");
    let mut prints = Vec::new();
    for from in partitions {
        let end = client.offset_for(from, super::client::records::LATEST).await?;
        let (mut next, mut print) = (0, Fingerprint::new());
        while next < end {
            let fetched = client.fetch(from, next, FETCH_BYTES).await?;
            let before = next;
            for batch in BatchIter::new(fetched) {
                let batch = batch?;
                batch.check_crc()?;
                for record in batch.records(MAX_BATCH_BYTES)? {
                    let record = record?;
                    if record.offset.0 < next {
                        continue; // the batch begins below what was asked for
                    }
                    ensure!(
                        record.offset.0 == next,
                        "offset {next} is missing in partition {}",
                        from.partition
                    );
                    print.add(&record.key.unwrap_or_default(), &record.value.unwrap_or_default());
                    next += 1;
                }
            }
            bar.inc((next - before).unsigned_abs());
        }
        prints.push(print.finish());
    }
    bar.finish_and_clear();
    Ok(prints)
}

async fn until_cold(
    env: &Env,
    client: &mut Client,
    cluster: &Cluster,
    partitions: &[Led],
) -> Result<Vec<PartitionTiers>> {
    let deadline: MonoTime = env.clock.now() + OFFLOAD_PATIENCE;
    loop {
        let mut tiers = Vec::new();
        for partition in partitions {
            tiers.push(PartitionTiers::look(env, client, cluster, partition).await?);
        }
        let (end, cold) = tiers.iter().fold((0, 0), |(end, cold), t| (end + t.end, cold + t.only_cold));
        if cold * 100 >= end * COLD_PERCENT {
            return Ok(tiers);
        }
        if env.clock.now() > deadline {
            bail!(
                "after {OFFLOAD_PATIENCE:?} only {cold} of {end} offsets have left every local disk\n{}",
                tiers::table(&tiers)
            );
        }
        env.clock.sleep(Duration::from_millis(300)).await;
    }
}

fn progress(verb: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("          {bar:40} {human_pos}/{human_len} {msg} {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(FLIGHTS as u64).with_style(style).with_message(verb.to_owned())
}
