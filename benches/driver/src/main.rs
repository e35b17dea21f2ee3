//! A load driver for Kafka brokers, so lean that the broker is what is measured: produce requests are encoded once and
//! sent again and again, fetched bytes are walked batch by batch and thrown away. One thread and one connection per
//! broker. It prints one line of JSON.
//!
//! It speaks Produce 7 and Fetch 11, which Kafka 4 and Esker both serve, and nothing else: who leads which partition
//! is told on the command line (`benches/versus-kafka` does).
#![forbid(unsafe_code)]

mod frames;
mod latency;
mod load;
mod stream;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// A load driver for Kafka brokers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    /// Sends records as fast as the brokers take them.
    Produce {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        records: Records,
        /// Bytes of records to send, over all partitions, before compression.
        #[arg(long)]
        bytes: u64,
        /// Requests on their way per connection.
        #[arg(long, default_value_t = 5)]
        in_flight: usize,
    },
    /// Reads from offset 0 until so many bytes of batches have come.
    Fetch {
        #[command(flatten)]
        target: Target,
        /// Bytes of batches, as stored, over all partitions.
        #[arg(long)]
        bytes: u64,
        /// `max.partition.fetch.bytes`.
        #[arg(long, default_value_t = 1 << 20)]
        partition_bytes: i32,
    },
    /// Sends records at a steady rate to each partition and reads them back by long polls; milliseconds.
    Latency {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        records: Records,
        /// Records per second over all partitions.
        #[arg(long)]
        rate: u64,
        /// How long.
        #[arg(long)]
        seconds: u64,
    },
}

/// Where to.
#[derive(Args, Clone)]
struct Target {
    #[arg(long)]
    topic: String,
    /// Leader of each partition: `0=host:port,1=host:port`.
    #[arg(long)]
    leaders: String,
    /// PEM file of the certificate authority: TLS.
    #[arg(long)]
    ca: Option<PathBuf>,
}

impl Target {
    /// Partitions by leader.
    fn by_leader(&self) -> Result<BTreeMap<String, Vec<i32>>> {
        let mut by_leader: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for pair in self.leaders.split(',') {
            let (partition, leader) = pair.split_once('=').context("--leaders is 0=host:port,…")?;
            by_leader.entry(leader.to_owned()).or_default().push(partition.parse()?);
        }
        Ok(by_leader)
    }
}

/// What the records are like.
#[derive(Args, Clone)]
struct Records {
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1000)]
    size: usize,
    /// Bytes of a batch before compression.
    #[arg(long, default_value_t = 65_536)]
    batch_bytes: usize,
    #[arg(long, default_value = "none")]
    codec: Codec,
    /// 1, or −1 for all.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    acks: i16,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Codec {
    None,
    Lz4,
}

fn main() -> Result<()> {
    let said = match Cli::parse().work {
        Work::Produce { target, records, bytes, in_flight } => {
            load::produce(&target, &records, bytes, in_flight)?
        }
        Work::Fetch { target, bytes, partition_bytes } => load::fetch(&target, bytes, partition_bytes)?,
        Work::Latency { target, records, rate, seconds } => {
            latency::measure(&target, &records, rate, seconds)?
        }
    };
    println!("{said}");
    Ok(())
}
