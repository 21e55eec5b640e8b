"""The grids of the declared specs, against a second account of them; what they share; what the recipe says of their stages."""

from __future__ import annotations

from collections import Counter

import pytest

from simclr_spec.language import declared
from simclr_spec.language.overlay import read_overlay
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.departures import deviations

Encoder = tuple[int, int, bool]

R50, R50_2, R50_2_SK, R152_2 = (50, 1, False), (50, 2, False), (50, 2, True), (152, 2, False)
R152_2_SK, R152_3_SK = (152, 2, True), (152, 3, True)
PLAIN = [(depth, width, False) for depth in (50, 101, 152) for width in (1, 2)]
TWELVE = PLAIN + [(depth, width, True) for depth, width, _ in PLAIN]
TABLE_1 = [*TWELVE, R152_3_SK]
SMALL = [(18, 1, False), (18, 2, False), (34, 1, False), R50]

# Stage -> its encoders, and Steps of each: amounts of labels x layers of the head (x heads, where one stage has several).
GRIDS: dict[str, dict[str, tuple[list[Encoder], int]]] = {
    "table1": {
        "pretrain": (TABLE_1, 1),
        "finetune": (TABLE_1, 3),
        "linear_eval": (TABLE_1, 1),
        "supervised": (TABLE_1, 1),
    },
    "table2": {
        "pretrain": ([R50_2_SK], 1),
        "teacher": ([R50_2_SK], 2),
        "table2_label_only": ([R50], 2),
        "table2_labels_and_targets_labelled": ([R50], 2),
        "table2_labels_and_targets": ([R50], 2),
        "table2_targets_only": ([R50], 2),
    },
    "table3": {
        "pretrain": ([R152_3_SK], 1),
        "finetune": ([R152_3_SK], 2),
        "self_distill": ([R152_3_SK], 2),
        "distill": ([R50, R50_2_SK], 2),
        "distill_directly": ([R50, R50_2_SK], 2),
    },
    "figure4": {"pretrain": (PLAIN, 1), "finetune": (PLAIN, 3), "supervised": (PLAIN, 3)},
    "figure5": {
        "pretrain": ([R50], 4),
        "finetune_2": ([R50], 3 * 2),
        "finetune_3": ([R50], 3 * 3),
        "finetune_4": ([R50], 3 * 4),
        "finetune_wide": ([R50], 3 * 3),
        "linear_2": ([R50], 2),
        "linear_3": ([R50], 3),
        "linear_4": ([R50], 4),
        "linear_wide": ([R50], 3),
    },
    "figure6": {
        "pretrain": (TWELVE, 1),
        "finetune": (TWELVE, 2),
        "self_distill": (TWELVE, 2),
        "distill": ([encoder for encoder in TWELVE if encoder != R152_2_SK], 2),
        "supervised": (TWELVE, 1),
    },
    "study_memory": {
        f"{stage}{memory}": ([R50, R50_2_SK], 1) for memory in ("with", "without") for stage in ("finetune_", "linear_")
    }
    | {f"study_memory_{memory}": ([R50, R50_2_SK], 1) for memory in ("with", "without")},
    "study_temperature": {"pretrain": ([R50_2_SK], 1), "finetune": ([R50_2_SK], 2)}
    | {f"study_temperature_{temperature}": ([R50], 2) for temperature in ("01", "02", "05", "1")},
    "study_correlation": {"pretrain": (TABLE_1, 1), "finetune": (TABLE_1, 2 * 2), "linear_eval": (TABLE_1, 1)},
    "study_heads": {
        "pretrain": ([R50, R50_2, R152_2], 2),
        "finetune_2": ([R50, R50_2, R152_2], 2),
        "finetune_3": ([R50, R50_2, R152_2], 2),
    },
    "released": {
        f"{stage}{test}": (encoders, 1)
        for stages, encoders in (
            (("pretrained", "finetuned_1pct", "finetuned_10pct", "finetuned_100pct", "supervised"), TABLE_1),
            (("distilled_1pct", "distilled_10pct"), [R152_3_SK]),
        )
        for stage in stages
        for test in ("", "_test")
    },
    "study_cifar10": {"pretrain": (SMALL, 1), "finetune": (SMALL, 3), "supervised": (SMALL, 3)},
}
OWN_IMAGES = {"study_cifar10", "quickstart", "speedrun"}
"""Specs that name a scale, and so share nothing with Table 1."""
# Steps, and those of them that Table 1 has.
SHARED = {
    "table2": (11, 3),
    "table3": (13, 3),
    "figure4": (42, 30),
    "figure5": (52, 5),
    "figure6": (94, 48),
    "study_memory": (12, 6),
    "study_temperature": (11, 3),
    "study_correlation": (78, 52),
    "study_heads": (18, 9),
    "study_cifar10": (28, 0),
}


