//! The authorizer against a plain model: every entry looked at, one after the other.

use proptest::prelude::*;

use super::*;

fn binding(text: &str) -> AclBinding {
    let [kind, pattern, name, permission, principal, host, operation] =
        text.split_whitespace().collect::<Vec<_>>()[..]
    else {
        panic!("{text}")
    };
    let operation = AclOperation::ALL.iter().find(|it| format!("{it:?}") == operation).unwrap();
    AclBinding {
        kind: *ResourceKind::ALL.iter().find(|it| format!("{it:?}") == kind).unwrap(),
        pattern: *PatternType::ALL.iter().find(|it| format!("{it:?}") == pattern).unwrap(),
        name: name.into(),
        permission: *AclPermission::ALL.iter().find(|it| format!("{it:?}") == permission).unwrap(),
        principal: principal.into(),
        host: host.into(),
        operation: *operation,
    }
}

fn image(bindings: &[&str]) -> Image {
    Image { acls: Arc::new(bindings.iter().map(|text| binding(text)).collect()), ..Image::default() }
}

fn authorizer() -> Authorizer {
    Authorizer::new("User:root;User:CN=admin,O=x", false).unwrap()
}

fn may(image: &Image, user: &str, operation: AclOperation, topic: &str) -> bool {
    let principal = Principal::user(user);
    let asking = Asking { principal: &principal, host: "10.0.0.1".parse().unwrap() };
    authorizer().decide(image, asking, operation, ResourceKind::Topic, topic).allowed
}

use AclOperation::{Alter, AlterConfigs, Describe, DescribeConfigs, Read, Write};

#[test]
fn nobody_may_anything_without_entries_but_super_users_everything() {
    let image = image(&[]);
    assert!(!may(&image, "a", Read, "t"));
    assert!(may(&image, "root", Read, "t"));
    assert!(may(&image, "CN=admin,O=x", Alter, "t"));
    let open = Authorizer::new("", true).unwrap();
    let principal = Principal::user("a");
    let asking = Asking { principal: &principal, host: "::1".parse().unwrap() };
    assert!(open.decide(&image, asking, Read, ResourceKind::Topic, "t").allowed);
    assert!(Authorizer::new("root", false).is_err());
}

#[test]
fn a_denial_wins_over_every_permission() {
    let image = image(&[
        "Topic Literal * Allow User:* * All",
        "Topic Prefixed secret- Deny User:a * Read",
        "Topic Literal own Deny User:* 10.0.0.1 Write",
    ]);
    assert!(may(&image, "a", Read, "open"));
    assert!(!may(&image, "a", Read, "secret-1"));
    assert!(may(&image, "a", Describe, "secret-1"), "a denial to read denies nothing else");
    assert!(may(&image, "b", Read, "secret-1"));
    assert!(!may(&image, "b", Write, "own"));
}

#[test]
fn reading_allows_to_describe_and_altering_configs_to_describe_them() {
    let image =
        image(&["Topic Literal t Allow User:a * Read", "Topic Literal t Allow User:b * AlterConfigs"]);
    assert!(may(&image, "a", Describe, "t") && !may(&image, "a", Write, "t"));
    assert!(may(&image, "b", DescribeConfigs, "t") && !may(&image, "b", Describe, "t"));
    assert!(may(&image, "b", AlterConfigs, "t"));
}

#[test]
fn hosts_are_addresses_in_any_writing() {
    let image = image(&[
        "Topic Literal t Allow User:a ::ffff:10.0.0.1 Read",
        "Topic Literal u Allow User:a example.org Read",
    ]);
    assert!(may(&image, "a", Read, "t"));
    assert!(!may(&image, "a", Read, "u"));
}

