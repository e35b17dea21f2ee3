//! The suite that every transport must pass.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::certs::{Authority, Issued};
use super::memory::{MemoryNetwork, MemoryTransport};
use super::quic::{QuicConfig, QuicTransport};
use super::relay::Relay;
use super::rpc::{self, RpcClient, RpcError};
use super::tcp::{TcpConfig, TcpTransport};
use super::{Incoming, Peer, PeerTls, Stream, StreamKind, Transport, TransportError};
use crate::env::pem::certificates;
use crate::env::{Env, timeout};
use crate::types::BrokerId;

/// A peer that is gone, or silent, must be noticed within this time (idle time-out 1 s, twice, and a busy machine).
const NOTICED: Duration = Duration::from_secs(8);

/// Makes brokers of one kind of transport.
trait World: Send + Sync {
    /// Broker `id`, with the certificate of a broker `named`, of the cluster's authority or a foreign one.
    fn broker(&self, id: BrokerId, authority: Signer) -> Arc<dyn Transport>;
    /// Where to find it.
    fn address(&self, transport: &dyn Transport) -> String;
    /// A way to broker 2 from broker 1, and what makes it fall silent both ways.
    fn relayed(&self, transport: &dyn Transport) -> (String, Box<dyn Fn() + Send + Sync>);
}

fn local(transport: &dyn Transport) -> std::net::SocketAddr {
    format!("127.0.0.1:{}", transport.local_port()).parse().unwrap()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signer {
    Cluster,
    Foreign,
}

struct Certs {
    env: Env,
    cluster: Authority,
    foreign: Authority,
}

impl Certs {
    fn new() -> Certs {
        let env = Env::real();
        let cluster = Authority::new(&env, "one").unwrap();
        let foreign = Authority::new(&env, "two").unwrap();
        Certs { env, cluster, foreign }
    }

    fn tls(&self, id: BrokerId, signer: Signer) -> PeerTls {
        let authority = match signer {
            Signer::Cluster => &self.cluster,
            Signer::Foreign => &self.foreign,
        };
        let issued: Issued = authority.issue_node(&self.env, id, &[]).unwrap();
        // A foreigner trusts the cluster: only the cluster can refuse him.
        let roots = certificates(self.cluster.certificate_pem().as_bytes()).unwrap();
        PeerTls::new(&self.env, id, &roots, issued.identity().unwrap()).unwrap()
    }
}

struct QuicWorld(Certs);

impl World for QuicWorld {
    fn broker(&self, id: BrokerId, signer: Signer) -> Arc<dyn Transport> {
        let config = QuicConfig::new("127.0.0.1:0".parse().unwrap());
        QuicTransport::bind(&self.0.env, config, &self.0.tls(id, signer)).unwrap()
    }

    fn address(&self, transport: &dyn Transport) -> String {
        local(transport).to_string()
    }

    fn relayed(&self, transport: &dyn Transport) -> (String, Box<dyn Fn() + Send + Sync>) {
        let relay = Relay::udp(local(transport));
        (relay.address.clone(), Box::new(move || relay.fall_silent()))
    }
}

struct MemoryWorld(MemoryNetwork, std::sync::atomic::AtomicU16);

impl World for MemoryWorld {
    fn broker(&self, id: BrokerId, signer: Signer) -> Arc<dyn Transport> {
        let port = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let cluster = if signer == Signer::Cluster { "one" } else { "two" };
        let node: Arc<MemoryTransport> = self.0.join_cluster(id, &format!("memory:{port}"), cluster);
        node
    }

    fn address(&self, transport: &dyn Transport) -> String {
        format!("memory:{}", transport.local_port())
    }

    fn relayed(&self, transport: &dyn Transport) -> (String, Box<dyn Fn() + Send + Sync>) {
        let network = self.0.clone();
        (self.address(transport), Box::new(move || network.cut(BrokerId(1), BrokerId(2))))
    }
}

struct TcpWorld(Certs);

impl World for TcpWorld {
    fn broker(&self, id: BrokerId, signer: Signer) -> Arc<dyn Transport> {
        let config = TcpConfig::new("127.0.0.1:0".parse().unwrap());
        TcpTransport::bind(&self.0.env, config, &self.0.tls(id, signer)).unwrap()
    }

    fn address(&self, transport: &dyn Transport) -> String {
        local(transport).to_string()
    }

    fn relayed(&self, transport: &dyn Transport) -> (String, Box<dyn Fn() + Send + Sync>) {
        let relay = Relay::tcp(local(transport));
        (relay.address.clone(), Box::new(move || relay.fall_silent()))
    }
}

fn tcp() -> TcpWorld {
    TcpWorld(Certs::new())
}

fn quic() -> QuicWorld {
    QuicWorld(Certs::new())
}

fn memory() -> MemoryWorld {
    MemoryWorld(MemoryNetwork::new(&Env::real()), 9000.into())
}

macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod over_quic {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::within_a_minute(super::$name(&super::quic())).await; })*
        }
        mod over_tcp {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::within_a_minute(super::$name(&super::tcp())).await; })*
        }
        mod over_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::within_a_minute(super::$name(&super::memory())).await; })*
        }
    };
}

