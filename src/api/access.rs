//! What the client may do: the questions that the APIs ask of the authorizer, and the codes of its refusals.
//!
//! The table of what each API asks for is in `security::authorizer`. Without an authorizer everybody may do everything.

use super::Context;
use super::errors::ApiError;
use crate::coordinator::TopicFilter;
use crate::metadata::{AclOperation, CLUSTER_NAME, Image, ResourceKind};
use crate::security::audit::Event;
use crate::security::authorizer::{Asking, bits, operations_on};
use crate::wire::ErrorCode;

impl Context {
    /// Whether the client may do something with the resource of that name; a refusal is told to the audit log.
    pub(super) fn may(&self, operation: AclOperation, kind: ResourceKind, name: &str) -> bool {
        let allowed = self.may_quietly(operation, kind, name);
        if !allowed {
            self.audit.tell(&Event::Denied { client: &self.client.caller(), operation, kind, name });
        }
        allowed
    }

    /// As `may`, where a refusal only leaves something out of an answer or leads to another question.
    pub(super) fn may_quietly(&self, operation: AclOperation, kind: ResourceKind, name: &str) -> bool {
        let Some(authorizer) = &self.authorizer else { return true };
        authorizer.decide(&self.broker.image(), self.asking(), operation, kind, name).allowed
    }

    /// The topics that the client may describe, for whoever asks later.
    pub(super) fn topic_filter(&self) -> TopicFilter {
        let Some(authorizer) = self.authorizer.clone() else { return TopicFilter::default() };
        let (broker, client) = (self.broker.clone(), self.client.clone());
        TopicFilter::new(move |topic| {
            let asking = Asking { principal: &client.principal, host: client.address.ip() };
            let (operation, kind) = (AclOperation::Describe, ResourceKind::Topic);
            authorizer.decide(&broker.image(), asking, operation, kind, topic.as_str()).allowed
        })
    }

    /// As `may`, for the cluster.
    pub(super) fn may_on_cluster(&self, operation: AclOperation) -> bool {
        self.may(operation, ResourceKind::Cluster, CLUSTER_NAME)
    }

    /// As `may_quietly`, for the cluster.
    pub(super) fn may_on_cluster_quietly(&self, operation: AclOperation) -> bool {
        self.may_quietly(operation, ResourceKind::Cluster, CLUSTER_NAME)
    }

    /// Refuses with the code of the kind of resource unless the client may.
    ///
    /// # Errors
    /// TOPIC_, GROUP_, CLUSTER_ or TRANSACTIONAL_ID_AUTHORIZATION_FAILED.
    pub(super) fn check(
        &self,
        operation: AclOperation,
        kind: ResourceKind,
        name: &str,
    ) -> Result<(), ErrorCode> {
        if self.may(operation, kind, name) { Ok(()) } else { Err(refusal(kind)) }
    }

    /// Refuses with CLUSTER_AUTHORIZATION_FAILED unless the client may.
    ///
    /// # Errors
    /// As it says.
    pub(super) fn check_on_cluster(&self, operation: AclOperation) -> Result<(), ApiError> {
        let checked = self.check(operation, ResourceKind::Cluster, CLUSTER_NAME);
        checked.map_err(|code| ApiError::new(code, refusal_text(ResourceKind::Cluster)))
    }

    /// Whether the client may produce without a transactional id as an idempotent producer (KIP-679).
    pub(super) fn may_write_idempotently(&self) -> bool {
        let Some(authorizer) = &self.authorizer else { return true };
        self.may_on_cluster_quietly(AclOperation::IdempotentWrite)
            || authorizer.may_with_some(
                &self.broker.image(),
                self.asking(),
                AclOperation::Write,
                ResourceKind::Topic,
            )
            || self.may_on_cluster(AclOperation::IdempotentWrite)
    }

    /// The operations that the client may do with a resource, as Kafka's bits (KIP-430).
    pub(super) fn operations(&self, kind: ResourceKind, name: &str) -> i32 {
        match &self.authorizer {
            Some(authorizer) => authorizer.operations(&self.broker.image(), self.asking(), kind, name),
            None => bits(operations_on(kind).iter().copied()),
        }
    }

    /// The operations on the cluster, for those who may describe it; no bit for others.
    pub(super) fn cluster_operations(&self) -> i32 {
        if self.may_on_cluster(AclOperation::Describe) {
            self.operations(ResourceKind::Cluster, CLUSTER_NAME)
        } else {
            0
        }
    }

    /// The topics of an image that the client may describe.
    pub(super) fn describable<'a>(
        &'a self,
        image: &'a Image,
    ) -> impl Iterator<Item = &'a std::sync::Arc<crate::metadata::Topic>> + 'a {
        image.topics.values().filter(|topic| {
            self.may_quietly(AclOperation::Describe, ResourceKind::Topic, topic.name.as_str())
        })
    }

    /// Tells the audit log of a change that the client has asked for.
    pub(super) fn changed(&self, api: &str, what: &str, error: Option<&ApiError>) {
        let error = error.map(|error| error.text.as_str());
        self.audit.tell(&Event::Changed { client: &self.client.caller(), api, what, error });
    }

    /// The same, for an API whose outcome is a code alone.
    pub(super) fn changed_with(&self, api: &str, what: &str, code: ErrorCode) {
        let error = (code != ErrorCode::NONE).then(|| code.to_string());
        self.audit.tell(&Event::Changed {
            client: &self.client.caller(),
            api,
            what,
            error: error.as_deref(),
        });
    }

    fn asking(&self) -> Asking<'_> {
        Asking { principal: &self.client.principal, host: self.client.address.ip() }
    }
}

/// Kafka's code for a refusal on a kind of resource.
pub(super) fn refusal(kind: ResourceKind) -> ErrorCode {
    match kind {
        ResourceKind::Topic => ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ResourceKind::Group => ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ResourceKind::Cluster | ResourceKind::User => ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
        ResourceKind::TransactionalId => ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ResourceKind::DelegationToken => ErrorCode::DELEGATION_TOKEN_AUTHORIZATION_FAILED,
    }
}

/// The text that goes with it.
pub(super) fn refusal_text(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Topic => "Topic authorization failed.",
        ResourceKind::Group => "Group authorization failed.",
        ResourceKind::Cluster | ResourceKind::User => "Cluster authorization failed.",
        ResourceKind::TransactionalId => "Transactional Id authorization failed.",
        ResourceKind::DelegationToken => "Delegation Token authorization failed.",
    }
}
