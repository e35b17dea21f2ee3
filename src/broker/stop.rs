//! One signal that every background task of the broker waits for.

use tokio::sync::watch;

/// Set once, seen by all clones.
#[derive(Clone, Debug)]
pub struct StopSignal {
    sender: std::sync::Arc<watch::Sender<bool>>,
}

impl Default for StopSignal {
    fn default() -> Self {
        StopSignal { sender: std::sync::Arc::new(watch::Sender::new(false)) }
    }
}

impl StopSignal {
    /// Asks everybody to stop.
    pub fn stop(&self) {
        self.sender.send_replace(true);
    }

    /// Completes once somebody has asked.
    pub async fn stopped(&self) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self.sender.subscribe().wait_for(|stopping| *stopping).await;
    }
}
