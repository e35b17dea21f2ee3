//! Topics and brokers as clients name and see them.

use std::sync::Arc;

use super::Context;
use super::errors::ApiError;
use crate::metadata::{BrokerInfo, BrokerState, Endpoint, Image};
use crate::types::{BrokerId, TopicId, TopicName};
use crate::wire::ErrorCode;

/// Kafka's "no authorized operations asked for".
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// Every operation on a topic, as Kafka's bits: read, write, create, delete, alter, describe, describe and alter configs.
pub(super) const ALL_TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// Every operation on the cluster: create, alter, describe, cluster action, describe and alter configs, idempotent write.
pub(super) const ALL_CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);

const fn bits(operations: &[u8]) -> i32 {
    let mut all = 0;
    let mut at = 0;
    while at < operations.len() {
        all |= 1 << operations[at];
        at += 1;
    }
    all
}

/// The topic of a request that names it up to some version, and gives its id from then on.
pub(super) fn by_name_or_id(
    image: &Image,
    by_id: bool,
    name: &str,
    id: TopicId,
) -> Result<(TopicName, Option<TopicId>), ErrorCode> {
    if by_id {
        let topic = image.topic_by_id(id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
        Ok((topic.name.clone(), Some(id)))
    } else {
        let name = TopicName::new(name).map_err(|_| ErrorCode::INVALID_TOPIC_EXCEPTION)?;
        Ok((name, None))
    }
}

/// A broker's address on a listener.
pub(super) fn endpoint<'a>(broker: &'a BrokerInfo, listener: &str) -> Option<&'a Endpoint> {
    broker.endpoints.iter().find(|endpoint| endpoint.listener == listener)
}

impl Context {
    /// Live brokers that have the client's listener, with their address on it.
    pub(super) fn live_brokers<'a>(
        &'a self,
        image: &'a Image,
    ) -> impl Iterator<Item = (&'a Arc<BrokerInfo>, &'a Endpoint)> + 'a {
        image
            .brokers
            .values()
            .filter(|broker| broker.state != BrokerState::Fenced)
            .filter_map(|broker| Some((broker, endpoint(broker, &self.client.listener)?)))
    }

    /// The addresses of some brokers on the client's listener, each once.
    pub(super) fn endpoints_of(
        &self,
        image: &Image,
        mut brokers: Vec<BrokerId>,
    ) -> Vec<(BrokerId, Endpoint, Option<String>)> {
        brokers.sort_unstable();
        brokers.dedup();
        brokers
            .into_iter()
            .filter_map(|id| {
                let broker = image.brokers.get(&id)?;
                Some((id, endpoint(broker, &self.client.listener)?.clone(), broker.rack.clone()))
            })
            .collect()
    }
}

/// A request names every topic at most once; `names` in the order of the request.
pub(super) fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> std::collections::HashSet<&'a str> {
    let mut seen = std::collections::HashSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}

/// The error of a name that a request gives twice.
pub(super) fn named_twice() -> ApiError {
    ApiError::new(ErrorCode::INVALID_REQUEST, "the request names it more than once")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_kafkas_bits() {
        assert_eq!((ALL_TOPIC_OPERATIONS, ALL_CLUSTER_OPERATIONS), (3576, 8096));
    }

    #[test]
    fn what_stands_twice_is_found() {
        assert_eq!(repeated(["a", "b", "a", "c", "a"].into_iter()).into_iter().collect::<Vec<_>>(), ["a"]);
    }
}
