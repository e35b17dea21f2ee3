//! Connections against a service that does what its requests say.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::api::{Answer, Client, Gate, Proved};
use crate::env::{Disk as _, FileSpan, OpenMode, RealDisk, timeout};
use crate::security::Principal;
use crate::wire::{ApiKey, Chunk};

/// A request is its API key (2 bytes), what to do (1 byte), and a byte that comes back.
struct Toy {
    env: Env,
    /// Of a session.
    lifetime: Option<Duration>,
    meeting: Arc<tokio::sync::Barrier>,
}

const ECHO: u8 = 0;
const SLOWLY: u8 = 1;
const SILENTLY: u8 = 2;
const CLOSE: u8 = 3;
const PANIC: u8 = 4;
const MUCH: u8 = 5;
const NEVER: u8 = 6;
const FILE: u8 = 7;
const CUT_FILE: u8 = 8;
const MEET: u8 = 9;

/// So many requests that meet wait for each other.
const MEETING: usize = 3;

/// More than a socket holds.
const FILE_BYTES: usize = 24 << 20;

fn file_content() -> Vec<u8> {
    (0..FILE_BYTES).map(|i| (i % 251) as u8).collect()
}

/// `head`, a file without its first ten bytes, and `tail`; the file has lost its second half if it is `cut`.
fn with_a_file(cut: bool) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let file = RealDisk.open(&folder.path().join("f"), OpenMode::CreateNew).unwrap();
    file.write_all_at(&file_content(), 0).unwrap();
    if cut {
        file.set_len(FILE_BYTES as u64 / 2).unwrap();
    }
    let span = FileSpan { file, position: 10, len: FILE_BYTES - 10 };
    let length = u32::try_from(4 + span.len + 4).unwrap();
    let head = [&length.to_be_bytes()[..], b"head"].concat();
    Answer::Frame(vec![
        Chunk::Bytes(head.into()),
        Chunk::File(span),
        Chunk::Bytes(Bytes::from_static(b"tail")),
    ])
}

fn reply(body: &[u8]) -> Answer {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    Answer::Frame(vec![Chunk::Bytes(frame.into())])
}

impl Service for Toy {
    fn gate(&self, _: &Arc<Client>) -> Box<dyn Gate> {
        Box::new(ToyGate(self.lifetime))
    }

    fn call(&self, client: &Arc<Client>, frame: Bytes) -> BoxFuture<'static, Answer> {
        let (clock, name) = (self.env.clock.clone(), client.principal.name().to_owned());
        let meeting = self.meeting.clone();
        Box::pin(async move {
            match frame[2] {
                SLOWLY => clock.sleep(Duration::from_millis(200)).await,
                MEET => {
                    meeting.wait().await;
                }
                SILENTLY => return Answer::Silence,
                CLOSE => return Answer::Close("asked to".into()),
                PANIC => {
                    clock.sleep(Duration::from_millis(1)).await;
                    panic!("asked to");
                }
                MUCH => return Answer::Frame(vec![Chunk::Bytes(Bytes::from(vec![0; 64 << 20]))]),
                NEVER => std::future::pending().await,
                FILE => return with_a_file(false),
                CUT_FILE => return with_a_file(true),
                _ => {}
            }
            reply(&[&frame[3..], name.as_bytes()].concat())
        })
    }
}

struct ToyGate(Option<Duration>);

impl Gate for ToyGate {
    fn step(&mut self, frame: Bytes) -> BoxFuture<'_, (Answer, Option<Proved>)> {
        let lifetime = self.0;
        let opens = frame[..2] == ApiKey::SaslAuthenticate.key().to_be_bytes();
        Box::pin(async move {
            (reply(b"gate"), opens.then(|| Proved { principal: Principal::user("alice"), lifetime }))
        })
    }
}

async fn start(limits: ServerLimits, sasl: bool) -> (Server, SocketAddr) {
    start_with(limits, sasl, None).await
}