conformance!(
    frames_arrive_in_order_and_unchanged,
    a_large_frame_made_of_many_chunks_arrives_whole,
    an_empty_frame_is_a_frame,
    both_directions_flow_at_once,
    a_sender_is_held_back_by_a_receiver_that_does_not_read,
    an_ended_half_is_an_end_after_the_last_frame_and_the_other_half_goes_on,
    the_acceptor_learns_who_and_what_for,
    a_wrong_node_id_is_refused,
    a_foreign_authority_is_refused,
    nobody_listening_is_an_error_in_time,
    a_closed_peer_is_noticed_by_both_halves,
    a_silent_peer_is_noticed_by_both_sides,
    a_peer_that_comes_back_is_reached_again,
    many_streams_share_what_is_there,
    a_call_is_answered_whatever_the_order,
    a_call_that_is_not_answered_times_out_and_the_line_goes_on,
    a_call_to_a_peer_that_dies_is_lost_and_the_next_one_dials_again,
);

async fn within_a_minute(test: impl Future<Output = ()>) {
    timeout(Env::real().clock.as_ref(), Duration::from_secs(60), test).await.unwrap();
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    timeout(Env::real().clock.as_ref(), limit, future).await.unwrap()
}

fn peer(world: &dyn World, id: i32, transport: &dyn Transport) -> Peer {
    Peer { id: BrokerId(id), address: world.address(transport) }
}

/// Two brokers and a stream from 1 to 2.
async fn joined(world: &dyn World) -> (Arc<dyn Transport>, Arc<dyn Transport>, Stream, Incoming) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let stream = one.open(peer(world, 2, two.as_ref()), StreamKind::Replication, 5).await.unwrap();
    let incoming = two.accept().await.unwrap();
    (one, two, stream, incoming)
}

fn frame(i: usize, len: usize) -> Bytes {
    (0..len).map(|j| (i.wrapping_mul(31) ^ j ^ (j >> 8)) as u8).collect::<Vec<_>>().into()
}

async fn frames_arrive_in_order_and_unchanged(world: &dyn World) {
    let (_one, _two, mut here, mut there) = joined(world).await;
    let sizes = [1, 0, 7, 1000, 1452, 70_000, 3, 250_000];
    let sending = tokio::spawn(async move {
        for i in 0..200 {
            here.send.send(&[frame(i, sizes[i % sizes.len()])]).await.unwrap();
        }
        here
    });
    for i in 0..200 {
        let got = there.stream.recv.recv().await.unwrap().unwrap();
        assert_eq!(got, frame(i, sizes[i % sizes.len()]), "frame {i}");
    }
    sending.await.unwrap();
}

async fn a_large_frame_made_of_many_chunks_arrives_whole(world: &dyn World) {
    let (_one, _two, mut here, mut there) = joined(world).await;
    let chunks: Vec<Bytes> = (0..1000).map(|i| frame(i, 17_000 + i)).collect();
    let whole = chunks.concat();
    let sending = tokio::spawn(async move {
        here.send.send(&chunks).await.unwrap();
        here
    });
    assert_eq!(there.stream.recv.recv().await.unwrap().unwrap(), whole);
    sending.await.unwrap();
    let too_large = vec![Bytes::from(vec![0; 1 << 20]); 65];
    let mut here = there.stream.send;
    assert!(matches!(here.send(&too_large).await, Err(TransportError::FrameTooLarge { .. })));
}

