//! Reading properties: files (`.toml`, or Kafka's `key=value` lines), the environment and overrides, checked by name
//! and value.

use std::collections::BTreeMap;

use super::{DEFINITIONS, Kind, definition};

/// Why a configuration is refused. Each names the key, the value and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such property.
    #[error("{place}: unknown property `{key}`{hint}")]
    Unknown {
        /// The property.
        key: String,
        /// File and line, or what else set it.
        place: String,
        /// A similar name, if there is one.
        hint: String,
    },
    /// The value does not fit.
    #[error("{place}: property `{key}` has the value `{value}`; accepted is {accepted}")]
    Invalid {
        /// The property.
        key: String,
        /// The value; `[hidden]` for secrets.
        value: String,
        /// What is accepted.
        accepted: String,
        /// File and line, or what else set it.
        place: String,
    },
    /// Two properties contradict each other, or one is missing.
    #[error("{0}")]
    Contradiction(String),
    /// The text is no configuration.
    #[error("{place}: {reason}")]
    Syntax {
        /// File and line.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value as written.
    pub value: String,
    /// `file:line`, `environment ESKER_…`, `--set`, `default`.
    pub place: String,
}

/// Properties that were set, by name. A later source replaces an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    settings: BTreeMap<String, Setting>,
}

impl Properties {
    /// Sets one property.
    ///
    /// # Errors
    /// `Unknown` or `Invalid` as the table of definitions says.
    pub fn set(&mut self, key: &str, value: &str, place: &str) -> Result<(), ConfigError> {
        let Some(definition) = definition(key) else {
            return Err(ConfigError::Unknown {
                key: key.to_owned(),
                place: place.to_owned(),
                hint: closest(key).map_or_else(String::new, |name| format!("; did you mean `{name}`?")),
            });
        };
        let value = value.trim();
        if !definition.kind.fits(value) {
            let secret = definition.kind == Kind::Secret;
            return Err(ConfigError::Invalid {
                key: key.to_owned(),
                value: if secret { "[hidden]".to_owned() } else { value.to_owned() },
                accepted: definition.kind.accepts(),
                place: place.to_owned(),
            });
        }
        self.settings.insert(key.to_owned(), Setting { value: value.to_owned(), place: place.to_owned() });
        Ok(())
    }

    /// Reads `key=value` lines: `#` and `!` begin comments, as in Kafka's `server.properties`.
    ///
    /// # Errors
    /// With file and line of the first thing that is wrong.
    pub fn read_properties(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        for (i, line) in text.lines().enumerate() {
            let place = format!("{file}:{}", i + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || line.starts_with('!') {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(ConfigError::Syntax { place, reason: format!("`{line}` is not key=value") });
            };
            self.set(key.trim(), value, &place)?;
        }
        Ok(())
    }

    /// Reads TOML: dotted keys, tables or quoted keys all name the same property.
    ///
    /// # Errors
    /// With file and line of the first thing that is wrong.
    pub fn read_toml(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax {
            place: match e.span() {
                Some(span) => format!("{file}:{}", line_of(text, span.start)),
                None => file.to_owned(),
            },
            reason: e.message().to_owned(),
        })?;
        let mut flat = Vec::new();
        flatten("", &toml::Value::Table(table), &mut flat);
        for (key, value) in flat {
            let last = key.rsplit('.').next().unwrap_or(&key);
            let line = text
                .lines()
                .position(|l| {
                    let left = l.split('=').next().unwrap_or("").trim().trim_matches('"');
                    !l.trim_start().starts_with('#')
                        && (left == key || left.ends_with(last))
                        && l.contains('=')
                })
                .map_or_else(String::new, |i| format!(":{}", i + 1));
            self.set(&key, &value, &format!("{file}{line}"))?;
        }
        Ok(())
    }

