//! The cluster's certificates: one authority per cluster, node certificates that name a node id, client certificates.
//!
//! A node certificate carries the DNS name `node-<id>.esker`: that name, signed by the cluster's authority, is what
//! makes a peer broker `<id>`. It carries the broker's hosts and addresses too, so that the same certificate serves a
//! TLS listener for Kafka clients. A client certificate has no DNS name at all: it can never pass for a broker.
//!
//! On disk everything is PEM: `ca.crt`, `ca.key`, `node-<id>.crt`, `node-<id>.key`, `client-<name>.crt`,
//! `client-<name>.key`. Keys are PKCS#8 and readable by their owner only.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;

use crate::env::pem::{Identity, PemError};
use crate::env::{Disk, Env};
use crate::types::BrokerId;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const LEAF_LIFE: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);

/// Why certificates could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A file could not be read or written, or holds something else.
    #[error(transparent)]
    File(#[from] PemError),
    /// A host that no certificate may carry.
    #[error("{0:?} is not a host name or address that a certificate can carry")]
    Host(String),
    /// A client name that is empty or would not be a file name.
    #[error("{0:?} is not a client name: letters, digits, '.', '_' and '-' are accepted, at most 64")]
    ClientName(String),
    /// The files are there already; they are never overwritten.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// The library refused.
    #[error("cannot make the certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// The DNS name that makes a certificate's holder broker `id`.
#[must_use]
pub fn node_name(id: BrokerId) -> String {
    format!("node-{id}.esker")
}

/// The node id that a certificate names, when it names exactly one.
#[must_use]
pub fn node_id(certificate: &CertificateDer<'_>) -> Option<BrokerId> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let mut found = None;
    for name in &names.value.general_names {
        if let x509_parser::extensions::GeneralName::DNSName(name) = name
            && let Some(id) = parse_node_name(name)
            && found.replace(id).is_some()
        {
            return None;
        }
    }
    found
}

fn parse_node_name(name: &str) -> Option<BrokerId> {
    let id: i32 = name.strip_prefix("node-")?.strip_suffix(".esker")?.parse().ok()?;
    // One spelling only: `node-01.esker` and `node-+1.esker` name nobody.
    (id >= 0 && node_name(BrokerId(id)) == name).then_some(BrokerId(id))
}

/// A certificate with its key, as PEM text.
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// Its PKCS#8 key.
    pub key_pem: String,
}

impl Issued {
    /// The chain and key in the form that rustls takes.
    ///
    /// # Errors
    /// When the text is not PEM, which only a foreign `Issued` can bring about.
    pub fn identity(&self) -> Result<Identity, String> {
        Identity::from_pem(self.certificate_pem.as_bytes(), self.key_pem.as_bytes())
    }

    /// Writes `<stem>.crt` and `<stem>.key` into a folder that is there.
    ///
    /// # Errors
    /// `Exists` when one of the files is there, `File` when the disk refuses.
    pub fn write(&self, disk: &dyn Disk, folder: &Path, stem: &str) -> Result<(), CertError> {
        let certificate = folder.join(format!("{stem}.crt"));
        let key = folder.join(format!("{stem}.key"));
        for path in [&certificate, &key] {
            if disk.exists(path).map_err(|error| PemError::file(path, error))? {
                return Err(CertError::Exists(path.clone()));
            }
        }
        disk.write_secret(&key, self.key_pem.as_bytes()).map_err(|error| PemError::file(&key, error))?;
        disk.write_atomically(&certificate, self.certificate_pem.as_bytes())
            .map_err(|error| PemError::file(&certificate, error))?;
        Ok(())
    }
}

/// The cluster's authority: it signs what makes a broker a broker. Its key belongs to the operator, not on the brokers.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    /// How long what it signs is valid.
    leaf_life: Duration,
}

