//! Certificates and keys from PEM files, and the time by which they are judged: what TLS needs of disk and clock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Clock, Disk, Env, pkcs8};

/// Why a PEM file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// It could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// It holds no certificate or key in PEM.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl PemError {
    /// A failure of the disk.
    #[must_use]
    pub fn file(path: &Path, error: io::Error) -> PemError {
        PemError::File { path: path.to_path_buf(), error }
    }

    /// Something else than what was looked for.
    #[must_use]
    pub fn content(path: &Path, reason: String) -> PemError {
        PemError::Content { path: path.to_path_buf(), reason }
    }
}

/// A certificate chain with its private key.
#[derive(Debug)]
pub struct Identity {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Identity { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Identity {
    /// Reads a chain and a key from PEM files. Both may be the same file.
    ///
    /// # Errors
    /// Names the file.
    pub fn load(disk: &dyn Disk, certificate: &Path, key: &Path) -> Result<Identity, PemError> {
        Identity::load_with(disk, certificate, key, None)
    }

    /// As `load`, with the passphrase of a key that has one. A key without one is read all the same.
    ///
    /// # Errors
    /// Names the file.
    pub fn load_with(
        disk: &dyn Disk,
        certificate: &Path,
        key: &Path,
        passphrase: Option<&str>,
    ) -> Result<Identity, PemError> {
        let chain = load_certificates(disk, certificate)?;
        let bytes = disk.read(key).map_err(|error| PemError::file(key, error))?;
        let key = match encrypted_key(&bytes) {
            None => private_key(&bytes),
            Some(der) => match passphrase {
                Some(passphrase) => pkcs8::decrypt(&der, passphrase)
                    .map(|der| PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))),
                None => Err("the private key has a passphrase: set ssl.key.password".to_owned()),
            },
        }
        .map_err(|reason| PemError::content(key, reason))?;
        Ok(Identity { chain, key })
    }

    /// From PEM text.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Identity, String> {
        Ok(Identity { chain: certificates(certificate)?, key: private_key(key)? })
    }
}

/// The certificates of a PEM file; at least one.
///
/// # Errors
/// Names the file.
pub fn load_certificates(disk: &dyn Disk, path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let bytes = disk.read(path).map_err(|error| PemError::file(path, error))?;
    certificates(&bytes).map_err(|reason| PemError::content(path, reason))
}

/// The certificates of a PEM text; at least one.
///
/// # Errors
/// Says what is wrong with the text.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("not a certificate in PEM: {error}"))?;
    if found.is_empty() {
        return Err("no CERTIFICATE in PEM".to_owned());
    }
    Ok(found)
}

/// So many days before a certificate expires there is a warning.
pub const EXPIRY_WARNING_DAYS: i64 = 30;

/// When the first of the certificates expires, in milliseconds of Unix time; `None` when none says it.
#[must_use]
pub fn expiry_ms(chain: &[CertificateDer<'_>]) -> Option<i64> {
    let of = |certificate: &CertificateDer<'_>| {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        parsed.validity().not_after.timestamp().checked_mul(1000)
    };
    chain.iter().filter_map(of).min()
}

/// Whole days that are left of a certificate, when they are few; negative when it has expired.
#[must_use]
pub fn days_left_if_few(expiry_ms: i64, now_ms: i64) -> Option<i64> {
    let days = expiry_ms.saturating_sub(now_ms).div_euclid(24 * 60 * 60 * 1000);
    (days < EXPIRY_WARNING_DAYS).then_some(days)
}

/// The content of `ENCRYPTED PRIVATE KEY`, where there is one.
fn encrypted_key(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END ENCRYPTED PRIVATE KEY-----")?;
    let body: String = body.split_whitespace().collect();
    BASE64_STANDARD.decode(body).ok()
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| format!("no unencrypted private key in PEM (PKCS#8, PKCS#1 or SEC1): {error}"))
}

/// The time by which the validity of certificates is judged: the wall clock of `env`.
#[must_use]
pub fn certificate_time(env: &Env) -> Arc<dyn TimeProvider> {
    Arc::new(WallTime(env.clock.clone()))
}

struct WallTime(Arc<dyn Clock>);

impl std::fmt::Debug for WallTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WallTime")
    }
}

impl TimeProvider for WallTime {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.0.wall_ms()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_that_are_left_are_told_when_they_are_few() {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        assert_eq!(days_left_if_few(100 * DAY, 0), None);
        assert_eq!(days_left_if_few(30 * DAY, 0), None);
        assert_eq!(days_left_if_few(30 * DAY - 1, 0), Some(29));
        assert_eq!(days_left_if_few(5 * DAY, 6 * DAY), Some(-1));
        assert_eq!(days_left_if_few(i64::MIN, i64::MAX), Some(i64::MIN / DAY - 1), "no overflow");
    }

    #[test]
    fn a_file_without_pem_is_refused_with_its_path() {
        let env = Env::real();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.crt");
        let missing = load_certificates(env.disk.as_ref(), &path).unwrap_err();
        assert!(missing.to_string().contains("x.crt"), "{missing}");
        for content in [&b""[..], b"not pem", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"]
        {
            env.disk.write_atomically(&path, content).unwrap();
            let error = load_certificates(env.disk.as_ref(), &path).unwrap_err();
            assert!(error.to_string().contains("x.crt"), "{error}");
            assert!(Identity::load(env.disk.as_ref(), &path, &path).is_err());
        }
    }
}
