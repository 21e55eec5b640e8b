"""Every error a user can meet.

SimclrSpecError                   one or two sentences: what, where, what would fix it
├── SpecError                     faults in declared files or options, each with file:line:column   (exit 2)
├── UsageError                    a command that cannot be obeyed as typed                          (exit 2)
├── DataError                     images or labels missing, or not the declared ones
│   └── MissingDataError          they lie in no data root
├── WeightsError                  weights that do not fit, or do not load
└── TrainingError                 a Step that cannot go on: NaN loss, out of memory, a full disk
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class SimclrSpecError(Exception):
    """The message is for the user; no traceback is shown with it."""


class Fault(NamedTuple):
    """One fault of a declared file: line and column count from 1; line 0 = the file as a whole."""

    file: str
    line: int
    column: int
    sentence: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.sentence}"


class SpecError(SimclrSpecError):
    """All faults found, in order of place."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))


class UsageError(SimclrSpecError):
    """An option or argument that cannot be obeyed."""


class DataError(SimclrSpecError):
    """Images or labels that are missing, or are not the declared ones."""


class MissingDataError(DataError):
    """Images or labels that lie in no data root."""


class WeightsError(SimclrSpecError):
    """Weights that do not fit the network, or a file that does not load."""


class TrainingError(SimclrSpecError):
    """A Step that cannot go on; never retried by itself."""


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """The Step was asked to stop (SIGTERM, SIGUSR2, a mark): its checkpoint is written for the next attempt, or it is done."""


def did_you_mean(word: object, choices: Iterable[object]) -> str:
    """'; did you mean 'epochs'?' for a near miss, else the empty string."""
    import difflib

    by_lower = {str(choice).lower(): str(choice) for choice in choices}
    near = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""
