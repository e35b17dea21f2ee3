//! Who may do what: Kafka's ACLs (KIP-11, KIP-290), decided as its `StandardAuthorizer` decides.
//!
//! - An entry is about a resource when its pattern is literally the name, or `*`, or prefixed and a prefix of the name.
//! - Of the entries about a resource those count that name the principal (or `User:*`), the host (or `*`) and the
//!   operation (or all). One that denies wins over all that allow. Reading, writing, deleting and altering allow to
//!   describe, altering configs allows to describe them; denying them denies nothing else.
//! - Without an entry that counts it is denied; where there is no entry about the resource at all,
//!   `allow.everyone.if.no.acl.found` decides. Super users may do everything.
//!
//! What each API asks for, as Kafka's brokers do (`api` asks; a test asks every API as somebody who may nothing):
//!
//! | API | resource | operation | refusal |
//! |---|---|---|---|
//! | Produce | transactional id, topics | write, write | 53, 29 |
//! | Fetch | topics | read | 29 |
//! | ListOffsets | topics | describe | 29 |
//! | OffsetForLeaderEpoch | cluster, else topics | cluster action, describe | 29 |
//! | Metadata | topics | describe; unlisted where all are asked for | 29 |
//! | — to create a missing topic | cluster, else topic | create | 29 |
//! | OffsetCommit | group, topics | read, read | 30, 29 |
//! | OffsetFetch | group, topics | describe, describe; unlisted where all are asked for | 30, 29 |
//! | FindCoordinator | group or transactional id | describe | 30, 53 |
//! | JoinGroup, SyncGroup, Heartbeat, LeaveGroup | group | read | 30 |
//! | ConsumerGroupHeartbeat | group, topics that it names | read, describe | 30, 29 |
//! | DescribeGroups, ConsumerGroupDescribe | group | describe | 30 |
//! | — topics of a group of the consumer protocol | topics | describe | 29 |
//! | ListGroups | cluster, else each group | describe; unlisted | – |
//! | DeleteGroups | group | delete | 30 |
//! | CreateTopics | cluster, else topics | create | 29 |
//! | — to see the configs of what was created | topics | describe configs | 29 |
//! | DeleteTopics | cluster, else topics | delete; by id a name is told to who may describe it | 29 |
//! | DeleteRecords | topics | delete | 29 |
//! | CreatePartitions | topics | alter | 29 |
//! | InitProducerId | transactional id; else cluster, else any topic | write; idempotent write, else write | 53, 31 |
//! | AddPartitionsToTxn | transactional id, topics; from version 4 cluster | write, write; cluster action | 53, 29; 31 |
//! | AddOffsetsToTxn | transactional id, group | write, read | 53, 30 |
//! | EndTxn | transactional id | write | 53 |
//! | TxnOffsetCommit | transactional id, group, topics | write, read, read | 53, 30, 29 |
//! | WriteTxnMarkers | cluster | alter, else cluster action | 31 |
//! | OffsetDelete | group, topics | delete, read | 30, 29 |
//! | DescribeProducers | topics | read | 29 |
//! | DescribeTransactions | transactional id, topics | describe, describe; unlisted | 53, – |
//! | ListTransactions | transactional ids | describe; unlisted | – |
//! | DescribeConfigs | topic; group; cluster | describe configs | 29, 30, 31 |
//! | ListConfigResources | cluster; topics | describe configs; describe, unlisted | 31, – |
//! | DescribeTopicPartitions | topics | describe; unlisted where all are asked for | 29 |
//! | AlterConfigs, IncrementalAlterConfigs | topic; group; cluster | alter configs | 29, 30, 31 |
//! | UpdateFeatures | cluster | alter | 31 |
//! | DescribeAcls, DescribeUserScramCredentials | cluster | describe | 31 |
//! | CreateAcls, DeleteAcls, AlterUserScramCredentials | cluster | alter | 31 |
//! | DescribeClientQuotas | cluster | describe configs | 31 |
//! | AlterClientQuotas | cluster | alter configs | 31 |
//! | ElectLeaders, AlterPartitionReassignments, UnregisterBroker | cluster | alter | 31 |
//! | AddRaftVoter, RemoveRaftVoter | cluster | alter | 31 |
//! | ListPartitionReassignments, DescribeLogDirs, DescribeQuorum | cluster | describe | 31 |
//! | DescribeCluster, and authorized operations of Metadata | cluster | describe, for the operations | – |
//! | ApiVersions, SaslHandshake, SaslAuthenticate | – | – | – |
//! | GetTelemetrySubscriptions, PushTelemetry | – | – | – |

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Principal;
use crate::metadata::{
    AclBinding, AclOperation, AclPermission, CLUSTER_NAME, Image, PatternType, ResourceKind,
};

