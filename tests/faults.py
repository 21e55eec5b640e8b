"""A generator of seeded faults in declared files: what a person's slip would make, and what the answer must point at."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import simclr_spec.library as library


@dataclass(frozen=True)
class Seeded:
    """One file with one fault in it."""

    kind: library.Kind
    name: str
    text: str
    what: str
    places: frozenset[tuple[int, int]]
    """any of these (line, column) is the exact token"""
    suggestion: str | None
    """the word that must be suggested, for misspellings"""


_LINE = re.compile(r"^(?P<key>[A-Za-z_][\w.]*) = (?P<value>.+)$")
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|-?\d[\d_.eE+-]*|true|false")
_REFERENCE = re.compile(r"\b(?:recipe|scale|dataset|from|teacher|spec) = \"(\w+)\"|stage = \"(\w+)\"")


def _misspell(word: str, chance: random.Random) -> str:
    """One slip of the fingers: a letter lost, doubled, swapped with its neighbour, or replaced."""
    at = chance.randrange(1, len(word)) if len(word) > 1 else 0
    slips = [word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:], word[:at] + "x" + word[at + 1 :]]
    if at + 1 < len(word):
        slips.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return chance.choice([slip for slip in slips if slip and slip != word])


def seeded(count: int, seed: int) -> Iterator[Seeded]:
    """`count` faults, spread over all declared files and ways to go wrong."""
    chance = random.Random(seed)
    files = [(kind, name) for kind in library.FOLDERS for name in library.names(kind)]
    ways = [_renamed_key, _retyped_value, _misspelt_word, _doubled_line, _lost_key, _out_of_range, _misreference]
    made = 0
    while made < count:
        kind, name = files[made % len(files)]
        text = library.read(kind, name).text
        fault = chance.choice(ways)(kind, name, text, chance)
        if fault is not None:
            made += 1
            yield fault


def _lines(text: str) -> list[tuple[int, str, re.Match[str]]]:
    """(number, table, match) of every plain assignment."""
    table, found = "", []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("["):
            table = line.strip("[] ")
        if (match := _LINE.match(line)) is not None:
            found.append((number, table, match))
    return found


def _with(text: str, number: int, line: str) -> str:
    lines = text.split("\n")
    lines[number - 1] = line
    return "\n".join(lines)


def _renamed_key(kind: library.Kind, name: str, text: str, chance: random.Random) -> Seeded | None:
    number, _, match = chance.choice(_lines(text))
    *above, key = match["key"].split(".")
    if len(key) < 4:
        return None
    wrong = _misspell(key, chance)
    column = 1 + sum(len(part) + 1 for part in above)
    line = ".".join([*above, wrong]) + f" = {match['value']}"
    return Seeded(kind, name, _with(text, number, line), "renamed key", frozenset({(number, column)}), key)


def _tokens(match: re.Match[str]) -> list[tuple[int, str, str]]:
    """(column, token, key in front of it) of every scalar of the value; not the free text of sources and titles."""
    found = []
    for token in _TOKEN.finditer(match["value"]):
        before = re.findall(r"([\w.]+) = (?:\[[^\]]*)?$", match["value"][: token.start()])
        key = before[0] if before else match["key"]
        if key not in ("source", "title", "description"):
            found.append((match.start("value") + token.start() + 1, token.group(), key))
    return found


def _replaced(text: str, number: int, column: int, old: str, new: str) -> str:
    line = text.split("\n")[number - 1]
    return _with(text, number, line[: column - 1] + new + line[column - 1 + len(old) :])


def _retyped_value(kind: library.Kind, name: str, text: str, chance: random.Random) -> Seeded | None:
    number, _, match = chance.choice(_lines(text))
    tokens = _tokens(match)
    if not tokens:
        return None
    column, token, _ = chance.choice(tokens)
    wrong = chance.choice(["[[1]]", "1979-05-27", "{ x = 1 }"])
    # a table that is no value: its unknown key is the token as well
    places = {(number, column), (number, column + 2)} if wrong.startswith("{") else {(number, column)}
    return Seeded(kind, name, _replaced(text, number, column, token, wrong), "retyped value", frozenset(places), None)


_FREE = {"recipe", "scale", "dataset", "spec", "from", "teacher", "stage", "name", "digest", "list_digest", "url", "unit"}


def _misspelt_word(kind: library.Kind, name: str, text: str, chance: random.Random) -> Seeded | None:
    number, _, match = chance.choice(_lines(text))
    words = [(c, t, k) for c, t, k in _tokens(match) if t[0] == '"' and len(t) > 5 and k not in _FREE and t != '"none"']
    words = [word for word in words if not (kind == "report" and word[2] in ("metric", "unit"))]
    if not words:
        return None
    column, token, _ = chance.choice(words)
    wrong = f'"{_misspell(token[1:-1], chance)}"'
    return Seeded(
        kind, name, _replaced(text, number, column, token, wrong), "misspelt", frozenset({(number, column)}), token[1:-1]
    )


def _doubled_line(kind: library.Kind, name: str, text: str, chance: random.Random) -> Seeded | None:
    number, _, match = chance.choice(_lines(text))
    if match["value"].count("[") != match["value"].count("]"):
        return None
    lines = text.split("\n")
    lines.insert(number, lines[number - 1])
    return Seeded(kind, name, "\n".join(lines), "doubled line", frozenset({(number + 1, 1)}), None)


_NEEDED = {"spec": {"title", "recipe", "kind", "from", "teacher"}, "machine": None, "dataset": None, "recipe": None}


def _lost_key(kind: library.Kind, name: str, text: str, chance: random.Random) -> Seeded | None:
    """A key that must be there is gone: the place is its table's header, or the file's first line."""
    number, table, match = chance.choice(_lines(text))
    needed = _NEEDED.get(kind, set())
    if needed is not None and match["key"] not in needed:
        return None
    if kind == "recipe" and (match["key"] in ("title", "dataset") or match["key"].startswith(("when", "set.")) or not table):
        return None
    if kind == "recipe" and table != "distill" and f"\n{match['key']} = " in text.replace(match.group(), "", 1):
        return None  # said in another table too
    header = next((i for i, line in enumerate(text.split("\n"), 1) if line.strip("[] ") == table and line.startswith("[")), 1)
    column = 2 + table.rfind(".") + 1 if table else 1
    places = {(header, column), (header, 2)} if table else {(1, 1)}
    if kind == "recipe":
        places |= {(i, 2) for i, line in enumerate(text.split("\n"), 1) if re.match(r"\[\w+\]$", line)}
    return Seeded(kind, name, _with(text, number, ""), "lost key", frozenset(places), None)


_BEYOND = {
    "depth": "51",
    "width": "0",
    "label_fraction": "10",
    "labels_per_class": "0",
    "seeds": "-1",
    "flip": "1.5",
    "epochs": "-3",
    "batch": "1",
    "momentum": "2.0",
    "test_crop": "0.0",
    "classes": "1",
    "train_images": "0",
    "learning_rate": "0.0",
    "warmup": "1.2",
    "temperature": "-0.1",
    "threads": "0",
    "tflops": "0.0",
    "memory_gib": "-1.0",
}


def _out_of_range(kind: library.Kind, name: str, text: str, chance: random.Random) -> Seeded | None:
    number, table, match = chance.choice(_lines(text))
    if "when" in match.group() or "where" in match.group() or "rules" in table:
        return None
    tokens = [(c, t, k if k != "value" else match["key"]) for c, t, k in _tokens(match)]
    tokens = [token for token in tokens if token[2].rpartition(".")[2] in _BEYOND and token[1][0] not in "\"'tf"]
    if not tokens:
        return None
    column, token, key = chance.choice(tokens)
    wrong = _BEYOND[key.rpartition(".")[2]]
    return Seeded(
        kind, name, _replaced(text, number, column, token, wrong), "out of range", frozenset({(number, column)}), None
    )


def _misreference(kind: library.Kind, name: str, text: str, chance: random.Random) -> Seeded | None:
    """The name of a stage, recipe, scale or data set, misspelt."""
    if kind not in ("spec", "scale", "recipe"):
        return None
    found = [
        (number, match.start(group) + 1, match[group])
        for number, line in enumerate(text.split("\n"), 1)
        for match in _REFERENCE.finditer(line)
        for group in (1, 2)
        if match[group] and "when" not in line
    ]
    if not found:
        return None
    number, column, word = chance.choice(found)
    wrong = _misspell(word, chance)
    changed = _replaced(text, number, column, word, wrong)
    return Seeded(kind, name, changed, "misreference", frozenset({(number, column - 1)}), word)


def written(fault: Seeded, folder: Path) -> tuple[str, str]:
    """Writes the faulty file, and where it is no spec a spec that uses it; the arguments (spec path or name, shown file)."""
    file = folder / f"{fault.kind}.toml"
    file.write_text(fault.text, encoding="utf-8")
    return str(file), str(file)
