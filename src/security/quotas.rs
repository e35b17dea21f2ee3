//! Client quotas (KIP-13, KIP-124, KIP-546, KIP-599, KIP-612): rates of bytes, request time, changes and connections.
//!
//! Each quota is a bucket of tokens that fills at the quota's rate and holds what comes in within Kafka's window
//! (`quota.window.num` × `quota.window.size.seconds`): a client may save up that much. What a request takes is taken
//! whole; a bucket in debt tells how long the client must be silent until it is out of it. The caller reports that time
//! and does not read the client's connection meanwhile (KIP-219).
//!
//! Of the quotas that are set the most specific one holds, in Kafka's order: user and client id, user and default
//! client id, user, default user and client id, default user and default client id, default user, client id, default
//! client id. What is set on a client id alone is shared by all users with that client id, what is set on a user by all its
//! clients. Quotas hold for each broker by itself.
//!
//! Memory: buckets that are full are forgotten; above [`MAX_BUCKETS`] new clients share one bucket.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::env::MonoTime;
use crate::metadata::{EntityName, Image, QuotaEntity, QuotaKey, QuotaValue, Quotas};

/// Buckets that are kept at once.
const MAX_BUCKETS: usize = 20_000;
/// The longest that a client is silenced at once.
const MAX_THROTTLE: Duration = Duration::from_secs(300);

/// Whom a request counts for.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The principal's name.
    pub user: &'a str,
    /// The name that the client gives itself; may be empty.
    pub client_id: &'a str,
}

/// How quotas are averaged, and the ones that hold where none is set.
#[derive(Clone, Copy, Debug)]
pub struct QuotaSettings {
    /// `quota.window.num` × `quota.window.size.seconds`.
    pub window: Duration,
    /// `connection.creation.rate.per.ip`: connections a second from an address without a quota.
    pub connections_per_address: f64,
}

/// The quotas of a broker.
pub struct QuotaManager {
    settings: QuotaSettings,
    /// `connection.creation.rate.per.ip` as it is now: the bits of an `f64`.
    per_address: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    source: Arc<BTreeMap<QuotaEntity, Quotas>>,
    buckets: HashMap<(QuotaKey, Owner), Bucket>,
}

/// Whose a bucket is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Pair(String, String),
    User(String),
    ClientId(String),
    Address(IpAddr),
    /// All that came when there were too many.
    Others,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    at: MonoTime,
}

impl Bucket {
    fn new(rate: f64, window: Duration, now: MonoTime) -> Bucket {
        Bucket { rate, tokens: rate * window.as_secs_f64(), at: now }
    }

    /// Fills up to now. A rate that was changed keeps the debt.
    fn fill(&mut self, rate: f64, window: Duration, now: MonoTime) {
        let filled = self.tokens + now.since(self.at).as_secs_f64() * self.rate;
        *self = Bucket { rate, tokens: filled.min(rate * window.as_secs_f64()), at: now.max(self.at) };
    }

    fn is_full(&self, window: Duration, now: MonoTime) -> bool {
        let filled = self.tokens + now.since(self.at).as_secs_f64() * self.rate;
        filled >= self.rate * window.as_secs_f64()
    }

    /// How long until it is out of debt.
    fn debt(&self) -> Duration {
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.rate)
            .map_or(MAX_THROTTLE, |debt| debt.min(MAX_THROTTLE))
    }
}

impl QuotaManager {
    /// Of one broker.
    #[must_use]
    pub fn new(settings: QuotaSettings) -> QuotaManager {
        let per_address = AtomicU64::new(settings.connections_per_address.to_bits());
        QuotaManager { settings, per_address, state: Mutex::default() }
    }

    /// Another `connection.creation.rate.per.ip`.
    pub fn set_connections_per_address(&self, per_second: f64) {
        self.per_address.store(per_second.to_bits(), Relaxed);
    }

    fn per_address(&self) -> f64 {
        f64::from_bits(self.per_address.load(Relaxed))
    }

    /// Takes an amount, and tells how long the client must be silent; zero where no quota holds.
    #[must_use]
    pub fn take(
        &self,
        image: &Image,
        key: QuotaKey,
        client: Client<'_>,
        amount: f64,
        now: MonoTime,
    ) -> Duration {
        self.with_bucket(image, key, client, now, |bucket| {
            bucket.tokens -= amount;
            bucket.debt()
        })
        .unwrap_or_default()
    }

    /// How long the client must be silent before anything is taken.
    #[must_use]
    pub fn debt(&self, image: &Image, key: QuotaKey, client: Client<'_>, now: MonoTime) -> Duration {
        self.with_bucket(image, key, client, now, |bucket| bucket.debt()).unwrap_or_default()
    }

    /// The most that one request should take: what comes in within the window. `None` where no quota holds.
    #[must_use]
    pub fn at_once(&self, image: &Image, key: QuotaKey, client: Client<'_>) -> Option<f64> {
        let (_, rate) = find(&image.quotas, key, client)?;
        Some(rate * self.settings.window.as_secs_f64())
    }

