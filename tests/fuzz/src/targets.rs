//! What is fuzzed: each target takes any bytes, and panics when something is wrong with us rather than with them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use esker::env::sim::{ManualClock, NoNet, SeededRng, SimDisk};
use esker::env::{Disk as _, Env};
use esker::log::{Log, LogConfig, LogDirs};
use esker::metadata::{Command, Image, ScramMechanism};
use esker::replication::frames::{ToFollower, ToLeader};
use esker::security::oauth::{JwksSettings, Keys, TokenRules, TokenValidator};
use esker::security::sasl::{Mechanism, SaslServer, SaslStep};
use esker::security::scram;
use esker::transport::frame::Inbox;
use esker::types::{BrokerId, LeaderEpoch, Offset, TopicId, TopicName, TopicPartition};
use esker::wire::every::{Reading, read_request, read_response};
use esker::wire::record_batch::{
    Attributes, Batch, BatchHeader, BatchIter, Compression, HEADER_BYTES, decompress, without_empty,
};
use tiering::manifest::{Archive, Manifest};
use tiering::object::Footer;

/// What takes an input.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const ALL: [(&str, Target); 10] = [
    ("requests", requests),
    ("responses", responses),
    ("batches", batches),
    ("sasl", sasl),
    ("frames", frames),
    ("footer", footer),
    ("manifest", manifest),
    ("checkpoints", checkpoints),
    // The positive controls: planted defects that must be found.
    ("planted-allocation", planted_allocation),
    ("planted-panic", planted_panic),
];

/// A request's frame, without its length.
fn requests(input: &[u8]) {
    said_twice(&read_request(Bytes::copy_from_slice(input)));
}

/// API key, version, and a response's body.
fn responses(input: &[u8]) {
    said_twice(&read_response(&Bytes::copy_from_slice(input)));
}

fn said_twice(reading: &Reading) {
    if let Reading::Differs(key, version) = reading {
        panic!("{key:?} {version} says something else when it is written and read again");
    }
}

/// What decompressed records may take.
const RECORD_BYTES: usize = 1 << 20;

/// The first byte: bit 7 set, the rest are batches as they come; else it is the attributes of a batch whose lengths and CRC
/// are right, the next four its count of records, and the rest its body.
fn batches(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    if first & 0x80 != 0 {
        let bytes = Bytes::copy_from_slice(rest);
        for batch in BatchIter::new(bytes.clone()).map_while(Result::ok) {
            walk(&batch);
        }
        let whole: usize = BatchIter::new(bytes.clone()).map_while(Result::ok).map(|b| b.header.size()).sum();
        let _ = without_empty(&bytes.slice(..whole));
        return;
    }
    let Some((count, body)) = rest.split_first_chunk::<4>() else { return };
    let count = i32::from_be_bytes(*count);
    let mut header = BatchHeader {
        base_offset: Offset(7),
        length: i32::try_from(HEADER_BYTES - 12 + body.len()).expect("inputs are small"),
        leader_epoch: LeaderEpoch(1),
        crc: 0,
        attributes: Attributes(i16::from(*first)),
        last_offset_delta: count.wrapping_sub(1),
        base_timestamp: 5,
        max_timestamp: 9,
        producer_id: esker::types::ProducerId(-1),
        producer_epoch: esker::types::ProducerEpoch(-1),
        base_sequence: -1,
        count,
    };
    header.seal(body);
    let mut bytes = BytesMut::new();
    header.write(&mut bytes);
    bytes.put_slice(body);
    if let Ok(batch) = Batch::split_from(&mut bytes.freeze()) {
        walk(&batch);
        if let Ok(codec) = header.attributes.compression()
            && let Ok(records) = decompress(codec, &batch.body(), RECORD_BYTES)
        {
            assert!(
                codec == Compression::None || records.len() <= RECORD_BYTES,
                "{} bytes of records",
                records.len()
            );
        }
    }
}

fn walk(batch: &Batch) {
    let _ = batch.check_crc();
    let Ok(records) = batch.records(RECORD_BYTES) else { return };
    for record in records {
        let Ok(record) = record else { return };
        let _ = (record.control_kind(), record.coordinator_epoch());
    }
    // A batch whose records can all be read can be kept, thinned out, and compressed anew.
    let _ = batch.emptied();
    let _ = batch.recompressed(Compression::Lz4, None, RECORD_BYTES);
}

