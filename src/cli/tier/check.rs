//! `esker tier verify`, `repair` and `export`: on the bucket alone, with no broker running.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tiering::inspect::{self, PartitionId};
use tiering::layout::{PartitionFolder, SegmentName};
use tiering::repair::{self, Keep};
use tiering::store::SharedStore;
use tiering::verify::{self, Depth, Findings};

use crate::cli::report::{Output, Rows, print_json, progress, say};
use crate::env::{Env, OpenMode, SharedDisk};

/// The partitions of a topic, or of all.
///
/// # Errors
/// What the store answers; none at all.
pub(super) async fn partitions(
    store: &SharedStore,
    topic: Option<&str>,
) -> Result<Vec<(PartitionId, PartitionFolder)>> {
    let found = inspect::partitions(&**store, topic).await?;
    match (found.is_empty(), topic) {
        (true, Some(topic)) => bail!("there is nothing of topic {topic} in the tier"),
        (true, None) => bail!("there is nothing in the tier"),
        _ => Ok(found),
    }
}

/// Checks what is there; an error when something is damaged.
///
/// # Errors
/// What the store answers, or how much is damaged.
pub(super) async fn verify(
    store: &SharedStore,
    topic: Option<&str>,
    depth: Depth,
    output: Output,
) -> Result<()> {
    let mut overview = Rows::new([
        "topic",
        "partition",
        "generation",
        "offsets",
        "segments",
        "checked bytes",
        "unnamed",
        "state",
    ]);
    let mut lines = Vec::new();
    let mut damaged = Vec::new();
    let all = partitions(store, topic).await?;
    let bar = progress(output, all.len() as u64, "partitions");
    for (id, folder) in all {
        let found = verify::partition(store, &folder, depth).await?;
        let (unnamed, bytes) = (found.unnamed.len(), found.unnamed.values().sum::<u64>());
        overview.add([
            id.topic.as_str().into(),
            id.partition.into(),
            found.generation.into(),
            format!("{}..{}", found.log_start, found.tier_end).into(),
            found.segments.into(),
            found.checked_bytes.into(),
            if unnamed == 0 { Value::Null } else { format!("{unnamed} ({bytes} bytes)").into() },
            state(&found).into(),
        ]);
        for damage in found.damage {
            let range = damage
                .base
                .zip(damage.end)
                .map_or("no offset can be read".to_owned(), |(base, end)| format!("offsets {base}..{end}"));
            lines.push(format!(
                "{} partition {}, {range}: {} {}",
                id.topic, id.partition, damage.key, damage.what
            ));
            damaged.push(json!({
                "topic": id.topic,
                "partition": id.partition,
                "base": damage.base,
                "end": damage.end,
                "object": damage.key,
                "what": damage.what,
            }));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if output == Output::Json {
        print_json(&json!({ "partitions": overview.to_json(), "damage": damaged }));
        return if lines.is_empty() { Ok(()) } else { bail!("{} objects are damaged", lines.len()) };
    }
    println!("{}", overview.to_table());
    if lines.is_empty() {
        println!("nothing is damaged");
        return Ok(());
    }
    for line in &lines {
        println!("{line}");
    }
    bail!("{} objects are damaged", lines.len())
}

fn state(found: &Findings) -> String {
    match (found.deleted, found.damage.len()) {
        (true, _) => "deleted, on its way out".to_owned(),
        (false, 0) => "in order".to_owned(),
        (false, damaged) => format!("{damaged} damaged"),
    }
}

/// How to repair.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// Only say what would be done.
    pub(super) dry_run: bool,
    /// Records that are lost may be given up, and this is to stay.
    pub(super) cut: Option<Keep>,
    pub(super) output: Output,
}

/// Writes new heads where the old ones are broken or name what is not there.
///
/// # Errors
/// What the store answers; a partition that can't be repaired without giving up records that can be read.
pub(super) async fn repair(env: &Env, store: &SharedStore, topic: &str, how: How) -> Result<()> {
    let How { dry_run, cut, output } = how;
    let mut refused = Vec::new();
    let mut told = Vec::new();
    for (id, folder) in partitions(store, Some(topic)).await? {
        let name = format!("{} partition {}", id.topic, id.partition);
        let keep = cut.unwrap_or_default();
        let Some(repair) = repair::plan(store, &folder, keep, env.rng.uuid(), env.clock.wall_ms())
            .await
            .with_context(|| name.clone())?
        else {
            say(output, &format!("{name}: in order"));
            told.push(json!({ "partition": id.partition, "state": "in order" }));
            continue;
        };
        let next = &repair.next;
        let end = next.tier_end().unwrap_or(next.log_start);
        say(
            output,
            &format!(
                "{name}: generation {} with {} segments, offsets {}..{end}",
                next.generation,
                next.segments(),
                next.log_start
            ),
        );
        for taken in &repair.taken_up {
            say(output, &format!("    takes up {taken}"));
        }
        for given in &repair.given_up {
            say(output, &format!("    gives up {given}"));
        }
        let mut state = "would be repaired";
        for (from, to) in &repair.lost {
            say(output, &format!("    loses offsets {from}..{to}"));
        }
        if !repair.lost.is_empty() && cut.is_none() {
            state = "refused";
            refused.push(name);
        } else if !dry_run {
            repair::carry_out(store, &folder, &repair).await.with_context(|| name.clone())?;
            state = "repaired";
            say(output, "    done");
        }
        let words = |all: &[SegmentName]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        told.push(json!({
            "partition": id.partition,
            "state": state,
            "generation": next.generation,
            "segments": next.segments(),
            "log_start": next.log_start,
            "tier_end": end,
            "taken_up": words(&repair.taken_up),
            "given_up": words(&repair.given_up),
            "lost": repair.lost,
        }));
    }
    if output == Output::Json {
        print_json(&Value::from(told));
    }
    if !refused.is_empty() && !dry_run {
        bail!(
            "not repaired: {}. Objects are lost, and the offsets named above would go with them; first bring \
             the objects back if copies exist, or accept it with --cut (longest, oldest or newest: what is to stay)",
            refused.join(", ")
        );
    }
    Ok(())
}

/// Writes a topic's partitions as folders of Kafka's own log format.
///
/// # Errors
/// What the store or the disk answers; nothing damaged is written.
pub(super) async fn export(
    env: &Env,
    store: &SharedStore,
    topic: &str,
    out: &Path,
    output: Output,
) -> Result<()> {
    let mut told = Vec::new();
    for (id, folder) in partitions(store, Some(topic)).await? {
        let head = tiering::publish::Publisher::new(store.clone(), folder.clone()).find_head(0).await?;
        let Some(head) = head.manifest else { continue };
        let dir = out.join(format!("{}-{}", id.topic, id.partition));
        let disk = env.disk.clone();
        let mut segments = 0;
        let rows = tiering::export::rows(&**store, &folder, &head).await?;
        let bar = progress(output, rows.len() as u64, "segments");
        for row in &rows {
            let files = tiering::export::segment(&**store, &folder, row).await?;
            let base = row.base();
            for (extension, bytes) in files {
                write(&disk, &dir.join(format!("{base:020}.{extension}")), &bytes)?;
            }
            segments += 1;
            bar.inc(1);
        }
        bar.finish_and_clear();
        let metadata = format!("version: 0\ntopic_id: {}", id.topic_id);
        write(&disk, &dir.join("partition.metadata"), metadata.as_bytes())?;
        let end = head.tier_end().unwrap_or(head.log_start);
        let line = format!("{}: {segments} segments, offsets {}..{end}", dir.display(), head.log_start);
        say(output, &line);
        told.push(json!({
            "folder": dir.display().to_string(),
            "segments": segments,
            "log_start": head.log_start,
            "tier_end": end,
        }));
    }
    if output == Output::Json {
        print_json(&Value::from(told));
    }
    Ok(())
}

fn write(disk: &SharedDisk, path: &Path, bytes: &[u8]) -> Result<()> {
    let context = || format!("writing {}", path.display());
    if let Some(parent) = path.parent() {
        disk.create_dir_all(parent).with_context(context)?;
    }
    let file = disk.open(path, OpenMode::ReadWrite).with_context(context)?;
    file.set_len(0).with_context(context)?;
    file.write_all_at(bytes, 0).with_context(context)?;
    file.sync().with_context(context)
}
