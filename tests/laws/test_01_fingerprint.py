"""The fingerprint is everything in the Step and nothing else: its resolved fields and its parents' fingerprints.

Which fields a Step has, and how they are written: tests/plan/test_fingerprint.py.
"""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from pathlib import Path

from simclr_spec.core.files import read_json
from simclr_spec.language import runner
from simclr_spec.plan import compile
from simclr_spec.stages.kinds import KINDS
from tests.imported import project


def test_the_fingerprint_is_that_of_kind_fields_and_parents() -> None:
    """Written down once more, from the documented form alone."""
    begun_elsewhere = compile(["table1"], sets=["weights=official"]).steps
    assert any(KINDS[step.kind].from_file for step in begun_elsewhere)
    for step in (*compile(["table1", "quickstart"], scale="digits").steps, *begun_elsewhere):
        params = deepcopy(dict(step.params))
        if KINDS[step.kind].from_file:  # what sees no images, is not trained, and has a name and no declared digest
            del params["dataset"], params["weights"]["licence"]
            for training in ("bn_decay", "bn_variance", "init"):
                del params["encoder"][training]
        written = {"kind": step.kind, "needs": dict(step.needs), "params": params}
        text = json.dumps(written, sort_keys=True, separators=(",", ":"), allow_nan=False)
        assert hashlib.sha256(text.encode("ascii")).hexdigest() == step.fingerprint, step.id


def test_a_file_is_known_by_its_digest_or_else_by_its_name(tmp_path: Path) -> None:
    """By its digest whatever it is called and wherever it is published; under whichever licence."""

    def made(old: str = "", new: str = "", *, sha256: str = "") -> str:
        spec = project(tmp_path, "separius", sha256=sha256)
        weights = spec.with_name("weights.toml")
        weights.write_text(weights.read_text().replace(old, new) if old else weights.read_text())
        return compile([str(spec)]).steps[0].fingerprint

    one, other = "0" * 64, "1" * 64
    elsewhere = ('origin = "https', 'origin = "http')
    assert made() == made("MIT", "BSD")
    assert len({made(), made("network.pth", "other.pth"), made(*elsewhere)}) == 3
    assert (
        made(sha256=one) == made("network.pth", "other.pth", sha256=one) == made(*elsewhere, sha256=one) != made(sha256=other)
    )
    assert made(sha256=one) != made("head_layers = 3", "head_layers = 2", sha256=one)
    assert made() != made(sha256=one)


def test_a_step_has_every_field_of_its_kind_and_no_other() -> None:
    for step in compile(["table1"], scale="digits").steps:
        assert step.params.keys() == KINDS[step.kind].parameters.__dataclass_fields__.keys()


def test_where_a_step_runs_is_no_part_of_it_but_recorded_with_its_result(undisturbed: Path) -> None:
    for file in (undisturbed / "runs").glob("*/*/step.json"):
        assert read_json(file.with_name("result.json"))["environment"].keys() >= {"torch", "code", "threads", "world_size"}
        assert not read_json(file)["params"].keys() & runner.Local.__dataclass_fields__.keys()