async fn an_empty_frame_is_a_frame(world: &dyn World) {
    let (_one, _two, mut here, mut there) = joined(world).await;
    here.send.send(&[]).await.unwrap();
    here.send.send(&[Bytes::new(), Bytes::from_static(b"x")]).await.unwrap();
    assert_eq!(there.stream.recv.recv().await.unwrap().unwrap(), Bytes::new());
    assert_eq!(there.stream.recv.recv().await.unwrap().unwrap(), Bytes::from_static(b"x"));
}

async fn both_directions_flow_at_once(world: &dyn World) {
    let (_one, _two, here, there) = joined(world).await;
    let echo = tokio::spawn(async move {
        let Stream { mut send, mut recv } = there.stream;
        while let Some(frame) = recv.recv().await.unwrap() {
            send.send(&[frame]).await.unwrap();
        }
    });
    let Stream { mut send, mut recv } = here;
    let sending = tokio::spawn(async move {
        for i in 0..100 {
            send.send(&[frame(i, 40_000)]).await.unwrap();
        }
    });
    for i in 0..100 {
        assert_eq!(recv.recv().await.unwrap().unwrap(), frame(i, 40_000));
    }
    sending.await.unwrap();
    assert!(recv.recv().await.unwrap().is_none());
    echo.await.unwrap();
}

async fn a_sender_is_held_back_by_a_receiver_that_does_not_read(world: &dyn World) {
    let (_one, _two, mut here, mut there) = joined(world).await;
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = sent.clone();
    let sending = tokio::spawn(async move {
        for i in 0..64 {
            here.send.send(&[frame(i, 1 << 20)]).await.unwrap();
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        here
    });
    let clock = Env::real().clock;
    clock.sleep(Duration::from_millis(700)).await;
    let before = sent.load(std::sync::atomic::Ordering::SeqCst);
    assert!(before < 48, "{before} MiB were taken though nobody read");
    for i in 0..64 {
        assert_eq!(there.stream.recv.recv().await.unwrap().unwrap(), frame(i, 1 << 20));
    }
    sending.await.unwrap();
}

async fn an_ended_half_is_an_end_after_the_last_frame_and_the_other_half_goes_on(world: &dyn World) {
    let (_one, _two, here, mut there) = joined(world).await;
    let Stream { mut send, mut recv } = here;
    send.send(&[frame(0, 300_000)]).await.unwrap();
    drop(send);
    assert_eq!(there.stream.recv.recv().await.unwrap().unwrap(), frame(0, 300_000));
    assert!(there.stream.recv.recv().await.unwrap().is_none());
    assert!(there.stream.recv.recv().await.unwrap().is_none());
    there.stream.send.send(&[frame(1, 300_000)]).await.unwrap();
    assert_eq!(recv.recv().await.unwrap().unwrap(), frame(1, 300_000));
}

async fn the_acceptor_learns_who_and_what_for(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    for kind in [StreamKind::Raft, StreamKind::Replication, StreamKind::TierPeer, StreamKind::Control] {
        let mut stream = one.open(peer(world, 2, two.as_ref()), kind, 3).await.unwrap();
        stream.send.send(&[Bytes::from_static(b"hi")]).await.unwrap();
        let mut incoming = two.accept().await.unwrap();
        assert_eq!((incoming.peer, incoming.kind), (BrokerId(1), kind));
        assert_eq!(incoming.stream.recv.recv().await.unwrap().unwrap(), Bytes::from_static(b"hi"));
    }
}

async fn a_wrong_node_id_is_refused(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let refused = one.open(peer(world, 3, two.as_ref()), StreamKind::Raft, 0).await;
    assert!(matches!(refused.err(), Some(TransportError::Certificate(_))));
}

async fn a_foreign_authority_is_refused(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Foreign);
    for (from, to, id) in [(&one, &two, 2), (&two, &one, 1)] {
        let refused = from.open(peer(world, id, to.as_ref()), StreamKind::Raft, 0).await;
        let error = refused.err();
        assert!(matches!(error, Some(TransportError::Certificate(_))), "{error:?}");
    }
}