#[test]
fn who_may_write_any_topic_may_produce_idempotently() {
    let asked = |bindings: &[&str]| {
        let principal = Principal::user("a");
        let asking = Asking { principal: &principal, host: "10.0.0.1".parse().unwrap() };
        authorizer().may_with_some(&image(bindings), asking, Write, ResourceKind::Topic)
    };
    assert!(!asked(&[]));
    assert!(asked(&["Topic Literal t Allow User:a * Write"]));
    assert!(!asked(&["Topic Literal t Allow User:a * Read"]));
    assert!(asked(&["Topic Prefixed p Allow User:* * All"]));
    assert!(!asked(&["Topic Literal t Allow User:a * Write", "Topic Literal t Deny User:a * Write"]));
    assert!(!asked(&["Topic Literal topic Allow User:a * Write", "Topic Prefixed to Deny User:* * All"]));
    assert!(!asked(&["Topic Prefixed topic Allow User:a * Write", "Topic Prefixed to Deny User:* * Write"]));
    assert!(!asked(&["Topic Literal t Allow User:a * Write", "Topic Literal * Deny User:a * Write"]));
    assert!(asked(&["Topic Literal t Allow User:a * Write", "Topic Literal u Deny User:a * Write"]));
}

#[test]
fn authorized_operations_are_kafkas_bits() {
    for (kind, all) in
        [(ResourceKind::Topic, 3576), (ResourceKind::Cluster, 8096), (ResourceKind::Group, 3400)]
    {
        assert_eq!(bits(operations_on(kind).iter().copied()), all, "{kind:?}");
    }
    let image = image(&["Topic Literal t Allow User:a * Read"]);
    let principal = Principal::user("a");
    let asking = Asking { principal: &principal, host: "10.0.0.1".parse().unwrap() };
    let bits = authorizer().operations(&image, asking, ResourceKind::Topic, "t");
    assert_eq!(bits, 1 << Read.number() | 1 << Describe.number());
}

/// The same question, by looking at every entry.
fn model(image: &Image, user: &str, host: &str, operation: AclOperation, name: &str, open: bool) -> bool {
    let (mut any, mut allowed) = (false, false);
    for entry in image.acls.iter() {
        let about = match entry.pattern {
            PatternType::Literal => entry.name == "*" || entry.name == name,
            PatternType::Prefixed => name.starts_with(&entry.name),
        };
        if entry.kind != ResourceKind::Topic || !about {
            continue;
        }
        any = true;
        let who = entry.principal == "User:*" || entry.principal == format!("User:{user}");
        let from = entry.host == "*" || entry.host == host;
        if !who || !from {
            continue;
        }
        let same = entry.operation == AclOperation::All || entry.operation == operation;
        match entry.permission {
            AclPermission::Deny if same => return false,
            AclPermission::Deny => {}
            AclPermission::Allow => {
                use AclOperation::Delete;
                allowed |= same
                    || operation == Describe && [Read, Write, Delete, Alter].contains(&entry.operation)
                    || operation == DescribeConfigs && entry.operation == AlterConfigs;
            }
        }
    }
    allowed || (!any && open)
}

fn names() -> impl Strategy<Value = String> {
    "[ab*é]{1,4}"
}

fn bindings() -> impl Strategy<Value = AclBinding> {
    (
        prop::sample::select(vec![ResourceKind::Topic, ResourceKind::Topic, ResourceKind::Group]),
        prop::sample::select(PatternType::ALL),
        prop_oneof![3 => names(), 1 => Just("*".to_owned())],
        prop::sample::select(vec!["User:*", "User:a", "User:b"]),
        prop::sample::select(vec!["*", "10.0.0.1", "10.0.0.2"]),
        prop::sample::select(AclOperation::ALL),
        prop::sample::select(AclPermission::ALL),
    )
        .prop_map(|(kind, pattern, name, principal, host, operation, permission)| AclBinding {
            kind,
            pattern,
            name,
            principal: principal.into(),
            host: host.into(),
            operation,
            permission,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn decisions_are_the_models(
        acls in prop::collection::btree_set(bindings(), 0..12),
        user in prop::sample::select(vec!["a", "b", "c"]),
        host in prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        operation in prop::sample::select(AclOperation::ALL),
        name in names(),
        open in any::<bool>(),
    ) {
        let image = Image { acls: Arc::new(acls), ..Image::default() };
        let authorizer = Authorizer::new("", open).unwrap();
        let principal = Principal::user(user);
        let asking = Asking { principal: &principal, host: host.parse().unwrap() };
        let decided = authorizer.decide(&image, asking, operation, ResourceKind::Topic, &name);
        prop_assert_eq!(decided.allowed, model(&image, user, host, operation, &name, open), "{:?}", decided);
    }
}
