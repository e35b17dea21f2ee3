//! As much as the brokers take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::stream::{connect, receive};
use crate::{Records, Target, frames};

/// Sends until `bytes` of records are acknowledged.
pub fn produce(target: &Target, records: &Records, bytes: u64, in_flight: usize) -> Result<String> {
    let count = (records.batch_bytes / (records.size + 10)).max(1) as u64;
    let batch = frames::batch(records, count)?;
    let by_leader = target.by_leader()?;
    let rounds = bytes.div_ceil(batch.count * records.size as u64);
    let left = AtomicU64::new(rounds);
    let begun = Instant::now();
    each_leader(by_leader, |leader, partitions| {
        let frames: Vec<_> = partitions
            .iter()
            .map(|partition| frames::produce(&target.topic, &[*partition], records.acks, &batch.bytes))
            .collect();
        let mut stream = connect(leader, target.ca.as_deref())?;
        let (mut sent, mut answered, mut buffer) = (0_usize, 0_usize, Vec::new());
        loop {
            while sent - answered < in_flight && take(&left) {
                stream.write_all(&frames[sent % frames.len()])?;
                sent += 1;
            }
            stream.flush()?;
            if sent == answered {
                return Ok(());
            }
            receive(&mut *stream, &mut buffer)?;
            frames::check_produced(&buffer)?;
            answered += 1;
        }
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let sent = rounds * batch.count;
    Ok(serde_json::json!({
        "seconds": seconds, "records": sent, "bytes": sent * records.size as u64, "requests": rounds,
        "stored_bytes": rounds * batch.bytes.len() as u64,
        "mb_per_s": (sent * records.size as u64) as f64 / 1e6 / seconds, "records_per_s": sent as f64 / seconds,
    })
    .to_string())
}

/// Reads until `bytes` of batches have come.
pub fn fetch(target: &Target, bytes: u64, partition_bytes: i32) -> Result<String> {
    let read = AtomicU64::new(0);
    let requests = AtomicU64::new(0);
    let begun = Instant::now();
    each_leader(target.by_leader()?, |leader, partitions| {
        let mut positions: Vec<(i32, i64)> = partitions.iter().map(|partition| (*partition, 0)).collect();
        let mut stream = connect(leader, target.ca.as_deref())?;
        let mut buffer = Vec::new();
        while read.load(Ordering::Relaxed) < bytes {
            stream.write_all(&frames::fetch(&target.topic, &positions, partition_bytes, 500))?;
            stream.flush()?;
            receive(&mut *stream, &mut buffer)?;
            requests.fetch_add(1, Ordering::Relaxed);
            let mut problem = None;
            frames::fetched(&buffer, |partition, batch| {
                read.fetch_add(batch.len() as u64, Ordering::Relaxed);
                let place = positions.iter_mut().find(|(p, _)| *p == partition);
                match (place, frames::end_offset(batch)) {
                    (Some(place), Ok(end)) => place.1 = end,
                    _ => problem = Some(anyhow!("partition {partition} was not asked for")),
                }
            })?;
            if let Some(problem) = problem {
                return Err(problem);
            }
            // What was read goes to the back: a capped answer gives all partitions their turn.
            positions.rotate_left(1);
        }
        Ok(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = read.into_inner();
    Ok(serde_json::json!({
        "seconds": seconds, "bytes": bytes, "requests": requests.into_inner(), "mb_per_s": bytes as f64 / 1e6 / seconds,
    })
    .to_string())
}

fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

/// One thread per leader; the first error ends the run.
fn each_leader(
    by_leader: std::collections::BTreeMap<String, Vec<i32>>,
    work: impl Fn(&str, &[i32]) -> Result<()> + Sync,
) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            by_leader.iter().map(|(leader, partitions)| scope.spawn(|| work(leader, partitions))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}
