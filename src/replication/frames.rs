//! The frames of a replication stream, big-endian; this file is the whole format.
//!
//! A follower opens one stream per leader broker and lane and multiplexes its partitions' sessions on it.
//! ```text
//! follower → leader                                     leader → follower
//!   0 Hello   magic "ESKR", version u8, lane u32          16 Answers    count u32, { session, answer }…
//!   1 Opens   count u32, { session u64, open }…           17 Append     session, base offset, positions, batches…
//!   2 Acks    count u32, { session, end, start, credit }… 18 Positions  count u32, { session, positions }…
//!   3 Closes  count u32, session…                         19 Closes     count u32, session…
//!
//! open      topic id [16], partition i32, leader epoch i32, broker epoch i64, directory id [16],
//!           log end i64, last epoch i32, log start i64, credit u64
//! answer    0 Fenced · 1 UnknownEpoch · 2 NotLeader · 3 NotReplica · 7 Accepted
//!           4 Diverged  epoch i32, end i64
//!           5 Tiered    local start i64, tier end i64, generation u64
//!           6 Reset     log start i64, count u32, { epoch i32, start i64 }…
//! positions high watermark i64, log start i64, tier end i64 (−1: no tier), generation u64
//! ```
//! `credit` counts bytes of batches since the session began: the leader begins no frame at or above it. An empty
//! `Acks` or `Positions` is a sign of life.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::isr::follower::LeaderPositions;
use super::isr::{OpenAnswer, OpenRequest, TierPosition};
use crate::log::EpochEntry;
use crate::types::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, TopicId};

/// The version that [`ToLeader::Hello`] must carry.
pub const VERSION: u8 = 1;
const MAGIC: &[u8; 4] = b"ESKR";

const OPEN_BYTES: usize = 8 + 16 + 4 + 4 + 8 + 16 + 8 + 4 + 8 + 8;
const ACK_BYTES: usize = 8 + 8 + 8 + 8;
const POSITIONS_BYTES: usize = 8 + 8 + 8 + 8;
const EPOCH_BYTES: usize = 4 + 8;

/// Why a frame was refused; the stream is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It ends before its content does.
    #[error("a replication frame is truncated")]
    Truncated,
    /// Bytes after its content.
    #[error("a replication frame has {0} bytes too many")]
    Trailing(usize),
    /// A count that the bytes that remain can't hold.
    #[error("a replication frame announces {count} entries in {remaining} bytes")]
    Count {
        /// What it announces.
        count: usize,
        /// What there is.
        remaining: usize,
    },
    /// A tag that this direction doesn't have.
    #[error("unknown tag {0} in a replication frame")]
    Tag(u8),
    /// The greeting is not ours, or of another version.
    #[error("the peer speaks another replication protocol (version {0}, this broker speaks {VERSION})")]
    Version(u8),
}

/// A follower's wish for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Chosen by the follower; never used twice in one life.
    pub session: u64,
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: i32,
    /// The leader epoch that the follower's image shows.
    pub leader_epoch: LeaderEpoch,
    /// The follower's registration.
    pub broker_epoch: BrokerEpoch,
    /// The directory of its replica.
    pub directory: DirectoryId,
    /// Its log end.
    pub log_end: Offset,
    /// The epoch of its last batch.
    pub last_epoch: LeaderEpoch,
    /// Its log start.
    pub log_start: Offset,
    /// The first credit.
    pub credit: u64,
}

impl Open {
    /// As the state machine takes it, from the broker that the stream's certificate names.
    #[must_use]
    pub fn request(&self, broker: BrokerId) -> OpenRequest {
        OpenRequest {
            broker,
            leader_epoch: self.leader_epoch,
            broker_epoch: self.broker_epoch,
            directory: self.directory,
            log_end: self.log_end,
            last_epoch: self.last_epoch,
            log_start: self.log_start,
        }
    }
}

/// A follower's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The session.
    pub session: u64,
    /// The follower's log end.
    pub log_end: Offset,
    /// Its log start.
    pub log_start: Offset,
    /// Bytes of batches that the leader may have sent since the session began.
    pub credit: u64,
}

/// Frames from follower to leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToLeader {
    /// The first frame of a stream.
    Hello {
        /// Which of the follower's streams this is.
        lane: u32,
    },
    /// Sessions to open.
    Opens(Vec<Open>),
    /// Acknowledgements.
    Acks(Vec<Ack>),
    /// Sessions that the follower has ended.
    Closes(Vec<u64>),
}

