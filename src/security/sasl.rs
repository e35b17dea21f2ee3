//! The server's side of SASL: PLAIN, SCRAM and OAUTHBEARER over `SaslAuthenticate`, as a state machine without I/O.
//!
//! PLAIN is checked against the same salted credential as SCRAM, OAUTHBEARER against the keys of an authority ([`oauth`]). Every failure looks alike to the client; the caller
//! answers it late with SASL_AUTHENTICATION_FAILED and closes. A step may cost a few
//! milliseconds of PBKDF2 (`is_costly`): then it belongs on the blocking pool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Principal;
use super::oauth::{self, FirstMessage, TokenValidator};
use super::scram::{self, ClientFirst, ScramExchange};
use crate::env::Rng;
use crate::metadata::{Image, ScramCredential, ScramMechanism};

/// The largest user name or password that PLAIN takes, in bytes.
const MAX_PLAIN_FIELD: usize = 1024;

/// A SASL mechanism that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// RFC 4616. Shows the password to whoever reads the connection: belongs on TLS.
    Plain,
    /// RFC 5802, RFC 7677.
    Scram(ScramMechanism),
    /// RFC 7628: a signed token. Whoever reads the connection can use it too: belongs on TLS.
    OAuthBearer,
}

impl Mechanism {
    /// All that are served, in the order in which a client should prefer them.
    pub const ALL: [Mechanism; 4] = [
        Mechanism::Scram(ScramMechanism::Sha512),
        Mechanism::Scram(ScramMechanism::Sha256),
        Mechanism::OAuthBearer,
        Mechanism::Plain,
    ];

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::Scram(ScramMechanism::Sha256) => "SCRAM-SHA-256",
            Mechanism::Scram(ScramMechanism::Sha512) => "SCRAM-SHA-512",
        }
    }

    /// By its registered name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What all sessions of a broker share. Cheap to clone.
#[derive(Clone)]
pub struct SaslServer {
    rng: Arc<dyn Rng>,
    /// For the salts of users that do not exist, while there is no credential to draw them from.
    secret: Arc<[u8; 32]>,
    /// Who checks the tokens of OAUTHBEARER.
    tokens: Option<TokenValidator>,
}

impl SaslServer {
    /// For one broker. Without a validator every token is refused.
    #[must_use]
    pub fn new(rng: Arc<dyn Rng>, tokens: Option<TokenValidator>) -> SaslServer {
        let mut secret = [0; 32];
        rng.fill(&mut secret);
        SaslServer { rng, secret: Arc::new(secret), tokens }
    }

    /// Begins an exchange; the mechanism must be one that the listener enables.
    #[must_use]
    pub fn session(&self, mechanism: Mechanism) -> SaslSession {
        SaslSession { server: self.clone(), mechanism, state: State::First, lifetime: None }
    }

    /// The credential of a user, or a decoy when there is none; and whether it is a real one.
    fn credential(&self, image: &Image, user: &str, mechanism: ScramMechanism) -> (ScramCredential, bool) {
        if let Some(credential) = image.users.get(user).and_then(|all| all.get(&mechanism)) {
            return (credential.clone(), true);
        }
        // Drawn from a credential of the cluster, the decoy is the same on every broker.
        let secret = image.users.values().find_map(|all| all.values().next());
        let secret = secret.map_or(&self.secret[..], |credential| &credential.server_key);
        (scram::decoy(mechanism, secret, user), false)
    }
}

/// One exchange.
pub struct SaslSession {
    server: SaslServer,
    mechanism: Mechanism,
    state: State,
    lifetime: Option<Duration>,
}

enum State {
    First,
    Proof {
        exchange: ScramExchange,
        user_exists: bool,
    },
    /// The client has been told that its token is refused, and has yet to say that it knows.
    TokenRefused(SaslFailure),
    Over,
}

/// What a token led to.
#[derive(Debug)]
pub enum SaslStep {
    /// The client must go on; these are the `auth_bytes` of the answer.
    Continue(Vec<u8>),
    /// Authenticated; these are the `auth_bytes` of the answer.
    Done(Principal, Vec<u8>),
    /// Refused, which the client is told by these `auth_bytes`; whatever it says then fails (RFC 7628 section 3.2.2).
    Refused(SaslFailure, Vec<u8>),
    /// Refused.
    Failed(SaslFailure),
}

/// Why a client was refused: for the log. What the client may read is `SaslFailure::public`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslFailure {
    /// Wrong password or unknown user: told apart nowhere.
    #[error("user {user:?} gave no valid credential with {mechanism}")]
    Credentials {
        /// The name as the client gave it.
        user: String,
        /// By which mechanism.
        mechanism: Mechanism,
    },
    /// Not a message of the mechanism, or it asks for what is not served.
    #[error("{mechanism}: {reason}")]
    Message {
        /// Which mechanism.
        mechanism: Mechanism,
        /// What is wrong.
        reason: String,
    },
}

impl SaslFailure {
    /// The error message of the answer, the same for every reason.
    #[must_use]
    pub fn public(&self) -> String {
        let (SaslFailure::Credentials { mechanism, .. } | SaslFailure::Message { mechanism, .. }) = self;
        format!("Authentication failed: invalid credentials with SASL mechanism {mechanism}")
    }
}

