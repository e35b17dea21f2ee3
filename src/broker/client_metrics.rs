//! Subscriptions to the metrics of clients (KIP-714): their configs, and whom they are about.
//!
//! A subscription names metrics by the prefixes of their names, how often they are pushed, and expressions that a client must
//! match. A client that several match pushes what any of them wants, as often as the most impatient one asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use regex_lite::{Regex, RegexBuilder};
use uuid::Uuid;

use super::Broker;
use super::config::Kind;
use super::config_entry::{ConfigEntry, ConfigSource};
use super::topics::TopicError;
use crate::metadata::Command;

const METRICS: &str = "metrics";
const INTERVAL: &str = "interval.ms";
const MATCH: &str = "match";
/// How often clients push, or ask again when nothing is wanted of them.
const DEFAULT_INTERVAL_MS: i32 = 300_000;
/// A subscription to it is one to all metrics.
const ALL: &str = "*";
/// Bytes of a compiled expression, and of all texts of a subscription.
const MAX_COMPILED_BYTES: usize = 64 << 10;
const MAX_TEXT_BYTES: usize = 8 << 10;
/// Bytes of what a client says of itself that are looked at.
const MAX_SUBJECT_BYTES: usize = 256;

/// What an expression can be about.
const SUBJECTS: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

struct Definition {
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
}

const DEFINITIONS: [Definition; 3] = [
    Definition {
        name: INTERVAL,
        kind: Kind::Number { min: 100, max: 3_600_000 },
        default: "300000",
        doc: "How often the clients push.",
    },
    Definition {
        name: MATCH,
        kind: Kind::List,
        default: "",
        doc: "Whom it is about: `client_id=expression` and the like, all of which must match; without one, all clients.",
    },
    Definition {
        name: METRICS,
        kind: Kind::List,
        default: "",
        doc: "The metrics, by prefixes of their names; `*` for all.",
    },
];

/// What is known of a client.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The id that it goes by in this matter.
    pub instance: Uuid,
    /// `client.id`.
    pub client_id: String,
    /// Name and version of its software.
    pub software: (String, String),
    /// Where it comes from.
    pub address: SocketAddr,
}

impl ClientIdentity {
    fn says(&self, subject: &str) -> String {
        match subject {
            "client_instance_id" => self.instance.to_string(),
            "client_id" => self.client_id.clone(),
            "client_software_name" => self.software.0.clone(),
            "client_software_version" => self.software.1.clone(),
            "client_source_address" => self.address.ip().to_string(),
            _ => self.address.port().to_string(),
        }
    }
}

/// What a client is to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Changes with what is wanted; differs from client to client.
    pub id: i32,
    /// How often, in milliseconds.
    pub interval_ms: i32,
    /// Prefixes of metrics; `*` for all; none when nobody wants any.
    pub metrics: Vec<String>,
}

type Configured = BTreeMap<String, BTreeMap<String, String>>;

/// All subscriptions, their expressions compiled.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    source: Configured,
    compiled: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    patterns: Vec<(String, Regex)>,
    metrics: Vec<String>,
    interval_ms: i32,
}

impl Subscriptions {
    fn new(source: &Configured) -> Subscriptions {
        let compiled = source.values().filter_map(|configs| {
            let text = |name: &str| configs.get(name).map_or("", String::as_str);
            Some(Compiled {
                // Checked when it was set; one that can't be read any more is about nobody.
                patterns: patterns(text(MATCH)).ok()?,
                metrics: items(text(METRICS)).map(str::to_owned).collect(),
                interval_ms: text(INTERVAL).parse().unwrap_or(DEFAULT_INTERVAL_MS),
            })
        });
        Subscriptions { source: source.clone(), compiled: compiled.collect() }
    }

