//! What the ACL APIs share: bindings and filters as they stand on the wire.

use super::errors::ApiError;
use crate::metadata::{AclBinding, AclOperation, AclPermission, PatternType, ResourceKind};
use crate::wire::{ErrorCode, StrBytes};

/// Kafka's "any" in a filter.
const ANY: i8 = 1;
/// A filter of patterns that a name matches: itself, `*`, and its prefixes.
const MATCH: i8 = 2;

/// Which bindings are meant.
#[derive(Debug)]
pub(super) struct Filter {
    kind: Option<ResourceKind>,
    name: Option<StrBytes>,
    pattern: PatternFilter,
    principal: Option<StrBytes>,
    host: Option<StrBytes>,
    operation: Option<AclOperation>,
    permission: Option<AclPermission>,
}

#[derive(Debug)]
enum PatternFilter {
    Any,
    Match,
    Only(PatternType),
}

/// A filter's fields as they stand in a request.
pub(super) struct RawFilter<'a> {
    pub kind: i8,
    pub name: &'a Option<StrBytes>,
    pub pattern: i8,
    pub principal: &'a Option<StrBytes>,
    pub host: &'a Option<StrBytes>,
    pub operation: i8,
    pub permission: i8,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// INVALID_REQUEST for a number that stands for nothing.
    pub fn new(raw: &RawFilter<'_>) -> Result<Filter, ApiError> {
        Ok(Filter {
            kind: any_or(raw.kind, ResourceKind::from_number, "resource type")?,
            name: raw.name.clone(),
            pattern: match raw.pattern {
                ANY => PatternFilter::Any,
                MATCH => PatternFilter::Match,
                other => PatternFilter::Only(known(other, PatternType::from_number, "pattern type")?),
            },
            principal: raw.principal.clone(),
            host: raw.host.clone(),
            operation: any_or(raw.operation, AclOperation::from_number, "operation")?,
            permission: any_or(raw.permission, AclPermission::from_number, "permission type")?,
        })
    }

    /// Whether a binding is meant.
    pub fn matches(&self, binding: &AclBinding) -> bool {
        let is =
            |wanted: &Option<StrBytes>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let named = match (&self.pattern, &self.name) {
            (PatternFilter::Only(pattern), name) => {
                *pattern == binding.pattern && name.as_ref().is_none_or(|name| name == binding.name.as_str())
            }
            (_, None) => true,
            (PatternFilter::Any, Some(name)) => name == binding.name.as_str(),
            (PatternFilter::Match, Some(name)) => match binding.pattern {
                PatternType::Literal => name == binding.name.as_str() || binding.name == "*",
                PatternType::Prefixed => name.starts_with(&binding.name),
            },
        };
        named
            && self.kind.is_none_or(|kind| kind == binding.kind)
            && is(&self.principal, &binding.principal)
            && is(&self.host, &binding.host)
            && self.operation.is_none_or(|operation| operation == binding.operation)
            && self.permission.is_none_or(|permission| permission == binding.permission)
    }
}

/// The meaning of a number, or why there is none.
pub(super) fn known<T>(number: i8, from: impl Fn(i8) -> Option<T>, what: &str) -> Result<T, ApiError> {
    from(number).ok_or_else(|| ApiError::new(ErrorCode::INVALID_REQUEST, format!("Invalid {what} {number}")))
}

fn any_or<T>(number: i8, from: impl Fn(i8) -> Option<T>, what: &str) -> Result<Option<T>, ApiError> {
    if number == ANY { Ok(None) } else { known(number, from, what).map(Some) }
}

/// The refusal while no authorizer is configured.
pub(super) fn security_disabled() -> ApiError {
    ApiError::new(ErrorCode::SECURITY_DISABLED, "No Authorizer is configured.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(name: &str, pattern: PatternType) -> AclBinding {
        AclBinding {
            kind: ResourceKind::Topic,
            name: name.into(),
            pattern,
            principal: "User:a".into(),
            host: "*".into(),
            operation: AclOperation::Read,
            permission: AclPermission::Allow,
        }
    }

    fn filter(name: Option<&str>, pattern: i8) -> Result<Filter, ApiError> {
        Filter::new(&RawFilter {
            kind: 2,
            name: &name.map(StrBytes::from),
            pattern,
            principal: &None,
            host: &None,
            operation: 1,
            permission: 1,
        })
    }

    #[test]
    fn a_filter_of_matches_finds_whatever_is_about_a_name() {
        use PatternType::{Literal, Prefixed};
        let all = [
            ("topic", Literal),
            ("to", Literal),
            ("*", Literal),
            ("to", Prefixed),
            ("topic", Prefixed),
            ("x", Prefixed),
        ];
        let found = |filter: Filter| {
            all.iter().map(|(name, pattern)| filter.matches(&binding(name, *pattern))).collect::<Vec<_>>()
        };
        assert_eq!(found(filter(Some("topic"), MATCH).unwrap()), [true, false, true, true, true, false]);
        assert_eq!(found(filter(Some("topic"), ANY).unwrap()), [true, false, false, false, true, false]);
        assert_eq!(found(filter(Some("to"), 4).unwrap()), [false, false, false, true, false, false]);
        assert_eq!(found(filter(None, 3).unwrap()), [true, true, true, false, false, false]);
        assert_eq!(found(filter(None, MATCH).unwrap()), [true; 6]);
        assert_eq!(filter(None, 0).unwrap_err().code, ErrorCode::INVALID_REQUEST);
    }
}
