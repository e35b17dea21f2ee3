//! Accepting HTTP connections: TLS, how many at once, and how long one may say nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::broker::config::AdminListener;
use crate::env::{Clock, Env, timeout};
use crate::security::tls::ListenerTls;

/// Connections of one listener; the next one waits.
const CONNECTIONS: usize = 256;
/// A TLS handshake is over within this time, and a connection that says nothing for so long ends.
const HANDSHAKE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(60);
/// After a failure of `accept` it is tried again so much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// From where.
    pub address: SocketAddr,
    /// Nobody on the way reads along: TLS, or the loopback interface.
    pub is_private: bool,
    /// The listener is on the loopback interface.
    pub is_local: bool,
    /// TLS.
    pub is_tls: bool,
}

impl Connected<IncomingStream<'_, Doors>> for Visitor {
    fn connect_info(stream: IncomingStream<'_, Doors>) -> Visitor {
        *stream.remote_addr()
    }
}

/// Whether an address is this machine's own.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

pub(super) async fn bind(env: &Env, listener: &AdminListener) -> io::Result<TcpListener> {
    let host = match listener.host.as_str() {
        "" => "0.0.0.0".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in env.net.resolve(format!("{host}:{}", listener.port)).await? {
        match env.net.listen(address) {
            Ok(listener) => return Ok(listener),
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

/// Connections whose handshake is over.
pub struct Doors {
    incoming: mpsc::Receiver<(Connection, Visitor)>,
    local: Visitor,
}

impl Doors {
    pub(super) fn open(
        env: &Env,
        spec: &AdminListener,
        listener: TcpListener,
        tls: Option<Arc<ListenerTls>>,
    ) -> Doors {
        let address = listener.local_addr().unwrap_or(SocketAddr::from(([127, 0, 0, 1], spec.port)));
        let is_local = is_loopback(address.ip());
        let local = Visitor { address, is_local, is_private: is_local || spec.tls, is_tls: spec.tls };
        let (sender, incoming) = mpsc::channel(16);
        tokio::spawn(accept(env.clock.clone(), listener, tls, local, sender));
        Doors { incoming, local }
    }
}

impl axum::serve::Listener for Doors {
    type Io = Connection;
    type Addr = Visitor;

    async fn accept(&mut self) -> (Connection, Visitor) {
        match self.incoming.recv().await {
            Some(accepted) => accepted,
            // The accepting task ends only with this receiver.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Visitor> {
        Ok(self.local)
    }
}

async fn accept(
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    tls: Option<Arc<ListenerTls>>,
    local: Visitor,
    sender: mpsc::Sender<(Connection, Visitor)>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sender.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an admin listener cannot accept");
                clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (clock, tls, sender) = (clock.clone(), tls.clone(), sender.clone());
        tokio::spawn(async move {
            let stream = match timeout(&*clock, HANDSHAKE, shake_hands(stream, tls)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%address, %error, "an admin connection failed"),
                Err(late) => return tracing::debug!(%address, %late, "an admin connection failed"),
            };
            let idle = clock.sleep(IDLE);
            let connection = Connection { stream, clock, idle, _place: place };
            // Nobody takes it any more when the listener ends.
            let _ = sender.send((connection, Visitor { address, ..local })).await;
        });
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn shake_hands(stream: TcpStream, tls: Option<Arc<ListenerTls>>) -> io::Result<Box<dyn Stream>> {
    stream.set_nodelay(true)?;
    Ok(match tls {
        Some(tls) => Box::new(tls.acceptor().accept(stream).await?),
        None => Box::new(stream),
    })
}

/// A connection that ends when it has been silent for too long, in both directions.
pub struct Connection {
    stream: Box<dyn Stream>,
    clock: Arc<dyn Clock>,
    idle: BoxFuture<'static, ()>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn heard(&mut self) {
        self.idle = self.clock.sleep(IDLE);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                this.heard();
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(this.idle.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes));
        this.heard();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
