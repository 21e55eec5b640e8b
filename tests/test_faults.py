"""Whatever a slip of the fingers does to a declared file, the answer points at the token and suggests the right word."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from pathlib import Path

from simclr_spec.core.errors import Fault, SpecError
from simclr_spec.language import declared, runner
from simclr_spec.language.document import load
from simclr_spec.language.schemas import SCHEMAS
from simclr_spec.language.weights import read_weights
from simclr_spec.plan import compile
from simclr_spec.report import select
from simclr_spec.report.published import papers
from tests.faults import WAYS, Seeded, seeded

COUNT = 500
EVERY_KIND = """
title = "Every kind of training, at no scale: nothing stands for what the recipe lacks"
recipe = "recipe.toml"
encoders = [{ depth = 50 }]
stages.pretrain.kind = "pretrain"
stages.finetune = { kind = "finetune", from = "pretrain", label_fraction = 0.1 }
stages.linear_eval = { kind = "linear_eval", from = "pretrain" }
stages.supervised.kind = "supervised"
stages.distill = { kind = "distill", teacher = "finetune" }
stages.import = { kind = "import", weights = "torchvision", set = "v1" }
stages.evaluate = { kind = "evaluate", from = "import" }
"""


def faults_of(fault: Seeded, folder: Path) -> list[Fault]:
    """What the tool says of the faulty file, used the way that such a file is used."""
    file = folder / f"{fault.kind}.toml"
    file.write_text(fault.text, encoding="utf-8")
    try:
        if fault.kind == "spec":
            compile([str(file)])
        elif fault.kind == "recipe":
            spec = folder / "uses.toml"
            spec.write_text(EVERY_KIND)
            compile([str(spec)])
        elif fault.kind == "scale":
            compile(["quickstart"], scale=str(file))
        elif fault.kind == "dataset":
            compile(["quickstart"], sets=[f'dataset="{file}"'])
        elif fault.kind == "runner":
            runner.read(str(file))
        elif fault.kind == "report":
            select.validate(str(file))
        elif fault.kind == "weights":
            papers(read_weights(str(file)))
        else:
            load(fault.kind, str(file), SCHEMAS[fault.kind])
    except SpecError as error:
        return list(error.faults)
    return []


def test_seeded_faults_are_found_at_their_token_with_the_right_suggestion(tmp_path: Path) -> None:
    found = suggested = misspelt = 0
    missed = []
    slowest = 0.0
    for fault in seeded(COUNT, seed=1):
        start = time.process_time()
        told = faults_of(fault, tmp_path)
        slowest = max(slowest, time.process_time() - start)
        hit = any((one.line, one.column) in fault.places for one in told)
        found += hit
        if fault.suggestion is not None:
            misspelt += 1
            right = any(f"did you mean {fault.suggestion!r}?" in one.sentence for one in told)
            suggested += right
            hit = hit and right
        if not hit:
            missed.append(
                (fault.kind, fault.name, fault.what, fault.suggestion, sorted(fault.places), list(map(str, told))[:3])
            )
    report = "\n".join(map(str, missed))
    assert found / COUNT >= 0.95, f"{found} of {COUNT} located\n{report}"
    assert suggested / misspelt >= 0.90, f"{suggested} of {misspelt} suggested\n{report}"
    assert slowest <= 0.5, f"{slowest:.2f} s"


IMPOSSIBLE = {
    ("dataset", "misreference"): "a data set names no other file",
    ("machine", "misreference"): "a machine names no other file",
}


def test_the_generator_makes_every_kind_of_fault_in_every_kind_of_file() -> None:
    made = list(seeded(COUNT, seed=1))
    assert {(fault.kind, fault.what) for fault in made} == {*itertools.product(declared.FOLDERS, WAYS)} - IMPOSSIBLE.keys()
    assert {(fault.kind, fault.name) for fault in made} == {
        (kind, name) for kind in declared.FOLDERS for name in declared.names(kind)
    }
    assert min(Counter(fault.kind for fault in made).values()) >= COUNT / 10
    assert len({(fault.kind, fault.name, fault.text) for fault in made}) == COUNT
    assert all(re.sub(r"\s", "", fault.text) != re.sub(r"\s", "", declared.read(fault.kind, fault.name).text) for fault in made)
