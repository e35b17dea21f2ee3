//! A blocking connection, plain or in TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Connects to `host:port`.
pub fn connect(address: &str, ca: Option<&Path>) -> Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    tcp.set_nodelay(true)?;
    let Some(ca) = ca else { return Ok(Box::new(tcp)) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let host = address.rsplit_once(':').context("an address is host:port")?.0.to_owned();
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from(host)?)?;
    Ok(Box::new(StreamOwned::new(session, tcp)))
}

/// Reads one frame into `buffer`, without its length.
pub fn receive(stream: &mut (impl Read + ?Sized), buffer: &mut Vec<u8>) -> Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).context("the broker closed the connection")?;
    let length = i32::from_be_bytes(length);
    ensure!((0..256 << 20).contains(&length), "an answer of {length} bytes");
    buffer.resize(length as usize, 0);
    stream.read_exact(buffer)?;
    Ok(())
}