async fn start_with(limits: ServerLimits, sasl: bool, lifetime: Option<Duration>) -> (Server, SocketAddr) {
    let env = Env::real();
    let spec = ListenerSpec {
        name: "TEST".into(),
        host: "127.0.0.1".into(),
        port: 0,
        tls: None,
        sasl,
        max_connections: 10_000,
        connections_per_second: 1_000,
    };
    let bound = bind(&env, limits, vec![spec]).await.unwrap();
    let address = bound.addresses().unwrap()[0].1;
    let meeting = Arc::new(tokio::sync::Barrier::new(MEETING));
    (bound.serve(Arc::new(Toy { env, lifetime, meeting })), address)
}

#[allow(clippy::disallowed_methods)]
async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

async fn send(client: &mut TcpStream, key: i16, what: u8, tag: u8) {
    let [a, b] = key.to_be_bytes();
    client.write_all(&[0, 0, 0, 4, a, b, what, tag]).await.unwrap();
}

async fn receive(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    let mut body = vec![0; length as usize];
    client.read_exact(&mut body).await?;
    Ok(body)
}

#[tokio::test]
async fn a_stretch_of_a_file_leaves_whole_and_in_its_place_and_the_next_answer_follows() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let mut client = connect(address).await;
    send(&mut client, 3, FILE, 1).await;
    send(&mut client, 3, ECHO, 2).await;
    let expected = [b"head", &file_content()[10..], b"tail"].concat();
    assert!(
        receive(&mut client).await.unwrap() == expected,
        "every byte, though no socket holds them at once"
    );
    assert_eq!(receive(&mut client).await.unwrap()[0], 2);
    server.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_answers_leave_together_they_leave_in_order() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let kinds = [ECHO, ECHO, ECHO, SILENTLY, ECHO, ECHO, SLOWLY, ECHO, ECHO, FILE, ECHO, ECHO];
    let mut client = connect(address).await;
    let mut requests = Vec::new();
    for tag in 0..60_u8 {
        requests.extend([0, 0, 0, 4, 0, 3, kinds[usize::from(tag) % kinds.len()], tag]);
    }
    client.write_all(&requests).await.unwrap();
    for tag in 0..60_u8 {
        match kinds[usize::from(tag) % kinds.len()] {
            SILENTLY => {}
            FILE => assert_eq!(receive(&mut client).await.unwrap().len(), 4 + FILE_BYTES - 10 + 4),
            _ => assert_eq!(receive(&mut client).await.unwrap()[0], tag),
        }
    }
    drop(client);
    server.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_request_that_has_failed_behind_another_ends_its_connection_after_the_others_answer() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let mut client = connect(address).await;
    send(&mut client, 3, SLOWLY, 1).await;
    send(&mut client, 3, PANIC, 2).await;
    send(&mut client, 3, ECHO, 3).await;
    assert_eq!(receive(&mut client).await.unwrap()[0], 1);
    assert!(receive(&mut client).await.is_err(), "the connection ends in its place");
    let mut other = connect(address).await;
    send(&mut other, 3, ECHO, 4).await;
    assert_eq!(receive(&mut other).await.unwrap()[0], 4);
    server.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_file_that_became_shorter_ends_the_connection_and_no_other() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let mut client = connect(address).await;
    send(&mut client, 3, CUT_FILE, 1).await;
    assert_eq!(
        receive(&mut client).await.unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof,
        "no byte is made up"
    );
    let mut other = connect(address).await;
    send(&mut other, 3, ECHO, 2).await;
    assert_eq!(receive(&mut other).await.unwrap()[0], 2);
    server.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn requests_run_side_by_side_and_answers_leave_in_order() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let mut client = connect(address).await;
    for tag in 0..6 {
        send(&mut client, 3, if tag % 2 == 0 { MEET } else { ECHO }, tag).await;
    }
    send(&mut client, 3, SILENTLY, 99).await;
    send(&mut client, 3, ECHO, 6).await;
    for tag in 0..7 {
        // One after the other they would never meet.
        let answer = timeout(&*Env::real().clock, Duration::from_secs(60), receive(&mut client)).await;
        assert_eq!(answer.expect("the three wait together").unwrap()[0], tag);
    }
    server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_refused_or_failed_request_ends_only_its_own_connection() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let mut bystander = connect(address).await;
    for what in [CLOSE, PANIC] {
        let mut client = connect(address).await;
        send(&mut client, 3, ECHO, 1).await;
        send(&mut client, 3, what, 2).await;
        assert_eq!(receive(&mut client).await.unwrap()[0], 1);
        assert!(receive(&mut client).await.is_err());
    }
    let mut client = connect(address).await;
    client.write_all(&(-5i32).to_be_bytes()).await.unwrap();
    assert!(receive(&mut client).await.is_err());
    send(&mut bystander, 3, ECHO, 7).await;
    assert_eq!(receive(&mut bystander).await.unwrap()[0], 7);
    assert_eq!(server.stats().refused.load(Ordering::Relaxed), 3);
    server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_client_that_stops_writing_still_gets_its_answers() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let mut client = connect(address).await;
    send(&mut client, 3, SLOWLY, 1).await;
    client.shutdown().await.unwrap();
    assert_eq!(receive(&mut client).await.unwrap()[0], 1);
    assert!(receive(&mut client).await.is_err());
    server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn shutdown_lets_what_is_in_flight_finish_and_takes_nothing_new() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let mut client = connect(address).await;
    send(&mut client, 3, SLOWLY, 1).await;
    send(&mut client, 3, ECHO, 2).await;
    while server.stats().requests.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    let (_, answers) = tokio::join!(server.shutdown(Duration::from_secs(2)), async {
        (receive(&mut client).await.unwrap()[0], receive(&mut client).await.unwrap()[0])
    });
    assert_eq!(answers, (1, 2));
    assert!(receive(&mut client).await.is_err());
}

