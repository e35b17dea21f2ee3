#!/usr/bin/env python3
"""Writes `../messages/*.rs` from the `*.schema` files beside it; `--check` only says whether they are up to date.

A schema file describes one or more messages:

    message FetchRequest key=1 versions=4-18 flexible=12+
      ReplicaId int32 4-14 default=-1
      Topics []FetchTopic
        Topic string 4-12 ignorable

A field is a name, a type (`[]` an array, `?` nullable) and, where they differ from those of the struct around it, its
versions; then `null=` the versions in which it may be null, `tag=` its tag, `default=` its value where a version lacks
it, `ignorable` when it may be dropped in such a version (of an answer every field may), `inflexible` when it is never
written compactly. The fields of a struct stand indented below its first use.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.normpath(os.path.join(HERE, "..", "messages"))
NUMBERS = {"int8": ("i8", 1), "int16": ("i16", 2), "uint16": ("u16", 2), "int32": ("i32", 4), "int64": ("i64", 8)}
KEYWORDS = {"type", "match", "ref", "move"}


def snake(name):
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    name = re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return name + "_" if name in KEYWORDS else name


def span_of(text, top):
    if text.endswith("+"):
        return int(text[:-1]), top
    low, high = text.split("-")
    return int(low), int(high)


class Field:
    def __init__(self, words, around, served):
        self.name, kind = words[0], words[1]
        self.nullable = kind.endswith("?")
        kind = kind.rstrip("?")
        self.array = kind.startswith("[]")
        self.kind = kind.removeprefix("[]")
        self.span, self.tag, self.default, self.ignorable, self.inflexible = around, None, None, False, False
        null = None
        for word in words[2:]:
            if re.fullmatch(r"\d+\+|\d+-\d+", word):
                self.span = span_of(word, served[1])
            elif word.startswith("null="):
                null = span_of(word[5:], served[1])
            elif word.startswith("tag="):
                self.tag = int(word[4:])
            elif word.startswith("default="):
                self.default = word[8:]
            elif word == "ignorable":
                self.ignorable = True
            elif word == "inflexible":
                self.inflexible = True
            else:
                raise SystemExit(f"{self.name}: what is `{word}`?")
        self.null = null or (self.span if self.nullable else None)
        self.rust_name = snake(self.name)
        self.struct = None

    @property
    def newtype(self):
        if self.kind == "int16" and self.name.endswith("ErrorCode"):
            return "ErrorCode"
        if self.kind == "uuid":
            if self.name.endswith("TopicId"):
                return "TopicId"
            if self.name.endswith("DirectoryId"):
                return "DirectoryId"
        return None

    def element_type(self):
        plain = {"string": "StrBytes", "bytes": "Bytes", "records": "Records", "bool": "bool", "uuid": "Uuid",
                 "float64": "Float64"}
        if self.newtype:
            return self.newtype
        if self.kind in NUMBERS:
            return NUMBERS[self.kind][0]
        return plain.get(self.kind, self.kind)

    def type(self):
        inner = f"Vec<{self.element_type()}>" if self.array else self.element_type()
        return f"Option<{inner}>" if self.nullable else inner

    def default_value(self):
        if self.nullable:
            return "None"
        if self.array:
            return "Vec::new()"
        if self.default is not None:
            if self.kind == "int64" and self.default == str(2**63 - 1):
                return "i64::MAX"
            if self.kind == "int32" and self.default == str(2**31 - 1):
                return "i32::MAX"
            if self.kind == "int32" and self.default == str(-(2**31)):
                return "i32::MIN"
            return self.default
        if self.newtype == "ErrorCode":
            return "ErrorCode::NONE"
        if self.newtype:
            return f"{self.newtype}::ZERO"
        if self.kind in NUMBERS:
            return "0"
        if self.kind == "bool":
            return "false"
        if self.kind == "uuid":
            return "Uuid::nil()"
        if self.kind == "bytes":
            return "Bytes::new()"
        if self.kind == "records":
            return "Records::empty()"
        return f"{self.element_type()}::default()"

    def is_set(self):
        """An expression: the field differs from its default."""
        me = f"self.{self.rust_name}"
        if self.nullable:
            return f"{me}.is_some()"
        if self.array or (self.kind in ("string", "bytes", "records") and self.default is None):
            return f"!{me}.is_empty()"
        if self.kind == "bool":
            return me if self.default != "true" else f"!{me}"
        return f"{me} != {self.default_value()}"

    def min_bytes(self):
        """A lower bound on the field's bytes in every version that has it."""
        if self.array or self.kind in ("string", "bytes", "records"):
            return 1
        if self.kind in NUMBERS:
            return NUMBERS[self.kind][1]
        if self.struct and self.nullable:
            return 1
        return {"bool": 1, "uuid": 16, "float64": 8}.get(self.kind) or max(1, self.struct.min_bytes())


