"""Recipes that extend recipes: what holds, where it was written, and names that lead nowhere or round."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.core.errors import SpecError
from simclr_spec.language.overlay import Overlay, read_overlay
from simclr_spec.plan import Step, compile

DECLARED = Path(__file__).parents[1] / "declared"
WARM, SPEC = DECLARED / "warm.toml", DECLARED / "warm_spec.toml"


def steps(spec: Path = SPEC) -> tuple[Step, Step, Step]:
    pretrain, few, more = compile([str(spec)]).steps
    return pretrain, few, more


def line(file: str | Path, start: str) -> int:
    """Of the first line that begins so."""
    return next(i for i, text in enumerate(Path(file).read_text().splitlines(), 1) if text.startswith(start))


def test_a_value_has_its_own_source_status_and_place() -> None:
    pretrain, few, more = steps()
    temperature = pretrain.origins["temperature"]
    assert (temperature.value, temperature.source, temperature.status) == (0.5, "SimCLR, Table 5", "paper")
    assert temperature.origin == f"{WARM}:{line(WARM, 'temperature')}"
    inherited = pretrain.origins["learning_rate"]
    assert (inherited.value, inherited.status) == (0.1, "paper")
    assert inherited.origin.startswith("specs/recipes/simclrv2.toml:")
    assert few.origins["learning_rate"].origin == f"{WARM}:{line(WARM, 'set.learning_rate')}"
    assert more.origins["learning_rate"].origin.startswith("specs/recipes/simclrv2.toml:")


def test_tables_are_extended_each_for_itself_and_rules_come_last() -> None:
    pretrain, few, more = steps()
    assert pretrain.params["augment"]["blur"] == 0.5, "the extended recipe's [pretrain] is after any [common]"
    assert few.params["augment"]["blur"] == 0.0
    assert few.origins["augment.blur"].origin == f"{WARM}:{line(WARM, 'blur')}"
    assert (few.params["learning_rate"], more.params["learning_rate"]) == (0.003, 0.005)


def test_what_differs_from_the_extended_recipe_is_a_deviation() -> None:
    """A recipe is no way to change the paper's setting in silence."""
    deviating = [{name for name, setting in step.origins.items() if setting.is_deviation} for step in steps()]
    assert deviating == [{"temperature", "knn_every"}, {"learning_rate"}, set()]
    origins = steps()[0].origins
    assert origins["temperature"].recipe is not None
    assert origins["temperature"].recipe.value == 0.1
    assert origins["memory.keys"].is_assumption, "it stays one of the extended recipe"


def test_explain_shows_where_each_was_written() -> None:
    shown = CliRunner().invoke(main, ["explain", str(SPEC), "temperature", "pretrain.learning_rate"]).output
    assert f"{WARM}:{line(WARM, 'temperature')}" in shown
    assert "specs/recipes/simclrv2.toml:" in shown
    assert "0.5 instead of 0.1" in shown
    departed = CliRunner().invoke(main, ["explain", str(SPEC), "temperature", "--set", "temperature=0.1"]).output
    assert "Deviations: 0" in departed


def write(folder: Path, **recipes: str) -> None:
    for name, text in recipes.items():
        (folder / f"{name}.toml").write_text(f'title = "{name}"\n{text}')


def recipe(folder: Path, name: str) -> Overlay:
    return read_overlay("recipe", str(folder / f"{name}.toml"), None)


def test_a_chain_of_several(tmp_path: Path) -> None:
    value = "[pretrain]\nepochs = {{ value = {}, source = 'our own', status = 'derived' }}\n"
    (tmp_path / "below").mkdir()
    write(
        tmp_path,
        last='extends = "below/middle.toml"\n' + value.format(300),
        first='extends = "simclrv2"\n' + value.format(100) + "batch = { value = 64, source = 'our own', status = 'derived' }\n",
    )
    write(tmp_path / "below", middle='extends = "../first.toml"\ndataset = "cifar10"\n' + value.format(200))
    found = recipe(tmp_path, "last")
    pretrain = found.settings["pretrain"]
    assert (found.title, found.dataset) == ("last", "cifar10")
    assert found.names_dataset.file.endswith("below/middle.toml")
    assert (pretrain["epochs"].value, pretrain["batch"].value, pretrain["learning_rate"].value) == (300, 64, 0.1)
    assert recipe(tmp_path, "first").dataset == "imagenet"


def test_a_path_to_images_starts_beside_the_recipe_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", named='extends = "simclrv2"\ndataset = "own.toml"\n')
    facts = 'name = "own"\nclasses = 3\ntrain_images = 12\ntest_images = 6\nimage_size = 8\n'
    (tmp_path / "below/own.toml").write_text(facts)
    write(tmp_path, mine='extends = "below/named.toml"\n')
    spec = tmp_path / "spec.toml"
    spec.write_text('title = "t"\nrecipe = "mine.toml"\nencoders = [{ depth = 18 }]\n[stages.pretrain]\nkind = "pretrain"\n')
    (step,) = compile([str(spec)], sets=["batch=4"]).steps
    assert step.params["dataset"]["train_images"] == 12
    name = step.origins["dataset.name"]
    assert name.origin == f"{tmp_path}/below/named.toml:3"
    assert name.recipe is not None
    assert name.recipe.origin.startswith("specs/recipes/simclrv2.toml:")


def faults(folder: Path, name: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        recipe(folder, name)
    return [str(fault).replace(f"{folder}/", "") for fault in error.value.faults]


def test_recipes_that_extend_each_other(tmp_path: Path) -> None:
    write(tmp_path, a='extends = "b.toml"', b='extends = "c.toml"', c='extends = "b.toml"', d='extends = "d.toml"')
    assert faults(tmp_path, "a") == ["c.toml:2:11: these recipes extend each other: b.toml → c.toml → b.toml"]
    assert faults(tmp_path, "d") == ["d.toml:2:11: this recipe extends itself"]


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("simclrv3", "no recipe is named 'simclrv3'; did you mean 'simclrv2'?"),
        ("quickstart", "quickstart is a spec, not a recipe: "),
        ("none.toml", "cannot read the recipe 'none.toml': No such file or directory"),
        ("runner.toml", "runner.toml is a runner, not a recipe: "),
    ],
)
def test_a_name_of_no_recipe(named: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "runner.toml").write_text('kind = "local"\nslots = 2\n')
    write(tmp_path, a=f'extends = "{named}"')
    (found,) = faults(tmp_path, "a")
    assert found.startswith(f"a.toml:2:11: {sentence}")


def test_a_fault_of_the_extended_recipe_stands_in_its_file(tmp_path: Path) -> None:
    write(tmp_path, a='extends = "b.toml"', b="[pretrain]\nepochs = 1")
    (found,) = faults(tmp_path, "a")
    assert found.startswith("b.toml:3:10: ")


def test_a_scale_extends_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('title = "s"\nextends = "digits"\n')
    with pytest.raises(SpecError, match=r"s.toml:2:1: unknown key 'extends' at the top level"):
        read_overlay("scale", str(tmp_path / "s.toml"), None)


def test_check_knows_such_a_recipe_for_one(tmp_path: Path) -> None:
    write(tmp_path, a='extends = "simclrv2"')
    done = CliRunner().invoke(main, ["check", str(tmp_path / "a.toml")])
    assert done.output == f"{tmp_path}/a.toml: a recipe, no faults\n"
