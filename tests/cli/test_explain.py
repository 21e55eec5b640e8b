"""`simclr-spec explain`: what it shows of a spec, of a Step, of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.fields import schema
from simclr_spec.stages.pretrain import MemoryConfig
from tests.typed import run


def test_explain_one_step_by_its_coordinates() -> None:
    done = run("explain", "table1", "stage=pretrain", "depth=50", "width=1", "sk=false")
    line = next(line for line in done.output.splitlines() if line.strip().startswith("temperature"))
    assert line.split()[:3] == ["temperature", "0.1", "code"]
    assert "specs/recipes/simclrv2.toml:" in line
    assert done.output.startswith("pretrain/r50-1x-imagenet-s0-")


def test_explain_shows_the_parameters_that_are_named_and_nothing_else() -> None:
    lines = run("explain", "table1", "learning_rate").output.splitlines()
    told = [line.split()[:2] for line in lines[: lines.index("Deviations: 0")] if line.startswith("  ")]
    assert told == [["learning_rate", value] for value in ("0.1", "0.005", "0.002", "0.1", "0.1")]
    assert lines[-2] == "Assumptions: 1"
    output = run("explain", "table1", "pretrain.memory", "epochs", "stage=pretrain").output
    names = [line.split()[0] for line in output.partition("\nDeviations")[0].splitlines()[1:] if line]
    assert names == ["epochs", *(f"memory.{name}" for name in sorted(schema(MemoryConfig)["properties"]))]
    assert "epochs" not in run("explain", "table1", "pretrain.memory").output
    one = run("explain", "speedrun", "kind=pretrain", "precision").output.splitlines()
    assert [line.split()[0] for line in one if line.startswith("  ")] == ["precision", "precision"]  # a deviation, too
    assert "  encoder.depth  101 " in run("explain", "table1", "encoder.depth").output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["table1", "learning_rat"], "no spec and no parameter is named 'learning_rat'; did you mean 'learning_rate'?\n"),
        (
            ["table1", "pretrain.memry.keys"],
            "no spec and no parameter is named 'pretrain.memry.keys'; did you mean 'pretrain.memory.keys'?\n",
        ),
        (["tabel1"], "no spec is named 'tabel1'; did you mean 'table1'?\n"),
        (["table1", "finetune"], "'finetune' is no parameter; for a kind of training write kind=finetune\n"),
        (["table1", "kind=finetune", "temperature"], "no Step that is selected has 'temperature' (they are of finetune)\n"),
        (["learning_rate"], "name a spec: figure4, "),
    ],
)
def test_a_word_that_is_no_parameter_is_told(words: list[str], sentence: str) -> None:
    done = run("explain", *words)
    assert done.exit_code == 2
    assert done.output.startswith(sentence)


def test_explain_a_spec_lists_deviations_and_assumptions() -> None:
    output = run("explain", "table1", "--set", "pretrain.epochs=100").output
    assert "Deviations: 1\n" in output
    line = next(line for line in output.splitlines() if "instead of" in line)
    assert line.split() == ["epochs", "100", "instead", "of", "800", "pretrain", "--set", "pretrain.epochs=100"]
    assert "bn_statistics" in output[output.index("Assumptions:") :]


def _one_stage(folder: Path, kind: str) -> str:
    file = folder / f"{kind}.toml"
    file.write_text(f'title = "{kind}"\nrecipe = "simclrv2"\nencoders = [{{ depth = 18 }}]\n[stages.a]\nkind = "{kind}"\n')
    return str(file)


def test_explain_two_specs_whose_stages_have_one_name_and_two_kinds(tmp_path: Path) -> None:
    output = run("explain", _one_stage(tmp_path, "pretrain"), _one_stage(tmp_path, "supervised")).output
    heads = [line for line in output.splitlines() if line.startswith("[")]
    assert heads == ["[stages.a] · pretrain · 1 Step", "[stages.a] · supervised · 1 Step"]


def test_explain_a_spec_of_one_step_lists_deviations_and_assumptions(tmp_path: Path) -> None:
    output = run("explain", _one_stage(tmp_path, "pretrain"), "--set", "epochs=100").output
    assert "\nDeviations: 1\n" in output
    assert "bn_statistics" in output[output.index("\nAssumptions:") :]