    /// Whether a quota of the kind is set at all.
    #[must_use]
    pub fn holds(image: &Image, key: QuotaKey) -> bool {
        image.quotas.values().any(|quotas| quotas.contains_key(&key))
    }

    /// Whether one more connection from an address is within its rate.
    #[must_use]
    pub fn admits_connection(&self, image: &Image, from: IpAddr, now: MonoTime) -> bool {
        let from = from.to_canonical();
        let set = |name: EntityName| {
            let entity = QuotaEntity { ip: Some(name), ..QuotaEntity::default() };
            rate_of(image.quotas.get(&entity)?, QuotaKey::ConnectionCreationRate)
        };
        let rate = if image.quotas.is_empty() {
            self.per_address()
        } else {
            set(EntityName::Named(from.to_string()))
                .or_else(|| set(EntityName::Default))
                .unwrap_or_else(|| self.per_address())
        };
        let mut state = self.state.lock();
        let owner = Owner::Address(from);
        state.bucket(QuotaKey::ConnectionCreationRate, owner, rate, self.settings.window, now, |bucket| {
            let admitted = bucket.tokens >= 1.0;
            if admitted {
                bucket.tokens -= 1.0;
            }
            admitted
        })
    }

    fn with_bucket<T>(
        &self,
        image: &Image,
        key: QuotaKey,
        client: Client<'_>,
        now: MonoTime,
        then: impl FnOnce(&mut Bucket) -> T,
    ) -> Option<T> {
        if image.quotas.is_empty() {
            return None;
        }
        let (owner, rate) = find(&image.quotas, key, client)?;
        let mut state = self.state.lock();
        if !Arc::ptr_eq(&state.source, &image.quotas) {
            state.source = image.quotas.clone();
        }
        Some(state.bucket(key, owner, rate, self.settings.window, now, then))
    }

    #[cfg(test)]
    fn buckets(&self) -> usize {
        self.state.lock().buckets.len()
    }
}

impl State {
    fn bucket<T>(
        &mut self,
        key: QuotaKey,
        owner: Owner,
        rate: f64,
        window: Duration,
        now: MonoTime,
        then: impl FnOnce(&mut Bucket) -> T,
    ) -> T {
        let mut at = (key, owner);
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&at) {
            self.buckets.retain(|_, bucket| !bucket.is_full(window, now));
            if self.buckets.len() >= MAX_BUCKETS {
                at.1 = Owner::Others;
            }
        }
        let bucket = self.buckets.entry(at).or_insert_with(|| Bucket::new(rate, window, now));
        bucket.fill(rate, window, now);
        then(bucket)
    }
}

fn rate_of(quotas: &Quotas, key: QuotaKey) -> Option<f64> {
    quotas.get(&key).copied().map(QuotaValue::get)
}

