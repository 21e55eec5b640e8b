"""From specs to Steps: counts, edges, order of layers, merging, and contradictions with their remedies."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from simclr_spec import library, params
from simclr_spec.coordinates import parse
from simclr_spec.errors import SpecError, UsageError
from simclr_spec.plan import Plan, compile
from simclr_spec.show.plan import deviations
from simclr_spec.survey import survey

HEAD = 'title = "t"\nrecipe = "simclrv2"\nscale = "digits"\nencoders = [{ depth = 18 }]\n'
CHAIN = HEAD + '[stages.pretrain]\nkind = "pretrain"\n[stages.finetune]\nkind = "finetune"\nfrom = "pretrain"\n'


def summary(name: str) -> dict[str, list[str]]:
    """Step id -> fingerprint and ids of its parents."""
    plan = compile([name])
    return {s.id: [s.fingerprint, *sorted(plan.by_fingerprint[one].id for one in s.needs.values())] for s in plan.steps}


def plan_of(text: str, folder: Path, sets: tuple[str, ...] = ()) -> Plan:
    file = folder / "x.toml"
    file.write_text(text, encoding="utf-8")
    return compile([str(file)], sets=sets)


def told(text: str, folder: Path, sets: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(SpecError) as caught:
        plan_of(text, folder, sets)
    return [line.replace(f"{folder}/", "") for line in str(caught.value).split("\n")]


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


@pytest.mark.parametrize("name", ["quickstart", "table1"])
def test_golden_plan(name: str, golden: Path) -> None:
    """Ids, edges and fingerprints: a change here makes every finished run of every user stale, so it is never an accident."""
    assert summary(name) == json.loads((golden / f"plan_{name}.json").read_text()), "meant? then python -m tests.test_plan"


def test_every_step_builds_its_parameters() -> None:
    for step in compile(["quickstart", "table1"]).steps:
        built = params.build(params.KINDS[step.kind], dict(step.params))
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
        survey(["quickstart", "table1"], store=str(tmp_path))
    assert survey(["quickstart", "table1"], store=str(tmp_path), machine="h200").machine.unit == "GPU"
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
    assert {note.name for note in deviations(plan_of(text, tmp_path).steps)} > {"head.layers", "from_layer"}


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
    assert compile(["quickstart"]).steps[0].label == "r18-1x-digits-s0"


def test_selection_with_ancestors_and_descendants() -> None:
    plan = compile(["table1"])

    def count(words: str) -> int:
        return len(plan.select(parse(words.split())))

    assert count("stage=finetune depth=50") == 12
    assert count("+stage=finetune depth=50") == 16
    assert count("stage=pretrain depth=50 width=1 sk=false+") == 5
    with pytest.raises(UsageError, match=r"^no Step of this plan has depth=18; `simclr-spec plan` shows their coordinates$"):
        count("depth=18")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            CHAIN.replace('from = "pretrain"', 'from = "pretrian"'),
            "x.toml:9:8: from 'pretrian' is not a stage here; did you mean 'pretrain'?",
        ),
        (CHAIN.replace('from = "pretrain"', 'from = "finetune"'), "x.toml:9:8: [stages.finetune] needs itself"),
        (
            CHAIN + '[stages.s]\nkind = "distill"\nteacher = "pretrain"\n',
            "x.toml:12:11: a distill starts from a finetune or distill stage; 'pretrain' is a pretrain",
        ),
        (
            CHAIN + '[stages.a]\nkind = "distill"\nteacher = "b"\n[stages.b]\nkind = "distill"\nteacher = "a"\n',
            "x.toml:12:11: these stages need each other: a → b → a",
        ),
        (
            CHAIN.replace("18", "18, sk = true"),
            "x.toml:4:32: SK needs bottleneck blocks; depth 18 has none; use depth ≥ 50 or sk = false",
        ),
        (
            CHAIN.replace("{ depth = 18 }", "{ depth = 18 }, { depth = 18, width = 1 }"),
            "x.toml:4:29: this encoder stands twice; first in line 4",
        ),
        (CHAIN + "label_fraction = 10\n", "x.toml:10:18: label_fraction 10 is outside (0, 1]; for 10 % write 0.10"),
        (
            CHAIN + "label_fraction = 0.001\n",
            "x.toml:10:18: label_fraction 0.001 leaves 1 images for the 10 classes of digits; use at least 0.00696",
        ),
        (
            CHAIN + "labels_per_class = 200\n",
            "x.toml:10:20: 200 labels per class are 2,000 images; digits has 1,437, so at most 143",
        ),
        (
            CHAIN + "from_layer = 3\n",
            "x.toml:10:14: from_layer 3, but the head has 3 layers (specs/recipes/simclrv2.toml:{head}); use 0 to 2",
        ),
        (
            CHAIN + "batch_at_most_examples = false\nbatch = 4096\n",
            "x.toml:11:9: batch 4,096 is more than the 1,437 labelled images of digits; "
            "use a smaller batch or batch_at_most_examples = true",
        ),
        (CHAIN + "micro_batch = 5\nbatch = 64\n", "x.toml:10:15: micro_batch 5 does not divide batch 64 (x.toml:11)"),
        (
            CHAIN + "labels_per_class = 2\nmicro_batch = 8\nbatch = 64\n",
            "x.toml:11:15: micro_batch 8 does not divide batch 20 (x.toml:12, cut to the 20 images that there are)",
        ),
        (
            CHAIN + "encoders = { depth = 50 }\n",
            "x.toml:7:9: [stages.finetune] has no Steps: its `encoders` match none of those at hand",
        ),
        (
            CHAIN + '[stages.s]\nkind = "distill"\nteacher = { stage = "finetune", width = 2 }\n',
            "x.toml:12:41: no Step of 'finetune' has width=2; its width is 1",
        ),
        (
            CHAIN.replace("[{ depth = 18 }]", "{ product = { depth = [18] }, exclude = [{ depth = 18 }] }"),
            "x.toml:4:1: this grid has no encoders; loosen `exclude` or add `include`",
        ),
        (
            CHAIN + "encoder.base_width = 4\n",
            "x.toml:10:22: encoder.base_width 4, but 'pretrain', where this stage starts, has 8 "
            "(specs/scales/digits.toml:{width})",
        ),
        (CHAIN.replace("digits", "digit"), "x.toml:3:9: no scale is named 'digit'; did you mean 'digits'?"),
        (
            CHAIN + "[stages.x]\nkind = 'fintune'\n",
            "x.toml:11:8: kind must be {kinds}, not 'fintune'; did you mean 'finetune'?",
        ),
    ],
)
def test_contradictions_have_a_place_and_a_remedy(text: str, sentence: str, tmp_path: Path) -> None:
    lines = library.read("recipe", "simclrv2").text.split("\n")
    head = 1 + next(i for i, line in enumerate(lines) if line.startswith("layers ="))
    lines = library.read("scale", "digits").text.split("\n")
    width = 1 + next(i for i, line in enumerate(lines) if line.startswith("base_width ="))
    kinds = "'pretrain', 'finetune', 'linear_eval', 'supervised' or 'distill'"
    expected = sentence.replace("{head}", str(head)).replace("{width}", str(width)).replace("{kinds}", kinds)
    assert [line.replace(f"({tmp_path}/", "(") for line in told(text, tmp_path)] == [expected]


def test_faults_of_all_stages_at_once(tmp_path: Path) -> None:
    text = CHAIN + 'from_layer = 9\n[stages.s]\nkind = "supervised"\nlabels_per_class = 999\n'
    assert [line.split(": ")[0] for line in told(text, tmp_path)] == ["x.toml:10:14", "x.toml:13:20"]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("epoch=2", "--set epoch=2: unknown key 'epoch'; did you mean 'epochs'?"),
        ("epochs=ten", "--set epochs=ten: epochs must be a number, not 'ten'"),
        ("epochs=nan", "--set epochs=nan: epochs must be a finite number, not nan"),
        ("finetune.flip=2", "--set finetune.flip=2: unknown key 'flip' in finetune"),
        ("augment.flip=2", "--set augment.flip=2: augment.flip 2 is outside [0, 1]; for 2 % write 0.02"),
        ("encoder.depth=50", "--set encoder.depth=50: encoder.depth is an axis of the spec and cannot be set"),
        ("finetune.from_layer=5", "--set finetune.from_layer=5: from_layer 5, but the head has 3 layers"),
    ],
)
def test_faults_of_set(setting: str, sentence: str, tmp_path: Path) -> None:
    assert told(CHAIN, tmp_path, (setting,))[0].startswith(sentence)


def test_a_recipe_that_lacks_a_value_says_which(tmp_path: Path) -> None:
    recipe = library.read("recipe", "simclrv2").text
    (tmp_path / "mine.toml").write_text("\n".join(line for line in recipe.split("\n") if not line.startswith("momentum")))
    lines = told(CHAIN.replace('"simclrv2"', '"mine.toml"'), tmp_path)
    assert "pretrain lacks 'momentum'; add momentum = { value = …, source = '…', status = '…' }" in lines[0]


if __name__ == "__main__":
    for name in ("quickstart", "table1"):
        (Path(__file__).parent / "golden" / f"plan_{name}.json").write_text(json.dumps(summary(name), indent=0) + "\n")


STUDENT = CHAIN + 'label_fraction = 1.0\n[stages.student]\nkind = "distill"\nteacher = "finetune"\n'


@pytest.mark.parametrize(
    ("more", "sets", "sentence"),
    [
        ('dataset = "cifar10"\n', (), "x.toml:14:11: dataset.name cifar10, but 'finetune', which teaches, has digits"),
        ("dataset.classes = 5\n", (), "x.toml:14:19: dataset.classes 5, but 'finetune', which teaches, has 10"),
        ("", ("finetune.dataset.classes=7",), "specs/datasets/digits.toml:"),
    ],
)
def test_a_student_sees_the_images_of_its_teacher(more: str, sets: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    (found,) = told(STUDENT + more, tmp_path, sets)
    assert found.startswith(sentence)
    assert found.endswith("; a student needs the images of its teacher")


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
