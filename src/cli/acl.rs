//! `esker acl`: access control entries, in Kafka's words.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::client::{Client, ClusterArguments, check};
use super::report::{Rows, done};
use crate::env::Env;
use crate::wire::StrBytes;
use crate::wire::messages::create_acls::{AclCreation, CreateAclsRequest};
use crate::wire::messages::delete_acls::{DeleteAclsFilter, DeleteAclsRequest};
use crate::wire::messages::describe_acls::DescribeAclsRequest;

/// Kafka's numbers, by our words.
const KINDS: [(&str, i8); 6] = [
    ("topic", 2),
    ("group", 3),
    ("cluster", 4),
    ("transactional-id", 5),
    ("delegation-token", 6),
    ("user", 7),
];
const OPERATIONS: [(&str, i8); 13] = [
    ("all", 2),
    ("read", 3),
    ("write", 4),
    ("create", 5),
    ("delete", 6),
    ("alter", 7),
    ("describe", 8),
    ("cluster-action", 9),
    ("describe-configs", 10),
    ("alter-configs", 11),
    ("idempotent-write", 12),
    ("create-tokens", 13),
    ("describe-tokens", 14),
];
const PATTERNS: [(&str, i8); 2] = [("literal", 3), ("prefixed", 4)];
const PERMISSIONS: [(&str, i8); 2] = [("deny", 2), ("allow", 3)];
/// In a filter: whatever.
const ANY: i8 = 1;
const CLUSTER_NAME: &str = "kafka-cluster";

/// Arguments of `esker acl`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Lists entries.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Adds entries: one for each operation.
    Add {
        #[command(flatten)]
        entry: Entry,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Removes the entries that a filter finds.
    Remove {
        #[command(flatten)]
        filter: Filter,
        /// Removes all entries, where the filter names nothing.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
}

/// What an entry is about.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct Resource {
    /// A topic; `*` for all.
    #[arg(long)]
    topic: Option<String>,
    /// A group; `*` for all.
    #[arg(long)]
    group: Option<String>,
    /// A transactional id; `*` for all.
    #[arg(long)]
    transactional_id: Option<String>,
    /// The cluster.
    #[arg(long)]
    cluster_resource: bool,
}

impl Resource {
    fn kind_and_name(&self) -> (i8, &str) {
        let named =
            [("topic", &self.topic), ("group", &self.group), ("transactional-id", &self.transactional_id)];
        for (kind, name) in named {
            if let Some(name) = name {
                return (number(&KINDS, kind), name);
            }
        }
        (number(&KINDS, "cluster"), CLUSTER_NAME)
    }
}

#[derive(clap::Args, Debug)]
struct Entry {
    /// Whom it is about, as `User:alice`; `User:*` for everybody.
    #[arg(long)]
    principal: String,
    /// What they may do, separated by commas.
    #[arg(long, value_delimiter = ',', required = true, value_parser = one_of(&OPERATIONS))]
    operation: Vec<String>,
    #[command(flatten)]
    resource: Resource,
    /// The name is a prefix.
    #[arg(long)]
    prefixed: bool,
    /// The address that they come from.
    #[arg(long, default_value = "*")]
    host: String,
    /// They may not.
    #[arg(long)]
    deny: bool,
}

/// What is absent matches whatever.
#[derive(clap::Args, Debug)]
struct Filter {
    #[arg(long)]
    principal: Option<String>,
    #[arg(long, value_parser = one_of(&OPERATIONS))]
    operation: Option<String>,
    /// topic, group, cluster, transactional-id, …
    #[arg(long, value_parser = one_of(&KINDS))]
    kind: Option<String>,
    /// The resource's name, as it stands in the entry.
    #[arg(long)]
    name: Option<String>,
    /// literal or prefixed.
    #[arg(long, value_parser = one_of(&PATTERNS))]
    pattern: Option<String>,
    #[arg(long)]
    host: Option<String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Filter { principal, operation, kind, name, pattern, host } = self;
        [principal, operation, kind, name, pattern, host].iter().all(|part| part.is_none())
    }
}

fn one_of(words: &'static [(&'static str, i8)]) -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(words.iter().map(|(word, _)| *word))
}

/// clap has checked the word.
fn number(words: &[(&str, i8)], word: &str) -> i8 {
    words.iter().find(|(known, _)| *known == word).map_or(ANY, |(_, number)| *number)
}

