//! A network inside one process, for tests and the simulator: links can be cut one way or both, and delayed.
//!
//! It behaves as QUIC does: on a cut link frames wait and go on when the link heals in time; a side that has heard
//! nothing for the idle time-out gives the stream up. All time is the clock's; nothing is random.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::frame::frame_len;
use super::{
    FrameRecv, FrameSend, Incoming, Peer, PeerTls, PeerTlsError, Stream, StreamKind, Transport,
    TransportError,
};
use crate::env::{Clock, Env, MonoTime};
use crate::types::BrokerId;

const IDLE_TIMEOUT: Duration = Duration::from_millis(1000);
/// Bytes on their way in one direction of a stream; a larger frame travels alone.
const WINDOW_BYTES: usize = 1 << 20;
const MAX_FRAME_BYTES: usize = 64 << 20;

/// The network: brokers join it, tests cut it. Cheap to clone.
#[derive(Clone)]
pub struct MemoryNetwork {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    nodes: Mutex<BTreeMap<String, Node>>,
    links: Mutex<BTreeMap<(BrokerId, BrokerId), watch::Sender<Link>>>,
}

/// One joined broker.
#[derive(Clone)]
struct Node {
    id: BrokerId,
    cluster: String,
    incoming: mpsc::Sender<Incoming>,
    kill: watch::Sender<bool>,
}

/// One direction between two brokers.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    delay: Duration,
    /// On top of it, for the streams of replication.
    copies_later: Duration,
    cut_since: Option<MonoTime>,
}

impl MemoryNetwork {
    /// An empty network.
    #[must_use]
    pub fn new(env: &Env) -> MemoryNetwork {
        let inner = Inner { clock: env.clock.clone(), nodes: Mutex::default(), links: Mutex::default() };
        MemoryNetwork { inner: Arc::new(inner) }
    }

    /// A broker joins at an address; a former holder of the address is killed.
    #[must_use]
    pub fn join(&self, id: BrokerId, address: &str) -> Arc<MemoryTransport> {
        self.join_cluster(id, address, "")
    }

    /// The same, with certificates of another cluster's authority.
    #[must_use]
    pub fn join_cluster(&self, id: BrokerId, address: &str, cluster: &str) -> Arc<MemoryTransport> {
        let (incoming, receiver) = mpsc::channel(256);
        let kill = watch::Sender::new(true);
        let node = Node { id, cluster: cluster.to_owned(), incoming, kill: kill.clone() };
        if let Some(former) = self.inner.nodes.lock().insert(address.to_owned(), node) {
            former.kill.send_replace(false);
        }
        Arc::new(MemoryTransport {
            network: self.clone(),
            id,
            cluster: cluster.to_owned(),
            address: address.to_owned(),
            alive: kill.subscribe(),
            kill,
            incoming: tokio::sync::Mutex::new(receiver),
        })
    }

    /// Nothing gets from one broker to the other any more; the way back stays open.
    pub fn cut_one_way(&self, from: BrokerId, to: BrokerId) {
        let now = self.inner.clock.now();
        self.change(from, to, |link| link.cut_since = link.cut_since.or(Some(now)));
    }

    /// Nothing gets through between two brokers.
    pub fn cut(&self, a: BrokerId, b: BrokerId) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Opens both ways again.
    pub fn heal(&self, a: BrokerId, b: BrokerId) {
        self.change(a, b, |link| link.cut_since = None);
        self.change(b, a, |link| link.cut_since = None);
    }

    /// Every frame from one broker to the other takes this long.
    pub fn delay(&self, from: BrokerId, to: BrokerId, delay: Duration) {
        self.change(from, to, |link| link.delay = delay);
    }

    /// Frames of replication from one broker to the other take so much longer than others.
    pub fn delay_copies(&self, from: BrokerId, to: BrokerId, delay: Duration) {
        self.change(from, to, |link| link.copies_later = delay);
    }

    fn change(&self, from: BrokerId, to: BrokerId, change: impl FnOnce(&mut Link)) {
        let mut links = self.inner.links.lock();
        links.entry((from, to)).or_insert_with(|| watch::channel(Link::default()).0).send_modify(change);
    }

    fn link(&self, from: BrokerId, to: BrokerId) -> watch::Receiver<Link> {
        let mut links = self.inner.links.lock();
        links.entry((from, to)).or_insert_with(|| watch::channel(Link::default()).0).subscribe()
    }
}

/// A broker's place in the network.
pub struct MemoryTransport {
    network: MemoryNetwork,
    id: BrokerId,
    cluster: String,
    address: String,
    kill: watch::Sender<bool>,
    alive: watch::Receiver<bool>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Incoming>>,
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.close();
    }
}

