//! A steady rate, and how long a record takes to its reader.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::stream::receive;
use crate::{Codec, Records, Target, frames};

/// What is due is sent this often.
const TICK: Duration = Duration::from_millis(1);

/// Each tick sends the records that are due as one batch, to the partitions in turn. The send time lies in the batch's first
/// value; the reader's clock minus it is the latency.
pub fn measure(target: &Target, records: &Records, rate: u64, seconds: u64) -> Result<String> {
    ensure!(records.codec == Codec::None && target.ca.is_none(), "latency is measured plain");
    ensure!(records.size >= 16, "a value holds the send time");
    let begun = Instant::now();
    let taken: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let acknowledged: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let done = AtomicBool::new(false);
    let by_leader = target.by_leader()?;
    let partitions: Vec<(i32, &str)> =
        by_leader.iter().flat_map(|(leader, ps)| ps.iter().map(move |p| (*p, leader.as_str()))).collect();
    let per_tick = (rate as f64 * TICK.as_secs_f64()).max(1.0).round() as u64;
    let every = Duration::from_secs_f64(per_tick as f64 / rate as f64);
    std::thread::scope(|scope| -> Result<()> {
        let mut threads = Vec::new();
        let mut senders: BTreeMap<&str, TcpStream> = BTreeMap::new();
        for (leader, partitions) in &by_leader {
            let stream = TcpStream::connect(leader)?;
            stream.set_nodelay(true)?;
            let mut answers = stream.try_clone()?;
            senders.insert(leader, stream);
            let (done, taken, acknowledged) = (&done, &taken, &acknowledged);
            threads.push(scope.spawn(move || -> Result<()> {
                let (mut buffer, mut times) = (Vec::new(), Vec::new());
                // The answers come in order; the correlation id says when the request left, in microseconds.
                while receive(&mut answers, &mut buffer).is_ok() {
                    frames::check_produced(&buffer)?;
                    let left = u64::from(u32::from_be_bytes(buffer[..4].try_into()?));
                    times.push((begun.elapsed().as_micros() as u64).saturating_sub(left));
                }
                acknowledged.lock().map_err(|_| anyhow!("a thread panicked"))?.extend(times);
                Ok(())
            }));
            threads.push(scope.spawn(move || -> Result<()> {
                let mut positions: Vec<(i32, i64)> = partitions.iter().map(|p| (*p, 0)).collect();
                let value_at = frames::batch(records, per_tick)?.value_at;
                let mut stream = TcpStream::connect(leader)?;
                stream.set_nodelay(true)?;
                let (mut buffer, mut times) = (Vec::new(), Vec::new());
                while !done.load(Ordering::Relaxed) {
                    stream.write_all(&frames::fetch(&target.topic, &positions, 1 << 20, 200))?;
                    receive(&mut stream, &mut buffer)?;
                    let now = begun.elapsed().as_nanos() as u64;
                    frames::fetched(&buffer, |partition, batch| {
                        if let Some(value) = batch.get(value_at..value_at + 8) {
                            let sent = u64::from_be_bytes(value.try_into().unwrap_or_default());
                            times.push(now.saturating_sub(sent) / 1000);
                        }
                        for place in positions.iter_mut().filter(|(p, _)| *p == partition) {
                            place.1 = frames::end_offset(batch).unwrap_or(place.1);
                        }
                    })?;
                }
                taken.lock().map_err(|_| anyhow!("a thread panicked"))?.extend(times);
                Ok(())
            }));
        }
        let mut due = Instant::now();
        let end = due + Duration::from_secs(seconds);
        let mut turn = 0;
        let template = frames::batch(records, per_tick)?;
        while due < end {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (partition, leader) = partitions[turn % partitions.len()];
            turn += 1;
            let mut batch = template.bytes.clone();
            let sent = begun.elapsed();
            batch[template.value_at..template.value_at + 8]
                .copy_from_slice(&(sent.as_nanos() as u64).to_be_bytes());
            frames::seal(&mut batch);
            let mut frame = frames::produce(&target.topic, &[partition], records.acks, &batch);
            frame[8..12].copy_from_slice(&(sent.as_micros() as u32).to_be_bytes());
            senders.get_mut(leader).ok_or_else(|| anyhow!("no connection to {leader}"))?.write_all(&frame)?;
            due += every;
        }
        std::thread::sleep(Duration::from_secs(1));
        done.store(true, Ordering::Relaxed);
        for sender in senders.values() {
            sender.shutdown(std::net::Shutdown::Both)?;
        }
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    let spread = |times: Mutex<Vec<u64>>| -> Result<serde_json::Value> {
        let mut times = times.into_inner().map_err(|_| anyhow!("a thread panicked"))?;
        times.sort_unstable();
        let at = |share: f64| {
            times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)))
        };
        let ms = |share: f64| at(share).map(|t| *t as f64 / 1000.0);
        Ok(
            serde_json::json!({"batches": times.len(), "p50": ms(0.5), "p99": ms(0.99), "p99.9": ms(0.999), "max": ms(1.0)}),
        )
    };
    Ok(serde_json::json!({"end_to_end_ms": spread(taken)?, "acknowledged_ms": spread(acknowledged)?})
        .to_string())
}