class Struct:
    def __init__(self, name, span, message):
        self.name, self.span, self.message, self.fields = name, span, message, []

    def min_bytes(self):
        return sum(f.min_bytes() for f in self.fields if f.tag is None and f.span == self.span)

    def shape(self):
        return [(f.name, f.type(), f.span, f.null, f.tag, f.default, f.ignorable) for f in self.fields]

    def takes_in(self, other):
        """Covers the versions of another struct of the same message too, if they differ in nothing else."""
        bare = lambda s: [(f.name, f.type(), f.span == s.span, f.null, f.tag, f.default, f.ignorable) for f in s.fields]
        if other.message is not self.message or bare(self) != bare(other) or any(f.span != self.span for f in self.fields):
            return False
        self.span = min(self.span[0], other.span[0]), max(self.span[1], other.span[1])
        for field in self.fields:
            field.span = self.span
        return True

    # One struct's text.
    def rust(self):
        flexible = self.flexible()
        top = self.message.root is self
        lines = []
        if top:
            lines.append(f"/// {self.message.title()}")
        else:
            lines.append(f"/// Part of `{self.message.name}`{self.only(self.span, self.message.span)}.")
        defaults = {f.default_value() for f in self.fields}
        plain = all(d in DERIVED for d in defaults)
        lines.append(f"#[derive(Clone, Debug, {'Default, ' if plain else ''}PartialEq, Eq)]")
        lines.append(f"pub struct {self.name} {{")
        for f in self.fields:
            lines.append(f"/// {self.field_doc(f)}")
            lines.append(f"pub {f.rust_name}: {f.type()},")
        lines.append("}\n")
        if not plain:
            lines.append(f"impl Default for {self.name} {{ fn default() -> Self {{ {self.name} {{")
            lines += [f"{f.rust_name}: {f.default_value()}," for f in self.fields]
            lines.append("} } }\n")
        lines.append(f"impl Codec for {self.name} {{")
        lines.append(f"const MIN_BYTES: usize = {max(1, self.min_bytes())};\n")
        lines += self.decode(flexible)
        lines += self.encode(flexible)
        lines.append("}\n")
        if top:
            low, high = self.message.span
            lines.append(f"impl Message for {self.name} {{")
            lines.append(f'const NAME: &\'static str = "{self.name}";')
            lines.append(f"const VERSIONS: (i16, i16) = ({low}, {high});")
            lines.append("}\n")
            if self.name.endswith("Request") and self.message.key is not None:
                api = self.name.removesuffix("Request")
                lines.append(f"impl Request for {self.name} {{")
                lines.append(f"const KEY: ApiKey = ApiKey::{api};")
                lines.append(f"type Response = {api}Response;")
                lines.append("}\n")
        lines += self.sample()
        return lines

    def only(self, span, around):
        if span == around:
            return ""
        low, high = span
        if high == around[1]:
            return f", from version {low}"
        if low == around[0]:
            return f", to version {high}"
        return f", version {low}" if low == high else f", versions {low} to {high}"

    def field_doc(self, f):
        doc = f"`{f.name}`{self.only(f.span, self.span)}"
        if f.nullable and f.null != f.span:
            doc += f"; null{self.only(f.null, f.span).removeprefix(',')}"
        if f.tag is not None:
            doc += f"; tag {f.tag}"
        if f.default is not None:
            doc += f"; {f.default_value()} when absent"
        return doc + "."

    def flexible(self):
        """Rust for `this version is flexible`: `true`, `false` or the local name."""
        start = self.message.flexible
        if start is None or start > self.span[1]:
            return "false"
        return "true" if start <= self.span[0] else "flexible"

    def condition(self, span, around=None):
        """Rust for `this version is within span`, or None when it always is, given that it is within `around`."""
        low, high = around or self.span
        at_least, at_most = span[0] > low, span[1] < high
        if at_least and at_most:
            if span[0] == span[1]:
                return f"version == {span[0]}"
            return f"({span[0]}..={span[1]}).contains(&version)"
        if at_least:
            return f"version >= {span[0]}"
        return f"version <= {span[1]}" if at_most else None

    def decode(self, flexible):
        body = []
        tagged = [f for f in self.fields if f.tag is not None]
        for f in self.fields:
            if f.tag is not None:
                body.append(f"{f.rust_name}: {f.default_value()},")
                continue
            read = self.read(f, flexible)
            condition = self.condition(f.span)
            if condition:
                read = f"if {condition} {{ {read} }} else {{ {f.default_value()} }}"
            body.append(f"{f.rust_name}: {read}," if f.rust_name != read else f"{read},")
        lines = []
        uses_flexible = flexible == "flexible"
        if uses_flexible:
            lines.append(f"let flexible = version >= {self.message.flexible};")
        mutable = "mut " if tagged and flexible != "false" else ""
        tail = []
        if flexible != "false":
            if tagged:
                tags = ["d.tags(|d, tag| {", "match tag {"]
                for f in sorted(tagged, key=lambda f: f.tag):
                    condition = self.condition(f.span)
                    # A field whose versions start later than flexible ones is unknown before.
                    late = condition and f.span[0] > (self.message.flexible or 0)
                    guard = f" if {condition}" if late else ""
                    tags.append(f"{f.tag}{guard} => it.{f.rust_name} = {self.read(f, 'true')},")
                tags += ["_ => return Ok(false),", "}", "Ok(true)", "})?;"]
            else:
                tags = ["d.no_tags()?;"]
            tail = ["if flexible {", *tags, "}"] if uses_flexible else tags
        if tail:
            lines.append(f"let {mutable}it = {self.name} {{")
            lines += body + ["};", *tail, "Ok(it)"]
        else:
            lines.append(f"Ok({self.name} {{")
            lines += body + ["})"]
        version = "version" if self.mentions_version(lines) else "_version"
        return [f"fn decode(d: &mut Decoder, {version}: i16) -> Result<Self, DecodeError> {{", *lines, "}\n"]

    @staticmethod
    def mentions_version(lines):
        return any(re.search(r"(?<![.\w])version\b(?!:)", line) for line in lines)

    def read(self, f, flexible):
        if f.inflexible:
            flexible = "false"
        element = {
            "bool": "d.bool()?",
            "uuid": "d.uuid()?",
            "float64": "d.float64()?",
            "string": f"d.string({flexible})?",
            "bytes": f"d.bytes({flexible})?",
        }.get(f.kind)
        if f.kind in NUMBERS:
            element = f"d.{NUMBERS[f.kind][0]}()?"
        if f.newtype == "ErrorCode":
            element = "d.error_code()?"
        elif f.newtype:
            element = f"{f.newtype}(d.uuid()?)"
        if f.struct:
            element = f"{f.kind}::decode(d, version)?"
        if f.array:
            least = f"{f.kind}::MIN_BYTES" if f.struct else Field.min_bytes_of(f)
            if element.endswith("?"):
                inner = element[:-1]
            else:
                inner = f"Ok({element})"
            call = f"({flexible}, {least}, |d| {inner})?"
            return self.with_null(f, f"d.nullable_array{call}", f"d.array{call}")
        if f.kind == "records":
            return f"d.records({flexible})?"
        if f.nullable and f.struct:
            return self.with_null(f, f"d.nullable_struct(|d| {element[:-1]})?", element)
        if f.nullable:
            return self.with_null(f, element.replace("d.", "d.nullable_", 1), element)
        return element

    def with_null(self, f, nullable, plain):
        if not f.nullable:
            return plain
        condition = self.condition(f.null, f.span)
        if condition:
            return f"if {condition} {{ {nullable} }} else {{ Some({plain}) }}"
        return nullable

    def encode(self, flexible):
        lines = []
        uses_flexible = flexible == "flexible"
        if uses_flexible:
            lines.append(f"let flexible = version >= {self.message.flexible};")
        for f in (f for f in self.fields if f.tag is None):
            write = self.write(f, flexible)
            condition = self.condition(f.span)
            refusal = None if self.may_drop(f) else f"{f.is_set()}"
            if condition and refusal:
                lines += [f"if {condition} {{", *write, f"}} else if {refusal} {{", self.refuse(f), "}"]
            elif condition:
                lines += [f"if {condition} {{", *write, "}"]
            else:
                lines += write
        tagged = sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)
        tail, early = [], []
        if tagged and flexible != "false":
            tail.append("let mut tags = Tags::new();")
            for f in tagged:
                late = f.span[0] > max(self.message.flexible, self.span[0])
                content = self.write(f, "true", tagged=True)
                add = [f"tags.add({f.tag}, |e| {{", *content, "})?;"]
                condition = f.is_set()
                if late:
                    condition = f"version >= {f.span[0]} && {condition}"
                tail += [f"if {condition} {{", *add, "}"]
                if not self.may_drop(f) and f.span[0] > self.span[0]:
                    early += [f"if version < {f.span[0]} && {f.is_set()} {{", self.refuse(f), "}"]
            tail.append("e.tags(tags);")
        elif flexible != "false":
            tail.append("e.no_tags();")
        lines += early
        lines += ["if flexible {", *tail, "}"] if uses_flexible else tail
        lines.append("Ok(())")
        version = "version" if self.mentions_version(lines) else "_version"
        head = f"fn encode(&self, e: &mut Encoder, {version}: i16) -> Result<(), EncodeError> {{"
        return [head, *lines, "}"]

    def may_drop(self, f):
        """Whether a value is left out silently where the version has no place for it. Of an answer always: the client has
        asked in that version, and an older client is better served with less than with nothing."""
        return f.ignorable or self.message.name.endswith("Response")

    def refuse(self, f):
        return f'return Err(EncodeError::NotInVersion {{ field: "{self.name}.{f.name}", version }});'

    def write(self, f, flexible, tagged=False):
        """Lines that write the field; with `tagged` the last is an expression of the closure's type."""
        me = f"self.{f.rust_name}"
        if f.inflexible:
            flexible = "false"
        lines = []
        if f.nullable and f.null != f.span:
            condition = self.condition((f.span[0], f.null[0] - 1), f.span)
            assert f.null[1] == f.span[1] and condition, f"{self.name}.{f.name}: null in versions in the middle"
            lines += [
                f"if {me}.is_none() && {condition} {{",
                f'return Err(EncodeError::Null {{ field: "{self.name}.{f.name}", version }});',
                "}",
            ]
        fallible = True
        if f.array:
            if f.struct:
                item = "item.encode(e, version)"
            elif f.kind == "string":
                item = f"e.string(item, {flexible})"
            else:
                item = f"{{ e.{NUMBERS[f.kind][0]}(*item); Ok(()) }}"
            if f.nullable:
                call = f"e.nullable_array({me}.as_deref(), {flexible}, |e, item| {item})"
            else:
                call = f"e.array(&{me}, {flexible}, |e, item| {item})"
        elif f.struct and f.nullable:
            call = f"e.nullable_struct({me}.as_ref(), |e, it| it.encode(e, version))"
        elif f.struct:
            call = f"{me}.encode(e, version)"
        elif f.kind == "records":
            value = f"{me}.as_ref()" if f.nullable else f"Some(&{me})"
            call = f"e.records({value}, {flexible})"
        elif f.kind in ("string", "bytes"):
            if f.nullable:
                call = f"e.nullable_{f.kind}({me}.as_ref(), {flexible})"
            else:
                call = f"e.{f.kind}(&{me}, {flexible})"
        else:
            fallible = False
            if f.newtype == "ErrorCode":
                call = f"e.error_code({me})"
            elif f.newtype:
                call = f"e.uuid({me}.0)"
            elif f.kind in NUMBERS:
                call = f"e.{NUMBERS[f.kind][0]}({me})"
            else:
                call = f"e.{f.kind}({me})"
        if tagged:
            return lines + ([call] if fallible else [call + ";", "Ok(())"])
        return lines + [call + ("?;" if fallible else ";")]

    def sample(self):
        """A random value of a version, for tests."""
        lines = ["#[cfg(test)]", f"impl crate::wire::samples::Sample for {self.name} {{"]
        body = []
        for f in self.fields:
            # Explicit generators, so that a nullable field is null only where it may be.
            kind = {"string": "g.text()", "bytes": "g.bytes()", "records": "g.records()", "bool": "g.bool()",
                    "float64": "g.float64()"}.get(f.kind)
            if f.kind in NUMBERS:
                kind = f"g.{NUMBERS[f.kind][0]}()"
            elif f.kind == "uuid":
                kind = "g.uuid()"
            if f.newtype:
                kind = f"{f.newtype}({kind})"
            if f.struct:
                kind = f"{f.kind}::sample(g, version)"
            if f.array:
                kind = f"g.array(|g| {kind})"
            if f.nullable:
                allowed = self.condition(f.null, f.span) or "true"
                kind = f"g.option({allowed}, |g| {kind})"
            condition = self.condition(f.span)
            if condition:
                kind = f"if {condition} {{ {kind} }} else {{ {f.default_value()} }}"
            body.append(f"{f.rust_name}: {kind},")
        version = "version" if self.mentions_version(body) else "_version"
        lines.append(f"fn sample(g: &mut crate::wire::samples::Gen, {version}: i16) -> Self {{")
        return lines + [f"{self.name} {{", *body, "}", "}", "}\n"]


