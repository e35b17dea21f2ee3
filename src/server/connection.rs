//! One connection: requests are read in order, answered side by side, and the answers leave in the order of the
//! requests.
//!
//! Bounds: requests in flight, one fetch at a time (its answer may be large), the process's byte budget, a deadline
//! for each frame in and for each step of an answer out. What is above a bound waits; nothing grows.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::budget::{Budget, Reservation};
use super::frame::{Frame, FrameError, FrameReader};
use super::listener::HalfOpen;
use super::times::{Stage, Times};
use super::{ServerLimits, Stats};
use crate::api::{Answer, Client, Gate, Proved, Service};
use crate::env::{Clock, Env, MonoTime, Span, send_file, timeout};
use crate::wire::{ApiKey, Chunk};

/// Requests of one connection that may be in flight.
const IN_FLIGHT: usize = 64;
/// A client that has not proved who it is sends no larger frame (tests/README.md, hostile input 2).
const UNAUTHENTICATED_FRAME_BYTES: usize = 512 << 10;
/// After the client's last byte, answers in flight may still go out for so long.
const DRAIN: Duration = Duration::from_secs(5);
/// Answers up to this size are not counted: requests in flight bound them.
const SMALL_ANSWER_BYTES: usize = 4 << 10;
/// Chunks handed to one vectored write.
const SLICES: usize = 64;
/// Small answers that are ready side by side leave together: so many at most.
const TOGETHER: usize = 16;

pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// The sending half of a connection.
pub(super) enum Writer {
    /// Bare TCP: the kernel can send files by itself.
    Plain(OwnedWriteHalf),
    /// Inside TLS.
    Sealed(Box<dyn AsyncWrite + Send + Unpin>),
}

impl Writer {
    fn stream(&mut self) -> &mut (dyn AsyncWrite + Send + Unpin) {
        match self {
            Writer::Plain(half) => half,
            Writer::Sealed(stream) => &mut **stream,
        }
    }

    /// Writes some bytes of the chunks at the front.
    async fn write_some(&mut self, chunks: &VecDeque<Chunk>, skip: usize) -> io::Result<usize> {
        match (chunks.front(), &*self) {
            (Some(Chunk::File(span)), Writer::Plain(half)) => send_file(half.as_ref(), span, skip).await,
            // The API gives files only to clients that take them.
            (Some(Chunk::File(_)), Writer::Sealed(_)) => Err(io::ErrorKind::Unsupported.into()),
            _ => {
                let mut slices = Vec::with_capacity(chunks.len().min(SLICES));
                let mut skip = skip;
                for chunk in chunks.iter().take(SLICES) {
                    let Chunk::Bytes(bytes) = chunk else { break };
                    slices.push(IoSlice::new(&bytes[std::mem::take(&mut skip)..]));
                }
                self.stream().write_vectored(&slices).await
            }
        }
    }
}

/// What all connections share.
pub(super) struct Shared<S> {
    pub service: Arc<S>,
    pub clock: Arc<dyn Clock>,
    pub limits: ServerLimits,
    pub budget: Budget,
    /// Of answers that are neither small nor fetched.
    pub answers: Budget,
    pub stats: Arc<Stats>,
    pub times: Arc<Times>,
    pub env: Env,
    pub stop: watch::Receiver<bool>,
}

/// A request whose answer is due after those before it.
struct InFlight {
    answer: Due,
    timing: Timing,
    /// Given back once the answer is out.
    _reservation: Reservation,
    _fetch: Option<OwnedSemaphorePermit>,
}

/// When what of a request began.
#[derive(Clone, Copy, Debug)]
struct Timing {
    key: Option<ApiKey>,
    /// It was read whole.
    whole: MonoTime,
    /// It was begun.
    begun: MonoTime,
    /// It is one of those that are traced; Unix time in nanoseconds, when it was whole.
    traced: Option<u64>,
}

enum Due {
    Now(Counted),
    Later(oneshot::Receiver<Counted>),
    /// The call has panicked.
    Never,
}

/// Until when a connection is not read, because its client is above a quota (KIP-219).
#[derive(Clone)]
struct Silence {
    clock: Arc<dyn Clock>,
    until: Arc<AtomicU64>,
}

impl Silence {
    fn begin(&self, time: Duration) {
        self.until.fetch_max((self.clock.now() + time).0, Ordering::Relaxed);
    }

    /// Waits until it is over.
    async fn end(&self) {
        loop {
            let until = MonoTime(self.until.load(Ordering::Relaxed));
            if self.clock.now() >= until {
                return;
            }
            self.clock.sleep_until(until).await;
        }
    }
}

