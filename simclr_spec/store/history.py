"""The plans that were run in a store, <store>/.plans: `report` shows the last one of its spec, `gc` keeps what they need.

What a person typed is what is remembered, so that a spec keeps its own scale; only paths are made absolute.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.core.files import append_line, write_json
from simclr_spec.core.times import now
from simclr_spec.data import roots as data_roots
from simclr_spec.language.coordinates import Selector
from simclr_spec.language.dataset import COUNTED, counted
from simclr_spec.language.declared import absolute, is_path
from simclr_spec.language.document import Document
from simclr_spec.plan import Step
from simclr_spec.plan.overrides import WEIGHTS, written_value
from simclr_spec.store.layout import Store


@dataclass(frozen=True, kw_only=True)
class RecordedPlan:
    """What was compiled: the arguments of `run`, and when; and where its images lay."""

    specs: tuple[str, ...]
    scale: str | None
    sets: tuple[str, ...]
    selector: Selector | None
    time: str
    data_roots: tuple[str, ...] = ()
    """absolute; empty in what an older version recorded"""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """of data-set files that leave out numbers, by absolute path"""


def _absolute_set(text: str) -> str:
    """--set dataset=FILE, --set STAGE.dataset=FILE and --weights FILE are the only ones that can name a file."""
    key, _, written = text.partition("=")
    value = written_value(written.strip())
    if key.strip().rpartition(".")[2] not in ("dataset", WEIGHTS) or not is_path(str(value)):
        return text
    name = absolute(value)
    return f"{key.strip()}={name if written_value(name) == name else json.dumps(name, ensure_ascii=False)}"


def _file(store: Store, spec: str) -> Path:
    """A declared `mine`, a/mine.toml and b/mine.toml are three specs."""
    spec = absolute(spec)
    name = f"{Path(spec).name}-{sha256(spec.encode()).hexdigest()[:8]}" if is_path(spec) else spec
    return store.last_plan(name)


def record_plan(
    store: Store,
    specs: Sequence[str],
    scale: str | None,
    sets: Sequence[str],
    selector: Selector | None = None,
    roots: Sequence[str] = (),
    counts: Mapping[str, Mapping[str, int]] | None = None,
) -> None:
    """Remember, for every spec of it, the plan that is being run; `scale` None = each spec's own."""
    store.make()
    store.all_plans.parent.mkdir(exist_ok=True)
    names, changes = tuple(map(absolute, specs)), tuple(map(_absolute_set, sets))
    places = tuple(dict.fromkeys(map(data_roots.absolute, roots)))
    plan = RecordedPlan(
        specs=names,
        scale=scale and absolute(scale),
        sets=changes,
        selector=selector,
        time=now(),
        data_roots=places,
        counts=counts or {},
    )
    append_line(store.all_plans, json.dumps(asdict(plan)))
    for spec in specs:
        write_json(_file(store, spec), asdict(plan))


def last_plan(store: Store, spec: str) -> RecordedPlan | None:
    """The plan of this spec that was run last in this store."""
    return _read(_file(store, spec))


def _read(file: Path) -> RecordedPlan | None:
    """None where there is no such file."""
    try:
        written = file.read_bytes()
    except FileNotFoundError:
        return None
    return _recorded(written, f"{file} is damaged: it holds no plan. Delete it, and run its spec")


def last_roots(store: Store, specs: Sequence[str]) -> list[str]:
    """Data roots of the last run of these specs."""
    return _roots(_last_plans(store, specs))


def _roots(plans: Iterable[RecordedPlan]) -> list[str]:
    return list(dict.fromkeys(root for plan in plans for root in plan.data_roots))


def _last_plans(store: Store, specs: Sequence[str]) -> list[RecordedPlan]:
    """The newest first."""
    files = [_file(store, spec) for spec in specs] if specs else store.last_plans()
    plans = [plan for file in files if (plan := _read(file))]
    return sorted(plans, key=lambda plan: plan.time, reverse=True)


def counts_of(steps: Iterable[Step]) -> dict[str, dict[str, int]]:
    """What was counted for these Steps, by data-set file."""
    found: dict[Document, dict[str, int]] = {}
    for step in steps:
        if (document := step.shared["dataset.loader"].document) and (counts := counted(step.shared)):
            found[document] = counts
    return {absolute(document.name): counts for document, counts in found.items()}


def where(store: Store, specs: Sequence[str] = (), given: Sequence[str] = ()) -> list[str]:
    """Data roots: what was given, else what the environment says, else those of the last run of these specs, and ./data."""
    return _where(_last_plans(store, specs), given)


def _where(plans: Iterable[RecordedPlan], given: Sequence[str] = ()) -> list[str]:
    return data_roots.configured(given) or [*_roots(plans), *data_roots.data_roots()]


@contextlib.contextmanager
def located(store: Store, specs: Sequence[str]) -> Iterator[None]:
    """While these specs are compiled: images that are counted lie where they did in the last run, unless it is said where.

    Where they are no longer, their numbers are those of that run: its results can still be shown."""
    plans = _last_plans(store, specs)
    token = COUNTED.set({name: counts for plan in reversed(plans) for name, counts in plan.counts.items()})
    try:
        with data_roots.in_environment(_where(plans)):
            yield
    finally:
        COUNTED.reset(token)


def all_plans(store: Store) -> list[RecordedPlan]:
    """Every recorded plan, the newest first. Raises SimclrSpecError at a line that a crash tore: gc must not guess."""
    file = store.all_plans
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    told = "is damaged: it holds no plan. Delete that line to go on"
    return [_recorded(line, f"{file}:{number} {told}") for number, line in enumerate(lines, 1)][::-1]


def _recorded(written: bytes, damaged: str) -> RecordedPlan:
    """What `record_plan` wrote. Raises SimclrSpecError with the sentence `damaged` where it is none of that."""
    try:
        value = json.loads(written)
        return RecordedPlan(
            specs=tuple(value["specs"]),
            scale=value["scale"],
            sets=tuple(value["sets"]),
            selector=Selector(**value["selector"]) if value.get("selector") else None,
            time=value["time"],
            data_roots=tuple(value.get("data_roots", ())),
            counts=value.get("counts", {}),
        )
    except (ValueError, TypeError, KeyError):
        raise SimclrSpecError(damaged) from None
