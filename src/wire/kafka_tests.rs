//! The codec against Kafka's own serializers: both directions, field by field, every API and version that we serve.
//!
//! `tests/clients/java/Messages.java` says what its samples are. A few of each version are kept in `testdata` (for all
//! the APIs that Kafka 4.3.1 serves to clients, so a new API finds its samples there); `tests/run` makes many more and
//! names them in `ESKER_KAFKA_MESSAGES`.
//!
//! Two things are not compared. Tagged fields that nobody knows are skipped by us, while Kafka keeps them: for samples
//! with such fields the bytes that are wanted back are those that Kafka writes without them. And a tagged field that
//! holds its default is written by neither, so it does not occur. Tagged fields stand in ascending order in both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use bytes::Bytes;

use super::messages::consumer_offsets::{
    GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
use super::messages::for_each_api;
use super::*;
use crate::env::{Disk as _, RealDisk};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What<'a> {
    Request(i16),
    Response(i16),
    Record(&'a str),
}

/// A message as Kafka writes it.
#[derive(Clone, Debug)]
struct Sample<'a> {
    what: What<'a>,
    version: i16,
    number: u32,
    /// Header and body.
    bytes: Bytes,
    /// The same without the tagged fields that nobody knows.
    known: Bytes,
    fields: BTreeMap<&'a str, &'a str>,
}

impl<'a> Sample<'a> {
    fn parse(paragraph: &'a str) -> Sample<'a> {
        let mut lines = paragraph.lines();
        let mut line = || lines.next().expect("a line");
        let title: Vec<&str> = line().split(' ').collect();
        let number = |text: &str| text.parse().expect("a number");
        let what = match title[0] {
            "request" => What::Request(number(title[1])),
            "response" => What::Response(number(title[1])),
            "record" => What::Record(title[1]),
            other => panic!("what is a {other}?"),
        };
        let bytes = from_hex(line());
        let known = match line() {
            "=" => bytes.clone(),
            hex => from_hex(hex),
        };
        Sample {
            what,
            version: number(title[2]),
            number: title[3].parse().expect("a number"),
            bytes,
            known,
            fields: lines.map(|line| line.split_once('=').expect("a field")).collect(),
        }
    }

    /// Reads and writes it; `None` when we do not serve it, the complaint when anything differs.
    fn check(&self) -> Result<Option<()>, String> {
        let Some(ours) = self.read_and_write(&self.bytes)? else { return Ok(None) };
        let place = format!("{:?} {} sample {}", self.what, self.version, self.number);
        if ours.bytes != self.known {
            return Err(format!("{place}\nKafka  {:?}\nwe     {:?}", self.known, ours.bytes));
        }
        for (path, theirs) in &self.fields {
            let found = ours.fields.get(*path).map(String::as_str);
            if found != Some(theirs) {
                return Err(format!("{place}: {path} is {theirs} for Kafka and {found:?} for us"));
            }
        }
        Ok(Some(()))
    }

    fn read_and_write(&self, bytes: &Bytes) -> Result<Option<Ours>, String> {
        let version = self.version;
        macro_rules! dispatch {
            ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => {
                match self.what {
                    $(
                        What::Request(key) if key == ApiKey::$api.key() && ApiKey::$api.serves(version) => {
                            request::<messages::$module::$request>(bytes, version)
                        }
                        What::Response(key) if key == ApiKey::$api.key() && ApiKey::$api.serves(version) => {
                            response::<messages::$module::$request>(bytes, version)
                        }
                    )*
                    What::Record("OffsetCommitKey") => record::<OffsetCommitKey>(bytes, version),
                    What::Record("OffsetCommitValue") => record::<OffsetCommitValue>(bytes, version),
                    What::Record("GroupMetadataKey") => record::<GroupMetadataKey>(bytes, version),
                    What::Record("GroupMetadataValue") => record::<GroupMetadataValue>(bytes, version),
                    _ => return Ok(None),
                }
            };
        }
        let ours = for_each_api!(dispatch);
        ours.map(Some).map_err(|e| format!("{:?} {version} sample {}: {e}", self.what, self.number))
    }
}

/// What we make of Kafka's bytes.
struct Ours {
    bytes: Bytes,
    fields: BTreeMap<String, String>,
}

fn request<R: Request + std::fmt::Debug>(bytes: &Bytes, version: i16) -> Result<Ours, String> {
    let mut d = Decoder::new(bytes.clone(), &Limits::default());
    let head = header::read_request(&mut d).map_err(|e| e.to_string())?;
    if (head.request_api_key, head.request_api_version) != (R::KEY.key(), version) {
        return Err(format!("a header of {} {}", head.request_api_key, head.request_api_version));
    }
    let mut e = Encoder::new();
    head.write(&mut e, header::request_header_version(R::KEY, version)).map_err(|e| e.to_string())?;
    body::<R>(&mut d, e, version, &format!("{head:?}"))
}

fn response<R: Request>(bytes: &Bytes, version: i16) -> Result<Ours, String>
where
    R::Response: std::fmt::Debug,
{
    let mut d = Decoder::new(bytes.clone(), &Limits::default());
    let header_version = header::response_header_version(R::KEY, version);
    let head = header::ResponseHeader::read(&mut d, header_version).map_err(|e| e.to_string())?;
    let mut e = Encoder::new();
    head.write(&mut e, header_version).map_err(|e| e.to_string())?;
    body::<R::Response>(&mut d, e, version, &format!("{head:?}"))
}

fn record<M: Message + std::fmt::Debug>(bytes: &Bytes, version: i16) -> Result<Ours, String> {
    body::<M>(&mut Decoder::new(bytes.clone(), &Limits::default()), Encoder::new(), version, "None")
}

fn body<M: Message + std::fmt::Debug>(
    d: &mut Decoder,
    mut e: Encoder,
    version: i16,
    head: &str,
) -> Result<Ours, String> {
    let message = M::read(d, version).map_err(|e| e.to_string())?;
    d.finish().map_err(|e| e.to_string())?;
    message.write(&mut e, version).map_err(|e| e.to_string())?;
    let mut fields = BTreeMap::new();
    Tree::parse(head).flatten("header", &mut fields);
    Tree::parse(&format!("{message:?}")).flatten("", &mut fields);
    Ok(Ours { bytes: e.into_bytes().map_err(|e| e.to_string())?, fields })
}

/// A message's debug text, taken apart: every message has one, and it shows names.
#[derive(Debug)]
enum Tree {
    Leaf(String),
    Struct(Vec<(String, Tree)>),
    List(Vec<Tree>),
}

impl Tree {
    fn parse(text: &str) -> Tree {
        let mut rest = text;
        let tree = Tree::read(&mut rest);
        assert!(rest.is_empty(), "left over: {rest}");
        tree
    }

