//! What is true of this broker when somebody asks: the gauges of its metrics.
//!
//! The collector runs on a thread of its own, looks at what each partition keeps for such questions, and reads a few files of the
//! kernel: no log and no log directory's disk is waited for.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Broker;
use super::machine::read_kernel_file;
use crate::env::metrics::*;
use crate::env::pem::{expiry_ms, load_certificates};
use crate::env::{Disk, MonoTime};
use crate::metadata::BrokerState;
use crate::types::BrokerId;

/// So long the log directories are asked what room they have; of one that does not say it what it said last is told.
const LOOK: Duration = Duration::from_millis(250);
/// The pages of `/proc/self/statm`, on every machine that we run on.
const PAGE_BYTES: f64 = 4096.0;
/// The ticks of `/proc/self/stat` in a second (USER_HZ).
const TICKS: u64 = 100;

impl Broker {
    /// Has the registry ask this broker, as long as it lives.
    pub(super) fn tell_metrics(self: &Arc<Self>) {
        let (broker, begun): (Weak<Broker>, MonoTime) = (Arc::downgrade(self), self.env.clock.now());
        self.env.metrics.collect_from(move |out| {
            if let Some(broker) = broker.upgrade() {
                let uptime = broker.env.clock.now().since(begun);
                broker.tell(out, uptime);
            }
        });
    }

    /// All that is counted and true now.
    pub async fn metrics(&self) -> Vec<Family> {
        self.directories.look(LOOK).await;
        let metrics = self.env.metrics.clone();
        // The pool ends only with the process.
        self.status_thread.run(move || metrics.snapshot()).await.unwrap_or_default()
    }

    /// Returns once the disk of one log directory has answered. While none does there is nothing that this broker could serve.
    pub async fn a_disk_answers(&self) {
        self.directories.any_answers().await;
    }

    /// Whether this broker serves as a member of the cluster; with `in_sync`, whether besides no replica of it is outside of its
    /// ISR.
    ///
    /// # Errors
    /// Why not.
    pub fn readiness(&self, in_sync: bool) -> Result<(), String> {
        let image = self.image();
        let me = self.node_id();
        match image.brokers.get(&me).map(|broker| broker.state) {
            Some(BrokerState::Active) => {}
            Some(state) => return Err(format!("broker {me} is not active: {state:?}")),
            None => return Err(format!("broker {me} is not registered")),
        }
        if !self.metadata.lease().holds(self.env.clock.now()) {
            return Err("no lease: the metadata quorum does not answer".to_owned());
        }
        if in_sync {
            let outside = |topic: &crate::metadata::Topic| {
                topic.partitions.iter().filter(|p| p.is_replica(me) && !p.isr.contains(&me)).count()
            };
            let outside: usize = image.topics.values().map(|topic| outside(topic)).sum();
            if outside > 0 {
                return Err(format!("{outside} replicas of broker {me} are not in sync"));
            }
        }
        Ok(())
    }

