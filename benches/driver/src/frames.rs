//! The few frames that the driver sends and reads.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Codec, Records};

/// Where the records begin in a batch.
pub const BATCH_HEADER: usize = 61;

/// A batch of records with values of one size.
pub struct Batch {
    pub bytes: Vec<u8>,
    pub count: u64,
    /// Where the first record's value is, in an uncompressed batch.
    pub value_at: usize,
}

/// A batch of `count` records.
pub fn batch(records: &Records, count: u64) -> Result<Batch> {
    let mut body = Vec::new();
    let mut value_at = 0;
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for i in 0..count {
        let mut record = vec![0_u8]; // attributes
        varint(&mut record, 0); // timestamp delta
        varint(&mut record, i64::try_from(i)?);
        varint(&mut record, -1); // no key
        varint(&mut record, i64::try_from(records.size)?);
        let head = record.len();
        for j in 0..records.size {
            // About half of it is noise, so that lz4 has something to do.
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            record.push(if j % 2 == 0 { noise as u8 } else { b'x' });
        }
        varint(&mut record, 0); // no headers
        varint(&mut body, i64::try_from(record.len())?);
        if i == 0 {
            value_at = BATCH_HEADER + body.len() + head;
        }
        body.extend_from_slice(&record);
    }
    let attributes: i16 = if records.codec == Codec::Lz4 { 3 } else { 0 };
    if records.codec == Codec::Lz4 {
        let mut packer = lz4_flex::frame::FrameEncoder::new(Vec::new());
        packer.write_all(&body)?;
        body = packer.finish()?;
    }
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())?;
    let mut bytes = Vec::with_capacity(BATCH_HEADER + body.len());
    bytes.extend(0_i64.to_be_bytes()); // base offset
    bytes.extend(i32::try_from(BATCH_HEADER - 12 + body.len())?.to_be_bytes());
    bytes.extend((-1_i32).to_be_bytes()); // leader epoch
    bytes.push(2); // magic
    bytes.extend([0; 4]); // CRC
    bytes.extend(attributes.to_be_bytes());
    bytes.extend(i32::try_from(count - 1)?.to_be_bytes());
    bytes.extend(now.to_be_bytes());
    bytes.extend(now.to_be_bytes());
    bytes.extend((-1_i64).to_be_bytes()); // producer id
    bytes.extend((-1_i16).to_be_bytes());
    bytes.extend((-1_i32).to_be_bytes());
    bytes.extend(i32::try_from(count)?.to_be_bytes());
    bytes.extend(body);
    seal(&mut bytes);
    Ok(Batch { bytes, count, value_at })
}

/// Sets the CRC.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as i16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn framed(key: i16, version: i16, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(key.to_be_bytes());
    out.extend(version.to_be_bytes());
    out.extend(0_i32.to_be_bytes()); // correlation id
    text(&mut out, "driver");
    body(&mut out);
    let length = (out.len() - 4) as i32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}

/// Produce 7 with one batch for each partition; the batches come last, in this order.
pub fn produce(topic: &str, partitions: &[i32], acks: i16, batch: &[u8]) -> Vec<u8> {
    framed(0, 7, |out| {
        out.extend((-1_i16).to_be_bytes()); // no transaction
        out.extend(acks.to_be_bytes());
        out.extend(30_000_i32.to_be_bytes());
        out.extend(1_i32.to_be_bytes());
        text(out, topic);
        out.extend((partitions.len() as i32).to_be_bytes());
        for partition in partitions {
            out.extend(partition.to_be_bytes());
            out.extend((batch.len() as i32).to_be_bytes());
            out.extend(batch);
        }
    })
}

/// Reads the answer to `produce`; an error of any partition is an error.
pub fn check_produced(frame: &[u8]) -> Result<()> {
    let mut read = Reader(frame);
    read.skip(4)?; // correlation id
    for _ in 0..read.i32()? {
        read.text()?;
        for _ in 0..read.i32()? {
            let (partition, error) = (read.i32()?, read.i16()?);
            ensure!(error == 0, "partition {partition} answered with error {error}");
            read.skip(8 + 8 + 8)?;
        }
    }
    Ok(())
}

/// Fetch 11, without a session.
pub fn fetch(topic: &str, positions: &[(i32, i64)], partition_bytes: i32, wait_ms: i32) -> Vec<u8> {
    framed(1, 11, |out| {
        out.extend((-1_i32).to_be_bytes()); // a client
        out.extend(wait_ms.to_be_bytes());
        out.extend(1_i32.to_be_bytes()); // min bytes
        out.extend((50_i32 << 20).to_be_bytes());
        out.push(0); // read uncommitted
        out.extend(0_i32.to_be_bytes());
        out.extend((-1_i32).to_be_bytes());
        out.extend(1_i32.to_be_bytes());
        text(out, topic);
        out.extend((positions.len() as i32).to_be_bytes());
        for (partition, offset) in positions {
            out.extend(partition.to_be_bytes());
            out.extend((-1_i32).to_be_bytes());
            out.extend(offset.to_be_bytes());
            out.extend((-1_i64).to_be_bytes());
            out.extend(partition_bytes.to_be_bytes());
        }
        out.extend(0_i32.to_be_bytes());
        text(out, "");
    })
}

/// Calls `each` with the partition and the bytes of every whole batch in the answer to `fetch`.
pub fn fetched<'a>(frame: &'a [u8], mut each: impl FnMut(i32, &'a [u8])) -> Result<()> {
    let mut read = Reader(frame);
    read.skip(4 + 4)?; // correlation id, throttle time
    let error = read.i16()?;
    ensure!(error == 0, "fetch answered with error {error}");
    read.skip(4)?; // session
    for _ in 0..read.i32()? {
        read.text()?;
        for _ in 0..read.i32()? {
            let (partition, error) = (read.i32()?, read.i16()?);
            ensure!(error == 0, "partition {partition} answered with error {error}");
            read.skip(8 + 8 + 8)?;
            let aborted = read.i32()?.max(0);
            read.skip(aborted as usize * 16 + 4)?;
            let length = read.i32()?.max(0) as usize;
            let mut records = read.take(length)?;
            while records.len() >= BATCH_HEADER {
                let size = 12 + i32::from_be_bytes(records[8..12].try_into()?) as usize;
                if size > records.len() {
                    break; // Kafka cuts the last batch
                }
                each(partition, &records[..size]);
                records = &records[size..];
            }
        }
    }
    Ok(())
}

/// The offset after a batch's last one.
pub fn end_offset(batch: &[u8]) -> Result<i64> {
    let base = i64::from_be_bytes(batch[..8].try_into()?);
    Ok(base + i64::from(i32::from_be_bytes(batch[23..27].try_into()?)) + 1)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        if self.0.len() < n {
            bail!("the answer is {} bytes too short", n - self.0.len());
        }
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, n: usize) -> Result<()> {
        self.take(n).map(|_| ())
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn text(&mut self) -> Result<()> {
        let n = self.i16()?;
        self.skip(usize::try_from(n).context("a null text")?)
    }
}
