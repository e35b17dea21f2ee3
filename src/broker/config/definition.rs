//! What a broker property is: its name, type, bounds, default and meaning.
//!
//! [`DEFINITIONS`] is the table of all of them.

use super::DEFINITIONS;

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number within bounds (inclusive).
    Number {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number, whole or not, within bounds (inclusive).
    Decimal {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
    },
    /// `true` or `false`.
    Bool,
    /// Any text.
    Text,
    /// Texts separated by commas.
    List,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Several of these, separated by commas.
    SomeOf(&'static [&'static str]),
    /// Any text; never shown.
    Secret,
}

/// One property.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The name.
    pub name: &'static str,
    /// The type and its bounds.
    pub kind: Kind,
    /// The default, as it would be written; `None` where there is none.
    pub default: Option<&'static str>,
    /// The topic config whose default this property is.
    pub topic_config: Option<&'static str>,
    /// What it means, in one sentence.
    pub doc: &'static str,
}

pub(super) const fn number(
    name: &'static str,
    default: &'static str,
    min: i64,
    max: i64,
    doc: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Number { min, max }, default: Some(default), topic_config: None, doc }
}

pub(super) const fn decimal(
    name: &'static str,
    default: &'static str,
    min: f64,
    max: f64,
    doc: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Decimal { min, max }, default: Some(default), topic_config: None, doc }
}

pub(super) const fn bool(name: &'static str, default: &'static str, doc: &'static str) -> Definition {
    Definition { name, kind: Kind::Bool, default: Some(default), topic_config: None, doc }
}

pub(super) const fn text(name: &'static str, default: Option<&'static str>, doc: &'static str) -> Definition {
    Definition { name, kind: Kind::Text, default, topic_config: None, doc }
}

pub(super) const fn list(name: &'static str, default: Option<&'static str>, doc: &'static str) -> Definition {
    Definition { name, kind: Kind::List, default, topic_config: None, doc }
}

pub(super) const fn one_of(
    name: &'static str,
    default: &'static str,
    choices: &'static [&'static str],
    doc: &'static str,
) -> Definition {
    Definition { name, kind: Kind::OneOf(choices), default: Some(default), topic_config: None, doc }
}

pub(super) const fn for_topic(topic_config: &'static str, definition: Definition) -> Definition {
    Definition { topic_config: Some(topic_config), ..definition }
}

/// What a listener may have for itself, as `listener.name.<name>.<key>` (KIP-306, KIP-612).
pub(super) const PER_LISTENER: [&str; 2] = ["max.connections", "max.connection.creation.rate"];

/// The listener and the key of a property that one listener has for itself.
pub(super) fn of_listener(name: &str) -> Option<(&str, &str)> {
    let (listener, key) = name.strip_prefix("listener.name.")?.split_once('.')?;
    PER_LISTENER.contains(&key).then_some((listener, key))
}

/// A definition by name.
#[must_use]
pub fn definition(name: &str) -> Option<&'static Definition> {
    let name = of_listener(name).map_or(name, |(_, key)| key);
    DEFINITIONS.iter().find(|d| d.name == name)
}

impl Kind {
    /// What is accepted, in words.
    #[must_use]
    pub fn accepts(&self) -> String {
        match self {
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Decimal { min, max } => format!("a number from {min} to {max}"),
            Kind::Bool => "true or false".to_owned(),
            Kind::Text | Kind::Secret => "a text".to_owned(),
            Kind::List => "texts separated by commas".to_owned(),
            Kind::OneOf(choices) => format!("one of {}", choices.join(", ")),
            Kind::SomeOf(choices) => format!("some of {}, separated by commas", choices.join(", ")),
        }
    }

    /// Whether the value fits.
    #[must_use]
    pub fn fits(&self, value: &str) -> bool {
        match self {
            Kind::Number { min, max } => value.parse::<i64>().is_ok_and(|n| n >= *min && n <= *max),
            Kind::Decimal { min, max } => value.parse::<f64>().is_ok_and(|n| n >= *min && n <= *max),
            Kind::Bool => matches!(value, "true" | "false"),
            Kind::Text | Kind::Secret | Kind::List => true,
            Kind::OneOf(choices) => choices.contains(&value),
            Kind::SomeOf(choices) => {
                value.split(',').map(str::trim).all(|v| choices.contains(&v)) && !value.is_empty()
            }
        }
    }
}
