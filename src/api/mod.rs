//! Kafka's APIs, one file per API key: decode, call the broker, encode. Kafka's error codes are chosen here alone.
//!
//! Every file's head names the versions it serves, how it behaves, and the error codes it gives. Its `handle` takes a
//! request and gives the response; [`dispatch`] is the table of all of them.

mod access;
mod acls;
mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod add_raft_voter;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_user_scram_credentials;
mod api_versions;
#[cfg(test)]
mod audit_tests;
mod client_quotas;
mod config_resources;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod errors;
mod fetch;
mod fetch_sessions;
mod find_coordinator;
mod get_telemetry_subscriptions;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod push_telemetry;
mod raft_voters;
mod remove_raft_voter;
mod sasl;
mod service;
mod sync_group;
mod throttle;
mod topics;
mod transactions;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod write_txn_markers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

pub use service::{Answer, Client, Gate, Proved, Service};

use self::fetch_sessions::FetchSessions;
use crate::broker::Broker;
use crate::env::BlockingPool;
use crate::metadata::QuotaKey;
use crate::security::Authorizer;
use crate::security::audit::Audit;
use crate::security::oauth::TokenValidator;
use crate::security::quotas::QuotaManager;
use crate::security::sasl::SaslServer;
use crate::wire::messages::header::RequestHeader;
use crate::wire::messages::produce::ProduceResponse;
use crate::wire::{ApiKey, DecodeError, Decoder, EncodeError, Limits, Message, Request, StrBytes, header};

/// The APIs of one broker.
#[derive(Clone)]
pub struct Api {
    broker: Arc<Broker>,
    fetch_sessions: Arc<FetchSessions>,
    authorizer: Option<Arc<Authorizer>>,
    audit: Arc<Audit>,
    quotas: Arc<QuotaManager>,
    sasl: SaslServer,
    /// For checks of passwords, which cost milliseconds.
    sasl_threads: BlockingPool,
}

/// What a handler knows besides its request.
pub(crate) struct Context {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Who asks.
    pub client: Arc<Client>,
    /// The name that the client gives itself.
    pub client_id: Option<StrBytes>,
    /// Who may do what; `None`: everybody everything.
    authorizer: Option<Arc<Authorizer>>,
    audit: Arc<Audit>,
    quotas: Arc<QuotaManager>,
    fetch_sessions: Arc<FetchSessions>,
    /// Bytes of the request.
    request_bytes: usize,
    /// What the quotas of this request's own kind ask for.
    throttle: Mutex<Duration>,
}

/// Why a connection is closed instead of answered.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("API key {0} is not known")]
    UnknownKey(i16),
    #[error("version {version} of {key:?} is not served")]
    UnknownVersion { key: ApiKey, version: i16 },
    #[error("a request cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("an answer cannot be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("{0:?} before the client has proved who it is")]
    NotAuthenticated(ApiKey),
    /// A produce request with acks=0 failed; closing is the only way to say so.
    #[error("a batch sent with acks=0 was not taken: {0}")]
    Unacknowledged(String),
}

impl Api {
    /// The APIs over a broker that has started.
    #[must_use]
    pub fn new(broker: Arc<Broker>, authorizer: Option<Authorizer>, tokens: Option<TokenValidator>) -> Api {
        let slots = broker.config().size("max.incremental.fetch.session.cache.slots");
        let quotas = Arc::new(QuotaManager::new(throttle::settings(broker.config())));
        let told = quotas.clone();
        tokio::spawn(broker.clone().follow_config(move |config| {
            told.set_connections_per_address(throttle::settings(config).connections_per_address);
        }));
        let sasl_threads = broker.env().threads.pool("sasl", 1);
        Api {
            sasl: SaslServer::new(broker.env().rng.clone(), tokens),
            audit: Arc::new(Audit::new(broker.env().clock.clone())),
            quotas,
            broker,
            fetch_sessions: Arc::new(FetchSessions::new(slots)),
            authorizer: authorizer.map(Arc::new),
            sasl_threads,
        }
    }

    async fn answer_or_close(self, client: Arc<Client>, frame: Bytes) -> Answer {
        // Made in place: a future that is moved into this one would be there twice.
        self.answer(client, frame).await.unwrap_or_else(|refusal| Answer::Close(refusal.to_string()))
    }

