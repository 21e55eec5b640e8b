"""Commands as typed, without a process of their own."""

from __future__ import annotations

from click.testing import CliRunner, Result

from simclr_spec.cli.main import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))