    fn read(rest: &mut &str) -> Tree {
        if let Some(inner) = rest.strip_prefix("b\"") {
            *rest = inner;
            return Tree::Leaf(format!("x{}", hex(&quoted(rest))));
        }
        if let Some(inner) = rest.strip_prefix('"') {
            *rest = inner;
            return Tree::Leaf(format!("\"{}", String::from_utf8(quoted(rest)).expect("text")));
        }
        if let Some(inner) = rest.strip_prefix('[') {
            *rest = inner;
            let mut elements = Vec::new();
            while !skip(rest, "]") {
                elements.push(Tree::read(rest));
                skip(rest, ", ");
            }
            return Tree::List(elements);
        }
        let word = rest.split([' ', ',', ']', '}', '(']).next().expect("a split has a first part").to_owned();
        // The end of a tuple struct belongs to what is around it.
        let word = word.trim_end_matches(')').to_owned();
        *rest = &rest[word.len()..];
        if skip(rest, " { ") {
            let mut fields = Vec::new();
            while !skip(rest, "}") {
                let (name, value) = rest.split_once(": ").expect("a field");
                let name = name.replace('_', "");
                *rest = value;
                fields.push((name, Tree::read(rest)));
                let _ = skip(rest, ", ") || skip(rest, " ");
            }
            return if word == "Records" { records(fields) } else { Tree::Struct(fields) };
        }
        if word == "error" && skip(rest, " ") {
            return Tree::read(rest);
        }
        // `Some(…)`, newtypes, and error codes, which print as `NAME (number)`.
        if skip(rest, "(") || skip(rest, " (") {
            let inner = Tree::read(rest);
            assert!(skip(rest, ")"), "an open end: {rest}");
            return match inner {
                Tree::Leaf(id) if matches!(&*word, "TopicId" | "DirectoryId") => {
                    Tree::Leaf(id.parse::<crate::types::TopicId>().expect("an id").0.to_string())
                }
                inner => inner,
            };
        }
        Tree::Leaf(if word == "None" { "null".to_owned() } else { word })
    }

