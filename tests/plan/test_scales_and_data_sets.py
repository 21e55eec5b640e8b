"""Which data sets a scale may replace: the recipe's, never one that the spec names."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.language import declared
from simclr_spec.plan import compile
from tests.specs import CHAIN, plan_of, told
from tests.typed import run

OWN = CHAIN.replace('scale = "digits"\n', "") + "label_fraction = 0.1\n"


REMEDY = "name another scale, or none, or say --set dataset=NAME"


@pytest.mark.parametrize("scale", [None, "digits"], ids=["the spec's own scale", "a scale that is typed"])
def test_no_scale_replaces_a_data_set_that_the_spec_names(scale: str | None, tmp_path: Path) -> None:
    text = (CHAIN if scale is None else OWN).replace("encoders", 'dataset = "cifar10"\nencoders', 1)
    line = 1 + text.split("\n").index('dataset = "cifar10"')
    sentence = f"x.toml:{line}:11: dataset 'cifar10', but the scale 'digits' brings 'digits'; {REMEDY}"
    assert told(text, tmp_path, scale=scale) == [sentence]
    for typed in ("digits", "cifar10"):  # the person's own word
        names = {step.params["dataset"]["name"] for step in plan_of(text, tmp_path, (f"dataset={typed}",), scale).steps}
        assert names == {typed}
    if scale is None:
        assert {step.params["dataset"]["name"] for step in plan_of(text, tmp_path, scale="paper").steps} == {"cifar10"}


@pytest.mark.parametrize("command", ["check", "plan", "explain", "run", "status", "report"])
def test_every_command_says_so(command: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(OWN.replace("encoders", 'dataset = "cifar10"\nencoders', 1))
    (tmp_path / "report.toml").write_text(
        'title = "R"\nspec = "x.toml"\nmetric = "top1"\ncolumns = [{ title = "c", where = { stage = "finetune" } }]\n'
        'rows = [{ title = "r", where = { depth = 18 } }]\n'
    )
    file = tmp_path / ("report.toml" if command == "report" else "x.toml")
    where = () if command in ("check", "explain") else ("--store", str(tmp_path / "runs"))
    (tmp_path / "runs").mkdir()
    done = run(command, str(file), "--scale", "digits", *where)
    assert done.exit_code == 2
    assert f"x.toml:3:11: dataset 'cifar10', but the scale 'digits' brings 'digits'; {REMEDY}\n" in done.output
    assert not list((tmp_path / "runs").iterdir())


def test_no_scale_replaces_the_data_set_of_a_stage(tmp_path: Path) -> None:
    text = OWN.replace('kind = "finetune"', 'kind = "finetune"\ndataset = "imagenet"')
    line = 1 + text.split("\n").index('dataset = "imagenet"')
    sentence = f"x.toml:{line}:11: dataset 'imagenet', but the scale 'digits' brings 'digits'; {REMEDY}"
    assert told(text, tmp_path, scale="digits") == [sentence]
    names = [step.params["dataset"]["name"] for step in plan_of(text, tmp_path, ("finetune.dataset=cifar10",), "digits").steps]
    assert names == ["digits", "cifar10"]


def test_a_scale_replaces_the_recipes_data_set_and_may_name_the_specs_from_elsewhere(tmp_path: Path) -> None:
    assert {step.params["dataset"]["name"] for step in plan_of(OWN, tmp_path, scale="digits").steps} == {"digits"}
    (tmp_path / "set.toml").write_text(declared.read("dataset", "digits").text)
    (tmp_path / "scales").mkdir()
    scale = tmp_path / "scales" / "mine.toml"
    scale.write_text(declared.read("scale", "digits").text.replace('dataset = "digits"', 'dataset = "../set.toml"'))
    text = OWN.replace("encoders", 'dataset = "set.toml"\nencoders', 1)
    assert {step.params["dataset"]["name"] for step in plan_of(text, tmp_path, scale=str(scale)).steps} == {"digits"}


def test_no_rehearsal_is_offered_where_one_of_several_specs_names_its_images(tmp_path: Path) -> None:
    for name, line in (("own", 'dataset = "imagenet"\n'), ("other", "")):
        (tmp_path / f"{name}.toml").write_text(line + OWN, encoding="utf-8")
    own, other = str(tmp_path / "own.toml"), str(tmp_path / "other.toml")
    offered = [compile(names).may_rehearse for names in ([own], [other], [own, other], [other, own])]
    assert offered == [False, True, False, False]