impl Authority {
    /// A new authority for a cluster.
    ///
    /// # Errors
    /// `Make` when no key could be drawn.
    pub fn new(env: &Env, cluster: &str) -> Result<Authority, CertError> {
        let key = KeyPair::generate()?;
        let mut params = params(env, AUTHORITY_LIFE);
        params.distinguished_name.push(DnType::CommonName, format!("Esker cluster authority {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), certificate_pem, leaf_life: LEAF_LIFE })
    }

    /// Reads `ca.crt` and `ca.key` from a folder.
    ///
    /// # Errors
    /// `File`, with the path.
    pub fn load(disk: &dyn Disk, folder: &Path) -> Result<Authority, CertError> {
        let text = |name: &str| {
            let path = folder.join(name);
            let bytes = disk.read(&path).map_err(|error| PemError::file(&path, error))?;
            String::from_utf8(bytes).map_err(|error| PemError::content(&path, error.to_string()))
        };
        let certificate_pem = text("ca.crt")?;
        let key = KeyPair::from_pem(&text("ca.key")?)
            .map_err(|error| PemError::content(&folder.join("ca.key"), error.to_string()))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .map_err(|error| PemError::content(&folder.join("ca.crt"), error.to_string()))?;
        Ok(Authority { issuer, certificate_pem, leaf_life: LEAF_LIFE })
    }

    /// The same authority, whose certificates are valid for so many days from now.
    #[must_use]
    pub fn valid_for_days(self, days: u32) -> Authority {
        Authority { leaf_life: DAY * days, ..self }
    }

    /// Writes `ca.crt` and `ca.key` into a folder that is there.
    ///
    /// # Errors
    /// `Exists` when one of the files is there, `File` when the disk refuses.
    pub fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<(), CertError> {
        let issued = Issued {
            certificate_pem: self.certificate_pem.clone(),
            key_pem: self.issuer.key().serialize_pem(),
        };
        issued.write(disk, folder, "ca")
    }

    /// The authority's own certificate, as PEM: what brokers and clients trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for broker `id`, valid for two years unless said otherwise; `hosts` are the names and addresses by which Kafka clients
    /// reach it.
    ///
    /// # Errors
    /// `Host` when a host cannot stand in a certificate, or would name a node.
    pub fn issue_node(&self, env: &Env, id: BrokerId, hosts: &[String]) -> Result<Issued, CertError> {
        let mut params = params(env, self.leaf_life);
        params.distinguished_name.push(DnType::CommonName, format!("node-{id}"));
        let dns = |name: &str| {
            Ok::<_, CertError>(SanType::DnsName(
                name.try_into().map_err(|_| CertError::Host(name.to_owned()))?,
            ))
        };
        params.subject_alt_names.push(dns(&node_name(id))?);
        for host in hosts {
            let name = match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) if is_host_name(host) => dns(host)?,
                Err(_) => return Err(CertError::Host(host.clone())),
            };
            if !params.subject_alt_names.contains(&name) {
                params.subject_alt_names.push(name);
            }
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    /// A certificate for a Kafka client (`CN=<name>`), valid for two years unless said otherwise.
    ///
    /// # Errors
    /// `ClientName` when the name is not one.
    pub fn issue_client(&self, env: &Env, name: &str) -> Result<Issued, CertError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return Err(CertError::ClientName(name.to_owned()));
        }
        let mut params = params(env, self.leaf_life);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Issued, CertError> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn params(env: &Env, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = Duration::from_millis(u64::try_from(env.clock.wall_ms()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // A day back, for machines whose clocks differ.
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + life;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    let mut serial = [0; 16];
    env.rng.fill(&mut serial);
    // Positive in DER, and never zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

/// A host name of RFC 1123 (`*` only as the whole first label), and not in the space of node names.
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let plain = host.strip_prefix("*.").unwrap_or(host);
    let lower = plain.to_ascii_lowercase();
    host.len() <= 253 && lower != "esker" && !lower.ends_with(".esker") && plain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> (Env, Authority) {
        let env = Env::real();
        let authority = Authority::new(&env, "test").unwrap();
        (env, authority)
    }

    #[test]
    fn a_node_certificate_names_its_node_and_only_it() {
        let (env, authority) = authority();
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned(), "localhost".to_owned()];
        let issued = authority.issue_node(&env, BrokerId(7), &hosts).unwrap();
        let identity = issued.identity().unwrap();
        assert_eq!(node_id(&identity.chain[0]), Some(BrokerId(7)));
    }

    #[test]
    fn a_certificate_is_valid_for_as_long_as_was_said() {
        let (env, authority) = authority();
        let issued = authority.valid_for_days(7).issue_client(&env, "x").unwrap();
        let chain = issued.identity().unwrap().chain;
        let (_, parsed) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
        let left = parsed.validity().not_after.timestamp() - env.clock.wall_ms() / 1000;
        assert!((7 * 86_400 - 60..=7 * 86_400).contains(&left), "{left} s");
    }

    #[test]
    fn a_client_certificate_names_no_node() {
        let (env, authority) = authority();
        let issued = authority.issue_client(&env, "node-1.esker").unwrap();
        assert_eq!(node_id(&issued.identity().unwrap().chain[0]), None);
    }

    #[test]
    fn a_host_in_the_space_of_node_names_is_refused() {
        let (env, authority) = authority();
        for host in ["node-2.esker", "NODE-2.ESKER", "*.esker", "esker", "", "a b", "-a", "a..b"] {
            let issued = authority.issue_node(&env, BrokerId(1), &[host.to_owned()]);
            assert!(matches!(issued, Err(CertError::Host(_))), "{host:?} was accepted");
        }
    }

    #[test]
    fn a_node_name_has_one_spelling() {
        assert_eq!(parse_node_name("node-1.esker"), Some(BrokerId(1)));
        for name in [
            "node-01.esker",
            "node-+1.esker",
            "node--1.esker",
            "node-.esker",
            "node-1.esker.",
            "Node-1.esker",
        ] {
            assert_eq!(parse_node_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_client_name_that_is_a_path_is_refused() {
        let (env, authority) = authority();
        for name in ["", "../x", "a/b", "a b", "ä"] {
            assert!(matches!(authority.issue_client(&env, name), Err(CertError::ClientName(_))));
        }
    }

    #[test]
    fn an_authority_survives_the_disk_and_keys_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let (env, authority) = authority();
        let folder = tempfile::tempdir().unwrap();
        authority.write(env.disk.as_ref(), folder.path()).unwrap();
        let again = Authority::load(env.disk.as_ref(), folder.path()).unwrap();
        let issued = again.issue_node(&env, BrokerId(3), &[]).unwrap();
        issued.write(env.disk.as_ref(), folder.path(), "node-3").unwrap();
        for key in ["ca.key", "node-3.key"] {
            let mode = std::fs::metadata(folder.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        let loaded = Identity::load(
            env.disk.as_ref(),
            &folder.path().join("node-3.crt"),
            &folder.path().join("node-3.key"),
        )
        .unwrap();
        assert_eq!(node_id(&loaded.chain[0]), Some(BrokerId(3)));
        assert!(matches!(
            issued.write(env.disk.as_ref(), folder.path(), "node-3"),
            Err(CertError::Exists(_))
        ));
    }
}
