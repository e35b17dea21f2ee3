//! Which topic configs the cold tier refuses, before they are applied (tests/README.md, the tier's invariants 8, 11
//! and 13; KIP-405, KIP-950).

use std::collections::BTreeMap;

use super::room::{DROP_OLDEST, FULL_POLICY, REJECT};
use crate::log::LogConfig;
use crate::types::{LeaderEpoch, TopicId};

/// `remote.storage.enable`: the topic is tiered.
pub(super) const ENABLE: &str = "remote.storage.enable";
/// `remote.log.copy.disable`: nothing more is copied, what is in the tier stays readable.
pub(super) const COPY_DISABLE: &str = "remote.log.copy.disable";
/// `remote.log.delete.on.disable`: turning the tier off gives up what is only there.
pub(super) const DELETE_ON_DISABLE: &str = "remote.log.delete.on.disable";
/// `tier.max.lag.ms`: an idle open segment is closed after this time.
pub(super) const MAX_LAG_MS: &str = "tier.max.lag.ms";

/// The old id of a topic that is restored from the tier.
pub(super) const RESTORE_TOPIC_ID: &str = crate::replication::RESTORED;
/// The first leader epoch of its partitions, above all that the tier knows.
pub(super) const RESTORE_LEADER_EPOCH: &str = "tier.restore.leader.epoch";

/// The first producer id that its partitions do not know.
pub(super) const RESTORE_PRODUCER_ID: &str = "tier.restore.producer.id";

/// The cut at which its partitions end: the number of a copy that the store keeps.
pub const RESTORE_CUT: &str = crate::replication::RESTORED_TO_CUT;

/// The configs by which a topic comes back.
pub const RESTORE_CONFIGS: [&str; 4] =
    [RESTORE_TOPIC_ID, RESTORE_LEADER_EPOCH, RESTORE_PRODUCER_ID, RESTORE_CUT];

/// A topic that comes back from the tier under its old id (`esker tier restore`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The id under which the tier holds it.
    pub id: TopicId,
    /// The first leader epoch of its partitions.
    pub first_epoch: LeaderEpoch,
    /// Producer ids below are known to its partitions.
    pub producer_ids_below: i64,
    /// The cut at which they end; `None` for the tier's end.
    pub cut: Option<u64>,
}

impl Restored {
    /// What a new topic's configs say; `None` for one that is not restored.
    ///
    /// # Errors
    /// What is missing or cannot be read.
    pub fn of(configs: &BTreeMap<String, String>) -> Result<Option<Restored>, String> {
        let Some(id) = configs.get(RESTORE_TOPIC_ID) else { return Ok(None) };
        let bad = |key: &str, accepted: &str| format!("topic config `{key}`: {accepted} is accepted");
        let id = id.trim().parse().map_err(|_| bad(RESTORE_TOPIC_ID, "a topic's id"))?;
        let epoch = configs.get(RESTORE_LEADER_EPOCH).and_then(|epoch| epoch.trim().parse().ok());
        let epoch = epoch.filter(|epoch| *epoch > 0);
        let epoch =
            epoch.ok_or_else(|| bad(RESTORE_LEADER_EPOCH, "a number above every epoch in the tier"))?;
        let producer_ids_below = match configs.get(RESTORE_PRODUCER_ID) {
            None => 0,
            Some(below) => below.trim().parse().map_err(|_| bad(RESTORE_PRODUCER_ID, "a producer id"))?,
        };
        let cut = match configs.get(RESTORE_CUT) {
            None => None,
            Some(cut) => Some(cut.trim().parse().map_err(|_| bad(RESTORE_CUT, "a cut's number"))?),
        };
        Ok(Some(Restored { id, first_epoch: LeaderEpoch(epoch), producer_ids_below, cut }))
    }
}

