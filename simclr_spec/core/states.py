"""The states of a Step, as its store says them, and as a run that goes on does: one word each wherever a person meets it."""

from __future__ import annotations

from typing import Literal, get_args

State = Literal["done", "stale", "running", "queued", "failed", "interrupted", "unknown", "new"]
"""Of a Step, from the files of its store alone.

`stale`: done, but its images have changed since, or its parent's · `queued`: handed over to a scheduler, not begun · `unknown`:
a process on another machine worked on it and was not heard of for a while: nobody here can say. It is not finished."""
STATES: tuple[State, ...] = get_args(State)
FINISHED: frozenset[State] = frozenset({"done", "stale"})
"""A Step in such a state is never run again."""

TaskState = Literal["waiting", "queued", "running", "elsewhere", "unknown", "done", "failed", "interrupted", "blocked"]
"""Of a Step in a run that goes on.

`waiting`: not handed over yet · `queued`, `running`, `unknown`: in the dispatcher's hands, `unknown` where the scheduler cannot
be asked · `elsewhere`: another process works on it · `interrupted`: its checkpoint waits · `blocked`: cancelled before it
began, or an ancestor did not end well."""
OPEN: frozenset[TaskState] = frozenset({"waiting", "queued", "running", "elsewhere", "unknown"})
"""Not at an end."""
