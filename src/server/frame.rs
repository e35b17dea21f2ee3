//! Request frames: a length of four bytes, then so many bytes.
//!
//! The length is only a claim. Memory and budget grow as bytes come, and a frame that has begun must be whole by its
//! deadline (tests/README.md, hostile input 1 and 3).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::budget::{Budget, Reservation};
use crate::env::{Clock, MonoTime, timeout};

/// What an idle connection holds ready.
const IDLE_STEP: usize = 4 << 10;
/// The first step of a frame's memory.
const FIRST_STEP: usize = 64 << 10;
/// Memory grows to at most this many times what has come: a batch of 64 KB, of which 4 KB come with the first read, is then
/// read to where it lies, and not moved once more because of the few bytes around it.
const GROWTH: usize = 32;

/// Why no frame came.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The client has closed its side between two frames.
    #[error("the client closed the connection")]
    Closed,
    /// The client closed its side within a frame.
    #[error("the client closed the connection in the middle of a frame")]
    Torn,
    /// A length that no frame has.
    #[error("a frame of {length} bytes was announced; at most {limit} are taken")]
    Length {
        /// What was announced.
        length: i32,
        /// The bound.
        limit: usize,
    },
    /// The frame was not whole in time.
    #[error("a frame was not whole {0:?} after its first byte")]
    TooSlow(Duration),
    /// No byte for as long as connections may be idle.
    #[error("idle for {0:?}")]
    Idle(Duration),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A frame without its length, and the budget that it holds.
#[derive(Debug)]
pub(super) struct Frame {
    pub bytes: Bytes,
    pub reservation: Reservation,
}

/// Cuts a byte stream into frames.
pub(super) struct FrameReader<R> {
    from: R,
    buffer: BytesMut,
    budget: Budget,
    clock: Arc<dyn Clock>,
    /// A frame must be whole so long after its first byte.
    deadline: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(from: R, budget: Budget, clock: Arc<dyn Clock>, deadline: Duration) -> Self {
        FrameReader { from, buffer: BytesMut::new(), budget, clock, deadline }
    }

    /// The next frame of at most `limit` bytes. After `Idle`, when no byte of a frame has come, it may be called again.
    pub async fn next(&mut self, limit: usize, idle: Duration) -> Result<Frame, FrameError> {
        if self.buffer.is_empty() {
            let clock = self.clock.clone();
            match timeout(&*clock, idle, self.read_more(IDLE_STEP)).await {
                Err(_) => return Err(FrameError::Idle(idle)),
                Ok(Ok(0)) => return Err(FrameError::Closed),
                Ok(read) => read?,
            };
        }
        let begun = self.clock.now();
        while self.buffer.len() < 4 {
            self.read_until(begun, IDLE_STEP).await?;
        }
        let length = (&self.buffer[..4]).get_i32();
        let size = usize::try_from(length)
            .ok()
            .filter(|size| *size <= limit)
            .ok_or(FrameError::Length { length, limit })?;
        let mut reservation = self.budget.reservation();
        let whole = 4 + size;
        while self.buffer.len() < whole {
            let have = self.buffer.len();
            // Who may send only small frames, having proved nothing yet, gets memory in smaller steps too.
            let grown = have.saturating_mul(GROWTH).min(have + limit / 4);
            let memory = whole.min(FIRST_STEP.max(grown));
            if self.buffer.capacity() < memory {
                within(&*self.clock, self.deadline, begun, reservation.grow_to(memory)).await?;
                self.buffer.reserve(memory - have);
            }
            self.read_until(begun, memory - have).await?;
        }
        within(&*self.clock, self.deadline, begun, reservation.grow_to(size)).await?;
        self.buffer.advance(4);
        let bytes = self.buffer.split_to(size).freeze();
        Ok(Frame { bytes, reservation })
    }

