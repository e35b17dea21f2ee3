//! Archives: files of older rows, so that the head manifest stays small.
//!
//! An archive is written once, named by the head, and read only by who needs its rows. When a part of it has expired, the
//! head moves its `start`; when all of it has, the objects of its rows go, and then the file.

use uuid::Uuid;

use super::Segment;
use crate::layout::ArchiveName;
use crate::lineage::{self, EpochStart};

/// A file of rows: a row of the head.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Archive {
    /// Its object's name.
    pub name: ArchiveName,
    /// Rows before this offset do not count any more.
    pub start: i64,
    /// How many rows count.
    pub segments: u32,
    /// The epochs of their records.
    pub epochs: Vec<EpochStart>,
    /// The largest timestamp of their records, −1 if they have none.
    pub max_timestamp: i64,
    /// The bytes of their batches.
    pub log_bytes: u64,
    /// The bytes of their objects behind the batches.
    pub footer_bytes: u32,
    /// The CRC-32C of the file.
    pub crc: u32,
}

/// An archive that no reader may start on any more; its rows' objects and the file go after a grace period.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemovedArchive {
    /// What it was. Only the objects of rows from its `start` on go with it.
    pub archive: Archive,
    /// When it was unpublished.
    pub since_ms: i64,
}

impl Archive {
    /// The archive of these rows; `None` without any.
    #[must_use]
    pub fn of(name: ArchiveName, rows: &[Segment], crc: u32) -> Option<Archive> {
        let (first, last) = (rows.first()?, rows.last()?);
        let mut epochs: Vec<EpochStart> = Vec::new();
        for entry in rows.iter().flat_map(|row| &row.epochs) {
            if epochs.last().is_none_or(|last| last.epoch != entry.epoch) {
                epochs.push(*entry);
            }
        }
        let whole = name.first == first.base() && name.last + 1 == last.end;
        whole.then(|| Archive {
            name,
            start: first.base(),
            segments: u32::try_from(rows.len()).unwrap_or(u32::MAX),
            epochs,
            max_timestamp: rows.iter().map(|row| row.max_timestamp).max().unwrap_or(-1),
            log_bytes: rows.iter().map(|row| row.log_bytes).sum(),
            footer_bytes: rows.iter().fold(0, |sum, row| sum.saturating_add(row.footer_bytes)),
            crc,
        })
    }

    /// The offset after its last record.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.name.last + 1
    }

    /// Its uuid, which names its bytes for good.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.name.uuid
    }

    /// Whether all of its records are on the chain.
    #[must_use]
    pub fn is_on(&self, chain: &[EpochStart]) -> bool {
        lineage::agreed_end(chain, &self.epochs, self.start, self.end()) == self.end()
    }

    /// Those of its file's rows that count.
    #[must_use]
    pub fn counting<'a>(&self, rows: &'a [Segment]) -> &'a [Segment] {
        &rows[rows.partition_point(|row| row.base() < self.start)..]
    }

    /// The same file, of which only these rows count any more.
    pub(super) fn starting_with(&self, rows: &[Segment]) -> Archive {
        let Some(first) = rows.first() else { return self.clone() };
        let named = ArchiveName { first: first.base(), ..self.name };
        let rest = Archive::of(named, rows, self.crc).unwrap_or_else(|| self.clone());
        Archive { name: self.name, ..rest }
    }
}
