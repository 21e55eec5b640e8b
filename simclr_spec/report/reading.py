"""How the numbers of a table are to be read: how they are judged, whose they are that are not ours, how long ours trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from simclr_spec.core.words import counted, number, percent
from simclr_spec.language.coordinates import as_selector
from simclr_spec.language.report import Report
from simclr_spec.plan import Step
from simclr_spec.report.cells import ONE_SIDED, Cell, quantity
from simclr_spec.report.notes import Note
from simclr_spec.stages.kind import ENCODER, LABELS

ADOPTED = "†"
"""Beside a number that was adopted from a publication."""
TELLING = ((), LABELS, ENCODER, (*LABELS, *ENCODER))
"""Coordinates that may tell trainings of a stage from each other; the first that do are named."""


def notes(report: Report, cells: Sequence[Cell]) -> tuple[Note | None, ...]:
    """Figures, what the report says itself, and the notes of this module."""
    figures = Note("Figures", tuple(figure.title for figure in report.figures)) if report.figures else None
    own = Note("Notes", report.notes) if report.notes else None
    return figures, own, judged(cells), sources(cells), trained(cells)


def judged(cells: Iterable[Cell]) -> Note | None:
    """The rule behind each kind of verdict that is shown."""
    rules = dict.fromkeys(_rule(cell) for cell in cells if cell.verdict)
    return Note("Judged", tuple(rules)) if rules else None


def _rule(cell: Cell) -> str:
    if cell.planned:
        return "counts: as the paper rounds them"
    what, lacks = ("trainings", "margin") if cell.trained else ("weights trained elsewhere", "tolerance")
    if cell.within is None:
        return f"{what}: not, the report declares no {lacks}"
    if not cell.trained:
        return f"{what}: within {number(cell.within)}"
    tests = f"two one-sided t-tests at {percent(ONE_SIDED)} over seeds"
    return f"{what}: equivalent within ±{number(cell.within)} by {tests}; one seed is unjudged"


def sources(cells: Sequence[Cell]) -> Note | None:
    """Where the paper's numbers come from, with the rows where there are several sources, and where the adopted ones do."""
    papers: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.source and cell.adopted is None:
            papers.setdefault(cell.source, {})[cell.row.title] = None
    items = [f"{', '.join(rows)}: {source}" if len(papers) > 1 else source for source, rows in papers.items()]
    if adopted := list(dict.fromkeys(cell.source for cell in cells if cell.adopted is not None)):
        items.append(f"{ADOPTED} adopted from {'there, too' if adopted == list(papers) else '; '.join(adopted)}")
    return Note("Sources", tuple(items)) if items else None


def trained(cells: Iterable[Cell]) -> Note | None:
    """`finetune label_fraction=0.01: 751 train steps, 769,024 images`: of each stage whose metrics are shown."""
    stages: dict[str, dict[Step, str]] = {}
    for step in (step for cell in cells if not cell.planned for step in cell.steps):
        if quantity(step, "train_steps") is not None:
            stages.setdefault(step.stage, {})[step] = _length(step)
    items = tuple(item for stage, lengths in stages.items() for item in _by_length(stage, lengths))
    return Note("Trained", items) if items else None


def _length(step: Step) -> str:
    train_steps, images = (quantity(step, name) or 0 for name in ("train_steps", "images_seen"))
    return f"{counted(int(train_steps), 'train step')}, {counted(int(images), 'image')}"


def _by_length(stage: str, lengths: Mapping[Step, str]) -> list[str]:
    """One item per length, with the first of TELLING by which Steps of different lengths differ."""
    differing = {key for key in TELLING[-1] if len({step.coordinates.get(key) for step in lengths}) > 1}
    for telling in TELLING:
        keys = [key for key in telling if key in differing]
        names = {step: as_selector({key: step.coordinates[key] for key in keys if key in step.coordinates}) for step in lengths}
        if len({(names[step], lengths[step]) for step in lengths}) == len(set(names.values())):
            break
    found: dict[str, dict[str, None]] = {}
    for step, length in lengths.items():
        found.setdefault(length, {})[names[step]] = None
    return [f"{stage} {', '.join(which)}".rstrip() + f": {length}" for length, which in found.items()]
