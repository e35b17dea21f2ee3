//! The level of commands (`image::COMMANDS`): when it rises, who holds it back, and that no program below it goes on with what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::command::Command;
use super::core::Core;
use super::image::{COMMANDS, Image};
use super::liveness::HoldsBack;
use super::raft::broker;
use crate::types::BrokerId;

/// Between two tries to take a snapshot.
const AGAIN: Duration = Duration::from_secs(1);

/// Words of commands that earlier programs do not know are used once every broker has said that it knows them: a cluster whose
/// brokers are replaced one after the other goes on in the old words until the last one is.
pub(super) async fn raise(core: &Core, image: &Image, term: u64) {
    let metrics = core.metrics();
    let members: Vec<BrokerId> =
        metrics.membership_config.membership().nodes().filter_map(|(id, _)| broker(*id)).collect();
    if image.cluster_id.is_empty() {
        return;
    }
    let (level, held_back) = {
        let mut liveness = core.liveness.lock();
        let held_back = liveness.holds_back(image, &members, COMMANDS.1, core.env.clock.now());
        (liveness.common_level(image, &members).min(COMMANDS.1), held_back)
    };
    for broker in held_back {
        tell_who_holds_back(broker, image.commands_level());
    }
    if level <= image.commands_level() {
        return;
    }
    let levels = BTreeMap::from([(COMMANDS.0.to_owned(), level)]);
    let answer = core.write_in_term(Command::UpdateFeatures { levels }, term).await;
    tracing::info!(level, ?answer, "every broker understands this level of commands");
}

pub(super) fn tell_who_holds_back(broker: HoldsBack, level: i16) {
    let feature = COMMANDS.0;
    match broker {
        HoldsBack::Silent(broker) => tracing::warn!(
            %broker, %feature, level,
            "the broker holds the level of commands back: it is registered, and nothing is heard of it. Start it, or if it never \
            comes back: esker cluster drain {broker}, then esker cluster remove {broker}"
        ),
        HoldsBack::Unregistered(broker) => tracing::warn!(
            %broker, %feature, level,
            "the broker holds the level of commands back: it is a member of the metadata quorum and has not registered. Start it, or \
            if it never comes: esker cluster remove-voter {broker}"
        ),
        HoldsBack::Older(broker, understands) => tracing::warn!(
            %broker, %feature, level, understands,
            "the broker holds the level of commands back: it runs an older program. Give it the one that the others run"
        ),
    }
}

/// Runs on every node: whenever the level has risen it takes a snapshot, which names the level. Programs before level 3 refuse only an
/// image that names one above their own, and pass over the command that raises it: from the log alone they would go on in the old
/// words, with another image than everybody else's.
pub(super) async fn store(core: Arc<Core>) {
    let mut images = core.images.clone();
    loop {
        let has_risen = images.wait_for(|image| image.commands_level() > core.snapshots.level());
        tokio::select! {
            () = core.stopped() => return,
            risen = has_risen => if risen.is_err() { return },
        }
        if let Err(error) = core.raft.trigger().snapshot().await {
            return tracing::debug!(%error, "no snapshot names the new level of commands");
        }
        // One that was begun before may name the old one.
        if !core.pause(AGAIN).await {
            return;
        }
    }
}
