"""What does not fit where it would run is told by plan, and refused by run before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simclr_spec.language import declared
from simclr_spec.plan import compile
from simclr_spec.store import memory
from simclr_spec.store.layout import Store
from tests.finished import fail
from tests.typed import run

NARROW = ("--set", "precision=bf16")
ADVICE = "--set pretrain.micro_batch=128 --set finetune.micro_batch=256 --set supervised.micro_batch=256"
SENTENCE = (
    "41 Steps (13 pretrain, 15 finetune, 13 supervised) do not fit one NVIDIA H200 (139 GiB), "
    "which is what this runner gives each. "
    "`recompute = true` in the runner makes 19 of them (15 finetune, 4 supervised) fit, for up to a third more time. "
    f"Micro-batches fit, as a deviation: BN then sees no whole batch ({ADVICE}); "
    "or take a runner whose `machine` has more memory_gib\n"
)


@pytest.mark.usefixtures("store")
def test_plan_ends_with_the_steps_that_do_not_fit_and_the_micro_batches_that_do() -> None:
    assert run("plan", "table1", *NARROW).output.endswith(f"\n✗ {SENTENCE}")
    assert "✗" not in run("plan", "table1", *NARROW, *ADVICE.split()).output
    assert "✗ 56 Steps (13 pretrain, 30 finetune, 13 supervised) do not fit" in run("plan", "table1").output
    # One pretraining of ResNet-50 SK, 873 GB by the table's own number, and nothing else of this selection.
    assert (
        "✗ 1 Step (1 pretrain) does not fit"
        in run("plan", "table1", "stage=linear_eval", "depth=50", "width=1", "sk=true").output
    )


@pytest.mark.usefixtures("store")
def test_the_runner_that_is_advised_to_recompute_is_priced_and_fits(tmp_path: Path) -> None:
    (tmp_path / "again.toml").write_text('kind = "local"\nmachine = "h200"\nrecompute = true\n')
    asked, again = ("plan", "table1", "stage=finetune", *NARROW), ("--runner", str(tmp_path / "again.toml"))
    select = ("label_fraction=1.0", "depth=101", "width=2", "sk=true", "--set", "pretrain.micro_batch=128")
    told = run(*asked, *select).output
    assert "✗ 1 Step (1 finetune) does not fit" in told
    assert "gives it. `recompute = true` in the runner makes it fit, for up to a third more time. Micro-batches" in told
    told = run(*asked, *select, *again).output
    assert ("✗" in told, "GPU-hours (NVIDIA H200, with recompute)" in told) == (False, True)
    left = run(*asked[:2], *NARROW, *again).output
    assert "✗ 22 Steps (13 pretrain, 9 supervised) do not fit" in left
    assert "recompute = true" not in left


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_run_refuses_before_anything_starts(more: tuple[str, ...], store: Store) -> None:
    done = run("run", "table1", *NARROW, *more)
    assert (done.exit_code, done.output) == (2, f"nothing started: {SENTENCE}")
    assert not store.path.exists()
    fitting = run("run", "table1", *NARROW, *ADVICE.split(), "--data-root", "/nowhere", *more)
    assert (fitting.exit_code, "data set 'imagenet'" in fitting.output) == (1, True)


def test_retry_refuses_it_too(store: Store, tmp_path: Path) -> None:
    from simclr_spec.store.history import record_plan

    record_plan(store, ["table1"], None, NARROW[1:])
    step = compile(["table1"], sets=NARROW[1:]).steps[0]
    folder = fail(store, step)
    done = run("retry")
    assert (done.exit_code, done.output.startswith("nothing started: ")) == (2, True)
    assert len(folder.attempts()) == 1


def test_a_machine_of_ones_own_overrules_the_estimate(store: Store, tmp_path: Path) -> None:
    large = declared.read("machine", "h200").text.replace("memory_gib = 139.0", "memory_gib = 100000.0")
    (tmp_path / "large.toml").write_text(large)
    (tmp_path / "mine.toml").write_text('kind = "local"\nmachine = "large.toml"\n')
    done = run("run", "table1", "--dry-run", "--runner", str(tmp_path / "mine.toml"), "--data-root", "/nowhere")
    assert (done.exit_code, "data set 'imagenet'" in done.output) == (1, True)
    assert "✗" not in run("plan", "table1", "--runner", str(tmp_path / "mine.toml")).output


@pytest.mark.usefixtures("store")
def test_a_micro_batch_is_advised_only_where_it_helps(tmp_path: Path) -> None:
    small = declared.read("machine", "h200").text.replace("memory_gib = 139", "memory_gib = 1")
    (tmp_path / "small.toml").write_text(small)
    machine = ("--machine", str(tmp_path / "small.toml"))
    output = run("plan", "table1", "stage=pretrain", "depth=152", "width=3", *machine).output
    assert output.endswith(
        "this runner gives it. No micro_batch makes them fit: it takes a runner whose `machine` has more memory_gib\n"
    )
    output = run("plan", "table1", "depth=50", "width=1", "sk=true", *machine).output
    sets = "--set finetune.micro_batch=2 --set supervised.micro_batch=2"
    assert output.endswith(f" ({sets}); and it takes a runner whose `machine` has more memory_gib for pretrain\n")


@pytest.mark.usefixtures("store")
def test_on_cores_it_is_the_memory_of_the_computer_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 4 GiB a core of machine cpu are a guess, and what the other cores do not use is there."""
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CGROUP", limit)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for text, size in (("max\n", whole), (f"{6 * 2**30}\n", min(whole, 6 * 2**30)), (None, whole)):
        limit.write_text(text) if text else limit.unlink()
        assert memory._memory() == size
    limit.write_text(f"{5 * 2**30}\n")
    assert "✗" not in run("plan", "table1", "--scale", "digits").output
    selected = ("stage=supervised", "depth=50", "width=1", "sk=false", "--machine", "cpu")
    for size, fits in ((64, True), (128, False)):  # 128 images of 11.1 million outputs at 8 bytes: 11.4 GB
        output = run("plan", "table1", *selected, "--set", f"micro_batch={size // 2}").output
        assert ("✗" not in output) == fits, output
    advice = "`recompute = true` in the runner makes it fit, for up to a third more time. Micro-batches fit, "
    assert f"does not fit the memory of this computer (5 GiB), which is what this runner gives it. {advice}" in output
