//! `esker tier`: what lies in the cold tier's bucket, checking, repairing, exporting and restoring it, and setting a bucket
//! up. No broker is asked; only a restore needs a new cluster to restore to.

mod check;
mod cuts;
mod init;
mod open_transactions;
mod restore;
mod restore_cluster;
mod transactions;

use std::path::PathBuf;

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};
use tiering::inspect::{self, PartitionOverview};
use tiering::repair::Keep;
use tiering::store::{Encryption, MeteredStore, RemoteOptions, RemoteStore, SharedStore, StoreLocation};
use tiering::verify::Depth;

use super::client::ClusterArguments;
use super::report::{Output, Rows, print_json};
use crate::env::Env;

/// Which part stays where objects are lost.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Part {
    /// The one with the most offsets; of equals the newest.
    Longest,
    /// What lies before the first lost object.
    Oldest,
    /// What lies behind the last lost object.
    Newest,
}

impl Part {
    fn keep(self) -> Keep {
        match self {
            Part::Longest => Keep::Longest,
            Part::Oldest => Keep::Oldest,
            Part::Newest => Keep::Newest,
        }
    }
}

/// Arguments of `esker tier`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Lists the partitions in the tier, or the segments of one topic, from the bucket alone.
    Ls {
        /// Shows each segment of this topic.
        topic: Option<String>,
        /// Where the tier is: `file:///folder` or `s3://bucket/prefix`.
        #[arg(long, value_name = "URL", env = "ESKER_TIER_STORE_URL")]
        store: String,
        #[command(flatten)]
        service: Service,
        /// How to print what is found.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Checks what is there against what the manifests say, from the bucket alone. Fails when something is damaged.
    Verify {
        /// Only this topic.
        topic: Option<String>,
        /// Looks only for the objects and their lengths.
        #[arg(long, conflicts_with = "deep")]
        quick: bool,
        /// Reads every byte.
        #[arg(long)]
        deep: bool,
        #[command(flatten)]
        place: Place,
        /// How to print what is found.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Writes new manifests where they are broken or name what is not there. Only while no broker leads the topic.
    Repair {
        /// The topic.
        topic: String,
        /// Says what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Accepts that records are lost, with objects of which there is no copy: the offsets that a dry run names. What stays is the
        /// longest part, the oldest (the tier ends before the first lost object) or the newest (the log starts behind the last one: the
        /// only part from which brokers that still have newer records go on).
        #[arg(long, value_name = "PART", num_args = 0..=1, require_equals = true, default_missing_value = "longest")]
        cut: Option<Part>,
        #[command(flatten)]
        place: Place,
        /// How to print what was done.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Brings a topic back into a new cluster that has the old one's `cluster.id`.
    Restore {
        /// The topic.
        topic: String,
        /// Which one, where there were several of that name.
        #[arg(long)]
        topic_id: Option<String>,
        /// Says what would come back, from the bucket alone.
        #[arg(long)]
        dry_run: bool,
        /// Replicas of each partition; default: the brokers' `default.replication.factor`.
        #[arg(long, default_value_t = -1)]
        replication_factor: i16,
        /// A config of the topic, `KEY=VALUE`; may be repeated.
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = super::key_value)]
        configs: Vec<(String, String)>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Brings a whole cluster back into new brokers that have the old one's `cluster.id`: topics, committed offsets,
    /// transactional ids, users, ACLs, quotas.
    RestoreCluster {
        /// Which one, for a dry run on a bucket of several clusters.
        #[arg(long)]
        cluster_id: Option<String>,
        /// Says what would come back, from the bucket alone.
        #[arg(long)]
        dry_run: bool,
        /// Up to where; default: the newest cut that is whole, or the end where the store has no cuts.
        #[arg(long, value_enum)]
        to: Option<cuts::To>,
        /// Replicas of every topic, instead of as many as each had.
        #[arg(long)]
        replication_factor: Option<i16>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Writes a topic's partitions as folders of Kafka's own log format.
    Export {
        /// The topic.
        topic: String,
        /// The folder to write to.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        #[command(flatten)]
        place: Place,
        /// How to print what was written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Sets a bucket up: creates it, says whose it is, blocks public access, has the service remove parts of uploads that
    /// never ended; versioning and encryption as asked for. May be run again. Refuses a bucket of another cluster.
    Init {
        /// `s3://bucket` or `s3://bucket/prefix`.
        #[arg(value_name = "URL")]
        store: String,
        #[command(flatten)]
        settings: init::Settings,
        #[command(flatten)]
        service: Service,
        /// How to print what was set.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// Where the tier is.
#[derive(clap::Args, Debug)]
struct Place {
    /// Where the tier is: `file:///folder` or `s3://bucket/prefix`.
    #[arg(long, value_name = "URL", env = "ESKER_TIER_STORE_URL")]
    store: String,
    #[command(flatten)]
    service: Service,
}

impl Place {
    fn open(self) -> Result<SharedStore> {
        let location: StoreLocation = self.store.parse()?;
        Ok(Arc::new(RemoteStore::open(&location, &self.service.options())?))
    }
}

/// How to reach an S3-compatible service.
#[derive(clap::Args, Debug)]
struct Service {
    /// The service, for instance `http://127.0.0.1:9000`; Amazon's if absent.
    #[arg(long, value_name = "URL", env = "ESKER_TIER_STORE_ENDPOINT")]
    endpoint: Option<String>,
    /// The region.
    #[arg(long, env = "ESKER_TIER_STORE_REGION")]
    region: Option<String>,
    /// The access key; default: AWS_ACCESS_KEY_ID.
    #[arg(long, env = "ESKER_TIER_STORE_ACCESS_KEY", hide_env_values = true)]
    access_key: Option<String>,
    /// The secret key; default: AWS_SECRET_ACCESS_KEY.
    #[arg(long, env = "ESKER_TIER_STORE_SECRET_KEY", hide_env_values = true)]
    secret_key: Option<String>,
}

impl Service {
    fn options(self) -> RemoteOptions {
        RemoteOptions {
            endpoint: self.endpoint,
            region: self.region,
            access_key_id: self.access_key,
            secret_access_key: self.secret_key,
            encryption: Encryption::OfBucket,
            is_near: false,
        }
    }
}

/// Does what is asked for.
///
/// # Errors
/// What the store answers.
pub async fn run(env: Env, arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Verify { topic, quick, deep, place, output } => {
            let depth = match (quick, deep) {
                (true, _) => Depth::Lengths,
                (_, true) => Depth::Bytes,
                _ => Depth::Footers,
            };
            check::verify(&place.open()?, topic.as_deref(), depth, output).await
        }
        Command::Repair { topic, dry_run, cut, place, output } => {
            check::repair(
                &env,
                &place.open()?,
                &topic,
                check::How { dry_run, cut: cut.map(Part::keep), output },
            )
            .await
        }
        Command::Restore { topic, topic_id, dry_run, replication_factor, configs, place, cluster } => {
            let topic_id = topic_id.as_deref();
            let order = restore::Order {
                of_cluster: None,
                topic: &topic,
                topic_id,
                partitions: None,
                replication_factor,
                configs: &configs,
                dry_run,
            };
            let told = restore::restore(&env, &place.open()?, &cluster, order).await?;
            tell(cluster.output, &told);
            Ok(())
        }
        Command::RestoreCluster { cluster_id, dry_run, to, replication_factor, place, cluster } => {
            let cluster_id = cluster_id.as_deref();
            let order = restore_cluster::Order { cluster_id, to, replication_factor, dry_run };
            let told = restore_cluster::restore_cluster(&env, &place.open()?, &cluster, order).await?;
            tell(cluster.output, &told);
            Ok(())
        }
        Command::Export { topic, out, place, output } => {
            check::export(&env, &place.open()?, &topic, &out, output).await
        }
        Command::Ls { topic, store, service, output } => {
            list(&store, topic.as_deref(), service, output).await
        }
        Command::Init { store, settings, service, output } => {
            init::init(&store, &settings, service.options(), output).await
        }
    }
}

/// What was done, for programs; people were told on the way.
fn tell(output: Output, told: &Value) {
    if output == Output::Json {
        print_json(told);
    }
}

async fn list(url: &str, topic: Option<&str>, service: Service, output: Output) -> Result<()> {
    let location: StoreLocation = url.parse()?;
    let metered = MeteredStore::new(Arc::new(RemoteStore::open(&location, &service.options())?));
    let requests = metered.requests();
    let store: SharedStore = Arc::new(metered);
    let all = inspect::overview(&store, topic, topic.is_some()).await?;
    let counts = requests.counts();
    if output == Output::Json {
        let mut told = json!({
            "store": location.to_string(),
            "partitions": partitions(&all).to_json(),
            "requests": { "list": counts.lists, "get": counts.gets },
        });
        if topic.is_some() {
            told["segments"] = segments(&all).to_json();
        }
        print_json(&told);
        return Ok(());
    }
    if all.is_empty() {
        println!("{location}: nothing in the tier");
        return Ok(());
    }
    println!("{}", partitions(&all).to_table());
    if topic.is_some() {
        println!("{}", segments(&all).to_table());
    }
    println!("{location}: told by {} LIST and {} GET requests", counts.lists, counts.gets);
    Ok(())
}

fn partitions(all: &[PartitionOverview]) -> Rows {
    let mut rows = Rows::new([
        "topic",
        "partition",
        "generation",
        "epoch",
        "log start",
        "tier end",
        "segments",
        "bytes",
        "damaged",
        "unnamed",
        "topic id",
    ]);
    for partition in all {
        let [generation, epoch, log_start, tier_end, segments, bytes] = match &partition.head {
            Ok(Some(head)) => [
                head.generation.into(),
                head.writer.epoch.into(),
                head.log_start.into(),
                head.tier_end().into(),
                head.live.len().into(),
                head.live_bytes().into(),
            ],
            Ok(None) => [const { Value::Null }; 6],
            Err(error) => {
                let unknown = || Value::from("?");
                [error.to_string().into(), unknown(), unknown(), unknown(), unknown(), unknown()]
            }
        };
        rows.add([
            partition.id.topic.as_str().into(),
            partition.id.partition.into(),
            generation,
            epoch,
            log_start,
            tier_end,
            segments,
            bytes,
            // Only the listing of one topic looks at the objects.
            partition.damaged().map(|damaged| damaged.len()).into(),
            partition.unnamed().map(|unnamed| unnamed.len()).into(),
            partition.id.topic_id.as_str().into(),
        ]);
    }
    rows
}

fn segments(all: &[PartitionOverview]) -> Rows {
    let mut rows = Rows::new(["partition", "base", "end", "largest timestamp", "bytes", "state", "object"]);
    for partition in all {
        let Ok(Some(head)) = &partition.head else { continue };
        let live = head.live.iter().map(|segment| (segment, "live"));
        let removed = head.removed.iter().map(|removed| (&removed.segment, "removed"));
        for (segment, state) in removed.chain(live) {
            let there = partition.objects.as_ref().and_then(|objects| objects.get(&segment.name))
                == Some(&segment.object_bytes());
            let state = if there { state.to_owned() } else { format!("{state}, object damaged or gone") };
            rows.add([
                partition.id.partition.into(),
                segment.base().into(),
                segment.end.into(),
                segment.max_timestamp.into(),
                segment.object_bytes().into(),
                state.into(),
                segment.name.to_string().into(),
            ]);
        }
    }
    rows
}
