//! What connections see of the API: a frame goes in, an answer comes out.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::broker::AnswerRoom;
use crate::security::Principal;
use crate::security::audit::Caller;
use crate::wire::Chunk;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// Counts up from the broker's start.
    pub connection: u64,
    /// The listener's name: clients are told the brokers' addresses of the same name.
    pub listener: Arc<str>,
    /// Where it comes from.
    pub address: SocketAddr,
    /// Who it has proved to be.
    pub principal: Principal,
    /// What it says of its software, once it has asked for the versions of APIs.
    pub software: Arc<OnceLock<(String, String)>>,
    /// Whether its answers may have stretches of files: the connection is not encrypted.
    pub takes_files: bool,
}

impl Client {
    /// Who it is, for the audit log.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller { principal: &self.principal, address: self.address, listener: &self.listener }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// A frame, its length included, as chunks.
    Frame(Vec<Chunk>),
    /// A frame whose memory is accounted for until the client has it.
    Large(Vec<Chunk>, AnswerRoom),
    /// An answer, after which the connection is not read for a while.
    Throttled(Duration, Box<Answer>),
    /// A frame, after which the connection is closed for this reason.
    Last(Vec<Chunk>, String),
    /// Nothing goes back (acks=0).
    Silence,
    /// The connection is closed, for this reason.
    Close(String),
}

/// What a connection calls. The first poll of a call does what must happen in the order of the requests (appends
/// are queued); the rest may run beside other calls.
pub trait Service: Send + Sync + 'static {
    /// Whether a connection from that address is taken now.
    fn admits(&self, _from: IpAddr) -> bool {
        true
    }
    /// The guard of a connection that must authenticate by SASL.
    fn gate(&self, client: &Arc<Client>) -> Box<dyn Gate>;
    /// Answers one request of an authenticated client; `frame` is without its length.
    fn call(&self, client: &Arc<Client>, frame: Bytes) -> BoxFuture<'static, Answer>;
}

/// What a client has proved.
#[derive(Clone, Debug)]
pub struct Proved {
    /// Who it is.
    pub principal: Principal,
    /// For how long; then it must prove it again.
    pub lifetime: Option<Duration>,
}

/// Answers the requests that belong to authentication, one after the other.
pub trait Gate: Send {
    /// Takes one frame, and says who the client is once that is proved.
    fn step(&mut self, frame: Bytes) -> BoxFuture<'_, (Answer, Option<Proved>)>;
}
