//! `esker produce`: a line of standard input is a record. With acks=all; a batch that fails is told with its first line.

use std::collections::BTreeMap;
use std::io::BufRead as _;

use anyhow::{Context as _, Result, ensure};

use super::client::records::Led;
use super::client::{Client, ClusterArguments};
use super::report::{Output, print_json};
use crate::env::Env;
use crate::wire::record_batch::{BatchBuilder, Compression};

/// A batch is sent when it has so many bytes, or records.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_RECORDS: i32 = 5_000;

/// Arguments of `esker produce`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The topic.
    topic: String,
    /// What stands between key and value in a line; without it lines are values.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Only to this partition; otherwise a key decides, as in Kafka, and records without one take turns.
    #[arg(long)]
    partition: Option<i32>,
    /// A header of every record; may be given several times.
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = super::key_value)]
    headers: Vec<(String, String)>,
    /// How batches are compressed.
    #[arg(long, value_enum, default_value_t)]
    compression: Codec,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// The codecs of Kafka.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// As they come.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Compression {
        match codec {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd,
        }
    }
}

/// Batches that are not full yet, one a partition.
struct Batches<'a> {
    client: &'a mut Client,
    partitions: Vec<Led>,
    compression: Compression,
    open: BTreeMap<usize, BatchBuilder>,
    records: u64,
}

impl Batches<'_> {
    async fn send(&mut self, at: usize) -> Result<()> {
        let Some(batch) = self.open.remove(&at) else { return Ok(()) };
        let to = &self.partitions[at];
        let count = batch.count();
        self.client.produce(to, batch.build()?).await.with_context(|| {
            let done = self.records;
            format!(
                "{count} records were not taken by {}-{}; {done} before them were",
                to.topic, to.partition
            )
        })?;
        self.records += u64::from(count.unsigned_abs());
        Ok(())
    }
}

/// Sends the lines of standard input.
///
/// # Errors
/// What the broker answers, and how much was taken before.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    let mut client = Client::new(&env, &arguments.cluster)?;
    let partitions = client.led_partitions(&arguments.topic).await?;
    let fixed = match arguments.partition {
        Some(wanted) => {
            let at = partitions.iter().position(|led| led.partition == wanted);
            Some(at.with_context(|| format!("topic {} has no partition {wanted}", arguments.topic))?)
        }
        None => None,
    };
    ensure!(!partitions.is_empty(), "topic {} has no partition", arguments.topic);
    let count = partitions.len();
    let headers: Vec<(&str, Option<&[u8]>)> =
        arguments.headers.iter().map(|(key, value)| (key.as_str(), Some(value.as_bytes()))).collect();
    let compression = arguments.compression.into();
    let mut batches =
        Batches { client: &mut client, partitions, compression, open: BTreeMap::new(), records: 0 };
    let mut turn = 0;
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line.context("cannot read standard input")?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let (key, value) = match &arguments.key_separator {
            Some(separator) => split(line, separator.as_bytes()),
            None => (None, line),
        };
        let at = match (fixed, key) {
            (Some(at), _) => at,
            (None, Some(key)) => partition_of(key, count),
            (None, None) => turn,
        };
        let batch = batches.open.entry(at).or_insert_with(|| BatchBuilder::new(batches.compression));
        batch.add(env.clock.wall_ms(), key, Some(value), &headers);
        if batch.uncompressed_bytes() >= BATCH_BYTES || batch.count() >= BATCH_RECORDS {
            batches.send(at).await?;
            turn = (turn + 1) % count;
        }
    }
    for at in 0..count {
        batches.send(at).await?;
    }
    let records = batches.records;
    match arguments.cluster.output {
        Output::Json => print_json(&serde_json::json!({ "topic": arguments.topic, "records": records })),
        Output::Table => println!("{records} records are in {}", arguments.topic),
    }
    Ok(())
}

/// Key and value around the first separator; a line without one has no key.
fn split<'a>(line: &'a [u8], separator: &[u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    let at = (!separator.is_empty())
        .then(|| line.windows(separator.len()).position(|window| window == separator))
        .flatten();
    at.map_or((None, line), |at| (Some(&line[..at]), &line[at + separator.len()..]))
}

/// Where Kafka's own clients put a key: murmur2 of it, without its sign.
fn partition_of(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % partitions
}

/// MurmurHash2 by Austin Appleby, with the seed of Kafka's clients.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |all, byte| (all << 8) | u32::from(*byte));
        h = (h ^ tail).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_kafkas_clients_send_them() {
        // Values of Kafka's own test of its hash.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn a_line_is_cut_at_the_first_separator() {
        assert_eq!(split(b"k::v::w", b"::"), (Some(&b"k"[..]), &b"v::w"[..]));
        assert_eq!(split(b"kv", b"::"), (None, &b"kv"[..]));
        assert_eq!(split(b"kv", b""), (None, &b"kv"[..]));
    }
}
