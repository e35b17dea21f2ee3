"""The tables of faults in tests/README.md: which tests each row names, whether there are such tests, and what a log says of them.

What stands in backquotes is a test (`test_x.py`, a method, a function in Rust; `…` at an end stands for the rest), a module or file with tests,
a planted defect (hyphens), a defect of a model (CamelCase), or a script. The words chaos, simulation, model and whole brokers stand for tests too.
"""

import re

from processes import ROOT

README = ROOT / "tests/README.md"
HEADS = ("| fault | tests | positive control |", "| trap | test | positive control |")
COLUMN = " last result |"
WORDS = {"chaos": "replication::tests::chaos", "simulation": "replication::isr::simulation", "model": "replication::isr::model"}
SEEDS = "whole brokers"
OF_MODELS = ("src/replication/isr", "tiering/src")


class Row:
    """A row: its cells, and how many of them are the table's own."""

    def __init__(self, line):
        self.cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        self.name, self.said = self.cells[0], " | ".join(self.cells[1:3])

    def names(self):
        """What stands in backquotes, as it would be looked up."""
        return [name.split()[0] for name in re.findall(r"`([^`]+)`", self.said)]

    def words(self):
        """The words outside of backquotes that stand for tests."""
        rest = re.sub(r"`[^`]*`", "", self.said)
        return [word for word in (*WORDS, SEEDS) if re.search(rf"\b{word}\b", rest)]


def tables(text):
    """(first line, its rows' lines) of each of the tables."""
    lines, found = text.splitlines(), []
    for at, line in enumerate(lines):
        if line.startswith(HEADS):
            end = next(i for i in range(at + 2, len(lines) + 1) if i == len(lines) or not lines[i].startswith("|"))
            found.append((at, range(at + 2, end)))
    return lines, found


def rows(text=None):
    """All rows of all tables."""
    lines, found = tables(README.read_text() if text is None else text)
    return [Row(lines[at]) for _, whole in found for at in whole]


class Tree:
    """What tests the repository has."""

    def __init__(self):
        self.python = {path.name: set(re.findall(r"^    def (test_\w+)", path.read_text(), re.M))
                       for folder in ("cluster", "deploy") for path in (ROOT / "tests" / folder).glob("test_*.py")}
        self.rust, self.models = set(), set()
        for source in ("src", "tiering/src"):
            for path in (ROOT / source).rglob("*.rs"):
                text = path.read_text()
                module = "::".join(path.relative_to(ROOT / source).with_suffix("").parts).removesuffix("::mod")
                if "test]" in text or "::test(" in text or "proptest!" in text or "tests" in path.parts:
                    self.rust |= {f"{module}::{name}" for name in re.findall(r"\bfn (\w+)", text)}
                if str(path.relative_to(ROOT)).startswith(OF_MODELS):
                    self.models |= set(re.findall(r"^ +([A-Z]\w+)(?:,| =>|\()", text, re.M))
        self.defects = set(re.findall(r'^    \("([\w-]+)", Defect::', (ROOT / "src/env/defect.rs").read_text(), re.M))
        self.defects &= set(re.findall(r'^    \("([\w-]+)"', (ROOT / "tests/defects").read_text(), re.M))

    def has(self, name):
        """Whether there is what a row names."""
        if name.startswith(("tests/", "benches/")):
            return (ROOT / name).is_file()
        if name.startswith("test_"):
            return name in self.python or any(name in tests for tests in self.python.values())
        if re.fullmatch(r"[a-z]+(-[a-z]+)+", name):
            return name in self.defects
        if re.fullmatch(r"[A-Z]\w+", name):
            return name in self.models
        return any(stands_for(name, test) for test in self.rust)


def stands_for(name, test):
    """Whether a name (of a function, a module or a file) stands for this test in Rust or Python."""
    if name.startswith("test_"):
        return test.startswith(f"{name.removesuffix('.py')}.") if name.endswith(".py") else test.split(".")[-1] == name
    if "/" in name or name in WORDS.values():
        return test.startswith(name.removesuffix(".rs").replace("/", "::") + "::")
    last = test.split("::")[-1]
    return last.startswith(name.removesuffix("…")) if name.endswith("…") else last == name


