//! Quotas of a request: what it takes, the throttle time that its answer reports, and how long its connection is not
//! read afterwards (KIP-124, KIP-219).
//!
//! The request's time is what its handler computes, poll by poll; waiting costs nothing.

use std::pin::pin;
use std::time::Duration;

use super::Context;
use super::service::Answer;
use crate::broker::config::BrokerConfig;
use crate::metadata::QuotaKey;
use crate::security::quotas::{Client, QuotaManager, QuotaSettings};

/// As the broker's properties set them.
pub(super) fn settings(config: &BrokerConfig) -> QuotaSettings {
    let windows = u32::try_from(config.number("quota.window.num")).unwrap_or(1);
    let seconds = u64::try_from(config.number("quota.window.size.seconds")).unwrap_or(1);
    QuotaSettings {
        window: Duration::from_secs(seconds) * windows,
        connections_per_address: config.number("connection.creation.rate.per.ip") as f64,
    }
}

impl Context {
    fn quota_client(&self) -> Client<'_> {
        Client {
            user: self.client.principal.name(),
            client_id: self.client_id.as_ref().map_or("", |id| id.as_str()),
        }
    }

    /// Takes from a quota; the connection will be silenced until the debt is paid.
    pub(super) fn take(&self, key: QuotaKey, amount: f64) {
        let image = self.broker.image();
        if image.quotas.is_empty() {
            return;
        }
        let now = self.broker.env().clock.now();
        self.silence(self.quotas.take(&image, key, self.quota_client(), amount, now));
    }

    /// Whether the client is in debt; then the connection will be silenced until it is paid.
    pub(super) fn is_in_debt(&self, key: QuotaKey) -> bool {
        let image = self.broker.image();
        if image.quotas.is_empty() {
            return false;
        }
        let debt = self.quotas.debt(&image, key, self.quota_client(), self.broker.env().clock.now());
        self.silence(debt);
        debt > Duration::ZERO
    }

    /// The most that one request should take of a quota.
    pub(super) fn at_once(&self, key: QuotaKey) -> Option<usize> {
        let most = self.quotas.at_once(&self.broker.image(), key, self.quota_client())?;
        Some(most as usize)
    }

    fn silence(&self, throttle: Duration) {
        let mut longest = self.throttle.lock();
        *longest = throttle.max(*longest);
    }

    /// Runs a handler and takes the time that it computes from the client's request quota.
    pub(super) async fn timed<T>(&self, handler: impl Future<Output = T>) -> T {
        if !QuotaManager::holds(&self.broker.image(), QuotaKey::RequestPercentage) {
            return handler.await;
        }
        let clock = &self.broker.env().clock;
        let mut handler = pin!(handler);
        let mut busy = Duration::ZERO;
        let output = std::future::poll_fn(|cx| {
            let begun = clock.now();
            let polled = handler.as_mut().poll(cx);
            busy += clock.now().since(begun);
            polled
        })
        .await;
        // The quota is per cent of one thread: one second of it is 100.
        self.take(QuotaKey::RequestPercentage, busy.as_secs_f64() * 100.0);
        output
    }

    /// What the answer reports.
    pub(super) fn throttle_ms(&self) -> i32 {
        i32::try_from(self.throttle.lock().as_millis()).unwrap_or(i32::MAX)
    }

    /// The answer with the silence after it.
    pub(super) fn throttled(&self, answer: Answer) -> Answer {
        match *self.throttle.lock() {
            Duration::ZERO => answer,
            silence => Answer::Throttled(silence, Box::new(answer)),
        }
    }

    /// Takes a change of so many partitions from the client's quota, or refuses it while the client is in debt and its
    /// version of the request can say so (KIP-599).
    pub(super) fn may_change(&self, partitions: usize, strict: bool) -> bool {
        if strict && self.is_in_debt(QuotaKey::ControllerMutationRate) {
            return false;
        }
        self.take(QuotaKey::ControllerMutationRate, partitions as f64);
        true
    }
}
