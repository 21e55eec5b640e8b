"""The states of a Step."""

from __future__ import annotations

from typing import Literal, get_args

State = Literal["done", "stale", "running", "failed", "interrupted", "new"]
"""Of a Step, one word each wherever a person meets it. `stale`: done, but its images have changed since, or its parent's."""
STATES: tuple[State, ...] = get_args(State)
FINISHED: frozenset[State] = frozenset({"done", "stale"})
"""A Step in such a state is never run again."""
