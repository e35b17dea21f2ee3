//! Where a partition's offsets are, as the brokers' folders and the leader tell, and the table of it.

use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::client::records::{EARLIEST_LOCAL, LATEST, Led};
use crate::cli::dev::{Cluster, StoreRequests};
use crate::cli::topic::table as new_table;
use crate::env::Env;

/// One partition's offsets over the tiers.
pub struct PartitionTiers {
    partition: i32,
    leader: i32,
    /// The log's end.
    pub end: i64,
    /// Where the leader says that its local log begins.
    local_start: i64,
    /// Offsets below the first segment on any broker's disk.
    pub only_cold: i64,
    /// Bytes of segments on the brokers' disks, all replicas together.
    local_bytes: u64,
}

impl PartitionTiers {
    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "partition": self.partition,
            "leader": self.leader,
            "end": self.end,
            "local_start": self.local_start,
            "only_cold": self.only_cold,
            "local_bytes": self.local_bytes,
        })
    }

    /// Asks the leader, and looks into every broker's folder.
    ///
    /// # Errors
    /// When the leader does not answer or a folder cannot be read.
    pub async fn look(
        env: &Env,
        client: &mut Client,
        cluster: &Cluster,
        partition: &Led,
    ) -> Result<PartitionTiers> {
        let end = client.offset_for(partition, LATEST).await?;
        let local_start = client.offset_for(partition, EARLIEST_LOCAL).await?;
        let folder_name = format!("{}-{}", partition.topic, partition.partition);
        let (mut first, mut local_bytes) = (end, 0);
        for data in cluster.log_folders() {
            let (base, bytes) = segments(env, &data.join(&folder_name))?;
            first = first.min(base.unwrap_or(end));
            local_bytes += bytes;
        }
        Ok(PartitionTiers {
            partition: partition.partition,
            leader: partition.leader,
            end,
            local_start,
            only_cold: first,
            local_bytes,
        })
    }
}

/// The base offset of the first segment in a folder, and the bytes of all.
fn segments(env: &Env, folder: &Path) -> Result<(Option<i64>, u64)> {
    if !env.disk.exists(folder)? {
        return Ok((None, 0));
    }
    let (mut first, mut bytes) = (None, 0);
    for entry in env.disk.read_dir(folder)? {
        if let Some(base) = entry.name.strip_suffix(".log").and_then(|stem| stem.parse::<i64>().ok()) {
            first = Some(first.map_or(base, |known: i64| known.min(base)));
            bytes += entry.len;
        }
    }
    Ok((first, bytes))
}

/// The offsets of each partition over the tiers.
pub fn table(partitions: &[PartitionTiers]) -> Table {
    let mut table = right(new_table([
        "partition",
        "leader",
        "offsets",
        "only in the cold tier",
        "leader's local log from",
        "bytes on local disks (3 replicas)",
    ]));
    for p in partitions {
        let share = if p.end > 0 { p.only_cold * 100 / p.end } else { 0 };
        table.add_row([
            p.partition.to_string(),
            p.leader.to_string(),
            HumanCount(p.end.unsigned_abs()).to_string(),
            format!("{} ({share} %)", HumanCount(p.only_cold.unsigned_abs())),
            HumanCount(p.local_start.unsigned_abs()).to_string(),
            HumanBytes(p.local_bytes).to_string(),
        ]);
    }
    table
}

/// What the store was asked for while the records went down, and while they were read back.
pub fn requests_table(down: StoreRequests, after: StoreRequests) -> Table {
    let mut table = right(new_table([
        "requests to the store",
        "PUT",
        "GET",
        "HEAD",
        "LIST",
        "DELETE",
        "sent",
        "received",
    ]));
    for (name, of) in [("records down", down), ("records back", after.since(down))] {
        table.add_row([
            name.to_owned(),
            of.puts.to_string(),
            of.gets.to_string(),
            of.heads.to_string(),
            of.lists.to_string(),
            of.deletes.to_string(),
            HumanBytes(of.bytes_sent).to_string(),
            HumanBytes(of.bytes_received).to_string(),
        ]);
    }
    table
}

fn right(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