static SASL: LazyLock<(SaslServer, Image)> = LazyLock::new(|| {
    let rng = SeededRng::new(1);
    let credentials = [ScramMechanism::Sha256, ScramMechanism::Sha512]
        .into_iter()
        .map(|m| (m, scram::credential(&rng, m, "secret", scram::MIN_ITERATIONS).expect("a credential")));
    let command = Command::CreateFirstUser { user: "user".to_owned(), credentials: credentials.collect() };
    let mut image = Image::default();
    image.apply(1, &command).expect("the first user");
    (SaslServer::new(Arc::new(rng), Some(tokens())), image)
});

/// A validator with a key that nobody has the other half of.
fn tokens() -> TokenValidator {
    let disk = SimDisk::new();
    let set =
        br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    disk.create_dir_all(Path::new("/keys")).expect("a disk in memory");
    disk.write_atomically(Path::new("/keys/set.json"), set).expect("a disk in memory");
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let env = Env {
        clock: clock.clone(),
        rng: Arc::new(SeededRng::new(1)),
        disk: Arc::new(disk),
        net: Arc::new(NoNet),
        ..Env::real()
    };
    let keys = futures::executor::block_on(Keys::load(&env, JwksSettings::of_file("/keys/set.json".into())));
    let rules = TokenRules {
        issuer: None,
        audiences: Vec::new(),
        subject_claim: "sub".to_owned(),
        clock_skew: Duration::ZERO,
    };
    TokenValidator::new(rules, keys.expect("a key set"), clock)
}

/// The first byte chooses the mechanism; then tokens, each behind two bytes of length. Nobody gets in.
fn sasl(input: &[u8]) {
    let (server, image) = &*SASL;
    let Some((first, mut rest)) = input.split_first() else { return };
    let mechanism = Mechanism::ALL[usize::from(*first) % Mechanism::ALL.len()];
    let mut session = server.session(mechanism);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (token, after) = after.split_at(length);
        rest = after;
        // The one password is known to the fuzzer by its seeds, where they show it.
        if mechanism == Mechanism::Plain && token.ends_with(b"\0secret") {
            return;
        }
        match session.step(image, token) {
            SaslStep::Continue(_) | SaslStep::Refused(..) => {}
            SaslStep::Done(principal, _) => panic!("{principal} got in"),
            SaslStep::Failed(failure) => {
                let _ = (failure.public(), failure.to_string());
                return;
            }
        }
    }
}

