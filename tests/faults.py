"""A generator of seeded faults in declared files: what a person's slip would make, and what the answer must point at."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simclr_spec.core.fields import schema as schema_of
from simclr_spec.language import declared, schema
from simclr_spec.stages.common import AugmentConfig, DatasetConfig, EncoderConfig, HeadConfig, LabelsConfig
from simclr_spec.stages.imports import WeightsConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.pretrain import MemoryConfig

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Seeded:
    """One file with one fault in it."""

    kind: declared.FileKind
    name: str
    text: str
    what: str
    places: frozenset[tuple[int, int]]
    """any of these (line, column) is the exact token; more than one only where the wrong value has parts"""
    suggestion: str | None = None
    """the word that must be suggested, for misspellings"""


@dataclass
class Item:
    """A key and its value, an entry of a list, or the header of a table: offsets in the text."""

    path: Path
    start: int
    """of the whole key"""
    at: int
    """of the key's last part"""
    value: int
    end: int


class File:
    """A declared file, and what stands where in it."""

    def __init__(self, kind: declared.FileKind, name: str) -> None:
        self.kind, self.name, self.text = kind, name, declared.read(kind, name).text
        self.items: dict[Path, Item] = {}
        self.headers: dict[Path, Item] = {}
        self._scan()

    _PIECE = re.compile(
        r"""(?P<text>"[^"]*"|'[^']*')|#[^\n]*|^\[+(?P<table>[\w.]+)\]+|(?P<key>[\w.]+)(?=\ =\ )|[{}\[\],]|[-\w.+]+""",
        re.MULTILINE,
    )

    def _scan(self) -> None:
        table: Path = ()
        last: Path = ()
        inside: list[tuple[Path, bool]] = []  # tables and lists that are open
        counts: dict[Path, int] = {}
        for piece in self._PIECE.finditer(self.text):
            word, start = piece.group(), piece.start()
            above, is_list = inside[-1] if inside else (table, False)
            if word.startswith("#"):
                continue
            if piece["table"] and not inside:
                table, at = tuple(piece["table"].split(".")), start + word.rindex(str(piece["table"].split(".")[-1]))
                if word.startswith("[["):
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                self.headers[table] = Item(table, start, at, at, at)
            elif piece["key"]:
                last = (*above, *word.split("."))
                self.items[last] = Item(last, start, start + word.rfind(".") + 1, piece.end() + 3, -1)
            elif word == ",":
                counts[above] = counts.get(above, 0) + is_list
            elif word in "}]":
                self.items[inside.pop()[0]].end = piece.end()
            else:
                here = (*above, counts.setdefault(above, 0)) if is_list else last
                self.items.setdefault(here, Item(here, start, start, start, -1)).end = piece.end()
                if word in "{[":
                    inside.append((here, word == "["))

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)

    def holder(self, path: Path) -> tuple[int, int]:
        """Place of the table in which the key at `path` stands: its header, its key or its brace; else the file's beginning."""
        item = self.headers.get(path[:-1]) or self.items.get(path[:-1])
        return self.place(item.at) if item else (1, 1)

    def word(self, item: Item) -> str:
        return self.text[item.value : item.end]

    def scalars(self) -> list[Item]:
        return [item for item in self.items.values() if self.text[item.value] not in "{["]

    def fault(
        self, what: str, at: int, old: str, new: str, suggestion: str | None = None, parts: tuple[int, ...] = ()
    ) -> Seeded:
        """`new` in place of `old`; the token begins there, or at one of its parts."""
        text = self.text[:at] + new + self.text[at + len(old) :]
        line, column = self.place(at)
        return Seeded(self.kind, self.name, text, what, frozenset((line, column + part) for part in (0, *parts)), suggestion)


Way = Callable[[File, random.Random], Seeded | None]


def seeded(count: int, seed: int) -> Iterator[Seeded]:
    """`count` different faults: each kind of file with each way to go wrong in turn, as long as there are more of them."""
    chance = random.Random(seed)
    files = {kind: [File(kind, name) for name in declared.names(kind)] for kind in declared.FOLDERS}
    pairs = [(kind, way) for kind in files for way in WAYS.values()]
    made: set[tuple[str, str, str]] = set()
    while len(made) < count:
        for kind, way in list(pairs):
            found = (way(chance.choice(files[kind]), chance) for _ in range(100))
            new = next((one for one in found if one and (one.kind, one.name, one.text) not in made), None)
            if new is None:
                pairs.remove((kind, way))
            elif len(made) < count:
                made.add((new.kind, new.name, new.text))
                yield new


def _misspelt(word: str, chance: random.Random) -> str:
    """One slip of the fingers: a letter lost, doubled, swapped with its neighbour, or replaced."""
    at = chance.randrange(1, len(word)) if len(word) > 1 else 0
    slips = [word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:], word[:at] + "x" + word[at + 1 :]]
    if at + 1 < len(word):
        slips.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return chance.choice([slip for slip in slips if slip and slip.replace(" ", "") != word.replace(" ", "")])


