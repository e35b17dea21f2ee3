//! Frames on a byte stream: a length (u32, big endian), then that many bytes.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::TransportError;

/// A length that is no frame: sent by who has nothing else to say, where the transport has no sign of life of its own.
pub(super) const SIGN_OF_LIFE: u32 = u32::MAX;

/// Memory set aside on the strength of an announced length alone; what is above comes as the bytes come.
const TRUSTED_BYTES: usize = 64 * 1024;

/// The length of a frame made of these chunks, if it is within the bound.
pub(super) fn frame_len(chunks: &[Bytes], max: usize) -> Result<u32, TransportError> {
    let len = chunks.iter().map(Bytes::len).sum::<usize>();
    if len > max {
        return Err(TransportError::FrameTooLarge { len, max });
    }
    match u32::try_from(len) {
        Ok(len) if len != SIGN_OF_LIFE => Ok(len),
        _ => Err(TransportError::FrameTooLarge { len, max }),
    }
}

/// Puts frames together from what a byte stream gives. A frame that lies within one piece is a slice of it.
pub struct Inbox {
    max: usize,
    pieces: VecDeque<Bytes>,
    buffered: usize,
    partial: Option<Partial>,
}

struct Partial {
    len: usize,
    bytes: BytesMut,
}

impl Inbox {
    /// Of a stream whose frames have at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Inbox {
        Inbox { max, pieces: VecDeque::new(), buffered: 0, partial: None }
    }

    /// Takes what came next.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.buffered += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// `FrameTooLarge`, as soon as the length is there.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, TransportError> {
        if self.partial.is_none() {
            let Some(len) = self.take_header()? else { return Ok(None) };
            if let Some(front) = self.pieces.front_mut()
                && front.len() >= len
            {
                let frame = front.split_to(len);
                self.consumed(len);
                return Ok(Some(frame));
            }
            if len == 0 {
                return Ok(Some(Bytes::new()));
            }
            self.partial = Some(Partial { len, bytes: BytesMut::with_capacity(len.min(TRUSTED_BYTES)) });
        }
        let Some(partial) = &mut self.partial else { return Ok(None) };
        let mut taken = 0;
        while let Some(front) = self.pieces.front_mut() {
            let wanted = partial.len - partial.bytes.len();
            if wanted == 0 {
                break;
            }
            let part = front.split_to(wanted.min(front.len()));
            partial.reserve(part.len());
            partial.bytes.put_slice(&part);
            taken += part.len();
            if front.is_empty() {
                self.pieces.pop_front();
            }
        }
        self.buffered -= taken;
        Ok(self.take_whole())
    }

    /// Where the rest of a begun frame may be read to directly, with how much is missing; only when nothing is queued.
    pub(super) fn begun(&mut self) -> Option<(&mut BytesMut, usize)> {
        if self.buffered > 0 {
            return None;
        }
        let partial = self.partial.as_mut()?;
        let missing = partial.len - partial.bytes.len();
        partial.reserve(1);
        Some((&mut partial.bytes, missing))
    }

    /// Whether the stream may end here.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.partial.is_none() && self.buffered == 0
    }

    fn take_whole(&mut self) -> Option<Bytes> {
        self.partial.take_if(|p| p.bytes.len() == p.len).map(|p| p.bytes.freeze())
    }

    fn take_header(&mut self) -> Result<Option<usize>, TransportError> {
        loop {
            if self.buffered < 4 {
                return Ok(None);
            }
            let mut header = [0; 4];
            let mut got = 0;
            while got < 4 {
                let Some(front) = self.pieces.front_mut() else { return Ok(None) };
                let part = front.split_to(front.len().min(4 - got));
                header[got..got + part.len()].copy_from_slice(&part);
                got += part.len();
                self.consumed(part.len());
            }
            let header = u32::from_be_bytes(header);
            if header == SIGN_OF_LIFE {
                continue;
            }
            let len = header as usize;
            if len > self.max {
                return Err(TransportError::FrameTooLarge { len, max: self.max });
            }
            return Ok(Some(len));
        }
    }

    fn consumed(&mut self, n: usize) {
        self.buffered -= n;
        if self.pieces.front().is_some_and(Bytes::is_empty) {
            self.pieces.pop_front();
        }
    }
}

impl Partial {
    /// Room for `more` bytes: four times what has come, never beyond the frame. (Doubling copies every byte of a large
    /// frame about once more.)
    fn reserve(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            let room = more.max(3 * self.bytes.len()).min(self.len - self.bytes.len());
            self.bytes.reserve(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for frame in frames {
            out.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
            out.extend_from_slice(frame);
        }
        out
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_bytes_are_cut(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in proptest::collection::vec(1usize..40, 1..20),
        ) {
            let bytes = Bytes::from(encoded(&frames));
            let mut inbox = Inbox::new(1000);
            let mut out = Vec::new();
            let mut rest = bytes;
            let mut cut = cuts.iter().cycle();
            while !rest.is_empty() {
                let n = (*cut.next().unwrap()).min(rest.len());
                inbox.push(rest.split_to(n));
                while let Some(frame) = inbox.next_frame().unwrap() {
                    out.push(frame.to_vec());
                }
            }
            prop_assert!(inbox.is_between_frames());
            prop_assert_eq!(out, frames);
        }
    }

    #[test]
    fn a_length_above_the_bound_is_refused_before_its_bytes() {
        let mut inbox = Inbox::new(10);
        inbox.push(Bytes::from_static(&[0, 0, 0, 11]));
        assert!(matches!(inbox.next_frame(), Err(TransportError::FrameTooLarge { len: 11, max: 10 })));
    }

    #[test]
    fn a_sign_of_life_is_no_frame() {
        let mut inbox = Inbox::new(10);
        inbox.push(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 7, 0xff, 0xff, 0xff, 0xff]));
        assert_eq!(inbox.next_frame().unwrap().unwrap(), Bytes::from_static(&[7]));
        assert!(inbox.next_frame().unwrap().is_none());
        assert!(inbox.is_between_frames());
    }

    #[test]
    fn a_great_length_alone_reserves_little() {
        let mut inbox = Inbox::new(1 << 30);
        inbox.push(Bytes::from_static(&[0x3f, 0xff, 0xff, 0xff, 1]));
        assert!(inbox.next_frame().unwrap().is_none());
        assert!(inbox.partial.as_ref().unwrap().bytes.capacity() <= 2 * TRUSTED_BYTES);
        assert!(!inbox.is_between_frames());
    }
}
