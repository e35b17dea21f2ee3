//! A generation as Parquet bytes.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use bytes::{BufMut as _, Bytes, BytesMut};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use uuid::Uuid;

use super::{Manifest, Removed, Segment, Writer};
use crate::layout::SegmentName;
use crate::lineage::EpochStart;

const FORMAT: &str = "1";
const SEAL_MAGIC: &[u8; 8] = b"ESKERCRC";
/// The seal: magic, CRC-32C, four zero bytes.
const SEAL_BYTES: usize = 16;
/// Behind the seal: the Parquet footer, its length (u32, little-endian) and `PAR1`.
const PARQUET_END_BYTES: usize = 8;
const LIVE: &str = "live";
const REMOVED: &str = "removed";
const ROWS_PER_GROUP: usize = 4096;

/// Why bytes are no manifest generation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// Not a sealed Parquet file, cut off, or changed.
    #[error("the manifest has no seal, or its CRC does not match")]
    Seal,
    /// Whole, but not of this form.
    #[error("the manifest is not of a known form: {0}")]
    Form(String),
    /// Its segments overlap or leave a hole.
    #[error("generation {generation} is inconsistent at offset {offset}")]
    Content {
        /// The generation.
        generation: u64,
        /// Where its rows break.
        offset: i64,
    },
}

fn form(error: impl std::fmt::Display) -> BadManifest {
    BadManifest::Form(error.to_string())
}

fn schema() -> Arc<Schema> {
    let field = |name, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        field("base_offset", DataType::Int64),
        field("end_offset", DataType::Int64),
        field("leader_epoch", DataType::Int32),
        field("epochs", DataType::Utf8),
        field("max_timestamp", DataType::Int64),
        field("log_bytes", DataType::UInt64),
        field("footer_bytes", DataType::UInt32),
        field("crc32c", DataType::UInt32),
        field("key", DataType::Utf8),
        field("state", DataType::Utf8),
        field("removed_ms", DataType::Int64),
    ]))
}

impl Manifest {
    /// The object's bytes.
    ///
    /// # Errors
    /// `Form` only when the Parquet writer fails, which it does not on memory.
    pub fn encode(&self) -> Result<Bytes, BadManifest> {
        let rows: Vec<(&Segment, Option<i64>)> = self
            .removed
            .iter()
            .map(|removed| (&removed.segment, Some(removed.since_ms)))
            .chain(self.live.iter().map(|segment| (segment, None)))
            .collect();
        let metadata = [
            ("esker.format", FORMAT.to_owned()),
            ("esker.generation", self.generation.to_string()),
            ("esker.writer.epoch", self.writer.epoch.to_string()),
            ("esker.writer.uuid", self.writer.uuid.simple().to_string()),
            ("esker.log.start", self.log_start.to_string()),
        ];
        let metadata =
            metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
        let properties = WriterProperties::builder()
            .set_created_by("esker".to_owned())
            .set_compression(Compression::UNCOMPRESSED)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
            .set_key_value_metadata(Some(metadata))
            .build();
        let mut out = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut out, schema(), Some(properties)).map_err(form)?;
        if !rows.is_empty() {
            writer.write(&record_batch(&rows)?).map_err(form)?;
        }
        writer.close().map_err(form)?;
        seal(&out).ok_or_else(|| form("the Parquet writer left no footer"))
    }

    /// Reads a generation.
    ///
    /// # Errors
    /// `BadManifest` for bytes that are not whole, not of this form, or contradict themselves.
    pub fn decode(bytes: &Bytes) -> Result<Manifest, BadManifest> {
        check_seal(bytes)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(form)?;
        let file = builder.metadata().file_metadata();
        let pairs = file.key_value_metadata().ok_or_else(|| form("no key-value metadata"))?;
        let value = |key: &str| {
            let pair = pairs.iter().find(|pair| pair.key == key);
            pair.and_then(|pair| pair.value.as_deref()).ok_or_else(|| form(format!("no {key}")))
        };
        if value("esker.format")? != FORMAT {
            return Err(form(format!("format {} is newer than {FORMAT}", value("esker.format")?)));
        }
        let mut manifest = Manifest {
            generation: value("esker.generation")?.parse().map_err(form)?,
            writer: Writer {
                epoch: value("esker.writer.epoch")?.parse().map_err(form)?,
                uuid: Uuid::try_parse(value("esker.writer.uuid")?).map_err(form)?,
            },
            log_start: value("esker.log.start")?.parse().map_err(form)?,
            live: Vec::new(),
            removed: Vec::new(),
        };
        for batch in builder.build().map_err(form)? {
            read_rows(&batch.map_err(form)?, &mut manifest)?;
        }
        manifest.check()?;
        Ok(manifest)
    }
}

