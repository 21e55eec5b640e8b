"""Several specs into one Plan: their Steps in one order, equal ones merged, and the faults of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simclr_spec.core.errors import Fault, SpecError
from simclr_spec.language.document import MOST_FAULTS
from simclr_spec.language.overlay import Overlay
from simclr_spec.language.spec import Spec, read_spec
from simclr_spec.plan.expand import expand
from simclr_spec.plan.overrides import concerns
from simclr_spec.plan.resolve import UNSCALED, Resolver
from simclr_spec.plan.step import Plan, Step

MACHINE = "h200"
"""For which costs are estimated when the scale names no machine."""

UNSCALED_TITLE = "the recipe's own scale"


def compile(names: str | Sequence[str], *, scale: str | None = None, sets: str | Sequence[str] = ()) -> Plan:
    """One spec or several (declared names or paths) -> one Plan in topological order, equal Steps merged.

    `scale` is a name or path; None = the spec's own default; "paper" = the recipe as it stands.
    `sets` are the texts of --set: KEY=VALUE, STAGE.KEY=VALUE or KIND.KEY=VALUE.
    Raises SpecError with every fault found, UsageError where a name or option cannot be obeyed.
    """
    names, sets = ((given,) if isinstance(given, str) else given for given in (names, sets))
    merged: dict[str, Step] = {}
    faults: list[Fault] = []
    titles, asked, may_rehearse = [], 0, True
    specs: list[Spec] = []
    scales: list[Overlay | None] = []
    for name in names:
        try:
            specs.append(read_spec(name))
        except SpecError as error:
            faults += error.faults
    # A spec that cannot be read may have what they name.
    of_none = [] if faults else [text for text in sets if not any(concerns(text, spec) for spec in specs)]
    for spec in specs:
        of_spec = [*spec.faults]
        mine = [text for text in sets if concerns(text, spec) or text in of_none]
        try:
            resolver = Resolver(spec, scale, mine)
            titles.append(spec.title)
            scales.append(resolver.scale)
            may_rehearse &= resolver.may_rehearse
            for step in expand(resolver.spec, resolver):
                asked += 1
                merged[step.fingerprint] = _merge(merged.get(step.fingerprint), step)
        except SpecError as error:
            of_spec += error.faults
        faults += sorted(set(of_spec))[:MOST_FAULTS]
    if faults:
        raise SpecError(faults)
    scale_name, scale_title = _named(scales)
    return Plan(
        steps=tuple(merged.values()),
        specs=tuple(names),
        titles=tuple(titles),
        asked_scale=scale,
        scale=scale_name,
        scale_title=scale_title,
        machines=tuple(dict.fromkeys((used and used.machine) or MACHINE for used in scales)),
        sets=tuple(sets),
        asked=asked,
        may_rehearse=may_rehearse,
    )


def _named(scales: Sequence[Overlay | None]) -> tuple[str | None, str | None]:
    """Names and titles of the scales, each once; None and None where all Steps are at the recipe's own."""
    if not any(scales):
        return None, None
    named = [(scale.document.name, scale.title) if scale else (UNSCALED, UNSCALED_TITLE) for scale in scales]
    names, titles = (" + ".join(dict.fromkeys(words)) for words in zip(*named, strict=True))
    return names, titles


def _merge(first: Step | None, step: Step) -> Step:
    """The same Step under the names of both stages."""
    if first is None:
        return step
    stages = tuple(dict.fromkeys(first.stages + step.stages))
    known = [dict(first.coordinates), *map(dict, first.also)]
    also = first.also if dict(step.coordinates) in known else (*first.also, step.coordinates)
    return replace(first, stages=stages, also=also)
