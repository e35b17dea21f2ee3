//! A generation as Parquet bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};
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

use super::{Archive, Manifest, Removed, RemovedArchive, Segment, thrift};
use crate::layout::{ArchiveName, SegmentName};
use crate::lineage::EpochStart;

const FORMAT: &str = "1";
const SEAL_MAGIC: &[u8; 8] = b"ESKERCRC";
/// The seal: magic, CRC-32C, four zero bytes.
const SEAL_BYTES: usize = 16;
/// Behind the seal: the Parquet footer, its length (u32, little-endian) and `PAR1`.
const PARQUET_END_BYTES: usize = 8;
const LIVE: &str = "live";
const REMOVED: &str = "removed";
const ARCHIVE: &str = "archive";
const REMOVED_ARCHIVE: &str = "removed archive";
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
        field("segments", DataType::UInt32),
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

/// One row, of a segment or of an archive.
struct Row {
    state: &'static str,
    key: String,
    base: i64,
    end: i64,
    leader_epoch: i32,
    segments: u32,
    epochs: String,
    max_timestamp: i64,
    log_bytes: u64,
    footer_bytes: u32,
    crc: u32,
    removed_ms: i64,
}

impl Row {
    fn segment(segment: &Segment, removed: Option<i64>) -> Row {
        Row {
            state: if removed.is_some() { REMOVED } else { LIVE },
            key: format!("segments/{}", segment.name),
            base: segment.base(),
            end: segment.end,
            leader_epoch: segment.name.leader_epoch,
            segments: 1,
            epochs: print_epochs(&segment.epochs),
            max_timestamp: segment.max_timestamp,
            log_bytes: segment.log_bytes,
            footer_bytes: segment.footer_bytes,
            crc: segment.crc,
            removed_ms: removed.unwrap_or(-1),
        }
    }

    fn archive(archive: &Archive, removed: Option<i64>) -> Row {
        Row {
            state: if removed.is_some() { REMOVED_ARCHIVE } else { ARCHIVE },
            key: format!("manifest/archive/{}", archive.name),
            base: archive.start,
            end: archive.end(),
            leader_epoch: archive.name.leader_epoch(),
            segments: archive.segments,
            epochs: print_epochs(&archive.epochs),
            max_timestamp: archive.max_timestamp,
            log_bytes: archive.log_bytes,
            footer_bytes: archive.footer_bytes,
            crc: archive.crc,
            removed_ms: removed.unwrap_or(-1),
        }
    }
}

/// A sealed Parquet file of rows.
fn write(rows: &[Row], metadata: &[(&str, String)]) -> Result<Bytes, BadManifest> {
    let metadata =
        metadata.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
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
        writer.write(&record_batch(rows)?).map_err(form)?;
    }
    writer.close().map_err(form)?;
    seal(&out).ok_or_else(|| form("the Parquet writer left no footer"))
}

/// The rows of a sealed file, and its key-value metadata.
fn read(
    bytes: &Bytes,
    mut each: impl FnMut(&RecordBatch) -> Result<(), BadManifest>,
) -> Result<Values, BadManifest> {
    check_seal(bytes)?;
    // The Parquet reader panics on some files whose columns lie elsewhere than they say. The seal keeps accidents away from
    // it, not who can write to the bucket.
    let read = AssertUnwindSafe(|| read_parquet(bytes, &mut each));
    catch_unwind(read).unwrap_or_else(|_| Err(form("the Parquet reader gave up on it")))
}

