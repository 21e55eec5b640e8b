"""The plan that ran last, narrowed to what did not end well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simclr_spec.core.errors import UsageError
from simclr_spec.data import roots as data_roots
from simclr_spec.language.coordinates import Selector, as_selector
from simclr_spec.language.declared import absolute
from simclr_spec.store.forecast import Forecast, make_forecast
from simclr_spec.store.history import RecordedPlan, all_plans
from simclr_spec.store.layout import Store
from simclr_spec.store.selection import planned, select
from simclr_spec.store.staleness import Images

_UNFINISHED = ["failed", "interrupted", "unknown"]


def forecast_again(
    store: str, names: Sequence[str], selector: Selector | None, machine: str | None = None, roots: Sequence[str] = ()
) -> Forecast:
    """The plan that ran last (of the specs `names`, if any), narrowed to what failed or was interrupted and its descendants.

    A plan that ran in part goes on with that part. A `selector` narrows both. Its images lie where `roots` or the
    environment say, else where they lay then. Raises UsageError where there is nothing to do.
    """
    place = Store(Path(store))
    last = _last_plan(place, names)
    _refuse_nothing(place, last, dict(selector.table if selector else {}))
    chosen = last.selector or Selector({"state": _UNFINISHED}, descendants=True)
    if selector is not None:
        chosen = replace(selector, table={"state": _UNFINISHED, **selector.table}, descendants=True)
    forecast = make_forecast(
        last.specs,
        chosen,
        within=last.selector,
        scale=last.scale,
        sets=last.sets,
        store=store,
        machine=machine,
        images=Images(place, last.specs, data_roots.configured(roots) or last.data_roots, thorough=True),
    )
    return replace(forecast, selector=last.selector)


def _last_plan(store: Store, names: Sequence[str]) -> RecordedPlan:
    plans = [plan for plan in all_plans(store) if set(map(absolute, names)) <= set(plan.specs)]
    if not plans:
        raise UsageError(
            f"no plan {'of ' + ' '.join(names) + ' ' if names else ''}was run in {store.path.absolute()}; "
            "simclr-spec run begins one"
        )
    return plans[0]


def _refuse_nothing(store: Store, last: RecordedPlan, wanted: dict[str, object]) -> None:
    """A selector that selects nothing at all is another fault, told where Steps are selected."""
    steps = planned(store, last.specs, last.scale, last.sets)
    in_any_state = Selector({key: value for key, value in wanted.items() if key != "state"})
    if select(steps, in_any_state) and not select(steps, Selector({"state": _UNFINISHED, **wanted})):
        of = f" of {as_selector(wanted)}" if wanted else ""
        raise UsageError(f"nothing{of} failed or was interrupted in the plan that ran last: {' '.join(last.specs)}")