    async fn answer(self, client: Arc<Client>, frame: Bytes) -> Result<Answer, Refusal> {
        let request_bytes = frame.len();
        let limits = Limits::for_frame(request_bytes);
        let mut body = Decoder::new(frame, &limits);
        let header = header::read_request(&mut body)?;
        let key =
            ApiKey::from_key(header.request_api_key).ok_or(Refusal::UnknownKey(header.request_api_key))?;
        let version = header.request_api_version;
        if !key.serves(version) {
            // KIP-511: a newer client learns from version 0 what it may speak.
            return match key {
                ApiKey::ApiVersions => reply(&header, 0, &api_versions::unsupported_version()),
                _ => Err(Refusal::UnknownVersion { key, version }),
            };
        }
        let context = Context {
            broker: self.broker,
            client,
            client_id: header.client_id.clone(),
            authorizer: self.authorizer,
            audit: self.audit,
            quotas: self.quotas,
            fetch_sessions: self.fetch_sessions,
            request_bytes,
            throttle: Mutex::default(),
        };
        let answer = dispatch(&context, key, &header, body).await?;
        Ok(context.throttled(answer))
    }
}

impl Service for Api {
    fn admits(&self, from: std::net::IpAddr) -> bool {
        self.quotas.admits_connection(&self.broker.image(), from, self.broker.env().clock.now())
    }

    fn gate(&self, client: &Arc<Client>) -> Box<dyn Gate> {
        let (sasl, threads) = (self.sasl.clone(), self.sasl_threads.clone());
        Box::new(sasl::SaslGate::new(self.broker.clone(), client, sasl, threads, self.audit.clone()))
    }

    fn call(&self, client: &Arc<Client>, frame: Bytes) -> BoxFuture<'static, Answer> {
        Box::pin(self.clone().answer_or_close(client.clone(), frame))
    }
}

