//! What brokers say to each other about chunks, on streams of kind `TierPeer`.
//!
//! ```text
//! question: version u8 = 1 · kind u8 (1 locate, 2 read) · request · (locate: holder that had it not i32, −1 none)
//! request:  object 16 · number u32 · topic id 16 · partition i32 · position u64 · bytes u32 · crc u32 · base i64 · end i64
//! answer:   kind u8 (0 nothing, 1 fetch, 2 ask: broker i32, 3 bytes: the rest)                         (big endian)
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tiering::cache::ChunkId;
use tiering::object::Chunk;
use tiering::read::WantedChunk;
use uuid::Uuid;

use crate::types::{BrokerId, TopicId};

const VERSION: u8 = 1;
const REQUEST_BYTES: usize = 72;

/// A chunk that is asked for, with all that tells whether bytes are it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker::tier) struct Request {
    pub(super) id: ChunkId,
    pub(super) topic: TopicId,
    pub(super) partition: i32,
    pub(super) chunk: Chunk,
    /// The offset after its last record.
    pub(super) end: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Where is it?
    Locate { request: Request, stale: Option<BrokerId> },
    /// Give it.
    Read { request: Request },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Not here.
    Nothing,
    /// Get it from the store; others will be sent to you.
    Fetch,
    /// Ask this one.
    Ask(BrokerId),
    /// Here it is.
    Bytes(Bytes),
}

impl Request {
    /// `None` for a folder that is no topic's.
    pub(super) fn of(wanted: &WantedChunk) -> Option<Request> {
        let (topic, partition) = wanted.folder.topic_partition();
        let topic = topic.parse().ok()?;
        Some(Request { id: wanted.id, topic, partition, chunk: wanted.chunk, end: wanted.end })
    }

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.id.object.as_bytes());
        out.put_u32(self.id.number);
        out.put_slice(self.topic.as_bytes());
        out.put_i32(self.partition);
        out.put_u64(self.chunk.position);
        out.put_u32(self.chunk.bytes);
        out.put_u32(self.chunk.crc);
        out.put_i64(self.chunk.base);
        out.put_i64(self.end);
    }

    /// The caller has checked the length.
    fn decode(input: &mut Bytes) -> Request {
        let sixteen = |input: &mut Bytes| {
            let mut bytes = [0; 16];
            input.copy_to_slice(&mut bytes);
            bytes
        };
        Request {
            id: ChunkId { object: Uuid::from_bytes(sixteen(input)), number: input.get_u32() },
            topic: TopicId::from_bytes(sixteen(input)),
            partition: input.get_i32(),
            chunk: Chunk {
                position: input.get_u64(),
                bytes: input.get_u32(),
                crc: input.get_u32(),
                base: input.get_i64(),
            },
            end: input.get_i64(),
        }
    }
}

impl Question {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(REQUEST_BYTES + 6);
        out.put_u8(VERSION);
        match self {
            Question::Locate { request, stale } => {
                out.put_u8(1);
                request.encode(&mut out);
                out.put_i32(stale.map_or(-1, |stale| stale.0));
            }
            Question::Read { request } => {
                out.put_u8(2);
                request.encode(&mut out);
            }
        }
        out.freeze()
    }

    /// `None` for what is no question of this version.
    pub(super) fn decode(bytes: &Bytes) -> Option<Question> {
        let mut input = bytes.clone();
        let (kind, length) = match bytes.get(..2)? {
            [VERSION, 1] => (1, 2 + REQUEST_BYTES + 4),
            [VERSION, 2] => (2, 2 + REQUEST_BYTES),
            _ => return None,
        };
        if bytes.len() != length {
            return None;
        }
        input.advance(2);
        let request = Request::decode(&mut input);
        if kind == 2 {
            return Some(Question::Read { request });
        }
        let stale = Some(input.get_i32()).filter(|id| *id >= 0).map(BrokerId);
        Some(Question::Locate { request, stale })
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Bytes {
        match self {
            Answer::Nothing => Bytes::from_static(&[0]),
            Answer::Fetch => Bytes::from_static(&[1]),
            Answer::Ask(broker) => {
                let mut out = BytesMut::with_capacity(5);
                out.put_u8(2);
                out.put_i32(broker.0);
                out.freeze()
            }
            Answer::Bytes(bytes) => {
                let mut out = BytesMut::with_capacity(1 + bytes.len());
                out.put_u8(3);
                out.put_slice(bytes);
                out.freeze()
            }
        }
    }

    /// `None` for what is no answer.
    pub(super) fn decode(bytes: &Bytes) -> Option<Answer> {
        match (bytes.first()?, bytes.len()) {
            (0, 1) => Some(Answer::Nothing),
            (1, 1) => Some(Answer::Fetch),
            (2, 5) => Some(Answer::Ask(BrokerId(bytes.slice(1..).get_i32()))),
            (3, _) => Some(Answer::Bytes(bytes.slice(1..))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            id: ChunkId { object: Uuid::from_bytes([1; 16]), number: 2 },
            topic: TopicId::from_bytes([3; 16]),
            partition: 4,
            chunk: Chunk { position: 5, bytes: 6, crc: 7, base: 8 },
            end: 9,
        }
    }

    fn golden() -> Vec<u8> {
        let mut golden = vec![1; 16];
        golden.extend([0, 0, 0, 2]);
        golden.extend([3; 16]);
        golden.extend([0, 0, 0, 4]);
        golden.extend([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7]);
        golden.extend([0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9]);
        golden
    }

    /// Brokers of different versions speak these words with each other.
    #[test]
    fn the_words_between_brokers_stay() {
        let locate = |stale| Question::Locate { request: request(), stale };
        for (question, head, tail) in [
            (locate(None), [1, 1], vec![255; 4]),
            (locate(Some(BrokerId(3))), [1, 1], vec![0, 0, 0, 3]),
            (Question::Read { request: request() }, [1, 2], vec![]),
        ] {
            let bytes = [head.to_vec(), golden(), tail].concat();
            assert_eq!(question.encode(), bytes);
            assert_eq!(Question::decode(&bytes.into()), Some(question));
        }
        for (answer, bytes) in [
            (Answer::Nothing, &[0][..]),
            (Answer::Fetch, &[1]),
            (Answer::Ask(BrokerId(258)), &[2, 0, 0, 1, 2]),
            (Answer::Bytes(Bytes::from_static(b"xy")), b"\x03xy"),
        ] {
            assert_eq!(answer.encode(), bytes);
            assert_eq!(Answer::decode(&Bytes::copy_from_slice(bytes)), Some(answer));
        }
    }

    #[test]
    fn what_is_cut_too_long_or_of_another_version_is_no_question() {
        let whole = Question::Locate { request: request(), stale: None }.encode();
        for end in 0..whole.len() {
            assert_eq!(Question::decode(&whole.slice(..end)), None, "{end}");
        }
        let longer = Bytes::from([&whole[..], &[0]].concat());
        let later = Bytes::from([&[2], &whole[1..]].concat());
        assert_eq!((Question::decode(&longer), Question::decode(&later)), (None, None));
        for bytes in [&[][..], &[2, 0], &[0, 0], &[9]] {
            assert_eq!(Answer::decode(&Bytes::copy_from_slice(bytes)), None);
        }
    }
}
