"""docs/language.md: its examples run, its reference is generated, its limits are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.cli.show.reference import put_into
from simclr_spec.language import declared, overlay, runner, schema
from simclr_spec.language.dataset import read_dataset
from simclr_spec.language.document import DEEPEST, MOST_ENTRIES, MOST_KEYS, MOST_VALUES
from simclr_spec.language.encoders import MOST_ENCODERS
from simclr_spec.language.machine import read_machine
from simclr_spec.language.overlay import read_overlay
from simclr_spec.language.weights import read_weights
from simclr_spec.language.weights import schema as weights_schema
from simclr_spec.plan import compile
from simclr_spec.plan.expand import MOST_COMPARISONS, MOST_STEPS
from simclr_spec.stages.kind import ENCODER
from simclr_spec.stages.kinds import KINDS
from tests.folders import pets

PAGE = (Path(__file__).parents[2] / "docs/language.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml(?: (\w+))?\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("kind", "text"), EXAMPLES)
def test_examples_run(kind: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "example.toml"
    file.write_text(text, encoding="utf-8")
    if kind == "recipe":
        assert read_overlay("recipe", str(file), None).title in ("An excerpt", "SimCLRv2 with a warmer temperature")
    elif kind == "scale":
        step = next(step for step in compile(["table1"], scale=str(file)).steps if step.kind == "finetune")
        assert step.params["epochs"] == 6.0
    elif kind == "report":
        (tmp_path / "mine.toml").write_text(EXAMPLES[0][1], encoding="utf-8")
        store = {"SIMCLR_SPEC_STORE": str(tmp_path / "runs")}
        shown = CliRunner().invoke(main, ["report", str(file)], env=store)
        assert shown.exit_code == 0
        assert shown.output.splitlines()[3].startswith("No result yet: ")
        shown = CliRunner().invoke(main, ["report", str(file), "--format", "markdown"], env=store)
        assert [line for line in shown.output.splitlines() if "fine-tuned" in line] == ["| fine-tuned | – | – |"]
    elif kind == "runner":
        read = runner.read(str(file))
        assert isinstance(read, runner.Local)
        assert (read.slots, read.threads, read.timeout_minutes, read.machine) == ((0, 1), 4, 600, "h100")
        assert [read.share({"stage": stage}).processes for stage in ("pretrain", "finetune")] == [2, 1]
        assert read.retries == runner.Retries(killed=2)
    elif kind == "dataset":
        pets(tmp_path / "example")
        monkeypatch.setenv("SIMCLR_SPEC_DATA", str(tmp_path))
        facts = read_dataset(str(file), None)[1]
        assert [facts[f"dataset.{key}"].value for key in ("name", "train_images", "image_size")] == ["example", 12, 224]
    elif kind == "weights":
        sets = read_weights(str(file)).sets
        files = [network.file for each in sets.values() for network in each.networks]
        assert files == ["pretrained/r50-1x-sk0.safetensors", "pretrained/r50-2x-sk1.safetensors", "finetuned.safetensors"]
    elif kind == "machine":
        assert read_machine(str(file)).memory_gib == 47.0
    else:
        assert compile([str(file)]).steps


def test_there_are_examples_of_each_kind() -> None:
    assert sorted({kind or "spec" for kind, _ in EXAMPLES}) == sorted(declared.FOLDERS)


def test_the_counts_of_the_examples(tmp_path: Path) -> None:
    counts = []
    for kind, text in EXAMPLES:
        if not kind:
            (tmp_path / "x.toml").write_text(text, encoding="utf-8")
            counts.append(len(compile([str(tmp_path / "x.toml")]).steps))
    assert counts == [3, 8, 2 + 4 + 2 + 2, 3]


def test_the_reference_is_generated() -> None:
    assert put_into(PAGE) == PAGE, "run python -m simclr_spec.cli.show.reference"


def test_the_limits_are_those_of_the_code() -> None:
    for number in (
        declared.LARGEST,
        MOST_ENCODERS,
        MOST_STEPS,
        MOST_COMPARISONS,
        DEEPEST,
        MOST_KEYS,
        MOST_ENTRIES,
        MOST_VALUES,
    ):
        assert f"{number:,}" in PAGE.partition("## Limits")[2].partition("##")[0]


PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)


def described(heading: str) -> set[str]:
    """The words in backticks below a heading, alone or as `[WORD]` or `WORD = VALUE`; of a table only its rows' heads."""
    section = PROSE.partition(f"\n{heading}\n")[2].partition("\n#")[0]
    section = re.sub(r"^(\|[^|]*\|).*", r"\1", section, flags=re.MULTILINE)
    return set(re.findall(r"`\[{0,2}([\w.]+)\]{0,2}(?: = [^`]*)?`", section))


def test_every_key_of_a_spec_is_described() -> None:
    spec = schema.spec()["properties"]
    assert spec.keys() - {"$schema"} <= {word.removesuffix(".NAME") for word in described("## A spec")}
    row, grid = spec["encoders"]["anyOf"][0]["items"], spec["encoders"]["anyOf"][1]
    assert {*row["properties"], *grid["properties"]} <= described("### Encoders")


def test_every_key_of_a_stage_is_described() -> None:
    """Of a stage alone: any other parameter is a row, and the description is for people as a spec's is."""
    (stage,) = schema.spec()["properties"]["stages"]["patternProperties"].values()
    keys = {"dataset", "from_layer"}  # a recipe has these too, with another meaning
    for kind, one in zip(KINDS, stage["oneOf"], strict=True):
        keys |= one["properties"].keys() - overlay.recipe()["properties"][kind]["properties"].keys()
    assert keys >= {"kind", "from", "teacher", "label_fraction"}
    assert keys | KINDS.keys() <= described("### Stages") | {"description"}


def test_every_key_of_a_weights_file_is_described() -> None:
    keys = weights_schema()["properties"]
    (of_set,) = keys["sets"]["patternProperties"].values()
    row = keys["networks"]["items"]["properties"].keys() - {*ENCODER, "sha256"}
    known = {word.removesuffix(".NAME") for word in described("### Weights that were trained elsewhere")}
    assert keys.keys() - {"$schema"} | of_set["properties"].keys() | row <= known


def test_every_key_of_recipes_and_scales_is_described() -> None:
    """`KIND` stands for the kinds; title, description and data set are described as a spec's."""
    keys = (overlay.recipe()["properties"].keys() | overlay.scale()["properties"].keys()) - {"$schema", *KINDS}
    assert keys >= {"common", "machine"}
    assert keys - {"title", "description", "dataset"} | {"KIND", "KIND.rules", "when"} <= described(
        "## Where a value comes from"
    )
