"""The fingerprint is everything in the Step and nothing else: its resolved fields and its parents' fingerprints.

Which fields a Step has, and how they are written: tests/plan/test_fingerprint.py.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from simclr_spec.core.files import read_json
from simclr_spec.language import runner
from simclr_spec.plan import compile
from simclr_spec.stages.kinds import KINDS


def test_the_fingerprint_is_that_of_kind_fields_and_parents() -> None:
    """Written down once more, from the documented form alone."""
    for step in compile(["table1", "quickstart"], scale="digits").steps:
        written = {"kind": step.kind, "needs": dict(step.needs), "params": step.params}
        text = json.dumps(written, sort_keys=True, separators=(",", ":"), allow_nan=False)
        assert hashlib.sha256(text.encode("ascii")).hexdigest() == step.fingerprint, step.id


def test_a_step_has_every_field_of_its_kind_and_no_other() -> None:
    for step in compile(["table1"], scale="digits").steps:
        assert step.params.keys() == KINDS[step.kind].parameters.__dataclass_fields__.keys()


def test_where_a_step_runs_is_no_part_of_it_but_recorded_with_its_result(undisturbed: Path) -> None:
    for file in (undisturbed / "runs").glob("*/*/step.json"):
        assert read_json(file.with_name("result.json"))["environment"].keys() >= {"torch", "code", "threads", "world_size"}
        assert not read_json(file)["params"].keys() & runner.Local.__dataclass_fields__.keys()