/// An answer with the budget that it holds until it is out.
struct Counted {
    answer: Answer,
    _reservation: Option<Reservation>,
}

impl Counted {
    /// Waits until the budget has room: meanwhile the connection is not read.
    async fn new(answer: Answer, budget: &Budget, silence: &Silence) -> Counted {
        let answer = match answer {
            Answer::Throttled(time, answer) => {
                silence.begin(time);
                *answer
            }
            answer => answer,
        };
        let bytes = match &answer {
            Answer::Frame(chunks) | Answer::Last(chunks, _) => chunks.iter().map(in_memory).sum(),
            // Has room of its own, or takes none.
            Answer::Large(..) | Answer::Silence | Answer::Close(_) | Answer::Throttled(..) => 0,
        };
        if bytes <= SMALL_ANSWER_BYTES {
            return Counted { answer, _reservation: None };
        }
        let mut reservation = budget.reservation();
        reservation.grow_to(bytes).await;
        Counted { answer, _reservation: Some(reservation) }
    }
}

/// Why a connection ended, if not in order.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Refused(String),
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("an answer could not be written: {0}")]
    Write(io::Error),
    #[error("the client took no byte of an answer for {0:?}")]
    SlowReader(Duration),
    #[error("a request failed inside the broker")]
    Failed,
}

/// Serves a connection to its end.
pub(super) async fn serve<S: Service>(
    shared: &Shared<S>,
    reader: Reader,
    writer: Writer,
    client: Client,
    must_authenticate: bool,
    half_open: Option<HalfOpen>,
) -> Result<(), Ended> {
    let reader =
        FrameReader::new(reader, shared.budget.clone(), shared.clock.clone(), shared.limits.receive_deadline);
    let (queue, due) = mpsc::channel(IN_FLIGHT);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let client = Arc::new(client);
    let gate = must_authenticate.then(|| shared.service.gate(&client));
    let mut requests = Requests {
        shared,
        reader,
        client,
        authenticated: !must_authenticate,
        half_open,
        session_ends: None,
        gate,
        queue,
        in_flight: in_flight.clone(),
        fetches: Arc::new(Semaphore::new(1)),
        silence: Silence { clock: shared.clock.clone(), until: Arc::default() },
        tasks: JoinSet::new(),
    };
    let mut answers = Answers { shared, writer, due, in_flight, gathered: Vec::new() };
    let mut stop = shared.stop.clone();

    let ended = {
        let writing = answers.run();
        tokio::pin!(writing);
        let ended = tokio::select! {
            ended = requests.run() => Some(ended),
            ended = &mut writing => return ended,
            _ = stop.wait_for(|stopping| *stopping) => None,
        };
        // No more requests: the writer ends after what is in flight. The tasks live until then.
        let Requests { queue, tasks, .. } = requests;
        drop(queue);
        let drained = timeout(&*shared.clock, DRAIN, &mut writing).await;
        drop(tasks);
        match (ended, drained) {
            (None | Some(Err(Ended::Frame(FrameError::Closed))), Ok(Err(ended))) => Err(ended),
            (None | Some(Err(Ended::Frame(FrameError::Closed))), _) => Ok(()),
            (Some(ended), _) => ended,
        }
    };
    let _ = timeout(&*shared.clock, DRAIN, answers.writer.stream().shutdown()).await;
    ended
}

/// Bytes of files stay in their files.
fn in_memory(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Bytes(bytes) => bytes.len(),
        Chunk::File(_) => 0,
    }
}

/// The reading half.
struct Requests<'a, S> {
    shared: &'a Shared<S>,
    reader: FrameReader<Reader>,
    client: Arc<Client>,
    authenticated: bool,
    /// Given back once the client has proved who it is.
    half_open: Option<HalfOpen>,
    /// When the client must have authenticated again (KIP-368).
    session_ends: Option<MonoTime>,
    gate: Option<Box<dyn Gate>>,
    queue: mpsc::Sender<InFlight>,
    in_flight: Arc<AtomicUsize>,
    fetches: Arc<Semaphore>,
    silence: Silence,
    /// Calls that did not finish at once; ended with the connection.
    tasks: JoinSet<()>,
}