/// Batches for one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The session.
    pub session: u64,
    /// The offset of the first record.
    pub base: Offset,
    /// The leader's positions.
    pub positions: LeaderPositions,
    /// Whole record batches, one after the other: a slice of the frame.
    pub batches: Bytes,
}

/// Frames from leader to follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToFollower {
    /// Answers to opens.
    Answers(Vec<(u64, OpenAnswer)>),
    /// Batches.
    Append(Append),
    /// Positions that have moved without batches.
    Positions(Vec<(u64, LeaderPositions)>),
    /// Sessions that the leader has ended: open again.
    Closes(Vec<u64>),
}

impl ToLeader {
    /// The frame's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            ToLeader::Hello { lane } => {
                out.put_u8(0);
                out.put_slice(MAGIC);
                out.put_u8(VERSION);
                out.put_u32(*lane);
            }
            ToLeader::Opens(opens) => {
                start(&mut out, 1, opens.len(), OPEN_BYTES);
                for open in opens {
                    out.put_u64(open.session);
                    out.put_slice(open.topic.as_bytes());
                    out.put_i32(open.partition);
                    out.put_i32(open.leader_epoch.0);
                    out.put_i64(open.broker_epoch.0);
                    out.put_slice(open.directory.as_bytes());
                    out.put_i64(open.log_end.0);
                    out.put_i32(open.last_epoch.0);
                    out.put_i64(open.log_start.0);
                    out.put_u64(open.credit);
                }
            }
            ToLeader::Acks(acks) => {
                start(&mut out, 2, acks.len(), ACK_BYTES);
                for ack in acks {
                    out.put_u64(ack.session);
                    out.put_i64(ack.log_end.0);
                    out.put_i64(ack.log_start.0);
                    out.put_u64(ack.credit);
                }
            }
            ToLeader::Closes(sessions) => put_sessions(&mut out, 3, sessions),
        }
        out.freeze()
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// `FrameError` says what is wrong with it; nothing is allocated for counts that the frame can't hold.
    pub fn decode(frame: Bytes) -> Result<ToLeader, FrameError> {
        let mut input = Input(frame);
        let message = match input.u8()? {
            0 => {
                let magic: [u8; 4] = input.array()?;
                let version = input.u8()?;
                if &magic != MAGIC || version != VERSION {
                    return Err(FrameError::Version(version));
                }
                ToLeader::Hello { lane: input.u32()? }
            }
            1 => ToLeader::Opens(input.list(OPEN_BYTES, |input| {
                Ok(Open {
                    session: input.u64()?,
                    topic: TopicId::from_bytes(input.array()?),
                    partition: input.i32()?,
                    leader_epoch: LeaderEpoch(input.i32()?),
                    broker_epoch: BrokerEpoch(input.i64()?),
                    directory: DirectoryId::from_bytes(input.array()?),
                    log_end: Offset(input.i64()?),
                    last_epoch: LeaderEpoch(input.i32()?),
                    log_start: Offset(input.i64()?),
                    credit: input.u64()?,
                })
            })?),
            2 => ToLeader::Acks(input.list(ACK_BYTES, |input| {
                Ok(Ack {
                    session: input.u64()?,
                    log_end: Offset(input.i64()?),
                    log_start: Offset(input.i64()?),
                    credit: input.u64()?,
                })
            })?),
            3 => ToLeader::Closes(input.list(8, Input::u64)?),
            tag => return Err(FrameError::Tag(tag)),
        };
        input.end()?;
        Ok(message)
    }
}

impl Append {
    /// The frame without its batches, which follow it as further chunks.
    #[must_use]
    pub fn head(session: u64, base: Offset, positions: &LeaderPositions) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + 8 + 8 + POSITIONS_BYTES);
        out.put_u8(17);
        out.put_u64(session);
        out.put_i64(base.0);
        put_positions(&mut out, positions);
        out.freeze()
    }
}