/// The quota that holds for a client, and whose bucket it is.
fn find(
    all: &BTreeMap<QuotaEntity, Quotas>,
    key: QuotaKey,
    Client { user, client_id }: Client<'_>,
) -> Option<(Owner, f64)> {
    let named = |name: &str| Some(EntityName::Named(name.to_owned()));
    let default = || Some(EntityName::Default);
    let pair = || Owner::Pair(user.to_owned(), client_id.to_owned());
    let of_user = || Owner::User(user.to_owned());
    let of_client_id = || Owner::ClientId(client_id.to_owned());
    type Level<'a> = (Option<EntityName>, Option<EntityName>, &'a dyn Fn() -> Owner);
    let levels: [Level<'_>; 8] = [
        (named(user), named(client_id), &pair),
        (named(user), default(), &pair),
        (named(user), None, &of_user),
        (default(), named(client_id), &pair),
        (default(), default(), &pair),
        (default(), None, &of_user),
        (None, named(client_id), &of_client_id),
        (None, default(), &of_client_id),
    ];
    levels.into_iter().find_map(|(user, client_id, owner)| {
        let entity = QuotaEntity { user, client_id, ip: None };
        Some((owner(), rate_of(all.get(&entity)?, key)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Command, QuotaChange};

    const PRODUCE: QuotaKey = QuotaKey::ProducerByteRate;
    const WINDOW: Duration = Duration::from_secs(10);

    fn manager() -> QuotaManager {
        QuotaManager::new(QuotaSettings { window: WINDOW, connections_per_address: 2.0 })
    }

    fn name(text: &str) -> Option<EntityName> {
        match text {
            "" => None,
            "*" => Some(EntityName::Default),
            name => Some(EntityName::Named(name.to_owned())),
        }
    }

    fn image(quotas: &[(&str, &str, &str, QuotaKey, f64)]) -> Image {
        let changes = quotas.iter().map(|(user, client_id, ip, key, value)| QuotaChange {
            entity: QuotaEntity { user: name(user), client_id: name(client_id), ip: name(ip) },
            changes: BTreeMap::from([(*key, QuotaValue::new(*value))]),
        });
        let mut image = Image::default();
        image.apply(1, &Command::AlterQuotas { changes: changes.collect() }).unwrap();
        image
    }

    fn client<'a>(user: &'a str, client_id: &'a str) -> Client<'a> {
        Client { user, client_id }
    }

    fn at(seconds: u64) -> MonoTime {
        MonoTime(seconds * 1_000_000_000)
    }

    #[test]
    fn the_most_specific_quota_holds_in_kafkas_order() {
        let all = [
            ("u", "c", 1.0),
            ("u", "*", 2.0),
            ("u", "", 3.0),
            ("*", "c", 4.0),
            ("*", "*", 5.0),
            ("*", "", 6.0),
            ("", "c", 7.0),
            ("", "*", 8.0),
        ];
        for first in 0..all.len() {
            let quotas: Vec<_> =
                all[first..].iter().map(|(u, c, value)| (*u, *c, "", PRODUCE, *value)).collect();
            let (_, rate) = find(&image(&quotas).quotas, PRODUCE, client("u", "c")).unwrap();
            assert_eq!(rate as usize, first + 1);
        }
        let only_others =
            image(&[("x", "", "", PRODUCE, 1.0), ("u", "", "", QuotaKey::ConsumerByteRate, 1.0)]);
        assert!(find(&only_others.quotas, PRODUCE, client("u", "c")).is_none());
    }

    #[test]
    fn a_client_may_save_up_a_window_and_is_then_silenced_until_its_debt_is_paid() {
        let (manager, image) = (manager(), image(&[("u", "", "", PRODUCE, 100.0)]));
        let take = |amount, now| manager.take(&image, PRODUCE, client("u", "c"), amount, now);
        assert_eq!(take(1000.0, at(100)), Duration::ZERO, "a window's worth");
        assert_eq!(take(200.0, at(100)), Duration::from_secs(2));
        assert_eq!(manager.debt(&image, PRODUCE, client("u", "other"), at(101)), Duration::from_secs(1));
        assert_eq!(take(50.0, at(103)), Duration::ZERO);
        assert_eq!(take(1e12, at(103)), MAX_THROTTLE);
        let other = manager.take(&image, PRODUCE, client("v", "c"), 1e12, at(103));
        assert_eq!(other, Duration::ZERO, "no quota holds for another user");
        assert_eq!(manager.at_once(&image, PRODUCE, client("u", "c")), Some(1000.0));
    }

    #[test]
    fn over_a_long_time_the_rate_is_the_quotas() {
        let (manager, image) = (manager(), image(&[("*", "*", "", PRODUCE, 100.0)]));
        let (mut now, mut sent) = (at(1000), 0.0);
        while now.since(at(1000)) < Duration::from_secs(1000) {
            let silent = manager.take(&image, PRODUCE, client("u", "c"), 70.0, now);
            sent += 70.0;
            now = now + silent.max(Duration::from_millis(1));
        }
        let rate: f64 = sent / 1000.0;
        assert!((99.0..=102.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_changed_quota_holds_at_once_and_a_removed_one_no_more() {
        let manager = manager();
        let slow = image(&[("u", "", "", PRODUCE, 1.0)]);
        assert_eq!(manager.take(&slow, PRODUCE, client("u", ""), 20.0, at(1)), Duration::from_secs(10));
        let fast = image(&[("u", "", "", PRODUCE, 10.0)]);
        assert_eq!(manager.debt(&fast, PRODUCE, client("u", ""), at(1)), Duration::from_secs(1));
        assert_eq!(manager.debt(&Image::default(), PRODUCE, client("u", ""), at(1)), Duration::ZERO);
    }

    #[test]
    fn a_flood_of_client_ids_takes_bounded_memory() {
        let (manager, image) = (manager(), image(&[("", "*", "", PRODUCE, 1.0)]));
        for i in 0..MAX_BUCKETS + 5_000 {
            let _ = manager.take(&image, PRODUCE, client("u", &i.to_string()), 5.0, at(1));
        }
        assert!(manager.buckets() <= MAX_BUCKETS + 1);
        // Later most are full again, and forgotten.
        let _ = manager.take(&image, PRODUCE, client("u", "one more"), 5.0, at(100));
        assert!(manager.buckets() < 10);
    }

    #[test]
    fn connections_have_a_rate_by_address_by_default() {
        let manager = manager();
        let admitted = |image: &Image, from: &str, now| {
            (0..100).filter(|_| manager.admits_connection(image, from.parse().unwrap(), now)).count()
        };
        assert_eq!(admitted(&Image::default(), "10.0.0.1", at(1)), 20);
        assert_eq!(admitted(&Image::default(), "10.0.0.1", at(2)), 2);
        assert_eq!(admitted(&Image::default(), "::ffff:10.0.0.1", at(2)), 0);
        let key = QuotaKey::ConnectionCreationRate;
        let set = image(&[("", "", "10.0.0.2", key, 1.0), ("", "", "*", key, 5.0)]);
        assert_eq!(admitted(&set, "10.0.0.2", at(2)), 10);
        assert_eq!(admitted(&set, "10.0.0.3", at(2)), 50);
    }
}