#[tokio::test]
async fn idle_connections_are_closed_and_waiting_ones_are_not() {
    let limits = ServerLimits { idle: Duration::from_millis(100), ..ServerLimits::default() };
    let (server, address) = start(limits, false).await;
    let mut waiting = connect(address).await;
    send(&mut waiting, 3, SLOWLY, 1).await;
    let mut idle = connect(address).await;
    assert!(receive(&mut idle).await.is_err());
    assert_eq!(receive(&mut waiting).await.unwrap()[0], 1);
    server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let limits = ServerLimits { send_deadline: Duration::from_millis(100), ..ServerLimits::default() };
    let (server, address) = start(limits, false).await;
    let mut client = connect(address).await;
    send(&mut client, 3, MUCH, 0).await;
    while server.stats().refused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let (server, address) = start(ServerLimits::default(), false).await;
    let mut client = connect(address).await;
    for _ in 0..200 {
        send(&mut client, 3, NEVER, 0).await;
    }
    Env::real().clock.sleep(Duration::from_millis(100)).await;
    assert!(server.stats().requests.load(Ordering::Relaxed) <= 66);
    // Of fetches only one.
    let mut client = connect(address).await;
    let before = server.stats().requests.load(Ordering::Relaxed);
    for _ in 0..5 {
        send(&mut client, ApiKey::Fetch.key(), NEVER, 0).await;
    }
    Env::real().clock.sleep(Duration::from_millis(100)).await;
    assert_eq!(server.stats().requests.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn a_client_that_must_authenticate_is_kept_at_the_gate_and_sends_only_small_frames() {
    let (server, address) = start(ServerLimits::default(), true).await;
    let mut client = connect(address).await;
    send(&mut client, 3, ECHO, 1).await;
    assert_eq!(receive(&mut client).await.unwrap(), b"gate");
    send(&mut client, ApiKey::SaslAuthenticate.key(), ECHO, 1).await;
    assert_eq!(receive(&mut client).await.unwrap(), b"gate");
    send(&mut client, 3, ECHO, 9).await;
    assert_eq!(receive(&mut client).await.unwrap(), b"\x09alice");

    let mut client = connect(address).await;
    client.write_all(&(600i32 << 10).to_be_bytes()).await.unwrap();
    assert!(receive(&mut client).await.is_err());
    server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn above_the_connection_caps_clients_are_turned_away() {
    let limits = ServerLimits { max_connections_per_ip: 2, ..ServerLimits::default() };
    let (server, address) = start(limits, false).await;
    let mut clients = Vec::new();
    for tag in 0..2 {
        let mut client = connect(address).await;
        send(&mut client, 3, ECHO, tag).await;
        assert_eq!(receive(&mut client).await.unwrap()[0], tag);
        clients.push(client);
    }
    assert!(receive(&mut connect(address).await).await.is_err());
    drop(clients);
    loop {
        let mut client = connect(address).await;
        // The place is free once the server has seen the end of the others.
        client.write_all(&[0, 0, 0, 4, 0, 3, ECHO, 5]).await.unwrap();
        if receive(&mut client).await.is_ok() {
            break;
        }
    }
    server.shutdown(Duration::from_secs(1)).await;
}

async fn authenticate(client: &mut TcpStream) {
    send(client, ApiKey::SaslAuthenticate.key(), ECHO, 0).await;
    assert_eq!(receive(client).await.unwrap(), b"gate");
}

#[tokio::test]
async fn a_session_that_has_ended_takes_nothing_but_another_authentication() {
    let lifetime = Duration::from_millis(300);
    let (server, address) = start_with(ServerLimits::default(), true, Some(lifetime)).await;
    let (mut lazy, mut busy) = (connect(address).await, connect(address).await);
    for client in [&mut lazy, &mut busy] {
        authenticate(client).await;
    }
    Env::real().clock.sleep(lifetime).await;
    send(&mut lazy, 3, ECHO, 1).await;
    assert!(receive(&mut lazy).await.is_err());
    authenticate(&mut busy).await;
    send(&mut busy, 3, ECHO, 1).await;
    assert_eq!(receive(&mut busy).await.unwrap(), b"\x01alice");
    server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn one_address_has_few_connections_that_have_not_proved_who_they_are() {
    let (server, address) = start(ServerLimits { max_half_open: 4, ..ServerLimits::default() }, true).await;
    let mut first = connect(address).await;
    // Whether it was counted is seen by its being served.
    send(&mut first, ApiKey::SaslHandshake.key(), ECHO, 0).await;
    assert_eq!(receive(&mut first).await.unwrap(), b"gate");
    let mut second = connect(address).await;
    assert!(receive(&mut second).await.is_err(), "a quarter of four is one");
    authenticate(&mut first).await;
    let mut third = connect(address).await;
    authenticate(&mut third).await;
    assert!(server.stats().turned_away.load(Ordering::Relaxed) >= 1);
    server.shutdown(Duration::from_secs(1)).await;
}

/// A configuration that says nothing of limits.
#[test]
fn caps_are_on_by_default() {
    let text = "listeners=PLAINTEXT://127.0.0.1:0\npeer.listener=127.0.0.1:0\nlog.dirs=/nowhere\n";
    let config = BrokerConfig::load(std::path::Path::new("x.properties"), text, std::iter::empty()).unwrap();
    let limits = ServerLimits::of(&config);
    assert!(limits.max_request_bytes <= 100 << 20, "Kafka's");
    assert!(limits.max_queued_bytes <= 1 << 30 && limits.max_answer_bytes <= 1 << 30);
    assert!(limits.idle <= Duration::from_secs(600) && limits.receive_deadline <= Duration::from_secs(60));
    assert!(limits.send_deadline <= Duration::from_secs(60));
    assert!(limits.max_connections <= 10_000 && limits.max_connections_per_ip <= limits.max_connections / 2);
    assert!(limits.max_half_open <= 1_000 && limits.connections_per_second <= 1_000);
    assert!(config.number("connection.creation.rate.per.ip") <= 500);
    assert!(config.millis("connection.failed.authentication.delay.ms") > Duration::ZERO);
}