impl<S: Service> Requests<'_, S> {
    async fn run(&mut self) -> Result<(), Ended> {
        loop {
            self.silence.end().await;
            let Frame { bytes, reservation } = self.next_frame().await?;
            let whole = self.shared.clock.now();
            // An answer may have brought it about meanwhile.
            self.silence.end().await;
            let key = bytes.get(..2).map(|key| i16::from_be_bytes([key[0], key[1]]));
            let fetch = if key == Some(ApiKey::Fetch.key()) {
                self.fetches.clone().acquire_owned().await.ok()
            } else {
                None
            };
            // The writer is gone when the connection has failed: its end is told there.
            let Ok(slot) = self.queue.clone().reserve_owned().await else { return Ok(()) };
            self.shared.stats.requests.fetch_add(1, Ordering::Relaxed);
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let begun = self.shared.clock.now();
            let traced = self.shared.env.traces.samples().then(|| {
                let before = u64::try_from(begun.since(whole).as_nanos()).unwrap_or(0);
                (self.shared.clock.wall_ms().cast_unsigned() * 1_000_000).saturating_sub(before)
            });
            let timing = Timing { key: key.and_then(ApiKey::from_key), whole, begun, traced };
            let answer = self.answer(key, bytes, timing).await;
            slot.send(InFlight { answer, timing, _reservation: reservation, _fetch: fetch });
        }
    }

    async fn next_frame(&mut self) -> Result<Frame, Ended> {
        let limits = &self.shared.limits;
        let limit = if self.authenticated {
            limits.max_request_bytes
        } else {
            limits.max_request_bytes.min(UNAUTHENTICATED_FRAME_BYTES)
        };
        let idle = if self.authenticated { limits.idle } else { limits.idle.min(limits.receive_deadline) };
        loop {
            match self.reader.next(limit, idle).await {
                // A long poll is not idleness.
                Err(FrameError::Idle(_)) if self.in_flight.load(Ordering::Relaxed) > 0 => {}
                other => return Ok(other?),
            }
        }
    }

    async fn answer(&mut self, key: Option<i16>, frame: Bytes, timing: Timing) -> Due {
        let authenticates =
            [ApiKey::SaslHandshake, ApiKey::SaslAuthenticate].iter().any(|api| key == Some(api.key()));
        if let Some(gate) = self.gate.as_mut().filter(|_| !self.authenticated || authenticates) {
            let (answer, proved) = gate.step(frame).await;
            if let Some(Proved { principal, lifetime }) = proved {
                self.authenticated = true;
                self.half_open = None;
                self.session_ends = lifetime.map(|lifetime| self.shared.clock.now() + lifetime);
                self.client = Arc::new(Client { principal, ..Client::clone(&self.client) });
            }
            return Due::Now(Counted::new(answer, &self.shared.answers, &self.silence).await);
        }
        if self.session_ends.is_some_and(|end| self.shared.clock.now() >= end) {
            let reason = "the session has ended and the client has not authenticated again".to_owned();
            return Due::Now(Counted::new(Answer::Close(reason), &self.shared.answers, &self.silence).await);
        }
        while self.tasks.try_join_next().is_some() {}
        let mut call = self.shared.service.call(&self.client, frame);
        // The first poll is done here, in the order of the requests.
        match futures::poll!(&mut call) {
            Poll::Ready(answer) => {
                handled(&self.shared.times, &*self.shared.clock, timing);
                Due::Now(Counted::new(answer, &self.shared.answers, &self.silence).await)
            }
            Poll::Pending => {
                let (tell, told) = oneshot::channel();
                let (budget, silence) = (self.shared.answers.clone(), self.silence.clone());
                let (times, clock) = (self.shared.times.clone(), self.shared.clock.clone());
                self.tasks.spawn(async move {
                    let answer = call.await;
                    handled(&times, &*clock, timing);
                    let answer = Counted::new(answer, &budget, &silence).await;
                    // The connection may be gone.
                    let _ = tell.send(answer);
                });
                Due::Later(told)
            }
        }
    }
}

/// A request has its answer.
fn handled(times: &Times, clock: &dyn Clock, timing: Timing) {
    if let Some(key) = timing.key {
        times.record(key, Stage::Handle, clock.now().since(timing.begun));
    }
}

/// The writing half.
struct Answers<'a, S> {
    shared: &'a Shared<S>,
    writer: Writer,
    due: mpsc::Receiver<InFlight>,
    in_flight: Arc<AtomicUsize>,
    /// Of the requests whose answers leave with another's.
    gathered: Vec<Timing>,
}

