//! The persistent formats of the Raft store: each value is `version (1 byte) | CRC-32C (4, little endian) | JSON`.
//!
//! The checksum covers the key, the version and the JSON, so that a value in another's place is found too. A later version may
//! add commands and fields: it writes them only where they are used, and a program that does not know one refuses the whole
//! value, since to apply a command by halves would make its image another one than everybody else's. What all values
//! look like takes a new version byte.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::env::defect::{Defect, planted};

const VERSION: u8 = 1;
const HEAD: usize = 5;

/// Why a stored value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodecError {
    #[error("its checksum does not match: the disk has changed it")]
    Checksum,
    #[error("it is cut short")]
    Short,
    #[error("its format is version {0}, this program knows up to {VERSION}")]
    Version(u8),
    #[error(
        "it does not parse, though its checksum holds, so a later version of Esker may have written it: {0}"
    )]
    Parse(String),
}

fn checksum(key: &[u8], version: u8, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &[version]), body)
}

/// The stored form of a value under its key.
pub(super) fn encode<T: Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![VERSION, 0, 0, 0, 0];
    serde_json::to_writer(&mut bytes, value).map_err(|e| CodecError::Parse(e.to_string()))?;
    let crc = checksum(key, VERSION, &bytes[HEAD..]);
    bytes[1..HEAD].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// The value behind its stored form.