/// Everybody, as a principal of an entry.
const EVERYBODY: &str = "User:*";
/// Every name, as a literal pattern; every address, as a host.
const WILDCARD: &str = "*";

/// Who asks, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// From where.
    pub host: IpAddr,
}

/// Why something is allowed or denied: for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A super user may do everything.
    SuperUser,
    /// An entry says so.
    Entry,
    /// No entry is about the resource.
    NoEntry,
    /// Entries are about the resource, but none allows it.
    NoneAllows,
}

/// A decision and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why.
    pub rule: Rule,
}

/// Why the settings of the authorizer are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("super.users: `{0}` is not a principal; principals are written as User:name, separated by `;`")]
pub struct NotAPrincipal(String);

/// The authorizer of a broker.
#[derive(Debug)]
pub struct Authorizer {
    super_users: BTreeSet<String>,
    allow_if_no_entry: bool,
    /// The entries of the image that was asked about last.
    index: ArcSwap<Index>,
}

impl Authorizer {
    /// With Kafka's settings: `super.users` (`User:a;User:b`) and `allow.everyone.if.no.acl.found`.
    ///
    /// # Errors
    /// When one of the super users is not a principal.
    pub fn new(super_users: &str, allow_if_no_entry: bool) -> Result<Authorizer, NotAPrincipal> {
        let super_users = super_users.split(';').map(str::trim).filter(|user| !user.is_empty());
        let super_users: BTreeSet<String> = super_users.map(str::to_owned).collect();
        if let Some(bad) = super_users
            .iter()
            .find(|user| user.split_once(':').is_none_or(|(kind, name)| kind.is_empty() || name.is_empty()))
        {
            return Err(NotAPrincipal(bad.clone()));
        }
        Ok(Authorizer { super_users, allow_if_no_entry, index: ArcSwap::from_pointee(Index::default()) })
    }

    /// Whether anybody is a super user.
    #[must_use]
    pub fn has_super_users(&self) -> bool {
        !self.super_users.is_empty()
    }

    /// Whether somebody may do something with the resource of that name.
    #[must_use]
    pub fn decide(
        &self,
        image: &Image,
        asking: Asking<'_>,
        operation: AclOperation,
        kind: ResourceKind,
        name: &str,
    ) -> Decision {
        let principal = asking.principal.to_string();
        if self.super_users.contains(&principal) {
            return Decision { allowed: true, rule: Rule::SuperUser };
        }
        let index = self.index(image);
        let who = Who { principal: &principal, host: asking.host.to_canonical() };
        let mut outcome = Outcome::default();
        index.of(kind).about(name, |entry| outcome.take(entry, who, operation));
        match outcome {
            Outcome { denied: true, .. } => Decision { allowed: false, rule: Rule::Entry },
            Outcome { allowed: true, .. } => Decision { allowed: true, rule: Rule::Entry },
            Outcome { any: false, .. } => Decision { allowed: self.allow_if_no_entry, rule: Rule::NoEntry },
            Outcome { .. } => Decision { allowed: false, rule: Rule::NoneAllows },
        }
    }