    async fn read_until(&mut self, begun: MonoTime, at_most: usize) -> Result<(), FrameError> {
        let (clock, deadline) = (self.clock.clone(), self.deadline);
        let left = deadline.saturating_sub(clock.now().since(begun));
        match timeout(&*clock, left, self.read_more(at_most)).await {
            Err(_) => Err(FrameError::TooSlow(deadline)),
            Ok(Ok(0)) => Err(FrameError::Torn),
            Ok(read) => read.map(|_| ()).map_err(FrameError::Io),
        }
    }

    /// One read; cancelled, it has read nothing.
    async fn read_more(&mut self, at_most: usize) -> io::Result<usize> {
        if self.buffer.capacity() - self.buffer.len() < at_most.min(IDLE_STEP) {
            self.buffer.reserve(at_most);
        }
        self.from.read_buf(&mut self.buffer).await
    }
}

async fn within(
    clock: &dyn Clock,
    deadline: Duration,
    begun: MonoTime,
    wait: impl Future<Output = ()>,
) -> Result<(), FrameError> {
    let left = deadline.saturating_sub(clock.now().since(begun));
    timeout(clock, left, wait).await.map_err(|_| FrameError::TooSlow(deadline))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::env::RealClock;

    const IDLE: Duration = Duration::from_millis(50);

    fn reader(budget: &Budget) -> (FrameReader<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        (
            FrameReader::new(ours, budget.clone(), Arc::new(RealClock::new()), Duration::from_millis(200)),
            theirs,
        )
    }

    #[tokio::test]
    async fn frames_come_one_by_one_however_they_are_cut() {
        let budget = Budget::new(1 << 20);
        let (mut reader, mut client) = reader(&budget);
        let big = vec![7; 300_000];
        let sent = [&[0, 0, 0, 2, 1, 2, 0, 0, 0, 0], &300_000i32.to_be_bytes()[..], &big].concat();
        let writer = tokio::spawn(async move {
            for piece in sent.chunks(70_001) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(&reader.next(1 << 20, IDLE).await.unwrap().bytes[..], [1, 2]);
        assert_eq!(reader.next(1 << 20, IDLE).await.unwrap().bytes.len(), 0);
        let frame = reader.next(1 << 20, IDLE).await.unwrap();
        assert_eq!(frame.bytes, big);
        assert!(budget.free() <= (1 << 20) - 300_000, "the frame is counted while it is held");
        drop(frame);
        assert_eq!(budget.free(), 1 << 20);
        writer.await.unwrap();
        assert!(matches!(reader.next(1 << 20, IDLE).await, Err(FrameError::Closed)));
    }

    #[tokio::test]
    async fn a_length_that_is_negative_or_too_large_is_refused_at_once() {
        for length in [-1, i32::MIN, 1025, i32::MAX] {
            let budget = Budget::new(1 << 20);
            let (mut reader, mut client) = reader(&budget);
            client.write_all(&length.to_be_bytes()).await.unwrap();
            assert!(matches!(reader.next(1024, IDLE).await, Err(FrameError::Length { .. })), "{length}");
            assert_eq!(budget.free(), 1 << 20);
        }
    }

    #[tokio::test]
    async fn a_frame_that_drips_takes_little_memory_and_ends_at_the_deadline() {
        let budget = Budget::new(1 << 30);
        let (mut reader, mut client) = reader(&budget);
        client.write_all(&(100i32 << 20).to_be_bytes()).await.unwrap();
        client.write_all(&[1; 1000]).await.unwrap();
        assert!(matches!(reader.next(100 << 20, IDLE).await, Err(FrameError::TooSlow(_))));
        assert!(reader.buffer.capacity() <= 2 * FIRST_STEP, "{}", reader.buffer.capacity());
    }

    #[tokio::test]
    async fn silence_is_idle_and_half_a_frame_is_torn() {
        let budget = Budget::new(1 << 20);
        let (mut reader, mut client) = reader(&budget);
        assert!(matches!(reader.next(1024, IDLE).await, Err(FrameError::Idle(_))));
        client.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        drop(client);
        assert!(matches!(reader.next(1024, IDLE).await, Err(FrameError::Torn)));
    }
}
