"""What is decided in a job: whether its Step can begin, and whether it begins again."""

from __future__ import annotations

import json
import os
import time

import pytest

from simclr_spec.core.files import write_json
from simclr_spec.dispatch.slurm import element, ledger
from simclr_spec.dispatch.slurm.submission import DONE
from simclr_spec.language.runner import Slurm
from simclr_spec.language.runner.slurm import ClusterRetries
from simclr_spec.store import lease
from simclr_spec.store.arrays import ArrayFolder
from simclr_spec.store.layout import RunFolder, Store

STEP = "supervised/r18-1x-s0-1a2b3c4d"


@pytest.fixture
def array(store: Store, monkeypatch: pytest.MonkeyPatch) -> ArrayFolder:
    """Of one Step, submitted as job 7; in its job, which began now and has ten minutes."""
    runner = Slurm(retries=ClusterRetries(killed=1, timeout=2, preemption=5, error=1), grace_seconds=5)
    for name, value in (("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "0"), ("SIMCLR_SPEC_BEGAN", str(time.time()))):
        monkeypatch.setenv(name, value)
    store.folder(STEP).path.mkdir(parents=True)
    write_json(store.folder(STEP).step, {"needs": {}})
    folder = ledger.write_intent(
        store, "supervised", {0: STEP}, runner, variables={}, processes=1, cpus=1, minutes=10, code="x"
    )
    ledger.queue(store.folder(STEP), folder, "7", 0)
    ledger.sign(folder, "7")
    return folder


@pytest.fixture
def step(store: Store) -> RunFolder:
    return store.folder(STEP)


def record(step: RunFolder, **values: object) -> None:
    """Of a new attempt."""
    write_json(step.new_attempt().record, {"state": "running", "error": None, "failure": None, **values})


def whys(array: ArrayFolder) -> list[str]:
    return [end["why"] for end in ledger.ends(array, 0)]


def test_a_killed_process_begins_again_as_often_as_allowed_and_then_fails(array: ArrayFolder, step: RunFolder) -> None:
    record(step)
    assert element.again(array, 0, 137)
    assert step.state() == "queued"
    record(step)
    assert not element.again(array, 0, 137)
    assert step.state() == "failed"
    written = json.loads(step.attempts()[-1].record.read_text())
    assert written["error"] == ("a process was killed without a word (code 137), 2 times: [retries] killed = 1 allows no more")
    assert whys(array) == ["killed"]


@pytest.mark.parametrize(("left", "why"), [(600, "preemption"), (90, "timeout")])
def test_who_saved_and_left_was_preempted_or_out_of_time(
    array: ArrayFolder, step: RunFolder, monkeypatch: pytest.MonkeyPatch, left: float, why: str
) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_BEGAN", str(time.time() - 600 + left))
    record(step, state="interrupted")
    assert element.again(array, 0, element.SAVED)
    assert whys(array) == [why]


def test_a_step_that_is_out_of_time_too_often_fails(
    array: ArrayFolder, step: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_BEGAN", str(time.time() - 590))
    for begins in (True, True, False):
        record(step, state="interrupted")
        assert element.again(array, 0, element.SAVED) is begins
    assert step.state() == "failed"
    assert "it reached its time limit, 3 times: [retries] timeout = 2 allows no more" in step.attempts()[-1].record.read_text()


def test_where_srun_killed_the_other_ranks_the_record_says_how_it_ended(array: ArrayFolder, step: RunFolder) -> None:
    record(step, state="interrupted")
    assert element.again(array, 0, 137)
    record(step, state="failed", failure=None, error="the loss is not finite")
    assert not element.again(array, 0, 137)
    assert whys(array) == ["preemption"]


@pytest.mark.parametrize("code", [element.CANCELLED, 137])
def test_a_cancelled_step_does_not_begin_again_whatever_srun_says(array: ArrayFolder, step: RunFolder, code: int) -> None:
    record(step, state="interrupted")
    step.cancel()
    assert not element.again(array, 0, code)
    assert whys(array) == []


@pytest.mark.parametrize("code", [0, element.NEVER, element.PARENT_LACKS, element.ELSEWHERE, element.CANCELLED, 127])
def test_what_would_come_again_does_not_begin_again(array: ArrayFolder, step: RunFolder, code: int) -> None:
    record(step, state="failed")
    assert not element.again(array, 0, code)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (137, "slurmstepd: error: Detected 1 oom_kill event in StepId=5.0. Some of the step tasks have been OOM Killed."),
        (137, "slurmstepd: error: StepId=5.0 exceeded memory limit (1500 > 1024), being killed"),
        (1, "RuntimeError: [enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_ran_out_is_told_and_never_retried(array: ArrayFolder, step: RunFolder, code: int, said: str) -> None:
    record(step)
    array.log(0).write_text(f"{said}\n")
    assert not element.again(array, 0, code)
    assert step.state() == "failed"
    error = json.loads(step.attempts()[-1].record.read_text())["error"]
    assert error == "memory ran out under job 7_0: ask for more memory_gib, or spread the Step over more nodes"


def test_a_job_that_was_killed_before_its_attempt_began_fails_with_the_same_words(array: ArrayFolder, step: RunFolder) -> None:
    assert element.again(array, 0, 137)
    assert not element.again(array, 0, 137)
    queued = step.queued_as()
    assert queued
    assert queued.why == "a process was killed without a word (code 137), 2 times: [retries] killed = 1 allows no more"
    ledger.queue(step, array, "7", 0)
    array.log(0).write_text("StepId=1.0 exceeded memory limit (175747072 > 104857600), being killed\n")
    assert not element.again(array, 0, 137)
    assert (queued := step.queued_as())
    assert (step.state(), queued.why.partition(":")[0]) == ("failed", "memory ran out under job 7_0")


def test_an_error_begins_again_only_where_another_try_may_help(array: ArrayFolder, step: RunFolder) -> None:
    record(step, state="failed", failure="error", error="OSError: the disk is away")
    assert element.again(array, 0, 1)
    record(step, state="failed", failure=None, error="the loss is not finite")
    assert not element.again(array, 0, 1)


def another_machine(step: RunFolder) -> None:
    """Holds the lease, and was killed just now."""
    written = {"host": "n2", "machine": "another", "pid": 1, "beat": time.time()}
    step.lease.write_text(json.dumps(written))


def test_a_step_of_one_that_was_killed_elsewhere_just_now_is_waited_for(
    array: ArrayFolder, step: RunFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat is fresh for a while, and nobody else empties the lease: Slurm starts a preempted job sooner than that."""
    monkeypatch.setattr(lease, "FRESH_SECONDS", 1.0)
    another_machine(step)
    began = time.monotonic()
    assert element._refused(array, 0, "7_0") == 0
    assert time.monotonic() - began > 0.5


def test_a_step_that_another_machine_works_on_is_left_to_it(
    array: ArrayFolder, step: RunFolder, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lease, "FRESH_SECONDS", 0.5)
    monkeypatch.setattr(lease.Holder, "is_fresh", lambda _: True)
    another_machine(step)
    assert element._refused(array, 0, "7_0") == element.ELSEWHERE
    assert capsys.readouterr().out == "7_0: another process works on it\n"


def test_a_child_whose_parent_is_not_done_fails_before_it_begins(array: ArrayFolder, step: RunFolder, store: Store) -> None:
    """Slurm starts a child whose parent's id it no longer knows."""
    write_json(step.step, {"needs": {"encoder": {"fingerprint": "f", "folder": "pretrain/r18"}}})
    assert element._refused(array, 0, "7_0") == element.PARENT_LACKS
    assert step.state() == "failed"
    queued = step.queued_as()
    assert queued
    assert queued.why == "job 7_0: pretrain/r18 is not done, though it should be by now"
    assert not element.again(array, 0, 137), "of several ranks, the others were killed"


def test_nodes_that_failed_are_remembered_and_too_many_end_the_step(
    array: ArrayFolder, step: RunFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = ("NODE_FAIL|n-3", "PREEMPTED|n4", "NODE_FAIL|n[5-6]", "RUNNING|n7")
    monkeypatch.setenv("SIMCLR_SPEC_PAST", "\n".join(f"{array.name}|{line}" for line in past) + "\nanother|NODE_FAIL|n8")
    assert element._refused(array, 0, "7_0") == 0
    assert ledger.bad_nodes(store, Slurm()) == ["n-3"], "of several nobody says which one"
    monkeypatch.setenv("SIMCLR_SPEC_PAST", f"{array.name}|NODE_FAIL|n1\n" * 4)
    assert element._refused(array, 0, "7_0") == element.NEVER
    queued = step.queued_as()
    assert queued
    assert (step.state(), queued.why) == ("failed", "job 7_0: more than 3 nodes failed under it")


def test_bad_nodes_are_left_out_for_some_hours_and_not_too_many(store: Store) -> None:
    for age, node in enumerate(("n1", "n2", "n3")):
        store.arrays.mkdir(parents=True, exist_ok=True)
        ledger.remember_bad(store, node)
        os.utime(store.bad_node(node), (time.time() - 3600 * age,) * 2)
    assert ledger.bad_nodes(store, Slurm()) == ["n1", "n2", "n3"]
    assert ledger.bad_nodes(store, Slurm(most_bad_nodes=2)) == ["n1", "n2"]
    assert ledger.bad_nodes(store, Slurm(bad_node_hours=1.5)) == ["n1", "n2"]
    assert ledger.bad_nodes(store, Slurm(bad_node_hours=0)) == []


def test_usr2_while_torch_is_imported_means_that_it_begins_again(array: ArrayFolder, step: RunFolder) -> None:
    assert element.again(array, 0, element.SAVED)
    assert (step.state(), whys(array)) == ("queued", ["preemption"])


def test_a_step_that_is_done_ends_well_whatever_its_processes_said(array: ArrayFolder, step: RunFolder) -> None:
    step.result.write_text("{}")
    assert element.afterwards(array, 0, 139) == DONE


def test_a_step_that_was_cancelled_does_not_begin_again_though_srun_killed_the_other_ranks(
    array: ArrayFolder, step: RunFolder
) -> None:
    record(step, state="interrupted")
    step.cancel()
    assert element.afterwards(array, 0, 137) == 0
    assert whys(array) == []


def test_without_accounting_starts_that_nobody_explains_are_counted(
    array: ArrayFolder, step: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "5")
    assert element._refused(array, 0, "7_0") == 0
    monkeypatch.setenv("SLURM_RESTART_COUNT", "6")
    assert element._refused(array, 0, "7_0") == element.NEVER
