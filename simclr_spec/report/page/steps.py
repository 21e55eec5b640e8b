"""What is known of each Step behind the cells, once: its end, curves, log, provenance and the commands to look closer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from simclr_spec.core.files import read_json
from simclr_spec.core.words import counted, duration, footnote, number, typed
from simclr_spec.plan import Step
from simclr_spec.report.page import drawing
from simclr_spec.report.page.curves import curves_of
from simclr_spec.report.page.drawing import Curve
from simclr_spec.report.page.markup import Html, command, element, joined, opener, pairs, popover
from simclr_spec.report.table import Table
from simclr_spec.report.weights import RECORDED, facts
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import RunFolder
from simclr_spec.store.sentences import last_error

LOG_LINES = 15
_LOG_BYTES = 8192
QUANTITIES = {"parameters": "million parameters", "train_steps": "train steps", "images_seen": "images seen"}


@dataclass(frozen=True)
class Known:
    """A Step of some table, as the page shows it."""

    step: Step
    state: str
    table: Table

    @property
    def folder(self) -> RunFolder:
        return self.table.store.folder(self.step.id)

    @property
    def begun(self) -> bool:
        """Whether there is anything to be opened."""
        return self.state != "new"

    @property
    def name(self) -> str:
        return f"step-{self.step.fingerprint[:16]}"

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        return curves_of(self.folder)

    @cached_property
    def result(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = read_json(self.folder.result, "metrics", "environment")
        return found


Steps = Mapping[str, Known]
"""By fingerprint."""


def all_of(tables: Sequence[Table]) -> Steps:
    return {key: Known(table.plan.by_fingerprint[key], state, table) for table in tables for key, state in table.states.items()}


def link(known: Known) -> Html:
    """Opens the Step, where something is known of it."""
    name = element("code", known.step.id)
    return opener(known.name, name, class_="link") if known.begun else name


def state_word(state: str) -> Html:
    return element("span", state, class_=f"state {state.split(maxsplit=1)[0]}")


def planned(step: Step) -> list[tuple[str, str]]:
    """What the plan knows of it, in words."""
    found = KINDS[step.kind].quantities(step.config)
    return [
        (words, number(found[name], 3 if name == "parameters" else 1)) for name, words in QUANTITIES.items() if name in found
    ]


def step_popover(known: Known, steps: Steps) -> Html:
    step = known.step
    parts: list[Html] = [element("p", state_word(known.state), " ", _when(known))]
    if known.state == "failed":
        parts.append(element("p", last_error(known.folder.attempts()[-1]), class_="alarm"))
    facts = [("stage", ", ".join(step.stages)), ("fingerprint", step.fingerprint), ("coordinates", _coordinates(step))]
    parents = [(f"{role} (weights)", link(steps[parent])) for role, parent in step.needs.items()]
    parts.append(pairs([*facts, *parents, *planned(step), *_provenance(known)]))
    parts.append(element("div", *(drawing.curves(name, [curve]) for name, curve in known.curves.items()), class_="curves"))
    parts += _log(known)
    return popover(known.name, step.id, *parts, element("h4", "Look closer"), *map(command, _commands(known)))


def _coordinates(step: Step) -> str:
    return " ".join(f"{key}={typed(value)}" for key, value in step.coordinates.items())


def _when(known: Known) -> str:
    tried = counted(len(known.folder.attempts()), "attempt")
    return f"{known.result['finished'][:16].replace('T', ' ')} · {tried}" if known.result else tried


def _provenance(known: Known) -> Iterator[tuple[str, str]]:
    result = known.result
    if result is None:
        return
    there = result["environment"]
    if result["metrics"]:
        yield "measured", " · ".join(f"{name} {number(value)}" for name, value in result["metrics"].items())
    speed = f", {number(result['images_per_second'])} images/s" if "images_per_second" in result else ""
    yield "time", f"{duration(result['seconds'])}{speed}"
    shape = f"{counted(there['world_size'], 'process')}, {counted(there['threads'], 'thread')} each"
    yield "where", f"{there['device']} ({there['accelerator']}) on {there['hostname']}, {shape}"
    yield "code", f"{there['code']} · torch {there['torch']} · Python {there['python']}"
    dataset = known.step.config.dataset
    seen = result.get("data_digest")
    digest = footnote(seen or dataset.digest)
    if KINDS[known.step.kind].from_file:
        yield "weights", facts(known.step, result.get(RECORDED))
        return
    yield "images", f"{dataset.name}, digest {digest} ({'as seen' if seen else 'as declared'})"


def _log(known: Known) -> list[Html]:
    """The end of the newest attempt's."""
    attempts = known.folder.attempts()
    if not attempts or not attempts[-1].log.exists():
        return []
    with attempts[-1].log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LOG_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    return [element("h4", "Log, its end"), element("pre", joined(lines, "\n"), tabindex=0)]


def _commands(known: Known) -> list[str]:
    """What to type."""
    where = f"{known.table.plan.arguments} fingerprint={known.step.fingerprint[:8]}{known.table.store.option}"
    return [f"simclr-spec logs {where}", f"simclr-spec status {where}"]
