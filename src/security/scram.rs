//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677): credentials, and the server's side of the exchange.
//!
//! The messages are written by hand on aws-lc-rs. rsasl's server answers an unknown user with a salt that changes from
//! try to try and with an error of its own, compares the stored key in variable time, leaves the authorization id
//! unchecked, and draws its nonces outside the `Rng` seam: all four would show who exists or go round a rule of the
//! house. Here an unknown user takes exactly the path of a wrong password. rsasl's client is the tests' oracle.
//!
//! As in Kafka, passwords and names are taken as UTF-8 without SASLprep, and channel binding is not offered.

use std::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::env::Rng;
use crate::metadata::{ScramCredential, ScramMechanism};

/// Kafka's lower bound of the iterations, and the default.
pub const MIN_ITERATIONS: u32 = 4096;
/// Kafka's upper bound: above it a login would be an attack on the broker.
pub const MAX_ITERATIONS: u32 = 16_384;
const SALT_BYTES: usize = 24;
const MAX_SALT_BYTES: usize = 1024;
const MAX_SALTED_BYTES: usize = 1024;
const NONCE_BYTES: usize = 24;
const MAX_CLIENT_NONCE: usize = 256;
const MAX_USER_BYTES: usize = 256;

/// Why a credential cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Outside Kafka's bounds.
    #[error("{0} iterations: {MIN_ITERATIONS} to {MAX_ITERATIONS} are accepted")]
    Iterations(u32),
    /// Empty, or absurdly long.
    #[error("a salt of {0} bytes: 1 to {MAX_SALT_BYTES} are accepted")]
    Salt(usize),
    /// Empty, or absurdly long. Another length than that of the mechanism's hash is taken, as by Kafka, though nobody can log in
    /// with it.
    #[error("a salted password of {0} bytes: 1 to {MAX_SALTED_BYTES} are accepted")]
    SaltedPassword(usize),
    /// Nobody could log in with it.
    #[error("the password is empty")]
    EmptyPassword,
}

/// A credential with a fresh salt.
///
/// # Errors
/// When the password is empty or the iterations lie outside the bounds.
pub fn credential(
    rng: &dyn Rng,
    mechanism: ScramMechanism,
    password: &str,
    iterations: u32,
) -> Result<ScramCredential, CredentialError> {
    if password.is_empty() {
        return Err(CredentialError::EmptyPassword);
    }
    let mut salt = [0; SALT_BYTES];
    rng.fill(&mut salt);
    let salted = salted_password(mechanism, password, &salt, iterations)?;
    credential_from_salted(mechanism, &salt, &salted, iterations)
}

/// A credential from what `AlterUserScramCredentials` carries: the password never reaches the broker.
///
/// # Errors
/// When salt, salted password or iterations lie outside the bounds.
pub fn credential_from_salted(
    mechanism: ScramMechanism,
    salt: &[u8],
    salted_password: &[u8],
    iterations: u32,
) -> Result<ScramCredential, CredentialError> {
    check_bounds(salt, iterations)?;
    let hash = Hash::of(mechanism);
    if !(1..=MAX_SALTED_BYTES).contains(&salted_password.len()) {
        return Err(CredentialError::SaltedPassword(salted_password.len()));
    }
    let client_key = hash.hmac(salted_password, &[b"Client Key"]);
    Ok(ScramCredential {
        salt: salt.to_vec(),
        stored_key: hash.digest(client_key.as_ref()),
        server_key: hash.hmac(salted_password, &[b"Server Key"]).as_ref().to_vec(),
        iterations,
    })
}

/// `SaltedPassword` of RFC 5802: PBKDF2 with the mechanism's HMAC. Costs milliseconds: not on a reactor thread.
///
/// # Errors
/// When salt or iterations lie outside the bounds.
pub fn salted_password(
    mechanism: ScramMechanism,
    password: &str,
    salt: &[u8],
    iterations: u32,
) -> Result<Vec<u8>, CredentialError> {
    check_bounds(salt, iterations)?;
    let hash = Hash::of(mechanism);
    let rounds = NonZeroU32::new(iterations).ok_or(CredentialError::Iterations(0))?;
    let mut out = vec![0; hash.len()];
    pbkdf2::derive(hash.pbkdf2(), rounds, salt, password.as_bytes(), &mut out);
    Ok(out)
}

