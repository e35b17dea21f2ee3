//! The authority's public keys (a JSON Web Key Set, RFC 7517), kept while they are read anew from time to time.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::Notify;

use super::signature::{Algorithm, PublicKey};
use super::source::{JwksLocation, JwksSettings};
use crate::env::{Env, WatchedFiles};

/// Keys of one set; more are left out.
const MAX_KEYS: usize = 64;

/// Why there are no (new) keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file, or the endpoint.
    #[error("sasl.oauthbearer.jwks.endpoint.url {url}: {reason}")]
    Unreachable {
        /// From where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// What came is no key set.
    #[error("sasl.oauthbearer.jwks.endpoint.url {url} gives no key set: {reason}")]
    Content {
        /// From where.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// A public key, with what the set says of it.
pub struct Key {
    id: Option<String>,
    /// The one algorithm that the set allows it, if it says so.
    algorithm: Option<String>,
    public: PublicKey,
}

impl Key {
    /// Whether the signature is this key's.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8], algorithm: Algorithm) -> bool {
        self.public.verifies(algorithm, message, signature)
    }
}

/// A key set.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Reads the JSON of a set. Keys that are not for signatures, are of an unknown kind, or are secrets are left out.
    ///
    /// # Errors
    /// When it is no set, or no key of it can be used.
    pub fn parse(json: &[u8]) -> Result<KeySet, String> {
        let set: Value = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        let all = set.get("keys").and_then(Value::as_array).ok_or("it has no array `keys`")?;
        let keys: Vec<Key> = all.iter().filter_map(key).take(MAX_KEYS).collect();
        if keys.is_empty() {
            Err("no key in it can verify signatures".to_owned())
        } else {
            Ok(KeySet { keys })
        }
    }

    /// The keys that may have signed a token whose header says so. A key with an id is not tried for another id.
    pub fn fitting<'a>(&'a self, id: Option<&'a str>, algorithm: Algorithm) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| {
            let named = id.is_none_or(|id| key.id.as_deref() == Some(id));
            let allowed = key.algorithm.as_deref().is_none_or(|name| name == algorithm.name());
            named && allowed && key.public.fits(algorithm)
        })
    }
}

fn key(json: &Value) -> Option<Key> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let public = PublicKey::from_jwk(text("kty")?, text)?;
    Some(Key { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), public })
}

/// The keys that are in use now.
pub struct Keys {
    env: Env,
    settings: JwksSettings,
    current: ArcSwap<KeySet>,
    missed: Notify,
}

impl Keys {
    /// From a file they must be there; an endpoint that does not answer yet is asked again by [`Keys::watch`], and until then
    /// no token is taken.
    ///
    /// # Errors
    /// When the file cannot be read or is no key set.
    pub async fn load(env: &Env, settings: JwksSettings) -> Result<Arc<Keys>, JwksError> {
        let (current, missed) = (ArcSwap::default(), Notify::new());
        let keys = Keys { env: env.clone(), settings, current, missed };
        match keys.refresh().await {
            Err(error) if matches!(keys.settings.location, JwksLocation::File(_)) => return Err(error),
            Err(error) => tracing::error!(%error, "no client can use OAUTHBEARER until it answers"),
            Ok(()) => {}
        }
        Ok(Arc::new(keys))
    }

    /// A set that never changes, for tests.
    #[cfg(test)]
    pub(super) fn fixed(env: &Env, set: KeySet) -> Arc<Keys> {
        let settings = JwksSettings::of_file("/nowhere".into());
        let current = ArcSwap::from_pointee(set);
        Arc::new(Keys { env: env.clone(), settings, current, missed: Notify::new() })
    }

    /// The keys now.
    #[must_use]
    pub fn current(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// A token came whose key is not there: the keys are read early, but no oftener than the longest back-off.
    pub fn miss(&self) {
        self.missed.notify_one();
    }

    /// Reads them once.
    ///
    /// # Errors
    /// `JwksError`; then the old ones stay.
    pub async fn refresh(&self) -> Result<(), JwksError> {
        let url = || self.settings.location.to_string();
        let fetched = self.settings.fetch(&self.env).await;
        let bytes = fetched.map_err(|reason| JwksError::Unreachable { url: url(), reason })?;
        let set = KeySet::parse(&bytes).map_err(|reason| JwksError::Content { url: url(), reason })?;
        self.current.store(Arc::new(set));
        Ok(())
    }

    /// Reads them again and again, until it is dropped: a file when it has changed (looked at every `file_interval`), an
    /// endpoint every `sasl.oauthbearer.jwks.endpoint.refresh.ms`, sooner after a failure or a miss.
    pub async fn watch(&self, file_interval: Duration) {
        match &self.settings.location {
            JwksLocation::File(path) => {
                let mut files = WatchedFiles::new(self.env.disk.clone(), vec![path.clone()]);
                loop {
                    self.env.clock.sleep(file_interval).await;
                    if files.have_changed() {
                        self.renew().await;
                    }
                }
            }
            JwksLocation::Https { .. } => self.watch_endpoint().await,
        }
    }

    async fn watch_endpoint(&self) {
        let JwksSettings { refresh, backoff, max_backoff, .. } = self.settings;
        let clock = &self.env.clock;
        let mut pause = if self.current().keys.is_empty() { backoff } else { refresh };
        loop {
            let early = async {
                self.missed.notified().await;
                // Whoever shows tokens with made-up key ids cannot turn us against the authority.
                clock.sleep(max_backoff.min(pause)).await;
            };
            tokio::select! {
                () = clock.sleep(pause) => {}
                () = early => {}
            }
            pause = if self.renew().await {
                refresh
            } else if pause >= refresh {
                backoff
            } else {
                (pause * 2).min(max_backoff)
            };
        }
    }

    async fn renew(&self) -> bool {
        match self.refresh().await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the keys of OAUTHBEARER stay as they were");
                false
            }
        }
    }
}