impl ToFollower {
    /// The frame's bytes. (`Append` frames go out without copying: [`Append::head`] and the batches.)
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            ToFollower::Answers(answers) => {
                start(&mut out, 16, answers.len(), 16);
                for (session, answer) in answers {
                    out.put_u64(*session);
                    put_answer(&mut out, answer);
                }
            }
            ToFollower::Append(append) => {
                out.put_slice(&Append::head(append.session, append.base, &append.positions));
                out.put_slice(&append.batches);
            }
            ToFollower::Positions(all) => {
                start(&mut out, 18, all.len(), 8 + POSITIONS_BYTES);
                for (session, positions) in all {
                    out.put_u64(*session);
                    put_positions(&mut out, positions);
                }
            }
            ToFollower::Closes(sessions) => put_sessions(&mut out, 19, sessions),
        }
        out.freeze()
    }

    /// Reads one frame; the batches of an `Append` stay a slice of it.
    ///
    /// # Errors
    /// `FrameError` says what is wrong with it; nothing is allocated for counts that the frame can't hold.
    pub fn decode(frame: Bytes) -> Result<ToFollower, FrameError> {
        let mut input = Input(frame);
        let message = match input.u8()? {
            16 => ToFollower::Answers(input.list(9, |input| Ok((input.u64()?, answer(input)?)))?),
            17 => {
                let session = input.u64()?;
                let base = Offset(input.i64()?);
                let positions = positions(&mut input)?;
                let batches = std::mem::take(&mut input.0);
                ToFollower::Append(Append { session, base, positions, batches })
            }
            18 => ToFollower::Positions(
                input.list(8 + POSITIONS_BYTES, |input| Ok((input.u64()?, positions(input)?)))?,
            ),
            19 => ToFollower::Closes(input.list(8, Input::u64)?),
            tag => return Err(FrameError::Tag(tag)),
        };
        input.end()?;
        Ok(message)
    }
}

fn start(out: &mut BytesMut, tag: u8, count: usize, entry_bytes: usize) {
    out.reserve(5 + count * entry_bytes);
    out.put_u8(tag);
    out.put_u32(u32::try_from(count).expect("a frame's lists are cut far below 2^32 entries"));
}

fn put_sessions(out: &mut BytesMut, tag: u8, sessions: &[u64]) {
    start(out, tag, sessions.len(), 8);
    for session in sessions {
        out.put_u64(*session);
    }
}

fn put_positions(out: &mut BytesMut, positions: &LeaderPositions) {
    out.put_i64(positions.high_watermark.0);
    out.put_i64(positions.log_start.0);
    out.put_i64(positions.tier.map_or(-1, |tier| tier.end.0));
    out.put_u64(positions.tier.map_or(0, |tier| tier.generation));
}

fn positions(input: &mut Input) -> Result<LeaderPositions, FrameError> {
    let high_watermark = Offset(input.i64()?);
    let log_start = Offset(input.i64()?);
    let end = Offset(input.i64()?);
    let generation = input.u64()?;
    let tier = (end.0 >= 0).then_some(TierPosition { end, generation });
    Ok(LeaderPositions { high_watermark, log_start, tier })
}

fn put_answer(out: &mut BytesMut, answer: &OpenAnswer) {
    match answer {
        OpenAnswer::Fenced => out.put_u8(0),
        OpenAnswer::UnknownEpoch => out.put_u8(1),
        OpenAnswer::NotLeader => out.put_u8(2),
        OpenAnswer::NotReplica => out.put_u8(3),
        OpenAnswer::Diverged { epoch, end } => {
            out.put_u8(4);
            out.put_i32(epoch.0);
            out.put_i64(end.0);
        }
        OpenAnswer::Tiered { local_start, tier } => {
            out.put_u8(5);
            out.put_i64(local_start.0);
            out.put_i64(tier.end.0);
            out.put_u64(tier.generation);
        }
        OpenAnswer::Reset { log_start, chain } => {
            out.put_u8(6);
            out.put_i64(log_start.0);
            out.put_u32(u32::try_from(chain.len()).expect("a log has far fewer than 2^32 epochs"));
            for entry in chain {
                out.put_i32(entry.epoch.0);
                out.put_i64(entry.start.0);
            }
        }
        OpenAnswer::Accepted => out.put_u8(7),
    }
}

fn answer(input: &mut Input) -> Result<OpenAnswer, FrameError> {
    Ok(match input.u8()? {
        0 => OpenAnswer::Fenced,
        1 => OpenAnswer::UnknownEpoch,
        2 => OpenAnswer::NotLeader,
        3 => OpenAnswer::NotReplica,
        4 => OpenAnswer::Diverged { epoch: LeaderEpoch(input.i32()?), end: Offset(input.i64()?) },
        5 => OpenAnswer::Tiered {
            local_start: Offset(input.i64()?),
            tier: TierPosition { end: Offset(input.i64()?), generation: input.u64()? },
        },
        6 => OpenAnswer::Reset {
            log_start: Offset(input.i64()?),
            chain: input.list(EPOCH_BYTES, |input| {
                Ok(EpochEntry { epoch: LeaderEpoch(input.i32()?), start: Offset(input.i64()?) })
            })?,
        },
        7 => OpenAnswer::Accepted,
        tag => return Err(FrameError::Tag(tag)),
    })
}