def _named(path: Path) -> str:
    """The key that a value is for: `{ value = … }` and lists are looked through."""
    keys = [part for part in path if isinstance(part, str)]
    return keys[-2] if keys[-1] == "value" else keys[-1]


def _renamed_key(file: File, chance: random.Random) -> Seeded | None:
    """Of an assignment, at any depth; of a table where its name is not the user's choice."""
    tables = [] if file.kind == "spec" else [item for path, item in file.headers.items() if isinstance(path[-1], str)]
    keys = [item for path, item in file.items.items() if isinstance(path[-1], str)]
    item = chance.choice([item for item in tables + keys if len(str(item.path[-1])) > 3])
    word = str(item.path[-1])
    return file.fault("renamed key", item.at, word, _misspelt(word, chance), word)


def _retyped_value(file: File, chance: random.Random) -> Seeded | None:
    item = chance.choice(file.scalars())
    word = file.word(item)
    # A list or a table may be right there: then what stands in it is the token.
    wrong, parts = chance.choice([("[[1]]", (1,)), ("1979-05-27", ()), ("{ x = 1 }", (2,)), ('"many"', ())])
    return None if (word[0], wrong[0]) == ('"', '"') else file.fault("retyped value", item.value, word, wrong, parts=parts)


TABLES = (
    DatasetConfig,
    EncoderConfig,
    HeadConfig,
    AugmentConfig,
    LabelsConfig,
    MemoryConfig,
    WeightsConfig,
    *(kind.parameters for kind in KINDS.values()),
)
_WORDS = {name for table in TABLES for name, leaf in schema_of(table)["properties"].items() if "enum" in leaf}
_WORDS |= {"status", "kind", "unit", "slots", "metric", "made_by"}
"""Keys whose text is one of a few words."""


def _misspelt_word(file: File, chance: random.Random) -> Seeded | None:
    words = [(item, file.word(item)) for item in file.scalars() if file.text[item.value] == '"']
    item, word = chance.choice(
        [(i, w) for i, w in words if w == '"none"' or (_named(i.path) in _WORDS and i.path[-1] != "source")]
    )
    return file.fault("misspelt word", item.value, word, f'"{_misspelt(word[1:-1], chance)}"', word[1:-1])


def _doubled_line(file: File, chance: random.Random) -> Seeded | None:
    item = chance.choice([item for item in file.items.values() if file.text[item.start - 1 : item.start] == "\n"])
    line = file.text[item.start : item.end]
    if "\n" in line:
        return None
    number, column = file.place(item.at)
    text = f"{file.text[: item.end]}\n{line}{file.text[item.end :]}"
    return Seeded(file.kind, file.name, text, "doubled line", frozenset({(number + 1, column)}))


_NEEDED = {
    "spec": r"title|recipe|encoders|encoders/(include/)?\d+/depth|stages/\w+/(kind|from|teacher|teacher/stage)",
    "recipe": r"title|\w+/.*/(value|source|status)|\w+/rules/\d+/when",
    "scale": r"title|\w+/.*/value|\w+/rules/\d+/(when|set)",
    "dataset": r"image_size|classes|\w+_images|.*/value|label_lists/\d+/\w+|label_lists/.*/(source|status)",
    "runner": r"kind",
    "machine": r"\w+",
    "report": r"title|spec|metric|columns|rows|columns/\d+/title|rows/\d+/(title|where)",
    "weights": r"title|layout|(.*/)?networks/\d+/depth|sets/\w+/(made_by|file)",
}
"""Keys that a file or a table of it must have, whatever else stands there."""


def _lost_key(file: File, chance: random.Random) -> Seeded | None:
    """A key that must be there is gone: the place is its table's."""
    if file.kind == "recipe" and chance.random() < 0.5:
        return _lost_parameter(file, chance)
    needed = [item for item in file.items.values() if re.fullmatch(_NEEDED[file.kind], "/".join(map(str, item.path)))]
    return _without(file, item := chance.choice(needed), file.holder(item.path))


def _lost_parameter(file: File, chance: random.Random) -> Seeded | None:
    """A recipe must have every parameter of every kind, in [common] or in [KIND]: the place is the table that lacks it."""
    item = chance.choice([item for path, item in file.items.items() if path[-1] == "value" and "rules" not in path])
    table, *dotted = item.path[:-1]
    elsewhere = [kind for kind in KINDS if kind != table and (kind, *dotted) in file.items]
    lacking = [
        kind
        for kind in (KINDS if table == "common" else [str(table)])
        if ".".join(map(str, dotted)) in schema.fields(kind)
        and kind not in elsewhere
        and (table == "common" or ("common", *dotted) not in file.items)
    ]
    if not lacking:
        return None
    own: Path = (lacking[0], *dotted[:-1])
    header = file.headers.get(own) or file.headers["common", *dotted[:-1]]
    return _without(file, file.items[item.path[:-1]], file.place(header.at))