fn read_parquet(
    bytes: &Bytes,
    each: &mut impl FnMut(&RecordBatch) -> Result<(), BadManifest>,
) -> Result<Values, BadManifest> {
    let footer = parquet_footer(bytes).ok_or(BadManifest::Seal)?;
    if !thrift::is_bounded(&bytes[footer..bytes.len() - PARQUET_END_BYTES]) {
        return Err(form("its footer announces more than it holds"));
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(form)?;
    let file = builder.metadata().file_metadata();
    let values = Values(file.key_value_metadata().cloned().unwrap_or_default());
    if values.get("esker.format")? != FORMAT {
        return Err(form(format!("format {} is newer than {FORMAT}", values.get("esker.format")?)));
    }
    // Columns may claim the same bytes; honest ones do not, and so the look at all of them is no longer than the file.
    let mut unclaimed = bytes.len();
    for column in builder.metadata().row_groups().iter().flat_map(|group| group.columns()) {
        let (start, len) = column.byte_range();
        let (start, len) = (usize::try_from(start).map_err(form)?, usize::try_from(len).map_err(form)?);
        unclaimed = unclaimed.checked_sub(len).ok_or_else(|| form("its columns claim more than it holds"))?;
        let pages = start.checked_add(len).and_then(|end| bytes.get(start..end));
        if !pages.is_some_and(thrift::pages_are_bounded) {
            return Err(form("a page's header announces more than it holds"));
        }
    }
    for batch in builder.build().map_err(form)? {
        each(&batch.map_err(form)?)?;
    }
    Ok(values)
}

struct Values(Vec<KeyValue>);

impl Values {
    fn get(&self, key: &str) -> Result<&str, BadManifest> {
        let pair = self.0.iter().find(|pair| pair.key == key);
        pair.and_then(|pair| pair.value.as_deref()).ok_or_else(|| form(format!("no {key}")))
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Display>>(&self, key: &str) -> Result<T, BadManifest> {
        self.get(key)?.parse().map_err(form)
    }
}

impl Manifest {
    /// The object's bytes.
    ///
    /// # Errors
    /// `Form` only when the Parquet writer fails, which it does not on memory.
    pub fn encode(&self) -> Result<Bytes, BadManifest> {
        let mut rows: Vec<Row> = Vec::new();
        rows.extend(self.removed_archives.iter().map(|r| Row::archive(&r.archive, Some(r.since_ms))));
        rows.extend(self.removed.iter().map(|r| Row::segment(&r.segment, Some(r.since_ms))));
        rows.extend(self.archives.iter().map(|archive| Row::archive(archive, None)));
        rows.extend(self.live.iter().map(|segment| Row::segment(segment, None)));
        let metadata = [
            ("esker.format", FORMAT.to_owned()),
            ("esker.generation", self.generation.to_string()),
            ("esker.writer.epoch", self.writer.epoch.to_string()),
            ("esker.writer.uuid", self.writer.uuid.simple().to_string()),
            ("esker.log.start", self.log_start.to_string()),
        ];
        write(&rows, &metadata)
    }

    /// Reads a generation.
    ///
    /// # Errors
    /// `BadManifest` for bytes that are not whole, not of this form, or contradict themselves.
    pub fn decode(bytes: &Bytes) -> Result<Manifest, BadManifest> {
        let mut manifest = Manifest::default();
        let values = read(bytes, |batch| read_rows(batch, &mut manifest))?;
        manifest.generation = values.number("esker.generation")?;
        manifest.writer.epoch = values.number("esker.writer.epoch")?;
        manifest.writer.uuid = Uuid::try_parse(values.get("esker.writer.uuid")?).map_err(form)?;
        manifest.log_start = values.number("esker.log.start")?;
        manifest.check()?;
        Ok(manifest)
    }
}

impl Archive {
    /// The file of these rows, by offset, and the row of the head that names it; `None` without rows.
    ///
    /// # Errors
    /// `Form` only when the Parquet writer fails, which it does not on memory.
    pub fn encode(
        leader_epoch: i32,
        fresh: Uuid,
        segments: &[Segment],
    ) -> Result<Option<(Archive, Bytes)>, BadManifest> {
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return Ok(None) };
        let name = ArchiveName::new(first.base(), last.end, leader_epoch, fresh);
        let rows: Vec<Row> = segments.iter().map(|segment| Row::segment(segment, None)).collect();
        let metadata =
            [("esker.format", FORMAT.to_owned()), ("esker.archive.uuid", name.uuid.simple().to_string())];
        let bytes = write(&rows, &metadata)?;
        Ok(Archive::of(name, segments, crc32c::crc32c(&bytes)).map(|archive| (archive, bytes)))
    }

    /// All rows of its file, also those that do not count any more.
    ///
    /// # Errors
    /// `BadManifest` for bytes that are not whole, or not of this archive.
    pub fn decode(&self, bytes: &Bytes) -> Result<Vec<Segment>, BadManifest> {
        if crc32c::crc32c(bytes) != self.crc {
            return Err(BadManifest::Seal);
        }
        let mut rows = Manifest::default();
        let values = read(bytes, |batch| read_rows(batch, &mut rows))?;
        rows.check()?;
        let whole = Archive::of(self.name, &rows.live, self.crc).is_some();
        if !whole || values.get("esker.archive.uuid")? != self.name.uuid.simple().to_string() {
            return Err(form("the file is of another archive"));
        }
        Ok(rows.live)
    }
}

fn record_batch(rows: &[Row]) -> Result<RecordBatch, BadManifest> {
    fn column<'a, A: FromIterator<T> + Array + 'static, T>(
        rows: &'a [Row],
        value: impl Fn(&'a Row) -> T,
    ) -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<A>())
    }
    let columns: Vec<ArrayRef> = vec![
        column::<UInt32Array, _>(rows, |row| Some(row.segments)),
        column::<Int64Array, _>(rows, |row| Some(row.base)),
        column::<Int64Array, _>(rows, |row| Some(row.end)),
        column::<Int32Array, _>(rows, |row| Some(row.leader_epoch)),
        column::<StringArray, _>(rows, |row| Some(row.epochs.as_str())),
        column::<Int64Array, _>(rows, |row| Some(row.max_timestamp)),
        column::<UInt64Array, _>(rows, |row| Some(row.log_bytes)),
        column::<UInt32Array, _>(rows, |row| Some(row.footer_bytes)),
        column::<UInt32Array, _>(rows, |row| Some(row.crc)),
        column::<StringArray, _>(rows, |row| Some(row.key.as_str())),
        column::<StringArray, _>(rows, |row| Some(row.state)),
        column::<Int64Array, _>(rows, |row| Some(row.removed_ms)),
    ];
    RecordBatch::try_new(schema(), columns).map_err(form)
}