/// A checked reader: `Buf` panics where this returns `Truncated`.
struct Input(Bytes);

impl Input {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let mut array = [0; N];
        self.0.try_copy_to_slice(&mut array).map_err(|_| FrameError::Truncated)?;
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32, FrameError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, FrameError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn list<T>(
        &mut self,
        least_bytes: usize,
        mut read: impl FnMut(&mut Input) -> Result<T, FrameError>,
    ) -> Result<Vec<T>, FrameError> {
        let count = self.u32()? as usize;
        let remaining = self.0.remaining();
        if count > remaining / least_bytes {
            return Err(FrameError::Count { count, remaining });
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }

    fn end(&self) -> Result<(), FrameError> {
        match self.0.remaining() {
            0 => Ok(()),
            more => Err(FrameError::Trailing(more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_open() -> impl Strategy<Value = Open> {
        (any::<(u64, [u8; 16], i32, i32, i64)>(), any::<([u8; 16], i64, i32, i64, u64)>()).prop_map(
            |((session, topic, partition, leader, broker), (directory, end, last, start, credit))| Open {
                session,
                topic: TopicId::from_bytes(topic),
                partition,
                leader_epoch: LeaderEpoch(leader),
                broker_epoch: BrokerEpoch(broker),
                directory: DirectoryId::from_bytes(directory),
                log_end: Offset(end),
                last_epoch: LeaderEpoch(last),
                log_start: Offset(start),
                credit,
            },
        )
    }

    fn any_tier() -> impl Strategy<Value = TierPosition> {
        (0..i64::MAX, any::<u64>())
            .prop_map(|(end, generation)| TierPosition { end: Offset(end), generation })
    }

    fn any_positions() -> impl Strategy<Value = LeaderPositions> {
        (any::<(i64, i64)>(), proptest::option::of(any_tier())).prop_map(|((high, start), tier)| {
            LeaderPositions { high_watermark: Offset(high), log_start: Offset(start), tier }
        })
    }

    fn any_answer() -> impl Strategy<Value = OpenAnswer> {
        prop_oneof![
            Just(OpenAnswer::Fenced),
            Just(OpenAnswer::UnknownEpoch),
            Just(OpenAnswer::NotLeader),
            Just(OpenAnswer::NotReplica),
            Just(OpenAnswer::Accepted),
            any::<(i32, i64)>()
                .prop_map(|(e, end)| OpenAnswer::Diverged { epoch: LeaderEpoch(e), end: Offset(end) }),
            (any::<i64>(), any_tier())
                .prop_map(|(start, tier)| OpenAnswer::Tiered { local_start: Offset(start), tier }),
            (any::<i64>(), proptest::collection::vec(any::<(i32, i64)>(), 0..5)).prop_map(
                |(start, chain)| {
                    let chain = chain
                        .into_iter()
                        .map(|(e, s)| EpochEntry { epoch: LeaderEpoch(e), start: Offset(s) })
                        .collect();
                    OpenAnswer::Reset { log_start: Offset(start), chain }
                }
            ),
        ]
    }

    fn any_to_leader() -> impl Strategy<Value = ToLeader> {
        let ack = any::<(u64, i64, i64, u64)>().prop_map(|(session, end, start, credit)| Ack {
            session,
            log_end: Offset(end),
            log_start: Offset(start),
            credit,
        });
        prop_oneof![
            any::<u32>().prop_map(|lane| ToLeader::Hello { lane }),
            proptest::collection::vec(any_open(), 0..4).prop_map(ToLeader::Opens),
            proptest::collection::vec(ack, 0..4).prop_map(ToLeader::Acks),
            proptest::collection::vec(any::<u64>(), 0..4).prop_map(ToLeader::Closes),
        ]
    }

    fn any_to_follower() -> impl Strategy<Value = ToFollower> {
        let append = (any::<(u64, i64, Vec<u8>)>(), any_positions()).prop_map(
            |((session, base, batches), positions)| {
                ToFollower::Append(Append { session, base: Offset(base), positions, batches: batches.into() })
            },
        );
        prop_oneof![
            proptest::collection::vec((any::<u64>(), any_answer()), 0..4).prop_map(ToFollower::Answers),
            append,
            proptest::collection::vec((any::<u64>(), any_positions()), 0..4).prop_map(ToFollower::Positions),
            proptest::collection::vec(any::<u64>(), 0..4).prop_map(ToFollower::Closes),
        ]
    }

    proptest! {
        #[test]
        fn every_frame_round_trips(up in any_to_leader(), down in any_to_follower()) {
            prop_assert_eq!(ToLeader::decode(up.encode()), Ok(up));
            prop_assert_eq!(ToFollower::decode(down.encode()), Ok(down));
        }

        #[test]
        fn a_cut_or_padded_frame_is_an_error_and_never_a_panic(up in any_to_leader(), cut in any::<usize>()) {
            let bytes = up.encode();
            prop_assert!(ToLeader::decode(bytes.slice(..cut % bytes.len())).is_err());
            let padded = [&bytes[..], b"x"].concat();
            prop_assert!(ToLeader::decode(padded.into()).is_err());
        }

        #[test]
        fn random_bytes_are_never_a_panic(bytes in any::<Vec<u8>>(), tag in prop_oneof![0u8..4, 16u8..20]) {
            let frame = Bytes::from([&[tag][..], &bytes].concat());
            let _ = ToLeader::decode(frame.clone());
            let _ = ToFollower::decode(frame);
        }
    }

    #[test]
    fn a_count_that_the_frame_cannot_hold_is_refused_before_anything_is_allocated() {
        for tag in [1, 2, 3] {
            let frame = Bytes::from(vec![tag, 0xff, 0xff, 0xff, 0xff, 0]);
            assert_eq!(ToLeader::decode(frame), Err(FrameError::Count { count: 0xffff_ffff, remaining: 1 }));
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_golden_bytes_of_each_frame_stay_as_they_are() {
        assert_eq!(hex(&ToLeader::Hello { lane: 3 }.encode()), "0045534b520100000003");
        let open = Open {
            session: 1,
            topic: TopicId::from_bytes([0xaa; 16]),
            partition: 2,
            leader_epoch: LeaderEpoch(3),
            broker_epoch: BrokerEpoch(4),
            directory: DirectoryId::from_bytes([0xbb; 16]),
            log_end: Offset(5),
            last_epoch: LeaderEpoch(-1),
            log_start: Offset(6),
            credit: 7,
        };
        assert_eq!(
            hex(&ToLeader::Opens(vec![open]).encode()),
            format!(
                "0100000001{:016x}{}{:08x}{:08x}{:016x}{}{:016x}ffffffff{:016x}{:016x}",
                1,
                "aa".repeat(16),
                2,
                3,
                4,
                "bb".repeat(16),
                5,
                6,
                7
            )
        );
        let ack = Ack { session: 1, log_end: Offset(2), log_start: Offset(3), credit: 4 };
        assert_eq!(
            hex(&ToLeader::Acks(vec![ack]).encode()),
            format!("0200000001{:016x}{:016x}{:016x}{:016x}", 1, 2, 3, 4)
        );
        assert_eq!(hex(&ToLeader::Closes(vec![9]).encode()), "03000000010000000000000009");

        let positions = LeaderPositions { high_watermark: Offset(1), log_start: Offset(2), tier: None };
        let tier = TierPosition { end: Offset(3), generation: 4 };
        let append = Append {
            session: 9,
            base: Offset(8),
            positions: LeaderPositions { tier: Some(tier), ..positions },
            batches: Bytes::from_static(b"B"),
        };
        assert_eq!(
            hex(&ToFollower::Append(append).encode()),
            format!("11{:016x}{:016x}{:016x}{:016x}{:016x}{:016x}42", 9, 8, 1, 2, 3, 4)
        );
        assert_eq!(
            hex(&ToFollower::Positions(vec![(9, positions)]).encode()),
            format!("1200000001{:016x}{:016x}{:016x}ffffffffffffffff{:016x}", 9, 1, 2, 0)
        );
        assert_eq!(hex(&ToFollower::Closes(vec![9]).encode()), "13000000010000000000000009");
        let answers = vec![
            (1, OpenAnswer::Accepted),
            (2, OpenAnswer::Diverged { epoch: LeaderEpoch(-1), end: Offset(5) }),
            (3, OpenAnswer::Tiered { local_start: Offset(6), tier }),
            (
                4,
                OpenAnswer::Reset {
                    log_start: Offset(7),
                    chain: vec![EpochEntry { epoch: LeaderEpoch(8), start: Offset(9) }],
                },
            ),
        ];
        assert_eq!(
            hex(&ToFollower::Answers(answers).encode()),
            format!(
                "1000000004{:016x}07{:016x}04ffffffff{:016x}{:016x}05{:016x}{:016x}{:016x}{:016x}06{:016x}00000001{:08x}{:016x}",
                1, 2, 5, 3, 6, 3, 4, 4, 7, 8, 9
            )
        );
    }
}
