"""--weights: published networks in the place of a training, and the spec `released`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError
from simclr_spec.plan import Plan, Step, compile
from simclr_spec.plan.departures import deviations
from simclr_spec.report.table import make
from simclr_spec.store.history import last_plan, record_plan
from simclr_spec.store.layout import Store
from simclr_spec.store.retry import forecast_again
from tests.finished import fail
from tests.specs import HEAD, spec
from tests.typed import run

OFFICIAL = "weights=official"
RESNET = HEAD.replace("18", "50").replace('scale = "digits"\n', "")
TUNED = RESNET + '[stages.start]\nkind = "pretrain"\n[stages.tuned]\nkind = "finetune"\nfrom = "start"\n'
READING = TUNED.replace('kind = "pretrain"', 'kind = "import"\nweights = "simclrv2"\nset = "pretrained"')
OWN = """title = "Mine"
layout = "simclr-spec"
networks = [{ depth = 50 }]
[sets.mine]
made_by = "pretrain"
file = "mine.safetensors"
head_layers = 3
"""


def _one(plan: Plan, **where: object) -> Step:
    (found,) = [step for step in plan.steps if step.matches(where)]
    return found


def _told(name: str, *sets: str, scale: str | None = None) -> list[str]:
    with pytest.raises(SpecError) as caught:
        compile([name], sets=sets, scale=scale)
    return str(caught.value).splitlines()


def test_released_tests_each_of_the_65_files_and_the_distilled_ones_once() -> None:
    plan = compile(["released"])
    assert Counter(step.kind for step in plan.steps) == {"import": 67, "evaluate": 67}
    files = Counter(step.params["weights"]["file"] for step in plan.steps if step.kind == "import")
    assert set(files.values()) == {1}
    tests = [step for step in plan.steps if step.kind == "evaluate"]
    assert len({step.needs["from"] for step in tests}) == 67
    assert Counter(step.coordinates["label_fraction"] for step in tests) == {1.0: 39, 0.01: 14, 0.1: 14}
    assert not deviations(plan.steps)
    assert all(not step.coordinates.get("seed") for step in plan.steps), "nothing is drawn"


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "figure4", "figure6"])
def test_stages_keep_their_names_and_only_what_others_start_from_is_replaced(name: str) -> None:
    trained, released = compile([name]), compile([name], sets=[OFFICIAL])
    assert Counter(step.stage for step in released.steps) == Counter(step.stage for step in trained.steps)
    assert {step.stage for step in released.steps if step.kind == "import"} == {"pretrain"}
    same = {step.fingerprint for step in trained.steps} & {step.fingerprint for step in released.steps}
    assert {released.by_fingerprint[key].needs.get("from") for key in same} <= {None}, "what starts from them is another Step"
    assert released.arguments == f"{name} --weights official"


def test_a_step_that_starts_from_released_weights_is_the_same_however_it_was_asked_for(tmp_path: Path) -> None:
    asked = compile([spec(tmp_path, TUNED)], sets=[OFFICIAL])
    written = compile([spec(tmp_path, READING, "y.toml")])
    assert [step.fingerprint for step in asked.steps] == [step.fingerprint for step in written.steps]
    assert (
        _one(asked, stage="start").fingerprint
        == _one(compile(["released"]), stage="pretrained", depth=50, width=1, sk=False).fingerprint
    )


def test_sets_go_beside_weights_and_stages_are_replaced_one_by_one(tmp_path: Path) -> None:
    name = spec(tmp_path, TUNED)
    plain, changed = compile([name], sets=[OFFICIAL]), compile([name], sets=["epochs=2", OFFICIAL])
    assert _one(plain, stage="start").fingerprint == _one(changed, stage="start").fingerprint
    assert _one(changed, stage="tuned").params["epochs"] == 2.0
    for text in ("start.weights=official", "pretrain.weights=official"):
        assert _one(compile([name], sets=[text]), stage="start").fingerprint == _one(plain, stage="start").fingerprint
    assert _told(name, OFFICIAL, "start.epochs=2") == ["--set start.epochs=2: unknown key 'epochs' in start"]


def test_no_scale_changes_a_published_network(tmp_path: Path) -> None:
    name = spec(tmp_path, TUNED)
    for scale in ("digits", "cifar10"):
        encoder = _one(compile([name], scale=scale, sets=[OFFICIAL]), stage="tuned").params["encoder"]
        assert (encoder["base_width"], encoder["stem"]) == (64, "imagenet")


def test_a_weights_file_of_ones_own_by_its_path_also_from_elsewhere(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorded plan names it from any working directory: report, retry."""
    name = spec(tmp_path, TUNED)
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    plan = compile([name], sets=["weights=own.toml"])
    assert _one(plan, stage="start").params["weights"]["file"] == "mine.safetensors"
    record_plan(store, [name], None, ["weights=own.toml"])
    fail(store, _one(plan, stage="tuned"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    recorded = last_plan(store, name)
    assert recorded is not None
    assert recorded.sets == (f"weights={tmp_path}/own.toml",)
    again = forecast_again(store, [name], None)
    assert [step.stage for step in again.to_run] == ["start", "tuned"]
    assert {step.kind for step in again.to_run} == {"import", "finetune"}


def test_a_report_after_a_run_with_weights_shows_that_plan(store: Store) -> None:
    record_plan(store, ["table1"], None, [OFFICIAL])
    table = make("table1", store)
    assert {step.kind for step in table.plan.steps if step.stage == "pretrain"} == {"import"}
    assert any("table1 --weights official" in part for part in table.subtitle)
    assert "SimCLRv2's released checkpoints: 13 files" in next(note.text for note in table.notes if note.name == "Weights")


SMALL, ALONE = TUNED.replace("50", "18"), RESNET + '[stages.s]\nkind = "supervised"\n'
ARM = RESNET + '[stages.a]\nkind = "pretrain"\ntemperature = 0.5\n[stages.b]\nkind = "pretrain"\n'


@pytest.mark.parametrize(
    ("text", "change", "fault"),
    [
        (SMALL, "official", "x.toml:3:13: simclrv2 has no 'pretrained' weights with depth=18"),
        (ALONE, "official", "--set weights=official: no stage here is one that others start from"),
        (TUNED, "torchvision", "--set weights=torchvision: torchvision has no set that was made by a pretrain"),
        (TUNED, "offical", "--set weights=offical: no weights file is named 'offical'; did you mean 'official'?"),
        (TUNED, "table1", "--set weights=table1: table1 is a spec, not a weights file"),
        (ARM, "official", "x.toml:6:15: [stages.a] is trained with temperature 0.5, as these weights were not; to"),
    ],
)  # fmt: skip
def test_what_cannot_be_replaced_is_told_with_its_place(text: str, change: str, fault: str, tmp_path: Path) -> None:
    (told,) = _told(spec(tmp_path, text), f"weights={change}")
    assert told.removeprefix(f"{tmp_path}/").startswith(fault)


def test_a_head_that_is_larger_than_itself_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.replace("head_layers = 3", "head_layers = 4"), encoding="utf-8")
    (told,) = _told(spec(tmp_path, READING.replace('"simclrv2"\nset = "pretrained"', '"own.toml"')))
    assert f"{tmp_path}/own.toml:7:15: head_layers 4, but the head has 3 layers (specs/recipes/simclrv2.toml:" in told


def test_images_that_an_import_does_not_look_at_are_no_departure_of_it(tmp_path: Path) -> None:
    steps = compile([spec(tmp_path, READING)], scale="digits").steps
    assert {one.stages for one in deviations(steps) if one.name == "dataset.name"} == {("tuned",)}


def test_an_arm_of_a_comparison_is_trained_and_the_other_may_be_read(tmp_path: Path) -> None:
    """Else both would be the same network, and the comparison would say nothing."""
    (told,) = _told("study_memory", OFFICIAL)
    assert "[stages.study_memory_without] is trained with memory.enabled false" in told
    plan = compile(["study_memory"], sets=["study_memory_with.weights=official"])
    assert Counter(step.kind for step in plan.steps)["import"] == 2
    assert _one(compile([spec(tmp_path, ARM)], sets=["b.weights=official"]), stage="b").kind == "import"


def test_a_plan_says_what_it_would_cost_to_begin_with_released_weights(store: Store) -> None:
    (said,) = [line for line in run("plan", "table1").stdout.splitlines() if line.startswith("→")]
    cheaper = run("plan", "table1", "--weights", "official")
    hours = next(line for line in cheaper.stdout.splitlines() if " Steps will run: " in line).split(": ")[1].split(" (")[0]
    assert said == f"→ --weights official starts from released weights instead of 13 Steps of pretrain: {hours}"
    assert "→ --weights official" in run("plan", "table1", "stage=finetune", "depth=50").stdout
    for words in (
        ("table1", "--weights", "official"),
        ("table1", "--scale", "digits"),
        ("table1", "stage=supervised"),
        ("quickstart", "--scale", "paper"),
        ("released",),
    ):
        assert "→" not in run("plan", *words).stdout, words