fn record_batch(rows: &[(&Segment, Option<i64>)]) -> Result<RecordBatch, BadManifest> {
    fn column<'a, A: FromIterator<T> + Array + 'static, T>(
        rows: &'a [(&'a Segment, Option<i64>)],
        value: impl Fn(&'a Segment) -> T,
    ) -> ArrayRef {
        Arc::new(rows.iter().map(|(segment, _)| value(segment)).collect::<A>())
    }
    let states = rows.iter().map(|(_, since)| Some(if since.is_some() { REMOVED } else { LIVE }));
    let columns: Vec<ArrayRef> = vec![
        column::<Int64Array, _>(rows, |s| Some(s.base())),
        column::<Int64Array, _>(rows, |s| Some(s.end)),
        column::<Int32Array, _>(rows, |s| Some(s.name.leader_epoch)),
        column::<StringArray, _>(rows, |s| Some(print_epochs(&s.epochs))),
        column::<Int64Array, _>(rows, |s| Some(s.max_timestamp)),
        column::<UInt64Array, _>(rows, |s| Some(s.log_bytes)),
        column::<UInt32Array, _>(rows, |s| Some(s.footer_bytes)),
        column::<UInt32Array, _>(rows, |s| Some(s.crc)),
        column::<StringArray, _>(rows, |s| Some(format!("segments/{}", s.name))),
        Arc::new(states.collect::<StringArray>()),
        Arc::new(rows.iter().map(|(_, since)| Some(since.unwrap_or(-1))).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).map_err(form)
}

fn read_rows(batch: &RecordBatch, manifest: &mut Manifest) -> Result<(), BadManifest> {
    fn column<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A, BadManifest> {
        let column = batch.column_by_name(name).ok_or_else(|| form(format!("no column {name}")))?;
        column.as_any().downcast_ref().ok_or_else(|| form(format!("column {name} has another type")))
    }
    let bases: &Int64Array = column(batch, "base_offset")?;
    let ends: &Int64Array = column(batch, "end_offset")?;
    let epochs: &StringArray = column(batch, "epochs")?;
    let timestamps: &Int64Array = column(batch, "max_timestamp")?;
    let log_bytes: &UInt64Array = column(batch, "log_bytes")?;
    let footer_bytes: &UInt32Array = column(batch, "footer_bytes")?;
    let crcs: &UInt32Array = column(batch, "crc32c")?;
    let keys: &StringArray = column(batch, "key")?;
    let states: &StringArray = column(batch, "state")?;
    let removed: &Int64Array = column(batch, "removed_ms")?;
    for row in 0..batch.num_rows() {
        let key = keys.value(row);
        let name = key.strip_prefix("segments/").and_then(SegmentName::parse);
        let name = name.ok_or_else(|| form(format!("key {key:?}")))?;
        if name.base != bases.value(row) {
            return Err(BadManifest::Content { generation: manifest.generation, offset: name.base });
        }
        let segment = Segment {
            name,
            end: ends.value(row),
            epochs: parse_epochs(epochs.value(row)).ok_or_else(|| form("epochs"))?,
            max_timestamp: timestamps.value(row),
            log_bytes: log_bytes.value(row),
            footer_bytes: footer_bytes.value(row),
            crc: crcs.value(row),
        };
        match states.value(row) {
            LIVE => manifest.live.push(segment),
            REMOVED => manifest.removed.push(Removed { segment, since_ms: removed.value(row) }),
            other => return Err(form(format!("state {other:?}"))),
        }
    }
    Ok(())
}

/// `epoch@start` with commas, for instance `0@0,3@40`.
fn print_epochs(epochs: &[EpochStart]) -> String {
    let entries: Vec<String> = epochs.iter().map(|e| format!("{}@{}", e.epoch, e.start)).collect();
    entries.join(",")
}

fn parse_epochs(text: &str) -> Option<Vec<EpochStart>> {
    let entry = |text: &str| {
        let (epoch, start) = text.split_once('@')?;
        Some(EpochStart { epoch: epoch.parse().ok()?, start: start.parse().ok()? })
    };
    if text.is_empty() { Some(Vec::new()) } else { text.split(',').map(entry).collect() }
}

/// Where the Parquet footer starts: before it, there may be bytes that no column chunk names.
fn parquet_footer(bytes: &[u8]) -> Option<usize> {
    let end = bytes.last_chunk::<PARQUET_END_BYTES>()?;
    let length = u32::from_le_bytes(*end.first_chunk()?) as usize;
    if &end[4..] != b"PAR1" {
        return None;
    }
    bytes.len().checked_sub(PARQUET_END_BYTES)?.checked_sub(length)
}

fn crc_around(before: &[u8], after: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(before), after)
}

fn seal(parquet: &[u8]) -> Option<Bytes> {
    let (before, after) = parquet.split_at(parquet_footer(parquet)?);
    let mut out = BytesMut::with_capacity(parquet.len() + SEAL_BYTES);
    out.put_slice(before);
    out.put_slice(SEAL_MAGIC);
    out.put_u32(crc_around(before, after));
    out.put_u32(0);
    out.put_slice(after);
    Some(out.freeze())
}

fn check_seal(bytes: &[u8]) -> Result<(), BadManifest> {
    let footer = parquet_footer(bytes).ok_or(BadManifest::Seal)?;
    let start = footer.checked_sub(SEAL_BYTES).ok_or(BadManifest::Seal)?;
    let (before, after) = (&bytes[..start], &bytes[footer..]);
    let mut expected = SEAL_MAGIC.to_vec();
    expected.put_u32(crc_around(before, after));
    expected.put_u32(0);
    if bytes[start..footer] == expected[..] { Ok(()) } else { Err(BadManifest::Seal) }
}
