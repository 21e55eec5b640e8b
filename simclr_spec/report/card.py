"""The model card of an exported network, in Markdown: what it is, how it was made, how good it is, how to load it, whose it is.

What a spec, a folder or a file may say is written as code or escaped, so that it can be nothing but text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import simclr_spec
from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.files import read_json
from simclr_spec.core.words import counted, fixed, number, plain, shown
from simclr_spec.plan import Plan, compile
from simclr_spec.report.notes import Note, assumptions, chain, deviations
from simclr_spec.report.text import decimals
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.history import RecordedPlan, all_plans, located
from simclr_spec.store.layout import RunFolder
from simclr_spec.store.weights import SHA256
from simclr_spec.train.model.about import About

MOST = 20
"""Classes that are named."""
LOAD = """```python
import simclr_spec
network = simclr_spec.load("{}")
outputs = network({})
```"""


def card(about: About, folder: RunFolder | None, files: Sequence[str], class_count: int | None, layers: int) -> str:
    """`folder`: of its Step; None of a network that came as an exported file. `files`: what stands beside the card.

    `layers`: of its projection head."""
    made, measured = (parents_first(folder), _measured(folder)) if folder else ([], "")
    images = 'network.preprocess("photo.jpg")[None]' if about.preprocessing else "images"
    parts = [
        f"# {_code(about.label)}",
        _what(about, class_count, layers),
        "## How to load it",
        LOAD.format(next(file for file in files if file.endswith(".safetensors")), images),
        _outputs(about, class_count, files),
        "## What it sees",
        _sight(about),
        *(["## How it was made", *_made(about, folder, made)] if folder else []),
        *(["## How good it is", measured] if measured else []),
        "## Licence",
        _licence(about),
        "## Versions",
        _versions(about, folder),
    ]
    return "\n\n".join(parts) + "\n"


def parents_first(folder: RunFolder) -> list[RunFolder]:
    """The Step and what it was made from, each once; some may be in its store no longer."""
    needs = (read_json(folder.step, "needs") or {"needs": {}})["needs"].values()
    above = [found for need in needs for found in parents_first(folder.store.folder(need["folder"]))]
    return [*dict.fromkeys(above), folder]


def _what(about: About, class_count: int | None, layers: int) -> str:
    encoder = about.encoder
    name = f"ResNet-{encoder.depth}{' with selective kernels' * encoder.sk}, {encoder.width}× wide on {encoder.base_width}"
    parts = ["the encoder"] + ([f"{counted(layers, 'layer')} of its projection head"] if layers else [])
    if class_count is not None:
        below = f"layer {about.from_layer} of the head" if about.from_layer else "the encoder's output"
        parts.append(f"a classifier of {class_count:,} classes on {below}")
    return f"{name} channels, stem {_code(encoder.stem)}: {', '.join(parts)}. From a Step of kind {_code(about.kind)}."


def _outputs(about: About, class_count: int | None, files: Sequence[str]) -> str:
    gives = "features (B, D)" if class_count is None else f"logits (B, {class_count})"
    others = [file for file in files if not file.endswith(".safetensors")]
    same = f" {' and '.join(map(_code, others))} maps the same to the same." if others else ""
    more = f" and {len(about.classes) - MOST:,} more: `network.classes`" if len(about.classes) > MOST else ""
    named = f"\n\nClasses: {', '.join(map(_code, about.classes[:MOST]))}{more}" if about.classes else ""
    side = about.image_size if about.preprocessing else "S"
    return f"It maps (B, 3, {side}, {side}) to {gives}.{same}{named}"


def _sight(about: About) -> str:
    if (seen := about.preprocessing) is None:
        return "Images (B, 3, S, S), RGB in [0, 1]. It was neither trained nor tested here, so nothing says how it sees others."
    crop = f"the central {number(seen.test_crop, 4)} of the shorter side" if about.image_size > 32 else "the whole"
    how = f"{crop}, bicubic ({_code(seen.resize)}), orientation {_code(seen.orientation)}"
    size = f"Images of {about.image_size} × {about.image_size} pixels, "
    return f"{size}{_text(seen.inputs)}; {how}. `network.preprocess` does it."


def _made(about: About, folder: RunFolder, made: Sequence[RunFolder]) -> Iterator[str]:
    read, rows = [*map(_read, made)], [_row("Step", "data", "digest of the images", "labels"), _row(*["---"] * 4)]
    yield from filter(None, read)
    if not all(read):
        yield "\n".join([*rows, *(_row(*_data(step)) for step, file in zip(made, read, strict=True) if not file)])
    plans = all_plans(folder.store)
    found = _planned(about.fingerprint, folder, plans)
    if found is None:
        past = "the specs that were run have changed since, or are elsewhere" if plans else "no plan is recorded in its store"
        where = f"every value stands in its {_code(folder.step.name)}"
        yield f"Recipe, deviations and assumptions cannot be told, since {past}; {where}."
        return
    plan, recorded = found
    steps = chain(plan, [plan.by_fingerprint[about.fingerprint]])
    selector = f" fingerprint={about.fingerprint[:8]}" if recorded.selector else ""  # the last may have chosen others
    yield f"Command: {_code(f'simclr-spec run {plan.arguments}{selector}')} ({_code(recorded.time)})"
    settings = [setting for step in steps for setting in step.origins.values()]
    recipes = dict.fromkeys(s.document.name for s in settings if s.layer == "recipe" and s.document)
    yield f"Spec: {', '.join(map(_text, plan.titles))}. Recipe: {', '.join(map(_code, recipes))}."
    yield from map(_noted, (deviations(steps), assumptions(steps)))


def _planned(fingerprint: str, folder: RunFolder, plans: Sequence[RecordedPlan]) -> tuple[Plan, RecordedPlan] | None:
    """The newest that asks for the Step still."""
    for recorded in {(plan.specs, plan.scale, plan.sets): plan for plan in reversed(plans)}.values():
        with suppress(SimclrSpecError), located(folder.store, recorded.specs):
            plan = compile(recorded.specs, scale=recorded.scale, sets=recorded.sets)
            if fingerprint in plan.by_fingerprint:
                return plan, recorded
    return None


def _noted(note: Note) -> str:
    lines = [f"- {_text(stages)}: {_text(' · '.join(items))}" for stages, items in note.groups]
    return f"**{note.name}**" + ("\n\n" + "\n".join(lines) if lines else f": {_text(note.text)}")


def _read(folder: RunFolder) -> str:
    """Of a Step whose network was trained elsewhere: the file that it is from."""
    step = read_json(folder.step, "kind", "label", "fingerprint", "params")
    if step is None or not KINDS[step["kind"]].from_file:
        return ""
    held = step["params"]["weights"]
    sha256 = (read_json(folder.result) or {}).get(SHA256, plain(None))
    file = f"{_code(held['file'])} from {_text(held['origin'])}, licence {_text(held['licence'])}"
    return f"{_name(step)} is a network that was trained elsewhere: {file}, SHA-256 {_code(sha256)}."


def _name(step: Mapping[str, Any]) -> str:
    return _code(f"{step['kind']} {step['label']}-{step['fingerprint'][:8]}")


def _data(folder: RunFolder) -> Iterator[str]:
    step = read_json(folder.step, "kind", "label", "fingerprint", "params")
    if step is None:
        yield from (_code(folder.path.name), *["no longer in its store"] * 3)
        return
    config = KINDS[step["kind"]].build(step["params"])
    dataset, labels = config.dataset, config.labels_read
    trained = counted(dataset.train_images, "training image") if KINDS[step["kind"]].trains else "its test images alone"
    yield _name(step)
    yield f"{_code(dataset.name)}, {trained}"
    yield _code(dataset.digest or (read_json(folder.result) or {}).get("data_digest") or plain(None))
    yield plain(None) if labels is None else f"{labels.count(dataset.train_images, dataset.classes or 0):,}"


def _measured(folder: RunFolder) -> str:
    """Empty where nothing was tested."""
    result = read_json(folder.result, "metrics")
    if (tested := result.get("test_list")) is None:
        return ""
    lines = [f"On {counted(tested['images'], 'test image')}.", "", _row("metric", "value"), _row("---", "---:")]
    return "\n".join([*lines, *(_row(_text(name), _value(name, value)) for name, value in result["metrics"].items())])


def _value(name: str, value: float) -> str:
    return fixed(value, decimals(name)) + ("" if "loss" in name else " %")


def _licence(about: About) -> str:
    stated = ", ".join(map(_text, about.licence)) or "Not stated."
    return stated + (f"\n\nWeights that were not trained here: {', '.join(map(_text, about.origin))}" if about.origin else "")


def _versions(about: About, folder: RunFolder | None) -> str:
    known: Mapping[str, Any] = read_json(folder.result).get("environment", {}) if folder else {}
    told = {name: known[name] for name in ("code", "torch", "python", "device") if name in known}
    items = [f"fingerprint {_code(about.fingerprint)}", f"exported by simclr-spec {simclr_spec.__version__}"]
    return "\n".join(f"- {item}" for item in [*items, *(f"{name} {_code(value)}" for name, value in told.items())])


def _row(*cells: str) -> str:
    """Of a table, also where code holds its bars."""
    escaped = (re.sub(r"(?<!\\)[|]", r"\|", cell) for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _code(text: object) -> str:
    """As it stands, between more backticks than it has."""
    inside = shown(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", inside)), default=0))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{inside}{space}{fence}"


def _text(text: object) -> str:
    """Every sign that may mean something is escaped, addresses' too."""
    return re.sub(r"([!-*+:<-@\[-`{-~]|(?<=www)\.)", r"\\\1", shown(text))