def _without(file: File, item: Item, place: tuple[int, int]) -> Seeded:
    before, after = file.text[: item.start], file.text[item.end :]
    if after.startswith(", "):
        after = after[2:]
    else:
        before = before.removesuffix(", ")
    return Seeded(file.kind, file.name, before + after, "lost key", frozenset({place}))


def _beyond() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "depth", ("51", "0", "-18")
    yield "layers", ("0", "9")
    yield "test_crop", ("0.0", "1.5")
    yield "sk_traffic", ("0.9", "-1.0")
    for key in ("fraction", "label_fraction"):
        yield key, ("0.0", "-0.1", "1.01", "10")
    for key in ("flip", "colour_probability", "greyscale", "blur", "blur_kernel", "crop_min_covered", "crop_area_min"):
        yield key, ("-0.1", "1.5")
    for key in ("crop_area_max", "momentum", "warmup", "decay", "bn_decay", "alpha", "label_smoothing"):
        yield key, ("-0.5", "1.01", "5")
    for key in ("epochs", "learning_rate", "temperature", "knn_temperature", "trust_coefficient", "bn_epsilon", "sk_ratio"):
        yield key, ("0.0", "-3.0")
    for key in ("crop_aspect_min", "crop_aspect_max", "blur_sigma_min", "blur_sigma_max", "checkpoint_seconds"):
        yield key, ("0.0", "-0.5", "-20")
    for key in (
        "width",
        "keys",
        "labels_per_class",
        "sk_min_width",
        "knn_neighbours",
        "train_images",
        "image_size",
        "test_images",
    ):
        yield key, ("0", "-5")
    for key in ("batch", "base_width", "out_dim", "classes"):
        yield key, ("1", "0", "-64")
    for key in ("weight_decay", "colour_strength", "knn_every", "seeds", "from_layer"):
        yield key, ("-1", "-7")
    for key in ("tflops", "terabytes_per_second", "memory_gib"):
        yield key, ("0.0", "-1.0", "1e7")
    for key in ("bytes_per_output", "saved_bytes_per_output", "step_milliseconds"):
        yield key, ("-1.0", "1e7")
    yield "threads", ("0", "-2", "-16")
    yield "tolerance", ("-0.01", "-0.2", "-1", "-5", "-1e3")


_BEYOND = dict(_beyond())
_SELECTORS = re.compile(r".*/(when|where|teacher|exclude)/.*|stages/\w+/encoders/.*")
"""Coordinates are compared, and have no bounds."""


def _out_of_range(file: File, chance: random.Random) -> Seeded | None:
    numbers = [item for item in file.scalars() if file.word(item)[0] in "-0123456789" and _named(item.path) in _BEYOND]
    numbers = [item for item in numbers if not _SELECTORS.fullmatch("/".join(map(str, item.path)))]
    if not numbers:
        return None
    item = chance.choice(numbers)
    return file.fault("out of range", item.value, file.word(item), chance.choice(_BEYOND[_named(item.path)]))


_REFERENCES = {
    "spec": r"recipe|scale|dataset|stages/\w+/(from|teacher|teacher/stage)",
    "recipe": r"dataset",
    "scale": r"dataset|machine",
    "runner": r"machine",
    "report": r"spec|rows/\d+/columns/\d+|(rows|columns)/\d+/where/stage",
    "weights": r"sets/\w+/paper",
}
"""Names of files, of stages of the spec, and of columns of the report. Machines and data sets refer to nothing."""
_OF_PARTS = ("weights",)
"""Kinds whose references have a slash: of the part that is wrong the right word is suggested."""


def _misreference(file: File, chance: random.Random) -> Seeded | None:
    if file.kind not in _REFERENCES:
        return None
    named = [item for item in file.scalars() if re.fullmatch(_REFERENCES[file.kind], "/".join(map(str, item.path)))]
    if not named and file.kind == "runner":  # those declared name no machine
        machine = chance.choice(declared.names("machine"))
        text = f'{file.text}machine = "{_misspelt(machine, chance)}"\n'
        return Seeded(file.kind, file.name, text, "misreference", frozenset({(text.count("\n"), 11)}), machine)
    if not named:
        return None
    item = chance.choice(named)
    word = file.word(item)[1:-1]
    suggested = None if file.kind in _OF_PARTS else word
    return file.fault("misreference", item.value, file.word(item), f'"{_misspelt(word, chance)}"', suggested)


WAYS: dict[str, Way] = {
    "renamed key": _renamed_key,
    "retyped value": _retyped_value,
    "misspelt word": _misspelt_word,
    "doubled line": _doubled_line,
    "lost key": _lost_key,
    "out of range": _out_of_range,
    "misreference": _misreference,
}