impl<S> Answers<'_, S> {
    /// Ends in order when no request can come any more.
    async fn run(&mut self) -> Result<(), Ended> {
        let mut next = None;
        loop {
            let request = match next.take() {
                Some(request) => request,
                None => match self.due.recv().await {
                    Some(request) => request,
                    None => return Ok(()),
                },
            };
            let InFlight { answer, timing, _reservation, _fetch } = request;
            let Counted { answer, _reservation: _of_answer } = match answer {
                Due::Now(answer) => answer,
                // The sender is dropped unused only when the call has panicked.
                Due::Later(answer) => answer.await.map_err(|_| Ended::Failed)?,
                Due::Never => return Err(Ended::Failed),
            };
            let sending = self.shared.clock.now();
            match answer {
                Answer::Frame(mut chunks) => {
                    next = self.gather(&mut chunks);
                    self.write(chunks).await?;
                }
                Answer::Large(chunks, room) => {
                    self.write(chunks).await?;
                    drop(room);
                }
                Answer::Last(chunks, reason) => {
                    self.write(chunks).await?;
                    return Err(Ended::Refused(reason));
                }
                // Neither is left of a throttled answer.
                Answer::Silence | Answer::Throttled(..) => {}
                Answer::Close(reason) => return Err(Ended::Refused(reason)),
            }
            self.sent(timing, sending);
            self.gathered.iter().for_each(|timing| self.sent(*timing, sending));
            self.in_flight.fetch_sub(1 + self.gathered.len(), Ordering::Relaxed);
            self.gathered.clear();
        }
    }

    /// Puts the small answers that are ready behind this one to it, so that one write and one wake of the client serve
    /// them all. Returns the first request whose answer is not to go with them.
    fn gather(&mut self, chunks: &mut Vec<Chunk>) -> Option<InFlight> {
        let mut bytes: usize = chunks.iter().map(Chunk::len).sum();
        while self.gathered.len() < TOGETHER && bytes <= SMALL_ANSWER_BYTES {
            let mut request = self.due.try_recv().ok()?;
            if let Due::Later(told) = &mut request.answer {
                match told.try_recv() {
                    Ok(answer) => request.answer = Due::Now(answer),
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Closed) => request.answer = Due::Never,
                }
            }
            match &mut request.answer {
                Due::Now(Counted { answer: Answer::Frame(more), _reservation: None }) => {
                    bytes += more.iter().map(Chunk::len).sum::<usize>();
                    chunks.append(more);
                    self.gathered.push(request.timing);
                }
                _ => return Some(request),
            }
        }
        None
    }

    /// Counts the times of a request whose answer is out, and traces it if it is one of those.
    fn sent(&self, timing: Timing, sending: MonoTime) {
        let Timing { key: Some(key), whole, begun, traced } = timing else { return };
        let now = self.shared.clock.now();
        let times = &self.shared.times;
        times.record(key, Stage::Queue, begun.since(whole));
        times.record(key, Stage::Send, now.since(sending));
        times.record(key, Stage::Total, now.since(whole));
        let Some(begin_ns) = traced else { return };
        let rng = &self.shared.env.rng;
        let (mut trace_id, mut root) = ([0; 16], [0; 8]);
        rng.fill(&mut trace_id);
        rng.fill(&mut root);
        let span = |name: String, parent, from: MonoTime, to: MonoTime| {
            let mut span_id = root;
            if parent {
                rng.fill(&mut span_id);
            }
            let since_whole = u64::try_from(from.since(whole).as_nanos()).unwrap_or(0);
            self.shared.env.traces.span(Span {
                trace_id,
                span_id,
                parent: parent.then_some(root),
                name,
                begin_ns: begin_ns + since_whole,
                duration: to.since(from),
                attributes: vec![("rpc.system", "kafka".to_owned()), ("rpc.method", format!("{key:?}"))],
                error: None,
            });
        };
        span(format!("{key:?}"), false, whole, now);
        span("queue".to_owned(), true, whole, begun);
        span("handle".to_owned(), true, begun, sending);
        span("send".to_owned(), true, sending, now);
    }

    async fn write(&mut self, chunks: Vec<Chunk>) -> Result<(), Ended> {
        let deadline = self.shared.limits.send_deadline;
        let clock = self.shared.clock.clone();
        let mut chunks = VecDeque::from(chunks);
        chunks.retain(|chunk| !chunk.is_empty());
        // Bytes of the first chunk that are out.
        let mut skip = 0;
        while !chunks.is_empty() {
            let written = match timeout(&*clock, deadline, self.writer.write_some(&chunks, skip)).await {
                Err(_) => return Err(Ended::SlowReader(deadline)),
                Ok(Ok(0)) => return Err(Ended::Write(io::ErrorKind::WriteZero.into())),
                Ok(Ok(written)) => written,
                Ok(Err(e)) => return Err(Ended::Write(e)),
            };
            self.shared.stats.bytes_out.fetch_add(written as u64, Ordering::Relaxed);
            skip += written;
            while let Some(first) = chunks.front()
                && first.len() <= skip
            {
                skip -= first.len();
                chunks.pop_front();
            }
        }
        match timeout(&*clock, deadline, self.writer.stream().flush()).await {
            Err(_) => Err(Ended::SlowReader(deadline)),
            Ok(flushed) => flushed.map_err(Ended::Write),
        }
    }
}