    /// Those that match a client, as one.
    fn matching(&self, client: &ClientIdentity) -> Subscription {
        let mut interval_ms = DEFAULT_INTERVAL_MS;
        let mut metrics = BTreeSet::new();
        for one in &self.compiled {
            let matches = |(subject, pattern): &(String, Regex)| {
                let said = client.says(subject);
                said.len() <= MAX_SUBJECT_BYTES && pattern.is_match(&said)
            };
            if one.patterns.iter().all(matches) {
                metrics.extend(one.metrics.iter().cloned());
                interval_ms = interval_ms.min(one.interval_ms);
            }
        }
        if metrics.contains(ALL) {
            metrics = BTreeSet::from([ALL.to_owned()]);
        }
        let metrics: Vec<String> = metrics.into_iter().collect();
        let wanted = crc32c::crc32c(format!("{metrics:?}{interval_ms}").as_bytes());
        let (high, low) = client.instance.as_u64_pair();
        let own = (high ^ low) as u32 ^ ((high ^ low) >> 32) as u32;
        Subscription { id: (wanted ^ own).cast_signed(), interval_ms, metrics }
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The expressions of `match`; each must match the whole text.
fn patterns(list: &str) -> Result<Vec<(String, Regex)>, String> {
    let pattern = |item: &str| {
        let illegal = |why: &dyn std::fmt::Display| format!("match has `{item}`: {why}");
        let (subject, pattern) = item.split_once('=').ok_or_else(|| illegal(&"it is not name=expression"))?;
        let (subject, pattern) = (subject.trim(), pattern.trim());
        if !SUBJECTS.contains(&subject) {
            return Err(illegal(&format!("clients are matched by {}", SUBJECTS.join(", "))));
        }
        let whole = RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(MAX_COMPILED_BYTES).build();
        Ok((subject.to_owned(), whole.map_err(|e| illegal(&e))?))
    };
    items(list).map(pattern).collect()
}

fn check(name: &str, value: &str) -> Result<(), TopicError> {
    let invalid = |text: String| Err(TopicError::InvalidConfig(text));
    let Some(definition) = DEFINITIONS.iter().find(|d| d.name == name) else {
        let names: Vec<&str> = DEFINITIONS.iter().map(|d| d.name).collect();
        return invalid(format!("subscriptions have no config {name}, but {}", names.join(", ")));
    };
    if value.len() > MAX_TEXT_BYTES {
        return invalid(format!("{name} has {} bytes; accepted are {MAX_TEXT_BYTES}", value.len()));
    }
    if !definition.kind.fits(value) {
        return invalid(format!("{name} is `{value}`; accepted is {}", definition.kind.accepts()));
    }
    if name == MATCH { patterns(value).map(drop).or_else(invalid) } else { Ok(()) }
}

impl Broker {
    /// What a client is to push.
    #[must_use]
    pub fn client_subscription(&self, client: &ClientIdentity) -> Subscription {
        let image = self.image();
        let mut subscriptions = self.subscriptions.lock();
        if subscriptions.source != image.client_metrics {
            *subscriptions = Subscriptions::new(&image.client_metrics);
        }
        subscriptions.matching(client)
    }

    /// Every config of a subscription, as if it existed.
    #[must_use]
    pub fn client_metrics_config(&self, name: &str) -> Vec<ConfigEntry> {
        let image = self.image();
        let set = image.client_metrics.get(name);
        let entry = |d: &Definition| {
            let own = set.and_then(|set| set.get(d.name));
            let mut values = Vec::new();
            values.extend(own.map(|own| (Some(own.clone()), ConfigSource::ClientMetrics)));
            values.push((Some(d.default.to_owned()), ConfigSource::Default));
            ConfigEntry::new(d.name, d.kind, d.doc, values)
        };
        DEFINITIONS.iter().map(entry).collect()
    }

    /// Changes a subscription, all that is asked for or nothing; one from which everything is taken is gone.
    ///
    /// # Errors
    /// `InvalidConfig` names the config and what is accepted.
    pub async fn alter_client_metrics(
        &self,
        name: &str,
        changes: BTreeMap<String, Option<String>>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        if name.is_empty() || name.len() > MAX_SUBJECT_BYTES {
            let text = format!("a subscription's name has 1 to {MAX_SUBJECT_BYTES} bytes");
            return Err(TopicError::InvalidConfig(text));
        }
        for (name, value) in &changes {
            check(name, value.as_deref().unwrap_or(if name == INTERVAL { "300000" } else { "" }))?;
        }
        if !validate_only && !changes.is_empty() {
            self.metadata.submit(Command::AlterClientMetrics { name: name.to_owned(), changes }).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> ClientIdentity {
        ClientIdentity {
            instance: Uuid::from_u128(7),
            client_id: "orders-1".into(),
            software: ("apache-kafka-java".into(), "4.3.1".into()),
            address: ([127, 0, 0, 1], 5000).into(),
        }
    }

    fn subscriptions(all: &[(&str, &[(&str, &str)])]) -> Configured {
        let configs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        all.iter().map(|(name, pairs)| ((*name).into(), configs(pairs))).collect()
    }

    #[test]
    fn a_client_pushes_what_any_subscription_that_matches_wants_as_often_as_the_most_impatient_one() {
        let all = subscriptions(&[
            (
                "a",
                &[("metrics", "org.x.,org.y."), ("interval.ms", "60000"), ("match", "client_id=orders-.*")],
            ),
            ("b", &[("metrics", "org.y."), ("interval.ms", "1000")]),
            ("c", &[("metrics", "*"), ("match", "client_id=orders")]),
            ("d", &[("metrics", "*"), ("match", "client_id=.*,client_software_version=3.*")]),
        ]);
        let found = Subscriptions::new(&all).matching(&client());
        assert_eq!((found.metrics.join(" "), found.interval_ms), ("org.x. org.y.".to_owned(), 1000));
        let other = ClientIdentity { instance: Uuid::from_u128(8), ..client() };
        assert_ne!(
            Subscriptions::new(&all).matching(&other).id,
            found.id,
            "the id differs from client to client"
        );
        let all = subscriptions(&[("a", &[("metrics", "x,*")])]);
        assert_eq!(Subscriptions::new(&all).matching(&client()).metrics, ["*"]);
        assert_ne!(Subscriptions::new(&all).matching(&client()).id, found.id, "and with what is wanted");
    }

    #[test]
    fn without_a_subscription_nothing_is_wanted() {
        let found = Subscriptions::default().matching(&client());
        assert_eq!((found.metrics.len(), found.interval_ms), (0, DEFAULT_INTERVAL_MS));
    }

    #[test]
    fn configs_that_make_no_sense_are_refused_by_name() {
        for (name, value, told) in [
            ("interval", "5", "interval.ms, match, metrics"),
            ("interval.ms", "5", "100"),
            ("match", "client_id", "name=expression"),
            ("match", "user=x", "client_software_name"),
            ("match", "client_id=(", "client_id=("),
            ("match", "client_id=((a{1000}){1000}){1000}", "client_id="),
        ] {
            let error = check(name, value).unwrap_err().to_string();
            assert!(error.contains(told), "{name}={value}: {error}");
        }
        assert!(check("match", "client_id=a.*, client_source_port=5000").is_ok());
    }
}