DERIVED = {"0", "false", "None", "Vec::new()", "Bytes::new()", "StrBytes::default()", "Float64::default()", "Records::empty()", "ErrorCode::NONE",
           "TopicId::ZERO", "DirectoryId::ZERO", "Uuid::nil()"}


def min_bytes_of(f):
    if f.kind in NUMBERS:
        return str(NUMBERS[f.kind][1])
    return {"uuid": "16"}.get(f.kind, "1")


Field.min_bytes_of = staticmethod(min_bytes_of)


class Message:
    """One message of a schema file: its root struct and those below it."""

    def __init__(self, lines):
        words = lines[0].split()
        self.name = words[1]
        facts = dict(word.split("=") for word in words[2:])
        self.key = int(facts["key"]) if "key" in facts else None
        self.span = span_of(facts["versions"], None)
        self.flexible = None if facts["flexible"] == "none" else int(facts["flexible"][:-1])
        self.structs = []
        self.root = Struct(self.name, self.span, self)
        self.parse(self.root, lines[1:], 1)

    def parse(self, struct, lines, depth):
        self.structs.append(struct)
        at = 0
        while at < len(lines):
            below = at + 1
            while below < len(lines) and lines[below].startswith("  " * (depth + 1)):
                below += 1
            field = Field(lines[at].split(), struct.span, self.span)
            struct.fields.append(field)
            if below > at + 1:
                field.struct = Struct(field.kind, field.span, self)
                self.parse(field.struct, lines[at + 1 : below], depth + 1)
            at = below

    def title(self):
        low, high = self.span
        versions = f"versions {low} to {high}" if low != high else f"version {low}"
        flexible = f", flexible from {self.flexible}" if self.flexible is not None else ""
        if self.name.endswith(("Request", "Response")) and self.key is not None:
            return f"`{self.name}`, API key {self.key}, {versions}{flexible}."
        if self.key is not None:
            return f"`{self.name}`, record type {self.key}, {versions}{flexible}."
        return f"`{self.name}`, {versions}{flexible}."