    /// Whether somebody may do something with at least one resource of a kind: an entry allows it that no other one
    /// covers with a denial (KIP-679).
    #[must_use]
    pub fn may_with_some(
        &self,
        image: &Image,
        asking: Asking<'_>,
        operation: AclOperation,
        kind: ResourceKind,
    ) -> bool {
        // As Kafka: any name stands for those that no entry is about.
        if self.decide(image, asking, operation, kind, "hardcode").allowed {
            return true;
        }
        let principal = asking.principal.to_string();
        let who = Who { principal: &principal, host: asking.host.to_canonical() };
        let index = self.index(image);
        let entries = index.of(kind);
        let has = |entries: Option<&Vec<Entry>>, permission| {
            entries.into_iter().flatten().any(|entry| {
                let exact = entry.operation == operation || entry.operation == AclOperation::All;
                exact && entry.permission == permission && entry.names(who)
            })
        };
        let (deny, allow) = (AclPermission::Deny, AclPermission::Allow);
        if has(entries.literal.get(WILDCARD), deny) {
            return false;
        }
        if has(entries.literal.get(WILDCARD), allow) {
            return true;
        }
        let prefix_denied = |name: &str| {
            let mut denied = false;
            entries.prefixes_of(name, |found| denied |= has(Some(found), deny));
            denied
        };
        let literal = entries
            .literal
            .iter()
            .any(|(name, found)| has(Some(found), allow) && !has(Some(found), deny) && !prefix_denied(name));
        literal
            || entries.prefixed.iter().any(|(name, found)| has(Some(found), allow) && !prefix_denied(name))
    }

    /// The operations that somebody may do, as Kafka's bits (KIP-430).
    #[must_use]
    pub fn operations(&self, image: &Image, asking: Asking<'_>, kind: ResourceKind, name: &str) -> i32 {
        bits(
            operations_on(kind)
                .iter()
                .copied()
                .filter(|operation| self.decide(image, asking, *operation, kind, name).allowed),
        )
    }

    fn index(&self, image: &Image) -> Arc<Index> {
        let index = self.index.load();
        if Arc::ptr_eq(&index.source, &image.acls) {
            return index.clone();
        }
        let fresh = Arc::new(Index::new(image.acls.clone()));
        self.index.store(fresh.clone());
        fresh
    }
}

/// The operations that make sense of a kind of resource.
#[must_use]
pub fn operations_on(kind: ResourceKind) -> &'static [AclOperation] {
    use AclOperation::{
        Alter, AlterConfigs, ClusterAction, Create, CreateTokens, Delete, Describe, DescribeConfigs,
        DescribeTokens, IdempotentWrite, Read, TwoPhaseCommit, Write,
    };
    match kind {
        ResourceKind::Topic => &[Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs],
        ResourceKind::Group => &[Read, Delete, Describe, DescribeConfigs, AlterConfigs],
        ResourceKind::Cluster => {
            &[Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite]
        }
        ResourceKind::TransactionalId => &[Write, Describe, TwoPhaseCommit],
        ResourceKind::DelegationToken => &[Describe],
        ResourceKind::User => &[CreateTokens, DescribeTokens],
    }
}

/// Operations as Kafka's bits.
#[must_use]
pub fn bits(operations: impl IntoIterator<Item = AclOperation>) -> i32 {
    operations.into_iter().fold(0, |bits, operation| bits | 1 << operation.number())
}

/// The name of the one resource of kind `Cluster`.
pub const CLUSTER: &str = CLUSTER_NAME;

#[derive(Clone, Copy)]
struct Who<'a> {
    principal: &'a str,
    host: IpAddr,
}

#[derive(Debug)]
struct Entry {
    principal: String,
    host: Host,
    operation: AclOperation,
    permission: AclPermission,
}

#[derive(Debug)]
enum Host {
    Any,
    Address(IpAddr),
    /// Not an address: nobody comes from there.
    Nowhere,
}

