//! No network: in a simulation brokers talk over `transport::memory`, and a socket is a mistake.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};

use crate::env::Net;

/// Refuses every socket.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoNet;

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "there are no sockets in the simulation")
}

impl Net for NoNet {
    fn listen(&self, _address: SocketAddr) -> io::Result<TcpListener> {
        Err(refused())
    }

    fn connect(&self, _address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        Box::pin(std::future::ready(Err(refused())))
    }

    fn bind_udp(&self, _address: SocketAddr, _buffer_bytes: usize) -> io::Result<UdpSocket> {
        Err(refused())
    }

    fn resolve(&self, _host_port: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(std::future::ready(Err(refused())))
    }
}