impl Transport for MemoryTransport {
    fn open(
        &self,
        peer: Peer,
        kind: StreamKind,
        _lane: u32,
    ) -> BoxFuture<'_, Result<Stream, TransportError>> {
        Box::pin(async move {
            let unreachable = |reason: &str| TransportError::Unreachable {
                peer: peer.id,
                address: peer.address.clone(),
                reason: reason.to_owned(),
            };
            let node = self.network.inner.nodes.lock().get(&peer.address).cloned();
            let node = node.ok_or_else(|| unreachable("nobody listens there"))?;
            let there = self.network.link(self.id, node.id);
            let back = self.network.link(node.id, self.id);
            let clock = &self.network.inner.clock;
            if there.borrow().cut_since.is_some() || back.borrow().cut_since.is_some() {
                clock.sleep(IDLE_TIMEOUT).await;
                return Err(unreachable("timed out"));
            }
            if !*self.alive.borrow() {
                return Err(unreachable("this transport is closed"));
            }
            if node.cluster != self.cluster {
                return Err(TransportError::Certificate("of another authority".to_owned()));
            }
            if node.id != peer.id {
                return Err(TransportError::Certificate(format!("it names node {}", node.id)));
            }
            let out = Pipe::new();
            let home = Pipe::new();
            let fate = Fate { here: self.alive.clone(), there: node.kill.subscribe() };
            let far_fate = Fate { here: node.kill.subscribe(), there: self.alive.clone() };
            let mine = self.network.stream(kind, [&out, &home], [&there, &back], &fate);
            let stream = self.network.stream(kind, [&home, &out], [&back, &there], &far_fate);
            node.incoming
                .send(Incoming { peer: self.id, kind, stream })
                .await
                .map_err(|_| unreachable("nobody listens there any more"))?;
            Ok(mine)
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Incoming>> {
        Box::pin(async {
            let mut incoming = self.incoming.lock().await;
            let mut alive = self.alive.clone();
            tokio::select! {
                biased;
                _ = alive.wait_for(|alive| !alive) => None,
                next = incoming.recv() => next,
            }
        })
    }

    /// There are no certificates here.
    fn reload(&self, _: &PeerTls) -> Result<(), PeerTlsError> {
        Ok(())
    }

    fn local_port(&self) -> u16 {
        self.address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0)
    }

    fn close(&self) {
        if self.kill.send_replace(false) {
            let mut nodes = self.network.inner.nodes.lock();
            if nodes.get(&self.address).is_some_and(|node| node.kill.same_channel(&self.kill)) {
                nodes.remove(&self.address);
            }
        }
    }
}

impl MemoryNetwork {
    fn stream(
        &self,
        kind: StreamKind,
        [out, home]: [&Arc<Pipe>; 2],
        [there, back]: [&watch::Receiver<Link>; 2],
        fate: &Fate,
    ) -> Stream {
        let clock = self.inner.clock.clone();
        let watcher = |link: &watch::Receiver<Link>, grace| LinkWatch {
            clock: clock.clone(),
            link: link.clone(),
            kind,
            grace,
            fate: fate.clone(),
        };
        Stream {
            // Who is not heard any more finds out second: after its peer has fallen silent.
            send: Box::new(MemorySend { pipe: out.clone(), watch: watcher(there, IDLE_TIMEOUT * 2) }),
            recv: Box::new(MemoryRecv { pipe: home.clone(), watch: watcher(back, IDLE_TIMEOUT) }),
        }
    }
}

/// Whether the brokers at both ends live.
#[derive(Clone)]
struct Fate {
    here: watch::Receiver<bool>,
    there: watch::Receiver<bool>,
}

/// Watches a link and both ends on behalf of one half of a stream.
struct LinkWatch {
    clock: Arc<dyn Clock>,
    link: watch::Receiver<Link>,
    kind: StreamKind,
    grace: Duration,
    fate: Fate,
}

impl LinkWatch {
    /// Completes when the stream must be given up.
    async fn broken(&self) -> TransportError {
        let mut here = self.fate.here.clone();
        let mut there = self.fate.there.clone();
        let mut link = self.link.clone();
        let silence = async {
            loop {
                let cut_since = link.borrow_and_update().cut_since;
                match cut_since {
                    None => {
                        if link.changed().await.is_err() {
                            std::future::pending::<()>().await;
                        }
                    }
                    Some(since) => tokio::select! {
                        biased;
                        () = self.clock.sleep_until(since + self.grace) => return,
                        _ = link.changed() => {}
                    },
                }
            }
        };
        let reason = tokio::select! {
            biased;
            _ = here.wait_for(|alive| !alive) => "this transport is closed",
            _ = there.wait_for(|alive| !alive) => "closed by peer",
            () = silence => "timed out",
        };
        TransportError::Closed(reason.to_owned())
    }

