"""The training wing, the only one that loads torch. `execute` brings one run folder from its step.json to its result.json."""

from __future__ import annotations

from pathlib import Path


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """The Step was asked to stop (SIGTERM or SIGUSR2); its checkpoint is written and the next attempt goes on from there."""


def execute(folder: Path) -> None:
    """Train, evaluate and commit the Step; returns at once when it is done already or another process works on it.

    Raises Interrupted, or the error that was recorded in the attempt's record.json and log.
    """
    from simclr_spec.train.loop.execute import work

    work(folder)