async fn nobody_listening_is_an_error_in_time(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let gone = peer(world, 2, two.as_ref());
    two.close();
    drop(two);
    for _ in 0..3 {
        let refused = within(NOTICED, one.open(gone.clone(), StreamKind::Raft, 0)).await;
        assert!(matches!(refused.err(), Some(TransportError::Unreachable { .. })));
    }
}

async fn a_closed_peer_is_noticed_by_both_halves(world: &dyn World) {
    let (_one, two, here, there) = joined(world).await;
    let Stream { mut send, mut recv } = here;
    let reading = tokio::spawn(async move { recv.recv().await });
    two.close();
    assert!(within(NOTICED, reading).await.unwrap().is_err());
    let writing = async {
        while send.send(&[frame(0, 1000)]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within(NOTICED, writing).await;
    assert!(within(NOTICED, two.accept()).await.is_none());
    drop(there);
}

async fn a_silent_peer_is_noticed_by_both_sides(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let (address, fall_silent) = world.relayed(two.as_ref());
    let to = Peer { id: BrokerId(2), address };
    let mut here = one.open(to, StreamKind::Replication, 0).await.unwrap();
    here.send.send(&[frame(0, 10)]).await.unwrap();
    let mut there = two.accept().await.unwrap().stream;
    assert_eq!(there.recv.recv().await.unwrap().unwrap(), frame(0, 10));
    // Well above the idle time-out: signs of life keep it.
    Env::real().clock.sleep(Duration::from_millis(2500)).await;
    here.send.send(&[frame(1, 10)]).await.unwrap();
    assert_eq!(there.recv.recv().await.unwrap().unwrap(), frame(1, 10));
    fall_silent();
    let (near, far) = tokio::join!(here.recv.recv(), there.recv.recv());
    assert!(near.is_err() && far.is_err());
    let writing = async { while here.send.send(&[frame(0, 100_000)]).await.is_ok() {} };
    within(NOTICED, writing).await;
}

async fn a_peer_that_comes_back_is_reached_again(world: &dyn World) {
    let (one, two, mut here, there) = joined(world).await;
    two.close();
    drop((two, there));
    assert!(within(NOTICED, here.recv.recv()).await.is_err());
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let mut stream =
        within(NOTICED, one.open(peer(world, 2, two.as_ref()), StreamKind::Replication, 5)).await.unwrap();
    stream.send.send(&[frame(1, 10)]).await.unwrap();
    let mut incoming = two.accept().await.unwrap();
    assert_eq!(incoming.stream.recv.recv().await.unwrap().unwrap(), frame(1, 10));
}

async fn many_streams_share_what_is_there(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let to = peer(world, 2, two.as_ref());
    let accepting = tokio::spawn(async move {
        let mut got = Vec::new();
        while got.len() < 200 {
            let mut incoming = two.accept().await.unwrap();
            // One that its opener has given up says nothing.
            if let Ok(Some(frame)) = incoming.stream.recv.recv().await {
                got.push(frame.len());
            }
        }
        got.into_iter().sum::<usize>()
    });
    let opening = (0..200u32).map(|lane| {
        let (one, to) = (one.clone(), to.clone());
        async move {
            // So many handshakes at once may take a busy machine longer than one may.
            let mut stream = loop {
                match one.open(to.clone(), StreamKind::Replication, lane).await {
                    Ok(stream) => break stream,
                    Err(TransportError::Unreachable { .. }) => tokio::task::yield_now().await,
                    Err(other) => panic!("{other}"),
                }
            };
            stream.send.send(&[frame(0, lane as usize)]).await.unwrap();
            stream
        }
    });
    let streams = futures::future::join_all(opening).await;
    assert_eq!(accepting.await.unwrap(), (0..200).sum::<usize>());
    drop(streams);
}

/// Answers "slow…" after a while, "never…" never, anything else at once with itself.
fn answer(request: Bytes) -> BoxFuture<'static, Bytes> {
    Box::pin(async move {
        if request.starts_with(b"slow") {
            Env::real().clock.sleep(Duration::from_millis(200)).await;
        } else if request.starts_with(b"never") {
            std::future::pending::<()>().await;
        }
        request
    })
}

fn serve_all(transport: Arc<dyn Transport>) {
    tokio::spawn(async move {
        while let Some(incoming) = transport.accept().await {
            tokio::spawn(rpc::serve(incoming.stream, 16, Arc::new(answer)));
        }
    });
}

async fn a_call_is_answered_whatever_the_order(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let to = peer(world, 2, two.as_ref());
    serve_all(two);
    let client = RpcClient::new(&Env::real(), one);
    let calls = (0..300).map(|i| {
        let (client, to) = (client.clone(), to.clone());
        async move {
            let request = Bytes::from(if i % 50 == 0 { format!("slow {i}") } else { format!("fast {i}") });
            let answer =
                client.call(&to, StreamKind::Control, request.clone(), Duration::from_secs(20)).await;
            assert_eq!(answer.unwrap(), request);
        }
    });
    futures::future::join_all(calls).await;
}

async fn a_call_that_is_not_answered_times_out_and_the_line_goes_on(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let to = peer(world, 2, two.as_ref());
    serve_all(two);
    let client = RpcClient::new(&Env::real(), one);
    let call = |text: &'static str, ms| {
        client.call(&to, StreamKind::Raft, Bytes::from_static(text.as_bytes()), Duration::from_millis(ms))
    };
    assert_eq!(call("warm", 10_000).await.unwrap(), "warm");
    assert!(matches!(call("never", 100).await, Err(RpcError::Timeout { .. })));
    assert_eq!(call("again", 10_000).await.unwrap(), "again");
}

