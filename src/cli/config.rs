//! `esker config`: is a configuration one that a broker would start with, and what is in force, in a file or in a running
//! cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::Output;
use super::client::{Client, ClusterArguments};
use super::cluster_configs::{self, Resource};
use super::report::print_json;
use crate::broker::config::{BrokerConfig, DEFINITIONS, Definition, Kind};
use crate::env::Env;

/// Arguments of `esker config`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Checks a file, and the environment and flags over it, as `esker server` does at its start.
    Check {
        /// The configuration: TOML, or Kafka's key=value lines if it ends in `.properties`.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// A property, over the file and the environment; may be given several times.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
        settings: Vec<(String, String)>,
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Shows the configs of a topic, broker, group or subscription of a running cluster, and who set them.
    Get {
        #[command(flatten)]
        resource: Resource,
        /// Also what nobody set.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Sets configs of a running cluster, all that are named or none.
    Set {
        #[command(flatten)]
        resource: Resource,
        /// What to set.
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = super::key_value)]
        configs: Vec<(String, String)>,
        /// Only says whether it would be accepted.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Returns configs of a running cluster to what holds without them.
    Unset {
        #[command(flatten)]
        resource: Resource,
        /// Their names.
        #[arg(value_name = "KEY", required = true)]
        configs: Vec<String>,
        /// Only says whether it would be accepted.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Prints every property with its default, what is accepted and what it means, as a page of Markdown.
    Reference {
        /// As a list, for programs.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Shows the value of every property that has one, and who set it. Secrets are hidden.
    Show {
        /// The configuration; without one, the defaults with the environment over them.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A property, over the file and the environment; may be given several times.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
        settings: Vec<(String, String)>,
        /// Also what nobody set.
        #[arg(long)]
        all: bool,
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// A configuration that is refused, with the property, what is accepted, and the line.
pub async fn run(env: &Env, arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Check { config, settings, output } => {
            load(env, &config, &settings)?;
            let file = config.display().to_string();
            match output {
                Output::Table => println!("{file}: a broker would start with it"),
                Output::Json => print_json(&json!({ "config": file, "accepted": true })),
            }
        }
        Command::Get { resource, all, cluster } => {
            let rows = cluster_configs::rows(&mut Client::new(env, &cluster)?, &resource, all).await?;
            rows.print(cluster.output);
        }
        Command::Set { resource, configs, dry_run, cluster } => {
            let changes: Vec<_> = configs.into_iter().map(|(name, value)| (name, Some(value))).collect();
            cluster_configs::alter(env, &cluster, &resource, &changes, dry_run).await?;
        }
        Command::Unset { resource, configs, dry_run, cluster } => {
            let changes: Vec<_> = configs.into_iter().map(|name| (name, None)).collect();
            cluster_configs::alter(env, &cluster, &resource, &changes, dry_run).await?;
        }
        Command::Reference { output: Output::Table } => print!("{}", reference()),
        Command::Reference { output: Output::Json } => print_json(&reference_list()),
        Command::Show { config, settings, all, output } => {
            let config = match config {
                Some(file) => load(env, &file, &settings)?,
                None => BrokerConfig::load_with(
                    Path::new("defaults.properties"),
                    "",
                    std::env::vars(),
                    &settings,
                )?,
            };
            show(&config, all, output)?;
        }
    }
    Ok(())
}

/// The reference of all properties, as the table of definitions has them.
fn reference() -> String {
    let mut out = String::from(
        "# Configuration\n\nA property comes from the file that `esker server --config` names, and over it from the environment \
         (`ESKER_LOG_DIRS` for `log.dirs`), and over both from `--set KEY=VALUE`. Where a topic config is named, the property is its default.\n\n\
         | property | default | accepted | topic config | meaning |\n|---|---|---|---|---|\n",
    );
    let mut sorted: Vec<_> = DEFINITIONS.iter().collect();
    sorted.sort_by_key(|definition| definition.name);
    for definition in sorted {
        let default = match (definition.default, definition.kind) {
            (_, Kind::Secret) | (None, _) => "–".to_owned(),
            (Some(default), _) => format!("`{default}`"),
        };
        let topic = definition.topic_config.map_or_else(|| "–".to_owned(), |name| format!("`{name}`"));
        let cells = [
            format!("`{}`", definition.name),
            default,
            definition.kind.accepts(),
            topic,
            definition.doc.to_owned(),
        ];
        // A bar would end the cell.
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out
}

/// The same for programs, sorted by name.
fn reference_list() -> Value {
    let mut sorted: Vec<_> = DEFINITIONS.iter().collect();
    sorted.sort_by_key(|definition| definition.name);
    let property = |d: &&Definition| {
        let default = d.default.filter(|_| d.kind != Kind::Secret);
        json!({
            "name": d.name,
            "default": default,
            "accepted": d.kind.accepts(),
            "topic_config": d.topic_config,
            "meaning": d.doc,
        })
    };
    sorted.iter().map(property).collect()
}

/// Reads a broker's configuration, with the environment over it, and over that the flags.
pub(super) fn load(env: &Env, file: &Path, flags: &[(String, String)]) -> Result<BrokerConfig> {
    let bytes = env.disk.read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", file.display()))?;
    Ok(BrokerConfig::load_with(file, &text, std::env::vars(), flags)?)
}

fn show(config: &BrokerConfig, all: bool, output: Output) -> Result<()> {
    let rows = rows(config, all);
    if output == Output::Json {
        let rows: Vec<_> = rows
            .iter()
            .map(|[name, value, source]| json!({ "name": name, "value": value, "source": source }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["property", "value", "set by"]);
    for row in rows {
        table.add_row(row);
    }
    println!("{table}");
    Ok(())
}

/// Name, value and source of each property.
pub(super) fn rows(config: &BrokerConfig, all: bool) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    for definition in DEFINITIONS {
        let Some(value) = config.properties.get(definition.name) else { continue };
        let source = config.properties.explicit(definition.name).map(|setting| setting.place.clone());
        if source.is_none() && !all {
            continue;
        }
        let value = if definition.kind == Kind::Secret { "[hidden]" } else { value };
        rows.push([
            definition.name.to_owned(),
            value.to_owned(),
            source.unwrap_or_else(|| "default".to_owned()),
        ]);
    }
    rows.sort();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_shown_with_its_line_and_secrets_are_hidden() {
        let text = "node.id=3\nssl.key.password=geheim\n";
        let environment = [("ESKER_NUM_PARTITIONS".to_owned(), "4".to_owned())];
        let config = BrokerConfig::load(Path::new("a.properties"), text, environment.into_iter()).unwrap();
        let told = rows(&config, false);
        assert!(told.contains(&["node.id".into(), "3".into(), "a.properties:1".into()]), "{told:?}");
        assert!(told.iter().any(|[name, value, _]| name == "ssl.key.password" && value == "[hidden]"));
        let from = "environment ESKER_NUM_PARTITIONS";
        assert!(told.contains(&["num.partitions".into(), "4".into(), from.into()]), "{told:?}");
        assert_eq!(told.len(), 3);
        assert!(rows(&config, true).len() > 50);
    }

    #[test]
    fn the_reference_has_every_property_once_in_rows_of_five_cells() {
        let page = reference();
        for definition in DEFINITIONS {
            assert!(page.contains(&format!("\n| `{}` |", definition.name)), "{}", definition.name);
        }
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        assert!(rows.clone().all(|row| row.replace("\\|", "").matches('|').count() == 6));
        assert_eq!(rows.count(), DEFINITIONS.len());
    }
}
