"""The machine language: what one GPU or core reaches in training, for estimates of cost."""

# No `from __future__ import annotations`: see core/fields.py.
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from simclr_spec.core import fields
from simclr_spec.core.fields import build, described
from simclr_spec.language.document import load

_LARGEST = 1e6
_FROM_ZERO = {"minimum": 0, "maximum": _LARGEST}
_ABOVE_ZERO = {"minimum": 1e-6, "maximum": _LARGEST}


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a machine reaches in one precision, in training: not its peak."""

    tflops: float = described("reached, in training, TFLOP/s", _ABOVE_ZERO)
    bytes_per_output: float = described("traffic per convolution output, forward and backward", _FROM_ZERO)
    saved_bytes_per_output: float = described("kept for the backward pass per convolution output", _FROM_ZERO)
    status: Literal["measured", "derived", "assumed"] = described("what is known of these numbers")
    source: str = described("where they come from")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One GPU, or one core."""

    title: str = described("its name in the bill")
    unit: Literal["GPU", "core"] = described("what an hour of it is called")
    device: str = described("part of the name that its driver reports; cpu for a core", minLength=2)
    terabytes_per_second: float = described("reached bandwidth", _ABOVE_ZERO)
    sk_traffic: float = described("traffic of selective kernels relative to plain convolutions", minimum=1, maximum=_LARGEST)
    step_milliseconds: float = described("overhead of one train step", _FROM_ZERO)
    memory_gib: float = described("memory of one, in GiB", minimum=1e-3, maximum=_LARGEST)
    fp32: Rates = described("arithmetic in fp32")
    bf16: Rates = described("arithmetic in bf16")

    @property
    def rates(self) -> Mapping[str, Rates]:
        """By precision."""
        return {"fp32": self.fp32, "bf16": self.bf16}

    @property
    def room(self) -> float:
        """Bytes that a Step may fill: a tenth is left to the libraries."""
        return 0.9 * self.memory_gib * 2**30

    def fits(self, environment: Mapping[str, Any]) -> bool:
        """Whether a finished Step's environment (train/loop/environment.py) is such a machine."""
        return self.device == environment.get("accelerator") or self.device in environment.get("device", "")

    def used(self, environment: Mapping[str, Any]) -> int:
        """How many of them the Step ran on."""
        threads = environment.get("threads", 1) if self.unit == "core" else 1
        return int(environment.get("world_size", 1) * threads)


@cache
def schema() -> dict[str, Any]:
    return fields.file_schema("A machine of simclr-spec", fields.schema(Machine))


@cache
def read_machine(name: str) -> Machine:
    """A declared machine or a path."""
    machine: Machine = build(Machine, load("machine", name, schema).content)
    return machine
