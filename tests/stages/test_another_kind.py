"""A kind that is no training is one file and one executor: every command knows it. Two Steps of it are run for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder
from tests.runs import SMALL

ROOT = Path(__file__).parents[2]
SPEC = """
title = "Norms"
recipe = "recipe.toml"
scale = "digits"
encoders = [{ depth = 18 }]
seeds = [0, 1]

[stages.pretrain]
kind = "pretrain"
train_steps = 2

[stages.finetune]
kind = "finetune"
from = "pretrain"
labels_per_class = [1, 2]
train_steps = 2

[stages.before]
kind = "measure"
from = "pretrain"

[stages.after]
kind = "measure"
from = { stage = "finetune", labels_per_class = 1 }
order = 1
"""
RELEASED = """
title = "Released weights"
recipe = "recipe.toml"
scale = "digits"
encoders = [{ depth = 18 }, { depth = 34, head_layers = 2 }]
seeds = [4, 5]

[stages.released]
kind = "released"

[stages.finetune]
kind = "finetune"
from = "released"

[stages.student]
kind = "distill"
teacher = "finetune"
"""
MEASURE = '\n[measure]\norder = { value = 2, source = "the tests", status = "assumed" }\n'
REPORT = """
title = "Norms of weights"
spec = "norms.toml"
metric = "weight_norm"
columns = [{ title = "norm" }, { title = "numbers", metric = "numbers" }]
rows = [{ title = "pretrained", where = { stage = "before" } }, { title = "fine-tuned", where = { stage = "after" } }]
"""


def command(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stages.measure", *words],
        cwd=ROOT,
        env={**os.environ, "SIMCLR_SPEC_STORE": str(folder / "runs"), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("norms")
    recipe = (ROOT / "specs" / "recipes" / "simclrv2.toml").read_text(encoding="utf-8")
    files = {
        "norms.toml": SPEC,
        "recipe.toml": recipe + MEASURE,
        "report.toml": REPORT,
        "released.toml": RELEASED,
        "debug.toml": 'kind = "debug"\n',
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def ran(folder: Path) -> Path:
    command(folder, "run", str(folder / "norms.toml"), *SMALL, "--runner", str(folder / "debug.toml"))
    return folder


def test_the_language_knows_it(folder: Path) -> None:
    assert command(folder, "check", str(folder / "norms.toml")).endswith("10 Steps, no faults\n")
    assert command(folder, "check", str(folder / "recipe.toml")).endswith("a recipe, no faults\n")
    stages = json.loads(command(folder, "schema", "spec"))["properties"]["stages"]["patternProperties"].popitem()[1]["oneOf"]
    (ours,) = (stage["properties"] for stage in stages if stage["properties"]["kind"]["enum"] == ["measure"])
    assert {"from", "encoders", "order", "dataset"} <= ours.keys()
    assert not {"seeds", "epochs", "batch", "optimizer", "precision", "label_fraction"} & ours.keys()


def test_its_values_are_explained(folder: Path) -> None:
    said = command(folder, "explain", str(folder / "norms.toml"), "order")
    assert "[stages.before] · measure · 2 Steps" in said
    assert "[stages.after] · measure · 2 Steps" in said
    (deviation,) = (line for line in said.splitlines() if "1 instead of 2" in line)
    assert deviation.split()[:2] == ["order", "1"]


def test_its_steps_are_planned_and_priced(folder: Path) -> None:
    steps = json.loads(command(folder, "plan", str(folder / "norms.toml"), "--format", "json"))["steps"]
    ours = [step for step in steps if step["kind"] == "measure"]
    assert [(step["label"], step["coordinates"]["stage"]) for step in ours] == [("r18-1x-digits", "before")] * 2 + [
        ("r18-1x-digits", "after")
    ] * 2
    seeds = [{key: value for key, value in step["coordinates"].items() if "seed" in key} for step in ours]
    assert seeds == [{"pretrain_seed": 0}, {"pretrain_seed": 1}, {"finetune_seed": 0}, {"finetune_seed": 1}]
    assert {step["coordinates"].get("labels_per_class") for step in ours} == {None, 1}
    assert {*ours[0]["params"]} == {"dataset", "encoder", "order", "revision"}
    (pretrained, *_) = (step["cost"] for step in steps if step["kind"] == "pretrain")
    for cost in (step["cost"] for step in ours):
        assert (cost["train_steps"], cost["parameters"], cost["disk"], cost["machines"]) == (0, 0, 0, 1)
        assert 0 < cost["flops"] < pretrained["flops"]
        assert 0 < cost["memory"] < pretrained["memory"]
    assert "before" in command(folder, "plan", str(folder / "norms.toml"))


def test_what_starts_from_a_stage_without_seed_has_the_seeds_of_the_spec(folder: Path) -> None:
    steps = json.loads(command(folder, "plan", str(folder / "released.toml"), "--format", "json"))["steps"]
    seeds = {
        kind: [step["coordinates"].get("seed") for step in steps if step["kind"] == kind]
        for kind in ("released", "finetune", "distill")
    }
    assert seeds == {"released": [None, None], "finetune": [4, 5, 4, 5], "distill": [4, 5, 4, 5]}
    assert [step["label"] for step in steps[:3]] == ["r18-1x-digits", "r34-1x-digits", "r18-1x-digits-100pct-s4"]
    assert [step["cost"]["seconds"] for step in steps[:2]] == [0, 0]
    assert [step["params"]["head"]["layers"] for step in steps[2:6]] == [3, 3, 2, 2]


def test_its_steps_run_and_are_reported(ran: Path) -> None:
    found = {path.parent.parent.name: RunFolder(path.parent) for path in (ran / "runs").glob("*/*/result.json")}
    assert {*found} == {"pretrain", "finetune", "measure"}
    for folder in (RunFolder(path.parent) for path in (ran / "runs" / "measure").glob("*/result.json")):
        step, metrics = read_json(folder.step), read_json(folder.result)["metrics"]
        weights = load_file(RunFolder(ran / "runs" / step["needs"]["from"]["folder"]).weights)
        numbers = [tensor.double().flatten() for name, tensor in weights.items() if name.endswith("conv.weight")]
        assert metrics["numbers"] == sum(map(len, numbers))
        norm = sum(float((part.abs() ** step["params"]["order"]).sum()) for part in numbers) ** (1 / step["params"]["order"])
        assert metrics["weight_norm"] == pytest.approx(norm, rel=1e-9)
    table = json.loads(command(ran, "report", str(ran / "report.toml"), "--format", "json"))
    assert [(cell["n"], cell["of"], cell["state"]) for cell in table["cells"]] == [(2, 2, "done")] * 4
    assert [step["seed"] for step in table["cells"][0]["steps"]] == [None, None]
    assert "pretrained" in command(ran, "report", str(ran / "report.toml"))


def test_its_steps_have_states_and_never_run_again(ran: Path) -> None:
    status = command(ran, "status", str(ran / "norms.toml"), *SMALL, "kind=measure")
    assert [line.split() for line in status.splitlines()[1:]] == [
        ["before", "2", "2"],
        ["after", "2", "2"],
        ["total", "4", "4"],
    ]
    again = command(ran, "plan", str(ran / "norms.toml"), *SMALL, "--format", "json")
    assert {(step["state"], step["runs"]) for step in json.loads(again)["steps"]} == {("done", False)}
    assert "the norm of" in command(ran, "logs", str(ran / "norms.toml"), *SMALL, "stage=before")


PLANTED = """
import sys
from pathlib import Path
from simclr_spec.stages.kinds import register
from tests.stages.measure import MEASURE, RELEASED
register(MEASURE), register(RELEASED)
from simclr_spec.plan import compile
from simclr_spec.report.table import make
from simclr_spec.store.layout import Store
from tests.finished import finish
spec, report, store = sys.argv[1], sys.argv[2], Store(Path(sys.argv[3]))
for step in compile([spec]).steps:
    norm = float(sys.argv[4]) if step.stage == "imported" else 70.4 + 0.01 * step.coordinates.get("seed", 0)
    finish(store, step, {"weight_norm": norm})
