"""The plan that ran last, narrowed to what did not end well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from simclr_spec.core.errors import UsageError
from simclr_spec.data import roots as data_roots
from simclr_spec.language.coordinates import Selector, as_selector, matches
from simclr_spec.language.declared import absolute
from simclr_spec.language.runner import Runner
from simclr_spec.plan import compile
from simclr_spec.store.forecast import Forecast, forecast_of
from simclr_spec.store.history import RecordedPlan, all_plans, located
from simclr_spec.store.layout import Store
from simclr_spec.store.reasons import Folders
from simclr_spec.store.staleness import Images

_UNFINISHED = ["failed", "interrupted", "unknown"]


def forecast_again(
    store: Store,
    names: Sequence[str],
    selector: Selector | None,
    runner: Runner | None = None,
    roots: Sequence[str] = (),
) -> Forecast:
    """The plan that ran last (of the specs `names`, if any), narrowed to what failed or was interrupted and its descendants.

    A plan that ran in part goes on with that part. A `selector` narrows both. Its images lie where `roots` or the
    environment say, else where they lay then. Raises UsageError where there is nothing to do.
    """
    last, asked = _last_plan(store, names), selector or Selector({})
    with located(store, last.specs):
        plan = compile(last.specs, scale=last.scale, sets=last.sets)
    images = Images(store, last.specs, data_roots.configured(roots) or last.data_roots, thorough=True)
    folders = Folders(plan, images)
    _refuse_nothing(folders, asked.table)
    chosen = replace(asked, table={"state": _UNFINISHED, **asked.table}, descendants=True)
    if selector is None and last.selector is not None:
        chosen = last.selector
    selected = plan.select(chosen, folders.states)
    part = set(plan.select(last.selector, folders.states))
    still = tuple(step for step in selected if step in part)
    return forecast_of(folders, last.selector, still, runner)


def _last_plan(store: Store, names: Sequence[str]) -> RecordedPlan:
    plans = [plan for plan in all_plans(store) if set(map(absolute, names)) <= set(plan.specs)]
    if not plans:
        raise UsageError(
            f"no plan {'of ' + ' '.join(names) + ' ' if names else ''}was run in {store.path.absolute()}; "
            "simclr-spec run begins one"
        )
    return plans[0]


def _refuse_nothing(folders: Folders, asked: Mapping[str, Any]) -> None:
    """A selector that selects nothing at all is another fault, told where Steps are selected."""
    where, states = dict(asked), folders.states
    wanted = {"state": where.pop("state", _UNFINISHED)}
    found = [step.fingerprint for step in folders.plan.steps if step.matches(where)]
    if found and not any(matches({"state": states[fingerprint]}, wanted) for fingerprint in found):
        of = f" of {as_selector(asked)}" if asked else ""
        raise UsageError(f"nothing{of} failed or was interrupted in the plan that ran last: {' '.join(folders.plan.specs)}")