impl Entry {
    fn names(&self, who: Who<'_>) -> bool {
        let host = match self.host {
            Host::Any => true,
            Host::Address(address) => address == who.host,
            Host::Nowhere => false,
        };
        host && (self.principal == who.principal || self.principal == EVERYBODY)
    }

    fn covers(&self, operation: AclOperation) -> bool {
        use AclOperation::{All, Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
        if self.operation == All || self.operation == operation {
            return true;
        }
        let implied = match operation {
            Describe => matches!(self.operation, Read | Write | Delete | Alter),
            DescribeConfigs => self.operation == AlterConfigs,
            _ => false,
        };
        implied && self.permission == AclPermission::Allow
    }
}

/// What the entries about a resource say.
#[derive(Default)]
struct Outcome {
    any: bool,
    allowed: bool,
    denied: bool,
}

impl Outcome {
    fn take(&mut self, entry: &Entry, who: Who<'_>, operation: AclOperation) {
        self.any = true;
        if entry.names(who) && entry.covers(operation) {
            match entry.permission {
                AclPermission::Allow => self.allowed = true,
                AclPermission::Deny => self.denied = true,
            }
        }
    }
}

/// The entries, by what finds them.
#[derive(Debug, Default)]
struct Index {
    source: Arc<BTreeSet<AclBinding>>,
    kinds: HashMap<ResourceKind, Entries>,
    none: Entries,
}

#[derive(Debug, Default)]
struct Entries {
    literal: HashMap<String, Vec<Entry>>,
    prefixed: BTreeMap<String, Vec<Entry>>,
}

impl Index {
    fn new(source: Arc<BTreeSet<AclBinding>>) -> Index {
        let mut kinds: HashMap<ResourceKind, Entries> = HashMap::new();
        for binding in source.iter() {
            let entries = kinds.entry(binding.kind).or_default();
            let entries = match binding.pattern {
                PatternType::Literal => entries.literal.entry(binding.name.clone()).or_default(),
                PatternType::Prefixed => entries.prefixed.entry(binding.name.clone()).or_default(),
            };
            let host = match binding.host.as_str() {
                WILDCARD => Host::Any,
                address => address
                    .parse()
                    .map_or(Host::Nowhere, |address: IpAddr| Host::Address(address.to_canonical())),
            };
            entries.push(Entry {
                principal: binding.principal.clone(),
                host,
                operation: binding.operation,
                permission: binding.permission,
            });
        }
        Index { source, kinds, none: Entries::default() }
    }

    fn of(&self, kind: ResourceKind) -> &Entries {
        self.kinds.get(&kind).unwrap_or(&self.none)
    }
}

impl Entries {
    /// Every entry about the resource of that name.
    fn about(&self, name: &str, mut each: impl FnMut(&Entry)) {
        for literal in [name, WILDCARD] {
            self.literal.get(literal).into_iter().flatten().for_each(&mut each);
            if name == WILDCARD {
                break;
            }
        }
        self.prefixes_of(name, |entries| entries.iter().for_each(&mut each));
    }

    /// The prefixed patterns that are prefixes of a name, the longest first. From one candidate the search goes on at what
    /// it has in common with the name, so that it takes at most one step a byte however many patterns there are.
    fn prefixes_of(&self, name: &str, mut each: impl FnMut(&Vec<Entry>)) {
        let mut bound = Bound::Included(name);
        loop {
            let Some((pattern, entries)) =
                self.prefixed.range::<str, _>((Bound::Unbounded, bound)).next_back()
            else {
                return;
            };
            if name.starts_with(pattern.as_str()) {
                each(entries);
                bound = Bound::Excluded(&name[..pattern.len()]);
            } else {
                bound = Bound::Included(common_prefix(name, pattern));
            }
        }
    }
}

fn common_prefix<'a>(name: &'a str, other: &str) -> &'a str {
    let same = name.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
    match same {
        Some(((at, _), _)) => &name[..at],
        None => &name[..name.len().min(other.len())],
    }
}

#[cfg(test)]
#[path = "authorizer_tests.rs"]
mod tests;
