//! The five codecs of Kafka's records, with an upper bound on what comes out.

use std::io::{self, Read, Write as _};

use bytes::{Buf as _, Bytes};

use super::BatchError;

/// How a batch's records are compressed; the number is the one in the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Raw snappy, or xerial's framing of it (what the Java clients write).
    Snappy = 2,
    /// The LZ4 frame format.
    Lz4 = 3,
    /// RFC 8878 (KIP-110).
    Zstd = 4,
}

/// xerial's stream header: magic, version, oldest compatible version.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;

impl Compression {
    /// The codec of a number in the attributes.
    ///
    /// # Errors
    /// `BatchError::Codec` for 5, 6 and 7.
    pub fn from_id(id: i16) -> Result<Compression, BatchError> {
        Ok(match id {
            0 => Compression::None,
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            other => return Err(BatchError::Codec(other)),
        })
    }

    /// Kafka's name of the codec, as in `compression.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// Decompresses to at most `limit_bytes`. Uncompressed bytes come back as they are, without a copy.
///
/// # Errors
/// `Decompress` when the bytes are not the codec's, `Bomb` when there is more than the bound.
pub fn decompress(codec: Compression, bytes: &Bytes, limit_bytes: usize) -> Result<Bytes, BatchError> {
    let wrong = |e: io::Error| BatchError::Decompress { codec: codec.name(), reason: e.to_string() };
    match codec {
        Compression::None => Ok(bytes.clone()),
        Compression::Gzip => bounded(flate2::read::MultiGzDecoder::new(bytes.as_ref()), limit_bytes, wrong),
        Compression::Snappy => snappy(bytes, limit_bytes),
        Compression::Lz4 => bounded(lz4_flex::frame::FrameDecoder::new(bytes.as_ref()), limit_bytes, wrong),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes.as_ref()).map_err(wrong)?;
            bounded(decoder, limit_bytes, wrong)
        }
    }
}

fn bounded(
    decoder: impl Read,
    limit_bytes: usize,
    wrong: impl Fn(io::Error) -> BatchError,
) -> Result<Bytes, BatchError> {
    let mut out = Vec::new();
    let room = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(room).read_to_end(&mut out).map_err(wrong)?;
    if out.len() > limit_bytes { Err(BatchError::Bomb { limit_bytes }) } else { Ok(out.into()) }
}

fn snappy(bytes: &Bytes, limit_bytes: usize) -> Result<Bytes, BatchError> {
    let mut out = Vec::new();
    if !bytes.starts_with(&XERIAL_MAGIC) {
        snappy_block(bytes, &mut out, limit_bytes)?;
        return Ok(out.into());
    }
    let truncated = || BatchError::Decompress { codec: "snappy", reason: "a frame is cut short".to_owned() };
    let mut rest = bytes.get(XERIAL_HEADER_BYTES..).ok_or_else(truncated)?;
    while !rest.is_empty() {
        if rest.len() < 4 {
            return Err(truncated());
        }
        let len = usize::try_from(rest.get_u32()).map_err(|_| truncated())?;
        let block = rest.get(..len).ok_or_else(truncated)?;
        snappy_block(block, &mut out, limit_bytes)?;
        rest = &rest[len..];
    }
    Ok(out.into())
}

/// Appends one raw block. The block states its length first: the bound is checked before anything is allocated.
fn snappy_block(block: &[u8], out: &mut Vec<u8>, limit_bytes: usize) -> Result<(), BatchError> {
    let wrong = |e: snap::Error| BatchError::Decompress { codec: "snappy", reason: e.to_string() };
    let len = snap::raw::decompress_len(block).map_err(wrong)?;
    let start = out.len();
    if len > limit_bytes.saturating_sub(start) {
        return Err(BatchError::Bomb { limit_bytes });
    }
    // No input shorter than 1/64 of its output is snappy: a copy element of 3 bytes gives at most 64.
    if len / 64 > block.len() {
        return Err(BatchError::Decompress {
            codec: "snappy",
            reason: "the stated length is a lie".to_owned(),
        });
    }
    out.resize(start + len, 0);
    snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(wrong)?;
    Ok(())
}

/// Compresses in the form that Kafka's own clients write, at each codec's default level.
///
/// # Errors
/// `Decompress` with the codec's words; memory is the only thing that can fail here.
pub fn compress(codec: Compression, bytes: &[u8]) -> Result<Bytes, BatchError> {
    compress_at(codec, None, bytes)
}

/// The same at a level of the codec's own scale (KIP-390). Snappy has none, and of lz4 there is only the fast one here.
///
/// # Errors
/// As `compress`.
pub fn compress_at(codec: Compression, level: Option<i32>, bytes: &[u8]) -> Result<Bytes, BatchError> {
    let wrong = |reason: String| BatchError::Decompress { codec: codec.name(), reason };
    let io = |e: io::Error| wrong(e.to_string());
    Ok(match codec {
        Compression::None => Bytes::copy_from_slice(bytes),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), gzip_level(level));
            encoder.write_all(bytes).map_err(io)?;
            encoder.finish().map_err(io)?.into()
        }
        Compression::Snappy => {
            let block = snap::raw::Encoder::new().compress_vec(bytes).map_err(|e| wrong(e.to_string()))?;
            let mut out = Vec::with_capacity(XERIAL_HEADER_BYTES + 4 + block.len());
            out.extend_from_slice(&XERIAL_MAGIC);
            out.extend_from_slice(&1_u32.to_be_bytes());
            out.extend_from_slice(&1_u32.to_be_bytes());
            let len = u32::try_from(block.len()).map_err(|e| wrong(e.to_string()))?;
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&block);
            out.into()
        }
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).map_err(io)?;
            encoder.finish().map_err(|e| wrong(e.to_string()))?.into()
        }
        Compression::Zstd => zstd::stream::encode_all(bytes, level.unwrap_or(0)).map_err(io)?.into(),
    })
}

/// From 1 to 9; below that zlib's default, as with Kafka's −1.
fn gzip_level(level: Option<i32>) -> flate2::Compression {
    match level.and_then(|level| u32::try_from(level).ok()).filter(|level| (1..=9).contains(level)) {
        Some(level) => flate2::Compression::new(level),
        None => flate2::Compression::default(),
    }
}
