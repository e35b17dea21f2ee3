//! What tests of this crate share: batches that look like Kafka's.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::batch::HEADER_BYTES;

/// A batch with a right CRC; the records are any bytes.
pub fn batch(base: i64, records: i32, leader_epoch: i32, max_timestamp: i64, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i64(base);
    out.put_i32((HEADER_BYTES - 12 + payload.len()) as i32);
    out.put_i32(leader_epoch);
    out.put_i8(2);
    out.put_u32(0);
    out.put_i16(0);
    out.put_i32(records - 1);
    out.put_i64(max_timestamp);
    out.put_i64(max_timestamp);
    out.put_i64(-1);
    out.put_i16(-1);
    out.put_i32(-1);
    out.put_i32(records);
    out.put_slice(payload);
    let crc = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
}

/// A local segment in memory.
#[derive(Debug, Clone)]
pub struct MemorySegment(pub Bytes);

#[async_trait::async_trait]
impl crate::upload::SegmentSource for MemorySegment {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, position: u64, bytes: usize) -> std::io::Result<Bytes> {
        let start = (position as usize).min(self.0.len());
        let end = start.saturating_add(bytes).min(self.0.len());
        Ok(self.0.slice(start..end))
    }
}

/// `count` batches of `records` records from `base` on, and their bytes in one.
pub fn batches(base: i64, count: usize, records: i32, epoch: i32, payload: usize) -> Bytes {
    let mut all = BytesMut::new();
    for i in 0..count {
        let offset = base + i as i64 * i64::from(records);
        // Bytes that differ from batch to batch, so that a mixed-up read is seen.
        let fill: Vec<u8> = (0..payload).map(|j| (offset as usize * 31 + j) as u8).collect();
        all.put_slice(&batch(offset, records, epoch, offset * 10, &fill));
    }
    all.freeze()
}