    /// Completes when the frame has travelled and the link is open.
    async fn delivered(&self, sent: MonoTime) {
        let Link { delay, copies_later, .. } = *self.link.borrow();
        let delay = if self.kind == StreamKind::Replication { delay + copies_later } else { delay };
        self.clock.sleep_until(sent + delay).await;
        let mut link = self.link.clone();
        if link.wait_for(|link| link.cut_since.is_none()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One direction of a stream.
struct Pipe {
    state: watch::Sender<PipeState>,
}

#[derive(Default)]
struct PipeState {
    frames: VecDeque<(MonoTime, Bytes)>,
    bytes: usize,
    sender_gone: bool,
    receiver_gone: bool,
    broken: Option<TransportError>,
}

impl Pipe {
    fn new() -> Arc<Pipe> {
        Arc::new(Pipe { state: watch::channel(PipeState::default()).0 })
    }

    fn fail(&self, error: &TransportError) {
        self.state.send_modify(|state| {
            state.broken.get_or_insert_with(|| error.clone());
        });
    }
}

struct MemorySend {
    pipe: Arc<Pipe>,
    watch: LinkWatch,
}

impl FrameSend for MemorySend {
    fn send<'a>(&'a mut self, chunks: &'a [Bytes]) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            let len = frame_len(chunks, MAX_FRAME_BYTES)? as usize;
            let frame = match chunks {
                [one] => one.clone(),
                many => {
                    let mut frame = BytesMut::with_capacity(len);
                    many.iter().for_each(|chunk| frame.extend_from_slice(chunk));
                    frame.freeze()
                }
            };
            let mut room = self.pipe.state.subscribe();
            let room = room.wait_for(|state| {
                state.receiver_gone
                    || state.broken.is_some()
                    || state.bytes == 0
                    || state.bytes + len <= WINDOW_BYTES
            });
            tokio::select! {
                biased;
                error = self.watch.broken() => {
                    self.pipe.fail(&error);
                    return Err(error);
                }
                _ = room => {}
            }
            let sent = self.watch.clock.now();
            let mut outcome = Ok(());
            self.pipe.state.send_modify(|state| {
                if let Some(error) = &state.broken {
                    outcome = Err(error.clone());
                } else if state.receiver_gone {
                    outcome = Err(TransportError::Closed("the peer has stopped reading".to_owned()));
                } else {
                    state.bytes += len;
                    state.frames.push_back((sent, frame));
                }
            });
            outcome
        })
    }
}

impl Drop for MemorySend {
    fn drop(&mut self) {
        self.pipe.state.send_modify(|state| state.sender_gone = true);
    }
}

struct MemoryRecv {
    pipe: Arc<Pipe>,
    watch: LinkWatch,
}

impl MemoryRecv {
    /// Waits for a frame (when was it sent?), the end, or a failure.
    async fn next(&self) -> (Option<MonoTime>, Option<TransportError>) {
        let mut state = self.pipe.state.subscribe();
        let ready = state.wait_for(|s| !s.frames.is_empty() || s.sender_gone || s.broken.is_some()).await;
        match ready {
            Ok(state) => (state.frames.front().map(|(sent, _)| *sent), state.broken.clone()),
            // The pipe is ours: its sender lives as long as we do.
            Err(_) => (None, None),
        }
    }
}

impl FrameRecv for MemoryRecv {
    // Cancel-safe: a frame leaves the pipe in the step that returns it.
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            let arrival = async {
                let (sent, broken) = self.next().await;
                match (sent, broken) {
                    (_, Some(error)) => Err(error),
                    (sent, None) => {
                        self.watch.delivered(sent.unwrap_or_default()).await;
                        Ok(())
                    }
                }
            };
            tokio::select! {
                biased;
                error = self.watch.broken() => {
                    self.pipe.fail(&error);
                    Err(error)
                }
                arrival = arrival => {
                    arrival?;
                    let mut frame = None;
                    self.pipe.state.send_modify(|state| {
                        frame = state.frames.pop_front().map(|(_, frame)| frame);
                        state.bytes -= frame.as_ref().map_or(0, Bytes::len);
                    });
                    Ok(frame)
                }
            }
        })
    }
}

