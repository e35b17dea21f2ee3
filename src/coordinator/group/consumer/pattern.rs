//! Subscriptions by regular expression: the topics that it stands for are looked up outside of the shard, in the newest
//! catalog, and come back as an event.
//!
//! The engine takes time linear in the text, whatever the expression; the size of a compiled expression is bounded. It
//! reads what Kafka's engine (RE2) reads, without classes of Unicode: topics' names are ASCII. An expression must match
//! the whole name. Topics that the member may not describe are left out.

use std::collections::BTreeSet;
use std::time::Duration;

use regex_lite::{Regex, RegexBuilder};

use crate::coordinator::record::GroupId;
use crate::coordinator::topics::{TopicCatalog, TopicFilter};
use crate::env::MonoTime;

/// Between two look-ups of a group's expressions after topics have changed.
pub(super) const REFRESH: Duration = Duration::from_secs(1);

/// Bytes of a compiled expression.
const MAX_COMPILED_BYTES: usize = 256 * 1024;

/// Bytes of an expression.
const MAX_PATTERN_BYTES: usize = 4096;

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It is longer than it may be.
    #[error("it has {0} bytes, at most {MAX_PATTERN_BYTES} are accepted")]
    TooLong(usize),
    /// It does not compile, or to more than it may.
    #[error("{0}")]
    Syntax(String),
}

/// An expression that can be used.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// `InvalidPattern` says why it cannot be used.
    pub fn new(pattern: &str) -> Result<Pattern, InvalidPattern> {
        compile(pattern).map(Pattern)
    }

    /// Whether it matches the whole text, in time linear in it.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn compile(pattern: &str) -> Result<Regex, InvalidPattern> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(InvalidPattern::TooLong(pattern.len()));
    }
    let build = |text: &str| {
        let built = RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).build();
        built.map_err(|why| InvalidPattern::Syntax(why.to_string()))
    };
    // By itself first: `a)|(b` is no expression.
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

/// To be done outside of the shard: what a group's expressions stand for.
#[derive(Debug, Clone)]
pub struct ResolvePatterns {
    pub(crate) group: GroupId,
    pub(crate) patterns: BTreeSet<String>,
    pub(crate) shows: TopicFilter,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct ResolvedPatterns {
    pub(crate) group: GroupId,
    pub(crate) topics: Vec<(String, BTreeSet<String>)>,
    pub(crate) version: u64,
    pub(crate) shows: TopicFilter,
}

impl ResolvePatterns {
    /// Looks the topics up. An expression that does not compile (a newer version took it) stands for none.
    #[must_use]
    pub(crate) fn resolve(self, catalog: &TopicCatalog) -> ResolvedPatterns {
        let topics_of = |pattern: &String| -> BTreeSet<String> {
            let Ok(pattern) = Pattern::new(pattern) else { return BTreeSet::new() };
            let matching = catalog.iter().filter(|(name, _)| pattern.matches(name.as_str()));
            matching.filter(|(name, _)| self.shows.shows(name)).map(|(name, _)| name.to_string()).collect()
        };
        let topics = self.patterns.iter().map(|p| (p.clone(), topics_of(p))).collect();
        ResolvedPatterns { group: self.group, topics, version: catalog.version(), shows: self.shows }
    }
}

/// Where a group stands with its expressions; soft.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Since when an answer is awaited.
    pub(super) asked_at: Option<MonoTime>,
    /// The version of the topics that were looked up last, and when.
    pub(super) resolved: Option<(u64, MonoTime)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::topics::CatalogTopic;
    use crate::types::{TopicId, TopicName};

    fn matching(pattern: &str, names: &[&str]) -> Vec<String> {
        let topics = names.iter().map(|n| {
            (
                TopicName::new(n).unwrap(),
                CatalogTopic { id: TopicId::from_bytes([n.len() as u8; 16]), partitions: 1 },
            )
        });
        let task = ResolvePatterns {
            group: "g".into(),
            patterns: [pattern.to_owned()].into(),
            shows: TopicFilter::new(|t| !t.as_str().starts_with("secret")),
        };
        task.resolve(&TopicCatalog::new(1, topics)).topics.remove(0).1.into_iter().collect()
    }

    #[test]
    fn an_expression_matches_whole_names_that_may_be_seen() {
        assert_eq!(matching("a.*|b", &["a1", "b", "bb", "xa1"]), ["a1", "b"]);
        assert_eq!(matching(".*", &["a", "secrets"]), ["a"]);
        assert_eq!(matching("(?x) a | b # either", &["a", "b", "ab"]), Vec::<String>::new());
    }

    #[test]
    fn bad_expressions_are_refused_in_bounded_time_and_memory() {
        for pattern in
            ["(", "a)|(b", "*", "(?<x", "[z-a]", r"\1", "(a{1000}){1000}", "((((a{9}){9}){9}){9}){9}"]
        {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        assert_eq!(Pattern::new(&"a".repeat(5000)).err(), Some(InvalidPattern::TooLong(5000)));
        assert!(Pattern::new("(a+)+b").is_ok());
    }

    #[test]
    fn an_expression_that_blows_others_up_takes_linear_time() {
        let name = "a".repeat(249);
        assert!(matching("(a+)+b", &[&name]).is_empty());
        assert!(matching(&format!("{}{}", "a?".repeat(120), "a".repeat(120)), &[&name]).is_empty());
    }
}