    fn tell(&self, out: &mut Snapshot, uptime: Duration) {
        out.level(BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        out.level(UPTIME, &[], uptime.as_secs_f64());
        self.tell_cluster(out);
        self.tell_partitions(out);
        self.tell_peers(out);
        self.tell_tier(out);
        self.tell_groups(out);
        self.client_telemetry.tell(out);
        tell_process(&*self.env.disk, out);
        let (limit, used) = self.answers.use_of();
        out.level(BUDGET_LIMIT, &["fetches"], limit as f64);
        out.level(BUDGET_USED, &["fetches"], used as f64);
        let listener = self.config.properties.get("ssl.keystore.certificate.location").map(PathBuf::from);
        let peer = self.config.peer_tls.as_ref().map(|[_, certificate, _]| certificate.clone());
        for (name, path) in [("listener", listener), ("peer", peer)] {
            if let Some(expiry) = path.and_then(|path| expiry_of(&*self.env.disk, &path)) {
                out.level(CERTIFICATE_EXPIRY, &[name], expiry as f64);
            }
        }
        let (spans, lines) = self.env.traces.dropped();
        out.count(TELEMETRY_DROPPED, &["traces"], spans);
        out.count(TELEMETRY_DROPPED, &["logs"], lines);
    }

    fn tell_cluster(&self, out: &mut Snapshot) {
        let image = self.image();
        let active = image.brokers.values().filter(|b| b.state == BrokerState::Active).count();
        out.level(BROKERS_ACTIVE, &[], active as f64);
        out.level(BROKERS_FENCED, &[], (image.brokers.len() - active) as f64);
        let partitions = || image.topics.values().flat_map(|topic| &topic.partitions);
        let leaderless = partitions().filter(|p| p.leader.is_none()).count();
        // They have a leader by name alone.
        let unled = leaderless + self.replicas.waiting_for_tier();
        out.level(PARTITIONS_OFFLINE, &[], unled as f64);
        let mine = partitions().filter(|p| p.leader == Some(self.node_id()));
        let reassigning = mine.filter(|p| p.reassignment.is_some()).count();
        out.level(PARTITIONS_REASSIGNING, &[], reassigning as f64);
        let leads = self.metadata.leader() == Some(self.node_id());
        out.level(METADATA_LEADER, &[], f64::from(u8::from(leads)));
        out.level(METADATA_VERSION, &[], image.version as f64);
        let held = self.metadata.lease().holds(self.env.clock.now());
        out.level(LEASE_HELD, &[], f64::from(u8::from(held)));
    }

    fn tell_partitions(&self, out: &mut Snapshot) {
        let image = self.image();
        let (now, now_ms) = (self.env.clock.now(), self.env.clock.wall_ms());
        let replicas = self.replicas.replicas();
        let [mut led, mut under, mut below, mut at] = [0u32; 4];
        let (mut lag_bytes, mut lag_segments, mut lag_seconds) = (0u64, 0u64, 0f64);
        let dirs = self.replicas.directories();
        let mut log_bytes = vec![0u64; dirs.len()];
        for replica in &replicas {
            let positions = replica.positions();
            let summary = replica.log_summary();
            if let Some(i) = dirs.iter().position(|(id, _)| *id == replica.directory()) {
                log_bytes[i] += summary.bytes;
            }
            let Some(size) = replica.isr_size() else { continue };
            led += 1;
            let partition = image.partition(&replica.partition().topic, replica.partition().partition);
            let assigned = partition.map_or(size.isr, |p| p.replicas.len());
            under += u32::from(size.isr < assigned);
            below += u32::from(size.isr < size.min_isr);
            at += u32::from(size.isr == size.min_isr && size.isr < assigned);
            for follower in replica.in_sync_followers() {
                let name = follower.broker.to_string();
                let behind = (positions.log_end - follower.end).max(0);
                out.level_at_least(REPLICA_LAG_RECORDS, &[&name], behind as f64);
                let seconds = if behind == 0 { 0.0 } else { now.since(follower.caught_up).as_secs_f64() };
                out.level_at_least(REPLICA_LAG_SECONDS, &[&name], seconds);
            }
            for segment in summary.closed.iter().filter(|s| s.end > positions.tier_end()) {
                lag_bytes += segment.bytes;
                lag_segments += 1;
                if segment.max_timestamp >= 0 {
                    lag_seconds = lag_seconds.max((now_ms - segment.max_timestamp).max(0) as f64 / 1000.0);
                }
            }
        }
        out.level(PARTITIONS_HOSTED, &[], replicas.len() as f64);
        out.level(PARTITIONS_LED, &[], f64::from(led));
        out.level(PARTITIONS_UNDER_REPLICATED, &[], f64::from(under));
        out.level(PARTITIONS_UNDER_MIN_ISR, &[], f64::from(below));
        out.level(PARTITIONS_AT_MIN_ISR, &[], f64::from(at));
        for ((_, path), bytes) in dirs.iter().zip(log_bytes) {
            let name = path.display().to_string();
            out.level(LOG_BYTES, &[&name], bytes as f64);
        }
        for (path, free, waits) in self.directories.states() {
            let name = path.display().to_string();
            if let Some(free) = free {
                out.level(DISK_FREE, &[&name], free as f64);
            }
            out.level(DIRECTORY_WAITS, &[&name], waits.as_secs_f64());
        }
        out.level(DIRECTORIES_FAILED, &[], self.replicas.offline_directories().len() as f64);
        if self.cold_store.is_some() {
            out.level(TIER_LAG_BYTES, &[], lag_bytes as f64);
            out.level(TIER_LAG_SECONDS, &[], lag_seconds);
            out.level(TIER_LAG_SEGMENTS, &[], lag_segments as f64);
        }
    }

    fn tell_peers(&self, out: &mut Snapshot) {
        let ways = self.transport.ways();
        let mut peers: Vec<BrokerId> = ways.iter().map(|way| way.peer).collect();
        peers.sort_unstable();
        peers.dedup();
        for peer in peers {
            let name = peer.to_string();
            let of = || ways.iter().filter(|way| way.peer == peer);
            let rtt = of().map(|way| way.round_trip).max().unwrap_or_default();
            out.level(PEER_RTT, &[&name], rtt.as_secs_f64());
            let window = of().map(|way| way.window_bytes).min().unwrap_or_default();
            out.level(PEER_WINDOW, &[&name], window as f64);
            out.count(PEER_PACKETS, &[&name], of().map(|way| way.sent_packets).sum());
            out.count(PEER_LOST, &[&name], of().map(|way| way.lost_packets).sum());
            out.count(PEER_CONGESTION, &[&name], of().map(|way| way.congestion_events).sum());
            out.count(PEER_SENT, &[&name], of().map(|way| way.sent_bytes).sum());
            out.count(PEER_RECEIVED, &[&name], of().map(|way| way.received_bytes).sum());
        }
        if let Some(drops) = udp_drops(&*self.env.disk, self.transport.local_port()) {
            out.count(UDP_DROPS, &[], drops);
        }
    }

    fn tell_tier(&self, out: &mut Snapshot) {
        let Some(store) = &self.cold_store else { return };
        let counts = store.counts();
        let requests = counts.requests;
        for (kind, count) in [
            ("put", requests.puts),
            ("get", requests.gets),
            ("head", requests.heads),
            ("list", requests.lists),
            ("delete", requests.deletes),
        ] {
            out.count(STORE_REQUESTS, &[kind], count);
        }
        // A rate over a series that begins with its first error does not see that one.
        for kind in ["put", "get", "head", "list", "delete"] {
            for code in ["refused", "unavailable"] {
                out.count(STORE_ERRORS, &[kind, code], 0);
            }
        }
        for ((kind, code), count) in store.failed_requests() {
            out.count(STORE_ERRORS, &[kind, &code], count);
        }
        for (kind, counts) in store.index_counts() {
            out.count(INDEX_LOOKUPS, &[kind, "hit"], counts.hits);
            out.count(INDEX_LOOKUPS, &[kind, "miss"], counts.misses);
            out.count(INDEX_EVICTIONS, &[kind], counts.evictions);
            out.level(INDEX_BYTES, &[kind], counts.bytes as f64);
        }
        for (topic, bytes) in store.bytes_by_topic() {
            out.level(TIER_BYTES, &[topic.as_str()], bytes as f64);
        }
        out.level(TIER_GAPS, &[], store.gaps() as f64);
        out.level(TIER_DISCARDS_WAITING, &[], store.discards_waiting() as f64);
        let cuts = store.cuts();
        if self.metadata.leader() == Some(self.node_id())
            && let Some(whole_ms) = cuts.whole_ms()
        {
            let age_ms = self.env.clock.wall_ms().saturating_sub(whole_ms).max(0);
            out.level(TIER_CUT_AGE, &[], age_ms as f64 / 1000.0);
        }
        out.level(TIER_CUT_HOLD, &[], cuts.held_ms() as f64 / 1000.0);
        out.count(TIER_CUT_FAILURES, &[], cuts.failed());
        out.count(STORE_BYTES, &["up"], requests.bytes_up);
        out.count(STORE_BYTES, &["down"], requests.bytes_down);
        for (outcome, count) in [
            ("memory", counts.chunks.memory_hits),
            ("disk", counts.chunks.disk_hits),
            ("peer", counts.chunks.peer_hits),
            ("miss", counts.chunks.misses.saturating_sub(counts.chunks.peer_hits)),
        ] {
            out.count(CACHE_LOOKUPS, &[outcome], count);
        }
        out.count(CACHE_EVICTIONS, &[], counts.chunks.evictions);
        out.count(CACHE_BAD_FILES, &[], counts.chunks.bad_files);
        out.count(TIER_DROPPED, &[], counts.dropped_records);
        out.count(SCRUBBED_OBJECTS, &[], counts.scrub.segments);
        out.count(SCRUB_FINDINGS, &[], counts.scrub.damaged);
    }
}

fn tell_process(disk: &dyn Disk, out: &mut Snapshot) {
    let read = |path: &str| read_kernel_file(disk, Path::new(path)).unwrap_or_default();
    let number = |word: Option<&str>| word.and_then(|w| w.parse::<u64>().ok());
    if let Some(pages) = number(read("/proc/self/statm").split(' ').nth(1)) {
        out.level(PROCESS_MEMORY, &[], pages as f64 * PAGE_BYTES);
    }
    if let Ok(files) = disk.read_dir(Path::new("/proc/self/fd")) {
        out.level(PROCESS_FILES, &[], files.len() as f64);
    }
    // The name, in brackets, may have anything in it; user and system time are words 12 and 13 after it.
    let stat = read("/proc/self/stat");
    let words: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    if let (Some(user), Some(system)) = (number(words.get(11).copied()), number(words.get(12).copied())) {
        out.count(PROCESS_CPU, &[], (user + system) / TICKS);
    }
}

/// Packets that the kernel dropped on the UDP sockets of a port: the last word of their lines (proc_net_udp).
fn udp_drops(disk: &dyn Disk, port: u16) -> Option<u64> {
    let wanted = format!(":{port:04X}");
    let mut drops = None;
    for file in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
        let Ok(text) = read_kernel_file(disk, Path::new(file)) else { continue };
        for line in text.lines().skip(1) {
            let mut words = line.split_whitespace();
            if words.nth(1).is_some_and(|local| local.ends_with(&wanted)) {
                let dropped: u64 = words.last().and_then(|word| word.parse().ok()).unwrap_or(0);
                drops = Some(drops.unwrap_or(0) + dropped);
            }
        }
    }
    drops
}

/// When the first certificate of a file expires, in seconds of Unix time.
fn expiry_of(disk: &dyn Disk, path: &Path) -> Option<i64> {
    Some(expiry_ms(&load_certificates(disk, path).ok()?)?.div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Env, RealDisk};

    #[test]
    fn the_kernel_tells_memory_files_and_time_of_this_process() {
        let metrics = Metrics::default();
        metrics.collect_from(|out| tell_process(&RealDisk, out));
        let told = metrics.snapshot();
        let of = |metric: &Metric| {
            told.iter().find(|f| f.metric.name == metric.name).unwrap().series[&Vec::new()].clone()
        };
        assert!(matches!(of(PROCESS_MEMORY), Value::Level(bytes) if bytes > 1e6));
        assert!(matches!(of(PROCESS_FILES), Value::Level(files) if files >= 3.0));
        assert!(matches!(of(PROCESS_CPU), Value::Count(_)));
    }

    #[test]
    fn drops_are_told_of_a_bound_socket_only() {
        let socket = Env::real().net.bind_udp(([127, 0, 0, 1], 0).into(), 1 << 16).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(udp_drops(&RealDisk, port), Some(0));
        drop(socket);
        assert_eq!(udp_drops(&RealDisk, port), None);
    }
}