async fn a_call_to_a_peer_that_dies_is_lost_and_the_next_one_dials_again(world: &dyn World) {
    let one = world.broker(BrokerId(1), Signer::Cluster);
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let to = peer(world, 2, two.as_ref());
    serve_all(two.clone());
    let client = RpcClient::new(&Env::real(), one);
    let limit = Duration::from_secs(20);
    client.call(&to, StreamKind::Raft, Bytes::from_static(b"warm"), limit).await.unwrap();
    let lost = {
        let (client, to) = (client.clone(), to.clone());
        tokio::spawn(
            async move { client.call(&to, StreamKind::Raft, Bytes::from_static(b"never"), limit).await },
        )
    };
    Env::real().clock.sleep(Duration::from_millis(100)).await;
    two.close();
    drop(two);
    assert!(matches!(within(NOTICED, lost).await.unwrap(), Err(RpcError::Lost { .. })));
    let two = world.broker(BrokerId(2), Signer::Cluster);
    let to = peer(world, 2, two.as_ref());
    serve_all(two);
    assert_eq!(client.call(&to, StreamKind::Raft, Bytes::from_static(b"new"), limit).await.unwrap(), "new");
}

/// New certificates of another authority: what stands goes on, new connections use them, who has the old ones is out.
async fn certificates_are_renewed_without_ending_a_stream(world: &dyn World, renewed: &Certs) {
    let (one, two, mut here, mut there) = joined(world).await;
    let left_behind = world.broker(BrokerId(3), Signer::Cluster);
    for (id, transport) in [(1, &one), (2, &two)] {
        transport.reload(&renewed.tls(BrokerId(id), Signer::Cluster)).unwrap();
    }
    here.send.send(&[Bytes::from_static(b"still here")]).await.unwrap();
    assert_eq!(there.stream.recv.recv().await.unwrap().unwrap(), "still here");
    let refused = left_behind.open(peer(world, 2, two.as_ref()), StreamKind::Raft, 0).await;
    assert!(matches!(refused, Err(TransportError::Certificate(_))), "{:?}", refused.err());
    // Control streams have a connection of their own, which begins now.
    let mut fresh = one.open(peer(world, 2, two.as_ref()), StreamKind::Control, 0).await.unwrap();
    let mut incoming = two.accept().await.unwrap();
    assert_eq!((incoming.peer, incoming.kind), (BrokerId(1), StreamKind::Control));
    fresh.send.send(&[Bytes::from_static(b"new")]).await.unwrap();
    assert_eq!(incoming.stream.recv.recv().await.unwrap().unwrap(), "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_over_quic() {
    within_a_minute(certificates_are_renewed_without_ending_a_stream(&quic(), &Certs::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_over_tcp() {
    within_a_minute(certificates_are_renewed_without_ending_a_stream(&tcp(), &Certs::new())).await;
}
