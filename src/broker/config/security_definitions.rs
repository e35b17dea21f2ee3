//! The broker properties about who may connect, how often, and who may do what.

use super::definition::{Definition, Kind, bool, list, number, one_of, text};

const I32: i64 = i32::MAX as i64;
const I64: i64 = i64::MAX;
/// Kafka's name of the authorizer that decides by the ACLs in the metadata.
const STANDARD_AUTHORIZER: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";

/// Sorted by name.
pub(super) const SECURITY: &[Definition] = &[
    bool(
        "allow.everyone.if.no.acl.found",
        "false",
        "With an authorizer: whether everybody may use what no ACL is about.",
    ),
    Definition {
        name: "authorizer.class.name",
        kind: Kind::OneOf(&["", STANDARD_AUTHORIZER]),
        default: None,
        topic_config: None,
        doc: "Switches ACLs on; what none allows is denied. Without it every client may do everything.",
    },
    text(
        "audit.log.path",
        None,
        "File of the audit log; default: the broker's own log, with the target esker::audit.",
    ),
    number(
        "connection.creation.rate.per.ip",
        "500",
        1,
        I32,
        "Connections a second from one address without a quota of its own; more are turned away.",
    ),
    number(
        "connections.max.idle.ms",
        "600000",
        1,
        I64,
        "Idle client connections are closed after this time.",
    ),
    number(
        "connection.failed.authentication.delay.ms",
        "100",
        0,
        60_000,
        "How long the answer to a failed authentication is held back.",
    ),
    number(
        "connections.max.reauth.ms",
        "0",
        0,
        I64,
        "A SASL client must authenticate again within this time, or is closed; 0: never.",
    ),
    number(
        "max.connection.creation.rate",
        "1000",
        1,
        I32,
        "Client connections a second, here and for each listener (`listener.name.<name>.…`); more wait to be accepted.",
    ),
    number(
        "max.connections",
        "10000",
        1,
        I32,
        "Client connections, here and for each listener (`listener.name.<name>.…`); more are turned away.",
    ),
    number("max.connections.per.ip", "5000", 1, I32, "Client connections from one address."),
    text("peer.ssl.ca.location", None, "PEM file of the cluster's CA."),
    text("peer.ssl.certificate.location", None, "PEM file of this node's certificate."),
    text("peer.ssl.key.location", None, "PEM file of this node's private key."),
    number("quota.window.num", "11", 1, 1_000, "Windows that quotas are averaged over."),
    number("quota.window.size.seconds", "1", 1, 3_600, "Length of one such window."),
    Definition {
        name: "sasl.enabled.mechanisms",
        kind: Kind::SomeOf(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]),
        default: Some("SCRAM-SHA-256,SCRAM-SHA-512"),
        topic_config: None,
        doc: "SASL mechanisms offered on SASL listeners.",
    },
    number(
        "sasl.oauthbearer.clock.skew.seconds",
        "30",
        0,
        86_400,
        "How far clocks of brokers and authority may differ.",
    ),
    list(
        "sasl.oauthbearer.expected.audience",
        None,
        "One of these a token must be meant for; without them it must be meant for nobody in particular.",
    ),
    text(
        "sasl.oauthbearer.expected.issuer",
        None,
        "Whom a token must be from; default: whoever has the keys.",
    ),
    number(
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        "3600000",
        1_000,
        I64,
        "How often the keys are read from an endpoint; a file is read when it changes.",
    ),
    number(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        "10000",
        100,
        I64,
        "The longest pause before an endpoint that failed, or lacks a token's key, is asked again.",
    ),
    number(
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        "100",
        1,
        I64,
        "The first pause before an endpoint that failed is asked again.",
    ),
    text(
        "sasl.oauthbearer.jwks.endpoint.truststore.location",
        None,
        "PEM file of the CAs of the endpoint's certificate; default: the system's.",
    ),
    text(
        "sasl.oauthbearer.jwks.endpoint.url",
        None,
        "The public keys that tokens are checked with, `https://…` or `file:///…`; OAUTHBEARER needs it.",
    ),
    text("sasl.oauthbearer.sub.claim.name", Some("sub"), "The claim of a token that names its bearer."),
    Definition {
        name: "security.bootstrap.user",
        kind: Kind::Secret,
        default: None,
        topic_config: None,
        doc: "`name:password` created once, as long as the cluster has no user at all.",
    },
    number(
        "socket.receive.deadline.ms",
        "30000",
        100,
        I32,
        "A request frame must arrive whole within this time of its first byte.",
    ),
    one_of(
        "ssl.client.auth",
        "none",
        &["none", "requested", "required"],
        "Whether clients must show a certificate.",
    ),
    Definition {
        name: "ssl.key.password",
        kind: Kind::Secret,
        default: None,
        topic_config: None,
        doc: "Passphrase of the listeners' private key; the environment's ESKER_SSL_KEY_PASSWORD sets it too.",
    },
    text("ssl.key.password.location", None, "File whose first line is that passphrase."),
    text("ssl.keystore.certificate.location", None, "PEM file of the listeners' certificate chain."),
    text("ssl.keystore.key.location", None, "PEM file of the listeners' private key."),
    number(
        "ssl.reload.interval.ms",
        "5000",
        100,
        I32,
        "How often certificates, keys and CAs are looked at; new ones are used without a restart.",
    ),
    text(
        "ssl.principal.mapping.rules",
        Some("DEFAULT"),
        "Rules that make a principal of a certificate's name, `RULE:pattern/replacement/[LU]` or DEFAULT.",
    ),
    text("ssl.truststore.location", None, "PEM file of the CAs that may sign client certificates."),
    text("super.users", None, "Principals that may do everything, `User:name` separated by `;`."),
];
