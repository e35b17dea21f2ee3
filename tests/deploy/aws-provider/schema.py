#!/usr/bin/env python3
"""Reads the AWS provider's schema out of the npm package `@cdktf/provider-aws` (its generated bindings).

    schema.py PACKAGE.tgz OUT.json TYPE…     TYPE: aws_instance, data.aws_subnet, …

The bindings name each argument and block, its type, whether it is a block, and whether it must be given; what they leave
open is whether an optional argument is also filled in by the provider, so every optional one counts as computed too.
"""

import json
import re
import sys
import tarfile

SIMPLE = {"string": "string", "boolean": "bool", "number": "number"}
GETTERS = {"String": "string", "Boolean": "bool", "Number": "number", "List": ["list", "string"],
           "NumberList": ["list", "number"], "StringMap": ["map", "string"], "BooleanMap": ["map", "bool"],
           "NumberMap": ["map", "number"], "AnyMap": ["map", "string"]}


def folder(kind):
    data = kind.startswith("data.")
    name = kind.removeprefix("data.").removeprefix("aws_").replace("_", "-")
    return f"data-aws-{name}" if data else name


def camel(snake):
    head, *rest = snake.split("_")
    return head + "".join(part.capitalize() for part in rest)


class Bindings:
    """One type's index.js and index.d.ts."""

    def __init__(self, script, types):
        self.script, self.types = script, types
        self.classes = {m[1]: m[0] for m in re.finditer(r"^class (\w+) extends .*?^}", script, re.M | re.S)}
        self.render = {m[1]: m[0] for m in re.finditer(r"^function (\w+)ToHclTerraform\(.*?^}", script, re.M | re.S)}
        self.interfaces = {m[1]: m[0] for m in re.finditer(r"^export interface (\w+)\b.*?^}", types, re.M | re.S)}

    def required(self, interface):
        """Property → whether it must be given."""
        text = self.interfaces.get(interface, "")
        return {name: mark == "" for name, mark in re.findall(r"^    readonly (\w+)(\??):", text, re.M)}

    def main(self):
        name = next(n for n, text in self.classes.items()
                    if re.search(r"extends cdktf\.Terraform(Resource|DataSource)\b", text[:200]))
        text = self.classes[name]
        return self.body(text[text.index("synthesizeHclAttributes"):], text, name + "Config")

    def body(self, rendered, class_text, interface):
        required = self.required(interface)
        attributes, blocks = {}, {}
        pattern = r"^ {8,12}(\w+): \{\s+value: (.*?),\s+isBlock: (\w+),\s+type: \"(\w+)\",\s+storageClassType: \"(\w+)\","
        for name, value, block, kind, storage in re.findall(pattern, rendered, re.M | re.S):
            must = required.get(camel(name), False)
            if block == "true" and "ToHclTerraform" in value:
                inner = re.findall(r"(\w+)ToHclTerraform", value)[-1]
                single = "listMapperHcl" not in value
                blocks[name] = {
                    # An argument of the framework's kind renders as a struct; blocks of the SDK as list or set.
                    "nesting": "single" if kind == "struct" else kind,
                    "min": 1 if must else 0, "max": 1 if single else 0,
                    **self.nested(inner),
                }
            else:
                attributes[name] = {"type": self.type(kind, storage), "required": must, "optional": not must,
                                    "computed": not must}
        for name, getter in re.findall(r"^    get \w+\(\) \{\s+return (?:cdktf\.Fn\.tolist\()?(?:cdktf\.token\w+\()*"
                                       r"this\.get(\w+)Attribute\('(\w+)'\)", class_text, re.M):
            name, getter = getter, name
            if name not in attributes and getter in GETTERS:
                attributes[name] = {"type": GETTERS[getter], "required": False, "optional": False, "computed": True}
        lists = re.findall(r"this\._\w+ = new (\w+?)(List|OutputReference|Map)?\(this, \"(\w+)\"(?:, (\w+))?\)", class_text)
        for inner, _, name, is_set in lists:
            if name in attributes or name in blocks:
                continue
            fields = self.computed(inner + "OutputReference")
            attributes[name] = {"type": ["set" if is_set == "true" else "list", ["object", fields]],
                                "required": False, "optional": False, "computed": True}
        return {"attributes": attributes, "blocks": blocks}

    def nested(self, function):
        type_name = function[0].upper() + function[1:]
        class_text = self.classes.get(type_name + "OutputReference", "")
        return self.body(self.render[function], class_text, type_name)

    def computed(self, name):
        text = self.classes.get(name, "")
        found = {}
        for getter, field in re.findall(r"this\.get(\w+)Attribute\('(\w+)'\)", text):
            found[field] = GETTERS.get(getter, "string")
        for inner, _, field, is_set in re.findall(
                r"this\._\w+ = new (\w+?)(List|OutputReference)\(this, \"(\w+)\"(?:, (\w+))?\)", text):
            found[field] = ["set" if is_set == "true" else "list", ["object", self.computed(inner + "OutputReference")]]
        return found

    @staticmethod
    def type(kind, storage):
        if kind == "simple" or storage in SIMPLE:
            return SIMPLE.get(storage, "string")
        inner = SIMPLE.get(re.sub(r"(List|Map)$", "", storage), "string")
        return [kind if kind in ("list", "set", "map") else "list", inner]


def main():
    package, out, *kinds = sys.argv[1:]
    wanted = {f"package/lib/{folder(kind)}/index.{end}": (kind, end) for kind in [*kinds, "provider"]
              for end in ("js", "d.ts")}
    wanted.update({f"package/lib/provider/index.{end}": ("provider", end) for end in ("js", "d.ts")})
    texts = {}
    with tarfile.open(package) as archive:
        for member in archive:
            if member.name in wanted:
                texts[wanted[member.name]] = archive.extractfile(member).read().decode()
    missing = sorted({kind for kind in kinds if (kind, "js") not in texts})
    if missing:
        sys.exit(f"the provider has no {', '.join(missing)}")
    schemas = {"resources": {}, "data": {}, "version": re.search(
        r"providerVersion: '([\d.]+)'", texts[(kinds[0], "js")])[1]}
    for kind in kinds:
        place = schemas["data" if kind.startswith("data.") else "resources"]
        place[kind.removeprefix("data.")] = Bindings(texts[(kind, "js")], texts[(kind, "d.ts")]).main()
    provider = Bindings(texts[("provider", "js")].replace("cdktf.TerraformProvider", "cdktf.TerraformResource"),
                        texts[("provider", "d.ts")])
    schemas["provider"] = provider.main()
    with open(out, "w") as file:
        json.dump(schemas, file, indent=1, sort_keys=True)


main()
