//! OAUTHBEARER (RFC 7628, KIP-768): a client shows a JSON Web Token that an authority of the cluster's operator has signed.
//!
//! A token is taken when one of the authority's public keys verifies it, and its claims are as Kafka's broker wants them:
//! `exp` and `iat` are there, it has not expired and is valid already, it names the expected issuer and audience, and says who
//! its bearer is. Algorithms with a shared secret, and `none`, do not exist here: the key set holds public keys only.
//!
//! The keys come from a file or over HTTPS ([`keys`]); only properties say from where, never a client and never a token.

mod exchange;
pub mod keys;
mod signature;
mod source;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub use self::exchange::FirstMessage;
pub use self::keys::{JwksError, KeySet, Keys};
use self::signature::Algorithm;
pub use self::source::{JwksLocation, JwksSettings};
use super::Principal;
use crate::env::Clock;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 64 << 10;
/// The longest name that a token gives its bearer.
const MAX_SUBJECT: usize = 1024;

/// What a token must say.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// `sasl.oauthbearer.expected.issuer`.
    pub issuer: Option<String>,
    /// `sasl.oauthbearer.expected.audience`: one of these.
    pub audiences: Vec<String>,
    /// `sasl.oauthbearer.sub.claim.name`: the claim that names the bearer.
    pub subject_claim: String,
    /// `sasl.oauthbearer.clock.skew.seconds`.
    pub clock_skew: Duration,
}

/// A token that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its bearer.
    pub principal: Principal,
    /// When it expires, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

/// Why a token is refused: for the log, the client hears only that it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url, or not JSON.
    #[error("it is no signed JSON Web Token: {0}")]
    Form(&'static str),
    /// `none`, or one with a shared secret.
    #[error("its algorithm is not served (`none` and those with a shared secret never are)")]
    Algorithm,
    /// The key set has no such key.
    #[error("no key of the key set fits it (key id {0:?})")]
    NoKey(Option<String>),
    /// The keys that fit do not verify it.
    #[error("its signature is wrong")]
    Signature,
    /// It is out of time.
    #[error("{0}")]
    Time(&'static str),
    /// A claim is missing or of a wrong form.
    #[error("the claim `{0}` is missing or cannot be read")]
    Claim(String),
    /// Another issuer.
    #[error("it is not from the expected issuer")]
    Issuer,
    /// For somebody else.
    #[error("it is not meant for the expected audience (sasl.oauthbearer.expected.audience)")]
    Audience,
}

/// Checks tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenValidator {
    rules: Arc<TokenRules>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
}

impl TokenValidator {
    /// By these rules, with these keys.
    #[must_use]
    pub fn new(rules: TokenRules, keys: Arc<Keys>, clock: Arc<dyn Clock>) -> TokenValidator {
        TokenValidator { rules: Arc::new(rules), keys, clock }
    }

    /// The time by which tokens are judged, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Who bears the token, and until when.
    ///
    /// # Errors
    /// `TokenError`.
    pub fn check(&self, token: &str) -> Result<Token, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Form("it is too long"));
        }
        let (message, signature) =
            token.rsplit_once('.').ok_or(TokenError::Form("it has not three parts"))?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Form("it has not three parts"))?;
        let header: Map<String, Value> = json(header)?;
        let header_text = |name: &str| header.get(name).and_then(Value::as_str);
        let algorithm = header_text("alg").and_then(Algorithm::from_name).ok_or(TokenError::Algorithm)?;
        // RFC 7515 section 4.1.11: what must be understood, and is not.
        if header.contains_key("crit") {
            return Err(TokenError::Form("its header asks for an extension"));
        }
        let signature = base64(signature)?;
        let id = header_text("kid");
        let keys = self.keys.current();
        let mut fitting = keys.fitting(id, algorithm).peekable();
        if fitting.peek().is_none() {
            // The authority may have a new key.
            self.keys.miss();
            return Err(TokenError::NoKey(id.map(|id| id.chars().take(256).collect())));
        }
        if !fitting.any(|key| key.verifies(message.as_bytes(), &signature, algorithm)) {
            return Err(TokenError::Signature);
        }
        self.check_claims(&json(claims)?)
    }

    fn check_claims(&self, claims: &Map<String, Value>) -> Result<Token, TokenError> {
        let rules = &self.rules;
        let now = self.clock.wall_ms();
        let skew = i64::try_from(rules.clock_skew.as_millis()).unwrap_or(i64::MAX);
        let expires_ms = time(claims, "exp")?.ok_or_else(|| TokenError::Claim("exp".to_owned()))?;
        time(claims, "iat")?.ok_or_else(|| TokenError::Claim("iat".to_owned()))?;
        if now.saturating_sub(skew) >= expires_ms {
            return Err(TokenError::Time("it has expired"));
        }
        if time(claims, "nbf")?.is_some_and(|from| now.saturating_add(skew) < from) {
            return Err(TokenError::Time("it is not valid yet"));
        }
        if let Some(issuer) = &rules.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenError::Issuer);
        }
        // As Kafka's: a token for an audience is for nobody who does not say which one he is.
        let wanted = |audience: &str| rules.audiences.iter().any(|a| a == audience);
        let fits = match claims.get("aud") {
            None => rules.audiences.is_empty(),
            Some(Value::String(audience)) => wanted(audience),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(wanted),
            Some(_) => false,
        };
        if !fits {
            return Err(TokenError::Audience);
        }
        let subject = claims.get(&rules.subject_claim).and_then(Value::as_str).map(str::trim);
        match subject {
            Some(name) if !name.is_empty() && name.len() <= MAX_SUBJECT => {
                Ok(Token { principal: Principal::user(name), expires_ms })
            }
            _ => Err(TokenError::Claim(rules.subject_claim.clone())),
        }
    }
}

fn base64(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form("a part is no base64url"))
}

fn json(part: &str) -> Result<Map<String, Value>, TokenError> {
    serde_json::from_slice(&base64(part)?).map_err(|_| TokenError::Form("a part is no JSON object"))
}

/// A NumericDate (RFC 7519 section 2) in milliseconds.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|s| (0.0..1e13).contains(s));
    seconds.map(|s| Some((s * 1000.0) as i64)).ok_or_else(|| TokenError::Claim(name.to_owned()))
}

#[cfg(test)]
mod tests;
