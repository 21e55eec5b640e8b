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
    "or take a runner that gives more GPUs (32 for pretrain, 4 for finetune, 16 for supervised), "
    "or whose `machine` has more memory_gib\n"
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
    assert output.endswith(
        f" ({sets}); and it takes, for pretrain, a runner that gives more GPUs (4096 for pretrain), "
        "or whose `machine` has more memory_gib\n"
    )


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


def profile(folder: Path, resources: str, rules: str = "", kind: str = "slurm", machine: str = "h200") -> tuple[str, str]:
    (folder / "mine.toml").write_text(f'kind = "{kind}"\nmachine = "{machine}"\n[resources]\n{resources}\n{rules}')
    return "--runner", str(folder / "mine.toml")


@pytest.mark.usefixtures("store")
def test_gpus_share_the_activations_of_a_batch(tmp_path: Path) -> None:
    """729 GB in all: eight GPUs of 134 GB that a Step may fill hold them, four do not."""
    selected = ("plan", "table1", "stage=pretrain", "depth=50", "width=1", "sk=false")
    assert "✗" not in run(*selected, *profile(tmp_path, "gpus_per_node = 8")).output
    assert "✗" not in run(*selected, *profile(tmp_path, "nodes = 4\ngpus_per_node = 2")).output
    assert "✗" not in run(*selected, *profile(tmp_path, "processes = 8", kind="local")).output
    output = run(*selected, *profile(tmp_path, "gpus_per_node = 4")).output
    assert (
        "✗ 1 Step (1 pretrain) does not fit 4 × NVIDIA H200 (139 GiB each), which is what this runner gives it. "
        "`recompute = true` in the runner makes it fit, for up to a third more time. Micro-batches fit, as a deviation: "
        "BN then sees no whole batch (--set pretrain.micro_batch=2048); or take a runner that gives more GPUs "
        "(8 for pretrain), or whose `machine` has more memory_gib\n"
    ) in output


@pytest.mark.usefixtures("store")
def test_each_place_that_a_rule_gives_is_told(tmp_path: Path) -> None:
    rule = '[[rules]]\nwhen = { kind = ["finetune", "linear_eval"] }\nset = { gpus_per_node = 1 }'
    output = run("plan", "table1", *NARROW, *profile(tmp_path, "gpus_per_node = 8", rule)).output
    assert (
        "✗ 6 Steps (5 pretrain, 1 supervised) do not fit 8 × NVIDIA H200 (139 GiB each), which is what this runner gives each. "
        "15 Steps (15 finetune) do not fit one NVIDIA H200 (139 GiB), which is what this runner gives each. `recompute"
    ) in output


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("resources", "gib"),
    [("", None), ("memory_gib = 13", None), ("memory_gib = 9", 9), ("memory_gib = 9\nprocesses_per_node = 2", 9),
     ("memory_gib = 7\nnodes = 2", None)],
)  # fmt: skip
def test_on_a_clusters_cores_it_is_the_memory_of_a_node_that_counts(tmp_path: Path, resources: str, gib: int | None) -> None:
    """11.4 GB and the weights; what nobody has said cannot be too little."""
    selected = ("plan", "table1", "stage=supervised", "depth=50", "width=1", "sk=false", "--set", "micro_batch=128")
    output = run(*selected, *profile(tmp_path, f"gpus_per_node = 0\n{resources}", machine="cpu")).output
    told = f"✗ 1 Step (1 supervised) does not fit the memory of a node ({gib} GiB), which is what this runner gives it. "
    assert (told in output, "✗" in output) == (gib is not None, gib is not None), output
    if gib:
        assert output.endswith("; or take a runner that gives more memory_gib\n")


def test_a_batch_that_the_processes_of_a_step_do_not_divide_is_refused(store: Store, tmp_path: Path) -> None:
    """Before anything starts, with the place in the profile that says how many there are."""
    rule = '[[rules]]\nwhen = { stage = "finetune", width = [1, 2] }\nset = { gpus_per_node = 6 }'
    runner = profile(tmp_path, "gpus_per_node = 2", rule, machine="cpu")
    selected = ("table1", "--scale", "digits", "depth=50", "width=1", "sk=true")
    sentences = [
        f"1 Step (1 finetune): a batch of {size} cannot be shared equally by the 6 processes that the rule for "
        "stage=finetune width=1,2 of the runner gives it; give them a number that divides it"
        for size in (14, 64, 256)
    ]
    assert run("plan", *selected, *runner).output.splitlines()[-3:] == [f"✗ {sentence}" for sentence in sentences]
    for more in ((), ("--dry-run",)):
        done = run("run", *selected, *runner, *more)
        assert (done.exit_code, done.output.splitlines()) == (2, ["nothing started:", *sentences])
    runner = profile(tmp_path, "processes = 3", kind="local", machine="cpu")
    done = run("run", *selected, "stage=pretrain", "--set", "pretrain.micro_batch=64", *runner)
    assert done.output == (
        "nothing started: 1 Step (1 pretrain): a micro_batch of 64 cannot be shared equally by the 3 processes that "
        "[resources] of the runner gives it; give them a number that divides it\n"
    )
    assert not store.path.exists()
