//! QUIC against its TCP+TLS twin, paired: `cargo bench --bench transport -- [mb=2048] [frame=65536] [streams=4]
//! [lanes=2] [pairs=5] [mtu=6400] [acks=0] [gso=1] [buffer=4194304] [window=2097152]`; or each setting of QUIC against the defaults,
//! paired, as a Markdown table: `cargo bench --bench transport -- tuning=1`.
//!
//! Both ends run in this process over loopback; CPU time is that of both together, from `/proc/self/stat`. Each frame
//! is made of chunks of at most 64 KB, as produce batches come; each is acknowledged by a small frame the other way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use esker::env::Env;
use esker::env::pem::certificates;
use esker::transport::certs::Authority;
use esker::transport::quic::{QuicConfig, QuicTransport};
use esker::transport::tcp::{TcpConfig, TcpTransport};
use esker::transport::{Peer, PeerTls, SharedTransport, Stream, StreamKind};
use esker::types::BrokerId;

#[derive(Clone, Debug)]
struct Options {
    mb: usize,
    frame: usize,
    streams: u32,
    lanes: u32,
    pairs: usize,
    mtu: u16,
    acks: u32,
    gso: bool,
    buffer: usize,
    window: u32,
    tuning: bool,
}

/// Settings of QUIC that are measured against the defaults: what is said in words, and what changes.
type Variant = (&'static str, fn(&mut Options));

const VARIANTS: [Variant; 16] = [
    ("the same again (noise)", |_| {}),
    ("MTU 1452", |o| o.mtu = 1452),
    ("MTU 3000", |o| o.mtu = 3000),
    ("MTU 6550", |o| o.mtu = 6550),
    ("an acknowledgement per 10 packets", |o| o.acks = 10),
    ("an acknowledgement per 40 packets", |o| o.acks = 40),
    ("no GSO", |o| o.gso = false),
    ("MTU 1452 without GSO", |o| (o.mtu, o.gso) = (1452, false)),
    ("stream window 256 KiB", |o| o.window = 256 << 10),
    ("stream window 8 MiB", |o| o.window = 8 << 20),
    ("socket buffers 512 KiB", |o| o.buffer = 512 << 10),
    ("socket buffers 16 MiB", |o| o.buffer = 16 << 20),
    ("one lane", |o| o.lanes = 1),
    ("four lanes", |o| o.lanes = 4),
    ("frames of 4 KB", |o| o.frame = 4096),
    ("frames of 1 MB", |o| o.frame = 1 << 20),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Quic,
    Tcp,
}

#[derive(Clone, Copy, Debug)]
struct Cost {
    mb_per_s: f64,
    user_s_per_gb: f64,
    system_s_per_gb: f64,
}

impl Cost {
    fn cpu(self) -> f64 {
        self.user_s_per_gb + self.system_s_per_gb
    }
}

fn main() {
    let options = options();
    println!("{options:?}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    // Warm up both.
    for kind in [Kind::Quic, Kind::Tcp] {
        runtime.block_on(run(kind, &Options { mb: 256, ..options.clone() }));
    }
    if options.tuning {
        return tune(&runtime, &options);
    }
    let mut ratios = Vec::new();
    for pair in 0..options.pairs {
        let order = if pair % 2 == 0 { [Kind::Quic, Kind::Tcp] } else { [Kind::Tcp, Kind::Quic] };
        let mut costs = [None; 2];
        for kind in order {
            let cost = runtime.block_on(run(kind, &options));
            println!(
                "{kind:?}: {:.0} MB/s, {:.2} CPU-s/GB ({:.2} user, {:.2} system)",
                cost.mb_per_s,
                cost.cpu(),
                cost.user_s_per_gb,
                cost.system_s_per_gb
            );
            costs[kind as usize] = Some(cost.cpu());
        }
        if let [Some(quic), Some(tcp)] = costs {
            ratios.push(quic / tcp);
        }
    }
    ratios.sort_by(f64::total_cmp);
    if let (Some(low), Some(high)) = (ratios.first(), ratios.last()) {
        let median = ratios[ratios.len() / 2];
        println!("CPU of QUIC / CPU of TCP+TLS: {median:.2} ({low:.2} to {high:.2}, {} pairs)", ratios.len());
    }
}

/// Each variant against the defaults, in the order A B B A ….
fn tune(runtime: &tokio::runtime::Runtime, defaults: &Options) {
    println!("| setting | MB/s | CPU-s/GB | CPU, setting / default |\n|---|---|---|---|");
    for (name, change) in VARIANTS {
        let mut changed = defaults.clone();
        change(&mut changed);
        let (mut ratios, mut rates, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 0..defaults.pairs {
            let both = if pair % 2 == 0 { [defaults, &changed] } else { [&changed, defaults] };
            let [first, second] = both.map(|options| runtime.block_on(run(Kind::Quic, options)));
            let (default, variant) = if pair % 2 == 0 { (first, second) } else { (second, first) };
            ratios.push(variant.cpu() / default.cpu());
            rates.push(variant.mb_per_s);
            costs.push(variant.cpu());
        }
        println!("| {name} | {} | {} | **{}** |", spread(rates, 0), spread(costs, 2), spread(ratios, 2));
    }
}

/// Median (lowest–highest).
fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[0], values[values.len() - 1]);
    format!("{:.digits$} ({low:.digits$}–{high:.digits$})", values[values.len() / 2])
}

fn options() -> Options {
    let mut options = Options {
        mb: 2048,
        frame: 65_536,
        streams: 4,
        lanes: 2,
        pairs: 5,
        mtu: 6400,
        acks: 0,
        gso: true,
        buffer: 4 << 20,
        window: 2 << 20,
        tuning: false,
    };
    for argument in std::env::args().skip(1) {
        let Some((key, value)) = argument.split_once('=') else { continue };
        let number: usize = value.parse().unwrap_or_else(|_| panic!("{argument}: a number is accepted"));
        match key {
            "mb" => options.mb = number,
            "frame" => options.frame = number,
            "streams" => options.streams = number as u32,
            "lanes" => options.lanes = number as u32,
            "pairs" => options.pairs = number,
            "mtu" => options.mtu = number as u16,
            "acks" => options.acks = number as u32,
            "gso" => options.gso = number != 0,
            "buffer" => options.buffer = number,
            "window" => options.window = number as u32,
            "tuning" => options.tuning = number != 0,
            _ => panic!(
                "{key}: mb, frame, streams, lanes, pairs, mtu, acks, gso, buffer, window, tuning are accepted"
            ),
        }
    }
    options
}

fn transports(kind: Kind, options: &Options) -> [SharedTransport; 2] {
    let env = Env::real();
    let authority = Authority::new(&env, "bench").expect("an authority");
    let roots = certificates(authority.certificate_pem().as_bytes()).expect("PEM");
    let bind: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    [1, 2].map(|id| -> SharedTransport {
        let issued = authority.issue_node(&env, BrokerId(id), &[]).expect("a certificate");
        let identity = issued.identity().expect("PEM");
        let tls = PeerTls::new(&env, BrokerId(id), &roots, identity).expect("TLS");
        match kind {
            Kind::Quic => {
                let mut config = QuicConfig::new(bind);
                config.lanes = options.lanes;
                config.mtu_upper_bound = options.mtu;
                config.packets_per_ack = options.acks;
                config.segmentation_offload = options.gso;
                config.socket_buffer_bytes = options.buffer;
                config.stream_window_bytes = options.window;
                config.connection_window_bytes = options.window.saturating_mul(4);
                QuicTransport::bind(&env, config, &tls).expect("an endpoint")
            }
            Kind::Tcp => TcpTransport::bind(&env, TcpConfig::new(bind), &tls).expect("a listener"),
        }
    })
}

async fn run(kind: Kind, options: &Options) -> Cost {
    let env = Env::real();
    let [one, two] = transports(kind, options);
    let peer = Peer { id: BrokerId(2), address: format!("127.0.0.1:{}", two.local_port()) };
    let accepting = {
        let two = two.clone();
        let streams = options.streams;
        tokio::spawn(async move {
            for _ in 0..streams {
                let incoming = two.accept().await.expect("a stream");
                tokio::spawn(receive(incoming.stream));
            }
        })
    };
    let mut streams = Vec::new();
    for lane in 0..options.streams {
        streams.push(one.open(peer.clone(), StreamKind::Replication, lane).await.expect("a stream"));
    }
    accepting.await.expect("all accepted");
    // MTU discovery takes a few round trips.
    for stream in &mut streams {
        push(stream, 4, options.frame).await;
    }
    env.clock.sleep(Duration::from_millis(300)).await;

    let frames = options.mb * (1 << 20) / options.frame / options.streams as usize;
    let (began, cpu_before) = (env.clock.now(), cpu_ticks());
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            let frame = options.frame;
            tokio::spawn(async move { push(&mut stream, frames, frame).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("sent");
    }
    let seconds = env.clock.now().since(began).as_secs_f64();
    let cpu = cpu_ticks();
    one.close();
    two.close();
    let gb = (frames * options.frame * options.streams as usize) as f64 / 1e9;
    Cost {
        mb_per_s: gb * 1000.0 / seconds,
        user_s_per_gb: (cpu.0 - cpu_before.0) as f64 / 100.0 / gb,
        system_s_per_gb: (cpu.1 - cpu_before.1) as f64 / 100.0 / gb,
    }
}

/// Sends frames, at most 32 ahead of their acknowledgements.
async fn push(stream: &mut Stream, frames: usize, frame: usize) {
    let payload = Bytes::from(vec![0x5a; frame]);
    let chunks: Vec<Bytes> =
        (0..frame).step_by(65_536).map(|at| payload.slice(at..frame.min(at + 65_536))).collect();
    let permits = Arc::new(tokio::sync::Semaphore::new(32));
    let Stream { send, recv } = stream;
    let sending = async {
        for _ in 0..frames {
            permits.acquire().await.expect("open").forget();
            send.send(&chunks).await.expect("sent");
        }
    };
    let acknowledging = async {
        for _ in 0..frames {
            recv.recv().await.expect("received").expect("not ended");
            permits.add_permits(1);
        }
    };
    tokio::join!(sending, acknowledging);
}

async fn receive(stream: Stream) {
    let Stream { mut send, mut recv } = stream;
    while let Ok(Some(frame)) = recv.recv().await {
        let ack = Bytes::copy_from_slice(&(frame.len() as u64).to_be_bytes());
        if send.send(&[ack]).await.is_err() {
            return;
        }
    }
}

/// User and system time of this process in ticks of 10 ms.
fn cpu_ticks() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is there");
    let after_name = stat.rsplit_once(')').expect("the name is in brackets").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    (fields[11].parse().expect("utime"), fields[12].parse().expect("stime"))
}
