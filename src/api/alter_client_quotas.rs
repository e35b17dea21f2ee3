//! AlterClientQuotas (key 49), versions 0 to 1: sets and removes quotas of users, client ids and addresses (KIP-546).
//!
//! Each entity has its own result; all changes of an entity are made together or not at all. SCRAM credentials are no
//! quotas: `AlterUserScramCredentials` changes them.
//!
//! Errors per entity: CLUSTER_AUTHORIZATION_FAILED (31), INVALID_REQUEST (42), REQUEST_TIMED_OUT (7).

use std::collections::{BTreeMap, HashSet};

use super::Context;
use super::client_quotas::{entity, invalid, parts};
use super::create_acls::submit;
use super::errors::ApiError;
use crate::metadata::{AclOperation, Command, QuotaChange, QuotaKey, QuotaValue};
use crate::wire::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, EntryData, EntryDataResult, OpData,
};

pub(super) async fn handle(
    context: &Context,
    _version: i16,
    request: AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let allowed = context.check_on_cluster(AclOperation::AlterConfigs);
    let mut seen = HashSet::new();
    let mut entries = Vec::with_capacity(request.entries.len());
    for entry in request.entries {
        let change = allowed.clone().and_then(|()| change(&entry));
        let altered = match change {
            Ok(change) if !seen.insert(change.entity.clone()) => {
                Err(invalid("the entity is named more than once"))
            }
            Ok(_) if request.validate_only => Ok(()),
            Ok(change) => alter(context, change).await,
            Err(error) => Err(error),
        };
        let mut result = EntryDataResult { entity: entry.entity, ..Default::default() };
        if let Err(ApiError { code, text }) = altered {
            result.error_code = code;
            result.error_message = Some(text.into());
        }
        entries.push(result);
    }
    AlterClientQuotasResponse { entries, ..Default::default() }
}

async fn alter(context: &Context, change: QuotaChange) -> Result<(), ApiError> {
    let keys: Vec<&str> = change.changes.keys().map(|key| key.name()).collect();
    let what = format!("{:?}: {}", parts(&change.entity), keys.join(", "));
    let altered = submit(context, Command::AlterQuotas { changes: vec![change] }).await;
    context.changed("AlterClientQuotas", &what, altered.as_ref().err());
    altered
}

fn change(entry: &EntryData) -> Result<QuotaChange, ApiError> {
    let entity = entity(entry.entity.iter().map(|part| (&part.entity_type, &part.entity_name)))?;
    let mut changes = BTreeMap::new();
    for op in &entry.ops {
        let (key, value) = read(op, entity.ip.is_some())?;
        if changes.insert(key, value).is_some() {
            return Err(invalid(format!("Duplicate quota key {}", op.key)));
        }
    }
    Ok(QuotaChange { entity, changes })
}

fn read(op: &OpData, of_address: bool) -> Result<(QuotaKey, Option<QuotaValue>), ApiError> {
    let key = QuotaKey::from_name(&op.key)
        .filter(|key| key.is_of_addresses() == of_address)
        .ok_or_else(|| invalid(format!("Invalid configuration key {}", op.key)))?;
    if op.remove {
        return Ok((key, None));
    }
    let value = QuotaValue::new(op.value.0)
        .ok_or_else(|| invalid(format!("Quota {} must be greater than 0", op.key)))?;
    if key.is_whole() && (value.get() % 1.0).abs() > 1e-6 {
        return Err(invalid(format!("{} cannot be a fractional value.", op.key)));
    }
    let max = if key == QuotaKey::ConnectionCreationRate { f64::from(i32::MAX) } else { i64::MAX as f64 };
    if key.is_whole() && value.get() > max {
        return Err(invalid(format!("Proposed value for {} is too large", op.key)));
    }
    Ok((key, Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Float64;

    #[test]
    fn a_value_must_make_sense_of_its_key() {
        let op = |key: &str, value, remove| OpData { key: key.into(), value: Float64(value), remove };
        let good = read(&op("producer_byte_rate", 1024.0, false), false).unwrap();
        assert_eq!(good, (QuotaKey::ProducerByteRate, QuotaValue::new(1024.0)));
        assert_eq!(read(&op("request_percentage", 0.5, false), false).unwrap().1, QuotaValue::new(0.5));
        assert_eq!(read(&op("consumer_byte_rate", f64::NAN, true), false).unwrap().1, None);
        for (bad, of_address) in [
            (op("producer_byte_rate", 0.0, false), false),
            (op("producer_byte_rate", -1.0, false), false),
            (op("producer_byte_rate", f64::NAN, false), false),
            (op("producer_byte_rate", f64::INFINITY, false), false),
            (op("producer_byte_rate", 1.5, false), false),
            (op("producer_byte_rate", 1.0, false), true),
            (op("connection_creation_rate", 1.0, false), false),
            (op("connection_creation_rate", 1e10, false), true),
            (op("SCRAM-SHA-256", 1.0, false), false),
        ] {
            assert!(read(&bad, of_address).is_err(), "{bad:?}");
        }
    }
}
