"""Steps into job arrays: as few as their resources and their parents allow.

Elements of one array ask for the same, and depend in the same way: on a whole array, index for index (`aftercorr`), or on one
job (`afterok`). So a child has its parent's index wherever that saves an array: the 39 fine-tunings of 13 encoders are three
arrays of 13, each aligned with that of the pretrainings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from simclr_spec.language.runner import Request


@dataclass(frozen=True)
class Place:
    """An element of an array that is to be submitted."""

    array: Array
    index: int


@dataclass(frozen=True)
class Live:
    """A parent that another submission queued; `job` as Slurm writes it: `1234_5`."""

    job: str


@dataclass(frozen=True)
class After:
    """One dependency of an array."""

    kind: Literal["aftercorr", "afterok"]
    parent: Array | Live
    index: int | None = None
    """of the parent, for `afterok`"""

    def text(self, job_of: Callable[[Array], str]) -> str:
        """`afterok:1234_5`, with the jobs of arrays that were submitted."""
        if isinstance(self.parent, Live):
            return f"afterok:{self.parent.job}"
        return f"{self.kind}:{job_of(self.parent)}" + ("" if self.index is None else f"_{self.index}")


@dataclass(eq=False)
class Array:
    """Steps, by index, that are submitted together; `key` is whatever the caller tells Steps by."""

    kind: str
    request: Request
    after: tuple[After, ...]
    elements: dict[int, Any] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, Place]:
        """By fingerprint."""
        return {step.fingerprint: Place(self, index) for index, step in self.elements.items()}

    @property
    def indices(self) -> str:
        """`0-4,7`: as sbatch reads them."""
        runs: list[list[int]] = []
        for index in sorted(self.elements):
            if runs and index == runs[-1][-1] + 1:
                runs[-1].append(index)
            else:
                runs.append([index])
        return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A Step to submit: `parents` by fingerprint that are not done, `live` ones that are queued already."""

    fingerprint: str
    kind: str
    request: Request
    parents: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    item: Any = None


def arrays(wanted: Sequence[Wanted], largest: int, submitted: Mapping[str, Place] | None = None) -> list[Array]:
    """In an order to submit them in. `wanted` is in topological order; `largest` is one more than the highest index.

    `submitted` says where parents lie that are not among them.
    """
    places = dict(submitted or {})
    found: list[Array] = []
    for generation in _generations(wanted):
        groups: dict[Any, list[Wanted]] = {}
        for step in generation:
            above = tuple(id(places[parent].array) for parent in step.parents)
            groups.setdefault((step.kind, step.request, step.live, above), []).append(step)
        for steps in groups.values():
            for array in _group(steps, places, largest):
                found.append(array)
                places |= array.places
    return found


def chains(wanted: Sequence[Wanted]) -> list[Wanted]:
    """In another topological order: each Step is followed by what then has all its parents, so that a part is whole chains."""
    children: dict[str, list[Wanted]] = {}
    for step in wanted:
        for parent in step.parents:
            children.setdefault(parent, []).append(step)
    found: dict[str, Wanted] = {}
    stack = [step for step in reversed(wanted) if not step.parents]
    while stack:
        step = stack.pop()
        found[step.fingerprint] = step
        below = children.get(step.fingerprint, [])
        stack += [child for child in reversed(below) if child.fingerprint not in found and found.keys() >= {*child.parents}]
    return list(found.values())


def _generations(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    """By the length of the longest way down to a Step."""
    depth: dict[str, int] = {}
    for step in wanted:
        depth[step.fingerprint] = max((depth[parent] + 1 for parent in step.parents if parent in depth), default=0)
    return [
        [step for step in wanted if depth[step.fingerprint] == level] for level in range(max(depth.values(), default=-1) + 1)
    ]


def _group(steps: Sequence[Wanted], places: Mapping[str, Place], largest: int) -> list[Array]:
    """Of Steps that ask for the same and whose parents lie in the same arrays: the way with the fewest arrays."""
    roles = range(max(len(step.parents) for step in steps))
    ways = (_arrays(steps, aligned, places, largest) for n in roles for aligned in combinations(roles, n + 1))
    return min([*ways, _arrays(steps, (), places, largest)], key=len)


def _arrays(steps: Iterable[Wanted], aligned: Sequence[int], places: Mapping[str, Place], largest: int) -> list[Array]:
    """With the parents of the `aligned` roles index for index, where a Step's have one index; the others by their jobs."""
    open_arrays: dict[tuple[After, ...], list[Array]] = {}
    for step in steps:
        above = [places[parent] for parent in step.parents]
        lines = {above[role].index for role in aligned}
        corresponding = set(aligned) if len(lines) == 1 else set()
        after = tuple(
            After("aftercorr", place.array) if role in corresponding else After("afterok", place.array, place.index)
            for role, place in enumerate(above)
        ) + tuple(After("afterok", Live(job)) for job in step.live)
        arrays = open_arrays.setdefault(after, [])
        index = lines.pop() if corresponding else None
        array = next((array for array in arrays if _takes(array, index, largest)), None)
        if array is None:
            array = Array(step.kind, step.request, after)
            arrays.append(array)
        array.elements[len(array.elements) if index is None else index] = step
    return [array for arrays in open_arrays.values() for array in arrays]


def _takes(array: Array, index: int | None, largest: int) -> bool:
    return len(array.elements) < largest if index is None else index not in array.elements
