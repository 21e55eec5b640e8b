"""docs/fidelity.md names what exists: tests, modules, options; and all of the places where paper and code part."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simclr_spec.plan import compile
from simclr_spec.stages.kinds import KINDS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    defined = set(re.findall(r"def (test_\w+)", "\n".join(files.values())))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 25
    assert named <= defined
    assert set(re.findall(r"\btest_\w+\.py", PAGE)) <= files.keys()


def test_every_module_that_the_page_names_exists() -> None:
    column = [row.split("|")[4] for row in PAGE.splitlines() if row.startswith("| ") and row.count("|") == 7]
    modules = {name for cell in column for name in re.findall(r"\b\w+\.py\b", cell)}
    assert len(modules) > 12
    assert modules <= {path.name for path in (ROOT / "simclr_spec").rglob("*.py")}


def test_official_files_have_their_official_names() -> None:
    """Of google-research/simclr: no renaming of ours may reach them."""
    official = {"data", "data_util", "lars_optimizer", "model", "objective", "resnet", "run"}
    assert set(re.findall(r"\btf2/(\w+)\.py", PAGE)) <= official
    rows = [row.split("|") for row in PAGE.partition("33")[2].splitlines() if re.match(r"\| \d+ \|", row)]
    named = {name for row in rows for name in re.findall(r"\b(\w+)\.py", row[4])}
    assert named
    assert named <= official


def test_all_33_disagreements_stand_there() -> None:
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)] == list(range(1, 34))


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`((?:\w+\.)+\w+=[^` ]+)`", PAGE))))
def test_every_other_side_that_is_offered_can_be_set(option: str) -> None:
    kind = option.partition(".")[0]
    steps = compile(["table1" if kind != "distill" else "quickstart"], sets=[option]).steps
    key = option.partition("=")[0].removeprefix(f"{kind}." if kind in KINDS else "")
    changed = [step for step in steps if key in step.origins and step.origins[key].layer == "--set"]
    assert changed, option