    /// Takes `ESKER_LOG_DIRS=…` for `log.dirs`, for every property that is defined.
    ///
    /// # Errors
    /// `Invalid` when a value does not fit, `Unknown` for an `ESKER_` variable that names no property.
    pub fn read_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("ESKER_") else { continue };
            if matches!(rest, "LOG" | "PROFILE") {
                continue; // the log filter, and the command line's profile
            }
            let wanted = rest.to_ascii_lowercase().replace('_', ".");
            self.set(&wanted, &value, &format!("environment {name}"))?;
        }
        Ok(())
    }

    /// The value of a property: what was set, or its default.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings
            .get(key)
            .map(|s| s.value.as_str())
            .or_else(|| definition(key).and_then(|d| d.default))
            .filter(|v| !v.is_empty())
    }

    /// What was set, not defaulted.
    #[must_use]
    pub fn explicit(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    /// All that was set.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Setting)> {
        self.settings.iter()
    }

    /// A number that the table has checked.
    pub fn number(&self, key: &str) -> i64 {
        self.get(key)
            .and_then(|v| v.parse().ok())
            .expect("numbers have a default and were checked when they were set")
    }

    /// The items of a list.
    #[must_use]
    pub fn list(&self, key: &str) -> Vec<String> {
        self.get(key)
            .map(|v| v.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect())
            .unwrap_or_default()
    }
}

fn flatten(prefix: &str, value: &toml::Value, out: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, out);
            }
        }
        toml::Value::Array(items) => {
            let texts: Vec<String> = items.iter().map(scalar).collect();
            out.push((prefix.to_owned(), texts.join(",")));
        }
        other => out.push((prefix.to_owned(), scalar(other))),
    }
}

fn scalar(value: &toml::Value) -> String {
    match value {
        toml::Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1
}

/// The defined name with the fewest edits from `key`, if that is close enough to be a slip.
fn closest(key: &str) -> Option<&'static str> {
    DEFINITIONS
        .iter()
        .map(|d| (edits(key, d.name), d.name))
        .min()
        .filter(|(edits, name)| *edits <= name.len() / 3)
        .map(|(_, name)| name)
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_a_name_is_refused_with_line_and_hint() {
        let mut p = Properties::default();
        let error = p.read_properties("a.properties", "# x\nlog.dir=/x\n").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("a.properties:2") && text.contains("`log.dir`") && text.contains("`log.dirs`"),
            "{text}"
        );
    }

    #[test]
    fn a_bad_value_names_key_value_and_what_is_accepted() {
        let mut p = Properties::default();
        let text = p.read_toml("e.toml", "[log.segment]\nbytes = 3\n").unwrap_err().to_string();
        assert!(
            text.contains("log.segment.bytes") && text.contains("`3`") && text.contains("from 14"),
            "{text}"
        );
        assert!(text.contains("e.toml:2"), "{text}");
    }

    #[test]
    fn toml_and_properties_mean_the_same() {
        let (mut a, mut b) = (Properties::default(), Properties::default());
        a.read_toml("f", "node.id = 3\nlog.dirs = [\"/a\", \"/b\"]\n\"log.roll.ms\" = 5\n").unwrap();
        b.read_properties("f", "node.id=3\nlog.dirs=/a,/b\nlog.roll.ms = 5\n").unwrap();
        for key in ["node.id", "log.dirs", "log.roll.ms"] {
            assert_eq!(a.get(key), b.get(key), "{key}");
        }
    }

    #[test]
    fn every_default_fits_its_own_definition() {
        for d in DEFINITIONS {
            if let Some(default) = d.default {
                assert!(d.kind.fits(default), "{}", d.name);
            }
        }
        assert!(DEFINITIONS.iter().all(|d| DEFINITIONS.iter().filter(|e| e.name == d.name).count() == 1));
    }

    #[test]
    fn the_environment_overrides_and_is_checked() {
        let mut p = Properties::default();
        p.read_environment([("ESKER_NODE_ID".into(), "7".into()), ("HOME".into(), "/".into())].into_iter())
            .unwrap();
        assert_eq!(p.get("node.id"), Some("7"));
        assert!(p.read_environment([("ESKER_NODE_IDD".into(), "7".into())].into_iter()).is_err());
    }
}
