//! Lanes: the streams between a follower broker and a leader broker, each carrying many partitions' sessions.
//!
//! `follow` is the end that opens the stream, `serve` the end that accepted it. Both show life at least every
//! fourth of the session time-out, and give a stream up that has been silent for a whole one.

pub(super) mod follow;
pub(super) mod serve;

use std::time::Duration;

use bytes::Bytes;

use super::context::Context;
use super::frames::FrameError;
use crate::env::timeout;
use crate::transport::{FrameRecv, TransportError};

/// Entries of one frame's list, at most: keeps frames small when 10,000 partitions move at once.
const LIST: usize = 512;

/// Why a lane's stream ended.
#[derive(Debug, thiserror::Error)]
enum LaneError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("the peer has ended it")]
    Ended,
}

fn heartbeat(context: &Context) -> Duration {
    context.config.settings.session_timeout / 4
}

async fn receive(context: &Context, recv: &mut dyn FrameRecv) -> Result<Bytes, LaneError> {
    let silence = context.config.settings.session_timeout;
    match timeout(&*context.clock, silence, recv.recv()).await {
        Ok(frame) => frame?.ok_or(LaneError::Ended),
        Err(_) => Err(LaneError::Silent(silence)),
    }
}