def parse_file(path):
    blocks = []
    for line in open(path).read().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("message "):
            blocks.append([])
        blocks[-1].append(line)
    return [Message(block) for block in blocks]


def module(name, messages):
    structs, seen = [], {}
    for message in messages:
        for struct in message.structs:
            if struct.name in seen:
                if not seen[struct.name].takes_in(struct) and seen[struct.name].shape() != struct.shape():
                    raise SystemExit(f"{name}: two different structs are called {struct.name}")
                continue
            seen[struct.name] = struct
            structs.append(struct)
    lines = []
    for struct in structs:
        lines += struct.rust()
    text = "\n".join(lines)
    title = " and ".join(f"`{m.name}`" for m in messages) if len(messages) < 3 else name.replace("_", " ")
    head = [f"//! {title[0].upper()}{title[1:]}.", "//!", f"//! Generated from `wire/schema/{name}.schema` by `generate.py`; do not edit.", ""]
    used = lambda word: re.search(rf"\b{word}\b", text)
    codec = [w for w in ("Codec", "DecodeError", "Decoder", "EncodeError", "Encoder", "Float64", "Message", "Records", "Request", "StrBytes", "Tags") if used(w)]
    wire = [w for w in ("ApiKey", "ErrorCode") if used(w)]
    types = [w for w in ("DirectoryId", "TopicId") if used(w)]
    if used("Bytes"):
        head.append("use bytes::Bytes;")
    if used("Uuid"):
        head.append("use uuid::Uuid;")
    if head[-1]:
        head.append("")
    if types:
        head.append(f"use crate::types::{{{', '.join(types)}}};")
    head.append(f"use crate::wire::codec::{{{', '.join(codec)}}};")
    if wire:
        head.append(f"use crate::wire::{{{', '.join(wire)}}};")
    return "\n".join(head) + "\n\n" + text