fn column<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A, BadManifest> {
    let column = batch.column_by_name(name).ok_or_else(|| form(format!("no column {name}")))?;
    column.as_any().downcast_ref().ok_or_else(|| form(format!("column {name} has another type")))
}

fn read_rows(batch: &RecordBatch, manifest: &mut Manifest) -> Result<(), BadManifest> {
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
        let bad_key = || form(format!("key {key:?}"));
        let (base, since_ms) = (bases.value(row), removed.value(row));
        let epochs = parse_epochs(epochs.value(row)).ok_or_else(|| form("epochs"))?;
        let (max_timestamp, crc) = (timestamps.value(row), crcs.value(row));
        let (log_bytes, footer_bytes) = (log_bytes.value(row), footer_bytes.value(row));
        let state = states.value(row);
        if let ARCHIVE | REMOVED_ARCHIVE = state {
            let name = key.strip_prefix("manifest/archive/").and_then(ArchiveName::parse);
            let name = name.ok_or_else(bad_key)?;
            // Files of the first version had no archives, and no such column.
            let segments = column::<UInt32Array>(batch, "segments")?.value(row);
            let archive =
                Archive { name, start: base, segments, epochs, max_timestamp, log_bytes, footer_bytes, crc };
            if archive.end() != ends.value(row) {
                return Err(BadManifest::Content { generation: manifest.generation, offset: base });
            }
            match state {
                ARCHIVE => manifest.archives.push(archive),
                _ => manifest.removed_archives.push(RemovedArchive { archive, since_ms }),
            }
            continue;
        }
        let name = key.strip_prefix("segments/").and_then(SegmentName::parse).ok_or_else(bad_key)?;
        if name.base != base {
            return Err(BadManifest::Content { generation: manifest.generation, offset: name.base });
        }
        let end = ends.value(row);
        let segment = Segment { name, end, epochs, max_timestamp, log_bytes, footer_bytes, crc };
        match state {
            LIVE => manifest.live.push(segment),
            REMOVED => manifest.removed.push(Removed { segment, since_ms }),
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

/// The same file under a right seal, whatever became of it; `None` when there is no place for one.
#[cfg(test)]
pub(super) fn resealed(bytes: &[u8]) -> Option<Bytes> {
    let footer = parquet_footer(bytes)?;
    let before = &bytes[..footer.checked_sub(SEAL_BYTES)?];
    seal(&[before, &bytes[footer..]].concat())
}
