"""Contradictions of a plan: each told in one sentence, with its place and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared
from simclr_spec.plan import compile, expand
from tests.specs import CHAIN, HEAD, STUDENT, plan_of, told


def test_what_a_set_names_may_stand_in_a_spec_that_cannot_be_read(tmp_path: Path) -> None:
    for name, text in (("bad", HEAD.replace("encoders", "encodres") + '[stages.mine]\nkind = "pretrain"\n'), ("good", CHAIN)):
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        compile([str(tmp_path / "bad.toml"), str(tmp_path / "good.toml")], sets=["mine.epochs=3"])
    assert "--set" not in str(caught.value)


DIGEST = "0" * 64
TWO = CHAIN.replace("{ depth = 18 }", "{ depth = 18 }, { depth = 34, width = 2 }")


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
            "x.toml:12:11: a distill starts from a finetune, distill or import stage; 'pretrain' is a pretrain",
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
            "x.toml:4:29: this encoder stands twice; first at 4:13; keep one",
        ),
        (
            CHAIN.replace(
                "[{ depth = 18 }]", "{ product = { depth = [18, 50] }, zip = [{ sk = [false, true], width = [1, 2] }] }"
            ),
            "x.toml:4:68: SK needs bottleneck blocks; depth 18 has none; use depth ≥ 50 or sk = false",
        ),
        (
            CHAIN.replace("[{ depth = 18 }]", "{ product = { width = [1] }, zip = [{ depth = [18, 34, 18] }] }"),
            "x.toml:4:67: this encoder stands twice; first at 4:59; keep one",
        ),
        (
            CHAIN.replace("[{ depth = 18 }]", "{ product = { depth = [18] }, include = [{ width = 1, depth = 18 }] }"),
            "x.toml:4:53: this encoder stands twice; first at 4:35; keep one",
        ),
        (CHAIN + "label_fraction = 10\n", "x.toml:10:18: label_fraction 10 is outside (0, 1]; for 10 % write 0.1"),
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
            CHAIN.replace('"finetune"', '"linear_eval"') + "from_layer = [0, 3]\n",
            "x.toml:10:18: from_layer 3, but the head has 3 layers (specs/recipes/simclrv2.toml:{head}); use 0 to 2",
        ),
        (
            CHAIN.replace('kind = "pretrain"\n', 'kind = "pretrain"\nlinear_layer = 3\n'),
            "x.toml:7:16: linear_layer 3, but the head has 3 layers (specs/recipes/simclrv2.toml:{head}); use 0 to 2",
        ),
        (
            CHAIN + "batch_at_most_examples = false\nbatch = 4096\n",
            "x.toml:11:9: batch 4,096 is more than the 1,437 labelled images of digits; "
            "use a smaller batch or batch_at_most_examples = true",
        ),
        (
            CHAIN.replace("18", "18, head_layers = 1") + "label_fraction = 0.1\n",
            "x.toml:4:41: the head has 1 layer, but from_layer is 1 (specs/recipes/simclrv2.toml:{from}); "
            "use at least 2 layers, or another from_layer",
        ),
        (CHAIN + "test_images = 361\n", "x.toml:10:15: test_images 361 is more than the 360 of digits"),
        (
            CHAIN + f'labels.sampler = "balanced"\nlabels.list_digest = "{DIGEST}"\nlabel_fraction = 0.1\n',
            "x.toml:11:22: labels.list_digest needs labels.sampler = 'list' (x.toml:10 says balanced)",
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
            CHAIN + '[stages.s]\nkind = "distill"\nteacher = { stage = "finetune", width = 1, depth = 50 }\n',
            "x.toml:12:52: no Step of 'finetune' has width=1 depth=50; its depth is 18",
        ),
        (
            TWO + '[stages.s]\nkind = "distill"\nteacher = { stage = "finetune", depth = 34, width = 1 }\n',
            "x.toml:12:41: no Step of 'finetune' has depth=34 width=1",
        ),
        (
            TWO + 'encoders = { depth = 18 }\n[stages.s]\nkind = "distill"\nteacher = "finetune"\n',
            "x.toml:13:11: no Step of 'finetune' has depth=34 width=2 sk=false; its depth is 18",
        ),
        (
            CHAIN.replace("[{ depth = 18 }]", "{ product = { depth = [18] }, exclude = [{ depth = 18 }] }"),
            "x.toml:4:1: this grid has no encoders; loosen `exclude` or add `include`",
        ),
        (
            CHAIN + "encoder.base_width = 4\n",
            "x.toml:10:22: encoder.base_width 4, but 'pretrain', where this stage starts, has 8 "
            "(specs/scales/digits.toml:{width}); change it there, or leave it out here",
        ),
        (CHAIN.replace("digits", "digit"), "x.toml:3:9: no scale is named 'digit'; did you mean 'digits'?"),
        (
            CHAIN + "[stages.x]\nkind = 'fintune'\n",
            "x.toml:11:8: kind must be {kinds}, not 'fintune'; did you mean 'finetune'?",
        ),
    ],
)
def test_contradictions_have_a_place_and_a_remedy(text: str, sentence: str, tmp_path: Path) -> None:
    lines = declared.read("recipe", "simclrv2").text.split("\n")
    head = 1 + next(i for i, line in enumerate(lines) if line.startswith("layers ="))
    layer = 1 + next(i for i, line in enumerate(lines) if line.startswith("set.from_layer ="))
    lines = declared.read("scale", "digits").text.split("\n")
    width = 1 + next(i for i, line in enumerate(lines) if line.startswith("base_width ="))
    kinds = "'pretrain', 'finetune', 'linear_eval', 'supervised', 'distill', 'import' or 'evaluate'"
    expected = (
        sentence.replace("{head}", str(head))
        .replace("{from}", str(layer))
        .replace("{width}", str(width))
        .replace("{kinds}", kinds)
    )
    assert [line.replace(f"({tmp_path}/", "(") for line in told(text, tmp_path)] == [expected]


def test_faults_of_all_stages_at_once(tmp_path: Path) -> None:
    text = CHAIN + 'from_layer = 9\n[stages.s]\nkind = "supervised"\nlabels_per_class = 999\n'
    assert [line.split(": ")[0] for line in told(text, tmp_path)] == ["x.toml:10:14", "x.toml:13:20"]


LABELS = '[stages.labels]\nkind = "finetune"\nfrom = "pretrain"\nlabel_fraction = 0.001\n'
LAYER = '[stages.layer]\nkind = "finetune"\nfrom = "pretrain"\nfrom_layer = 3\n'
LOST = '[stages.lost]\nkind = "finetune"\nfrom = "q"\n[stages.child]\nkind = "distill"\nteacher = "lost"\n'
WRONG = '[stages.wrong]\nkind = "distill"\nteacher = { stage = "pretrain", depth = 18 }\n'
CYCLE = "".join(
    f'[stages.{name}]\nkind = "distill"\nteacher = "{of}"\n' for name, of in [("outside", "a"), ("a", "b"), ("b", "a")]
)
PRETRAIN = CHAIN[: CHAIN.index("[stages.finetune]")]
TOLD_OF_LABELS = "label_fraction 0.001 leaves 1 images for the 10 classes of digits; use at least 0.00696"
SK = "SK needs bottleneck blocks; depth 18 has none; use depth ≥ 50 or sk = false"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            PRETRAIN.replace("18", "18, sk = true") + LOST + LABELS + WRONG + LAYER + CYCLE,
            [
                f"x.toml:4:32: {SK}",
                "x.toml:9:8: from 'q' is not a stage here",
                f"x.toml:16:18: {TOLD_OF_LABELS}",
                "x.toml:19:21: a distill starts from a finetune, distill or import stage; 'pretrain' is a pretrain",
                "x.toml:23:14: from_layer 3, but the head has 3 layers (specs/recipes/simclrv2.toml:",
                "x.toml:29:11: these stages need each other: a → b → a",
            ],
        ),
        (
            PRETRAIN.replace("{ depth = 18 }", "{ depth = 18 }, { depth = 18 }, { depth = 18, sk = true }") + LOST + LABELS,
            [
                "x.toml:4:29: this encoder stands twice; first at 4:13; keep one",
                f"x.toml:4:64: {SK}",
                "x.toml:9:8: from 'q' is not a stage here",
                f"x.toml:16:18: {TOLD_OF_LABELS}",
            ],
        ),
        (
            PRETRAIN.replace("[{ depth = 18 }]", "{ zip = [{ width = [1, 2], sk = [true] }, { width = [3] }] }")
            + LOST
            + LABELS,
            [
                "x.toml:4:1: the grid lacks 'depth'; add it to product or to a zip group",
                "x.toml:4:1: width is in two factors of the grid; keep one",
                "x.toml:4:21: the lists of a zip group must be equally long, not width 2, sk 1",
                "x.toml:9:8: from 'q' is not a stage here",
            ],
        ),
        (
            PRETRAIN.replace("digits", "digit").replace("18", "18, sk = true") + LOST,
            [
                "x.toml:3:9: no scale is named 'digit'; did you mean 'digits'?",
                f"x.toml:4:32: {SK}",
                "x.toml:9:8: from 'q' is not a stage here",
            ],
        ),
        (
            PRETRAIN
            + "micro_batch = 5\nbatch = 64\n"
            + LABELS.replace("0.001", "[0.001, 0.5, 0.002]")
            + "encoder.base_width = 4\n",
            [
                "x.toml:7:15: micro_batch 5 does not divide batch 64 (",
                f"x.toml:12:19: {TOLD_OF_LABELS}",
                f"x.toml:12:31: {TOLD_OF_LABELS}".replace("0.001 leaves 1", "0.002 leaves 2"),
                "x.toml:13:22: encoder.base_width 4, but 'pretrain', where this stage starts, has 8 (specs/scales/digits.toml:",
            ],
        ),
        (
            CHAIN + "from_layer = 4\nhead.layers = 5\n",
            ["x.toml:11:15: head.layers 5, but 'pretrain', where this stage starts, has 3 (specs/recipes/simclrv2.toml:"],
        ),
    ],
)
def test_no_fault_hides_another_nor_makes_one(text: str, expected: list[str], tmp_path: Path) -> None:
    lines = told(text, tmp_path)
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected


def test_a_value_that_contradicts_many_is_told_once(tmp_path: Path) -> None:
    scale = declared.read("scale", "digits").text.replace("batch_at_most_examples = true", "")
    (tmp_path / "mine.toml").write_text(scale)
    text = CHAIN.replace("digits", "mine.toml") + "label_fraction = [0.01, 0.1, 1.0]\n" + LABELS.replace("0.001", "0.02")
    (line,) = told(text, tmp_path, ("batch=4096",))
    assert line.startswith("--set batch=4096: batch 4,096 is more than the 1,437 images of digits")


def test_faults_of_very_many_encoders_are_told_100_times(tmp_path: Path) -> None:
    rows = ", ".join(f"{{ depth = 50, width = {width}, head_layers = 1 }}" for width in range(1, 101))
    text = CHAIN.replace("{ depth = 18 }", f"{rows}, {{ depth = 18, sk = true }}") + "label_fraction = 0.1\n"
    assert len(told(text, tmp_path)) == 100


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("epoch=2", "--set epoch=2: unknown key 'epoch'; did you mean 'epochs'?"),
        ("epochs=ten", "--set epochs=ten: epochs must be a number, not 'ten'"),
        ("epochs='50'", "--set epochs='50': epochs must be a number, not '50'; drop the quotes"),
        (
            "memory.enabled='true'",
            "--set memory.enabled='true': memory.enabled must be true or false, not 'true'; drop the quotes",
        ),
        ("epochs=nan", "--set epochs=nan: epochs must be a finite number, not nan"),
        ("finetune.flip=2", "--set finetune.flip=2: unknown key 'flip' in finetune"),
        ("augment.flip=2", "--set augment.flip=2: augment.flip 2 is outside [0, 1]; for 2 % write 0.02"),
        ("pretain.epochs=2", "--set pretain.epochs=2: unknown key 'pretain.epochs'; did you mean 'pretrain.epochs'?"),
        ("labels.fractoin=1", "--set labels.fractoin=1: unknown key 'labels.fractoin'"),
        (
            "label_fraction=0.5",
            "--set label_fraction=0.5: label_fraction is an axis of the spec and cannot be set; write it in",
        ),
        ("finetune.seeds=1", "--set finetune.seeds=1: seeds is an axis of the spec and cannot be set; write it in"),
        ("dataset.name=x", "--set dataset.name=x: dataset.name cannot be set: a data set is chosen by dataset=NAME"),
        ("pretrain.datset=cifar10", "--set pretrain.datset=cifar10: unknown key 'datset' in pretrain; did you mean 'dataset'?"),
        ("pretrain.dataset=cifar", "--set pretrain.dataset=cifar: no data set is named 'cifar'; did you mean 'cifar10'?"),
        ("pretrain.dataset=3", "--set pretrain.dataset=3: dataset must be text, not 3"),
        ("head.layers=1", "--set head.layers=1: the head has 1 layer, but from_layer is 1 (specs/recipes/simclrv2.toml:"),
        ("dataset.classes=2000", "--set dataset.classes=2000: 2,000 classes are more than the 1,437 training images (specs/"),
        ("encoder.depth=50", "--set encoder.depth=50: encoder.depth is an axis of the spec and cannot be set"),
        ("finetune.from_layer=5", "--set finetune.from_layer=5: from_layer 5, but the head has 3 layers"),
    ],
)
def test_faults_of_set(setting: str, sentence: str, tmp_path: Path) -> None:
    assert told(CHAIN + "label_fraction = 0.1\n", tmp_path, (setting,))[0].startswith(sentence)


def test_a_recipe_that_lacks_a_value_says_which(tmp_path: Path) -> None:
    recipe = declared.read("recipe", "simclrv2").text
    (tmp_path / "mine.toml").write_text("\n".join(line for line in recipe.split("\n") if not line.startswith("momentum")))
    lines = told(CHAIN.replace('"simclrv2"', '"mine.toml"'), tmp_path)
    assert "pretrain lacks 'momentum'; add momentum = { value = …, source = '…', status = '…' }" in lines[0]


@pytest.mark.parametrize(
    ("text", "sets", "sentence"),
    [
        (
            STUDENT.replace('"digits"', '"paper"') + 'dataset = "cifar10"\n',
            (),
            "x.toml:14:11: dataset.name cifar10, but 'finetune', which teaches, has imagenet",
        ),
        (STUDENT + "dataset.classes = 5\n", (), "x.toml:14:19: dataset.classes 5, but 'finetune', which teaches, has 10"),
        (STUDENT, ("finetune.dataset.classes=7",), "specs/datasets/digits.toml:"),
        (
            STUDENT,
            ("distill.dataset=cifar10",),
            "--set distill.dataset=cifar10: dataset.name cifar10, but 'finetune', which teaches, ",
        ),
    ],
)
def test_a_student_sees_the_images_of_its_teacher(text: str, sets: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    (found,) = told(text, tmp_path, sets)
    assert found.startswith(sentence)
    assert found.endswith("; a student needs the images of its teacher")


@pytest.mark.parametrize(
    ("text", "sets", "sentence"),
    [
        (
            STUDENT.replace("= 1.0", "= 0.1") + f'labels = {{ sampler = "list", list_digest = "{DIGEST}" }}\n',
            (),
            "x.toml:14:22: labels.sampler list, but 'finetune', which teaches, has balanced",
        ),
        (
            STUDENT,
            (f"distill.labels.list_digest={DIGEST}",),
            f"--set distill.labels.list_digest={DIGEST}: labels.list_digest {DIGEST}, but 'finetune', which teaches, has ",
        ),
        (
            CHAIN.replace("digits", "mine.toml"),
            (),
            "mine.toml:2:30: head.layers 2, but 'pretrain', where this stage starts, has 3",
        ),
    ],
)
def test_what_a_step_takes_over_is_not_silently_ignored(
    text: str, sets: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    scale = declared.read("scale", "digits").text.replace("[finetune]", "[finetune]\nhead = { width = 1, layers = 2 }\n")
    (tmp_path / "mine.toml").write_text(scale)
    lines = told(text, tmp_path, sets)
    line = 2 + scale.split("\n").index("[finetune]")
    assert lines[0].startswith(sentence.replace("mine.toml:2", f"mine.toml:{line}"))
    assert all(line.endswith("; change it there, or leave it out here") for line in lines)


@pytest.mark.parametrize(
    "sets",
    [
        ("augment.crop_area_min=1.0", "augment.crop_area_max=1.0"),
        ("batch=1437", "batch_at_most_examples=false"),
        ("batch=64", "micro_batch=64"),
        ("pretrain.linear_layer=2",),
        ("test_images=360",),
        ("dataset.classes=1437",),
        (f"finetune.labels.list_digest={DIGEST}",),
    ],
)
def test_values_at_their_limit_are_no_fault(sets: tuple[str, ...], tmp_path: Path) -> None:
    assert len(plan_of(CHAIN + "label_fraction = 1.0\n", tmp_path, sets).steps) == 2


def test_the_steps_of_all_stages_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MOST_STEPS", 4)
    assert len(plan_of(TWO, tmp_path).steps) == 4
    monkeypatch.setattr(expand, "MOST_STEPS", 3)
    assert told(TWO, tmp_path) == ["x.toml:7:9: this spec has more than 3 Steps; split it"]
