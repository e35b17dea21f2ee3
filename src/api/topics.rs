//! Topics and brokers as clients name and see them.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::errors::ApiError;
use crate::env::{MonoTime, timeout};
use crate::metadata::{AclOperation, BrokerInfo, BrokerState, Endpoint, Image, ResourceKind};
use crate::types::{BrokerId, TopicId, TopicName};
use crate::wire::ErrorCode;

/// Kafka's "no authorized operations asked for".
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

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

/// Until when a change of topics is waited for. `None` where the client names no time: as long as the quorum is asked at all.
pub(super) fn deadline(context: &Context, timeout_ms: i32) -> Option<MonoTime> {
    let limit = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0)?;
    Some(context.broker.env().clock.now() + Duration::from_millis(limit))
}

/// A change of topics, or that it took too long; it may still be made then.
pub(super) async fn by<T, E: Into<ApiError>>(
    context: &Context,
    deadline: Option<MonoTime>,
    change: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    let Some(deadline) = deadline else { return change.await.map_err(Into::into) };
    let clock = &*context.broker.env().clock;
    let late = |text| Err(ApiError::new(ErrorCode::REQUEST_TIMED_OUT, text));
    if clock.now() >= deadline {
        return late("the time of the request was over before its turn came: nothing was changed");
    }
    match timeout(clock, deadline.since(clock.now()), change).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => late(
            "the metadata quorum is not available: no answer within the time of the request; it may be made later all the same",
        ),
    }
}

impl Context {
    /// As `by_name_or_id`, for a client that wants to do something with the topic. Whether a name exists is not told to
    /// who may not.
    pub(super) fn topic_for(
        &self,
        operation: AclOperation,
        image: &Image,
        by_id: bool,
        name: &str,
        id: TopicId,
    ) -> Result<(TopicName, Option<TopicId>), ErrorCode> {
        if by_id {
            let named = by_name_or_id(image, by_id, name, id)?;
            self.check(operation, ResourceKind::Topic, named.0.as_str())?;
            return Ok(named);
        }
        self.check(operation, ResourceKind::Topic, name)?;
        by_name_or_id(image, by_id, name, id)
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

/// The name of a topic that is to be there: of one that no topic can have it is said that there is none, as Kafka does.
pub(super) fn existing(name: &str) -> Result<TopicName, ApiError> {
    TopicName::new(name).map_err(|_| {
        ApiError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("there is no topic `{name}`"))
    })
}

/// A request names every topic at most once; `names` in the order of the request.
pub(super) fn repeated<T: Copy + Eq + std::hash::Hash>(
    names: impl Iterator<Item = T>,
) -> std::collections::HashSet<T> {
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
    fn what_stands_twice_is_found() {
        assert_eq!(repeated(["a", "b", "a", "c", "a"].into_iter()).into_iter().collect::<Vec<_>>(), ["a"]);
    }
}
