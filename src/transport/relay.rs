//! A user-space relay for tests: between two brokers, until it falls silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;

use crate::env::Env;

/// Passes on what comes, both ways, for one opener and one acceptor.
pub(super) struct Relay {
    pub(super) address: String,
    silent: Arc<AtomicBool>,
    retries: Arc<AtomicUsize>,
}

impl Relay {
    /// From now on nothing gets through, and nobody is told.
    pub(super) fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// How many QUIC Retry packets the acceptor has sent.
    pub(super) fn retries(&self) -> usize {
        self.retries.load(Ordering::SeqCst)
    }

    fn new(address: SocketAddr) -> Relay {
        Relay { address: address.to_string(), silent: Arc::default(), retries: Arc::default() }
    }

    pub(super) fn udp(to: SocketAddr) -> Relay {
        let bind = || {
            let socket = Env::real().net.bind_udp("127.0.0.1:0".parse().unwrap(), 1 << 20).unwrap();
            Arc::new(UdpSocket::from_std(socket).unwrap())
        };
        let (near, far) = (bind(), bind());
        let relay = Relay::new(near.local_addr().unwrap());
        let (silent, retries) = (relay.silent.clone(), relay.retries.clone());
        tokio::spawn(async move {
            let (mut there, mut back) = (vec![0; 65_536], vec![0; 65_536]);
            let mut opener = None;
            loop {
                tokio::select! {
                    Ok((n, from)) = near.recv_from(&mut there) => {
                        opener = Some(from);
                        if !silent.load(Ordering::SeqCst) {
                            let _ = far.send_to(&there[..n], to).await;
                        }
                    }
                    Ok(n) = far.recv(&mut back) => {
                        // A long header of type 3 (RFC 9000 section 17.2.5).
                        if back[0] & 0xf0 == 0xf0 {
                            retries.fetch_add(1, Ordering::SeqCst);
                        }
                        if let Some(opener) = opener && !silent.load(Ordering::SeqCst) {
                            let _ = near.send_to(&back[..n], opener).await;
                        }
                    }
                }
            }
        });
        relay
    }

    pub(super) fn tcp(to: SocketAddr) -> Relay {
        let env = Env::real();
        let listener = env.net.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let relay = Relay::new(listener.local_addr().unwrap());
        let silent = relay.silent.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = env.net.connect(to).await.unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(pass(near_read, far_write, silent.clone()));
                tokio::spawn(pass(far_read, near_write, silent.clone()));
            }
        });
        relay
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    silent: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok(n) = from.read(&mut buffer).await {
        if silent.load(Ordering::SeqCst) {
            // Keeps the connection, says nothing.
            std::future::pending::<()>().await;
        }
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
