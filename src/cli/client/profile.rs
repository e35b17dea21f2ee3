//! Profiles: what a client needs to know of a cluster, kept under a name in `~/.config/esker/profiles.toml`.
//!
//! ```toml
//! default = "test"
//!
//! [test]
//! "bootstrap.servers" = "127.0.0.1:9092"
//!
//! [production]
//! "bootstrap.servers" = "kafka.example:9094"
//! "security.protocol" = "SASL_SSL"
//! "ssl.truststore.location" = "/etc/esker/ca.crt"
//! "sasl.username" = "alice"
//! "sasl.password" = "…"
//! ```
//! `XDG_CONFIG_HOME` is minded. Without the file there are no profiles.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::env::Env;

/// The settings of a profile, or of the default one; none where there is no file.
///
/// # Errors
/// A file that is no TOML, a profile that is not in it.
pub fn load(env: &Env, wanted: Option<&str>) -> Result<BTreeMap<String, String>> {
    let Some(file) = file(|name| std::env::var_os(name)) else { return Ok(BTreeMap::new()) };
    let bytes = match env.disk.read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => match wanted {
            None => return Ok(BTreeMap::new()),
            Some(name) => bail!("there is no profile {name}: {} does not exist", file.display()),
        },
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", file.display()))?;
    choose(&text, wanted).with_context(|| file.display().to_string())
}

fn file(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("esker/profiles.toml"))
}

fn choose(text: &str, wanted: Option<&str>) -> Result<BTreeMap<String, String>> {
    let all: toml::Table = text.parse()?;
    let default = all.get("default").and_then(toml::Value::as_str);
    let Some(name) = wanted.or(default) else { return Ok(BTreeMap::new()) };
    let Some(profile) = all.get(name).and_then(toml::Value::as_table) else {
        let names: Vec<&str> =
            all.iter().filter(|(_, value)| value.is_table()).map(|(name, _)| &**name).collect();
        bail!("there is no profile {name}; there are {names:?}");
    };
    let mut settings = BTreeMap::new();
    flatten("", profile, &mut settings);
    Ok(settings)
}

/// Dotted keys and quoted ones name the same setting.
fn flatten(prefix: &str, table: &toml::Table, out: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, out),
            toml::Value::String(text) => drop(out.insert(key, text.clone())),
            other => drop(out.insert(key, other.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "default = \"a\"\n[a]\n\"bootstrap.servers\" = \"h:1\"\n[b]\nbootstrap.servers = \"h:2\"\n";

    #[test]
    fn the_named_profile_is_taken_or_the_default_one() {
        for (wanted, server) in [(None, "h:1"), (Some("b"), "h:2")] {
            assert_eq!(choose(TEXT, wanted).unwrap()["bootstrap.servers"], server);
        }
        let error = choose(TEXT, Some("c")).unwrap_err().to_string();
        assert!(error.contains("no profile c") && error.contains("[\"a\", \"b\"]"), "{error}");
        assert!(choose("", None).unwrap().is_empty());
    }

    #[test]
    fn the_file_stands_where_the_desktop_standard_puts_it() {
        let home = |name: &str| (name == "HOME").then(|| "/home/a".into());
        assert_eq!(file(home).unwrap(), PathBuf::from("/home/a/.config/esker/profiles.toml"));
        assert_eq!(file(|_| Some("/x".into())).unwrap(), PathBuf::from("/x/esker/profiles.toml"));
        assert_eq!(file(|_| None), None);
    }
}
