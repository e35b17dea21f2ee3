//! The house's rules, checked on the source text: which room may use which, how long a file may be, and that nothing
//! is unsafe.
//!
//! The table is that of `ARCHITECTURE.md`. Code in a room names other rooms only as `crate::room::…`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the ground up, each with the rooms it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("env", &["types"]),
    ("wire", &["env", "types"]),
    ("log", &["wire", "env", "types"]),
    ("transport", &["env", "types"]),
    ("metadata", &["transport", "env", "types"]),
    ("replication", &["log", "metadata", "transport", "wire", "env", "types"]),
    ("coordinator", &["log", "wire", "env", "types"]),
    ("security", &["metadata", "env", "types"]),
    (
        "broker",
        &["types", "env", "wire", "log", "transport", "metadata", "replication", "coordinator", "security"],
    ),
    ("api", &["broker", "wire", "types", "env", "security", "coordinator", "metadata", "replication"]),
    ("server", &["api", "security", "broker", "wire", "types", "env"]),
    ("admin", &["broker", "security", "replication", "metadata", "wire", "env", "types"]),
    (
        "cli",
        &[
            "types",
            "env",
            "wire",
            "log",
            "transport",
            "metadata",
            "replication",
            "coordinator",
            "security",
            "broker",
            "api",
            "server",
            "admin",
        ],
    ),
    // Only in tests.
    (
        "simulation",
        &[
            "types",
            "env",
            "wire",
            "log",
            "transport",
            "metadata",
            "replication",
            "coordinator",
            "security",
            "broker",
            "api",
            "server",
        ],
    ),
];

/// A file's longest allowed length in lines; the generated codec is exempt.
const MAX_LINES: usize = 800;

struct Source {
    path: PathBuf,
    text: String,
}

/// Asked at run time: a build folder that several checkouts share may hold the path of another one.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

fn rust_files(folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8 source");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The source without comments and without what stands between quotes.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                for c in chars.by_ref() {
                    if c == '\n' {
                        break;
                    }
                }
                out.push('\n');
            }
            '"' => {
                while let Some(c) = chars.next() {
                    if c == '\\' {
                        chars.next();
                    } else if c == '"' {
                        break;
                    }
                }
                out.push_str("\"\"");
            }
            '\'' => {
                // A char literal of a quote would open a string that is none; lifetimes pass through.
                let mut ahead = chars.clone();
                match (ahead.next(), ahead.next()) {
                    (Some('\\'), Some(_)) => {
                        chars.next();
                        chars.next();
                    }
                    (Some(_), Some('\'')) => {
                        chars.next();
                    }
                    _ => {}
                }
                out.push(' ');
            }
            c => out.push(c),
        }
    }
    out
}

/// Every room named after `crate::` (or `esker::`): in paths, and at the first level of `use crate::{…}`.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut word, mut head) = (0, String::new(), true);
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        used.insert(std::mem::take(&mut word));
                        head = true;
                    }
                    c if depth == 0 && head && (c.is_alphanumeric() || c == '_') => word.push(c),
                    c if depth == 0 && !c.is_whitespace() => head = false,
                    _ => {}
                }
            }
            used.insert(word);
        } else {
            used.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    used
}

#[test]
fn a_room_uses_only_rooms_that_its_line_of_the_table_names() {
    let table: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in rust_files(&root().join("src")) {
        let inside = source.path.strip_prefix(root().join("src")).expect("a path under src");
        let first = inside.iter().next().and_then(|p| p.to_str()).expect("a UTF-8 path");
        let room = first.trim_end_matches(".rs");
        if matches!(room, "lib" | "main") {
            continue;
        }
        let Some(allowed) = table.get(room) else {
            wrong.push(format!("{}: `{room}` is no room of the table", inside.display()));
            continue;
        };
        for used in rooms_used(&code(&source.text)) {
            if table.contains_key(used.as_str()) && used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: `{room}` may not use `{used}`", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows against the table:\n{}", wrong.join("\n"));
}

#[test]
fn tiering_knows_no_broker() {
    for source in rust_files(&root().join("tiering/src")) {
        let code = code(&source.text);
        assert!(!code.contains("esker::"), "{} names the broker", source.path.display());
    }
    let manifest = fs::read_to_string(root().join("tiering/Cargo.toml")).expect("tiering's manifest");
    assert!(!manifest.lines().any(|l| l.trim_start().starts_with("esker")), "tiering depends on the broker");
}

#[test]
fn a_file_has_one_subject_and_at_most_800_lines() {
    let mut long = Vec::new();
    for folder in ["src", "tiering/src", "tests"] {
        for source in rust_files(&root().join(folder)) {
            let lines = source.text.lines().count();
            let generated = source.path.starts_with(root().join("src/wire/messages"));
            if lines > MAX_LINES && !generated {
                long.push(format!("{}: {lines} lines", source.path.display()));
            }
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

#[test]
fn a_file_begins_with_what_it_is_for() {
    for folder in ["src", "tiering/src"] {
        for source in rust_files(&root().join(folder)) {
            assert!(source.text.starts_with("//!"), "{} has no `//!` head", source.path.display());
        }
    }
}

#[test]
fn nothing_is_unsafe() {
    for crate_root in ["src/lib.rs", "tiering/src/lib.rs"] {
        let text = fs::read_to_string(root().join(crate_root)).expect("a crate root");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{crate_root} does not forbid unsafe code");
    }
}

mod the_parser {
    use super::{code, rooms_used};

    fn used(text: &str) -> Vec<String> {
        rooms_used(&code(text)).into_iter().filter(|r| !r.is_empty()).collect()
    }

    #[test]
    fn sees_paths_and_lists_and_nested_lists() {
        assert_eq!(used("use crate::log::Log; fn f() { crate::wire::x() }"), ["log", "wire"]);
        assert_eq!(used("use crate::{env::{Env, Clock}, types::Offset};"), ["env", "types"]);
    }

    #[test]
    fn is_blind_to_comments_and_strings() {
        assert!(used("// crate::broker\n let s = \"crate::api\"; let c = '\"';").is_empty());
    }
}
