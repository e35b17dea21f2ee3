#!/usr/bin/env python3
"""Writes our compact schema files from the message definitions that Kafka's jars carry as data.

Run once when an API is added; its output is checked in and is what `generate.py` reads. Only facts are taken: names,
types, versions, nullability, tags, defaults.

    unzip kafka-clients-4.3.1.jar 'common/message/*.json' -d JSON
    unzip kafka-group-coordinator-4.3.1.jar 'common/message/*.json' -d JSON
    ./extract.py JSON/common/message Fetch=4-18 Metadata=0-13 …

An argument `Name=versions` names an API (NameRequest + NameResponse) and the versions that we serve. `Name1,Name2:file`
writes headers or record schemas, in all their versions, into `file`.
"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def load(path):
    text = open(path).read()
    text = re.sub(r"^\s*//.*$", "", text, flags=re.M)
    text = re.sub(r'([\],{}"\d])\s*//[^"\n]*$', r"\1", text, flags=re.M)
    return json.loads(text)


def parse_versions(text, top):
    """'0-12', '13+', '4', 'none' -> (lowest, highest) or None."""
    if text in (None, "none"):
        return None
    if text.endswith("+"):
        return int(text[:-1]), top
    if "-" in text:
        low, high = text.split("-")
        return int(low), int(high)
    return int(text), int(text)


def clamp(a, b):
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else None


def show(span, served):
    low, high = span
    if high >= served[1]:
        return f"{low}+"
    return f"{low}-{high}"


def shape(fields, commons):
    """A struct's fields, for telling two structs of one name apart."""
    return [(f["name"], f["type"], shape(f.get("fields") or commons.get(f["type"].removeprefix("[]")) or [], commons))
            for f in fields]


def write_fields(out, fields, commons, served, around, indent, seen):
    for field in fields:
        span = parse_versions(field.get("versions") or field["taggedVersions"], served[1])
        span = span and clamp(span, around)
        if span is None:
            continue
        kind = field["type"]
        element = kind.removeprefix("[]")
        below = field.get("fields") or commons.get(element)
        # A struct of the answer that is named as another one of the request.
        if below and seen.setdefault(element, shape(below, commons)) != shape(below, commons):
            kind += "Result"
        words = [field["name"][0].upper() + field["name"][1:]]
        nullable = parse_versions(field.get("nullableVersions"), served[1])
        nullable = nullable and clamp(nullable, span)
        mark = ""
        extra = []
        if nullable == span:
            mark = "?"
        elif nullable:
            mark = "?"
            extra.append(f"null={show(nullable, served)}")
        words.append(kind + mark)
        if span != around:
            words.append(show(span, served))
        words += extra
        if "tag" in field:
            tagged = clamp(parse_versions(field["taggedVersions"], served[1]), span)
            assert tagged == span, f"{field['name']}: tagged in only some of its versions"
            words.append(f"tag={field['tag']}")
        default = field.get("default")
        if default is not None and str(default).lower() not in ("", "0", "false", "null"):
            words.append(f"default={int(str(default), 0) if element != 'bool' else default}")
        if field.get("ignorable") in (True, "true"):
            words.append("ignorable")
        if field.get("flexibleVersions") == "none":
            words.append("inflexible")
        out.append("  " * indent + " ".join(words))
        if below:
            write_fields(out, below, commons, served, span, indent + 1, seen)


def message(directory, name, served, title, out, seen):
    definition = load(os.path.join(directory, name + ".json"))
    valid = parse_versions(definition["validVersions"], None)
    assert valid[0] <= served[0] and served[1] <= valid[1], f"{name} has versions {valid}"
    flexible = parse_versions(definition["flexibleVersions"], served[1])
    commons = {c["name"]: c["fields"] for c in definition.get("commonStructs", [])}
    flexible = f"flexible={flexible[0]}+" if flexible and flexible[0] <= served[1] else "flexible=none"
    key = f" key={definition['apiKey']}" if "apiKey" in definition else ""
    out.append(f"{title}{key} versions={served[0]}-{served[1]} {flexible}")
    write_fields(out, definition["fields"], commons, served, served, 1, seen)


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def main():
    directory = sys.argv[1]
    for argument in sys.argv[2:]:
        out, seen = [], {}
        if ":" in argument:
            names, file = argument.split(":")
            for name in names.split(","):
                valid = load(os.path.join(directory, name + ".json"))["validVersions"]
                message(directory, name, parse_versions(valid, None), f"message {name}", out, seen)
        else:
            names, versions = argument.split("=")
            served = parse_versions(versions, None)
            file = snake(names)
            for part in ("Request", "Response"):
                message(directory, names + part, served, f"message {names}{part}", out, seen)
        with open(os.path.join(HERE, file + ".schema"), "w") as target:
            target.write("\n".join(out) + "\n")


main()
