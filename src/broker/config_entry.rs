//! A config as `DescribeConfigs` tells it: its value, who set it, and what would hold otherwise.

use super::config::Kind;

/// Where a config's value comes from, as `DescribeConfigs` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set for the group.
    Group,
    /// Set for the subscription to clients' metrics.
    ClientMetrics,
    /// Set at run time, for this broker.
    DynamicBroker,
    /// Set at run time, for all brokers.
    DynamicDefault,
    /// Set in the broker's own configuration.
    StaticBroker,
    /// Nobody set it.
    Default,
}

/// A name with a value that it has, or would have if what stands before it were not set.
pub type ConfigSynonym = (String, Option<String>, ConfigSource);

/// One config with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` for secrets and where there is none.
    pub value: Option<String>,
    /// Who set it.
    pub source: ConfigSource,
    /// Its type.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
    /// Never shown.
    pub sensitive: bool,
    /// Cannot be changed while brokers run.
    pub read_only: bool,
    /// Where the value could come from, the strongest first.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ConfigEntry {
    /// A config with its values, the one that holds first.
    pub(super) fn new(
        name: &str,
        kind: Kind,
        doc: &'static str,
        values: Vec<(Option<String>, ConfigSource)>,
    ) -> ConfigEntry {
        ConfigEntry::with_defaults(name, kind, doc, None, name, values)
    }

    /// A config with its own value, if it has one, and those that another one has, which is its default.
    pub(super) fn with_defaults(
        name: &str,
        kind: Kind,
        doc: &'static str,
        own: Option<(Option<String>, ConfigSource)>,
        default_name: &str,
        defaults: Vec<(Option<String>, ConfigSource)>,
    ) -> ConfigEntry {
        let sensitive = kind == Kind::Secret;
        let own = own.map(|(value, source)| (name.to_owned(), value, source));
        let defaults = defaults.into_iter().map(|(value, source)| (default_name.to_owned(), value, source));
        let mut synonyms: Vec<ConfigSynonym> = own.into_iter().chain(defaults).collect();
        if sensitive {
            synonyms.iter_mut().for_each(|(_, value, _)| *value = None);
        }
        let (value, source) = synonyms
            .first()
            .map_or((None, ConfigSource::Default), |(_, value, source)| (value.clone(), *source));
        // What nobody has set and has no default has nowhere to come from.
        synonyms.retain(|(_, value, source)| value.is_some() || *source != ConfigSource::Default);
        ConfigEntry { name: name.to_owned(), value, source, kind, doc, sensitive, read_only: false, synonyms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_value_comes_before_what_it_hides() {
        let own = Some((Some("5".to_owned()), ConfigSource::Topic));
        let defaults = vec![
            (Some("6".to_owned()), ConfigSource::DynamicDefault),
            (Some("7".to_owned()), ConfigSource::Default),
        ];
        let kind = Kind::Number { min: -1, max: i64::MAX };
        let entry = ConfigEntry::with_defaults("retention.ms", kind, "", own, "log.retention.ms", defaults);
        assert_eq!((entry.value.as_deref(), entry.source), (Some("5"), ConfigSource::Topic));
        let told: Vec<_> =
            entry.synonyms.iter().map(|(name, value, _)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(
            told,
            [("retention.ms", Some("5")), ("log.retention.ms", Some("6")), ("log.retention.ms", Some("7"))]
        );
    }

    #[test]
    fn a_secret_is_told_nowhere() {
        let values = vec![(Some("s3cret".to_owned()), ConfigSource::StaticBroker)];
        let entry = ConfigEntry::new("ssl.key.password", Kind::Secret, "", values);
        assert!(entry.sensitive && !format!("{entry:?}").contains("s3cret"));
    }
}
