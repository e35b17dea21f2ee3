//! Sockets. What comes back is ready for tokio (non-blocking) or for quinn (a bound UDP socket).

use std::io;
use std::net::{SocketAddr, UdpSocket};

use futures::future::BoxFuture;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::FileSpan;

/// Sends some bytes of a file, from `skip` bytes into the span on, without a copy through this process; returns how
/// many. It waits for room in the socket, not for the disk: the pages should have been read before.
///
/// # Errors
/// What the socket or the disk says; `Unsupported` for a file that the kernel cannot read; `UnexpectedEof` when the file
/// has become shorter.
pub async fn send_file(stream: &TcpStream, span: &FileSpan, skip: usize) -> io::Result<usize> {
    let descriptor = span.file.descriptor().ok_or(io::ErrorKind::Unsupported)?;
    loop {
        stream.writable().await?;
        let mut position = span.position + skip as u64;
        let sent = stream.try_io(Interest::WRITABLE, || {
            Ok(rustix::fs::sendfile(stream, descriptor, Some(&mut position), span.len - skip)?)
        });
        match sent {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            sent => return sent,
        }
    }
}

/// The seam to the network.
pub trait Net: Send + Sync + 'static {
    /// Listens for TCP connections.
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener>;
    /// Opens a TCP connection, without Nagle's delay.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>>;
    /// Binds a UDP socket with buffers as large as the system grants, up to `buffer_bytes`.
    fn bind_udp(&self, address: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket>;
    /// The addresses of `host:port`; at least one.
    fn resolve(&self, host_port: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The machine's network.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealNet;

#[allow(clippy::disallowed_methods)]
impl Net for RealNet {
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }

    fn bind_udp(&self, address: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        socket.set_recv_buffer_size(buffer_bytes)?;
        socket.set_send_buffer_size(buffer_bytes)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    }

    fn resolve(&self, host_port: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host(&host_port).await?.collect();
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host_port} has no address")));
            }
            Ok(found)
        })
    }
}