pub(super) fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, CodecError> {
    let (head, body) = bytes.split_first_chunk::<HEAD>().ok_or(CodecError::Short)?;
    let [version, crc @ ..] = *head;
    if checksum(key, version, body) != u32::from_le_bytes(crc) && !planted(Defect::RaftLogUnchecked) {
        return Err(CodecError::Checksum);
    }
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    serde_json::from_slice(body).map_err(|e| CodecError::Parse(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use openraft::{CommittedLeaderId, EntryPayload, LogId, Vote};
    use proptest::prelude::*;

    use super::super::machine::Contents;
    use super::super::{Outcome, Submission, TypeConfig};
    use super::*;
    use crate::metadata::{Command, CommandReply, Endpoint, Image};
    use crate::types::{BrokerEpoch, BrokerId, Incarnation};

    type Entry = openraft::Entry<TypeConfig>;

    fn entry() -> Entry {
        let submission = Submission {
            origin: Incarnation::from_bytes([7; 16]),
            sequence: 3,
            answered_below: 2,
            only_in_term: None,
            command: Command::Unfence { id: BrokerId(1), epoch: BrokerEpoch(4) },
        };
        Entry {
            log_id: LogId::new(CommittedLeaderId::new(2, 1), 9),
            payload: EntryPayload::Normal(submission),
        }
    }

    /// A change here is a change of what lies on disks: raise the version and keep reading this one.
    #[test]
    fn a_log_entry_has_these_bytes() {
        let bytes = encode(&9u64.to_be_bytes(), &entry()).unwrap();
        assert_eq!(bytes[0], 1);
        assert_eq!(u32::from_le_bytes(bytes[1..5].try_into().unwrap()), GOLDEN_ENTRY_CRC);
        assert_eq!(
            std::str::from_utf8(&bytes[5..]).unwrap(),
            r#"{"log_id":{"leader_id":{"term":2,"node_id":1},"index":9},"payload":{"Normal":{"origin":"07070707-0707-0707-0707-070707070707","sequence":3,"answered_below":2,"only_in_term":null,"command":{"Unfence":{"id":1,"epoch":4}}}}}"#
        );
    }

    const GOLDEN_ENTRY_CRC: u32 = 3_851_673_380;

    #[test]
    fn a_vote_has_these_bytes() {
        let bytes = encode(b"vote", &Vote::<u64>::new_committed(5, 3)).unwrap();
        assert_eq!(
            std::str::from_utf8(&bytes[5..]).unwrap(),
            r#"{"leader_id":{"term":5,"node_id":3},"committed":true}"#
        );
    }

    #[test]
    fn a_snapshot_has_these_bytes() {
        let mut image = Image { version: 9, cluster_id: "c".to_owned(), ..Image::default() };
        let form =
            Command::Form { cluster_id: String::new(), features: BTreeMap::new(), configs: BTreeMap::new() };
        assert!(Image::default().apply(1, &form).is_err());
        image.broker_configs.insert(None, BTreeMap::from([("k".to_owned(), "v".to_owned())]));
        image.broker_configs.insert(Some(BrokerId(2)), BTreeMap::new());
        image.brokers.insert(
            BrokerId(1),
            Arc::new(crate::metadata::BrokerInfo {
                id: BrokerId(1),
                epoch: BrokerEpoch(4),
                incarnation: Incarnation::from_bytes([7; 16]),
                endpoints: vec![Endpoint { listener: "SSL".to_owned(), host: "h".to_owned(), port: 9092 }],
                peer_address: "h:1".to_owned(),
                rack: None,
                directories: Vec::new(),
                machine: "m".to_owned(),
                state: crate::metadata::BrokerState::Active,
            }),
        );
        let mut contents = Contents { image, ..Contents::default() };
        contents.remember(
            &Submission {
                origin: Incarnation::from_bytes([1; 16]),
                sequence: 1,
                answered_below: 1,
                only_in_term: None,
                command: form,
            },
            &Outcome::Applied { index: 9, result: Ok(CommandReply::Done) },
            9,
        );
        let bytes = encode(b"snapshot", &contents).unwrap();
        let before_acls =
            String::from_utf8(bytes[5..].to_vec()).unwrap().replace(r#""acls":[],"quotas":[],"#, "");
        assert_eq!(serde_json::from_str::<Contents>(&before_acls).unwrap(), contents);
        assert_eq!(
            std::str::from_utf8(&bytes[5..]).unwrap(),
            r#"{"image":{"version":9,"cluster_id":"c","brokers":{"1":{"id":1,"epoch":4,"incarnation":"07070707-0707-0707-0707-070707070707","endpoints":[{"listener":"SSL","host":"h","port":9092}],"peer_address":"h:1","rack":null,"directories":[],"machine":"m","state":"Active"}},"topics":{},"topic_ids":{},"broker_configs":{"":{"k":"v"},"2":{}},"users":{},"next_producer_id":0,"next_broker_epoch":0,"features":{},"last_active":{},"acls":[],"quotas":[],"synced_topics":[]},"origins":{"01010101-0101-0101-0101-010101010101":{"last_index":9,"answered_below":1,"answers":{"1":{"Applied":{"index":9,"result":{"Ok":"Done"}}}}}}}"#
        );
        assert_eq!(decode::<Contents>(b"snapshot", &bytes).unwrap(), contents);
    }

    #[test]
    fn a_value_of_a_later_version_or_under_another_key_is_refused() {
        let mut bytes = encode(b"vote", &Vote::<u64>::new(1, 1)).unwrap();
        assert_eq!(decode::<Vote<u64>>(b"other", &bytes), Err(CodecError::Checksum));
        bytes[0] = 2;
        let crc = checksum(b"vote", 2, &bytes[HEAD..]);
        bytes[1..HEAD].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode::<Vote<u64>>(b"vote", &bytes), Err(CodecError::Version(2)));
    }

    /// To leave out what is not known would make the image another one than that of those who know it.
    #[test]
    fn a_command_or_a_field_of_a_later_version_is_refused_wherever_it_stands() {
        let stored = |text: &str| {
            let mut bytes = vec![VERSION, 0, 0, 0, 0];
            bytes.extend_from_slice(text.as_bytes());
            let crc = checksum(b"k", VERSION, text.as_bytes());
            bytes[1..HEAD].copy_from_slice(&crc.to_le_bytes());
            bytes
        };
        let text = |key: &[u8], bytes: Vec<u8>| {
            assert_eq!(checksum(key, VERSION, &bytes[HEAD..]).to_le_bytes(), bytes[1..HEAD]);
            String::from_utf8(bytes[HEAD..].to_vec()).unwrap()
        };
        let known = text(b"k", encode(b"k", &entry()).unwrap());
        assert_eq!(decode::<Entry>(b"k", &stored(&known)).unwrap(), entry());
        for (from, to) in [
            ("\"Unfence\":{", "\"Refence\":{"),
            ("\"Unfence\":{", "\"Unfence\":{\"later\":1,"),
            ("\"origin\":", "\"later\":1,\"origin\":"),
        ] {
            let refused = decode::<Entry>(b"k", &stored(&known.replacen(from, to, 1)));
            assert!(
                matches!(&refused, Err(CodecError::Parse(e)) if e.contains("unknown")),
                "{to}: {refused:?}"
            );
            assert!(
                refused.unwrap_err().to_string().contains("a later version of Esker may have written it")
            );
        }
        let image = text(b"k", encode(b"k", &Contents::default()).unwrap());
        assert_eq!(decode::<Contents>(b"k", &stored(&image)).unwrap(), Contents::default());
        let later = image.replacen("\"cluster_id\":", "\"later\":1,\"cluster_id\":", 1);
        assert!(matches!(decode::<Contents>(b"k", &stored(&later)), Err(CodecError::Parse(_))));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_found(position: prop::sample::Index, bit in 0u8..8) {
            let key = 9u64.to_be_bytes();
            let mut bytes = encode(&key, &entry()).unwrap();
            prop_assert_eq!(&decode::<Entry>(&key, &bytes).unwrap(), &entry());
            let at = position.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode::<Entry>(&key, &bytes).is_err());
        }
    }
}
