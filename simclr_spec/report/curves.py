"""Training curves of a report's Steps, or of a spec's: as data, and as one tidy CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simclr_spec.core.errors import UsageError
from simclr_spec.core.words import counted, typed
from simclr_spec.language import declared
from simclr_spec.language.coordinates import Selector
from simclr_spec.language.document import parse
from simclr_spec.language.document.kinds import kind_of
from simclr_spec.plan import Step
from simclr_spec.plan.overrides import refuse_unknown
from simclr_spec.report.addresses import specs_of
from simclr_spec.report.table import make, planned, subtitle
from simclr_spec.store.curves import curve, measures
from simclr_spec.store.layout import Store
from simclr_spec.store.reasons import Folders
from simclr_spec.store.staleness import Images

FORMATS = ("svg", "png", "csv")


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Steps with the lines that their training wrote; those that have none are left out."""

    name: str
    subtitle: tuple[str, ...]
    steps: tuple[Step, ...]
    lines: Mapping[str, Sequence[Mapping[str, float]]]
    """by fingerprint"""

    @property
    def by_stage(self) -> dict[str, list[Step]]:
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            found.setdefault(step.stage, []).append(step)
        return found

    def measures(self, step: Step) -> list[str]:
        """The loss and the rate first."""
        found = dict.fromkeys(name for line in self.lines[step.fingerprint] for name in measures(line))
        return [name for name in ("loss", "learning_rate") if name in found] + sorted(found.keys() - {"loss", "learning_rate"})


def make_curves(name: str, store: Store, scale: str | None, sets: tuple[str, ...], selector: Selector | None) -> Curves:
    """Of the Steps of this report, or spec, that the selector selects; those under way, too. Raises UsageError without any."""
    if _is_report(name):
        refuse_unknown(sets, specs_of([name]))
        table = make(name, store, scale, sets)
        plan, below, asked = table.plan, table.subtitle, set(table.states)
    else:
        refuse_unknown(sets, [name])
        plan, recorded = planned((name,), store, scale, sets)
        below, asked = subtitle(plan, plan.steps, recorded, None), {step.fingerprint for step in plan.steps}
    states = Folders(plan, Images(store, plan.specs)).states if selector else {}
    steps = [step for step in plan.select(selector, states) if step.fingerprint in asked]
    lines = {step.fingerprint: curve(store.folder(step.id)) for step in steps}
    begun = tuple(step for step in steps if lines[step.fingerprint])
    if not begun:
        raise UsageError(f"none of {counted(len(steps), 'Step')} of {name} has a curve yet: simclr-spec run {plan.arguments}")
    only = [f"only {selector}"] if selector else []
    return Curves(name=name, subtitle=(*below, *only), steps=begun, lines=lines)


def _is_report(name: str) -> bool:
    if not declared.is_path(name):
        return name in declared.names("report")
    return kind_of(parse(declared.read("report", name)).data) == "report"


def apart(steps: Sequence[Step]) -> list[str]:
    """Names of the coordinates that tell these Steps apart."""
    names = dict.fromkeys(name for step in steps for name in step.coordinates)
    return [name for name in names if len({typed(step.coordinates.get(name)) for step in steps}) > 1]


def as_csv(curves: Curves) -> str:
    """A line for each value: Step, its coordinates, train step, measure, value; each with the setting."""
    out = io.StringIO()
    names = list(dict.fromkeys(name for step in curves.steps for name in step.coordinates))
    writer = csv.writer(out)
    writer.writerow(["step", *names, "train_step", "epoch", "measure", "value", "setting"])
    for step in curves.steps:
        where = [typed(step.coordinates[name]) if name in step.coordinates else "" for name in names]
        for line in curves.lines[step.fingerprint]:
            at = [line["train_step"], line.get("epoch", "")]
            for measure, value in measures(line).items():
                writer.writerow([step.id, *where, *at, measure, value, " · ".join(curves.subtitle)])
    return out.getvalue()
