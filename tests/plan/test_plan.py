"""From specs to Steps: counts, edges, order of layers, merging."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.language import declared
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.plan.departures import deviations
from simclr_spec.plan.step import label
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.forecast import make_forecast
from simclr_spec.store.layout import Store
from simclr_spec.store.staleness import Images
from tests.finished import FEW
from tests.places import GOLDEN
from tests.specs import CHAIN, STUDENT, plan_of, spec


def summary(name: str) -> dict[str, list[str]]:
    """Step id -> fingerprint and ids of its parents."""
    plan = compile([name])
    return {s.id: [s.fingerprint, *sorted(plan.by_fingerprint[one].id for one in s.needs.values())] for s in plan.steps}


def test_table1_has_78_steps() -> None:
    plan = compile(["table1"])
    assert Counter(step.kind for step in plan.steps) == {"pretrain": 13, "finetune": 39, "linear_eval": 13, "supervised": 13}
    assert Counter(len(step.needs) for step in plan.steps) == {0: 26, 1: 52}


def test_parents_come_first_and_exist() -> None:
    for name in ("quickstart", "table1"):
        plan = compile([name])
        seen: set[str] = set()
        for step in plan.steps:
            assert set(step.needs.values()) <= seen
            seen.add(step.fingerprint)


@pytest.mark.parametrize("name", declared.names("spec"))
def test_golden_plan(name: str) -> None:
    """Ids, edges and fingerprints: a change here makes every finished run of every user stale, so it is never an accident."""
    assert summary(name) == json.loads((GOLDEN / f"plan_{name}.json").read_text()), "meant? then python -m tests.plan.test_plan"


def test_every_step_builds_its_parameters() -> None:
    for step in compile(["quickstart", "table1"]).steps:
        built = KINDS[step.kind].build(step.params)
        assert built.seed == step.coordinates["seed"]
        assert set(step.origins) == {name for name in step.origins if _at(step.params, name) == step.origins[name].value}


def _at(table: object, dotted: str) -> object:
    for part in dotted.split("."):
        table = table[part]  # type: ignore[index]
    return table


def test_equal_steps_of_different_specs_are_one(tmp_path: Path) -> None:
    alone = compile(["table1"])
    file = tmp_path / "mine.toml"
    file.write_text(
        'title = "m"\nrecipe = "simclrv2"\ndataset = "imagenet"\nencoders = [{ depth = 50 }]\n'
        '[stages.base]\nkind = "pretrain"\n'
        '[stages.tuned]\nkind = "finetune"\nfrom = "base"\nlabel_fraction = 0.01\nseeds = [0, 1]\n'
    )
    both = compile(["table1", str(file)])
    assert (both.asked, len(both.steps), len(alone.steps)) == (81, 79, 78)
    shared = next(step for step in both.steps if step.stages == ("pretrain", "base"))
    assert shared.matches({"stage": "base"})
    assert shared.matches({"stage": "pretrain", "depth": 50})


def test_specs_of_different_scales_are_told_with_both_and_priced_on_a_machine_that_is_named(tmp_path: Path) -> None:
    plan = compile(["quickstart", "table1"])
    assert (plan.scale, plan.scale_title) == (
        "digits + paper",
        "digits: 8×8 handwritten digits, base width 8 + the recipe's own scale",
    )
    asks = r"^the scales of quickstart and table1 name different machines \(cpu, h200\): say .* with --machine on plan, or "
    with pytest.raises(UsageError, match=asks):
        make_forecast(["quickstart", "table1"], images=Images(Store(tmp_path)))
    assert make_forecast(["quickstart", "table1"], images=Images(Store(tmp_path)), machine="h200").machine.unit == "GPU"
    assert compile(["quickstart", "table1"], scale="digits").machine == "cpu"
    assert compile(["table1"]).scale_title is None


def test_later_layers_win_and_every_value_remembers_its_origin(tmp_path: Path) -> None:
    text = CHAIN + "epochs = 7\n"
    step = plan_of(text, tmp_path).steps[1]
    assert (step.params["epochs"], step.origins["epochs"].origin) == (7.0, f"{tmp_path}/x.toml:10")
    assert step.origins["batch"].origin.startswith("specs/scales/digits.toml:")
    assert step.origins["momentum"].origin.startswith("specs/recipes/simclrv2.toml:")
    said = step.origins["batch"].recipe
    assert said is not None
    assert (said.value, said.status, step.origins["batch"].is_deviation) == (1024, "paper", True)
    step = plan_of(text, tmp_path, ("finetune.epochs=3",)).steps[1]
    assert (step.params["epochs"], step.origins["epochs"].origin) == (3.0, "--set finetune.epochs=3")


def test_an_axis_that_departs_from_the_recipe_is_a_deviation(tmp_path: Path) -> None:
    text = CHAIN.replace("{ depth = 18 }", "{ depth = 18, head_layers = 2 }, { depth = 18, head_layers = 3 }")
    text += "from_layer = [0, 1]\nlabel_fraction = 1.0\n"
    deviating = {
        (step.coordinates["head_layers"], step.coordinates.get("from_layer")): {
            name: setting.recipe.value
            for name, setting in step.origins.items()
            if setting.recipe is not None and name in ("head.layers", "from_layer", "labels.fraction", "encoder.depth")
        }
        for step in plan_of(text, tmp_path).steps
    }
    assert deviating == {
        (2, None): {"head.layers": 3},
        (3, None): {},
        (2, 0): {"head.layers": 3},
        (2, 1): {"head.layers": 3, "from_layer": 0},
        (3, 0): {},
        (3, 1): {"from_layer": 0},
    }
    assert {departure.name for departure in deviations(plan_of(text, tmp_path).steps)} > {"head.layers", "from_layer"}


def test_a_set_goes_over_an_axis_of_the_same_value(tmp_path: Path) -> None:
    text = CHAIN.replace("{ depth = 18 }", "{ depth = 18, head_layers = 2 }, { depth = 18, head_layers = 3 }")
    plan = plan_of(text + "from_layer = [0, 1]\n", tmp_path, ("head.layers=4", "from_layer=3"))
    assert [(step.kind, step.params["head"]["layers"], step.params.get("from_layer")) for step in plan.steps] == [
        ("pretrain", 4, None),
        ("finetune", 4, 3),
    ]
    assert plan.steps[0].coordinates["head_layers"] == 4


def test_a_set_names_the_data_set_of_a_stage_or_of_all(tmp_path: Path) -> None:
    def sets(*typed: str) -> list[tuple[str, str]]:
        origins = [step.origins["dataset.name"] for step in plan_of(CHAIN, tmp_path, typed).steps]
        return [(one.value, one.origin) for one in origins]

    digits = ("digits", sets()[0][1])
    assert sets("pretrain.dataset=cifar10") == [("cifar10", "--set pretrain.dataset=cifar10"), digits]
    assert sets("dataset=cifar10") == [("cifar10", "--set dataset=cifar10")] * 2


def test_a_set_may_concern_one_spec_of_several(tmp_path: Path) -> None:
    plan = compile([FEW, spec(tmp_path)], sets=["distill.epochs=2", "linear.epochs=3"])
    assert {step.params["epochs"] for step in plan.steps if step.kind == "distill"} == {2.0}
    assert {step.params["epochs"] for step in plan.steps if step.stage == "linear"} == {3.0}
    with pytest.raises(SpecError, match=r"^--set distill.epochs=2: no stage here is a distill$"):
        compile([spec(tmp_path)], sets=["distill.epochs=2"])


def test_rules_hold_where_their_coordinates_match() -> None:
    plan = compile(["table1"])
    rates = {
        (step.coordinates["width"], step.coordinates["sk"]): step.params["learning_rate"]
        for step in plan.steps
        if step.kind == "finetune"
    }
    assert rates == {(1, False): 0.005, (1, True): 0.002, (2, False): 0.002, (2, True): 0.002, (3, True): 0.002}
    by_fraction = {step.coordinates["label_fraction"]: step for step in plan.steps if step.kind == "finetune"}
    assert {key: (step.params["epochs"], step.params["from_layer"]) for key, step in by_fraction.items()} == {
        0.01: (60.0, 1),
        0.1: (30.0, 1),
        1.0: (30.0, 0),
    }
    assert by_fraction[1.0].origins["from_layer"].rule == "label_fraction=1.0"


def test_seeds_are_inherited_or_multiplied(tmp_path: Path) -> None:
    text = CHAIN.replace("encoders", "seeds = [0, 1]\nencoders")
    inherited = [step for step in plan_of(text, tmp_path).steps if step.kind == "finetune"]
    assert [step.coordinates["seed"] for step in inherited] == [0, 1]
    own = [step for step in plan_of(text + "seeds = [5, 6]\n", tmp_path).steps if step.kind == "finetune"]
    assert [(step.coordinates["pretrain_seed"], step.coordinates["seed"]) for step in own] == [(0, 5), (0, 6), (1, 5), (1, 6)]


def test_the_seed_of_the_labels_is_null_when_all_are_labelled(tmp_path: Path) -> None:
    steps = plan_of(CHAIN + "label_fraction = [0.1, 1.0]\nseeds = [3]\n", tmp_path).steps
    assert [step.params["labels"]["seed"] for step in steps if step.kind == "finetune"] == [3, None]


def test_teachers_are_of_the_same_encoder_labels_and_seed_unless_written() -> None:
    plan = compile(["quickstart"])
    for step in plan.steps:
        if step.kind == "distill":
            teacher = plan.by_fingerprint[step.needs["teacher"]]
            assert teacher.params["labels"] == step.params["labels"]
            assert teacher.coordinates["seed"] == step.coordinates["seed"]
            same = teacher.coordinates["width"] == step.coordinates["width"]
            assert step.coordinates["self_distillation"] == same
            assert step.params["temperature"] == (0.1 if same else 1.0)


def test_children_take_over_the_network_of_their_parent(tmp_path: Path) -> None:
    plan = plan_of(CHAIN, tmp_path, ("pretrain.encoder.base_width=16",))
    assert plan.steps[1].params["encoder"]["base_width"] == 16
    assert {step.origins["encoder.depth"].path for step in plan.steps} == {("encoders", 0, "depth")}
    text = CHAIN.replace("{ depth = 18 }", "{ depth = 18, head_layers = 4 }")
    plan = plan_of(text, tmp_path)
    assert (plan.steps[1].params["head"]["layers"], plan.steps[1].coordinates["head_layers"]) == (4, 4)


def test_grids() -> None:
    plan = compile(["table1"])
    rows = {(step.coordinates["depth"], step.coordinates["width"], step.coordinates["sk"]) for step in plan.steps}
    assert rows == {(d, w, s) for d in (50, 101, 152) for w in (1, 2) for s in (False, True)} | {(152, 3, True)}


def test_zip_and_exclude(tmp_path: Path) -> None:
    axes = "product = { sk = [false, true] }, zip = [{ depth = [50, 101], width = [1, 2] }]"
    grid = f"{{ {axes}, exclude = [{{ depth = 101, sk = true }}] }}"
    plan = plan_of(CHAIN.replace("[{ depth = 18 }]", grid), tmp_path)
    rows = [(s.coordinates["depth"], s.coordinates["width"], s.coordinates["sk"]) for s in plan.steps if s.kind == "pretrain"]
    assert rows == [(50, 1, False), (101, 2, False), (50, 1, True)]


def test_labels_are_safe_path_components() -> None:
    for step in compile(["quickstart", "table1"]).steps:
        assert all(c.isalnum() or c in "-._" for c in step.label)
    first = compile(["quickstart"]).steps[0]
    assert first.label == "r18-1x-digits-s0"
    long = {**first.params, "dataset": {"name": f"/home/me/{'x' * 32}/pets.v2"}}
    assert label(long) == f"r18-1x-{'x' * 32}_pets.v2-s0", "the last 40 characters, or a folder's name would be too long"


def test_selection_with_ancestors_and_descendants() -> None:
    plan = compile(["table1"])

    def count(words: str) -> int:
        return len(plan.select(parse(words.split())))

    assert count("stage=finetune depth=50") == 12
    assert count("+stage=finetune depth=50") == 16
    assert count("stage=pretrain depth=50 width=1 sk=false+") == 5
    with pytest.raises(
        UsageError, match=r"^no Step of this plan has depth=18; `simclr-spec plan --steps` shows their coordinates$"
    ):
        count("depth=18")


def test_students_of_teachers_that_differ_in_the_head_have_coordinates_of_their_own(tmp_path: Path) -> None:
    text = STUDENT.replace("{ depth = 18 }", "{ depth = 18 }, { depth = 18, head_layers = 2, head_width = 2 }")
    text = text.replace("label_fraction = 1.0\n", "label_fraction = 1.0\nfrom_layer = [0, 1]\n")
    text += '[stages.next]\nkind = "distill"\nteacher = "student"\n'
    for stage in ("student", "next"):
        students = [step for step in plan_of(text, tmp_path).steps if step.stage == stage]
        names = ("teacher_from_layer", "teacher_head_layers", "teacher_head_width")
        told_apart = [tuple(step.coordinates[name] for name in names) for step in students]
        assert told_apart == [(0, 3, 1), (1, 3, 1), (0, 2, 2), (1, 2, 2)]
        assert len({step.label for step in students}) == 1


if __name__ == "__main__":
    for name in declared.names("spec"):
        lines = [f"{json.dumps(step)}: {json.dumps(golden)}" for step, golden in summary(name).items()]
        (GOLDEN / f"plan_{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