impl SaslSession {
    /// Its mechanism.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Whether the next step costs milliseconds of CPU.
    #[must_use]
    pub fn is_costly(&self) -> bool {
        self.mechanism == Mechanism::Plain
    }

    /// After `Done`: how long what the client has shown is good for, if that has an end.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// Takes the client's next token. After `Done` or `Failed` every further token is refused.
    pub fn step(&mut self, image: &Image, token: &[u8]) -> SaslStep {
        let outcome = match (self.mechanism, std::mem::replace(&mut self.state, State::Over)) {
            (Mechanism::Plain, State::First) => self.plain(image, token),
            (Mechanism::Scram(mechanism), State::First) => self.scram_first(image, mechanism, token),
            (Mechanism::OAuthBearer, State::First) => self.bearer(token),
            (_, State::TokenRefused(failure)) => Err(failure),
            (_, State::Proof { exchange, user_exists }) => self.scram_final(exchange, user_exists, token),
            (_, State::Over) => Err(self.bad_message("the exchange is over")),
        };
        outcome.unwrap_or_else(SaslStep::Failed)
    }

    fn plain(&self, image: &Image, token: &[u8]) -> Result<SaslStep, SaslFailure> {
        let text = std::str::from_utf8(token).map_err(|_| self.bad_message("the message is not UTF-8"))?;
        let fields: Vec<&str> = text.splitn(4, '\0').collect();
        let [authzid, user, password] = fields[..] else {
            return Err(self.bad_message("the message has not three fields"));
        };
        if user.is_empty() || password.is_empty() || user.len().max(password.len()) > MAX_PLAIN_FIELD {
            return Err(self.bad_message("user or password is empty or too long"));
        }
        if !authzid.is_empty() && authzid != user {
            return Err(self.bad_message("the authorization id is another user's"));
        }
        // Whichever the user has; an unknown one is checked against a decoy, at the same cost.
        let has_sha256 = image.users.get(user).is_none_or(|all| all.contains_key(&ScramMechanism::Sha256));
        let mechanism = if has_sha256 { ScramMechanism::Sha256 } else { ScramMechanism::Sha512 };
        let (credential, user_exists) = self.server.credential(image, user, mechanism);
        let fits = scram::password_fits(mechanism, &credential, password);
        if fits && user_exists {
            Ok(SaslStep::Done(Principal::user(user), Vec::new()))
        } else {
            Err(self.bad_credentials(user))
        }
    }

    fn scram_first(
        &mut self,
        image: &Image,
        mechanism: ScramMechanism,
        token: &[u8],
    ) -> Result<SaslStep, SaslFailure> {
        let first = ClientFirst::parse(token).map_err(|e| self.bad_message(&e.to_string()))?;
        let (credential, user_exists) = self.server.credential(image, &first.user, mechanism);
        let rng = self.server.rng.as_ref();
        let (exchange, reply) = ScramExchange::begin(rng, mechanism, first, Arc::new(credential));
        self.state = State::Proof { exchange, user_exists };
        Ok(SaslStep::Continue(reply.into_bytes()))
    }

    fn scram_final(
        &self,
        exchange: ScramExchange,
        user_exists: bool,
        token: &[u8],
    ) -> Result<SaslStep, SaslFailure> {
        let user = exchange.user().to_owned();
        let reply = exchange.finish(token).map_err(|e| self.bad_message(&e.to_string()))?;
        match reply {
            Some(reply) if user_exists => Ok(SaslStep::Done(Principal::user(&user), reply.into_bytes())),
            _ => Err(self.bad_credentials(&user)),
        }
    }

    fn bearer(&mut self, message: &[u8]) -> Result<SaslStep, SaslFailure> {
        let message = FirstMessage::parse(message).map_err(|reason| self.bad_message(reason))?;
        let Some(validator) = &self.server.tokens else {
            return Err(self.bad_message("no key set is configured"));
        };
        match validator.check(message.token) {
            Ok(oauth::Token { principal, expires_ms }) => {
                if !message.authzid.is_empty() && message.authzid != principal.name() {
                    return Err(self.bad_message("the authorization id is another user's"));
                }
                // Within the clock skew a token may be past its end: then its session ends at once.
                let left = u64::try_from(expires_ms.saturating_sub(validator.now_ms())).unwrap_or(0);
                self.lifetime = Some(Duration::from_millis(left.max(1)));
                Ok(SaslStep::Done(principal, Vec::new()))
            }
            Err(error) => {
                let failure = self.bad_message(&error.to_string());
                self.state = State::TokenRefused(failure.clone());
                Ok(SaslStep::Refused(failure, br#"{"status":"invalid_token"}"#.to_vec()))
            }
        }
    }

    fn bad_credentials(&self, user: &str) -> SaslFailure {
        SaslFailure::Credentials { user: user.to_owned(), mechanism: self.mechanism }
    }

    fn bad_message(&self, reason: &str) -> SaslFailure {
        SaslFailure::Message { mechanism: self.mechanism, reason: reason.to_owned() }
    }
}

#[cfg(test)]
#[path = "sasl_tests.rs"]
mod tests;
