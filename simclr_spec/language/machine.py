"""The machine language: what one GPU or core reaches in training, for estimates of cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from simclr_spec.language.document import load


def _number(description: str, minimum: float = 0) -> dict[str, Any]:
    return {"type": "number", "minimum": minimum, "maximum": 1e6, "description": description}


_RATES = {
    "tflops": _number("reached, in training, TFLOP/s", 1e-6),
    "bytes_per_output": _number("traffic per convolution output, forward and backward"),
    "saved_bytes_per_output": _number("kept for the backward pass per convolution output"),
    "status": {"enum": ["measured", "derived", "assumed"], "description": "what is known of these numbers"},
    "source": {"type": "string", "description": "where they come from"},
}
_FIELDS = {
    "title": {"type": "string", "description": "its name in the bill"},
    "unit": {"enum": ["GPU", "core"], "description": "what an hour of it is called"},
    "device": {"type": "string", "minLength": 2, "description": "part of the name that its driver tells; cpu for a core"},
    "terabytes_per_second": _number("reached bandwidth", 1e-6),
    "sk_traffic": _number("traffic of selective kernels relative to plain convolutions", 1),
    "step_milliseconds": _number("overhead of one train step"),
    "memory_gib": _number("memory of one, in GiB", 1e-3),
}
PRECISIONS = ("fp32", "bf16")


def schema() -> dict[str, Any]:
    rates = {"type": "object", "properties": _RATES, "required": list(_RATES), "additionalProperties": False}
    tables = {name: {**rates, "description": f"arithmetic in {name}"} for name in PRECISIONS}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "A machine of simclr-spec",
        "type": "object",
        "properties": {"$schema": {"type": "string"}, **_FIELDS, **tables},
        "required": [*_FIELDS, *tables],
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class Rates:
    """What a machine reaches in one precision, in training: not its peak."""

    tflops: float
    bytes_per_output: float
    saved_bytes_per_output: float
    status: str
    source: str


@dataclass(frozen=True)
class Machine:
    """One GPU, or one core; `rates` by precision."""

    title: str
    unit: str
    device: str
    terabytes_per_second: float
    sk_traffic: float
    step_milliseconds: float
    memory_gib: float
    rates: Mapping[str, Rates]

    @property
    def room(self) -> float:
        """Bytes that a Step may fill: a tenth is left to the libraries."""
        return 0.9 * self.memory_gib * 2**30

    def fits(self, environment: Mapping[str, Any]) -> bool:
        """Whether a finished Step's environment (train/environment.py) is such a machine."""
        return self.device == environment.get("accelerator") or self.device in environment.get("device", "")

    def used(self, environment: Mapping[str, Any]) -> int:
        """How many of them the Step ran on."""
        threads = environment.get("threads", 1) if self.unit == "core" else 1
        return int(environment.get("world_size", 1) * threads)


@cache
def read_machine(name: str) -> Machine:
    """A declared machine or a path."""
    data = load("machine", name, schema).data
    return Machine(**{key: data[key] for key in _FIELDS}, rates={name: Rates(**data[name]) for name in PRECISIONS})
