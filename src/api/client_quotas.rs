//! What the quota APIs share: entities as they stand on the wire.

use super::errors::ApiError;
use crate::metadata::{EntityName, QuotaEntity};
use crate::wire::{ErrorCode, StrBytes};

pub(super) const USER: &str = "user";
pub(super) const CLIENT_ID: &str = "client-id";
pub(super) const IP: &str = "ip";

pub(super) fn invalid(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::INVALID_REQUEST, text)
}

/// An entity of pairs of type and name; no name is the default of the type.
///
/// # Errors
/// INVALID_REQUEST for no type, an unknown one, one that stands twice, or an address beside anything else.
pub(super) fn entity<'a>(
    parts: impl Iterator<Item = (&'a StrBytes, &'a Option<StrBytes>)>,
) -> Result<QuotaEntity, ApiError> {
    let mut entity = QuotaEntity::default();
    for (kind, name) in parts {
        let place = match kind.as_str() {
            USER => &mut entity.user,
            CLIENT_ID => &mut entity.client_id,
            IP => &mut entity.ip,
            other => return Err(invalid(format!("Unhandled client quota entity type: {other}"))),
        };
        let name = match name {
            None => EntityName::Default,
            Some(name) if name.is_empty() => return Err(invalid(format!("Empty {kind} not supported"))),
            Some(name) => EntityName::Named(name.to_string()),
        };
        if place.replace(name).is_some() {
            return Err(invalid(format!("Invalid client quota entity, duplicate entity entry {kind}")));
        }
    }
    match &entity {
        QuotaEntity { user: None, client_id: None, ip: None } => {
            Err(invalid("Invalid empty client quota entity"))
        }
        QuotaEntity { user, client_id, ip: Some(ip) } => {
            if user.is_some() || client_id.is_some() {
                return Err(invalid("an ip entity is not combined with user or client-id"));
            }
            match ip {
                EntityName::Named(ip) if ip.parse::<std::net::IpAddr>().is_err() => {
                    Err(invalid(format!("{ip} is not an address")))
                }
                _ => Ok(entity),
            }
        }
        _ => Ok(entity),
    }
}

/// The pairs of an entity, for an answer.
pub(super) fn parts(entity: &QuotaEntity) -> Vec<(&'static str, Option<&str>)> {
    [(USER, &entity.user), (CLIENT_ID, &entity.client_id), (IP, &entity.ip)]
        .into_iter()
        .filter_map(|(kind, name)| match name.as_ref()? {
            EntityName::Default => Some((kind, None)),
            EntityName::Named(name) => Some((kind, Some(name.as_str()))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_has_each_part_once_and_an_address_stands_alone() {
        let read = |parts: &[(&str, Option<&str>)]| {
            let owned: Vec<(StrBytes, Option<StrBytes>)> =
                parts.iter().map(|(kind, name)| ((*kind).into(), name.map(StrBytes::from))).collect();
            entity(owned.iter().map(|(kind, name)| (kind, name)))
        };
        let both = read(&[(USER, Some("a")), (CLIENT_ID, None)]).unwrap();
        assert_eq!(parts(&both), [(USER, Some("a")), (CLIENT_ID, None)]);
        assert_eq!(parts(&read(&[(IP, Some("10.0.0.1"))]).unwrap()), [(IP, Some("10.0.0.1"))]);
        for bad in [
            &[][..],
            &[("group", Some("a"))],
            &[(USER, Some(""))],
            &[(USER, Some("a")), (USER, None)],
            &[(USER, Some("a")), (IP, None)],
            &[(IP, Some("example.org"))],
        ] {
            assert_eq!(read(bad).unwrap_err().code, ErrorCode::INVALID_REQUEST, "{bad:?}");
        }
    }
}
