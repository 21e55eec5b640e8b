"""Activations that are computed again in the backward pass: of a part of a network its input is kept, and what `once` gave.

There is nothing random in a network, so no generator is brought back. `once` is for BN's statistics: they are asked of all
processes, and move the running ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")
wanted = False
"""Whether the runner says so, of all networks of this process."""
_first: list[Any] | None = None
_second: Iterator[Any] | None = None


def through(part: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """part(x). Where it is wanted, its activations are not kept for the gradient but computed again."""
    if not wanted or not torch.is_grad_enabled():
        return part(x)
    if torch.compiler.is_compiling():  # what a compiled graph changes, it changes once
        y = checkpoint(part, x, use_reentrant=False, preserve_rng_state=False)
    else:
        y = checkpoint(part, x, use_reentrant=False, preserve_rng_state=False, context_fn=_passes)
    return y


def once(compute: Callable[[], T]) -> T:
    """What `compute` gives; in the second pass what it gave in the first."""
    if _second is not None:
        found: T = next(_second)
        return found
    found = compute()
    if _first is not None:
        _first.append(found)
    return found


def second_pass() -> bool:
    return _second is not None


def _passes() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first pass of a part, and around its second."""
    kept: list[Any] = []
    return _keeping(kept), _keeping_to(kept)


@contextmanager
def _keeping(kept: list[Any]) -> Iterator[None]:
    global _first
    _first = kept
    yield
    _first = None


@contextmanager
def _keeping_to(kept: list[Any]) -> Iterator[None]:
    global _second
    _second = iter(kept)
    try:
        yield
    finally:  # the pass is left as soon as it has what the gradient needs
        _second = None
