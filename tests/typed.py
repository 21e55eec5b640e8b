"""Commands as typed, without a process of their own."""

from __future__ import annotations

from click.testing import CliRunner, Result

from simclr_spec.cli.main import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def typed(*words: str) -> tuple[int, str]:
    """Exit code and output."""
    done = run(*words)
    return done.exit_code, done.output


def columns(table: str) -> dict[str, str]:
    """Heading -> total, of a table of plan or status."""
    lines = [line.split() for line in table.splitlines()]
    (names,) = (line for line in lines if line[:2] == ["stage", "steps"])
    totals = [
        line
        for line in lines
        if line[0] not in ("stage", "✗") and line[1:2] and line[1].isdigit() and line[-1][0] in "0123456789–"
    ]
    return dict(zip(names, next((line for line in totals if line[0] == "total"), totals[-1]), strict=False))
