"""One word for one done Step: every way to say it, and the sentence where it means none, several or one that is not done."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import Step, compile
from simclr_spec.store.history import record_plan
from simclr_spec.store.layout import Store
from simclr_spec.store.naming import trained
from tests.finished import FEW, finish, prepare


@pytest.fixture
def steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> tuple[Step, ...]:
    """Of a plan that was run: all are done but the last."""
    monkeypatch.chdir(store.path.parent)
    steps = compile([FEW]).steps
    for step in steps[:-1]:
        finish(store, step, {"top1": 50.0})
    prepare(store, steps[-1])
    return steps


def test_every_way_to_name_it(store: Store, steps: tuple[Step, ...]) -> None:
    step = steps[0]
    folder = store.folder(step.id)
    selector = " ".join(f"{key}={value}".lower() for key, value in step.coordinates.items() if value is not None)
    words = [
        step.id,
        str(folder.path),
        f"runs/{step.id}",
        str(folder.weights),
        step.fingerprint[:4],
        step.fingerprint[:8],
        step.fingerprint,
        f"'{FEW}' fingerprint={step.fingerprint[:8]}",
        f"fingerprint={step.fingerprint[:8]}",
        selector,
    ]
    for word in words:
        assert trained(word, store) == folder.path, word
    Path("mine.safetensors").touch()
    assert trained("mine.safetensors", store) == Path("mine.safetensors")


def test_a_spec_means_the_plan_of_it_that_was_run_last(store: Store) -> None:
    (step,) = compile(["quickstart"], sets=["encoder.base_width=2"]).select(parse(["stage=pretrain seed=0 width=1"]))
    finish(store, step, {"knn_top1": 50.0})
    with pytest.raises(UsageError, match="not done yet"):
        trained("quickstart stage=pretrain seed=0 width=1", store)
    record_plan(store, ["quickstart"], None, ["encoder.base_width=2"])
    assert trained("quickstart stage=pretrain seed=0 width=1", store) == store.folder(step.id).path


@pytest.mark.parametrize(
    "word", ["nothing", "0123456789ab", "1 2", "", "'", "quickstat seed=0", "quickstart digits seed=0", "runs", "."]
)
def test_what_names_nothing(store: Store, steps: tuple[Step, ...], word: str) -> None:
    with pytest.raises(UsageError, match=r"^no Step (of this store )?is called .*: name a run folder, the first letters "):
        trained(word, store)


def test_what_names_several_or_one_that_is_not_done(store: Store, steps: tuple[Step, ...]) -> None:
    done, left = len(steps) - 1, steps[-1]
    with pytest.raises(UsageError, match=rf"is {done} done Steps: {steps[0].id}, .* Say more, as in stage=finetune seed=0$"):
        trained(FEW, store)
    for word in (left.id, left.fingerprint[:8], f"fingerprint={left.fingerprint[:8]}"):
        with pytest.raises(UsageError, match=rf"is {left.id}, not done yet: `simclr-spec run` trains what a spec asks for$"):
            trained(word, store)
    with pytest.raises(UsageError, match=r"^there is no file .*nothing\.safetensors: name a run folder"):
        trained("nothing.safetensors", store)
    with pytest.raises(UsageError, match="no coordinate is named 'sed'; did you mean 'seed'"):
        trained("sed=0", store)
