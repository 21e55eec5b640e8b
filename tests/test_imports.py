"""Nothing heavy is loaded by the commands that only read and plan; stated by modules, not by milliseconds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "pandas", "submitit", "matplotlib", "sklearn", "numpy", "rich", "jsonschema"}
PROGRAM = """
import sys, json
from simclr_spec.cli import main
try:
    main({arguments!r}, standalone_mode=False)
finally:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["plan", "quickstart"],
        ["plan", "table1", "--format", "json"],
        ["check", "quickstart"],
        ["explain", "quickstart"],
        ["schema", "spec"],
    ],
)
def test_reading_and_planning_load_nothing_heavy(arguments: list[str]) -> None:
    program = PROGRAM.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & HEAVY
