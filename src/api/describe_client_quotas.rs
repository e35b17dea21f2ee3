//! DescribeClientQuotas (key 48), versions 0 to 1: the quotas of users, client ids and addresses that a filter finds
//! (KIP-546).
//!
//! A component of the filter asks for a name (0), for the default (1), or for any (2) of its type. With `strict` an entity
//! has no other types. A component that stands twice, or an address beside a user or a client id, is INVALID_REQUEST.
//!
//! Errors: CLUSTER_AUTHORIZATION_FAILED (31), INVALID_REQUEST (42), UNSUPPORTED_VERSION (35: an unknown type).

use std::collections::BTreeMap;

use super::Context;
use super::client_quotas::{CLIENT_ID, IP, USER, invalid, parts};
use super::errors::ApiError;
use crate::metadata::AclOperation;
use crate::wire::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData, EntryData,
    ValueData,
};
use crate::wire::{ErrorCode, Float64, StrBytes};

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    match describe(context, &request) {
        Ok(entries) => DescribeClientQuotasResponse { entries: Some(entries), ..Default::default() },
        Err(ApiError { code, text }) => DescribeClientQuotasResponse {
            error_code: code,
            error_message: Some(text.into()),
            ..Default::default()
        },
    }
}

fn describe(context: &Context, request: &DescribeClientQuotasRequest) -> Result<Vec<EntryData>, ApiError> {
    context.check_on_cluster(AclOperation::DescribeConfigs)?;
    let filter = filter(&request.components)?;
    let image = context.broker.image();
    let entries = image.quotas.iter().filter_map(|(entity, quotas)| {
        let parts = parts(entity);
        matches(&filter, request.strict, &parts).then(|| EntryData {
            entity: parts
                .into_iter()
                .map(|(kind, name)| EntityData {
                    entity_type: StrBytes::from_static(kind),
                    entity_name: name.map(StrBytes::from),
                })
                .collect(),
            values: quotas
                .iter()
                .map(|(key, value)| ValueData {
                    key: StrBytes::from_static(key.name()),
                    value: Float64(value.get()),
                })
                .collect(),
        })
    });
    Ok(entries.collect())
}

/// What is asked of a type.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Name(&'a str),
    Default,
    Any,
}

type Filter<'a> = BTreeMap<&'a str, Wanted<'a>>;

fn filter(components: &[ComponentData]) -> Result<Filter<'_>, ApiError> {
    let mut filter = Filter::new();
    for component in components {
        let kind = component.entity_type.as_str();
        if ![USER, CLIENT_ID, IP].contains(&kind) {
            return Err(ApiError::new(
                ErrorCode::UNSUPPORTED_VERSION,
                format!("Unsupported entity type {kind}"),
            ));
        }
        let wanted = match (component.match_type, &component.match_) {
            (EXACT, Some(name)) => Wanted::Name(name),
            (DEFAULT, None) => Wanted::Default,
            (SPECIFIED, None) => Wanted::Any,
            (EXACT | DEFAULT | SPECIFIED, _) => {
                return Err(invalid("a name is given exactly where a name is asked for"));
            }
            (other, _) => return Err(invalid(format!("Unknown match type {other}"))),
        };
        if filter.insert(kind, wanted).is_some() {
            return Err(invalid(format!("Entity type {kind} cannot appear more than once in the filter.")));
        }
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        return Err(invalid("an ip is not asked for together with a user or a client-id"));
    }
    Ok(filter)
}

fn matches(filter: &Filter<'_>, strict: bool, parts: &[(&'static str, Option<&str>)]) -> bool {
    (!strict || parts.len() == filter.len())
        && filter.iter().all(|(kind, wanted)| {
            parts.iter().any(|(found, name)| {
                found == kind
                    && match wanted {
                        Wanted::Any => true,
                        Wanted::Default => name.is_none(),
                        Wanted::Name(wanted) => *name == Some(wanted),
                    }
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(kind: &str, match_type: i8, name: Option<&str>) -> ComponentData {
        ComponentData { entity_type: kind.into(), match_type, match_: name.map(StrBytes::from) }
    }

    #[test]
    fn a_filter_finds_entities_by_name_by_default_or_any() {
        let a: &[(&'static str, Option<&str>)] = &[(USER, Some("a"))];
        let a_default: &[(&'static str, Option<&str>)] = &[(USER, Some("a")), (CLIENT_ID, None)];
        let found = |components: &[ComponentData], strict| {
            let filter = filter(components).unwrap();
            [a, a_default].map(|parts| matches(&filter, strict, parts))
        };
        assert_eq!(found(&[], false), [true, true]);
        assert_eq!(found(&[component(USER, EXACT, Some("a"))], false), [true, true]);
        assert_eq!(found(&[component(USER, EXACT, Some("a"))], true), [true, false]);
        assert_eq!(found(&[component(USER, EXACT, Some("b"))], false), [false, false]);
        assert_eq!(found(&[component(CLIENT_ID, DEFAULT, None)], false), [false, true]);
        assert_eq!(found(&[component(USER, SPECIFIED, None)], true), [true, false]);
        assert_eq!(found(&[component(USER, DEFAULT, None)], false), [false, false]);
    }

    #[test]
    fn a_filter_that_contradicts_itself_is_refused() {
        for bad in [
            &[component("group", SPECIFIED, None)][..],
            &[component(USER, EXACT, None)],
            &[component(USER, SPECIFIED, Some("a"))],
            &[component(USER, 7, None)],
            &[component(USER, SPECIFIED, None), component(USER, DEFAULT, None)],
            &[component(USER, SPECIFIED, None), component(IP, SPECIFIED, None)],
        ] {
            assert!(filter(bad).is_err(), "{bad:?}");
        }
    }
}