/// The table of all APIs. Each handler's state is in a box of its own: the largest of them would be moved with every request.
async fn dispatch(
    context: &Context,
    key: ApiKey,
    header: &RequestHeader,
    body: Decoder,
) -> Result<Answer, Refusal> {
    let version = header.request_api_version;
    macro_rules! handled_by {
        ($api:ident) => {
            answered!($api::handle(context, version, read(body, version)?))
        };
    }
    macro_rules! answered {
        ($handler:expr) => {{
            let mut response = context.timed(Box::pin($handler)).await;
            response.throttle_time_ms = context.throttle_ms();
            reply(header, version, &response)
        }};
    }
    match key {
        ApiKey::Produce => {
            let handled = Box::pin(produce::handle(context, version, read(body, version)?));
            let response = context.timed(handled).await?;
            context.take(QuotaKey::ProducerByteRate, context.request_bytes as f64);
            match response {
                Some(response) => {
                    let throttle_time_ms = context.throttle_ms();
                    reply(header, version, &ProduceResponse { throttle_time_ms, ..response })
                }
                None => Ok(Answer::Silence),
            }
        }
        ApiKey::Fetch => {
            let handled = Box::pin(fetch::handle(context, version, read(body, version)?));
            let (mut response, room) = context.timed(handled).await;
            response.throttle_time_ms = context.throttle_ms();
            Ok(match (reply(header, version, &response)?, room) {
                (Answer::Frame(chunks), Some(room)) => Answer::Large(chunks, room),
                (answer, _) => answer,
            })
        }
        ApiKey::ListOffsets => handled_by!(list_offsets),
        ApiKey::Metadata => {
            let request = metadata::read(body, version)?;
            answered!(metadata::handle(context, version, request))
        }
        ApiKey::OffsetCommit => handled_by!(offset_commit),
        ApiKey::OffsetFetch => handled_by!(offset_fetch),
        ApiKey::FindCoordinator => handled_by!(find_coordinator),
        ApiKey::JoinGroup => handled_by!(join_group),
        ApiKey::Heartbeat => handled_by!(heartbeat),
        ApiKey::LeaveGroup => handled_by!(leave_group),
        ApiKey::SyncGroup => handled_by!(sync_group),
        ApiKey::DescribeGroups => handled_by!(describe_groups),
        ApiKey::ListGroups => handled_by!(list_groups),
        ApiKey::SaslHandshake => reply(header, version, &sasl::handshake_out_of_place(read(body, version)?)),
        ApiKey::SaslAuthenticate => {
            reply(header, version, &sasl::authenticate_out_of_place(read(body, version)?))
        }
        ApiKey::ApiVersions => handled_by!(api_versions),
        ApiKey::CreateTopics => handled_by!(create_topics),
        ApiKey::DeleteTopics => handled_by!(delete_topics),
        ApiKey::DeleteRecords => handled_by!(delete_records),
        ApiKey::InitProducerId => handled_by!(init_producer_id),
        ApiKey::AddPartitionsToTxn => handled_by!(add_partitions_to_txn),
        ApiKey::AddOffsetsToTxn => handled_by!(add_offsets_to_txn),
        ApiKey::EndTxn => handled_by!(end_txn),
        ApiKey::WriteTxnMarkers => {
            let handled = Box::pin(write_txn_markers::handle(context, version, read(body, version)?));
            reply(header, version, &context.timed(handled).await)
        }
        ApiKey::TxnOffsetCommit => handled_by!(txn_offset_commit),
        ApiKey::OffsetDelete => handled_by!(offset_delete),
        ApiKey::DescribeProducers => handled_by!(describe_producers),
        ApiKey::DescribeTransactions => handled_by!(describe_transactions),
        ApiKey::ListTransactions => handled_by!(list_transactions),
        ApiKey::ConsumerGroupHeartbeat => handled_by!(consumer_group_heartbeat),
        ApiKey::ConsumerGroupDescribe => handled_by!(consumer_group_describe),
        ApiKey::OffsetForLeaderEpoch => handled_by!(offset_for_leader_epoch),
        ApiKey::DescribeAcls => {
            let request = describe_acls::read(body, version)?;
            answered!(describe_acls::handle(context, version, request))
        }
        ApiKey::CreateAcls => handled_by!(create_acls),
        ApiKey::DeleteAcls => handled_by!(delete_acls),
        ApiKey::DescribeConfigs => handled_by!(describe_configs),
        ApiKey::AlterConfigs => handled_by!(alter_configs),
        ApiKey::GetTelemetrySubscriptions => handled_by!(get_telemetry_subscriptions),
        ApiKey::PushTelemetry => handled_by!(push_telemetry),
        ApiKey::ListConfigResources => handled_by!(list_config_resources),
        ApiKey::DescribeTopicPartitions => handled_by!(describe_topic_partitions),
        ApiKey::DescribeLogDirs => handled_by!(describe_log_dirs),
        ApiKey::CreatePartitions => handled_by!(create_partitions),
        ApiKey::IncrementalAlterConfigs => handled_by!(incremental_alter_configs),
        ApiKey::DeleteGroups => handled_by!(delete_groups),
        ApiKey::DescribeClientQuotas => handled_by!(describe_client_quotas),
        ApiKey::AlterClientQuotas => handled_by!(alter_client_quotas),
        ApiKey::ElectLeaders => handled_by!(elect_leaders),
        ApiKey::AlterPartitionReassignments => handled_by!(alter_partition_reassignments),
        ApiKey::ListPartitionReassignments => handled_by!(list_partition_reassignments),
        ApiKey::DescribeUserScramCredentials => handled_by!(describe_user_scram_credentials),
        ApiKey::AlterUserScramCredentials => handled_by!(alter_user_scram_credentials),
        ApiKey::UpdateFeatures => handled_by!(update_features),
        ApiKey::DescribeCluster => handled_by!(describe_cluster),
        ApiKey::DescribeQuorum => {
            let handled = Box::pin(describe_quorum::handle(context, version, read(body, version)?));
            reply(header, version, &context.timed(handled).await)
        }
        ApiKey::AddRaftVoter => handled_by!(add_raft_voter),
        ApiKey::RemoveRaftVoter => handled_by!(remove_raft_voter),
        ApiKey::UnregisterBroker => handled_by!(unregister_broker),
    }
}

/// The whole body of a request.
fn read<R: Request>(mut body: Decoder, version: i16) -> Result<R, DecodeError> {
    let request = R::read(&mut body, version)?;
    body.finish()?;
    Ok(request)
}

/// The frame of a response.
fn reply<M: Message>(header: &RequestHeader, version: i16, response: &M) -> Result<Answer, Refusal> {
    let key = ApiKey::from_key(header.request_api_key).ok_or(Refusal::UnknownKey(header.request_api_key))?;
    let mut encoder = header::begin_response(key, version, header.correlation_id)?;
    response.write(&mut encoder, version)?;
    Ok(Answer::Frame(encoder.into_frame()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call takes and is moved by, before its handler is known.
    fn bytes_of<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_call_is_small_whatever_the_largest_handler_needs() {
        let bytes = bytes_of(Api::answer_or_close);
        assert!(bytes <= 4096, "{bytes} bytes are moved with every request");
    }
}
