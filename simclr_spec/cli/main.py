"""The program: a group of commands, one file for each group of verbs.

A command parses, calls and prints; every import that costs time waits until the command needs it.
"""

from __future__ import annotations

import click

from simclr_spec import __version__
from simclr_spec.cli import data, planning, reporting, running, watching, weights
from simclr_spec.cli.options import Cli, help_width

COMMANDS = (*planning.COMMANDS, *running.COMMANDS, *watching.COMMANDS, *reporting.COMMANDS, *data.COMMANDS, *weights.COMMANDS)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"], "terminal_width": help_width()})
@click.version_option(__version__, message="simclr-spec %(version)s")
def main() -> None:
    """SimCLRv2 as data: a spec becomes a plan, a plan trained networks, and those the paper's own tables.

    WORDS are names or paths of specs, and selectors such as stage=finetune depth=50 (+ before: and what they need; + after:
    and what needs them).
    """


for command in COMMANDS:
    main.add_command(command)