def encoder_of(step: Step) -> Encoder:
    where = step.coordinates
    return where["depth"], where["width"], where["sk"]


def of(plan: Plan, **where: object) -> list[Step]:
    return [step for step in plan.steps if step.matches(where)]


@pytest.mark.parametrize("name", GRIDS)
def test_a_spec_has_the_steps_of_its_grid(name: str) -> None:
    expected = {(stage, encoder): each for stage, (encoders, each) in GRIDS[name].items() for encoder in encoders}
    assert Counter((step.stage, encoder_of(step)) for step in compile(name).steps) == expected


@pytest.mark.parametrize("name", SHARED)
def test_steps_that_table_1_has_are_table_1s(name: str) -> None:
    both = compile(["table1", name])
    assert (len(compile(name).steps), both.asked - len(both.steps)) == SHARED[name]


def test_every_declared_spec_has_a_grid_here() -> None:
    assert GRIDS.keys() | OWN_IMAGES == set(declared.names("spec"))


@pytest.mark.parametrize("scale", ["paper", "digits"])
def test_all_tables_figures_and_studies_of_imagenet_are_one_plan(scale: str) -> None:
    """Beyond Table 1, study_temperature shares 2 Steps with table2, study_heads 3 and study_correlation 2 with figure5."""
    plan = compile([name for name in GRIDS if name not in ("study_cifar10", "released")], scale=scale)
    assert len(plan.steps) == 78 + 8 + 10 + 12 + 47 + 46 + 6 + (8 - 2) + (26 - 2) + (9 - 3)


def test_all_specs_take_the_scale_cifar10() -> None:
    """But the one whose networks know ImageNet's classes."""
    names = GRIDS.keys() - {"released"}
    assert compile([*names], scale="cifar10").asked == sum(len(compile(name).steps) for name in names)


def test_the_teachers_are_those_that_the_paper_names() -> None:
    plan = compile(["table1", "table2", "table3", "figure6"])

    def teachers(**where: object) -> set[tuple[tuple[str, ...], Encoder]]:
        taught = [plan.by_fingerprint[step.needs["teacher"]] for step in of(plan, **where)]
        return {(step.stages, encoder_of(step)) for step in taught}

    fine_tuned = ("finetune", "teacher")
    for stage in ("table2_labels_and_targets_labelled", "table2_labels_and_targets", "table2_targets_only"):
        assert teachers(stage=stage) == {(fine_tuned, R50_2_SK)}
    assert teachers(stage="distill", teacher_width=3) == {(("self_distill",), R152_3_SK)}
    assert teachers(stage="distill", teacher_width=2) == {(("self_distill",), R152_2_SK)}
    assert teachers(stage="distill_directly") == {(("finetune",), R152_3_SK)}
    assert {(stages, encoder) for stages, encoder in teachers(stage="self_distill")} == {
        (fine_tuned if encoder == R50_2_SK else ("finetune",), encoder) for encoder in TABLE_1
    }


def test_layers_and_heads_of_figure_5() -> None:
    steps = compile("figure5").steps
    kept = ("kind", "head_layers", "head_width", "from_layer")
    found = {tuple(step.coordinates[key] for key in kept) for step in steps if step.kind != "pretrain"}
    heads = [(2, 1), (3, 1), (4, 1), (3, 2)]
    assert found == {
        (kind, layers, width, layer)
        for kind in ("finetune", "linear_eval")
        for layers, width in heads
        for layer in range(layers)
    }