table = make(report, store)
print([cell.verdict for cell in table.cells])
print(*(item for note in table.notes if note.name in ("Judged", "Made from") for item in note.items), sep="\\n")
"""
IMPORTED = """
title = "Imported"
recipe = "recipe.toml"
encoders = [{ depth = 50 }]
seeds = [0, 1, 2]

[stages.released]
kind = "released"

[stages.imported]
kind = "measure"
from = "released"

[stages.pretrain]
kind = "pretrain"

[stages.own]
kind = "measure"
from = "pretrain"
"""
BESIDE = """
title = "Norms"
spec = "imported.toml"
metric = "weight_norm"
source = "nowhere"
tolerance = 0.2
margin = 0.5
columns = [{ title = "norm" }]
rows = [
  { title = "imported", where = { stage = "imported" }, paper = [70.0] },
  { title = "own", where = { stage = "own" }, paper = [70.0] },
]
"""


@pytest.mark.parametrize(("norm", "verdict"), [("70.2", "match"), ("69.8", "match"), ("70.21", "off")])
def test_weights_from_elsewhere_match_within_the_tolerance_and_trained_ones_by_their_seeds(
    norm: str, verdict: str, folder: Path
) -> None:
    """However the metric is measured: what was trained here is a training, and its mean of 70.41 is equivalent to 70.0."""
    (folder / "imported.toml").write_text(IMPORTED, encoding="utf-8")
    (folder / "beside.toml").write_text(BESIDE, encoding="utf-8")
    files = [str(folder / name) for name in ("imported.toml", "beside.toml", f"planted {norm}")]
    done = subprocess.run(
        [sys.executable, "-c", PLANTED, *files, norm], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    verdicts, *said = done.stdout.splitlines()
    assert verdicts == f"['{verdict}', 'match']", done.stderr
    assert said[0] == "weights trained elsewhere: within 0.2"
    assert said[1].startswith("trainings: equivalent within ±0.5 by two one-sided t-tests")
    assert said[-1] == "MIXED weights: from released, trained here"
