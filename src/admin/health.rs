//! `/livez`: the process can work, for the disk of one log directory at least. `/readyz`: it serves as a member of the cluster.
//!
//! Both answer 200 or 503 with the reason as text, without a login, on every listener. `/readyz?in-sync` asks besides that no
//! replica here is outside of its ISR: whoever restarts one broker after the other waits for that.

use std::time::Duration;

use axum::extract;
use axum::http::StatusCode;

use super::State;
use crate::env::timeout;

/// Disks that do not answer for so long hang.
const PATIENCE: Duration = Duration::from_secs(5);

type Answer = (StatusCode, String);

fn answer(outcome: Result<&'static str, String>) -> Answer {
    match outcome {
        Ok(word) => (StatusCode::OK, format!("{word}\n")),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

pub(super) async fn livez(extract::State(state): extract::State<State>) -> Answer {
    let Some(broker) = state.broker() else { return answer(Ok("starting")) };
    // One that hangs is no reason to end what the others can serve.
    let works = timeout(&*state.env.clock, PATIENCE, broker.a_disk_answers()).await;
    answer(works.map(|()| "ok").map_err(|late| format!("the disk of no log directory answers: {late}")))
}

pub(super) async fn readyz(
    extract::State(state): extract::State<State>,
    extract::RawQuery(query): extract::RawQuery,
) -> Answer {
    let Some(broker) = state.broker() else { return answer(Err("the broker is starting".to_owned())) };
    let in_sync = query.is_some_and(|q| q.split('&').any(|word| word.trim_end_matches('=') == "in-sync"));
    answer(broker.readiness(in_sync).map(|()| "ok"))
}