    fn flatten(&self, path: &str, into: &mut BTreeMap<String, String>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match self {
            Tree::Leaf(value) => {
                into.insert(path.to_owned(), value.clone());
            }
            Tree::Struct(fields) => fields.iter().for_each(|(name, tree)| tree.flatten(&below(name), into)),
            Tree::List(elements) => {
                into.insert(below("#"), elements.len().to_string());
                elements.iter().enumerate().for_each(|(i, tree)| tree.flatten(&below(&i.to_string()), into));
            }
        }
    }
}

/// Records print their chunks; what is decoded has one.
fn records(mut fields: Vec<(String, Tree)>) -> Tree {
    fields.swap_remove(0).1
}

fn skip(rest: &mut &str, prefix: &str) -> bool {
    match rest.strip_prefix(prefix) {
        Some(inner) => {
            *rest = inner;
            true
        }
        None => false,
    }
}

/// The rest of a quoted text or byte string, its escapes resolved.
fn quoted(rest: &mut &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = rest.char_indices();
    loop {
        match chars.next().expect("a closing quote") {
            (at, '"') => {
                *rest = &rest[at + 1..];
                return bytes;
            }
            (_, '\\') => match chars.next().expect("an escape").1 {
                'n' => bytes.push(b'\n'),
                'r' => bytes.push(b'\r'),
                't' => bytes.push(b'\t'),
                '0' => bytes.push(0),
                'x' => {
                    let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
                }
                'u' => {
                    let digits: String =
                        chars.by_ref().skip(1).map(|(_, c)| c).take_while(|c| *c != '}').collect();
                    let code = u32::from_str_radix(&digits, 16).expect("digits");
                    bytes.extend(char::from_u32(code).expect("a character").to_string().bytes());
                }
                other => bytes.extend(other.to_string().bytes()),
            },
            (_, other) => bytes.extend(other.to_string().bytes()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Bytes {
    let digit = |c: u8| (c as char).to_digit(16).expect("a digit") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("a gzip file of text");
    text
}

fn kept() -> String {
    unpacked(include_bytes!("testdata/kafka-4.3.1-messages.gz"))
}

/// The samples of a file; its first paragraph says where they come from.
fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.split("\n\n").skip(1).filter(|paragraph| !paragraph.trim().is_empty()).map(Sample::parse)
}

/// Checks all and asks that nothing is missing.
fn all_agree(text: &str, per_version: usize) {
    let mut seen = BTreeMap::new();
    let mut complaints = Vec::new();
    for sample in samples(text) {
        match sample.check() {
            Ok(Some(())) => *seen.entry((sample.what, sample.version)).or_insert(0) += 1,
            Ok(None) => {}
            Err(complaint) => complaints.push(complaint),
        }
    }
    assert!(
        complaints.is_empty(),
        "{} differences, of which:\n{}",
        complaints.len(),
        complaints[..complaints.len().min(10)].join("\n")
    );
    for api in ApiKey::ALL {
        for version in api.versions().0..=api.versions().1 {
            for what in [What::Request(api.key()), What::Response(api.key())] {
                let count = seen.get(&(what, version)).copied().unwrap_or(0);
                assert!(count >= per_version, "{count} samples of {what:?} {version}");
            }
        }
    }
    let records: BTreeSet<_> = seen.keys().filter(|(what, _)| matches!(what, What::Record(_))).collect();
    assert_eq!(records.len(), 1 + 5 + 1 + 5, "{records:?}");
}

#[test]
fn every_message_is_read_and_written_as_kafka_does() {
    all_agree(&kept(), 4);
}

#[test]
fn so_are_the_messages_that_kafka_has_just_written() {
    // Set by tests/run, which has Kafka's jars; without them the samples in the tree must do.
    if let Some(path) = std::env::var_os("ESKER_KAFKA_MESSAGES") {
        all_agree(&unpacked(&RealDisk.read(path.as_ref()).expect("the file")), 20);
    }
}

// Controls: what would be wrong is noticed.

#[test]
fn any_changed_byte_is_noticed() {
    let text = kept();
    let mut changed = 0;
    for sample in samples(&text).filter(|sample| sample.number != 2 && sample.bytes.len() < 200).step_by(7) {
        if sample.check() == Ok(None) {
            continue;
        }
        for at in 0..sample.bytes.len() {
            let mut bytes = sample.bytes.to_vec();
            bytes[at] ^= 1 << (at % 8);
            let bytes = Bytes::from(bytes);
            let other = Sample { known: bytes.clone(), bytes, ..sample.clone() };
            assert!(other.check().is_err(), "byte {at} of {other:?}");
            changed += 1;
        }
    }
    assert!(changed > 1000, "{changed}");
}

#[test]
fn two_fields_in_each_others_place_are_noticed() {
    let text = kept();
    let mut swapped = 0;
    for mut sample in samples(&text).filter(|sample| sample.number == 0) {
        if sample.check() == Ok(None) {
            continue;
        }
        let paths: Vec<&str> = sample.fields.keys().copied().collect();
        for pair in paths.windows(2) {
            let values = (sample.fields[pair[0]], sample.fields[pair[1]]);
            if values.0 != values.1 {
                sample.fields.extend([(pair[0], values.1), (pair[1], values.0)]);
                assert!(sample.check().is_err(), "{} and {} of {sample:?}", pair[0], pair[1]);
                sample.fields.extend([(pair[0], values.0), (pair[1], values.1)]);
                swapped += 1;
                break;
            }
        }
    }
    assert!(swapped > 200, "{swapped}");
}