impl Drop for MemoryRecv {
    fn drop(&mut self) {
        self.pipe.state.send_modify(|state| state.receiver_gone = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::sim::ManualClock;

    struct World {
        clock: Arc<ManualClock>,
        network: MemoryNetwork,
        here: Stream,
        there: Stream,
        _nodes: [Arc<MemoryTransport>; 2],
    }

    const ONE: BrokerId = BrokerId(1);
    const TWO: BrokerId = BrokerId(2);

    async fn world() -> World {
        world_of(StreamKind::Raft).await
    }

    async fn world_of(kind: StreamKind) -> World {
        let clock = Arc::new(ManualClock::new(0));
        let mut env = Env::real();
        env.clock = clock.clone();
        let network = MemoryNetwork::new(&env);
        let one = network.join(ONE, "memory:1");
        let two = network.join(TWO, "memory:2");
        let peer = Peer { id: TWO, address: "memory:2".to_owned() };
        let here = one.open(peer, kind, 0).await.unwrap();
        let there = two.accept().await.unwrap().stream;
        World { clock, network, here, there, _nodes: [one, two] }
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[tokio::test]
    async fn a_delayed_frame_arrives_when_its_time_has_come() {
        let mut w = world().await;
        w.network.delay(ONE, TWO, ms(30));
        w.here.send.send(&[Bytes::from_static(b"x")]).await.unwrap();
        let mut recv = w.there.recv;
        let arriving = tokio::spawn(async move { recv.recv().await });
        settle().await;
        w.clock.advance(ms(29));
        settle().await;
        assert!(!arriving.is_finished());
        w.clock.advance(ms(1));
        assert_eq!(arriving.await.unwrap().unwrap().unwrap(), Bytes::from_static(b"x"));
    }

    #[tokio::test]
    async fn what_delays_copies_delays_no_other_stream() {
        for (kind, is_late) in [(StreamKind::Raft, false), (StreamKind::Replication, true)] {
            let mut w = world_of(kind).await;
            w.network.delay_copies(ONE, TWO, ms(30));
            w.here.send.send(&[Bytes::from_static(b"x")]).await.unwrap();
            let mut recv = w.there.recv;
            let arriving = tokio::spawn(async move { recv.recv().await });
            settle().await;
            assert_eq!(arriving.is_finished(), !is_late, "{kind:?}");
            w.clock.advance(ms(30));
            assert_eq!(arriving.await.unwrap().unwrap().unwrap(), Bytes::from_static(b"x"));
        }
    }

    #[tokio::test]
    async fn a_link_that_heals_in_time_loses_nothing() {
        let mut w = world().await;
        w.network.cut(ONE, TWO);
        w.here.send.send(&[Bytes::from_static(b"x")]).await.unwrap();
        let mut recv = w.there.recv;
        let arriving = tokio::spawn(async move { recv.recv().await });
        settle().await;
        w.clock.advance(ms(900));
        settle().await;
        assert!(!arriving.is_finished());
        w.network.heal(ONE, TWO);
        assert_eq!(arriving.await.unwrap().unwrap().unwrap(), Bytes::from_static(b"x"));
    }

    #[tokio::test]
    async fn a_one_way_cut_ends_the_deaf_side_first_and_then_the_other() {
        let w = world().await;
        w.network.cut_one_way(ONE, TWO);
        let (mut far, mut near) = (w.there.recv, w.here.recv);
        let deaf = tokio::spawn(async move { far.recv().await.map(|_| far) });
        settle().await;
        w.clock.advance(ms(1000));
        settle().await;
        assert!(deaf.await.unwrap().is_err());
        let mut send = w.here.send;
        assert!(send.send(&[Bytes::from_static(b"x")]).await.is_err());
        drop((send, w.there.send));
        assert!(near.recv().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn who_joins_at_an_address_kills_its_former_holder() {
        let mut w = world().await;
        let _two = w.network.join(TWO, "memory:2");
        assert!(w.here.recv.recv().await.is_err());
        assert!(w.there.recv.recv().await.is_err());
        assert!(w._nodes[1].accept().await.is_none());
    }

    #[tokio::test]
    async fn a_cut_link_cannot_be_opened_over() {
        let w = world().await;
        w.network.cut_one_way(TWO, ONE);
        let node = w._nodes[0].clone();
        let opening = tokio::spawn(async move {
            let peer = Peer { id: TWO, address: "memory:2".to_owned() };
            node.open(peer, StreamKind::Raft, 0).await.map(|_| ())
        });
        settle().await;
        w.clock.advance(IDLE_TIMEOUT);
        assert!(matches!(opening.await.unwrap(), Err(TransportError::Unreachable { .. })));
    }
}