class Log:
    """What the output of `tests/run`, or of a part of it, says."""

    def __init__(self, text):
        self.tests, self.defects, self.seeds = {}, {}, None
        for test, verdict in re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", text, re.M):
            self._add(test, {"ok": "passed", "FAILED": "FAILED", "ignored": "skipped"}[verdict])
        begins = list(re.finditer(r"^test_\w+ \((\w+\.\w+\.test_\w+)\)", text, re.M))
        for begin, end in zip(begins, [*(each.start() for each in begins[1:]), len(text)]):
            # A test may print between its name and its verdict.
            verdict = re.search(r"\b(ok|FAIL|ERROR|skipped '.*)$", text[begin.end():end], re.M)
            if verdict:
                self._add(begin[1], "passed" if verdict[1] == "ok" else "skipped" if verdict[1].startswith("skipped") else "FAILED")
        for defect, words, after in re.findall(r"^\| `([\w-]+)` \| `[^`]+` \| (.*) \| ([^|]*) \|$", text, re.M):
            self.defects.setdefault(defect, []).append("**NOT FOUND**" if words.startswith("**NOT FOUND") else f"after {after}")
        if summed := re.search(r"^(\d+) seeds from \d+ on at \w+: (\d+) failed", text, re.M):
            self.seeds = int(summed[1]), int(summed[2])

    def _add(self, test, verdict):
        # What has failed once has failed.
        if self.tests.get(test) != "FAILED":
            self.tests[test] = verdict

    def of(self, name):
        """The verdicts of what a name stands for."""
        return {test: verdict for test, verdict in self.tests.items() if stands_for(name, test)}

    def result(self, row, tree, day):
        """The cell of a row; None where this log has nothing of it."""
        verdicts, controls, missing = {}, [], []
        for name in (*row.names(), *(WORDS[word] for word in row.words() if word in WORDS)):
            if re.fullmatch(r"[a-z]+(-[a-z]+)+", name):
                if name in self.defects:
                    controls.append(f"`{name}` {' and '.join(dict.fromkeys(self.defects[name]))}")
                else:
                    missing.append(name)
            elif name.startswith(("tests/", "benches/")):
                continue  # what is not run by CI has its result elsewhere
            else:
                found = self.of("every_planted_defect_breaks_its_property" if name in tree.models else name)
                verdicts.update(found)
                missing += [] if found else [name]
        seeds = SEEDS in row.words()
        if not verdicts and not controls and not (seeds and self.seeds):
            return None
        if seeds and not self.seeds:
            missing.append(SEEDS)
        failed = sorted(test.split("::")[-1].split(".")[-1] for test, verdict in verdicts.items() if verdict == "FAILED")
        passed = sum(verdict == "passed" for verdict in verdicts.values())
        parts = [f"{passed} test" + "s" * (passed != 1)]
        if skipped := sum(verdict == "skipped" for verdict in verdicts.values()):
            parts.append(f"{skipped} skipped")
        if seeds and self.seeds:
            parts.append(f"{self.seeds[0]} seeds" + (f", **{self.seeds[1]} FAILED**" if self.seeds[1] else ""))
            failed += [SEEDS] if self.seeds[1] else []
        parts += controls
        parts += [f"not run: {', '.join(f'`{name}`' for name in dict.fromkeys(missing))}"] if missing else []
        bad = failed or any("NOT FOUND" in control for control in controls)
        word = "**FAILED** " + ", ".join(f"`{name}`" for name in failed) if failed else "**FAILED**" if bad else "passed"
        return f"{word} {day}: {'; '.join(parts)}"


def filled(text, log, day, tree=None):
    """The text of tests/README.md with the last column as the log has it; how many rows have changed."""
    tree = tree or Tree()
    lines, found = tables(text)
    changed = 0
    for head, whole in found:
        if not lines[head].endswith(COLUMN):
            lines[head] += COLUMN
            lines[head + 1] += "---|"
        for at in whole:
            row = Row(lines[at])
            former = row.cells[3] if len(row.cells) > 3 else ""
            now = log.result(row, tree, day) or former
            cells = [*row.cells[:3], *[""] * (3 - len(row.cells)), now]
            lines[at] = "| " + " | ".join(cells) + " |"
            changed += now != former
    return "\n".join(lines) + "\n", changed