/// Whether a password fits a credential, in constant time for a given number of iterations.
#[must_use]
pub fn password_fits(mechanism: ScramMechanism, credential: &ScramCredential, password: &str) -> bool {
    let Ok(salted) = salted_password(mechanism, password, &credential.salt, credential.iterations) else {
        return false;
    };
    let hash = Hash::of(mechanism);
    let client_key = hash.hmac(&salted, &[b"Client Key"]);
    equal(&hash.digest(client_key.as_ref()), &credential.stored_key)
}

fn check_bounds(salt: &[u8], iterations: u32) -> Result<(), CredentialError> {
    if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
        return Err(CredentialError::Iterations(iterations));
    }
    if salt.is_empty() || salt.len() > MAX_SALT_BYTES {
        return Err(CredentialError::Salt(salt.len()));
    }
    Ok(())
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// A mechanism's hash function.
#[derive(Clone, Copy)]
struct Hash(ScramMechanism);

impl Hash {
    fn of(mechanism: ScramMechanism) -> Hash {
        Hash(mechanism)
    }

    fn len(self) -> usize {
        match self.0 {
            ScramMechanism::Sha256 => 32,
            ScramMechanism::Sha512 => 64,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self.0 {
            ScramMechanism::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            ScramMechanism::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self.0 {
            ScramMechanism::Sha256 => &digest::SHA256,
            ScramMechanism::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    fn hmac(self, key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
        let algorithm = match self.0 {
            ScramMechanism::Sha256 => hmac::HMAC_SHA256,
            ScramMechanism::Sha512 => hmac::HMAC_SHA512,
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
        parts.iter().for_each(|part| context.update(part));
        context.sign()
    }
}

/// A credential that nobody can log in with, for a name that nobody has: the same salt at every try, as a real one.
/// `secret` keeps a stranger from computing that salt himself.
pub(super) fn decoy(mechanism: ScramMechanism, secret: &[u8], user: &str) -> ScramCredential {
    let hash = Hash::of(mechanism);
    let draw = |what: &[u8]| hash.hmac(secret, &[what, b"\0", user.as_bytes()]).as_ref().to_vec();
    let mut salt = draw(b"salt of nobody");
    salt.truncate(SALT_BYTES);
    ScramCredential {
        salt,
        stored_key: draw(b"stored key of nobody"),
        server_key: draw(b"server key of nobody"),
        iterations: MIN_ITERATIONS,
    }
}

/// A message that is not SCRAM, or asks for what is not served. Says nothing about users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadMessage(&'static str);

/// What a client's first message asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientFirst {
    /// The user, unescaped.
    pub user: String,
    gs2_header: String,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// Reads `client-first-message` of RFC 5802 section 7.
    ///
    /// # Errors
    /// On anything that is not one, on channel binding, on a foreign authorization id, on mandatory extensions and on
    /// delegation tokens.
    pub fn parse(message: &[u8]) -> Result<ClientFirst, BadMessage> {
        let text = std::str::from_utf8(message).map_err(|_| BadMessage("the first message is not UTF-8"))?;
        let mut parts = text.splitn(3, ',');
        let (Some(binding), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadMessage("the first message has no GS2 header"));
        };
        if binding != "n" && binding != "y" {
            return Err(BadMessage("channel binding is not offered"));
        }
        let mut attributes = bare.split(',');
        let user = match attributes.next().and_then(|a| a.strip_prefix("n=")) {
            Some(name) => sasl_name(name)?,
            None => return Err(BadMessage("the first message names no user, or asks for an extension")),
        };
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r="));
        let nonce = nonce.ok_or(BadMessage("the first message has no nonce"))?;
        // Printable ASCII without the comma; bounded, since it comes back twice.
        if nonce.is_empty() || nonce.len() > MAX_CLIENT_NONCE || !nonce.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(BadMessage("the nonce is not one"));
        }
        if attributes.any(|a| a.eq_ignore_ascii_case("tokenauth=true")) {
            return Err(BadMessage("delegation tokens are not served"));
        }
        match authzid.strip_prefix("a=").map(sasl_name).transpose()? {
            Some(id) if id != user => return Err(BadMessage("the authorization id is another user's")),
            None if !authzid.is_empty() => return Err(BadMessage("the GS2 header is not one")),
            Some(_) | None => {}
        }
        Ok(ClientFirst {
            user,
            gs2_header: format!("{binding},{authzid},"),
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}

/// Undoes the escapes of `saslname`: `=2C` and `=3D`, nothing else.
fn sasl_name(escaped: &str) -> Result<String, BadMessage> {
    if escaped.is_empty() || escaped.len() > MAX_USER_BYTES {
        return Err(BadMessage("the user's name is empty or too long"));
    }
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('=') {
        name.push_str(&rest[..at]);
        name.push(match rest.get(at..at + 3) {
            Some("=2C") => ',',
            Some("=3D") => '=',
            _ => return Err(BadMessage("the user's name has a wrong escape")),
        });
        rest = &rest[at + 3..];
    }
    name.push_str(rest);
    Ok(name)
}

/// The server between its first message and the client's proof. One use: a second proof finds nobody.
pub struct ScramExchange {
    hash: Hash,
    first: ClientFirst,
    credential: Arc<ScramCredential>,
    server_first: String,
    nonce: String,
}

impl ScramExchange {
    /// Takes the client's first message and the credential of its user (or a decoy); gives the server's first message.
    #[must_use]
    pub fn begin(
        rng: &dyn Rng,
        mechanism: ScramMechanism,
        first: ClientFirst,
        credential: Arc<ScramCredential>,
    ) -> (ScramExchange, String) {
        let mut own = [0; NONCE_BYTES];
        rng.fill(&mut own);
        let own = BASE64.encode(own);
        ScramExchange::begin_with(mechanism, first, credential, &own)
    }

    fn begin_with(
        mechanism: ScramMechanism,
        first: ClientFirst,
        credential: Arc<ScramCredential>,
        own_nonce: &str,
    ) -> (ScramExchange, String) {
        let nonce = format!("{}{own_nonce}", first.nonce);
        let server_first =
            format!("r={nonce},s={},i={}", BASE64.encode(&credential.salt), credential.iterations);
        let hash = Hash::of(mechanism);
        let reply = server_first.clone();
        (ScramExchange { hash, first, credential, server_first, nonce }, reply)
    }

    /// Checks the client's final message. The server's final message, or `None` when the proof is wrong.
    ///
    /// # Errors
    /// When the message is malformed, or its nonce or GS2 header is not of this exchange (a replay, a downgrade).
    pub fn finish(self, client_final: &[u8]) -> Result<Option<String>, BadMessage> {
        let text =
            std::str::from_utf8(client_final).map_err(|_| BadMessage("the final message is not UTF-8"))?;
        let (without_proof, proof) =
            text.rsplit_once(",p=").ok_or(BadMessage("the final message has no proof"))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c="));
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r="));
        let (Some(binding), Some(nonce)) = (binding, nonce) else {
            return Err(BadMessage("the final message has no channel binding or nonce"));
        };
        if BASE64.decode(binding).ok().as_deref() != Some(self.first.gs2_header.as_bytes()) {
            return Err(BadMessage("the channel binding is not that of the first message"));
        }
        if !equal(nonce.as_bytes(), self.nonce.as_bytes()) {
            return Err(BadMessage("the nonce is not of this exchange"));
        }
        let proof = BASE64.decode(proof).map_err(|_| BadMessage("the proof is not base64"))?;
        if proof.len() != self.hash.len() {
            return Err(BadMessage("the proof has not the length of the hash"));
        }

        let auth_message =
            [self.first.bare.as_bytes(), b",", self.server_first.as_bytes(), b",", without_proof.as_bytes()];
        let signature = self.hash.hmac(&self.credential.stored_key, &auth_message);
        let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(p, s)| p ^ s).collect();
        let fits = equal(&self.hash.digest(&client_key), &self.credential.stored_key);
        // Computed in either case: the time tells nothing.
        let own = self.hash.hmac(&self.credential.server_key, &auth_message);
        Ok(fits.then(|| format!("v={}", BASE64.encode(own.as_ref()))))
    }

    /// Who wants to be authenticated.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.first.user
    }
}

#[cfg(test)]
mod tests;
