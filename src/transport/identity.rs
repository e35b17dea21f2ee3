//! TLS between brokers: both sides show a certificate of the cluster's authority that names their node id.
//!
//! The opener asks for `node-<id>.esker`, so a certificate of another node fails in the handshake; the acceptor
//! refuses a certificate that names no node. TLS 1.3 only, AES-GCM first, no resumption: a certificate is checked at
//! every connection.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs as tls_provider};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certs::{Authority, CertError, node_id, node_name};
use crate::env::pem::{Identity, PemError, certificate_time, certificates, load_certificates};
use crate::env::{Disk, Env};
use crate::types::BrokerId;

/// What a broker shows to its peers, and whom it trusts.
#[derive(Clone)]
pub struct PeerTls {
    node: BrokerId,
    identity: Identity,
    roots: Arc<RootCertStore>,
    env: Env,
}

/// Why a broker's peer certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PeerTlsError {
    /// A file is missing or not PEM.
    #[error(transparent)]
    Files(#[from] PemError),
    /// No certificate could be made.
    #[error(transparent)]
    Make(#[from] CertError),
    /// The certificate is not this node's.
    #[error(
        "the certificate names {}, this is node {node}: it must carry the DNS name {}",
        named.map_or_else(|| "no node alone".to_owned(), |named| format!("node {named}")),
        node_name(*node)
    )]
    WrongNode {
        /// Whom it names.
        named: Option<BrokerId>,
        /// Who this is.
        node: BrokerId,
    },
    /// rustls refuses the chain, the key or the authority.
    #[error("the peer certificates cannot be used: {0}")]
    Tls(String),
}

impl PeerTls {
    /// Reads the authority, the node's chain and its key from PEM files.
    ///
    /// # Errors
    /// When a file is not there, not PEM, or the certificate is not this node's.
    pub fn load(
        env: &Env,
        node: BrokerId,
        authority: &Path,
        certificate: &Path,
        key: &Path,
    ) -> Result<PeerTls, PeerTlsError> {
        let disk: &dyn Disk = env.disk.as_ref();
        let authority = load_certificates(disk, authority)?;
        let identity = Identity::load(disk, certificate, key)?;
        PeerTls::new(env, node, &authority, identity)
    }

    /// Of an authority that nobody else has: for a lone broker, which no peer may join.
    ///
    /// # Errors
    /// When no keys could be drawn.
    pub fn alone(env: &Env, node: BrokerId) -> Result<PeerTls, PeerTlsError> {
        let authority = Authority::new(env, "of a lone broker")?;
        let identity = authority.issue_node(env, node, &[])?.identity().map_err(PeerTlsError::Tls)?;
        let trusted = certificates(authority.certificate_pem().as_bytes()).map_err(PeerTlsError::Tls)?;
        PeerTls::new(env, node, &trusted, identity)
    }

    /// From certificates in memory.
    ///
    /// # Errors
    /// When the authority is not one, or the certificate is not this node's.
    pub fn new(
        env: &Env,
        node: BrokerId,
        authority: &[CertificateDer<'static>],
        identity: Identity,
    ) -> Result<PeerTls, PeerTlsError> {
        let named = identity.chain.first().and_then(node_id);
        if named != Some(node) {
            return Err(PeerTlsError::WrongNode { named, node });
        }
        let mut roots = RootCertStore::empty();
        for certificate in authority {
            roots.add(certificate.clone()).map_err(|error| PeerTlsError::Tls(error.to_string()))?;
        }
        Ok(PeerTls { node, identity, roots: Arc::new(roots), env: env.clone() })
    }

    /// Who this is.
    #[must_use]
    pub fn node(&self) -> BrokerId {
        self.node
    }

    /// The acceptor's side.
    pub(super) fn server(&self, alpn: &[u8]) -> Result<ServerConfig, PeerTlsError> {
        let tls = |error: rustls::Error| PeerTlsError::Tls(error.to_string());
        let provider = Arc::new(provider());
        let inner = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider.clone())
            .build()
            .map_err(|error| PeerTlsError::Tls(error.to_string()))?;
        let mut config = ServerConfig::builder_with_details(provider, certificate_time(&self.env))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_client_cert_verifier(Arc::new(NodeVerifier { inner }))
            .with_single_cert(self.identity.chain.clone(), self.identity.key.clone_key())
            .map_err(tls)?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// The opener's side.
    pub(super) fn client(&self, alpn: &[u8]) -> Result<ClientConfig, PeerTlsError> {
        let tls = |error: rustls::Error| PeerTlsError::Tls(error.to_string());
        let mut config =
            ClientConfig::builder_with_details(Arc::new(provider()), certificate_time(&self.env))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(tls)?
                .with_root_certificates(self.roots.clone())
                .with_client_auth_cert(self.identity.chain.clone(), self.identity.key.clone_key())
                .map_err(tls)?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The key of QUIC's stateless resets, the same in every life of the node: a peer learns from the first packet to a
    /// restarted broker that the connection is gone.
    pub(super) fn reset_key(&self) -> aws_lc_rs::hmac::Key {
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, self.identity.key.secret_der());
        let tag = aws_lc_rs::hmac::sign(&secret, b"esker quic stateless reset");
        aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, tag.as_ref())
    }
}

/// The name that the opener asks for.
pub(super) fn server_name(peer: BrokerId) -> ServerName<'static> {
    ServerName::try_from(node_name(peer)).expect("a number between fixed labels is a DNS name")
}

fn provider() -> CryptoProvider {
    let mut provider = tls_provider::default_provider();
    provider.cipher_suites = vec![
        tls_provider::cipher_suite::TLS13_AES_128_GCM_SHA256,
        tls_provider::cipher_suite::TLS13_AES_256_GCM_SHA384,
    ];
    provider
}

/// webpki's verifier, and then: the certificate must name a node.
#[derive(Debug)]
struct NodeVerifier {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for NodeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        match node_id(end_entity) {
            Some(_) => Ok(verified),
            None => Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
