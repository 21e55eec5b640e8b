"""A run on the command line: the last looks before anything starts, the run as it goes, and how it ended."""

from __future__ import annotations

from collections.abc import Callable

from simclr_spec import data_roots, dispatch, history
from simclr_spec.runner import Runner
from simclr_spec.show.live import ending, watcher
from simclr_spec.show.plan import stale
from simclr_spec.store_probe import probe
from simclr_spec.survey import View, check_data

Tell = Callable[[str], object]


def look(view: View, tell: Tell, *, keep: bool) -> None:
    """At images, label lists and store, before anything starts; a dry run does not keep it. Raises DataError, UsageError."""
    images = view.images
    for note in check_data(view, keep=keep):
        tell(note)
    view.refuse_stale()
    if view.running:
        probe(images.store.path)
        if keep:
            images.store.make()
        images.check((step.params["dataset"] for step in view.running), declared=not keep)


def run(view: View, runner: Runner, command: str, tell: Tell) -> int:
    """Train the running Steps of a survey; the exit code. `command` is what goes on where this run stops.

    Raises DataError, UsageError before anything starts."""
    images, store = view.images, view.images.store
    asked = {step.fingerprint for step in (*view.steps, *view.running)} - {step.fingerprint for step in view.stale}
    look(view, tell, keep=True)
    roots = data_roots.data_roots(images.roots)
    plan, counts = view.plan, history.counts_of(view.plan.steps)
    history.record_plan(store, plan.specs, plan.asked_scale, plan.sets, view.selector, roots, counts)
    steps = [step for step in view.plan.steps if step.fingerprint in asked]
    with watcher() as screen:
        outcome = dispatch.run(plan, steps, store, runner, screen, seconds=view.seconds, data_roots=images.roots)
    if steps:
        print(ending(outcome, command), flush=True)
    found = view.after()
    for line in stale(found):
        print(line, flush=True)
    return 130 if outcome.stopped else int(bool(outcome.failed or outcome.not_run or found.stale))
