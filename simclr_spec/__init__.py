"""Declarative reproduction of SimCLRv2: specs in, plans, trained networks and the paper's own tables out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simclr_spec.core.errors import (
        DataError,
        MissingDataError,
        SimclrSpecError,
        SpecError,
        TrainingError,
        UsageError,
        WeightsError,
    )
    from simclr_spec.plan import Plan, Step, compile
    from simclr_spec.store.layout import Store
    from simclr_spec.store.results import results
    from simclr_spec.train.handing_on.load import load

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "MissingDataError",
    "Plan",
    "SimclrSpecError",
    "SpecError",
    "Step",
    "Store",
    "TrainingError",
    "UsageError",
    "WeightsError",
    "__version__",
    "compile",
    "load",
    "results",
]

_HOMES = {
    "Plan": "simclr_spec.plan",
    "Step": "simclr_spec.plan",
    "compile": "simclr_spec.plan",
    "load": "simclr_spec.train.handing_on.load",
    "Store": "simclr_spec.store.layout",
    "results": "simclr_spec.store.results",
}
"""Where a name of `__all__` is defined, the errors apart; loaded when it is first asked for, since each import costs time."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES.get(name, "simclr_spec.core.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