# Stage -> value and status. The caption of Table 2: temperature 1.0, "neither strong augmentation nor extra regularization".
TABLE_2: dict[str, dict[str, tuple[object, str]]] = {
    "table2_label_only": {
        "augment.autoaugment": (False, "paper"),
        "augment.colour_probability": (0.0, "paper"),
        "augment.greyscale": (0.0, "paper"),
        "augment.blur": (0.0, "paper"),
        "label_smoothing": (0.0, "paper"),
        "epochs": (400.0, "assumed"),
        "learning_rate": (0.1, "assumed"),
        "batch": (4096, "assumed"),
    },
    "table2_labels_and_targets_labelled": {
        "images": ("labelled", "paper"),
        "temperature": (1.0, "paper"),
        "alpha": (0.5, "assumed"),
        "epochs": (400.0, "assumed"),
        "learning_rate": (0.1, "assumed"),
        "warmup": (0.05, "assumed"),
        "batch": (4096, "assumed"),
    },
    "table2_labels_and_targets": {"images": ("all", "paper"), "temperature": (1.0, "paper"), "alpha": (0.5, "assumed")},
    "table2_targets_only": {"images": ("all", "paper"), "temperature": (1.0, "paper"), "alpha": (1.0, "paper")},
}


@pytest.mark.parametrize("stage", TABLE_2)
def test_the_rows_of_table_2_have_their_values_from_the_recipe(stage: str) -> None:
    plan = compile("table2")
    for step in of(plan, stage=stage):
        found = {name: (step.origins[name].value, step.origins[name].status) for name in TABLE_2[stage]}
        assert found == TABLE_2[stage]
    assert deviations(plan.steps) == []


def test_a_scale_may_shorten_the_rows_of_table_2_and_leaves_what_tells_them_apart() -> None:
    for scale in ("digits", "cifar10"):
        plan = compile("table2", scale=scale)
        told = {step.stage: (step.params["images"], step.params["alpha"]) for step in plan.steps if step.kind == "distill"}
        assert told == {
            "table2_labels_and_targets_labelled": ("labelled", 0.5),
            "table2_labels_and_targets": ("all", 0.5),
            "table2_targets_only": ("all", 1.0),
        }
        for step in of(plan, stage="table2_label_only"):
            assert step.params["epochs"] < 400
            augment = step.params["augment"]
            assert {augment[name] for name in ("colour_probability", "greyscale", "blur", "autoaugment")} == {0}


@pytest.mark.parametrize("scale", ["paper", "digits", "cifar10"])
def test_the_arms_of_the_study_of_the_memory_differ_in_it_at_every_scale(scale: str) -> None:
    plan = compile("study_memory", scale=scale)
    for one, other in zip(of(plan, stage="study_memory_with"), of(plan, stage="study_memory_without"), strict=True):
        assert (one.params["memory"]["enabled"], other.params["memory"]["enabled"]) == (True, False)
        assert {**one.params, "memory": None} == {**other.params, "memory": None}
        views = 2 * one.params["dataset"]["train_images"]
        assert one.params["memory"]["keys"] < views / 4, "a queue of less than a quarter of an epoch"


def test_what_a_study_varies_is_the_papers_own_where_the_paper_says_it() -> None:
    """Its runs without memory are no deviation of ours: a perfect reproduction must match."""
    without = {step.origins["memory.enabled"] for step in of(compile("study_memory"), stage="study_memory_without")}
    assert {(setting.value, setting.status, setting.source) for setting in without} == {(False, "paper", "§2, Appendix D")}
    assert deviations(compile(["study_memory", "study_temperature"]).steps) == []
    students = of(compile("study_temperature"), kind="distill")
    told = {step.params["temperature"]: step.origins["temperature"].status for step in students}
    assert told == {0.1: "paper", 0.2: "assumed", 0.5: "assumed", 1.0: "paper"}


def test_values_of_a_stage_by_name_are_of_no_users_stage() -> None:
    """Whatever it is called, as long as it does not begin like a declared spec."""
    layers = [
        read_overlay("recipe", "simclrv2", None),
        *(read_overlay("scale", name, None) for name in declared.names("scale")),
    ]
    rules = [rule for layer in layers for of_kind in layer.rules.values() for rule in of_kind]
    named = [rule.when["stage"] for rule in rules if "stage" in rule.when]
    assert len(named) > 6
    assert [name for name in named if not name.startswith(tuple(f"{spec}_" for spec in declared.names("spec")))] == []


def test_the_study_of_the_temperature_shares_the_papers_own_with_table_2() -> None:
    plan = compile(["table2", "study_temperature"])
    assert {step.stages for step in of(plan, stage="study_temperature_1")} == {("table2_targets_only", "study_temperature_1")}
    temperatures = {
        step.stage: step.params["temperature"]
        for step in compile("study_temperature").steps
        if step.needs and step.kind == "distill"
    }
    assert temperatures == {
        "study_temperature_01": 0.1,
        "study_temperature_02": 0.2,
        "study_temperature_05": 0.5,
        "study_temperature_1": 1.0,
    }