fn word(words: &[(&str, i8)], number: i8) -> Value {
    words.iter().find(|(_, known)| *known == number).map_or_else(|| number.into(), |(word, _)| (*word).into())
}

fn any_or(words: &[(&str, i8)], word: Option<&String>) -> i8 {
    word.map_or(ANY, |word| number(words, word))
}

/// Does what is asked for.
///
/// # Errors
/// What the broker answers.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::List { filter, cluster } => {
            list(&mut Client::new(&env, &cluster)?, &filter).await?.print(cluster.output);
        }
        Command::Add { entry, cluster } => {
            add(&mut Client::new(&env, &cluster)?, &entry).await?;
            done(cluster.output, "added", &format!("{} entries", entry.operation.len()));
        }
        Command::Remove { filter, all, cluster } => {
            ensure!(all || !filter.is_empty(), "the filter names nothing: say --all to remove every entry");
            let removed = remove(&mut Client::new(&env, &cluster)?, &filter).await?;
            done(cluster.output, "removed", &format!("{removed} entries"));
        }
    }
    Ok(())
}

async fn add(client: &mut Client, entry: &Entry) -> Result<()> {
    let (resource_type, name) = entry.resource.kind_and_name();
    let creation = |operation: &String| AclCreation {
        resource_type,
        resource_name: name.into(),
        resource_pattern_type: number(&PATTERNS, if entry.prefixed { "prefixed" } else { "literal" }),
        principal: entry.principal.as_str().into(),
        host: entry.host.as_str().into(),
        operation: number(&OPERATIONS, operation),
        permission_type: number(&PERMISSIONS, if entry.deny { "deny" } else { "allow" }),
    };
    let request = CreateAclsRequest { creations: entry.operation.iter().map(creation).collect() };
    let response = client.ask_any(&request).await?;
    for (result, operation) in response.results.iter().zip(&entry.operation) {
        check(result.error_code, result.error_message.as_ref())
            .with_context(|| format!("the entry for {operation} is refused"))?;
    }
    Ok(())
}

async fn list(client: &mut Client, filter: &Filter) -> Result<Rows> {
    let text = |part: &Option<String>| part.as_deref().map(StrBytes::from);
    let request = DescribeAclsRequest {
        resource_type_filter: any_or(&KINDS, filter.kind.as_ref()),
        resource_name_filter: text(&filter.name),
        pattern_type_filter: any_or(&PATTERNS, filter.pattern.as_ref()),
        principal_filter: text(&filter.principal),
        host_filter: text(&filter.host),
        operation: any_or(&OPERATIONS, filter.operation.as_ref()),
        permission_type: ANY,
    };
    let response = client.ask_any(&request).await?;
    check(response.error_code, response.error_message.as_ref())?;
    let mut rows = Rows::new(["kind", "name", "pattern", "principal", "host", "operation", "permission"]);
    for resource in &response.resources {
        for acl in &resource.acls {
            rows.add([
                word(&KINDS, resource.resource_type),
                resource.resource_name.as_str().into(),
                word(&PATTERNS, resource.pattern_type),
                acl.principal.as_str().into(),
                acl.host.as_str().into(),
                word(&OPERATIONS, acl.operation),
                word(&PERMISSIONS, acl.permission_type),
            ]);
        }
    }
    Ok(rows)
}

async fn remove(client: &mut Client, filter: &Filter) -> Result<usize> {
    let text = |part: &Option<String>| part.as_deref().map(StrBytes::from);
    let filter = DeleteAclsFilter {
        resource_type_filter: any_or(&KINDS, filter.kind.as_ref()),
        resource_name_filter: text(&filter.name),
        pattern_type_filter: any_or(&PATTERNS, filter.pattern.as_ref()),
        principal_filter: text(&filter.principal),
        host_filter: text(&filter.host),
        operation: any_or(&OPERATIONS, filter.operation.as_ref()),
        permission_type: ANY,
    };
    let response = client.ask_any(&DeleteAclsRequest { filters: vec![filter] }).await?;
    let Some(result) = response.filter_results.first() else { bail!("the broker left the filter out") };
    check(result.error_code, result.error_message.as_ref())?;
    Ok(result.matching_acls.len())
}
