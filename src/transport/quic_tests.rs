//! QUIC's own properties: Retry, MTU discovery, connections per kind of stream, resets, noise.

use super::*;
use crate::env::pem::{Identity, certificates};
use crate::transport::certs::Authority;
use crate::transport::relay::Relay;

struct Cluster {
    env: Env,
    authority: Authority,
}

impl Cluster {
    fn new() -> Cluster {
        let env = Env::real();
        let authority = Authority::new(&env, "test").unwrap();
        Cluster { env, authority }
    }

    fn tls(&self, id: i32) -> PeerTls {
        let issued = self.authority.issue_node(&self.env, BrokerId(id), &[]).unwrap();
        let roots = certificates(self.authority.certificate_pem().as_bytes()).unwrap();
        PeerTls::new(&self.env, BrokerId(id), &roots, issued.identity().unwrap()).unwrap()
    }

    fn broker(&self, id: i32, change: impl FnOnce(&mut QuicConfig)) -> Arc<QuicTransport> {
        let mut config = QuicConfig::new("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        QuicTransport::bind(&self.env, config, &self.tls(id)).unwrap()
    }
}

fn local(transport: &QuicTransport) -> SocketAddr {
    format!("127.0.0.1:{}", transport.local_port()).parse().unwrap()
}

fn peer(id: i32, address: String) -> Peer {
    Peer { id: BrokerId(id), address }
}

#[tokio::test]
async fn an_unproven_address_gets_a_retry_under_load_and_an_honest_one_still_gets_in() {
    let cluster = Cluster::new();
    let one = cluster.broker(1, |_| {});
    // "Under load" from the first handshake on.
    let loaded = cluster.broker(2, |config| config.retry_from = 0);
    let idle = cluster.broker(3, |_| {});
    for (id, transport, retries) in [(2, &loaded, 1), (3, &idle, 0)] {
        let relay = Relay::udp(local(transport));
        let opened = one.open(peer(id, relay.address.clone()), StreamKind::Raft, 0).await;
        assert!(opened.is_ok());
        assert_eq!(relay.retries().min(1), retries);
    }
}

#[tokio::test]
async fn discovery_finds_the_large_packets_that_loopback_carries_and_no_larger_ones() {
    let cluster = Cluster::new();
    let one = cluster.broker(1, |_| {});
    let two = cluster.broker(2, |config| config.mtu_upper_bound = u16::MAX);
    let to = peer(2, local(&two).to_string());
    let mut stream = one.open(to.clone(), StreamKind::Replication, 0).await.unwrap();
    let mut there = two.accept().await.unwrap().stream;
    let block = Bytes::from(vec![7; 1 << 20]);
    let sending = tokio::spawn(async move {
        for _ in 0..8 {
            stream.send.send(std::slice::from_ref(&block)).await.unwrap();
        }
        stream
    });
    for _ in 0..8 {
        there.recv.recv().await.unwrap().unwrap();
    }
    let _stream = sending.await.unwrap();
    let connection = one.opener.connection(&to, Lane::Bulk(0)).await.unwrap();
    for _ in 0..50 {
        if connection.stats().path.current_mtu >= 6300 {
            break;
        }
        cluster.env.clock.sleep(Duration::from_millis(50)).await;
    }
    let mtu = connection.stats().path.current_mtu;
    assert!((6300..=6400).contains(&mtu), "{mtu}");
    assert_eq!(connection.stats().path.black_holes_detected, 0);
}

#[tokio::test]
async fn heartbeats_and_bulk_go_over_different_connections() {
    let cluster = Cluster::new();
    let one = cluster.broker(1, |config| config.lanes = 2);
    let two = cluster.broker(2, |_| {});
    let to = peer(2, local(&two).to_string());
    for (kind, lane) in [
        (StreamKind::Raft, 0),
        (StreamKind::Control, 1),
        (StreamKind::Replication, 0),
        (StreamKind::Replication, 1),
        (StreamKind::Replication, 2),
        (StreamKind::TierPeer, 7),
    ] {
        one.open(to.clone(), kind, lane).await.unwrap();
    }
    assert_eq!(one.opener.slots.lock().len(), 3);
}

#[test]
fn a_restarted_peer_is_noticed_by_its_reset_long_before_the_idle_time_out() {
    let cluster = Cluster::new();
    let identity: Identity =
        cluster.authority.issue_node(&cluster.env, BrokerId(2), &[]).unwrap().identity().unwrap();
    let roots = certificates(cluster.authority.certificate_pem().as_bytes()).unwrap();
    let tls = PeerTls::new(&cluster.env, BrokerId(2), &roots, identity).unwrap();
    let slow = |bind: SocketAddr| {
        let mut config = QuicConfig::new(bind);
        config.idle_timeout = Duration::from_secs(60);
        config
    };
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (here, first_life, second_life) = (runtime(), runtime(), runtime());
    let bind = |runtime: &tokio::runtime::Runtime, config, tls: &PeerTls| {
        runtime.block_on(async { QuicTransport::bind(&cluster.env, config, tls).unwrap() })
    };
    let one = bind(&here, slow(any), &cluster.tls(1));
    let two = bind(&first_life, slow(any), &tls);
    let address = local(&two);
    let mut stream = here.block_on(one.open(peer(2, address.to_string()), StreamKind::Raft, 0)).unwrap();

    // Its tasks are gone before anything could be said.
    first_life.shutdown_timeout(Duration::from_secs(5));
    drop(two);
    let _two = bind(&second_life, slow(address), &tls);
    let noticed = here.block_on(async {
        timeout(cluster.env.clock.as_ref(), Duration::from_secs(10), stream.recv.recv()).await
    });
    assert!(
        matches!(&noticed, Ok(Err(TransportError::Closed(reason))) if reason == "reset by peer"),
        "{noticed:?}"
    );
}

#[tokio::test]
async fn noise_on_the_port_harms_nobody() {
    let cluster = Cluster::new();
    let one = cluster.broker(1, |_| {});
    let two = cluster.broker(2, |_| {});
    let mut stream = one.open(peer(2, local(&two).to_string()), StreamKind::Raft, 0).await.unwrap();
    let mut there = two.accept().await.unwrap().stream;
    let noise = cluster.env.net.bind_udp("127.0.0.1:0".parse().unwrap(), 1 << 16).unwrap();
    let noise = tokio::net::UdpSocket::from_std(noise).unwrap();
    for i in 0..2000usize {
        let mut packet = vec![0; 1 + i % 1400];
        cluster.env.rng.fill(&mut packet);
        if i % 2 == 0 {
            // Looks like a first packet of version 1.
            packet[0] = 0xc0 | (packet[0] & 0x0f);
            if packet.len() > 5 {
                packet[1..5].copy_from_slice(&[0, 0, 0, 1]);
            }
        }
        let _ = noise.send_to(&packet, local(&two)).await;
    }
    stream.send.send(&[Bytes::from_static(b"still here")]).await.unwrap();
    assert_eq!(there.recv.recv().await.unwrap().unwrap(), Bytes::from_static(b"still here"));
}
