"""What the shell offers."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("plan --scale di", "digits"),
        ("run --runner lo", "local"),
        ("plan --machine h1", "h100"),
        ("report ta", "table1"),
        ("plan ta", "table1"),
        ("status stag", "stage="),
        ("plan table1 +stag", "+stage="),
        ("check ta", "table1"),
        ("plan --scale pa", "paper"),
    ],
)
def test_completion(words: str, wanted: str) -> None:
    environment = {"_SIMCLR_SPEC_COMPLETE": "bash_complete", "COMP_WORDS": f"simclr-spec {words}"}
    environment["COMP_CWORD"] = str(len(words.split()))
    done = CliRunner().invoke(main, [], prog_name="simclr-spec", env=environment)
    offered = done.output.splitlines()
    assert offered[0] == f"file,{words.rsplit(maxsplit=1)[-1]}", (
        "the shell completes paths; after names, click's script for bash drops them"
    )
    assert f"plain,{wanted}" in offered