/// What brokers send each other: a byte stream cut into pieces and put together, and each frame read both ways.
fn frames(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let mut inbox = Inbox::new(1 << 20);
    let piece = usize::from(*first).max(1);
    for piece in rest.chunks(piece) {
        inbox.push(Bytes::copy_from_slice(piece));
        loop {
            match inbox.next_frame() {
                Ok(Some(frame)) => read_frame(&frame),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    read_frame(&Bytes::copy_from_slice(rest));
}

fn read_frame(frame: &Bytes) {
    if let Ok(message) = ToLeader::decode(frame.clone()) {
        assert_eq!(ToLeader::decode(message.encode()).as_ref(), Ok(&message));
    }
    if let Ok(message) = ToFollower::decode(frame.clone()) {
        assert_eq!(ToFollower::decode(message.encode()).as_ref(), Ok(&message));
    }
}

/// A footer's content; the trailer with the right checksum is put behind it.
fn footer(input: &[u8]) {
    let mut object = BytesMut::from(input);
    object.put_u32(u32::try_from(input.len()).expect("inputs are small"));
    object.put_u16(1);
    object.put_u16(0);
    let crc = crc32c::crc32c(&object);
    object.put_u32(crc);
    object.put_slice(b"ESKERSEG");
    let Ok(footer) = Footer::decode(&object.freeze()) else { return };
    let again = Footer::decode(&footer.encode().0);
    assert_eq!(again.as_ref(), Ok(&footer));
    for offset in [i64::MIN, -1, 0, footer.name.base, footer.end, i64::MAX] {
        let _ = footer.chunk_of(offset);
        let _ = tiering::index::position_of(&footer.offset_index, footer.name.base, offset);
        let _ = tiering::index::offset_before_time(&footer.time_index, footer.name.base, offset);
    }
    let _ = tiering::index::aborted_transactions(&footer.aborted_transactions).count();
    let _ = (footer.own_epochs(), footer.memory_bytes());
}

/// A Parquet file; the right seal is put into it.
fn manifest(input: &[u8]) {
    let raw = Bytes::copy_from_slice(input);
    let _ = Manifest::decode(&raw);
    let Some(sealed) = sealed(input) else { return };
    if let Ok(manifest) = Manifest::decode(&sealed) {
        let again = manifest.encode().and_then(|bytes| Manifest::decode(&bytes));
        assert_eq!(again.expect("what was read can be written"), manifest);
        for archive in &manifest.archives {
            let archive = Archive { crc: crc32c::crc32c(&sealed), ..archive.clone() };
            let _ = archive.decode(&sealed);
        }
        let _ = (manifest.tier_start(), manifest.tier_end(), manifest.live_bytes(), manifest.memory_bytes());
    }
}

/// The seal of `tiering::manifest` before the Parquet footer, over the place where there may be an old one.
fn sealed(parquet: &[u8]) -> Option<Bytes> {
    const SEAL: &[u8] = b"ESKERCRC";
    let length = u32::from_le_bytes(*parquet.last_chunk::<8>()?.first_chunk()?) as usize;
    let footer = parquet.len().checked_sub(8)?.checked_sub(length)?;
    let (before, after) = parquet.split_at(footer);
    let before = match before.len().checked_sub(16) {
        Some(start) if before[start..].starts_with(SEAL) => &before[..start],
        _ => before,
    };
    let mut out = BytesMut::from(before);
    out.put_slice(SEAL);
    out.put_u32(crc32c::crc32c_append(crc32c::crc32c(before), after));
    out.put_u32(0);
    out.put_slice(after);
    Some(out.freeze())
}

/// Every file that a log directory has beside the batches, and the batches.
pub const LOG_FILES: [&str; 13] = [
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
    "meta.properties",
    ".kafka_cleanshutdown",
    "orders-7/partition.metadata",
    "orders-7/leader-epoch-checkpoint",
    "orders-7/00000000000000000000.index",
    "orders-7/00000000000000000000.timeindex",
    "orders-7/00000000000000000000.txnindex",
    "orders-7/00000000000000000004.snapshot",
    "orders-7/00000000000000000000.log",
];

static STOPPED: LazyLock<SimDisk> = LazyLock::new(|| {
    let disk = SimDisk::new();
    crate::seeds::write_log(&disk);
    disk
});

/// A log directory in the middle of which a file is other than it was: it opens and can be read, or says what is wrong.
fn checkpoints(input: &[u8]) {
    let Some((first, content)) = input.split_first() else {
        LazyLock::force(&STOPPED);
        return;
    };
    let name = LOG_FILES[usize::from(*first) % LOG_FILES.len()];
    let disk = STOPPED.duplicate();
    let path = Path::new("/data").join(name);
    if disk.write_atomically(&path, content).is_err() {
        return;
    }
    let _ = open_log(&disk);
}

/// Opens the directory and its one log, and reads all of it.
pub fn open_log(disk: &SimDisk) -> Option<Log> {
    let rng = SeededRng::new(1);
    let dirs =
        LogDirs::open(Arc::new(disk.clone()), &rng, &[PathBuf::from("/data")], BrokerId(1), &["metadata"])
            .ok()?;
    let partition = TopicPartition::new(TopicName::new("orders").ok()?, 7);
    let (log, ..) = dirs
        .open_log(&partition, TopicId::from_bytes([7; 16]), Arc::new(LogConfig::default()), 1_700_000_000_000)
        .ok()?;
    let mut next = log.log_start();
    while next < log.log_end() {
        let bytes = log.read(next, 1 << 20, log.log_end(), true).ok()?.load().ok()?;
        let end = BatchIter::new(bytes).map_while(Result::ok).last()?.header.end_offset();
        assert!(end > next, "a read at {next:?} ended at {end:?}");
        next = end;
    }
    let _ = log.active_producers();
    Some(log)
}

/// The defect that the codec of another project has: an array is made as long as it says. Only behind a header that
/// is a request's, so that blind guessing would not get there.
fn planted_allocation(input: &[u8]) {
    let Some((head, rest)) = input.split_first_chunk::<8>() else { return };
    if head[..4] != [0, 3, 0, 1] {
        return;
    }
    let Some((length, rest)) = rest.split_first_chunk::<2>() else { return };
    let Ok(length) = usize::try_from(i16::from_be_bytes(*length)) else { return };
    let Some((count, _)) = rest.get(length..).and_then(|rest| rest.split_first_chunk::<4>()) else { return };
    if let Ok(count) = usize::try_from(i32::from_be_bytes(*count)) {
        std::hint::black_box(Vec::<[u8; 32]>::with_capacity(count));
    }
}

/// A defect behind four bytes that only coverage can find one by one.
fn planted_panic(input: &[u8]) {
    let mut bytes = input.iter();
    if bytes.next() == Some(&b'r') && bytes.next() == Some(&b'i') && bytes.next() == Some(&b'd') {
        assert_ne!(bytes.next(), Some(&b'g'), "the planted defect");
    }
}
