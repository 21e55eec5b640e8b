"""A run on the command line: the last looks before anything starts, the run as it goes, and how it ended."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from simclr_spec.cli.show.live import ending, watcher
from simclr_spec.cli.show.plan_table import stale_warning
from simclr_spec.core.files import refusal
from simclr_spec.data import roots as data_roots
from simclr_spec.data.digests import Tell
from simclr_spec.data.registry import undeclared
from simclr_spec.dispatch import run as dispatch
from simclr_spec.language.runner import Runner
from simclr_spec.store import history
from simclr_spec.store.forecast import Forecast, look_at_data
from simclr_spec.store.probe import probe


def last_looks(forecast: Forecast, tell: Tell, *, keep: bool) -> None:
    """At images, label lists and store, before anything starts; a dry run does not keep it. Raises DataError, UsageError."""
    images = forecast.images
    for note in look_at_data(forecast, keep=keep):
        tell(note)
    forecast.refuse_stale()
    if forecast.to_run:
        probe(images.store.path)
        if keep:
            images.store.make()
        images.verify(forecast.to_run, declared=not keep)


def show_run(forecast: Forecast, runner: Runner, typed: Sequence[str], tell: Tell) -> int:
    """Run the Steps that a forecast says will run; the exit code. What was `typed` goes on where this run stops.

    Raises DataError, UsageError before anything starts."""
    images, store = forecast.images, forecast.images.store
    wanted = {step.fingerprint for step in (*forecast.selected, *forecast.to_run)} - {
        step.fingerprint for step in forecast.stale
    }
    last_looks(forecast, tell, keep=True)
    roots = data_roots.data_roots(images.roots)
    if not forecast.to_run and (missing := images.missing(forecast.selected)):
        for name in dict.fromkeys(one["name"] for one in missing if undeclared(one["loader"], one["digest"])):
            tell(f"the images of '{name}' are not at hand: whether they are those of these results was not looked at")
        roots = history.last_roots(store, forecast.plan.specs)  # what was not found there is not looked for there again
    plan, counts = forecast.plan, history.counts_of(forecast.plan.steps)
    try:
        history.record_plan(store, plan.specs, plan.asked_scale, plan.sets, forecast.selector, roots, counts)
    except OSError as error:
        if forecast.to_run:
            raise
        tell(f"this plan is not remembered as the one that ran last: {refusal(error) or error}")
    steps = [step for step in forecast.plan.steps if step.fingerprint in wanted]
    with watcher() as screen:
        outcome = dispatch.run(
            plan, steps, store, runner, screen, seconds=forecast.seconds, data_roots=images.roots, command=typed
        )
    if steps:
        print(ending(outcome, shlex.join(["simclr-spec", *typed])), flush=True)
    found = forecast.looked_at_again()
    for line in stale_warning(found):
        print(line, flush=True)
    return 130 if outcome.stopped else int(bool(outcome.failed or outcome.not_run or found.stale))