/// A flag that is set on the topic; `None` where it is not, or is no flag.
pub(super) fn flag(configs: &BTreeMap<String, String>, key: &str) -> Option<bool> {
    match configs.get(key)?.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Checks a topic's configs. `before` is what holds now, for a topic that exists; `configs` are the topic's own after the
/// change, from which `after` was read; `deletes` is what `remote.log.delete.on.disable` is by default.
///
/// # Errors
/// What contradicts, and what is accepted.
pub fn check_topic(
    before: Option<&LogConfig>,
    after: &LogConfig,
    configs: &BTreeMap<String, String>,
    deletes: bool,
) -> Result<(), String> {
    check_values(configs)?;
    let deletes = flag(configs, DELETE_ON_DISABLE).unwrap_or(deletes);
    let was_tiered = before.is_some_and(|before| before.remote_storage_enable && !before.cleanup.compact);
    if was_tiered && !after.remote_storage_enable && !deletes {
        return Err(format!(
            "{ENABLE}=false would lose the records that are only in the tier. To keep them and stop copying, set \
             {ENABLE}=true and {COPY_DISABLE}=true; to give them up, set {ENABLE}=false and {DELETE_ON_DISABLE}=true"
        ));
    }
    if !after.remote_storage_enable {
        return Ok(());
    }
    if after.cleanup.compact && (was_tiered || configs.contains_key(ENABLE)) {
        return Err(format!(
            "{ENABLE}=true with cleanup.policy=compact: compacted topics are not tiered, only cleanup.policy=delete is \
             accepted"
        ));
    }
    let above = |local: Option<i64>, total: Option<i64>| {
        total.is_some_and(|total| local.is_none_or(|local| local > total))
    };
    let bytes = |value: Option<u64>| value.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    if above(after.local_retention_ms(), after.retention_ms()) {
        return Err(format!(
            "local.retention.ms={} is above retention.ms={}: at most that, or -2 for the same",
            after.local_retention_ms, after.retention_ms
        ));
    }
    if above(bytes(after.local_retention_bytes()), bytes(after.retention_bytes())) {
        return Err(format!(
            "local.retention.bytes={} is above retention.bytes={}: at most that, or -2 for the same",
            after.local_retention_bytes, after.retention_bytes
        ));
    }
    Ok(())
}

/// The tier's own configs, which the log does not read.
fn check_values(configs: &BTreeMap<String, String>) -> Result<(), String> {
    for key in [COPY_DISABLE, DELETE_ON_DISABLE] {
        if let Some(value) = configs.get(key)
            && flag(configs, key).is_none()
        {
            return Err(format!("topic config `{key}` = `{value}`: one of true, false is accepted"));
        }
    }
    if let Some(value) = configs.get(FULL_POLICY)
        && value != REJECT
        && value != DROP_OLDEST
    {
        return Err(format!(
            "topic config `{FULL_POLICY}` = `{value}`: one of {REJECT}, {DROP_OLDEST} is accepted"
        ));
    }
    if let Some(value) = configs.get(MAX_LAG_MS)
        && !value.trim().parse::<i64>().is_ok_and(|ms| ms >= -1)
    {
        return Err(format!("topic config `{MAX_LAG_MS}` = `{value}`: a whole number from -1 is accepted"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn configs(pairs: Pairs) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn log_config(pairs: Pairs) -> LogConfig {
        LogConfig::from_properties(&LogConfig::default(), &configs(pairs)).unwrap()
    }

    fn check(before: Option<Pairs>, after: Pairs) -> Result<(), String> {
        check_topic(before.map(log_config).as_ref(), &log_config(after), &configs(after), false)
    }

    const TIERED: (&str, &str) = (ENABLE, "true");

    #[test]
    fn a_local_setting_above_the_total_one_is_refused() {
        let refused = [
            [TIERED, ("retention.ms", "10"), ("local.retention.ms", "11")],
            [TIERED, ("retention.ms", "10"), ("local.retention.ms", "-1")],
            [TIERED, ("retention.bytes", "10"), ("local.retention.bytes", "11")],
        ];
        for pairs in refused {
            let error = check(None, &pairs).unwrap_err();
            assert!(error.starts_with(pairs[2].0), "{error}");
        }
        let accepted = [
            [TIERED, ("retention.ms", "10"), ("local.retention.ms", "10")],
            [TIERED, ("retention.ms", "10"), ("local.retention.ms", "-2")],
            [TIERED, ("retention.ms", "-1"), ("local.retention.ms", "-1")],
            [(ENABLE, "false"), ("retention.ms", "10"), ("local.retention.ms", "11")],
        ];
        for pairs in accepted {
            assert_eq!(check(None, &pairs), Ok(()), "{pairs:?}");
        }
    }

    #[test]
    fn a_compacted_topic_is_not_tiered_on_request_but_bears_a_default() {
        let both = [TIERED, ("cleanup.policy", "compact")];
        let tiered_by_default = LogConfig { remote_storage_enable: true, ..log_config(&both[1..]) };
        for before in [None, Some(log_config(&[TIERED]))] {
            let error = check_topic(before.as_ref(), &tiered_by_default, &configs(&both), false).unwrap_err();
            assert!(error.contains("cleanup.policy=delete"), "{error}");
        }
        assert_eq!(check_topic(None, &tiered_by_default, &configs(&both[1..]), false), Ok(()));
    }

    #[test]
    fn the_tier_is_turned_off_only_by_who_says_what_becomes_of_its_records() {
        let error = check(Some(&[TIERED]), &[]).unwrap_err();
        assert!(error.contains(COPY_DISABLE) && error.contains(DELETE_ON_DISABLE), "{error}");
        assert!(check(Some(&[TIERED]), &[(ENABLE, "false")]).is_err());
        assert_eq!(check(Some(&[TIERED]), &[(ENABLE, "false"), (DELETE_ON_DISABLE, "true")]), Ok(()));
        assert_eq!(check(Some(&[TIERED]), &[TIERED, (COPY_DISABLE, "true")]), Ok(()));
        assert_eq!(check(Some(&[]), &[TIERED]), Ok(()));
    }

    #[test]
    fn a_restored_topic_names_its_id_and_its_first_epoch() {
        let id = TopicId::from_bytes([7; 16]);
        let text = id.to_string();
        let both = [(RESTORE_TOPIC_ID, text.as_str()), (RESTORE_LEADER_EPOCH, "1003")];
        assert_eq!(Restored::of(&configs(&[])), Ok(None));
        let expected = Restored { id, first_epoch: LeaderEpoch(1003), producer_ids_below: 0, cut: None };
        assert_eq!(Restored::of(&configs(&both)), Ok(Some(expected)));
        let at_cut = [both[0], both[1], (RESTORE_CUT, "12")];
        assert_eq!(Restored::of(&configs(&at_cut)), Ok(Some(Restored { cut: Some(12), ..expected })));
        assert!(Restored::of(&configs(&[both[0], both[1], (RESTORE_CUT, "newest")])).is_err());
        let three = [both[0], both[1], (RESTORE_PRODUCER_ID, "77")];
        assert_eq!(Restored::of(&configs(&three)), Ok(Some(Restored { producer_ids_below: 77, ..expected })));
        for bad in [&both[..1], &[(RESTORE_TOPIC_ID, "x"), both[1]], &[both[0], (RESTORE_LEADER_EPOCH, "0")]]
        {
            assert!(Restored::of(&configs(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_that_the_tier_cannot_read_are_refused() {
        for pair in [(COPY_DISABLE, "yes"), (DELETE_ON_DISABLE, "1"), (MAX_LAG_MS, "-2"), (FULL_POLICY, "x")]
        {
            let error = check(None, &[TIERED, pair]).unwrap_err();
            assert!(error.contains(pair.0) && error.contains("accepted"), "{error}");
        }
    }
}
