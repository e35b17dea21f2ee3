//! Access control entries and client quotas.

use std::sync::Arc;

use crate::metadata::acl::{AclBinding, CLUSTER_NAME, ResourceKind};
use crate::metadata::command::{CommandError, CommandReply};
use crate::metadata::image::Image;
use crate::metadata::quota::QuotaChange;

/// Entries that a cluster keeps at most.
const MAX_ACLS: usize = 100_000;
/// Entities with quotas that a cluster keeps at most.
const MAX_QUOTA_ENTITIES: usize = 100_000;

impl Image {
    /// Adds entries; one that is there already stays as it is.
    pub(super) fn create_acls(&mut self, bindings: &[AclBinding]) -> Result<CommandReply, CommandError> {
        for binding in bindings {
            check(binding)?;
        }
        let new = bindings.iter().filter(|binding| !self.acls.contains(*binding)).count();
        if self.acls.len() + new > MAX_ACLS {
            return Err(CommandError::Invalid(format!("a cluster keeps at most {MAX_ACLS} ACLs")));
        }
        if new > 0 {
            Arc::make_mut(&mut self.acls).extend(bindings.iter().cloned());
        }
        Ok(CommandReply::Done)
    }

    /// Removes exactly these entries; one that is gone already is no error.
    pub(super) fn delete_acls(&mut self, bindings: &[AclBinding]) -> CommandReply {
        if bindings.iter().any(|binding| self.acls.contains(binding)) {
            let acls = Arc::make_mut(&mut self.acls);
            for binding in bindings {
                acls.remove(binding);
            }
        }
        CommandReply::Done
    }

    /// Changes the quotas of some entities, all of them or none.
    pub(super) fn alter_quotas(&mut self, changes: &[QuotaChange]) -> Result<CommandReply, CommandError> {
        for QuotaChange { entity, changes } in changes {
            let of_address = entity.ip.is_some();
            let of_client = entity.user.is_some() || entity.client_id.is_some();
            if of_address == of_client || changes.keys().any(|key| key.is_of_addresses() != of_address) {
                return Err(CommandError::Invalid(
                    "a quota is for a user, a client id or both, or for an address, with the keys of either"
                        .to_owned(),
                ));
            }
        }
        let mut quotas = self.quotas.as_ref().clone();
        for QuotaChange { entity, changes } in changes {
            let of_entity = quotas.entry(entity.clone()).or_default();
            for (key, value) in changes {
                match value {
                    Some(value) => of_entity.insert(*key, *value),
                    None => of_entity.remove(key),
                };
            }
            if of_entity.is_empty() {
                quotas.remove(entity);
            }
        }
        if quotas.len() > MAX_QUOTA_ENTITIES {
            return Err(CommandError::Invalid(format!(
                "a cluster keeps quotas of at most {MAX_QUOTA_ENTITIES} entities"
            )));
        }
        self.quotas = Arc::new(quotas);
        Ok(CommandReply::Done)
    }
}

fn check(binding: &AclBinding) -> Result<(), CommandError> {
    let invalid = |text: &str| Err(CommandError::Invalid(text.to_owned()));
    if binding.name.is_empty() {
        return invalid("Resource name should not be empty");
    }
    if binding.kind == ResourceKind::Cluster && binding.name != CLUSTER_NAME {
        return invalid("The only valid name for the CLUSTER resource is kafka-cluster");
    }
    if binding.principal.split_once(':').is_none_or(|(kind, name)| kind.is_empty() || name.is_empty()) {
        return invalid("a principal is written as User:name");
    }
    if binding.host.is_empty() {
        return invalid("a host is an address or *");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metadata::acl::{AclOperation, AclPermission, PatternType};
    use crate::metadata::quota::{EntityName, QuotaEntity, QuotaKey, QuotaValue};

    fn binding(name: &str, operation: AclOperation) -> AclBinding {
        AclBinding {
            kind: ResourceKind::Topic,
            name: name.into(),
            pattern: PatternType::Literal,
            principal: "User:a".into(),
            host: "*".into(),
            operation,
            permission: AclPermission::Allow,
        }
    }

    #[test]
    fn a_deletion_of_one_of_three_leaves_the_other_two() {
        let mut image = Image::default();
        let three = [AclOperation::Read, AclOperation::Write, AclOperation::Alter].map(|op| binding("t", op));
        image.create_acls(&three).unwrap();
        image.create_acls(&three).unwrap();
        image.delete_acls(&three[1..2]);
        assert_eq!(image.acls.iter().cloned().collect::<Vec<_>>(), [three[0].clone(), three[2].clone()]);
        image.delete_acls(&three);
        assert!(image.acls.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let good = binding("t", AclOperation::Read);
        for bad in [
            AclBinding { name: String::new(), ..good.clone() },
            AclBinding { kind: ResourceKind::Cluster, ..good.clone() },
            AclBinding { principal: "a".into(), ..good.clone() },
            AclBinding { host: String::new(), ..good.clone() },
        ] {
            let mut image = Image::default();
            assert!(image.create_acls(&[good.clone(), bad]).is_err());
            assert!(image.acls.is_empty());
        }
    }

    #[test]
    fn quotas_are_set_and_removed_one_by_one() {
        let entity = QuotaEntity { user: Some(EntityName::Default), ..QuotaEntity::default() };
        let change = |entity: &QuotaEntity, key, value: Option<f64>| QuotaChange {
            entity: entity.clone(),
            changes: BTreeMap::from([(key, value.and_then(QuotaValue::new))]),
        };
        let mut image = Image::default();
        let produce = QuotaKey::ProducerByteRate;
        image
            .alter_quotas(&[
                change(&entity, produce, Some(10.0)),
                change(&entity, QuotaKey::RequestPercentage, Some(50.0)),
            ])
            .unwrap();
        assert_eq!(image.quotas[&entity].len(), 2);
        image.alter_quotas(&[change(&entity, produce, None)]).unwrap();
        assert_eq!(image.quotas[&entity].len(), 1);
        image.alter_quotas(&[change(&entity, QuotaKey::RequestPercentage, None)]).unwrap();
        assert!(image.quotas.is_empty());

        let address = QuotaEntity { ip: Some(EntityName::Default), ..QuotaEntity::default() };
        for bad in [
            change(&QuotaEntity::default(), produce, Some(1.0)),
            change(&address, produce, Some(1.0)),
            change(&entity, QuotaKey::ConnectionCreationRate, Some(1.0)),
            change(&QuotaEntity { user: Some(EntityName::Default), ..address.clone() }, produce, Some(1.0)),
        ] {
            assert!(image.alter_quotas(&[change(&entity, produce, Some(1.0)), bad]).is_err());
            assert!(image.quotas.is_empty());
        }
    }
}