def index(modules):
    apis = sorted((m[0] for m in modules.values() if m[0].name.endswith("Request")), key=lambda m: m.key)
    out = ["//! Kafka's messages: one module per API, its request and its response.", "//!",
           "//! Generated from `wire/schema/*.schema` by `generate.py`; do not edit.", ""]
    out += [f"pub mod {name};" for name in sorted(modules)]
    names = [m.name.removesuffix("Request") for m in apis]
    out += ["", "/// The APIs whose messages we know, by Kafka's keys.", "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]",
            "#[repr(i16)]", "pub enum ApiKey {"]
    for m, name in zip(apis, names):
        out += [f"/// Versions {m.span[0]} to {m.span[1]}.", f"{name} = {m.key},"]
    out += ["}", "", "impl ApiKey {", "/// All of them, ascending.",
            f"pub const ALL: [ApiKey; {len(names)}] = [{', '.join('ApiKey::' + n for n in names)}];", "",
            "/// The API of a key.", "#[must_use]", "pub const fn from_key(key: i16) -> Option<ApiKey> {", "Some(match key {"]
    out += [f"{m.key} => ApiKey::{n}," for m, n in zip(apis, names)]
    out += ["_ => return None,", "})", "}", "", "/// The lowest and the highest version that we serve.", "#[must_use]",
            "pub const fn versions(self) -> (i16, i16) {", "match self {"]
    out += [f"ApiKey::{n} => ({m.span[0]}, {m.span[1]})," for m, n in zip(apis, names)]
    out += ["}", "}", "", "/// The first version with compact lengths and tagged fields (KIP-482), if there is one.", "#[must_use]",
            "pub const fn flexible_from(self) -> Option<i16> {", "match self {"]
    out += [f"ApiKey::{n} => {'None' if m.flexible is None else f'Some({m.flexible})'}," for m, n in zip(apis, names)]
    out += ["}", "}", "}", "", "/// Calls a macro with every API's name, its module, its request and its response.",
            "#[cfg(any(test, feature = \"sim\"))]",
            "macro_rules! for_each_api {", "($callback:ident) => {", "$callback! {"]
    for m, n in zip(apis, names):
        out.append(f"{n}, {snake(n)}, {n}Request, {n}Response;")
    out += ["}", "};", "}", "#[cfg(any(test, feature = \"sim\"))]", "pub(crate) use for_each_api;", ""]
    return "\n".join(out)


def formatted(text):
    # rustfmt.toml is found beside Cargo.toml.
    root = os.path.normpath(os.path.join(HERE, "..", "..", ".."))
    command = ["rustfmt", "--edition", "2024", "--emit", "stdout", "--config-path", root]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def main():
    modules = {f.removesuffix(".schema"): parse_file(os.path.join(HERE, f)) for f in sorted(os.listdir(HERE)) if f.endswith(".schema")}
    files = {f"{name}.rs": module(name, messages) for name, messages in modules.items()}
    files["mod.rs"] = index(modules)
    files = {name: formatted(text) for name, text in files.items()}
    if "--check" in sys.argv:
        present = set(os.listdir(TARGET))
        stale = [n for n, text in files.items() if n not in present or open(os.path.join(TARGET, n)).read() != text]
        stale += sorted(present - set(files))
        if stale:
            raise SystemExit(f"run src/wire/schema/generate.py: {', '.join(stale)} differ from the schema")
        return
    os.makedirs(TARGET, exist_ok=True)
    for name, text in files.items():
        with open(os.path.join(TARGET, name), "w") as target:
            target.write(text)


main()
